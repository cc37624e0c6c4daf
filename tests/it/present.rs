//! A first step takes as long as a password hash; what it decides on is the present after it.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use crate::support::*;
use countersign::policy::Exemption;
use countersign::user::{PasswordHash, UserStatus};
use countersign::{Channel, LoginStep, PreverifiedLogin, Reason, Scope, SecondFactor};

/// A world with trusted devices. `world.calls` says what happens while a password is checked.
async fn world() -> World {
    World::with(|builder| builder.trusted_devices(30 * DAY, 3)).await
}

/// I-25, I-30: the device would have let her in.
#[tokio::test]
async fn whoever_is_disabled_during_the_hash_stays_out() {
    let world = world().await;
    let device = world.sign_in_and_trust("alice", "laptop").await.device_token.unwrap();
    let (users, acme, alice) = (world.users.clone(), world.acme.clone(), world.alice.clone());
    world.calls.before("verify", move || {
        users.change(&acme, &alice, |user| user.status = UserStatus::Disabled).unwrap();
    });
    assert_eq!(
        reason(&world.begin_with_device("alice", &device).await),
        Reason::InvalidCredentials
    );
    assert!(world.record(&world.alice)["devices"].is_null());
}

/// I-25: so does whoever is deleted.
#[tokio::test]
async fn whoever_is_deleted_during_the_hash_stays_out() {
    let world = world().await;
    let device = world.sign_in_and_trust("alice", "laptop").await.device_token.unwrap();
    let (users, acme, alice) = (world.users.clone(), world.acme.clone(), world.alice.clone());
    world.calls.before("verify", move || assert!(users.remove(&acme, &alice)));
    assert_eq!(
        reason(&world.begin_with_device("alice", &device).await),
        Reason::InvalidCredentials
    );
}

/// I-25: the password was right when the check began and is not any more.
#[tokio::test]
async fn a_password_that_is_changed_during_the_hash_lets_nobody_in() {
    let world = world().await;
    let device = world.sign_in_and_trust("alice", "laptop").await.device_token.unwrap();
    world.wait_for_the_spacing();
    let (users, acme, alice) = (world.users.clone(), world.acme.clone(), world.alice.clone());
    world.calls.before("verify", move || {
        users
            .change(&acme, &alice, |user| {
                user.password_hash = Some(PasswordHash::new("the new one"));
            })
            .unwrap();
    });
    assert_eq!(
        reason(&world.begin_with_device("alice", &device).await),
        Reason::InvalidCredentials
    );
    assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::InvalidCredentials);
    assert!(matches!(world.try_begin("alice", "the new one").await, LoginStep::CodeRequired(_)));
}

/// I-25: the security stamp stands for a password that the host keeps elsewhere, so its change
/// during the check is a change of the password.
#[tokio::test]
async fn a_security_stamp_that_is_changed_during_the_check_lets_nobody_in() {
    for scope in [Scope::SystemAdministratorsOnly, Scope::EntireTenant] {
        for vouched in [false, true] {
            let world = world().await;
            world.set_scope(scope).await;
            world.clock.advance(DAY);
            world.outbox.clear();
            let (users, acme, alice) =
                (world.users.clone(), world.acme.clone(), world.alice.clone());
            let change = move || {
                users.change(&acme, &alice, |user| user.security_stamp = Some("2".into())).unwrap();
            };
            if vouched {
                // The host has checked it. What is left is the time between the first look at the
                // user and the second.
                let calls = world.calls.clone();
                world.calls.before("find_by_id", move || calls.before("find_by_id", change));
            } else {
                world.calls.before("verify", change);
            }
            let login =
                PreverifiedLogin { user: &world.alice, channel: Channel::Web, device: None };
            let begin = async || {
                if vouched {
                    world.request().begin_with_preverified_password(&login).await.unwrap()
                } else {
                    world.try_begin("alice", PASSWORD).await
                }
            };
            assert_eq!(reason(&begin().await), Reason::InvalidCredentials);
            assert_eq!(world.outbox.attempts(), 0);
            assert!(!matches!(begin().await, LoginStep::Denied(_)), "the next one is in order");
        }
    }
}

/// I-28: a promotion counts from the moment it is made.
#[tokio::test]
async fn whoever_is_promoted_during_the_hash_needs_a_code() {
    let world = world().await;
    world.set_scope(Scope::SystemAdministratorsOnly).await;
    let (users, acme, alice) = (world.users.clone(), world.acme.clone(), world.alice.clone());
    world.calls.before("verify", move || {
        users.change(&acme, &alice, |user| user.system_administrator = true).unwrap();
    });
    assert!(matches!(world.try_begin("alice", PASSWORD).await, LoginStep::CodeRequired(_)));
    let bob = authenticated(world.try_begin("bob", PASSWORD).await);
    assert_eq!(
        bob.grant.second_factor(),
        &SecondFactor::Exempt { exemption: Exemption::NotAdministrator }
    );
}

/// I-13: a stranger who keeps trying while passwords are locked writes nothing, so the owner's own
/// step is never in conflict with it.
#[tokio::test]
async fn trying_while_passwords_are_locked_gets_in_nobodys_way() {
    let world = World::new().await;
    let challenge = world.begin("alice").await;
    for name in ["alice", "nobody"] {
        for _ in 0..10 {
            let _ = world.try_begin(name, "wrong").await;
        }
    }
    let before = world.factors.record(&world.acme, &world.alice);
    world.calls.clear();
    let refused = world.try_begin("alice", "wrong").await;
    let calls = world.calls.all();
    world.calls.clear();
    // I-17: the same calls as for a name that nobody has, and as for a password that is not locked.
    assert_eq!(denied(&refused), denied(&world.try_begin("nobody", "wrong").await));
    assert_eq!(calls, world.calls.all());
    assert_eq!(calls, ["find_by_login", "verify", "find_by_id", "load", "commit"]);
    assert_eq!(world.factors.record(&world.acme, &world.alice), before, "version and all");
    let _ = authenticated(world.submit(&challenge.token, &world.last_code()).await);
}
