//! What an answer, a log or the time it takes tells to whom it should not.

use async_trait::async_trait;
use countersign::error::PluginError;
use countersign::password::{Admission, Busy, PasswordAttempt, PasswordCheck, PasswordVerifier};
use countersign::user::{PasswordHash, UserStatus};
use countersign::{Channel, LoginStep, Password, PreverifiedLogin, ResendTo, TrustDevice, UserId};

use crate::support::leaks::Leaks;
use crate::support::*;

/// A verifier that breaks where there is nobody to check.
struct Telling;

#[async_trait]
impl PasswordVerifier for Telling {
    fn admit(&self) -> Result<Admission, Busy> {
        PlainPasswords.admit()
    }

    async fn verify(&self, attempt: &PasswordAttempt<'_>) -> Result<PasswordCheck, PluginError> {
        attempt.user.ok_or_else(|| PluginError::new("nobody"))?;
        PlainPasswords.verify(attempt).await
    }

    async fn hash_password(
        &self,
        password: &Password,
    ) -> Result<Option<PasswordHash>, PluginError> {
        PlainPasswords.hash_password(password).await
    }
}

/// The answers and the calls of a first step for five reasons to refuse it, in the order of the
/// reasons.
async fn refused_first_steps(world: &World) -> Vec<(String, Vec<&'static str>)> {
    world.change(&world.bob, |user| user.status = UserStatus::Disabled);
    for _ in 0..10 {
        let _ = world.try_begin("root", "wrong").await;
    }
    let mut seen = Vec::new();
    let attempts = [
        (&world.acme, "nobody", PASSWORD),
        (&world.acme, "alice", "wrong"),
        (&world.acme, "bob", PASSWORD),
        (&world.acme, "root", PASSWORD),
        (&world.other, "only-in-acme", PASSWORD),
    ];
    Person::named("only-in-acme").join(&world.users, &world.acme).unwrap();
    for (tenant, name, password) in attempts {
        world.calls.clear();
        let answer = world.begin_as(tenant, name, password, Channel::Web, None).await;
        seen.push((format!("{answer:?}"), world.calls.all()));
    }
    seen
}

/// Attack 33. I-17, I-18: unknown, wrong password, disabled, locked, of another tenant: one answer.
#[tokio::test]
async fn enumeration_by_response() {
    let world = World::new().await;
    let seen = refused_first_steps(&world).await;
    assert!(seen.iter().all(|(answer, _)| *answer == seen[0].0), "{seen:#?}");
    assert_eq!(world.outbox.attempts(), 0);
    // Control: a verifier that tells.
    let telling = World::with(|b| b.password_verifier(Telling)).await;
    let seen = refused_first_steps(&telling).await;
    assert_ne!(seen[0].0, seen[1].0);
}

/// Attack 34. I-17: the same calls, with one password hash in each. That `Argon2id` costs one
/// current hash whatever is saved is shown beside it, in `src/password/argon2id/tests.rs`.
#[tokio::test]
async fn enumeration_by_time() {
    let world = World::new().await;
    let seen = refused_first_steps(&world).await;
    assert!(seen.iter().all(|(_, calls)| *calls == seen[0].1), "{seen:#?}");
    assert_eq!(seen[0].1.iter().filter(|call| **call == "verify").count(), 1);
    // Control: a first step that hashes nothing looks different.
    world.calls.clear();
    let vouched = PreverifiedLogin { user: &world.alice, channel: Channel::Web, device: None };
    let _ = world.request().begin_with_preverified_password(&vouched).await.unwrap();
    assert_ne!(world.calls.all(), seen[0].1);
}

/// Attack 42. I-22: one whole login. `tests/redaction.rs` does this for every page and every fault.
#[tokio::test]
async fn secret_in_what_is_printed() {
    let world = World::with(|b| b.code_digits(10).trusted_devices(30 * DAY, 3)).await;
    let mut leaks = Leaks::default();
    leaks.secret(PASSWORD);
    leaks.secret("alice@example.com");
    let step = world.try_begin("alice", PASSWORD).await;
    leaks.debug(&step);
    let pending = challenge(step);
    leaks.value(&pending);
    leaks.secret(pending.token.expose());
    leaks.secret(world.last_code());
    world.wait_for_the_spacing();
    let resent = world.request().resend(&pending.token, ResendTo::Same).await.unwrap();
    leaks.debug(&resent);
    let LoginStep::CodeRequired(_) = &resent else { panic!() };
    leaks.secret(world.last_code());
    let code = world.last_code().into();
    let trust = TrustDevice::Named("laptop");
    let done =
        authenticated(world.request().submit_code(&pending.token, &code, trust).await.unwrap());
    leaks.debug(&done);
    leaks.value(&*done.grant);
    leaks.secret(done.device_token.as_ref().unwrap().expose());
    for event in world.events.all() {
        leaks.value(&event);
        leaks.printed(event.to_string());
    }
    leaks.assert_none();
    // Control: one line too many.
    let mut leaking = leaks.clone();
    leaking.printed(format!("audit: {}", code.expose()));
    assert_eq!(leaking.found(), [format!("{} (raw)", code.expose())]);
}

/// What a log line must not have.
fn breaks_the_line(line: &str) -> bool {
    line.chars().any(|c| {
        c.is_control()
            || ('\u{2028}'..='\u{202e}').contains(&c)
            || ('\u{2066}'..='\u{2069}').contains(&c)
    })
}

/// Attack 55. I-33, I-38: what was typed is in no event, and no event takes more than its line.
#[tokio::test]
async fn log_injection() {
    let world = World::with(|b| b.trusted_devices(30 * DAY, 3)).await;
    let typed =
        "alice\n2027-01-16T08:00:00Z tenant=\"acme\" user=\"root\" {\"event\":\"login_completed\"}";
    for name in [typed, "al\u{202e}ice", "alice\r", "alice\0", "alice user=\"root\""] {
        let _ = world.try_begin(name, PASSWORD).await;
    }
    let challenge = world.begin("alice").await;
    let code = world.last_code().into();
    let label = "laptop\" user=\"root\" {";
    let step = world
        .request()
        .submit_code(&challenge.token, &code, TrustDevice::Named(label))
        .await
        .unwrap();
    let _ = authenticated(step);
    let _ = world
        .flow
        .operator("it said \"}\" user=\"root\"")
        .unwrap()
        .reset(&world.acme, &world.alice)
        .await
        .unwrap();
    // Ids may hold quotes and spaces: they are quoted, so that they stay one field.
    let spoof = UserId::new("u1 user=\"root\"").unwrap();
    let _ = world.flow.operator("test").unwrap().forget(&world.acme, &spoof).await.unwrap();
    let lines: Vec<String> = world.events.all().iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), 9);
    for line in &lines {
        assert!(!breaks_the_line(line) && !line.contains(" user=\"root\""), "{line}");
    }
    // Control.
    assert!(breaks_the_line(&format!("user={typed}")));
}
