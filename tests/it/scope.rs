//! A tenant's one setting: what changing it does to logins, records and other tenants.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::time::Duration;

use crate::support::interject::Interject;
use crate::support::steps::flow_over;
use crate::support::*;
use countersign::contact::Destination;
use countersign::error::Document;
use countersign::event::{Actor, EventKind};
use countersign::grant::Staleness;
use countersign::policy::Exemption;
use countersign::store::{CommitOutcome, FactorStore, Generation};
use countersign::{
    Channel, Error, LoginFlow, LoginStep, Method, Reason, RequestContext, SavedGrant, Scope,
    SecondFactor,
};

async fn generation(world: &World) -> u32 {
    world.factors.settings(&world.acme).await.unwrap().map_or(0, |saved| saved.generation.number())
}

async fn change_scope(flow: LoginFlow, root: SavedGrant, scope: Scope) {
    flow.request(root.tenant(), &RequestContext::new())
        .administration(&root)
        .await
        .unwrap()
        .set_scope(scope)
        .await
        .unwrap();
}

/// Everything that can be saved of alice.
struct StoredRow {
    backup: String,
    device: countersign::DeviceToken,
    under_way: countersign::PendingToken,
    code: String,
    session: countersign::Grant,
}

async fn everything(world: &World) -> StoredRow {
    let backup = world.make_backup_code("alice").await;
    world.choose_sms("alice", "+819012345634").await;
    let session = world.sign_in_and_trust("alice", "laptop").await;
    world.wait_for_the_spacing();
    let under_way = world.begin("alice").await.token;
    let code = world.last_code();
    let _ = world.submit(&under_way, &world.wrong_code()).await;
    StoredRow {
        backup,
        device: session.device_token.unwrap(),
        under_way,
        code,
        session: session.grant,
    }
}

/// Nothing of what was saved is of any use in the tenant as it is now (I-27).
async fn starts_empty(world: &World, saved: &StoredRow) {
    assert_eq!(reason(&world.submit(&saved.under_way, &saved.code).await), Reason::LoginOver);
    assert_eq!(
        reason(&world.submit_backup(&saved.under_way, &saved.backup).await),
        Reason::LoginOver
    );
    world.clock.advance(MINUTE);
    let challenge = challenge(world.begin_with_device("alice", &saved.device).await);
    assert!(matches!(world.outbox.last_code().unwrap().to, Destination::Email(_)));
    assert!(challenge.alternatives.sms.is_none() && !challenge.alternatives.backup_code);
    assert_eq!(challenge.attempts_left, 5);
    assert_eq!(
        reason(&world.submit_backup(&challenge.token, &saved.backup).await),
        Reason::NoBackupCode
    );
    assert_eq!(world.charged_sends(&world.alice), 1);
    assert_eq!(
        world.request().revalidate(&saved.session, Channel::Web).await.unwrap_err().staleness(),
        Some(Staleness::Reset)
    );
}

#[tokio::test]
async fn a_tenant_uses_it_only_after_its_administrator_said_so() {
    let world = World::off();
    let grant = world.root_grant().await;
    let administration = world.request().administration(&grant).await.unwrap();
    assert_eq!(administration.scope().await.unwrap(), Scope::DoNotUse);
    assert!(administration.purge_progress().await.unwrap().is_none());
    assert!(world.factors.settings(&world.acme).await.unwrap().is_none());
    assert_eq!(administration.set_scope(Scope::EntireTenant).await.unwrap(), Scope::DoNotUse);
    let _ = world.begin("alice").await;
    let step = world.begin_in_other("alice", None).await;
    assert!(matches!(step, LoginStep::Authenticated(_)), "the other tenant has its own setting");
}

#[tokio::test]
async fn administrators_only_means_the_built_in_role() {
    let world = World::off();
    world.set_scope(Scope::SystemAdministratorsOnly).await;
    world.change(&world.alice, |user| user.roles = vec!["system_administrator".into()]);
    let done = world.sign_in("alice").await;
    assert_eq!(
        done.grant.second_factor(),
        &SecondFactor::Exempt { exemption: Exemption::NotAdministrator }
    );
    let _ = world.begin("root").await;
    // I-28: the promotion counts at the next login, and for the session that is there.
    world.change(&world.alice, |user| user.system_administrator = true);
    let _ = world.begin("alice").await;
    let stale = world.request().revalidate(&done.grant, Channel::Web).await.unwrap_err();
    assert_eq!(stale.staleness(), Some(Staleness::SecondFactorRequired));
}

/// Changing the scope never touches logins that are not interactive.
#[tokio::test]
async fn other_channels_are_exempt_in_every_scope() {
    let world = World::off();
    for scope in [Scope::EntireTenant, Scope::SystemAdministratorsOnly, Scope::DoNotUse] {
        world.set_scope(scope).await;
        for (channel, exemption) in [
            (Channel::SingleSignOn, Exemption::SingleSignOn),
            (Channel::ExemptApi, Exemption::Api),
            (Channel::ExemptIntegration, Exemption::Integration),
        ] {
            let step = world.begin_as(&world.acme, "root", PASSWORD, channel, None).await.unwrap();
            let grant = authenticated(step).grant;
            assert_eq!(grant.second_factor(), &SecondFactor::Exempt { exemption });
            assert!(world.request().revalidate(&grant, channel).await.is_ok());
        }
        world.clock.advance(MINUTE);
    }
}

/// I-27: after the last generation there is none to begin, and none is begun anew: switching off is
/// refused and changes nothing.
#[tokio::test]
async fn the_last_generation_is_not_followed_by_the_first() {
    let world = World::new().await;
    let before = world.factors.settings(&world.acme).await.unwrap().unwrap();
    let last =
        countersign::store::StoredRow { generation: Generation::new(u32::MAX), ..before.clone() };
    let written =
        world.factors.change_settings(&world.acme, Some(before.version), &last).await.unwrap();
    assert_eq!(written, CommitOutcome::Written);
    let operator = world.flow.operator("T-3").unwrap();
    world.events.clear();
    let refused = operator.set_scope(&world.acme, Scope::DoNotUse).await;
    assert!(matches!(refused, Err(Error::Corrupt(Document::Settings))), "{refused:?}");
    assert_eq!(world.factors.settings(&world.acme).await.unwrap(), Some(last));
    assert_eq!(world.events.kinds(), []);
    let _ = world.begin("alice").await;
    operator.set_scope(&world.acme, Scope::SystemAdministratorsOnly).await.unwrap();
    assert_eq!(generation(&world).await, u32::MAX);
}

/// I-38: one event, about the tenant.
#[tokio::test]
async fn a_change_is_one_event_that_says_by_whom() {
    let world = World::new().await;
    let grant = world.root_grant().await;
    world.events.clear();
    let administration = world.request().administration(&grant).await.unwrap();
    let before = administration.set_scope(Scope::SystemAdministratorsOnly).await.unwrap();
    assert_eq!(before, Scope::EntireTenant);
    let [event] = &world.events.all()[..] else { panic!() };
    let by = Actor::Administrator { user: world.root.clone() };
    let kind = EventKind::ScopeChanged {
        from: Scope::EntireTenant,
        to: Scope::SystemAdministratorsOnly,
        by,
    };
    assert_eq!((&event.kind, &event.user, event.calls_for_revalidation()), (&kind, &None, true));
}

#[tokio::test]
async fn a_scope_that_is_in_force_already_is_left_alone() {
    let world = World::off();
    let grant = world.root_grant().await;
    let administration = world.request().administration(&grant).await.unwrap();
    assert_eq!(administration.set_scope(Scope::DoNotUse).await.unwrap(), Scope::DoNotUse);
    assert!(world.factors.settings(&world.acme).await.unwrap().is_none());

    let world = World::new().await;
    world.set_scope(Scope::DoNotUse).await;
    let saved = world.factors.settings(&world.acme).await.unwrap();
    let grant = world.root_grant().await;
    world.events.clear();
    world.calls.clear();
    world.request().administration(&grant).await.unwrap().set_scope(Scope::DoNotUse).await.unwrap();
    assert_eq!(world.factors.settings(&world.acme).await.unwrap(), saved);
    assert_eq!((generation(&world).await, world.calls.of("change_settings")), (1, 0));
    assert!(world.events.all().is_empty());
}

/// Only switching off clears: the other changes keep what is saved.
#[tokio::test]
async fn changing_between_the_two_scopes_in_use_keeps_what_is_saved() {
    let world = World::new().await;
    world.choose_sms("alice", "+819012345634").await;
    world.set_scope(Scope::SystemAdministratorsOnly).await;
    world.wait_for_the_spacing();
    world.set_scope(Scope::EntireTenant).await;
    assert_eq!(generation(&world).await, 0);
    let _ = world.begin("alice").await;
    assert!(matches!(world.outbox.last_code().unwrap().to, Destination::Sms(_)));
}

/// I-25: a login under way whose second factor is no longer required goes on with its code.
#[tokio::test]
async fn a_login_under_way_goes_on_under_a_milder_scope() {
    let world = World::new().await;
    let challenge = world.begin("alice").await;
    let code = world.last_code();
    world.set_scope(Scope::SystemAdministratorsOnly).await;
    let done = authenticated(world.submit(&challenge.token, &code).await);
    assert_eq!(done.grant.second_factor(), &SecondFactor::Code { method: Method::Email });
}

/// I-28: a first step that was decided under the earlier scope is decided again before anybody is
/// let in.
#[tokio::test]
async fn a_stricter_scope_reaches_a_first_step_that_is_just_being_saved() {
    let mut world = World::off();
    let _ = world.try_begin("alice", "wrong").await;
    let root = world.root_grant().await;
    let store = Interject::over(&world);
    let plain = world.flow.clone();
    world.flow = flow_over(&world, store.clone(), |b| b);
    store.interceptor.once("before commit", move || change_scope(plain, root, Scope::EntireTenant));
    let step = world.try_begin("alice", PASSWORD).await;
    assert!(store.interceptor.is_done() && matches!(step, LoginStep::CodeRequired(_)));
}

/// I-27: at once, for all users of this tenant and no other; before anything was deleted
/// physically.
#[tokio::test]
async fn switching_off_makes_everything_saved_useless_at_once() {
    let world = World::with(|b| b.trusted_devices(30 * DAY, 3)).await;
    let saved = everything(&world).await;
    let root = world.root_grant().await;
    world.request().administration(&root).await.unwrap().set_scope(Scope::DoNotUse).await.unwrap();
    // The point at which the node crashes: the rows are still there.
    assert!(world.factors.record(&world.acme, &world.alice).is_some());
    assert_eq!(world.factors.count(&world.acme, Generation::new(1)).await.unwrap(), 2);
    assert_eq!(reason(&world.submit(&saved.under_way, &saved.code).await), Reason::LoginOver);
    let done = authenticated(world.begin_with_device("alice", &saved.device).await);
    assert_eq!(
        done.grant.second_factor(),
        &SecondFactor::Exempt { exemption: Exemption::ScopeOff }
    );
    let status = world
        .flow
        .operator("look")
        .unwrap()
        .status(&world.acme, &world.alice)
        .await
        .unwrap()
        .unwrap();
    assert!(
        status.phone.is_none() && status.devices.is_empty() && status.backup_code_made_at.is_none()
    );
    // The administrator who switched it off still has a session, and it is one without a second
    // factor.
    assert_eq!(
        world.request().administration(&root).await.unwrap().scope().await.unwrap(),
        Scope::DoNotUse
    );
    // On again, still without a purge: everybody from nothing.
    world.set_scope(Scope::EntireTenant).await;
    assert_eq!(generation(&world).await, 1);
    starts_empty(&world, &saved).await;
    assert_eq!(refusal(world.request().administration(&root).await), Reason::NotFound);
}

#[tokio::test]
async fn switching_on_again_after_a_purge_starts_everybody_from_nothing() {
    let world = World::with(|b| b.trusted_devices(30 * DAY, 3)).await;
    let saved = everything(&world).await;
    world.set_scope(Scope::DoNotUse).await;
    world.flow.purge(&world.acme, 100).await.unwrap();
    assert_eq!(world.factors.records(&world.acme), 0);
    world.set_scope(Scope::EntireTenant).await;
    starts_empty(&world, &saved).await;
}

/// I-04, I-27.
#[tokio::test]
async fn switching_off_leaves_other_tenants_as_they_are() {
    let world = World::new().await;
    world.other_uses_it_too().await;
    let elsewhere = challenge(world.begin_in_other("alice", None).await);
    let code = world.last_code();
    let before = (
        world.factors.record(&world.other, &world.alice),
        world.factors.settings(&world.other).await.unwrap(),
    );
    world.make_backup_code("alice").await;
    world.set_scope(Scope::DoNotUse).await;
    world.flow.purge(&world.acme, 100).await.unwrap();
    let after = (
        world.factors.record(&world.other, &world.alice),
        world.factors.settings(&world.other).await.unwrap(),
    );
    assert_eq!(before, after);
    let typed = code.into();
    let step = world
        .request_for(&world.other)
        .submit_code(&elsewhere.token, &typed, countersign::TrustDevice::No)
        .await;
    let _done = authenticated(step.unwrap());
}

/// I-27: a step that was decided before switching off and is saved after it writes nothing.
#[tokio::test]
async fn no_step_that_races_with_switching_off_writes_under_the_new_generation() {
    let mut world = World::new().await;
    let challenge = world.begin("alice").await;
    let code = world.last_code();
    let before = world.factors.record(&world.acme, &world.alice);
    let root = world.root_grant().await;
    let store = Interject::over(&world);
    let plain = world.flow.clone();
    world.flow = flow_over(&world, store.clone(), |b| b);
    store.interceptor.once("before commit", move || change_scope(plain, root, Scope::DoNotUse));
    assert_eq!(reason(&world.submit(&challenge.token, &code).await), Reason::LoginOver);
    assert!(store.interceptor.is_done());
    assert_eq!(
        world.factors.record(&world.acme, &world.alice),
        before,
        "of the earlier generation, for the purge"
    );
}

/// The same where the record goes in between as well: a first step that found no row.
#[tokio::test]
async fn a_first_step_that_races_with_switching_off_leaves_no_row_behind() {
    let mut world = World::new().await;
    let root = world.root_grant().await;
    let store = Interject::over(&world);
    let (plain, acme) = (world.flow.clone(), world.acme.clone());
    world.flow = flow_over(&world, store.clone(), |b| b);
    store.interceptor.once("before commit", move || async move {
        change_scope(plain.clone(), root, Scope::DoNotUse).await;
        plain.purge(&acme, 100).await.unwrap();
    });
    assert!(matches!(world.try_begin("alice", PASSWORD).await, LoginStep::Authenticated(_)));
    assert!(store.interceptor.is_done());
    assert_eq!(world.factors.records(&world.acme), 0);
}

/// I-42: two administrators at once: the second change is refused, and undoes nothing.
#[tokio::test]
async fn of_two_changes_at_once_one_is_made() {
    let mut world = World::new().await;
    let root = world.root_grant().await;
    let store = Interject::over(&world);
    let (plain, by) = (world.flow.clone(), root.clone());
    world.flow = flow_over(&world, store.clone(), |b| b);
    world.events.clear();
    store
        .interceptor
        .once("before change_settings", move || change_scope(plain, by, Scope::DoNotUse));
    let administration = world.request().administration(&root).await.unwrap();
    let refused = administration.set_scope(Scope::SystemAdministratorsOnly).await;
    assert_eq!(refusal(refused), Reason::SettingsChanged);
    assert_eq!(administration.scope().await.unwrap(), Scope::DoNotUse);
    let names: Vec<_> = world.events.kinds().iter().map(EventKind::name).collect();
    assert_eq!(names, ["scope_changed", "administration_refused"]);
    assert_eq!(generation(&world).await, 1);
}

/// The operator's command says what is to hold, whatever was decided in the meantime, and leaves
/// everything else as it then is.
#[tokio::test]
async fn the_operators_scope_leaves_the_rest_as_it_is() {
    let mut world = World::new().await;
    let store = Interject::over(&world);
    let (plain, acme) = (world.flow.clone(), world.acme.clone());
    world.flow = flow_over(&world, store.clone(), |b| b);
    store.interceptor.once("before change_settings", async move || {
        let operator = plain.operator("T-1").unwrap();
        let shown = operator.settings(&acme).await.unwrap();
        let mut next = shown.settings;
        next.scope = Scope::DoNotUse;
        next.backup_codes = false;
        operator.change_settings(&acme, shown.version, &next).await.unwrap();
    });
    let operator = world.flow.operator("T-2").unwrap();
    let before = operator.set_scope(&world.acme, Scope::SystemAdministratorsOnly).await.unwrap();
    assert_eq!(before, Scope::DoNotUse);
    let now = operator.settings(&world.acme).await.unwrap().settings;
    assert_eq!((now.scope, now.backup_codes), (Scope::SystemAdministratorsOnly, false));
}

/// I-27: each switching off is a generation of its own, and the counters of one don't come back in
/// another.
#[tokio::test]
async fn switching_off_and_on_clears_locks_with_the_rest() {
    let world = World::new().await;
    let _ = world.lock_codes("alice").await;
    for expected in [1, 2, 3] {
        world.clock.advance(Duration::from_secs(60));
        world.set_scope(Scope::DoNotUse).await;
        world.set_scope(Scope::EntireTenant).await;
        assert_eq!(generation(&world).await, expected);
        let _ = world.lock_codes("alice").await;
        assert_eq!(world.saved_wrong_codes(&world.alice), 5);
    }
}
