//! The host's break-glass handle.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod support;

use countersign::{Actor, EventKind, LockState, NoticeKind, Reason, Scope};
use support::steps::refusal;
use support::*;

/// I-38: the reason is in the event.
#[tokio::test]
async fn every_use_is_an_event_with_its_reason() {
    let world = World::new().await;
    world.make_backup_code("alice").await;
    world.events.clear();
    let operator = world.flow.operator("ticket 4711: lost phone").unwrap();
    operator.unlock(&world.acme, &world.alice).await.unwrap();
    operator.reset(&world.acme, &world.alice).await.unwrap();
    assert!(!operator.forget(&world.acme, &world.alice).await.unwrap());
    let by = Actor::Operator { reason: "ticket 4711: lost phone".into() };
    assert_eq!(
        world.events.kinds(),
        [
            EventKind::UserUnlocked { by: by.clone() },
            EventKind::UserReset { by: by.clone() },
            EventKind::UserForgotten { by: by.clone() },
        ]
    );
    for event in world.events.all() {
        assert_eq!((&event.tenant, event.user.as_ref()), (&world.acme, Some(&world.alice)));
        assert!(event.to_string().contains("ticket 4711: lost phone"));
    }
    world.events.clear();
    assert_eq!(refusal(operator.unlock(&world.acme, &user_id("nobody")).await), Reason::NotFound);
    assert_eq!(world.events.kinds(), [EventKind::AdministrationRefused { by, reason: "not_found".into() }]);
}

/// I-33: the reason ends in a log.
#[tokio::test]
async fn a_reason_is_short_and_printable() {
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
    world.lock_codes("root").await;
    world.other_uses_it_too().await;
    let step = world.begin_in_other("root", None).await;
    let elsewhere = challenge(step).token;
    let operator = world.flow.operator("T-1").unwrap();
    assert_eq!(refusal(operator.unlock(&world.acme, &world.root).await), Reason::ResetRequired);
    assert_eq!(operator.status(&world.acme, &world.root).await.unwrap().unwrap().codes, LockState::Suspended);
    world.outbox.clear();
    operator.reset(&world.acme, &world.root).await.unwrap();
    assert!(world.factors.record(&world.acme, &world.root).is_none());
    assert!(matches!(world.outbox.notices()[..], [(_, NoticeKind::Reset)]));
    assert!(world.flow.administration(&world.acme, &world.root_grant().await).await.is_ok());
    // The login under way of the same user id in the other tenant goes on.
    let step = world.flow.submit_code(&world.other, &elsewhere, &"000000".into(), countersign::TrustDevice::No).await;
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
    assert_eq!(world.outbox.notices().len(), 0);
    operator.reset(&world.acme, &world.alice).await.unwrap();
    assert_eq!(world.outbox.notices().len(), 0, "there is nobody to tell");
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
