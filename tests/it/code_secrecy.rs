//! Codes are equally likely, and a copy of the database does not tell which one was sent.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use crate::support::*;
use base64ct::{Base64UrlUnpadded, Encoding};
use countersign::Pepper;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

fn decode(text: &str) -> Vec<u8> {
    Base64UrlUnpadded::decode_vec(text).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|half| char::from(b"0123456789abcdef"[usize::from(half)]))
        .collect()
}

/// I-21: neither a code nor a token is in what is saved, in whatever form it travels.
#[tokio::test]
async fn no_code_and_no_token_is_saved_in_clear() {
    // Ten digits do not turn up in a document by chance.
    let world = World::with(|builder| builder.code_digits(10).trusted_devices(30 * DAY, 3)).await;
    let trusted = world.sign_in_and_trust("alice", "laptop").await;
    world.wait_for_the_spacing();
    let backup = world.request().account(&trusted.grant).new_backup_code().await.unwrap();
    let number = countersign::contact::PhoneNumber::new("+15551234567").unwrap();
    let setup = world.request().account(&trusted.grant).use_sms(&number).await.unwrap();
    world.wait_for_the_spacing();
    let challenge = world.begin("alice").await;
    let document = world.row(&world.alice).unwrap().document;
    assert!(document.contains("laptop"), "this is the document");
    let mut secrets: Vec<String> = world.outbox.codes().into_iter().map(|sent| sent.code).collect();
    secrets.push(backup.expose().to_owned());
    secrets.push(backup.expose().replace('-', ""));
    for token in
        [trusted.device_token.unwrap().expose(), setup.token.expose(), challenge.token.expose()]
    {
        secrets.push(token.to_owned());
        let secret = &decode(&token[5..])[..32];
        secrets.push(Base64UrlUnpadded::encode_string(secret));
        secrets.push(hex(secret));
        secrets.push(secret.iter().map(ToString::to_string).collect::<Vec<_>>().join(","));
    }
    assert_eq!(secrets.len(), 17);
    for secret in &secrets {
        assert!(!document.contains(secret.as_str()));
    }
    assert!(!document.contains(PASSWORD));
}

/// The documented form of a code's tag: HMAC-SHA-256 over parts that are each preceded by their
/// length.
fn hmac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    for part in parts {
        mac.update(&u32::try_from(part.len()).unwrap().to_le_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

/// Everything of a pending login that a copy of the database shows.
struct Copy {
    record: Vec<u8>,
    login: Vec<u8>,
    token_tag: Vec<u8>,
    code_tag: Vec<u8>,
}

impl Copy {
    fn of(world: &World) -> Self {
        let record = world.record(&world.alice);
        let bytes = |value: &serde_json::Value| decode(value.as_str().unwrap());
        let pending = &record["pending"][0];
        Self {
            record: bytes(&record["id"]),
            login: bytes(&pending["login"]),
            token_tag: bytes(&pending["token"]),
            code_tag: bytes(&pending["code"]["tag"]),
        }
    }

    /// The codes, of those around the right one, that somebody confirms who takes this for the
    /// client's secret.
    fn confirmed_with(&self, secret: &[u8], right: u32) -> Vec<u32> {
        (right.saturating_sub(2_000)..right + 2_000)
            .filter(|code| {
                let code = format!("{code:06}");
                let parts: [&[u8]; 7] = [
                    b"countersign/1/login-code",
                    b"acme",
                    b"alice",
                    &self.record,
                    &self.login,
                    b"alice@example.com",
                    code.as_bytes(),
                ];
                hmac(secret, &parts) == self.code_tag
            })
            .collect()
    }
}

/// I-21: with the client's secret the tag can be recomputed, and without it none of the codes can
/// be told from another.
#[tokio::test]
async fn a_copy_of_the_database_confirms_no_code_without_the_clients_token() {
    let world = World::new().await;
    let challenge = world.begin("alice").await;
    let right: u32 = world.last_code().parse().unwrap();
    let copy = Copy::of(&world);
    let secret = decode(&challenge.token.expose()[5..])[..32].to_vec();
    assert_eq!(copy.confirmed_with(&secret, right), [right], "the search itself works");
    for guess in [&copy.token_tag, &copy.record, &copy.login, &vec![0; 32], &Vec::new()] {
        assert!(copy.confirmed_with(guess, right).is_empty());
    }
    // The same code under another login's token has another tag: what differs is the secret alone.
    world.wait_for_the_spacing();
    let second = decode(&world.begin("alice").await.token.expose()[5..])[..32].to_vec();
    assert!(copy.confirmed_with(&second, right).is_empty());
}

/// I-21: with a pepper not even the token is enough.
#[tokio::test]
async fn with_a_pepper_the_database_and_the_token_confirm_no_code() {
    let world =
        World::with(|builder| builder.pepper(Pepper::new("k1", vec![7; 32]).unwrap())).await;
    let challenge = world.begin("alice").await;
    let code = world.last_code();
    let secret = decode(&challenge.token.expose()[5..])[..32].to_vec();
    assert!(Copy::of(&world).confirmed_with(&secret, code.parse().unwrap()).is_empty());
    let _ = authenticated(world.submit(&challenge.token, &code).await);
}

/// I-19: codes keep their leading zeros, and no digit is likelier than another at any place.
#[tokio::test]
async fn codes_have_all_their_digits_and_each_is_as_likely() {
    const DRAWS: usize = 3_000;
    let world = World::new().await;
    let mut seen = [[0_u32; 10]; 6];
    let mut distinct = std::collections::HashSet::new();
    for _ in 0..DRAWS {
        let _ = world.begin("alice").await;
        let code = world.last_code();
        world.outbox.clear();
        assert_eq!(code.len(), 6);
        for (place, digit) in code.bytes().enumerate() {
            seen[place][usize::from(digit - b'0')] += 1;
        }
        distinct.insert(code);
        world.clock.advance(2 * 60 * MINUTE);
    }
    assert!(distinct.len() > DRAWS - 30);
    for place in seen {
        let expected = f64::from(u32::try_from(DRAWS).unwrap()) / 10.0;
        let chi_square: f64 =
            place.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum();
        // Nine degrees of freedom: above 33.7 once in 10,000 places. The seed is fixed.
        assert!(chi_square < 33.7, "{place:?}");
    }
}

/// I-31: each of a backup code's 24 symbols is any of the 32, and none is likelier than another:
/// 120 bits.
#[tokio::test]
async fn backup_codes_have_all_their_symbols_and_each_is_as_likely() {
    const DRAWS: u32 = 400;
    let world = World::new().await;
    let grant = world.sign_in("alice").await.grant;
    let mut seen = std::collections::BTreeMap::<char, u32>::new();
    let mut distinct = std::collections::HashSet::new();
    for _ in 0..DRAWS {
        let code = world
            .request()
            .account(&grant)
            .new_backup_code()
            .await
            .unwrap()
            .expose()
            .replace('-', "");
        assert_eq!(code.len(), 24);
        code.chars().for_each(|symbol| *seen.entry(symbol).or_default() += 1);
        distinct.insert(code);
    }
    assert_eq!(distinct.len(), 400);
    assert_eq!(seen.keys().collect::<String>(), "0123456789ABCDEFGHJKMNPQRSTVWXYZ");
    let expected = f64::from(DRAWS * 24) / 32.0;
    let chi_square: f64 =
        seen.values().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum();
    // 31 degrees of freedom: above 70.6 once in 10,000 times. The seed is fixed.
    assert!(chi_square < 70.6, "{chi_square} {seen:?}");
}
