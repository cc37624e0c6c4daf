//! What the fuzz targets do with their bytes: each a function, so that the seeds run as a test too.

pub mod actions;

use std::cell::RefCell;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::OnceLock;

use countersign::memory::MemoryFactors;
use countersign::{RequestContext, BackupCode, Channel, Code, DeviceToken, Login, LoginName, LoginStep, Password, PendingToken, ResendTo, RevalidateError, SavedGrant, Scope, SetupToken, TenantId, TrustDevice, UserId};
use countersign::contact::{EmailAddress, PhoneNumber};
use countersign::password::{Argon2Arena, Argon2Backend as _, Argon2Input, Argon2id, PasswordAttempt, PasswordVerifier as _, PasswordCheck};
use countersign::store::{ExpectedVersions, FactorStore as _, StoredRow};
use countersign::user::{PasswordHash, User};
use countersign_fast_argon2::FastArgon2;
use countersign_testkit::{Person, SeededEntropy, World};
use futures_lite::future::block_on;

/// A tenant in which everybody needs the second factor, and alice's login that waits for its code.
struct Waiting {
    world: World,
    factors: MemoryFactors,
    alice: UserId,
    token: String,
    code: String,
}

fn waiting() -> Waiting {
    waiting_of(7)
}

/// The same with other secrets.
fn waiting_of(seed: u64) -> Waiting {
    let factors = MemoryFactors::new();
    let world = World::with(factors.clone(), "acme", |b| {
        b.entropy(SeededEntropy::new(seed)).trusted_devices(std::time::Duration::from_secs(86_400), 3)
    })
    .unwrap();
    block_on(async {
        world.set_scope(Scope::EntireTenant).await.unwrap();
        let LoginStep::CodeRequired(challenge) = world.begin("alice").await.unwrap() else {
            panic!("a code is required")
        };
        let code = world.outbox.last_code().unwrap().code;
        let token = challenge.token.expose().to_owned();
        Waiting { world, factors, alice: UserId::new("alice").unwrap(), token, code }
    })
}

/// The same with secrets of its own for each text: the fuzzer reads the operands of comparisons,
/// those of its own assertions among them.
fn waiting_of_text(data: &[u8]) -> Waiting {
    let mut hasher = DefaultHasher::new();
    data.hash(&mut hasher);
    waiting_of(hasher.finish())
}

/// Whoever is let in typed the code: the digits of it, and nothing else but what separates them
/// (`I-20`).
pub fn code(data: &[u8]) {
    let Ok(typed) = std::str::from_utf8(data) else { return };
    let w = waiting();
    let token = w.token.as_str().into();
    let step = block_on(w.world.flow.request(&w.world.tenant, &RequestContext::new()).submit_code(&token, &Code::new(typed), TrustDevice::No)).unwrap();
    let digits: String = typed.chars().filter_map(digit).collect();
    // Hangul fillers are letters that nobody sees.
    let ignored = ['ー', '\u{115F}', '\u{1160}', '\u{3164}', '\u{FFA0}'];
    let odd = typed.chars().filter(|c| digit(*c).is_none() && !ignored.contains(c)).any(char::is_alphanumeric);
    match step {
        LoginStep::Authenticated(_) => assert!(digits == w.code && !odd, "{typed:?}"),
        LoginStep::Denied(_) => assert!(digits != w.code || typed.chars().any(|c| digit(c).is_none()), "{typed:?}"),
        LoginStep::CodeRequired(_) => panic!("{typed:?}"),
    }
}

/// The ASCII digit that a digit stands for.
fn digit(c: char) -> Option<char> {
    match u32::from(c) {
        0x30..=0x39 => Some(c),
        code @ 0xFF10..=0xFF19 => char::from_u32(code - 0xFF10 + 0x30),
        _ => None,
    }
}

/// Nobody is let in by a backup code that they have not got, and by one that they have only once
/// (`I-05`, `I-31`).
pub fn backup_code(data: &[u8]) {
    let Ok(typed) = std::str::from_utf8(data) else { return };
    let w = waiting_of_text(data);
    let (flow, tenant) = (&w.world.flow, &w.world.tenant);
    block_on(async {
        let done = w.world.submit(&w.token.as_str().into(), &w.code).await.unwrap();
        let LoginStep::Authenticated(done) = done else { panic!("the code is right") };
        let real = flow.request(tenant, &RequestContext::new()).account(&done.grant).new_backup_code().await.unwrap();
        let LoginStep::CodeRequired(challenge) = w.world.begin("alice").await.unwrap() else {
            panic!("a code is required")
        };
        let step = flow.request(tenant, &RequestContext::new()).submit_backup_code(&challenge.token, &BackupCode::new(typed)).await.unwrap();
        assert!(matches!(step, LoginStep::Denied(_)), "{typed:?}");
        // What was typed, around the real one: refused, or the real one.
        let around = BackupCode::new(format!("{typed}{}{typed}", real.expose()));
        if let LoginStep::Authenticated(done) =
            flow.request(tenant, &RequestContext::new()).submit_backup_code(&challenge.token, &around).await.unwrap()
        {
            assert!(!typed.chars().any(|c| c.is_ascii_alphanumeric()), "{typed:?}");
            assert_ne!(done.backup_code.unwrap().expose(), real.expose());
        }
    });
}

/// No text is a token but the one that was given out, and no text is a session (`I-02`, `I-36`).
pub fn token(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let w = waiting_of_text(data);
    let (flow, tenant) = (&w.world.flow, &w.world.tenant);
    block_on(async {
        let right = Code::new(w.code.as_str());
        let step = flow.request(tenant, &RequestContext::new()).submit_code(&PendingToken::new(text), &right, TrustDevice::No).await.unwrap();
        assert!(matches!(step, LoginStep::Denied(_)), "{text:?}");
        let step = flow.request(tenant, &RequestContext::new()).resend(&PendingToken::new(text), ResendTo::Same).await.unwrap();
        assert!(matches!(step, LoginStep::Denied(_)), "{text:?}");
        flow.request(tenant, &RequestContext::new()).cancel(&PendingToken::new(text)).await.unwrap();
        let (device, password) = (DeviceToken::new(text), Person::PASSWORD.into());
        let login = Login { name: "alice", password: &password, channel: Channel::Web, device: Some(&device) };
        assert!(matches!(flow.request(tenant, &RequestContext::new()).begin(&login).await.unwrap(), LoginStep::CodeRequired(_)), "{text:?}");
        if let Ok(grant) = serde_json::from_slice::<SavedGrant>(data) {
            assert!(matches!(flow.request(tenant, &RequestContext::new()).revalidate(&grant, Channel::Web).await, Err(RevalidateError::Stale(_))), "{text:?}");
        }
        // The login that was under way is untouched.
        let step = flow.request(tenant, &RequestContext::new()).submit_code(&w.token.as_str().into(), &right, TrustDevice::No).await.unwrap();
        let LoginStep::Authenticated(done) = step else { panic!("the code is right") };
        w.world.clock.advance(std::time::Duration::from_secs(30));
        let number = PhoneNumber::new("+819012345678").unwrap();
        let setup = flow.request(tenant, &RequestContext::new()).account(&done.grant).use_sms(&number).await.unwrap();
        let sent = Code::new(w.world.outbox.last_code().unwrap().code);
        let confirmed = flow.request(tenant, &RequestContext::new()).account(&done.grant).confirm_method(&SetupToken::new(text), &sent).await;
        assert!(confirmed.is_err(), "{text:?}");
        assert!(flow.request(tenant, &RequestContext::new()).account(&done.grant).confirm_method(&setup.token, &sent).await.is_ok());
    });
}

/// A saved record of any bytes lets nobody in with a password alone, and panics nowhere (`I-37`).
pub fn record(data: &[u8]) {
    let Ok(document) = std::str::from_utf8(data) else { return };
    let w = waiting();
    let (flow, tenant) = (&w.world.flow, &w.world.tenant);
    block_on(async {
        let found = w.factors.load(tenant, &w.alice).await.unwrap();
        let expected = ExpectedVersions {
            settings: found.settings.as_ref().map(|saved| saved.version),
            record: found.record.as_ref().map(|saved| saved.version),
        };
        let next = StoredRow { document: document.to_owned(), ..found.record.unwrap() };
        let _ = w.factors.commit(tenant, &w.alice, &expected, &next).await.unwrap();
        if let Ok(step) = w.world.begin("alice").await {
            assert!(!matches!(step, LoginStep::Authenticated(_)), "{document}");
        }
        let token = w.token.as_str().into();
        let _ = flow.request(tenant, &RequestContext::new()).submit_code(&token, &Code::new(w.code.as_str()), TrustDevice::Named("a")).await;
        let _ = flow.request(tenant, &RequestContext::new()).resend(&token, ResendTo::Sms).await;
        let operator = flow.operator("T-1").unwrap();
        let _ = operator.status(tenant, &w.alice).await;
        let _ = operator.unlock(tenant, &w.alice).await;
        // A reset is what helps with a damaged record.
        let _ = operator.reset(tenant, &w.alice).await.unwrap();
        w.world.clock.advance(std::time::Duration::from_secs(60));
        assert!(matches!(w.world.begin("alice").await.unwrap(), LoginStep::CodeRequired(_)));
    });
}

/// Saved settings of any bytes panic nowhere (`I-37`).
pub fn settings(data: &[u8]) {
    let Ok(document) = std::str::from_utf8(data) else { return };
    let w = waiting();
    let (flow, tenant) = (&w.world.flow, &w.world.tenant);
    block_on(async {
        let found = w.factors.settings(tenant).await.unwrap().unwrap();
        let next = StoredRow { document: document.to_owned(), ..found.clone() };
        let _ = w.factors.change_settings(tenant, Some(found.version), &next).await.unwrap();
        let read = flow.operator("T-1").unwrap().scope(tenant).await;
        let step = w.world.begin("alice").await;
        // What can't be read does not mean that nobody needs a second factor (I-23).
        assert_eq!(read.is_err(), step.is_err(), "{document}");
        if matches!(read, Ok(Scope::EntireTenant)) {
            assert!(!matches!(step, Ok(LoginStep::Authenticated(_))), "{document}");
        }
        let _ = flow.purge(tenant, 10).await;
    });
}

/// Addresses and numbers that are taken are in their one form, with nothing that breaks a line
/// (`I-33`).
pub fn contact(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(number) = PhoneNumber::new(text) {
        let form = number.expose();
        let digits = form.strip_prefix('+').unwrap();
        assert!(
            (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0')
        );
        assert_eq!(PhoneNumber::new(form).unwrap(), number);
        // At most the calling code and the last two digits are shown.
        assert!(number.masked().as_str().chars().filter(char::is_ascii_digit).count() <= 5);
    }
    if let Ok(address) = EmailAddress::new(text) {
        let form = address.expose();
        assert!(form.contains('@') && !form.chars().any(|c| c.is_control() || c.is_whitespace()));
        // 254 octets as it is sent, with the domain in its ASCII form.
        assert!(form.len() <= 1024 && form.chars().count() <= 254);
        assert_eq!(EmailAddress::new(form).unwrap().expose(), form);
        let _ = address.masked();
    }
    let _ = (TenantId::new(text), UserId::new(text), LoginName::new(text));
}

/// The backend with SIMD takes and refuses what RustCrypto's implementation does, and computes the same.
pub fn argon2(data: &[u8]) {
    let [memory, passes, lanes, salt, pepper, length, password @ ..] = data else { return };
    let mut input = Argon2Input::default();
    input.memory_kib = u32::from(*memory) * 4;
    input.iterations = u32::from(passes % 5);
    input.lanes = u32::from(lanes % 18);
    let (salt, pepper) = (vec![*salt; usize::from(salt % 64)], vec![*pepper; usize::from(pepper % 96)]);
    input.password = password;
    input.salt = &salt;
    input.pepper = (!pepper.is_empty()).then_some(&pepper);
    let mut expected = vec![0; usize::from(*length)];
    let mut found = expected.clone();
    let computed = reference(&input, &mut expected);
    let answered = ARENA.with_borrow_mut(|arena| arena.hash(&input, &mut found));
    assert_eq!(computed, answered.is_ok(), "{input:?}");
    if computed {
        assert_eq!(found, expected, "{input:?}");
    } else {
        assert!(found.iter().all(|byte| *byte == 0), "{input:?}");
    }
}

thread_local! {
    /// Kept from one input to the next, as a verifier keeps it.
    static ARENA: RefCell<Box<dyn Argon2Arena>> = RefCell::new(FastArgon2::new().arena(256));
}

/// RustCrypto's hash of the same. Says whether there is one.
fn reference(input: &Argon2Input<'_>, output: &mut [u8]) -> bool {
    let (algorithm, version) = (::argon2::Algorithm::Argon2id, ::argon2::Version::V0x13);
    let (m, t, p) = (input.memory_kib, input.iterations, input.lanes);
    let Ok(params) = ::argon2::Params::new(m, t, p, Some(output.len())) else { return false };
    let pepper = input.pepper.unwrap_or_default();
    ::argon2::Argon2::new_with_secret(pepper, algorithm, version, params)
        .is_ok_and(|argon2| argon2.hash_password_into(input.password, input.salt, output).is_ok())
}

/// A saved password hash of any text is right for no password that was never hashed, costs no more
/// than the bound, and panics nowhere (`I-37`, `I-40`).
pub fn password_hash(data: &[u8]) {
    static VERIFIER: OnceLock<Argon2id> = OnceLock::new();
    let Ok(text) = std::str::from_utf8(data) else { return };
    // What it may cost is bounded, and more than a fuzzer has time for: sixteen passes' worth of a
    // small hash are enough here. What is beyond the bounds must cost nothing: the fuzzer's own
    // limits of time and memory see to that.
    if costly(text) {
        return;
    }
    let verifier = VERIFIER.get_or_init(|| Argon2id::builder().memory_kib(12 * 1024).iterations(3).build().unwrap());
    let (tenant, name) = (TenantId::new("acme").unwrap(), LoginName::new("alice").unwrap());
    let mut user = User::new(tenant.clone(), UserId::new("alice").unwrap());
    user.password_hash = Some(PasswordHash::new(text));
    let password = Password::new("a password that was never hashed");
    let attempt = PasswordAttempt::new(&tenant, &name, Some(&user), &password);
    if let Ok(verdict) = block_on(verifier.verify(&attempt)) {
        assert_eq!(verdict, PasswordCheck::Mismatch, "{text}");
    }
}

/// Within what is accepted of a saved hash, and dear.
fn costly(text: &str) -> bool {
    let number = |name: &str| {
        let digits = text.split(name).nth(1)?;
        digits.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u64>().ok()
    };
    let (memory, iterations) = (number("m=").unwrap_or(0), number("t=").unwrap_or(1));
    memory <= 256 * 1024 && iterations <= 10 && memory.saturating_mul(iterations) > 64 * 1024
}
