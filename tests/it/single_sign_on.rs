//! Logins after single sign-on: who is asked for a code, and what such a grant says.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use crate::support::*;
use countersign::event::{CredentialsCause, EventKind};
use countersign::grant::Staleness;
use countersign::policy::Exemption;
use countersign::tenant::SingleSignOn;
use countersign::user::UserStatus;
use countersign::{Channel, LoginStep, Method, Reason, Scope, SecondFactor, TrustDevice, UserId};

async fn world(scope: Scope, single_sign_on: SingleSignOn) -> World {
    world_with(scope, single_sign_on, |b| b).await
}

async fn world_with(
    scope: Scope,
    single_sign_on: SingleSignOn,
    configure: impl FnOnce(countersign::LoginFlowBuilder) -> countersign::LoginFlowBuilder,
) -> World {
    let world = World::with(configure).await;
    world
        .change_settings(|settings| {
            settings.scope = scope;
            settings.single_sign_on = single_sign_on;
        })
        .await;
    world.events.clear();
    world.calls.clear();
    world
}

async fn after(world: &World, user: &UserId) -> LoginStep {
    world.request().begin_after_single_sign_on(user).await.unwrap()
}

/// What a login came to: a code, or the reason why none is needed.
fn asked(step: &LoginStep) -> Result<(), Exemption> {
    match step {
        LoginStep::CodeRequired(_) => Ok(()),
        LoginStep::Authenticated(done) => match done.grant.second_factor() {
            SecondFactor::Exempt { exemption } => Err(exemption.clone()),
            other => panic!("{other:?}"),
        },
        LoginStep::Denied(denied) => panic!("{denied}"),
    }
}

macro_rules! table {
    ($($test:ident: $scope:ident, $switch:ident, password of the administrator $a:expr, of the user $b:expr,
        single sign-on of the administrator $c:expr, of the user $d:expr;)*) => {
        $(
            /// I-35: a line of the reference product's table.
            #[tokio::test]
            async fn $test() {
                let world = world(Scope::$scope, SingleSignOn::$switch).await;
                let by_password = [
                    asked(&world.try_begin("root", PASSWORD).await),
                    asked(&world.try_begin("alice", PASSWORD).await),
                ];
                assert_eq!(by_password, [$a, $b]);
                world.wait_for_the_spacing();
                let after_single_sign_on = [
                    asked(&after(&world, &world.root).await),
                    asked(&after(&world, &world.alice).await),
                ];
                assert_eq!(after_single_sign_on, [$c, $d]);
            }
        )*
    };
}

const CODE: Result<(), Exemption> = Ok(());
const OFF: Result<(), Exemption> = Err(Exemption::ScopeOff);
const USER: Result<(), Exemption> = Err(Exemption::NotAdministrator);
const SSO: Result<(), Exemption> = Err(Exemption::SingleSignOn);

table! {
    scope_off_and_switch_off: DoNotUse, Exempt,
        password of the administrator OFF, of the user OFF,
        single sign-on of the administrator SSO, of the user SSO;
    scope_off_and_switch_on: DoNotUse, SystemAdministrators,
        password of the administrator OFF, of the user OFF,
        single sign-on of the administrator CODE, of the user SSO;
    scope_all_and_switch_off: EntireTenant, Exempt,
        password of the administrator CODE, of the user CODE,
        single sign-on of the administrator SSO, of the user SSO;
    scope_all_and_switch_on: EntireTenant, SystemAdministrators,
        password of the administrator CODE, of the user CODE,
        single sign-on of the administrator CODE, of the user SSO;
    scope_administrators_and_switch_off: SystemAdministratorsOnly, Exempt,
        password of the administrator CODE, of the user USER,
        single sign-on of the administrator SSO, of the user SSO;
    scope_administrators_and_switch_on: SystemAdministratorsOnly, SystemAdministrators,
        password of the administrator CODE, of the user USER,
        single sign-on of the administrator CODE, of the user SSO;
}

/// I-43: the grant never claims a password, exempt or with a code, and keeps its channel, as the
/// events do.
#[tokio::test]
async fn a_grant_after_single_sign_on_never_claims_a_password() {
    let world = world(Scope::EntireTenant, SingleSignOn::SystemAdministrators).await;
    let exempt = authenticated(after(&world, &world.alice).await).grant;
    assert_eq!((exempt.amr(), exempt.channel()), (&[][..], Channel::SingleSignOn));
    assert!(!exempt.has_second_factor());

    let pending = challenge(after(&world, &world.root).await);
    let done = authenticated(world.submit(&pending.token, &world.last_code()).await);
    assert_eq!(
        (done.grant.amr(), done.grant.channel()),
        (&["otp", "mfa"][..], Channel::SingleSignOn)
    );
    assert!(done.grant.has_second_factor());
    let channels: Vec<_> = world
        .events
        .kinds()
        .into_iter()
        .filter_map(|kind| match kind {
            EventKind::CodeRequired { channel, .. } | EventKind::LoginCompleted { channel, .. } => {
                Some(channel)
            }
            _ => None,
        })
        .collect();
    assert_eq!(channels, [Channel::SingleSignOn; 3]);

    world.wait_for_the_spacing();
    let backup = world.make_backup_code("root").await;
    world.wait_for_the_spacing();
    let pending = challenge(after(&world, &world.root).await);
    let done = authenticated(world.submit_backup(&pending.token, &backup).await);
    assert_eq!(done.grant.amr(), ["otp", "mfa"]);
    let saved = serde_json::to_value(&done.grant).unwrap();
    assert_eq!(saved["channel"], "single_sign_on");

    world.wait_for_the_spacing();
    world.choose_sms("root", "+819012345634").await;
    world.wait_for_the_spacing();
    let pending = challenge(after(&world, &world.root).await);
    assert_eq!(pending.delivery.sent().unwrap().method, Method::Sms);
    let done = authenticated(world.submit(&pending.token, &world.last_code()).await);
    assert_eq!(done.grant.amr(), ["otp", "sms", "mfa"]);
}

/// I-43: asked at every such login, whatever the device: no device token is made there, and the one
/// of a password login has no part in it.
#[tokio::test]
async fn no_device_token_is_made_or_taken() {
    let world = world_with(Scope::EntireTenant, SingleSignOn::SystemAdministrators, |b| {
        b.trusted_devices(30 * DAY, 3)
    })
    .await;
    let device = world.sign_in_and_trust("root", "laptop").await.device_token.unwrap();
    let devices = world.record(&world.root)["devices"].clone();
    world.wait_for_the_spacing();
    for _ in 0..2 {
        let pending = challenge(after(&world, &world.root).await);
        assert!(!pending.trust_device);
        let trust = TrustDevice::Again { name: "laptop", token: &device };
        let code = world.last_code().as_str().into();
        let step = world.request().submit_code(&pending.token, &code, trust).await.unwrap();
        assert!(authenticated(step).device_token.is_none());
        world.wait_for_the_spacing();
    }
    assert_eq!(world.record(&world.root)["devices"], devices);
    // By password it still stands in for the code.
    assert!(matches!(world.begin_with_device("root", &device).await, LoginStep::Authenticated(_)));
}

/// I-15, I-10: the same record, the same destination and the same budgets: it is no second supply
/// of guesses or messages.
#[tokio::test]
async fn both_kinds_of_login_share_the_budgets() {
    let world = world(Scope::EntireTenant, SingleSignOn::SystemAdministrators).await;
    let by_password = world.begin("root").await;
    for _ in 0..3 {
        let _ = world.submit(&by_password.token, &world.wrong_code()).await;
    }
    world.wait_for_the_spacing();
    let pending = challenge(after(&world, &world.root).await);
    assert_eq!(pending.attempts_left, 2);
    for _ in 0..2 {
        let _ = world.submit(&pending.token, &world.wrong_code()).await;
    }
    world.wait_for_the_spacing();
    assert_eq!(reason(&after(&world, &world.root).await), Reason::CodesLocked);
    assert_eq!(reason(&world.try_begin("root", PASSWORD).await), Reason::CodesLocked);
    assert_eq!(world.charged_sends(&world.root), 2);
}

/// I-16: a password lock, which strangers can cause, keeps nobody out after single sign-on; and
/// single sign-on does not lift it.
#[tokio::test]
async fn a_password_lock_has_no_part_in_it() {
    let world = world(Scope::EntireTenant, SingleSignOn::SystemAdministrators).await;
    for _ in 0..10 {
        let _ = world.try_begin("root", "wrong").await;
    }
    let pending = challenge(after(&world, &world.root).await);
    let _done = authenticated(world.submit(&pending.token, &world.last_code()).await);
    world.wait_for_the_spacing();
    assert_eq!(reason(&world.try_begin("root", PASSWORD).await), Reason::InvalidCredentials);
    assert_eq!(world.record(&world.root)["password"]["failures"]["streak"], 10);
}

/// I-25: nobody who is gone or disabled comes in, and nothing is saved of somebody unknown.
#[tokio::test]
async fn the_unknown_and_the_disabled_stay_out() {
    let world = world(Scope::EntireTenant, SingleSignOn::Exempt).await;
    let records = world.factors.records(&world.acme);
    let nobody = user_id("nobody");
    assert_eq!(reason(&after(&world, &nobody).await), Reason::InvalidCredentials);
    world.change(&world.alice, |user| user.status = UserStatus::Disabled);
    assert_eq!(reason(&after(&world, &world.alice).await), Reason::InvalidCredentials);
    let causes: Vec<_> = world
        .events
        .kinds()
        .into_iter()
        .map(|kind| match kind {
            EventKind::CredentialsRefused { cause, locked_until: None } => cause,
            kind => panic!("{kind:?}"),
        })
        .collect();
    assert_eq!(causes, [CredentialsCause::UnknownUser, CredentialsCause::Disabled]);
    assert_eq!(world.factors.records(&world.acme), records);
    assert_eq!(world.calls.of("commit"), 0);
    // I-03: nor does somebody of another tenant.
    countersign_testkit::TenantSetup::named("third")
        .person(Person::named("carol"))
        .join(&world.users)
        .unwrap();
    assert_eq!(reason(&after(&world, &user_id("carol")).await), Reason::InvalidCredentials);
}

/// I-25, I-28: a login under way ends when the password changes, the user is disabled or another
/// tenant's request brings its token; and a switch that is turned on reaches the sessions.
#[tokio::test]
async fn completion_rests_on_how_things_are_then() {
    let world = world(Scope::DoNotUse, SingleSignOn::SystemAdministrators).await;
    let pending = challenge(after(&world, &world.root).await);
    let code = world.last_code();
    world.change(&world.root, |user| user.security_stamp = Some("2".into()));
    assert_eq!(reason(&world.submit(&pending.token, &code).await), Reason::LoginOver);

    world.wait_for_the_spacing();
    let pending = challenge(after(&world, &world.root).await);
    let code = world.last_code().as_str().into();
    let elsewhere = world.request_for(&world.other);
    let step = elsewhere.submit_code(&pending.token, &code, TrustDevice::No).await.unwrap();
    assert_eq!(reason(&step), Reason::LoginOver);

    world.change_settings(|settings| settings.single_sign_on = SingleSignOn::Exempt).await;
    let exempt = authenticated(after(&world, &world.root).await).grant;
    let request = world.request();
    assert!(request.revalidate(&exempt, Channel::SingleSignOn).await.is_ok());
    world
        .change_settings(|settings| {
            settings.single_sign_on = SingleSignOn::SystemAdministrators;
        })
        .await;
    let stale = request.revalidate(&exempt, Channel::SingleSignOn).await.unwrap_err();
    assert_eq!(stale.staleness(), Some(Staleness::SecondFactorRequired));
}

/// I-35: single sign-on is no way around the scope: its exempt session is not one of a browser, and
/// opens no page that a password login would need a code for. Attack class: single sign-on as a way
/// around the scope.
#[tokio::test]
async fn single_sign_on_is_no_way_around_the_scope() {
    let world = world(Scope::EntireTenant, SingleSignOn::Exempt).await;
    let exempt = authenticated(after(&world, &world.root).await).grant;
    let request = world.request();
    let stale = request.revalidate(&exempt, Channel::Web).await.unwrap_err();
    assert_eq!(stale.staleness(), Some(Staleness::SecondFactorRequired));
    assert_eq!(refusal(request.administration(&exempt).await), Reason::NotFound);
    let account = request.account(&exempt);
    assert_eq!(refusal(account.status().await), Reason::NotInUse);
    assert_eq!(refusal(account.new_backup_code().await), Reason::NotInUse);
    // A password that comes by the channel of single sign-on is asked for nothing that could be
    // answered.
    world
        .change_settings(|settings| {
            settings.single_sign_on = SingleSignOn::SystemAdministrators;
        })
        .await;
    let step =
        world.begin_as(&world.acme, "root", PASSWORD, Channel::SingleSignOn, None).await.unwrap();
    assert_eq!(reason(&step), Reason::NotInteractive);
}

/// An administrator who came by single sign-on with a code has the pages of an administrator, and
/// those of the account: the code was asked for there, so its method is set up there.
#[tokio::test]
async fn an_administrator_with_a_code_has_all_pages() {
    for scope in [Scope::DoNotUse, Scope::EntireTenant] {
        let world = world(scope, SingleSignOn::SystemAdministrators).await;
        let pending = challenge(after(&world, &world.root).await);
        let grant = authenticated(world.submit(&pending.token, &world.last_code()).await).grant;
        let request = world.request();
        let desk = request.administration(&grant).await.unwrap();
        let _outcome = desk.reset(&world.alice).await.unwrap();
        let account = request.account(&grant);
        assert_eq!(account.status().await.unwrap().method, Method::Email);
        let _code = account.new_backup_code().await.unwrap();
        assert!(request.revalidate(&grant, Channel::SingleSignOn).await.is_ok());
    }
}

/// I-30: a first step after single sign-on sees a new password and a new address as any other does.
#[tokio::test]
async fn what_hangs_on_the_earlier_password_ends() {
    let world = world_with(Scope::EntireTenant, SingleSignOn::SystemAdministrators, |b| {
        b.trusted_devices(30 * DAY, 3)
    })
    .await;
    let _device = world.sign_in_and_trust("root", "laptop").await;
    world.change(&world.root, |user| user.security_stamp = Some("2".into()));
    world.wait_for_the_spacing();
    let pending = challenge(after(&world, &world.root).await);
    assert!(world.record(&world.root)["devices"].is_null());
    let _done = authenticated(world.submit(&pending.token, &world.last_code()).await);
}
