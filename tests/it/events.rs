//! One event for each change and each refusal, fit for a log.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::time::Duration;

use crate::support::*;
use countersign::contact::PhoneNumber;
use countersign::event::{
    Actor, Causes, CredentialsCause, Event, EventKind, ResetOutcome, SecretKind, Severity,
};
use countersign::ids::{DeviceId, LoginId};
use countersign::policy::Exemption;
use countersign::sender::{NoticeTopic, SendErrorKind};
use countersign::user::UserStatus;
use countersign::{
    Channel, LoginStep, Method, MethodChange, Reason, ResendTo, Scope, SecondFactor,
    TenantSettings, TrustDevice,
};

const NUMBER: &str = "+819012345634";
const WRONG_BACKUP: &str = "0000-0000-0000-0000-0000-0000";

/// The names of the events since the last time.
fn take(world: &World) -> Vec<String> {
    let names = world.events.all().iter().map(|event| name(&event.kind)).collect();
    world.events.clear();
    names
}

fn name(kind: &EventKind) -> String {
    serde_json::to_value(kind).unwrap()["event"].as_str().unwrap().to_owned()
}

async fn world() -> World {
    World::with(|b| b.trusted_devices(30 * DAY, 3)).await
}

/// I-38: action -> event, for the steps of a login.
#[tokio::test]
async fn each_step_of_a_login_is_exactly_one_event() {
    let world = world().await;
    let _ = world.try_begin("nobody", PASSWORD).await;
    assert_eq!(take(&world), ["credentials_refused"]);
    let _ = world.try_begin("alice", "wrong").await;
    assert_eq!(take(&world), ["credentials_refused"]);
    let _ = world.try_begin("", PASSWORD).await;
    assert_eq!(take(&world), ["step_refused"]);
    let challenge = world.begin("alice").await;
    assert_eq!(take(&world), ["code_required"]);
    let _ = world.submit(&challenge.token, &world.wrong_code()).await;
    assert_eq!(take(&world), ["secret_wrong"]);
    let _ = world.submit(&challenge.token, "12").await;
    assert_eq!(take(&world), ["step_refused"]);
    let _ = world.submit(&"csp1.x".into(), "123456").await;
    assert_eq!(take(&world), ["step_refused"]);
    let _ = world.submit_backup(&challenge.token, WRONG_BACKUP).await;
    assert_eq!(take(&world), ["step_refused"], "there is none");
    let _ = world.request().resend(&challenge.token, ResendTo::Same).await.unwrap();
    assert_eq!(take(&world), ["step_refused"], "too early");
    world.wait_for_the_spacing();
    let _ = world.request().resend(&challenge.token, ResendTo::Same).await.unwrap();
    assert_eq!(take(&world), ["code_resent"]);
    let _done = authenticated(world.submit(&challenge.token, &world.last_code()).await);
    assert_eq!(take(&world), ["login_completed"]);
    let _ = world.submit(&challenge.token, "123456").await;
    assert_eq!(take(&world), ["step_refused"]);
    world.wait_for_the_spacing();
    let challenge = world.begin("alice").await;
    take(&world);
    world.request().cancel(&challenge.token).await.unwrap();
    assert_eq!(take(&world), ["login_cancelled"]);
    world.request().cancel(&challenge.token).await.unwrap();
    assert_eq!(take(&world), ["step_refused"]);
    let LoginStep::Authenticated(_) = world.begin_in_other("alice", None).await else { panic!() };
    assert_eq!(take(&world), ["login_completed"]);
    world.change(&world.alice, |user| user.email = None);
    world.wait_for_the_spacing();
    let _ = world.try_begin("alice", PASSWORD).await;
    assert_eq!(take(&world), ["login_refused"]);
    let device = world.sign_in_and_trust("bob", "laptop").await.device_token.unwrap();
    assert_eq!(take(&world), ["code_required", "login_completed"]);
    let _ = world.begin_with_device("bob", &device).await;
    assert_eq!(take(&world), ["login_completed"]);
}

/// I-38: a backup code that is wrong, one that completes a login, and one that pauses.
#[tokio::test]
async fn each_entry_of_a_backup_code_is_exactly_one_event() {
    let world = world().await;
    let backup = world.make_backup_code("alice").await;
    world.wait_for_the_spacing();
    let challenge = world.begin("alice").await;
    take(&world);
    let _ = world.submit_backup(&challenge.token, WRONG_BACKUP).await;
    let event = world.only_event();
    assert!(matches!(
        event.kind,
        EventKind::SecretWrong { login, secret: SecretKind::BackupCode, locked_until: None, suspended: false }
            if login == challenge.login
    ));
    assert_eq!(event.user.as_ref(), Some(&world.alice));
    let done = authenticated(world.submit_backup(&challenge.token, &backup).await);
    let completed = EventKind::LoginCompleted {
        login: challenge.login,
        channel: Channel::Web,
        basis: SecondFactor::BackupCode,
        trusted: None,
    };
    assert_eq!(world.only_event().kind, completed);
    let _ = world.submit_backup(&challenge.token, done.backup_code.unwrap().expose()).await;
    assert_eq!(take(&world), ["step_refused"], "that login is over");
    world.wait_for_the_spacing();
    let challenge = world.begin("alice").await;
    take(&world);
    for _ in 0..5 {
        let _ = world.submit_backup(&challenge.token, WRONG_BACKUP).await;
    }
    assert_eq!(take(&world), ["secret_wrong"; 5]);
    let _ = world.submit_backup(&challenge.token, WRONG_BACKUP).await;
    assert_eq!(take(&world), ["step_refused"], "not compared");
}

/// What goes on beside a step has an event of its own.
#[tokio::test]
async fn failed_deliveries_notices_and_rehashes_are_events_too() {
    let world = world().await;
    world.outbox.always(None, Delivered::Failed(SendErrorKind::Transient));
    let challenge = world.begin("alice").await;
    assert_eq!(take(&world), ["code_required", "delivery_failed"]);
    world.outbox.always(None, Delivered::Now);
    world.wait_for_the_spacing();
    let _ = world.request().resend(&challenge.token, ResendTo::Same).await.unwrap();
    take(&world);
    world.outbox.always(None, Delivered::Failed(SendErrorKind::Permanent));
    let code = world.last_code().into();
    let _ = world
        .request()
        .submit_code(&challenge.token, &code, TrustDevice::Named("laptop"))
        .await
        .unwrap();
    assert_eq!(take(&world), ["login_completed", "notice_failed"]);
    world.outbox.always(None, Delivered::Now);
    world.change(&world.bob, |user| {
        user.password_hash = Some(PlainPasswords::outdated(PASSWORD));
    });
    let _ = world.begin("bob").await;
    assert_eq!(take(&world), ["code_required", "password_rehashed"]);
}

#[tokio::test]
async fn each_operation_on_the_account_page_is_exactly_one_event() {
    let world = world().await;
    let grant = world.sign_in_and_trust("alice", "laptop").await.grant;
    let account = world.request().account(&grant);
    let number = PhoneNumber::new(NUMBER).unwrap();
    take(&world);
    account.status().await.unwrap();
    assert_eq!(take(&world), Vec::<String>::new(), "looking is no change");
    let _ = world.begin("alice").await;
    take(&world);
    assert!(
        account.use_sms(&number).await.is_err(),
        "the second code within the spacing was the login's"
    );
    assert_eq!(take(&world), ["account_refused"]);
    world.wait_for_the_spacing();
    let setup = account.use_sms(&number).await.unwrap();
    assert_eq!(take(&world), ["setup_started"]);
    let code = world.last_code();
    assert!(account.confirm_method(&setup.token, &world.wrong_code().into()).await.is_err());
    assert_eq!(take(&world), ["secret_wrong"]);
    assert!(account.confirm_method(&setup.token, &"1".into()).await.is_err());
    assert!(account.confirm_method(&"css1.x".into(), &"123456".into()).await.is_err());
    assert_eq!(take(&world), ["account_refused", "account_refused"]);
    let device = account.status().await.unwrap().devices[0].id;
    account.revoke_device(device).await.unwrap();
    assert_eq!(take(&world), ["device_revoked"]);
    assert!(account.revoke_device(device).await.is_err());
    assert_eq!(take(&world), ["account_refused"]);
    assert_eq!(account.revoke_devices().await.unwrap(), 0);
    assert_eq!(take(&world), ["devices_revoked"]);
    let _ = account.new_backup_code().await.unwrap();
    assert_eq!(take(&world), ["backup_code_made"]);
    let _method = account.confirm_method(&setup.token, &code.into()).await.unwrap();
    assert_eq!(take(&world), ["method_changed"]);
    let _change = account.use_email().await.unwrap();
    assert_eq!(take(&world), ["method_changed"], "at once, after a login by email");
    let backup = account.new_backup_code().await.unwrap();
    world.wait_for_the_spacing();
    let challenge = world.begin("alice").await;
    let grant = authenticated(world.submit_backup(&challenge.token, backup.expose()).await).grant;
    let by_backup = world.request().account(&grant);
    world.wait_for_the_spacing();
    take(&world);
    let MethodChange::Prove(setup) = by_backup.use_email().await.unwrap() else {
        panic!("a proof is needed")
    };
    assert_eq!(world.only_event().kind, EventKind::SetupStarted { method: Method::Email });
    let _method = by_backup.confirm_method(&setup.token, &world.last_code().into()).await.unwrap();
    // Codes went there already, and she was told so just now: the notice is held back, which is
    // told beside it.
    let held = EventKind::NoticeHeldBack { about: NoticeTopic::MethodChanged };
    assert_eq!(world.events.kinds(), [EventKind::MethodChanged { to: Method::Email }, held]);
    take(&world);
    world.clock.advance(DAY);
    assert!(account.new_backup_code().await.is_err());
    world.change(&world.alice, |user| user.status = UserStatus::Disabled);
    assert!(account.status().await.is_err());
    assert_eq!(take(&world), ["account_refused", "account_refused"]);
}

/// I-38: looking at one's own page is no refusal, also for users who need no second factor. A
/// change that they ask for is, and so is a look with a session that does not hold.
#[tokio::test]
async fn an_exempt_user_who_looks_at_the_account_page_was_refused_nothing() {
    let world = world().await;
    world.set_scope(Scope::SystemAdministratorsOnly).await;
    let grant = world.sign_in("alice").await.grant;
    let account = world.request().account(&grant);
    take(&world);
    for _ in 0..3 {
        assert_eq!(refusal(account.status().await), Reason::NotInUse);
    }
    assert_eq!(take(&world), Vec::<String>::new());
    assert_eq!(refusal(account.new_backup_code().await), Reason::NotInUse);
    assert_eq!(world.only_event().kind, EventKind::AccountRefused { reason: "not_in_use".into() });
    take(&world);
    let elsewhere = world.request_for(&world.other).account(&grant);
    assert_eq!(refusal(elsewhere.status().await), Reason::SessionStale);
    world.change(&world.alice, |user| user.status = UserStatus::Disabled);
    assert_eq!(refusal(account.status().await), Reason::SessionStale);
    assert_eq!(take(&world), ["account_refused", "account_refused"]);
}

#[tokio::test]
async fn each_administrative_operation_is_exactly_one_event() {
    let world = world().await;
    let grant = world.root_grant().await;
    let administration = world.request().administration(&grant).await.unwrap();
    take(&world);
    administration.status(&world.alice).await.unwrap();
    administration.scope().await.unwrap();
    administration.purge_progress().await.unwrap();
    administration.saved_users().await.unwrap();
    assert!(world.request().revalidate(&grant, Channel::Web).await.is_ok());
    assert_eq!(take(&world), Vec::<String>::new());
    administration.unlock(&world.alice).await.unwrap();
    let _ = administration.reset(&world.alice).await.unwrap();
    assert_eq!(take(&world), ["user_unlocked", "user_reset"]);
    assert!(administration.reset(&world.root).await.is_err());
    assert!(administration.unlock(&user_id("nobody")).await.is_err());
    assert_eq!(take(&world), ["administration_refused", "administration_refused"]);
    administration.set_scope(Scope::DoNotUse).await.unwrap();
    assert_eq!(take(&world), ["scope_changed"]);
    world.flow.purge(&world.acme, 100).await.unwrap();
    assert_eq!(take(&world), ["purge_finished"]);
    world.flow.operator("T-1").unwrap().forget(&world.acme, &world.alice).await.unwrap();
    assert_eq!(take(&world), ["user_forgotten"]);
    let operator = world.flow.operator("T-1").unwrap();
    operator.set_scope(&world.acme, Scope::EntireTenant).await.unwrap();
    operator.set_scope(&tenant("new"), Scope::DoNotUse).await.unwrap();
    operator.unlock(&world.acme, &world.alice).await.unwrap();
    let _ = operator.reset(&world.acme, &world.alice).await.unwrap();
    assert_eq!(take(&world), ["scope_changed", "tenant_set_up", "user_unlocked", "user_reset"]);
    let _ = world.begin("alice").await;
    take(&world);
    world.clock.advance(40 * DAY);
    assert_eq!(world.flow.sweep(&world.acme, None, 100).await.unwrap().removed, 1);
    assert_eq!(take(&world), ["records_swept"]);
}

/// I-38, attack 40: tenant and user, where one is known; what unknown people typed is nowhere.
#[tokio::test]
async fn an_event_names_tenant_and_user_and_never_what_strangers_typed() {
    let world = world().await;
    let _ = world.try_begin("my-password-by-mistake", PASSWORD).await;
    let _ = world.try_begin("alice", "wrong").await;
    let [stranger, known] = &world.events.all()[..] else { panic!() };
    assert_eq!((&stranger.tenant, &stranger.user), (&world.acme, &None));
    assert!(!format!("{stranger} {stranger:?}").contains("my-password-by-mistake"));
    assert!(!format!("{stranger:?}").contains("phantom"));
    assert_eq!(known.user.as_ref(), Some(&world.alice));
    assert_eq!(known.at, countersign::clock::Clock::now(&world.clock).unwrap());
}

/// A value of every kind.
/// Logins that are complete.
fn completed(login: LoginId, device: DeviceId) -> Vec<EventKind> {
    vec![
        EventKind::LoginCompleted {
            login,
            channel: Channel::Web,
            basis: SecondFactor::BackupCode,
            trusted: None,
        },
        EventKind::LoginCompleted {
            login,
            channel: Channel::Web,
            basis: SecondFactor::Code { method: Method::Sms },
            trusted: Some(device),
        },
        EventKind::LoginCompleted {
            login,
            channel: Channel::Web,
            basis: SecondFactor::TrustedDevice { device },
            trusted: None,
        },
    ]
}

/// Those that a tenant's settings and a check of destinations make.
fn of_settings(login: LoginId, by: &Actor) -> Vec<EventKind> {
    let changed = |weakens| EventKind::SettingsChanged {
        from: TenantSettings::default(),
        to: TenantSettings::default(),
        weakens,
        by: by.clone(),
    };
    let refused =
        EventKind::DeliveryRefused { login, method: Method::Sms, risk: "sim_swapped".into() };
    vec![changed(false), changed(true), refused]
}

fn every_kind() -> Vec<EventKind> {
    let login: LoginId = "AAAAAAAAAAAAAAAAAAAAAA".parse().unwrap();
    let device: DeviceId = "AQEBAQEBAQEBAQEBAQEBAQ".parse().unwrap();
    let at = time::OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
    let administrator = Actor::Administrator { user: user_id("root") };
    let elsewhere = Actor::OtherTenant {
        tenant: countersign::TenantId::new("globex").unwrap(),
        user: user_id("root"),
    };
    let operator = Actor::Operator { reason: "ticket \"4711\" \\ ü".into() };
    let mut kinds = vec![
        EventKind::LoginRefused { reason: "suspended".into() },
        EventKind::CodeRequired { login, channel: Channel::Web, method: Some(Method::Sms) },
        EventKind::CodeRequired { login, channel: Channel::Web, method: None },
        EventKind::CodeResent { login, method: Method::Email },
        EventKind::StepRefused { login: Some(login), reason: "wrong_code".into() },
        EventKind::StepRefused { login: None, reason: "login_over".into() },
        EventKind::LoginCancelled { login },
        EventKind::PasswordRehashed { saved: true },
        EventKind::PasswordRehashed { saved: false },
        EventKind::SetupStarted { method: Method::Sms },
        EventKind::MethodChanged { to: Method::Email },
        EventKind::DeviceRevoked { device },
        EventKind::DevicesRevoked { count: 3 },
        EventKind::BackupCodeMade,
        EventKind::AccountRefused { reason: "not_in_use".into() },
        EventKind::ScopeChanged {
            from: Scope::DoNotUse,
            to: Scope::EntireTenant,
            by: administrator.clone(),
        },
        EventKind::ScopeChanged {
            from: Scope::EntireTenant,
            to: Scope::DoNotUse,
            by: administrator.clone(),
        },
        EventKind::TenantSetUp { by: operator.clone() },
        EventKind::UserReset { by: operator.clone(), outcome: ResetOutcome::Refilled },
        EventKind::UserReset { by: operator.clone(), outcome: ResetOutcome::RefilledBeyond },
        EventKind::UserReset {
            by: operator.clone(),
            outcome: ResetOutcome::BudgetsKept { refills_from: None },
        },
        EventKind::UserReset {
            by: operator.clone(),
            outcome: ResetOutcome::BudgetsKept { refills_from: Some(at) },
        },
        EventKind::NoticeHeldBack { about: NoticeTopic::Reset },
        EventKind::UserUnlocked { by: administrator.clone() },
        EventKind::UserForgotten { by: operator },
        EventKind::AdministrationRefused { by: administrator.clone(), reason: "not_found".into() },
        EventKind::AdministrationRefused { by: elsewhere, reason: "not_found".into() },
        EventKind::PurgeFinished,
        EventKind::RecordsSwept { removed: 3 },
    ];
    kinds.extend(of_settings(login, &administrator));
    kinds.extend(completed(login, device));
    for exemption in [
        Exemption::ScopeOff,
        Exemption::NotAdministrator,
        Exemption::SingleSignOn,
        Exemption::Api,
        Exemption::Integration,
        Exemption::Application("kiosk".into()),
    ] {
        kinds.push(EventKind::LoginCompleted {
            login,
            channel: Channel::Web,
            basis: SecondFactor::Exempt { exemption },
            trusted: None,
        });
    }
    for cause in [
        CredentialsCause::UnknownUser,
        CredentialsCause::WrongPassword,
        CredentialsCause::Disabled,
        CredentialsCause::PasswordLocked,
    ] {
        kinds.push(EventKind::CredentialsRefused { cause, locked_until: None });
        kinds.push(EventKind::CredentialsRefused { cause, locked_until: Some(at) });
    }
    for secret in [SecretKind::Code, SecretKind::BackupCode, SecretKind::SetupCode] {
        kinds.push(EventKind::SecretWrong { login, secret, locked_until: None, suspended: false });
        kinds.push(EventKind::SecretWrong {
            login,
            secret,
            locked_until: Some(at),
            suspended: false,
        });
        kinds.push(EventKind::SecretWrong { login, secret, locked_until: None, suspended: true });
    }
    let hostile = ["twilio answered 400 (21211)", "line\nbreak\u{202e}", &"long ".repeat(1000)];
    let causes: Causes = serde_json::from_value(serde_json::json!(hostile)).unwrap();
    for error in [
        SendErrorKind::Permanent,
        SendErrorKind::Transient,
        SendErrorKind::Unknown,
        SendErrorKind::Throttled { retry_after: None },
        SendErrorKind::Throttled { retry_after: Some(Duration::from_millis(1_500)) },
    ] {
        for causes in [Causes::default(), causes.clone()] {
            kinds.push(EventKind::DeliveryFailed {
                login,
                method: Method::Sms,
                error,
                causes: causes.clone(),
            });
            kinds.push(EventKind::NoticeFailed { error, causes });
        }
    }
    kinds
}

/// Events as they really are, one of each kind, by way of one that happened.
async fn every_event() -> Vec<Event> {
    let world = World::new().await;
    let _ = world.try_begin("alice", "wrong").await;
    let [event] = &world.events.all()[..] else { panic!() };
    every_kind()
        .into_iter()
        .flat_map(|kind| {
            let (mut with, mut without) = (event.clone(), event.clone());
            (with.kind, without.kind, without.user) = (kind.clone(), kind, None);
            [with, without]
        })
        .collect()
}

#[tokio::test]
async fn every_event_reads_back_from_json_as_it_was() {
    for event in every_event().await {
        let json = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event, "{json}");
        let kind = serde_json::to_string(&event.kind).unwrap();
        assert_eq!(serde_json::from_str::<EventKind>(&kind).unwrap(), event.kind, "{kind}");
    }
}

/// I-33, attack 55.
#[tokio::test]
async fn every_event_is_one_printable_line() {
    for event in every_event().await {
        let line = event.to_string();
        assert!(line.starts_with("2027-01-16T08:00:00Z tenant=\"acme\" "), "{line}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
        assert!(line.contains(&name(&event.kind)));
    }
}

#[test]
fn the_name_of_an_event_is_the_one_in_its_serialised_form() {
    for kind in every_kind() {
        assert_eq!(kind.name(), name(&kind));
    }
}

#[test]
fn the_severity_of_an_event_says_what_deserves_an_alert() {
    let of = |severity: Severity| {
        let kinds = every_kind().into_iter().filter(|kind| kind.severity() == severity);
        kinds
            .map(|kind| kind.name())
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
    };
    assert_eq!(
        of(Severity::Alert),
        [
            "administration_refused",
            "scope_changed",
            "secret_wrong",
            "settings_changed",
            "user_reset"
        ]
    );
    let warnings = [
        "administration_refused",
        "credentials_refused",
        "delivery_failed",
        "delivery_refused",
        "login_completed",
        "login_refused",
        "notice_failed",
        "notice_held_back",
        "password_rehashed",
        "secret_wrong",
        "user_reset",
        "user_unlocked",
    ];
    assert_eq!(of(Severity::Warning), warnings);
    for kind in every_kind() {
        let expected = match &kind {
            // Only a guess that ended in a lock: one mistake is no attack.
            EventKind::SecretWrong { locked_until: None, suspended: false, .. }
            | EventKind::LoginCompleted { basis: SecondFactor::BackupCode, .. }
            | EventKind::CredentialsRefused { locked_until: Some(_), .. } => Severity::Warning,
            EventKind::SecretWrong { .. }
            | EventKind::ScopeChanged { to: Scope::DoNotUse, .. }
            | EventKind::SettingsChanged { weakens: true, .. }
            | EventKind::AdministrationRefused { by: Actor::OtherTenant { .. }, .. } => {
                Severity::Alert
            }
            EventKind::LoginCompleted { .. }
            | EventKind::ScopeChanged { .. }
            | EventKind::SettingsChanged { .. }
            | EventKind::PasswordRehashed { saved: true }
            | EventKind::CredentialsRefused { cause: CredentialsCause::WrongPassword, .. } => {
                Severity::Info
            }
            _ => continue,
        };
        assert_eq!(kind.severity(), expected, "{kind:?}");
    }
    assert!(Severity::Info < Severity::Warning && Severity::Warning < Severity::Alert);
    for severity in [Severity::Info, Severity::Warning, Severity::Alert] {
        assert_eq!(serde_json::to_value(severity).unwrap(), severity.name());
        assert_eq!(severity.to_string(), severity.name());
    }
}

#[tokio::test]
async fn the_events_after_which_sessions_are_revalidated_are_these_seven() {
    let mut ending: Vec<String> = every_event()
        .await
        .iter()
        .filter(|event| event.calls_for_revalidation())
        .map(|event| name(&event.kind))
        .collect();
    ending.sort_unstable();
    ending.dedup();
    let expected = [
        "device_revoked",
        "devices_revoked",
        "method_changed",
        "scope_changed",
        "settings_changed",
        "user_forgotten",
        "user_reset",
    ];
    assert_eq!(ending, expected);
}
