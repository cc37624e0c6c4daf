//! A signed-in user types the current password once more, and sets a new one.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::sync::Arc;

use async_trait::async_trait;
use countersign::error::PluginError;
use countersign::event::{EventKind, SecretKind};
use countersign::grant::Staleness;
use countersign::password::{
    Admission, Argon2id, Busy, PasswordAttempt, PasswordCheck, PasswordVerifier,
};
use countersign::user::{PasswordHash, UserStatus};
use countersign::{
    Channel, Denied, Grant, LoginStep, OperationError, Password, Reason, RequestContext,
    RevalidateError,
};

use crate::support::*;

const WRONG: &str = "wrong horse";

async fn check(world: &World, grant: &Grant, password: &str) -> Result<(), Denied> {
    match world.request().check_password(grant, &password.into()).await {
        Ok(()) => Ok(()),
        Err(OperationError::Denied(denied)) => Err(denied),
        Err(OperationError::Failed(error)) => panic!("{error}"),
    }
}

fn wrong_passwords(world: &World) -> u64 {
    world.record(&world.alice)["password"]["failures"]["streak"].as_u64().unwrap_or(0)
}

/// I-16, I-38: wrong passwords of a session and of logins are one row with one lock, in both
/// directions; nothing is compared or charged while it lasts, a right one ends the row, and each
/// answer is one event.
#[tokio::test]
async fn the_current_password_is_counted_and_locked_as_at_a_login() {
    let world = World::new().await;
    let grant = world.sign_in("alice").await.grant;
    for row in 1..=5 {
        let _ = world.try_begin("alice", WRONG).await;
        assert_eq!(wrong_passwords(&world), row);
    }
    for row in 6..=10 {
        world.calls.clear();
        world.events.clear();
        let denied = check(&world, &grant, WRONG).await.unwrap_err();
        assert_eq!(
            (denied.reason(), denied.attempts_left()),
            (Reason::WrongPassword, Some(10 - u32::try_from(row).unwrap()))
        );
        let locked_until = Some(world.now() + MINUTE).filter(|_| row == 10);
        assert_eq!(denied.retry_at(), locked_until);
        assert_eq!(wrong_passwords(&world), row);
        assert_eq!(world.calls.all(), ["find_by_id", "verify", "find_by_id", "load", "commit"]);
        let (login, secret) = (grant.login(), SecretKind::Password);
        let event = world.only_event();
        assert_eq!(
            event.kind,
            EventKind::SecretWrong { login, secret, locked_until, suspended: false }
        );
        assert_eq!(event.user.as_ref(), Some(&world.alice));
    }
    let before = world.row(&world.alice);
    for password in [PASSWORD, WRONG] {
        world.events.clear();
        let denied = check(&world, &grant, password).await.unwrap_err();
        assert_eq!(
            (denied.reason(), denied.retry_at()),
            (Reason::PasswordsLocked, Some(world.now() + MINUTE))
        );
        assert_eq!(
            world.only_event().kind,
            EventKind::AccountRefused { reason: "passwords_locked".into() }
        );
    }
    assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::InvalidCredentials);
    assert_eq!(world.row(&world.alice), before, "nothing is charged while it lasts");
    world.clock.advance(MINUTE);
    world.events.clear();
    assert_eq!(check(&world, &grant, PASSWORD).await, Ok(()));
    assert_eq!(world.only_event().kind, EventKind::PasswordConfirmed { login: grant.login() });
    assert_eq!(wrong_passwords(&world), 0);
}

/// Wrong passwords of a step that all reach the hash before any of them is charged.
#[derive(Clone)]
struct Gathering(Arc<tokio::sync::Barrier>);

#[async_trait]
impl PasswordVerifier for Gathering {
    fn admit(&self) -> Result<Admission, Busy> {
        Ok(Admission::unbounded())
    }

    async fn verify(&self, attempt: &PasswordAttempt<'_>) -> Result<PasswordCheck, PluginError> {
        if attempt.name.is_none() {
            self.0.wait().await;
        }
        PlainPasswords.verify(attempt).await
    }

    async fn hash_password(&self, _: &Password) -> Result<Option<PasswordHash>, PluginError> {
        Ok(None)
    }
}

/// I-09: however many guesses are under way, no more are told wrong than are charged.
#[tokio::test]
async fn no_more_wrong_passwords_are_learned_than_are_charged() {
    let verifier = Gathering(Arc::new(tokio::sync::Barrier::new(14)));
    let world = World::with(|builder| builder.password_verifier(verifier)).await;
    let grant = Arc::new(world.sign_in("alice").await.grant);
    let guesses: Vec<_> = (0..14)
        .map(|_| {
            let (flow, acme, grant) = (world.flow.clone(), world.acme.clone(), Arc::clone(&grant));
            tokio::spawn(async move {
                flow.request(&acme, &RequestContext::new())
                    .check_password(&*grant, &WRONG.into())
                    .await
            })
        })
        .collect();
    let mut learned = 0;
    for guess in guesses {
        match guess.await.unwrap() {
            Err(OperationError::Denied(denied)) if denied.reason() == Reason::WrongPassword => {
                learned += 1;
            }
            Err(OperationError::Denied(denied)) => {
                assert_eq!(denied.reason(), Reason::PasswordsLocked);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((learned, wrong_passwords(&world)), (10, 10));
}

/// I-04, I-25: a session that does not hold, of another tenant, or whose password is changed
/// meanwhile, learns nothing of the password.
#[tokio::test]
async fn a_session_that_does_not_hold_checks_nothing() {
    let world = World::new().await;
    let grant = world.sign_in("alice").await.grant;
    world.calls.clear();
    let password = PASSWORD.into();
    let elsewhere = world.request_for(&world.other).check_password(&grant, &password).await;
    assert!(
        matches!(elsewhere, Err(OperationError::Denied(denied)) if denied.reason() == Reason::SessionStale)
    );
    assert!(world.calls.all().is_empty());
    assert_eq!(world.events.all().last().unwrap().user, None);

    let (users, acme, alice) = (world.users.clone(), world.acme.clone(), world.alice.clone());
    world.calls.before("verify", move || {
        users
            .change(&acme, &alice, |user| {
                user.password_hash = Some(PasswordHash::new("the new one"));
            })
            .unwrap();
    });
    for password in [PASSWORD, WRONG, "the new one"] {
        assert_eq!(
            check(&world, &grant, password).await.unwrap_err().reason(),
            Reason::SessionStale
        );
    }
    world.change(&world.bob, |_| {});
    let bobs = world.sign_in("bob").await.grant;
    world.change(&world.bob, |user| user.status = UserStatus::Disabled);
    assert_eq!(check(&world, &bobs, PASSWORD).await.unwrap_err().reason(), Reason::SessionStale);
    assert_eq!(wrong_passwords(&world), 0, "and nothing is charged");
}

/// I-16: a password that no record knows yet, of a user who needs no code, has its lock all the
/// same.
#[tokio::test]
async fn a_new_password_that_nothing_was_saved_of_is_locked_too() {
    let world = World::off();
    let _ = world.try_begin("alice", WRONG).await;
    let _ = world.sign_in("alice").await;
    world.change(&world.alice, |user| user.password_hash = Some(PasswordHash::new("the new one")));
    let LoginStep::Authenticated(done) = world.try_begin("alice", "the new one").await else {
        panic!()
    };
    for _ in 0..10 {
        assert_eq!(
            check(&world, &done.grant, WRONG).await.unwrap_err().reason(),
            Reason::WrongPassword
        );
    }
    assert_eq!(
        check(&world, &done.grant, "the new one").await.unwrap_err().reason(),
        Reason::PasswordsLocked
    );
}

/// A whole change of password, with the default verifier: the current one is checked, the new one
/// hashed and saved; the sessions of the earlier one are over, and the new one logs in.
#[tokio::test]
async fn a_password_is_changed_with_the_flows_own_verifier() {
    let verifier = Arc::new(Argon2id::builder().max_concurrent(1).queue(0).build().unwrap());
    let first = verifier.hash(&PASSWORD.into()).await.unwrap();
    let world = World::off_with(|builder| builder.password_verifier(Arc::clone(&verifier)));
    world.change(&world.alice, |user| user.password_hash = Some(first.clone()));
    let grant = world.sign_in("alice").await.grant;
    assert_eq!(check(&world, &grant, WRONG).await.unwrap_err().reason(), Reason::WrongPassword);
    assert_eq!(check(&world, &grant, PASSWORD).await, Ok(()));
    let new = Password::new("another horse");
    let hash = world.request().hash_password(&new).await.unwrap();
    assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    world.change(&world.alice, |user| user.password_hash = Some(hash.clone()));
    let stale = world.request().revalidate(&grant, Channel::Web).await.unwrap_err();
    assert!(matches!(stale, RevalidateError::Stale(Staleness::PasswordChanged)), "{stale:?}");
    assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::InvalidCredentials);
    assert!(matches!(world.try_begin("alice", "another horse").await, LoginStep::Authenticated(_)));
}

/// I-40: both have their place in the queue, and are refused unread without one, or with what can't
/// be a password.
#[tokio::test]
async fn a_full_queue_refuses_both_unread() {
    let verifier = Arc::new(Argon2id::builder().max_concurrent(1).queue(0).build().unwrap());
    let world = World::off_with(|builder| builder.password_verifier(PlainPasswords));
    let grant = world.sign_in("alice").await.grant;
    let flow = countersign::LoginFlow::builder(
        world.users.clone(),
        world.factors.clone(),
        world.outbox.clone(),
    )
    .clock(world.clock.clone())
    .events(world.events.clone())
    .password_verifier(Arc::clone(&verifier))
    .build()
    .unwrap();
    let place = verifier.admit().unwrap();
    for (password, code) in [
        (PASSWORD.to_owned(), "busy"),
        (String::new(), "invalid_password"),
        ("x".repeat(4097), "invalid_password"),
    ] {
        let password = Password::new(password);
        world.events.clear();
        let refused = flow
            .request(&world.acme, &RequestContext::new())
            .check_password(&grant, &password)
            .await
            .unwrap_err();
        assert_eq!(refused.denied().unwrap().reason().code(), code);
        let refused = flow
            .request(&world.acme, &RequestContext::new())
            .hash_password(&password)
            .await
            .unwrap_err();
        assert_eq!(refused.denied().unwrap().reason().code(), code);
        let kinds = world.events.kinds();
        assert_eq!(kinds[0], EventKind::AccountRefused { reason: code.into() });
        assert_eq!(kinds[1], EventKind::StepRefused { login: None, reason: code.into() });
        assert_eq!(kinds.len(), 2);
    }
    drop(place);
    assert!(
        flow.request(&world.acme, &RequestContext::new())
            .hash_password(&PASSWORD.into())
            .await
            .is_ok()
    );
    // A verifier whose passwords are kept elsewhere has nothing to hash.
    let elsewhere = Gathering(Arc::new(tokio::sync::Barrier::new(1)));
    let elsewhere = World::off_with(|builder| builder.password_verifier(elsewhere));
    let fault = elsewhere.request().hash_password(&PASSWORD.into()).await.unwrap_err();
    assert!(
        matches!(fault, OperationError::Failed(countersign::Error::PasswordVerifier { .. })),
        "{fault:?}"
    );
}
