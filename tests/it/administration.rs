//! The administrator's page: who may use it, and what a reset and an unlocking do.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unchecked_time_subtraction
)]

use std::time::Duration;

use crate::support::interject::Interject;
use crate::support::steps::flow_over;
use crate::support::*;
use countersign::contact::Destination;
use countersign::event::{Actor, EventKind, ResetOutcome};
use countersign::grant::Staleness;
use countersign::sender::NoticeKind;
use countersign::status::LockState;
use countersign::user::UserStatus;
use countersign::{Channel, LoginFlow, Reason, RequestContext, SavedGrant, Scope, TenantId};

const WRONG: &str = "0000-0000-0000-0000-0000-0000";

/// What every request of somebody without the right comes to, for every operation (I-34).
async fn is_shut_out(world: &World, grant: &SavedGrant) {
    world.calls.clear();
    world.events.clear();
    assert_eq!(
        refusal(
            world.flow.request(grant.tenant(), &RequestContext::new()).administration(grant).await
        ),
        Reason::NotFound
    );
    for write in ["commit", "change_settings", "remove", "purge"] {
        assert_eq!(world.calls.of(write), 0, "{write}");
    }
    let [EventKind::AdministrationRefused { by: Actor::Administrator { user }, reason }] =
        &world.events.kinds()[..]
    else {
        panic!("one event")
    };
    assert_eq!((user, reason.as_ref()), (grant.user(), "not_found"));
}

/// A grant as a tampered session would hold it.
fn altered(grant: &SavedGrant, field: &str, value: serde_json::Value) -> SavedGrant {
    let mut json = serde_json::to_value(grant).unwrap();
    json[field] = value;
    serde_json::from_value(json).unwrap()
}

#[tokio::test]
async fn only_the_built_in_system_administrator_gets_in() {
    let world = World::new().await;
    world
        .change(&world.bob, |user| user.roles = vec!["system_administrator".into(), "root".into()]);
    for name in ["alice", "bob"] {
        is_shut_out(&world, &world.sign_in(name).await.grant).await;
    }
    let grant = world.root_grant().await;
    let administration = world.request().administration(&grant).await.unwrap();
    assert_eq!(
        (administration.tenant(), administration.scope().await.unwrap()),
        (&world.acme, Scope::EntireTenant)
    );
}

/// I-25: the acting user is looked at anew at each call, not only when the page is opened.
#[tokio::test]
async fn the_right_is_asked_for_again_at_each_call() {
    let world = World::new().await;
    let grant = world.root_grant().await;
    let administration = world.request().administration(&grant).await.unwrap();
    world.make_backup_code("alice").await;
    world.change(&world.root, |user| user.system_administrator = false);
    let before = world.factors.record(&world.acme, &world.alice);
    assert_eq!(refusal(administration.scope().await), Reason::NotFound);
    assert_eq!(refusal(administration.set_scope(Scope::DoNotUse).await), Reason::NotFound);
    assert_eq!(refusal(administration.reset(&world.alice).await), Reason::NotFound);
    assert_eq!(refusal(administration.unlock(&world.alice).await), Reason::NotFound);
    assert_eq!(refusal(administration.status(&world.alice).await), Reason::NotFound);
    assert_eq!(refusal(administration.purge_progress().await), Reason::NotFound);
    assert_eq!(refusal(administration.saved_users().await), Reason::NotFound);
    assert_eq!(world.factors.record(&world.acme, &world.alice), before);
    is_shut_out(&world, &grant).await;
}

#[tokio::test]
async fn a_disabled_or_deleted_administrator_is_shut_out() {
    let world = World::new().await;
    let grant = world.root_grant().await;
    world.change(&world.root, |user| user.status = UserStatus::Disabled);
    is_shut_out(&world, &grant).await;
    world.change(&world.root, |user| user.status = UserStatus::Active);
    assert!(world.request().administration(&grant).await.is_ok());
    world.users.remove(&world.acme, &world.root);
    is_shut_out(&world, &grant).await;
}

/// I-25: a grant that no longer holds gives no right.
#[tokio::test]
async fn a_stale_grant_is_shut_out() {
    let world = World::new().await;
    let grant = world.root_grant().await;
    world.change(&world.root, |user| user.security_stamp = Some("2".into()));
    is_shut_out(&world, &grant).await;

    world.wait_for_the_spacing();
    let grant = world.root_grant().await;
    let _ = world.flow.operator("T-1").unwrap().reset(&world.acme, &world.root).await.unwrap();
    is_shut_out(&world, &grant).await;

    let grant = world.root_grant().await;
    world.clock.set(grant.at() - Duration::from_secs(31));
    is_shut_out(&world, &grant).await;
}

/// I-34: where the policy requires it, the acting user's own second factor must have been there. A
/// session by API has none, ever.
#[tokio::test]
async fn a_grant_without_a_second_factor_is_shut_out_where_the_policy_requires_one() {
    let world = World::off();
    let exempt = world.root_grant().await;
    let administration = world.request().administration(&exempt).await.unwrap();
    assert_eq!(
        administration.set_scope(Scope::SystemAdministratorsOnly).await.unwrap(),
        Scope::DoNotUse
    );
    is_shut_out(&world, &exempt).await;
    for channel in [Channel::ExemptApi, Channel::SingleSignOn, Channel::ExemptIntegration] {
        let step = world.begin_as(&world.acme, "root", PASSWORD, channel, None).await.unwrap();
        is_shut_out(&world, &authenticated(step).grant).await;
    }
    assert!(world.request().administration(&world.root_grant().await).await.is_ok());
}

/// I-04, I-34, I-38: an administrator of one tenant has no way to another, not even with a grant
/// that names it.
#[tokio::test]
async fn another_tenants_administrator_is_shut_out() {
    let world = World::new().await;
    world.make_backup_code("alice").await;
    let elsewhere = authenticated(
        world.begin_as(&world.other, "root", PASSWORD, Channel::Web, None).await.unwrap(),
    );
    // In the tenant that it is no grant of, it opens nothing, and the event names nobody of that
    // tenant.
    world.events.clear();
    assert_eq!(refusal(world.request().administration(&elsewhere.grant).await), Reason::NotFound);
    let by = Actor::OtherTenant { tenant: world.other.clone(), user: world.root.clone() };
    assert_eq!(
        world.events.kinds(),
        [EventKind::AdministrationRefused { by, reason: "not_found".into() }]
    );
    let administration =
        world.request_for(&world.other).administration(&elsewhere.grant).await.unwrap();
    let (acmes, acme) = (world.factors.record(&world.acme, &world.alice), world.acme.clone());
    administration.set_scope(Scope::EntireTenant).await.unwrap();
    let step = world.begin_as(&world.other, "root", PASSWORD, Channel::Web, None).await.unwrap();
    let typed = world.last_code().into();
    let token = challenge(step).token;
    let step = world
        .request_for(&world.other)
        .submit_code(&token, &typed, countersign::TrustDevice::No)
        .await
        .unwrap();
    let grant = authenticated(step).grant;
    let administration = world.request_for(&world.other).administration(&grant).await.unwrap();
    // The same user ids exist in both tenants.
    let _ = administration.reset(&world.alice).await.unwrap();
    administration.unlock(&world.alice).await.unwrap();
    assert_eq!(world.factors.record(&acme, &world.alice), acmes);
    assert_eq!(world.factors.settings_scope(&acme).await, "entire_tenant");
    let forged = altered(&grant, "tenant", "acme".into());
    is_shut_out(&world, &forged).await;
    is_shut_out(&world, &altered(&grant, "user", "alice".into())).await;
}

#[tokio::test]
async fn nobody_resets_or_unlocks_their_own_account() {
    let world = World::new().await;
    let grant = world.root_grant().await;
    let before = world.factors.record(&world.acme, &world.root);
    let administration = world.request().administration(&grant).await.unwrap();
    assert_eq!(refusal(administration.reset(&world.root).await), Reason::OwnAccount);
    assert_eq!(refusal(administration.unlock(&world.root).await), Reason::OwnAccount);
    assert_eq!(world.factors.record(&world.acme, &world.root), before);
    assert!(administration.status(&world.root).await.is_ok());
}

/// I-34: a user of another tenant, or nobody.
#[tokio::test]
async fn a_user_who_is_not_of_the_tenant_is_not_found() {
    let world = World::new().await;
    let grant = world.root_grant().await;
    Person::named("carol").join(&world.users, &world.other).unwrap();
    let administration = world.request().administration(&grant).await.unwrap();
    for nobody in ["carol", "nobody"] {
        let nobody = user_id(nobody);
        world.events.clear();
        world.calls.clear();
        assert_eq!(refusal(administration.reset(&nobody).await), Reason::NotFound);
        assert_eq!(refusal(administration.unlock(&nobody).await), Reason::NotFound);
        assert_eq!(refusal(administration.status(&nobody).await), Reason::NotFound);
        assert_eq!((world.calls.of("remove"), world.calls.of("commit")), (0, 0));
        assert_eq!(world.events.all().len(), 3);
        assert!(world.events.all().iter().all(|event| event.user.is_none()));
    }
}

/// I-26: method, number, backup code, devices, counters and logins under way, together.
#[tokio::test]
async fn a_reset_clears_everything_and_tells_the_user() {
    let world = World::with(|b| b.trusted_devices(30 * DAY, 3)).await;
    let backup = world.make_backup_code("alice").await;
    world.choose_sms("alice", "+819012345634").await;
    let session = world.sign_in_and_trust("alice", "laptop").await;
    world.wait_for_the_spacing();
    let under_way = world.begin("alice").await;
    let code = world.last_code();
    let _ = world.submit(&under_way.token, &world.wrong_code()).await;
    let _ = world.submit_backup(&under_way.token, WRONG).await;
    let grant = world.root_grant().await;
    world.outbox.clear();
    world.events.clear();
    let _ =
        world.request().administration(&grant).await.unwrap().reset(&world.alice).await.unwrap();

    assert_eq!(world.saved_of(&world.alice), ["notices", "resets"]);
    let [event] = &world.events.all()[..] else { panic!() };
    assert_eq!(
        event.kind,
        EventKind::UserReset {
            by: Actor::Administrator { user: world.root.clone() },
            outcome: ResetOutcome::Refilled
        }
    );
    assert!(event.calls_for_revalidation());
    assert_eq!(event.user.as_ref(), Some(&world.alice));
    let told = world.told();
    let [(Destination::Email(_), NoticeKind::Reset), (Destination::Sms(_), NoticeKind::Reset)] =
        &told[..]
    else {
        panic!()
    };
    // The logins under way and the sessions are over.
    assert_eq!(reason(&world.submit(&under_way.token, &code).await), Reason::LoginOver);
    assert_eq!(reason(&world.submit_backup(&under_way.token, &backup).await), Reason::LoginOver);
    assert_eq!(
        world.request().revalidate(&session.grant, Channel::Web).await.unwrap_err().staleness(),
        Some(Staleness::Reset)
    );
    // The user starts from nothing: by email, with all guesses and sends.
    let LoginStepCode { challenge, to } = begin_with(&world, &session.device_token.unwrap()).await;
    assert!(matches!(to, Destination::Email(_)));
    assert_eq!((challenge.attempts_left, challenge.alternatives.backup_code), (5, false));
    assert!(challenge.alternatives.sms.is_none());
    assert_eq!(world.charged_sends(&world.alice), 1);
}

struct LoginStepCode {
    challenge: Box<countersign::Challenge>,
    to: Destination,
}

async fn begin_with(world: &World, device: &countersign::DeviceToken) -> LoginStepCode {
    let challenge = challenge(world.begin_with_device("alice", device).await);
    LoginStepCode { challenge, to: world.outbox.last_code().unwrap().to }
}

/// I-26: whoever decided on what was there before the reset writes nothing of it back.
#[tokio::test]
async fn a_step_that_races_with_a_reset_resurrects_nothing() {
    for begun_before in [true, false] {
        let mut world = World::new().await;
        let backup = world.make_backup_code("alice").await;
        let store = Interject::over(&world);
        let plain = world.flow.clone();
        world.flow = flow_over(&world, store.clone(), |b| b);
        let challenge = world.begin("alice").await;
        let code = world.last_code();
        let root = world.root_grant().await;
        let alice = world.alice.clone();
        store.interceptor.once("before commit", move || reset_as(plain, root, alice));
        if begun_before {
            assert_eq!(reason(&world.submit(&challenge.token, &code).await), Reason::LoginOver);
            assert!(store.interceptor.is_done());
            assert_eq!(world.saved_of(&world.alice), ["notices", "resets"]);
        } else {
            // A first step decides again: it begins a new login in the new record.
            world.clock.advance(MINUTE);
            let challenge = world.begin("alice").await;
            assert!(!challenge.alternatives.backup_code);
            assert_eq!(world.charged_sends(&world.alice), 1);
            assert_eq!(
                reason(&world.submit_backup(&challenge.token, &backup).await),
                Reason::NoBackupCode
            );
        }
    }
}

async fn reset_as(flow: LoginFlow, root: SavedGrant, user: countersign::UserId) {
    let _ = flow
        .request(root.tenant(), &RequestContext::new())
        .administration(&root)
        .await
        .unwrap()
        .reset(&user)
        .await
        .unwrap();
}

/// The same for a change on the account page.
#[tokio::test]
async fn an_account_change_that_races_with_a_reset_is_refused() {
    let mut world = World::new().await;
    let grant = world.sign_in("alice").await.grant;
    let root = world.root_grant().await;
    let store = Interject::over(&world);
    let (plain, alice) = (world.flow.clone(), world.alice.clone());
    world.flow = flow_over(&world, store.clone(), |b| b);
    store.interceptor.once("before commit", move || reset_as(plain, root, alice));
    assert_eq!(
        refusal(world.request().account(&grant).new_backup_code().await),
        Reason::SessionStale
    );
    assert_eq!(world.saved_of(&world.alice), ["notices", "resets"]);
}

/// I-10: an unlocking lifts what time would lift, and leaves the counters.
#[tokio::test]
async fn unlocking_lifts_locks_and_leaves_the_counters() {
    let world = World::new().await;
    let backup = world.make_backup_code("alice").await;
    let challenge = world.lock_codes("alice").await;
    for _ in 0..5 {
        let _ = world.submit_backup(&challenge.token, WRONG).await;
    }
    for _ in 0..10 {
        let _ = world.try_begin("alice", "wrong").await;
    }
    let grant = world.root_grant().await;
    let administration = world.request().administration(&grant).await.unwrap();
    let status = administration.status(&world.alice).await.unwrap();
    for lock in [status.codes, status.passwords] {
        assert!(matches!(lock, LockState::LockedUntil { .. }));
    }
    world.events.clear();
    administration.unlock(&world.alice).await.unwrap();
    assert_eq!(
        world.events.kinds(),
        [EventKind::UserUnlocked { by: Actor::Administrator { user: world.root.clone() } }]
    );
    let status = administration.status(&world.alice).await.unwrap();
    assert_eq!((status.codes, status.passwords), (LockState::Open, LockState::Open));
    assert_eq!(world.saved_wrong_codes(&world.alice), 5);
    assert_eq!(world.record(&world.alice)["password"]["failures"]["streak"], 10);
    // The next lock is the second one, and lasts twice as long.
    world.wait_for_the_spacing();
    let challenge = world.lock_codes("alice").await;
    let now = countersign::clock::Clock::now(&world.clock).unwrap();
    let refused = denied(&world.submit(&challenge.token, "123456").await);
    assert_eq!(
        (refused.reason(), refused.retry_at()),
        (Reason::CodesLocked, Some(now + 30 * MINUTE))
    );
    let _done = authenticated(world.submit_backup(&challenge.token, &backup).await);
    // Unlocking whoever is not locked is no refusal and no write of a record for nothing.
    assert!(administration.unlock(&world.bob).await.is_ok());
    assert!(world.factors.record(&world.acme, &world.bob).is_none());
}

/// I-11, I-12: what waiting would not lift, unlocking does not either.
#[tokio::test]
async fn a_suspended_user_needs_a_reset() {
    let world = World::with(|b| b.suspend_after(5)).await;
    let _ = world.lock_codes("alice").await;
    let grant = world.root_grant().await;
    let administration = world.request().administration(&grant).await.unwrap();
    assert_eq!(administration.status(&world.alice).await.unwrap().codes, LockState::Suspended);
    assert_eq!(refusal(administration.unlock(&world.alice).await), Reason::ResetRequired);
    assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::Suspended);
    let _ = administration.reset(&world.alice).await.unwrap();
    let _ = world.begin("alice").await;

    let world = World::with(|b| b.rolling_wrong_code_limit(5)).await;
    let _ = world.lock_codes("alice").await;
    let grant = world.root_grant().await;
    let administration = world.request().administration(&grant).await.unwrap();
    assert_eq!(refusal(administration.unlock(&world.alice).await), Reason::ResetRequired);
}

/// Looking writes nothing and shows no secret.
#[tokio::test]
async fn the_status_of_a_user_is_read_only() {
    let world = World::new().await;
    world.choose_sms("alice", "+819012345634").await;
    let grant = world.root_grant().await;
    let administration = world.request().administration(&grant).await.unwrap();
    world.calls.clear();
    let status = administration.status(&world.alice).await.unwrap();
    assert_eq!(status.phone.unwrap().as_str(), "+81 *** **34");
    assert_eq!(world.calls.of("commit"), 0);
    assert!(administration.status(&world.bob).await.unwrap().phone.is_none());
    assert!(world.factors.record(&world.acme, &world.bob).is_none());
}

trait SettingsOf {
    async fn settings_scope(&self, tenant: &TenantId) -> String;
}

impl SettingsOf for countersign::memory::MemoryFactors {
    async fn settings_scope(&self, tenant: &TenantId) -> String {
        let saved = countersign::store::FactorStore::settings(self, tenant).await.unwrap().unwrap();
        let json: serde_json::Value = serde_json::from_str(&saved.document).unwrap();
        json["scope"].as_str().unwrap().to_owned()
    }
}
