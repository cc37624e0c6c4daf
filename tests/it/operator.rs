//! The host's break-glass handle.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use crate::support::operations::{OPERATIONS, operate, stage};
use crate::support::*;
use countersign::event::{Actor, EventKind, ResetOutcome};
use countersign::sender::NoticeKind;
use countersign::status::LockState;
use countersign::{Channel, LoginStep, PreverifiedLogin, Reason, Scope};
use futures_lite::future::block_on;

/// I-38: the reason is in the event.
#[tokio::test]
async fn every_use_is_an_event_with_its_reason() {
    let world = World::new().await;
    world.make_backup_code("alice").await;
    world.events.clear();
    let operator = world.flow.operator("ticket 4711: lost phone").unwrap();
    operator.unlock(&world.acme, &world.alice).await.unwrap();
    let _ = operator.reset(&world.acme, &world.alice).await.unwrap();
    assert!(operator.forget(&world.acme, &world.alice).await.unwrap(), "the time of the reset");
    let by = Actor::Operator { reason: "ticket 4711: lost phone".into() };
    assert_eq!(
        world.events.kinds(),
        [
            EventKind::UserUnlocked { by: by.clone() },
            EventKind::UserReset { by: by.clone(), outcome: ResetOutcome::Refilled },
            EventKind::UserForgotten { by: by.clone() },
        ]
    );
    for event in world.events.all() {
        assert_eq!((&event.tenant, event.user.as_ref()), (&world.acme, Some(&world.alice)));
        assert!(event.to_string().contains("ticket 4711: lost phone"));
    }
    world.events.clear();
    assert_eq!(refusal(operator.unlock(&world.acme, &user_id("nobody")).await), Reason::NotFound);
    assert_eq!(
        world.events.kinds(),
        [EventKind::AdministrationRefused { by, reason: "not_found".into() }]
    );
}

/// I-33: the reason ends in a log.
#[tokio::test]
async fn a_reason_is_short_and_visible() {
    let world = World::off();
    for bad in ["", "two\nlines", "bell\u{7}", "\u{202E}", &"x".repeat(201)] {
        assert!(world.flow.operator(bad).is_err());
    }
    assert!(world.flow.operator(&"x".repeat(200)).is_ok());
}

/// For the tenant whose only administrator is locked out.
#[tokio::test]
async fn it_resets_an_administrator_in_one_tenant_only() {
    let world = World::with(|b| b.suspend_after(5)).await;
    let _ = world.lock_codes("root").await;
    world.other_uses_it_too().await;
    let step = world.begin_in_other("root", None).await;
    let elsewhere = challenge(step).token;
    let operator = world.flow.operator("T-1").unwrap();
    assert_eq!(refusal(operator.unlock(&world.acme, &world.root).await), Reason::ResetRequired);
    assert_eq!(
        operator.status(&world.acme, &world.root).await.unwrap().unwrap().codes,
        LockState::Suspended
    );
    world.outbox.clear();
    let _ = operator.reset(&world.acme, &world.root).await.unwrap();
    assert_eq!(world.saved_of(&world.root), ["notices", "resets"]);
    assert!(matches!(world.told()[..], [(_, NoticeKind::Reset)]));
    assert!(world.request().administration(&world.root_grant().await).await.is_ok());
    // The login under way of the same user id in the other tenant goes on.
    let step = world
        .request_for(&world.other)
        .submit_code(&elsewhere, &"000000".into(), countersign::TrustDevice::No)
        .await;
    assert_eq!(reason(&step.unwrap()), Reason::WrongCode);
}

/// A user whom the application has deleted leaves nothing behind, and nobody is told.
#[tokio::test]
async fn it_forgets_a_user() {
    let world = World::new().await;
    world.make_backup_code("alice").await;
    world.users.remove(&world.acme, &world.alice);
    world.outbox.clear();
    let operator = world.flow.operator("deleted").unwrap();
    assert!(operator.status(&world.acme, &world.alice).await.unwrap().is_none());
    assert!(operator.forget(&world.acme, &world.alice).await.unwrap());
    assert!(world.factors.record(&world.acme, &world.alice).is_none());
    assert!(!operator.forget(&world.acme, &world.alice).await.unwrap());
    assert_eq!(world.told().len(), 0);
    let _ = operator.reset(&world.acme, &world.alice).await.unwrap();
    assert_eq!(world.told().len(), 0, "there is nobody to tell");
    assert_eq!(world.factors.records(&world.acme), 0, "nor to remember a reset of");
}

/// A person is deleted and forgotten while their password is checked, which takes its time: nothing
/// of them is saved after that.
#[tokio::test]
async fn whoever_is_forgotten_while_the_password_is_checked_leaves_nothing() {
    for vouched in [false, true] {
        let world = World::new().await;
        let (flow, users) = (world.flow.clone(), world.users.clone());
        let (acme, alice) = (world.acme.clone(), world.alice.clone());
        let forget = move || {
            users.remove(&acme, &alice);
            let operator = flow.operator("deleted").unwrap();
            assert!(!block_on(operator.forget(&acme, &alice)).unwrap(), "nothing was saved yet");
        };
        let step = if vouched {
            // Between the first look at the user and the second.
            let calls = world.calls.clone();
            world.calls.before("find_by_id", move || calls.before("find_by_id", forget));
            let (tenant, user) = (&world.acme, &world.alice);
            let login = PreverifiedLogin { user, channel: Channel::Web, device: None };
            world.request_for(tenant).begin_with_preverified_password(&login).await.unwrap()
        } else {
            world.calls.before("verify", forget);
            world.try_begin("alice", PASSWORD).await
        };
        assert_eq!(reason(&step), Reason::InvalidCredentials);
        assert!(world.factors.record(&world.acme, &world.alice).is_none());
        // The attempt counts where those with unknown names count.
        assert_eq!(world.factors.records(&world.acme), 1);
        assert_eq!(world.outbox.attempts(), 0);
    }
}

/// Nor does anything that they, or somebody with their session, token or device, can still ask for
/// after that.
#[tokio::test]
async fn nothing_that_is_asked_for_a_forgotten_person_saves_anything_of_them() {
    for (number, (name, _)) in OPERATIONS.iter().enumerate() {
        let stage = stage().await;
        if *name == "revoke a device" {
            // The page that it takes is refused to them: "account overview".
            continue;
        }
        let world = &stage.world;
        world.users.remove(&world.acme, &world.alice);
        assert!(
            world
                .flow
                .operator("deleted")
                .unwrap()
                .forget(&world.acme, &world.alice)
                .await
                .unwrap()
        );
        let _ = operate(&stage, number).await;
        assert!(world.factors.record(&world.acme, &world.alice).is_none(), "{name}");
    }
}

/// The moment that is left lies between the last look at a person and the write: what it saves lets
/// nobody in, and is gone when `forget` is called again after the longest login, as its
/// documentation says.
#[tokio::test]
async fn what_a_first_step_saves_of_somebody_just_forgotten_lets_nobody_in() {
    let world = World::new().await;
    let (flow, users) = (world.flow.clone(), world.users.clone());
    let (acme, alice) = (world.acme.clone(), world.alice.clone());
    world.calls.before("commit", move || {
        users.remove(&acme, &alice);
        assert!(!block_on(flow.operator("deleted").unwrap().forget(&acme, &alice)).unwrap());
    });
    let challenge = challenge(world.try_begin("alice", PASSWORD).await);
    assert!(world.factors.record(&world.acme, &world.alice).is_some());
    let step = world.submit(&challenge.token, &world.last_code()).await;
    assert!(matches!(step, LoginStep::Denied(_)), "{step:?}");
    let again = world.try_begin("alice", PASSWORD).await;
    assert_eq!(reason(&again), Reason::InvalidCredentials);
    world.clock.advance(DAY);
    assert!(
        world.flow.operator("deleted").unwrap().forget(&world.acme, &world.alice).await.unwrap()
    );
    let _ = world.try_begin("alice", PASSWORD).await;
    let _ = world.submit(&challenge.token, "000000").await;
    assert!(world.factors.record(&world.acme, &world.alice).is_none());
}

/// What it says of a tenant is what is saved for that tenant.
#[tokio::test]
async fn it_says_and_changes_who_needs_the_second_factor() {
    let world = World::new().await;
    let operator = world.flow.operator("T-2").unwrap();
    for scope in [Scope::SystemAdministratorsOnly, Scope::EntireTenant] {
        operator.set_scope(&world.acme, scope).await.unwrap();
        assert_eq!(operator.scope(&world.acme).await.unwrap(), scope);
    }
    assert_eq!(operator.scope(&world.other).await.unwrap(), Scope::DoNotUse);
}
