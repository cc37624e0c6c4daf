//! Passwords, saved documents, clocks and addresses at their ugliest.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use countersign::contact::{Destination, EmailAddress, PhoneNumber};
use countersign::error::PluginError;
use countersign::password::{
    Admission, Argon2id, Busy, PasswordAttempt, PasswordCheck, PasswordVerifier,
};
use countersign::user::{Language, PasswordHash};
use countersign::{Channel, DeviceLabel, LoginStep, Password, Reason, ResendTo, TenantId, UserId};

use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_lite::future::block_on;
use proptest::prelude::*;

use crate::attacks::broken::{self, Store};
use crate::support::*;

/// The cheapest that the builder takes.
fn argon2id() -> Arc<Argon2id> {
    Arc::new(Argon2id::builder().memory_kib(12 * 1024).iterations(3).build().unwrap())
}

/// A verifier that looks at the first 72 bytes.
struct Truncating;

#[async_trait]
impl PasswordVerifier for Truncating {
    fn admit(&self) -> Result<Admission, Busy> {
        Ok(Admission::unbounded())
    }

    async fn verify(&self, attempt: &PasswordAttempt<'_>) -> Result<PasswordCheck, PluginError> {
        let cut = |text: &str| text.bytes().take(72).collect::<Vec<_>>();
        let saved = attempt
            .user
            .and_then(|user| user.password_hash.as_ref())
            .map(|hash| cut(hash.expose()));
        let right = saved == Some(cut(attempt.password.expose()));
        Ok(if right { PasswordCheck::Match } else { PasswordCheck::Mismatch })
    }

    async fn hash_password(&self, _: &Password) -> Result<Option<PasswordHash>, PluginError> {
        Ok(None)
    }
}

/// Whether a password of which the last byte is wrong is refused.
async fn last_byte_matters(verifier: impl PasswordVerifier + 'static, hash: PasswordHash) -> bool {
    let world = World::off_with(|b| b.password_verifier(verifier));
    world.change(&world.alice, |user| user.password_hash = Some(hash));
    let _ = authenticated(world.try_begin("alice", &format!("{}x", "a".repeat(4095))).await);
    let near = world.try_begin("alice", &format!("{}y", "a".repeat(4095))).await;
    matches!(near, LoginStep::Denied(denied) if denied.reason() == Reason::InvalidCredentials)
}

/// Attack 47. I-37: 4,096 bytes, and the last one counts.
#[tokio::test]
async fn truncated_password() {
    let verifier = argon2id();
    let password = format!("{}x", "a".repeat(4095));
    let hash = verifier.hash(&password.as_str().into()).await.unwrap();
    assert!(last_byte_matters(verifier, hash).await);
    // Control: a verifier that cuts.
    assert!(!last_byte_matters(Truncating, PasswordHash::new(password)).await);
}

/// Attack 48. I-37, I-40: too long is refused before anything is hashed; what is saved can't ask
/// for any amount of work.
#[tokio::test]
async fn hash_denial_of_service() {
    let world = World::off_with(|b| b);
    for length in [4097, 1 << 20] {
        assert!(matches!(
            reason(&world.try_begin("alice", &"x".repeat(length)).await),
            Reason::InvalidInput(_)
        ));
    }
    assert_eq!(world.calls.all(), Vec::<&str>::new());
    // Control: what is not too long is looked at.
    let _ = world.try_begin("alice", &"x".repeat(4096)).await;
    assert_eq!(world.calls.of("verify"), 1);
    let verifier = argon2id();
    let sound = verifier.hash(&PASSWORD.into()).await.unwrap().expose().to_owned();
    let world = World::off_with(|b| b.password_verifier(verifier));
    for (cost, usable) in [
        ("m=12288,t=3,p=1", true),
        ("m=4294967295,t=3,p=1", false),
        ("m=12288,t=4294967295,p=1", false),
        ("m=262145,t=3,p=1", false),
        ("m=8,t=1,p=1", false),
    ] {
        let saved = sound.replace("m=12288,t=3,p=1", cost);
        world.change(&world.alice, |user| user.password_hash = Some(PasswordHash::new(saved)));
        let step = world.begin_as(&world.acme, "alice", PASSWORD, Channel::Web, None).await;
        assert_eq!(matches!(step, Ok(LoginStep::Authenticated(_))), usable, "{cost}");
        assert_eq!(step.is_err(), !usable, "{cost}");
    }
}

/// Attack 49. I-37: a record in which one byte is another is a fault or a refusal; it opens nothing
/// and breaks nothing.
#[tokio::test]
async fn panic_on_stored_data() {
    let world = World::with(|b| b.trusted_devices(30 * DAY, 3)).await;
    world.choose_sms("alice", "+819012345634").await;
    let _backup = world.make_backup_code("alice").await;
    let _done = world.sign_in_and_trust("alice", "Büro").await;
    let document = world.row(&world.alice).unwrap().document;
    let (mut faults, mut read) = (0, 0);
    for (at, byte) in document.bytes().enumerate() {
        for other in [0, b'"', b'9', byte ^ 1] {
            let mut bytes = document.clone().into_bytes();
            bytes[at] = other;
            let Ok(damaged) = String::from_utf8(bytes) else { continue };
            world.overwrite(&world.alice, &damaged).await;
            match world.begin_as(&world.acme, "alice", PASSWORD, Channel::Web, None).await {
                Ok(LoginStep::Authenticated(_)) => panic!("let in by {damaged}"),
                Ok(_) => read += 1,
                Err(_) => faults += 1,
            }
            world.clock.advance(Duration::from_millis(1));
        }
    }
    assert!(faults > 1_000 && read > 0, "{faults} faults, {read} read");
    // Control: a decoder that slices is caught at it.
    let slicing = |document: &str| document[..=document.find('ü').unwrap()].len();
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let caught = catch_unwind(AssertUnwindSafe(|| slicing(&document)));
    std::panic::set_hook(quiet);
    assert!(caught.is_err());
}

/// Every step of a login of which one saved time is this: whether its right code is taken in the
/// end.
async fn code_is_taken(place: &str, time: i64) -> bool {
    let world = World::new().await;
    let challenge = world.begin("alice").await;
    let code = world.last_code();
    let _ = world.submit(&challenge.token, &world.wrong_code()).await;
    let mut record = world.record(&world.alice);
    match place {
        "login" => record["pending"][0]["begun"] = time.into(),
        "code" => record["pending"][0]["code"]["issued"] = time.into(),
        "send" => record["sends"] = [time].into(),
        "failure" => record["code_failures"]["recent"] = [time].into(),
        _ => {}
    }
    world.overwrite(&world.alice, &record).await;
    let begun = world.begin_as(&world.acme, "alice", PASSWORD, Channel::Web, None).await.unwrap();
    assert!(!matches!(begun, LoginStep::Authenticated(_)));
    let _ = world.request().resend(&challenge.token, ResendTo::Same).await.unwrap();
    let _ = world.submit(&challenge.token, &world.wrong_code()).await;
    matches!(world.submit(&challenge.token, &code).await, LoginStep::Authenticated(_))
}

/// Attack 50. I-07, I-37: what overflows has expired, and nothing panics over it.
#[tokio::test]
async fn expiry_overflow() {
    for time in [i64::MIN, i64::MIN + 180_000, -1, 0, i64::MAX - 180_000, i64::MAX - 1, i64::MAX] {
        for place in ["login", "code"] {
            assert!(!code_is_taken(place, time).await, "{place}: {time}");
        }
        for place in ["send", "failure"] {
            assert!(code_is_taken(place, time).await, "{place}: {time}");
        }
    }
    // Control: times as they were.
    assert!(code_is_taken("none", 0).await);
    // At both ends of the calendar a clock is refused or works; it opens nothing.
    for at in [time::PrimitiveDateTime::MIN, time::PrimitiveDateTime::MAX] {
        let world = World::new().await;
        world.clock.set(at.assume_utc());
        let step = world.begin_as(&world.acme, "alice", PASSWORD, Channel::Web, None).await;
        assert!(!matches!(step, Ok(LoginStep::Authenticated(_))));
    }
}

/// A code that was seen expired, then the clock back to when it was good: whether it is taken.
async fn revived(store: impl FnOnce(&World) -> Store) -> bool {
    let mut world = World::new().await;
    let challenge = world.begin("alice").await;
    let code = world.last_code();
    let issued = world.now();
    let store = store(&world);
    broken::over(&mut world, &store);
    world.clock.advance(4 * MINUTE);
    assert_eq!(reason(&world.submit(&challenge.token, &code).await), Reason::NoLiveCode);
    world.clock.set(issued + Duration::from_secs(10));
    matches!(world.submit(&challenge.token, &code).await, LoginStep::Authenticated(_))
}

/// Attack 52. I-08: nothing is revived, and no lock gets longer than it is.
#[tokio::test]
async fn clock_backwards() {
    assert!(!revived(Store::over).await);
    // Control: a store that forgets what was seen.
    assert!(
        revived(|world| Store::over(world).doctored(|before, next| *next = before.clone())).await
    );
    let world = World::new().await;
    let _ = world.lock_codes("alice").await;
    let earlier = world.now() - 365 * DAY;
    world.clock.set(earlier);
    assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::CodesLocked);
    world.clock.advance(15 * MINUTE);
    assert!(matches!(world.try_begin("alice", PASSWORD).await, LoginStep::CodeRequired(_)));
}

/// Whether a text could end a header or a line.
fn breaks_out(text: &str) -> bool {
    text.chars().any(|c| c.is_control() || ('\u{2028}'..='\u{2029}').contains(&c))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Attack 54. I-33: no control character reaches a sender, whatever users, tenants and devices
    /// are called.
    #[test]
    fn header_injection(
        before in "\\PC{0,12}",
        bad in prop::sample::select(vec!['\r', '\n', '\0', '\t', '\u{7f}', '\u{85}', '\u{2028}', '\u{2029}']),
        after in "(\\PC|[\r\n\t@.]){0,24}",
    ) {
        let hostile = format!("{before}{bad}{after}");
        prop_assert!(breaks_out(&hostile));
        let (local, domain, number) =
            (format!("{hostile}@example.com"), format!("alice@example.com{hostile}"), format!("+1555{hostile}"));
        for address in [&hostile, &local, &domain] {
            prop_assert!(EmailAddress::new(address).is_err());
        }
        prop_assert!(PhoneNumber::new(&number).is_err());
        prop_assert!(!breaks_out(DeviceLabel::new(&hostile).as_str()));
        prop_assert!(TenantId::new(&hostile).is_err());
        prop_assert!(UserId::new(&hostile).is_err() && Language::new(&hostile).is_err());
        // Control, and what does get through: text without them.
        for text in [before, after] {
            prop_assert!(!breaks_out(DeviceLabel::new(&text).as_str()));
            if let Ok(address) = EmailAddress::new(&format!("{text}@example.com")) {
                prop_assert!(!breaks_out(address.expose()));
                // Dots where none belong are sent in quotes.
                let quoted = if text.split('.').any(str::is_empty) && !text.starts_with('"') { "\"" } else { "" };
                prop_assert_eq!(sent_to(address), format!("{quoted}{text}{quoted}@example.com"));
            }
        }
    }
}

/// Where a code of a user with this address goes.
fn sent_to(address: EmailAddress) -> String {
    block_on(async {
        let world = World::new().await;
        world.change(&world.alice, |user| user.email = Some(address));
        let _ = world.begin("alice").await;
        let Destination::Email(to) = world.outbox.last_code().unwrap().to else {
            panic!("by email")
        };
        to.expose().to_owned()
    })
}
