//! Tenants that must be set up before anybody of them comes in, and how they are set up.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use crate::support::entries::{Came, Hands, all_came, state};
use crate::support::*;
use countersign::event::{Actor, EventKind};
use countersign::policy::Exemption;
use countersign::store::{CommitOutcome, ExpectedVersions, FactorStore};
use countersign::user::UserStatus;
use countersign::{
    Channel, Error, LoginFlowBuilder, LoginStep, PreverifiedLogin, Reason, RequestContext, Scope,
    SecondFactor, TenantId,
};
use futures_lite::future::block_on;

fn known(builder: LoginFlowBuilder) -> LoginFlowBuilder {
    builder.trusted_devices(30 * DAY, 3).require_known_tenants()
}

async fn begin(
    world: &World,
    tenant: &TenantId,
    name: &str,
    password: &str,
) -> Result<LoginStep, Error> {
    world.begin_as(tenant, name, password, Channel::Web, None).await
}

/// `acme` uses the second factor and is known; `other` has the same users and no settings.
async fn stage() -> (World, Hands) {
    let mut world = World::with(|b| b.trusted_devices(30 * DAY, 3)).await;
    let hands = Hands::full(&world).await;
    world.restarted(known);
    world.calls.clear();
    world.events.clear();
    (world, hands)
}

/// I-23: every entry point that reads the settings of a tenant that has none says so, and does
/// nothing.
#[tokio::test]
async fn a_tenant_without_settings_is_an_error_at_every_entry_point() {
    let (world, hands) = stage().await;
    // Records that a flow without the option has left there: those of acme, to have something to
    // lose.
    for user in [&world.root, &world.alice] {
        let row = world.row(user).unwrap();
        let nothing = ExpectedVersions { settings: None, record: None };
        assert_eq!(
            world.factors.commit(&world.other, user, &nothing, &row).await.unwrap(),
            CommitOutcome::Written
        );
    }
    let before = state(&world, &world.other).await;
    let theirs = hands.in_tenant(&world.other);
    let mut answers = theirs.by_name(&world, &world.other, "alice").await;
    answers.extend(theirs.by_id(&world, &world.other, &world.alice).await);
    answers.extend(theirs.by_session(&world, &world.other).await);
    answers.extend(theirs.operator_over(&world, &world.other, &world.alice).await);
    answers.extend(theirs.operator_over(&world, &world.other, &user_id("nobody")).await);
    answers.extend(theirs.over_a_tenant(&world, &world.other).await);
    answers.push(("administration", theirs.administration(&world, &world.other).await));
    assert_eq!(answers.len(), 7 + 10 + 11 + 4 + 4 + 4 + 1);
    all_came(&answers, &[Came::UnknownTenant], "other");
    assert_eq!(state(&world, &world.other).await, before);
    assert_eq!(world.events.all(), [], "a fault is the host's to log, as every other");
    for write in ["commit", "change_settings", "remove", "remove_if", "purge"] {
        assert_eq!(world.calls.of(write), 0, "{write}");
    }
    // What reads no settings works: forgetting a user.
    let operator = world.flow.operator("deleted").unwrap();
    assert!(operator.forget(&world.other, &world.alice).await.unwrap());
    assert!(!operator.forget(&tenant("gone"), &world.alice).await.unwrap());
    assert!(world.request_for(&world.other).hash_password(&"new password".into()).await.is_ok());
    // Control: the same without the option.
    let mut world = world;
    world.restarted(|b| b.trusted_devices(30 * DAY, 3));
    let step = begin(&world, &world.other, "bob", PASSWORD).await.unwrap();
    assert_eq!(
        authenticated(step).grant.second_factor(),
        &SecondFactor::Exempt { exemption: Exemption::ScopeOff }
    );
}

/// The text of the error has nothing in it, and what is refused before anything is read is refused
/// as ever.
#[tokio::test]
async fn malformed_input_is_refused_as_ever() {
    let (world, _) = stage().await;
    assert_eq!(Error::UnknownTenant.to_string(), "no settings are saved for this tenant");
    let other = &world.other;
    assert!(matches!(begin(&world, other, "", PASSWORD).await, Ok(LoginStep::Denied(_))));
    assert!(matches!(begin(&world, other, "alice", "").await, Ok(LoginStep::Denied(_))));
    let step = world
        .request_for(other)
        .submit_code(&"x".into(), &"123456".into(), countersign::TrustDevice::No)
        .await;
    assert_eq!(reason(&step.unwrap()), Reason::LoginOver);
    assert!(world.request_for(other).cancel(&"x".into()).await.is_ok());
    assert_eq!(world.calls.all(), Vec::<&str>::new());
}

/// I-17: the same error after the same one call for every name, before anybody is looked up or
/// hashed for. In a tenant that is known the calls are the same for every name too.
#[tokio::test]
async fn an_unknown_tenant_says_nothing_of_names() {
    let (world, _) = stage().await;
    for tenant in [&world.acme, &world.other] {
        world.users.change(tenant, &world.bob, |user| user.status = UserStatus::Disabled).unwrap();
    }
    let names = [("alice", PASSWORD), ("alice", "wrong"), ("bob", PASSWORD), ("nobody", PASSWORD)];
    for (name, password) in names {
        let step = begin(&world, &world.other, name, password).await;
        assert!(matches!(step, Err(Error::UnknownTenant)), "{name}");
        assert_eq!(world.calls.take_sorted(), ["settings"], "{name}");
    }
    for (name, password) in names {
        let _ = begin(&world, &world.acme, name, password).await.unwrap();
        let calls = ["commit", "find_by_id", "find_by_login", "load", "settings", "verify"];
        assert_eq!(world.calls.take_sorted(), calls, "{name}");
    }
    let user = &world.alice;
    let login = PreverifiedLogin { user, channel: Channel::SingleSignOn, device: None };
    let _ = world.request().begin_with_preverified_password(&login).await.unwrap();
    assert_eq!(world.calls.of("settings"), 0, "no other step reads more than it did");
}

/// The operator's first settings say what held without any: one event, no generation begun, nothing
/// deleted or ended.
#[tokio::test]
async fn the_operator_sets_a_tenant_up() {
    for option in [false, true] {
        let mut world = World::off();
        // What is saved of a tenant that has no settings stays: a wrong password here, and a
        // session.
        let _ = world.try_begin("alice", "wrong").await;
        let session = world.sign_in("bob").await.grant;
        let rows = (world.row(&world.alice), world.row(&world.bob));
        assert!(rows.0.is_some());
        if option {
            world.restarted(known);
        }
        world.events.clear();
        world.calls.clear();
        let operator = world.flow.operator("T-1").unwrap();
        assert_eq!(
            operator.set_scope(&world.acme, Scope::DoNotUse).await.unwrap(),
            Scope::DoNotUse
        );
        assert_eq!(world.calls.all(), ["settings", "change_settings"]);
        let saved = world.factors.settings(&world.acme).await.unwrap().unwrap();
        assert_eq!(saved.generation.number(), 0);
        assert_eq!(saved.document, r#"{"format":1,"scope":"do_not_use"}"#);
        let event = world.only_event();
        assert_eq!((&event.tenant, &event.user), (&world.acme, &None));
        assert_eq!(
            event.kind,
            EventKind::TenantSetUp { by: Actor::Operator { reason: "T-1".into() } }
        );
        assert!(!event.calls_for_revalidation());
        assert_eq!(operator.scope(&world.acme).await.unwrap(), Scope::DoNotUse);
        assert!(
            operator.purge_progress(&world.acme).await.unwrap().is_none(),
            "it never switched off"
        );
        assert_eq!((world.row(&world.alice), world.row(&world.bob)), rows);
        assert!(world.request().revalidate(&session, Channel::Web).await.is_ok());
        assert_eq!(world.record(&world.alice)["password"]["failures"]["streak"], 1);
        assert_eq!(
            world.sign_in("bob").await.grant.second_factor(),
            &SecondFactor::Exempt { exemption: Exemption::ScopeOff }
        );
        // Once more: in force already.
        world.events.clear();
        world.calls.clear();
        operator.set_scope(&world.acme, Scope::DoNotUse).await.unwrap();
        assert_eq!((world.calls.all(), world.events.all()), (vec!["settings"], vec![]));
        assert_eq!(world.factors.settings(&world.acme).await.unwrap(), Some(saved));
        // The first settings of another tenant ask everybody: a change of scope, as ever.
        operator.set_scope(&world.other, Scope::EntireTenant).await.unwrap();
        let (from, to, by) =
            (Scope::DoNotUse, Scope::EntireTenant, Actor::Operator { reason: "T-1".into() });
        assert_eq!(world.only_event().kind, EventKind::ScopeChanged { from, to, by });
        let step = begin(&world, &world.other, "alice", PASSWORD).await.unwrap();
        assert!(matches!(step, LoginStep::CodeRequired(_)));
    }
}

/// I-27: two operators at the same moment are one set-up, and a step under way decides once more.
#[tokio::test]
async fn a_set_up_that_meets_another_is_made_once() {
    let world = World::off_with(known);
    let (flow, acme) = (world.flow.clone(), world.acme.clone());
    world.calls.before("change_settings", move || {
        block_on(flow.operator("T-1").unwrap().set_scope(&acme, Scope::DoNotUse)).unwrap();
    });
    world.flow.operator("T-2").unwrap().set_scope(&world.acme, Scope::DoNotUse).await.unwrap();
    assert_eq!(
        world.only_event().kind,
        EventKind::TenantSetUp { by: Actor::Operator { reason: "T-1".into() } }
    );

    let world = World::off();
    let (flow, acme) = (world.flow.clone(), world.acme.clone());
    world.calls.before("commit", move || {
        block_on(flow.operator("T-1").unwrap().set_scope(&acme, Scope::DoNotUse)).unwrap();
    });
    assert_eq!(reason(&world.try_begin("alice", "wrong").await), Reason::InvalidCredentials);
    assert_eq!(world.calls.of("commit"), 2);
    assert_eq!(world.record(&world.alice)["password"]["failures"]["streak"], 1, "charged once");
}

/// A tenant that switches off keeps its settings, whoever switches it off and whatever is deleted
/// afterwards.
#[tokio::test]
async fn a_tenant_that_switched_off_stays_known() {
    for by_operator in [false, true] {
        let (world, hands) = stage().await;
        let operator = world.flow.operator("T-1").unwrap();
        if by_operator {
            operator.set_scope(&world.acme, Scope::DoNotUse).await.unwrap();
        } else {
            world.set_scope(Scope::DoNotUse).await;
        }
        while world.flow.purge(&world.acme, 1).await.unwrap().unwrap().finished_at.is_none() {}
        for user in [&world.root, &world.alice, &world.bob] {
            operator.forget(&world.acme, user).await.unwrap();
        }
        let _ = world.flow.sweep(&world.acme, None, 100).await.unwrap();
        assert_eq!(world.factors.records(&world.acme), 0);
        let done = world.sign_in("alice").await;
        assert_eq!(
            done.grant.second_factor(),
            &SecondFactor::Exempt { exemption: Exemption::ScopeOff }
        );
        assert!(world.request().revalidate(&done.grant, Channel::Web).await.is_ok());
        assert_eq!(hands.administration(&world, &world.acme).await, Came::Done);
        world.set_scope(Scope::EntireTenant).await;
        let _ = world.begin("alice").await;
    }
}

/// I-34: only the operator sets a tenant up. Not its administrator with a session from before the
/// option, and, where tenants need not be known, not by asking for what holds already.
#[tokio::test]
async fn an_administrator_sets_no_tenant_up() {
    let mut world = World::off();
    let root = world.root_grant().await;
    let administration = world.request().administration(&root).await.unwrap();
    administration.set_scope(Scope::DoNotUse).await.unwrap();
    assert!(world.factors.settings(&world.acme).await.unwrap().is_none());
    let (plain, session) = (world.flow.clone(), root.clone());
    world.restarted(known);
    world.events.clear();
    assert!(matches!(
        world.request().administration(&root).await,
        Err(countersign::OperationError::Failed(Error::UnknownTenant))
    ));
    assert!(world.factors.settings(&world.acme).await.unwrap().is_none());
    assert_eq!(world.events.all(), []);
    // Control: the same session without the option.
    plain
        .request(&world.acme, &RequestContext::new())
        .administration(&session)
        .await
        .unwrap()
        .set_scope(Scope::EntireTenant)
        .await
        .unwrap();
    assert!(world.factors.settings(&world.acme).await.unwrap().is_some());
}

/// SECURITY.md, "An empty store": lost, or replaced by an empty one, it lets nobody in.
#[tokio::test]
async fn an_empty_store_lets_nobody_in() {
    for (option, name) in [(false, "alice"), (true, "alice"), (true, "root")] {
        let mut world = World::new().await;
        let empty = countersign::memory::MemoryFactors::new();
        world.rewire(world.users.clone(), empty, world.outbox.clone(), |b| {
            if option { known(b) } else { b }
        });
        let step = begin(&world, &world.acme, name, PASSWORD).await;
        if option {
            assert!(matches!(step, Err(Error::UnknownTenant)));
        } else {
            assert!(matches!(step, Ok(LoginStep::Authenticated(_))), "control");
        }
    }
}
