//! What a tenant decides beyond its scope: its lockout, methods, trusted devices and backup codes,
//! within what the application allows, and who may change it.
#![allow(
    missing_docs,
    clippy::unchecked_time_subtraction,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use crate::support::interject::Interject;
use crate::support::steps::flow_over;
use crate::support::*;
use countersign::administration::LockOuts;
use countersign::event::{EventKind, Severity};
use countersign::status::LockState;
use countersign::tenant::{Lockout, Methods, SingleSignOn, TrustedDevices};
use countersign::{
    Channel, ConfigError, Error, LoginStep, Method, Reason, ResendTo, Scope, TenantSettings,
    TrustDevice,
};

/// A change of settings, given what a case needs.
type Edit = fn(&mut TenantSettings, Lockout, TrustedDevices, Methods);

async fn change(world: &World, change: impl FnOnce(&mut TenantSettings)) -> TenantSettings {
    world.change_settings(change).await
}

fn lockout(wrong_codes: u32, first_minutes: u32, longest_minutes: u32) -> Lockout {
    Lockout { wrong_codes, first: MINUTE * first_minutes, longest: MINUTE * longest_minutes }
}

#[tokio::test]
async fn a_tenant_without_settings_has_the_default_ones() {
    let world = World::off();
    let operator = world.flow.operator("test").unwrap();
    let shown = operator.settings(&world.acme).await.unwrap();
    assert_eq!(shown.settings, TenantSettings::default());
    // They are the ones that a scope alone makes, and the same tenant is shown the same version.
    assert_eq!(operator.settings(&world.acme).await.unwrap(), shown);
    // What another tenant was shown is nothing here.
    assert_ne!(operator.settings(&world.other).await.unwrap().version, shown.version);
    assert_ne!(operator.settings(&world.other).await.unwrap().version, {
        world.set_scope(Scope::EntireTenant).await;
        operator.settings(&world.acme).await.unwrap().version
    });
}

/// I-42: the tenant's own number of wrong codes locks, for the tenant's own time.
#[tokio::test]
async fn the_lockout_is_the_tenants() {
    let world = World::lenient().await;
    change(&world, |settings| settings.lockout = Some(lockout(3, 60, 120))).await;
    let pending = world.begin("alice").await;
    assert_eq!(pending.attempts_left, 3);
    for _ in 0..2 {
        let _ = world.submit(&pending.token, &world.wrong_code()).await;
    }
    let before = world.now();
    let step = world.submit(&pending.token, &world.wrong_code()).await;
    assert_eq!(step.denied().unwrap().retry_at(), Some(before + MINUTE * 60));
    // Another tenant has what the application says.
    let other = world.begin_as(&world.other, "alice", PASSWORD, Channel::Web, None).await.unwrap();
    assert!(matches!(other, LoginStep::Authenticated(_)));
}

/// I-42: a login under way meets the settings of the moment at which a code comes.
#[tokio::test]
async fn a_login_under_way_meets_the_new_lockout() {
    let world = World::lenient().await;
    let pending = world.begin("alice").await;
    for _ in 0..2 {
        let _ = world.submit(&pending.token, &world.wrong_code()).await;
    }
    change(&world, |settings| settings.lockout = Some(lockout(3, 60, 120))).await;
    let step = world.submit(&pending.token, &world.wrong_code()).await;
    assert_eq!(step.denied().unwrap().attempts_left(), Some(0));
    let operator = world.flow.operator("test").unwrap();
    let status = operator.status(&world.acme, &world.alice).await.unwrap().unwrap();
    assert_eq!(status.codes, LockState::LockedUntil { until: world.now() + MINUTE * 60 });
}

/// I-42: settings that are more lenient than the application's are refused, and the refusal names
/// the number. Nothing is written.
#[tokio::test]
async fn what_is_more_lenient_than_the_application_is_refused_by_name() {
    let world = World::with(|b| {
        b.trusted_devices(30 * DAY, 3).tenant_lockout(3..=8, MINUTE * 10..=MINUTE * 600)
    })
    .await;
    let desk = desk(&world).await;
    let shown = desk.settings().await.unwrap();
    let at_most = |lifetime, per_user| TrustedDevices::AtMost { lifetime, per_user };
    let none = {
        let mut none = Methods::only(Method::Email);
        none.email = false;
        none
    };
    let lock: Edit = |settings, lockout, _, _| settings.lockout = Some(lockout);
    let devices: Edit = |settings, _, devices, _| settings.trusted_devices = devices;
    let methods: Edit = |settings, _, _, methods| settings.methods = methods;
    let any = lockout(3, 10, 600);
    let cases: [(Edit, Lockout, TrustedDevices, &str); 9] = [
        (lock, lockout(2, 10, 600), TrustedDevices::Off, "lockout.wrong_codes"),
        (lock, lockout(9, 10, 600), TrustedDevices::Off, "lockout.wrong_codes"),
        (lock, lockout(3, 9, 600), TrustedDevices::Off, "lockout.first"),
        (lock, lockout(3, 10, 601), TrustedDevices::Off, "lockout.longest"),
        (lock, lockout(3, 20, 19), TrustedDevices::Off, "lockout.longest"),
        (devices, any, at_most(31 * DAY, 3), "trusted_devices.lifetime"),
        (devices, any, at_most(MINUTE * 59, 3), "trusted_devices.lifetime"),
        (devices, any, at_most(30 * DAY, 4), "trusted_devices.per_user"),
        (methods, any, TrustedDevices::Off, "methods"),
    ];
    let before = world.settings_row(&world.acme);
    world.calls.clear();
    for (edit, lockout, devices, name) in cases {
        let mut next = shown.settings;
        edit(&mut next, lockout, devices, none);
        world.events.clear();
        let refused = desk.change_settings(shown.version, &next, LockOuts::Accept).await;
        let denied = *refused.unwrap_err().denied().unwrap();
        let Reason::InvalidSettings(error) = denied.reason() else { panic!("{denied}") };
        assert_eq!(error.setting(), name);
        let json = serde_json::to_value(denied).unwrap();
        assert_eq!((&json["reason"], &json["setting"]), (&"invalid_settings".into(), &name.into()));
        assert!(matches!(&world.events.kinds()[..], [EventKind::AdministrationRefused { .. }]));
        // The operator is refused in the same way.
        let operator = world.flow.operator("test").unwrap();
        let refused = operator.change_settings(&world.acme, shown.version, &next).await;
        assert_eq!(refusal(refused), Reason::InvalidSettings(error));
    }
    assert_eq!(world.calls.of("change_settings"), 0);
    assert_eq!(world.settings_row(&world.acme), before);
    // Where the application offers no trusted devices at all.
    let without = world.flow_over(world.factors.clone(), |b| b).unwrap();
    let operator = without.operator("test").unwrap();
    let mut next = shown.settings;
    next.trusted_devices = at_most(DAY, 1);
    let refused = operator.change_settings(&world.acme, shown.version, &next).await;
    let Reason::InvalidSettings(error) = refusal(refused) else { panic!("refused by name") };
    assert_eq!(error, ConfigError::NotOffered { setting: "trusted_devices" });
    assert_eq!(world.settings_row(&world.acme), before);
}

/// I-42: where the application has made its numbers stricter since, what is saved does not outdo
/// them.
#[tokio::test]
async fn saved_settings_never_outdo_what_the_application_says_now() {
    let world = World::with(|b| any_lockout(b).trusted_devices(30 * DAY, 3)).await;
    change(&world, |settings| {
        settings.lockout = Some(lockout(10, 5, 60));
        settings.trusted_devices = TrustedDevices::AtMost { lifetime: 20 * DAY, per_user: 3 };
    })
    .await;
    let stricter = world
        .flow_over(world.factors.clone(), |b| {
            b.tenant_lockout(3..=4, MINUTE * 30..=MINUTE * 60).trusted_devices(DAY, 1)
        })
        .unwrap();
    let request = stricter.request(&world.acme, &context());
    let login = countersign::Login {
        name: "alice",
        password: &PASSWORD.into(),
        channel: Channel::Web,
        device: None,
    };
    let pending = challenge(request.begin(&login).await.unwrap());
    assert_eq!(pending.attempts_left, 4);
    let trust = TrustDevice::Named("laptop");
    let code = world.last_code().as_str().into();
    let done = authenticated(request.submit_code(&pending.token, &code, trust).await.unwrap());
    let status = request.account(&done.grant).status().await.unwrap();
    assert_eq!(status.devices[0].expires_at, world.now() + DAY);
}

/// I-42: of two administrators who were shown the same settings, the second is refused and
/// overwrites nothing. Attack class: a race on settings.
#[tokio::test]
async fn two_administrators_do_not_overwrite_each_other() {
    let world = World::lenient().await;
    let (one, other) = (desk(&world).await, {
        world.wait_for_the_spacing();
        desk(&world).await
    });
    let (shown_to_one, shown_to_other) =
        (one.settings().await.unwrap(), other.settings().await.unwrap());
    let mut first = shown_to_one.settings;
    first.backup_codes = false;
    let mut second = shown_to_other.settings;
    second.lockout = Some(lockout(3, 60, 120));
    one.change_settings(shown_to_one.version, &first, LockOuts::Accept).await.unwrap();
    let refused = other.change_settings(shown_to_other.version, &second, LockOuts::Refuse).await;
    assert_eq!(refusal(refused), Reason::SettingsChanged);
    assert_eq!(one.settings().await.unwrap().settings, first);
    // Shown anew, the change is made.
    let shown = other.settings().await.unwrap();
    second.backup_codes = false;
    other.change_settings(shown.version, &second, LockOuts::Refuse).await.unwrap();
    assert_eq!(one.settings().await.unwrap().settings, second);
}

/// I-42: a change between the look and the write is noticed, too: the version is compared again
/// with what the write is conditional on.
#[tokio::test]
async fn a_change_that_comes_in_between_is_noticed() {
    let mut world = World::lenient().await;
    let root = world.root_grant().await;
    let store = Interject::over(&world);
    let plain = world.flow.clone();
    world.flow = flow_over(&world, store.clone(), any_lockout);
    let desk = world.request().administration(&root).await.unwrap();
    let shown = desk.settings().await.unwrap();
    let mut next = shown.settings;
    next.lockout = Some(lockout(3, 60, 120));
    let acme = world.acme.clone();
    store.interceptor.once("before change_settings", async move || {
        let operator = plain.operator("test").unwrap();
        let shown = operator.settings(&acme).await.unwrap();
        let other = no_backup_codes(shown.settings.scope);
        operator.change_settings(&acme, shown.version, &other).await.unwrap();
    });
    let refused = desk.change_settings(shown.version, &next, LockOuts::Refuse).await;
    assert_eq!(refusal(refused), Reason::SettingsChanged);
    assert!(store.interceptor.is_done());
    let now = desk.settings().await.unwrap().settings;
    assert_eq!((now.lockout, now.backup_codes), (None, false));
}

fn no_backup_codes(scope: Scope) -> TenantSettings {
    let mut settings = TenantSettings::default();
    settings.scope = scope;
    settings.backup_codes = false;
    settings
}

/// A deletion that is noted beside the settings does not change the version that was shown.
#[tokio::test]
async fn a_purge_does_not_outdate_what_was_shown() {
    let world = World::new().await;
    world.make_backup_code("alice").await;
    world.set_scope(Scope::DoNotUse).await;
    world.set_scope(Scope::EntireTenant).await;
    let desk = desk(&world).await;
    let shown = desk.settings().await.unwrap();
    let _ = world.flow.purge(&world.acme, 1).await.unwrap();
    let _ = world.flow.purge(&world.acme, 10).await.unwrap();
    assert_eq!(desk.settings().await.unwrap(), shown);
    // Off and on again is another version, although the settings read the same.
    world.set_scope(Scope::DoNotUse).await;
    world.set_scope(Scope::EntireTenant).await;
    let operator = world.flow.operator("test").unwrap();
    let again = operator.settings(&world.acme).await.unwrap();
    assert_eq!(again.settings, shown.settings);
    assert_ne!(again.version, shown.version);
}

/// I-34: every weakening needs a login that is recent and fresh; what protects more does not.
/// Attack class: downgrade by settings.
#[tokio::test]
async fn what_weakens_needs_a_fresh_second_factor() {
    let strict = |settings: &mut TenantSettings| {
        settings.single_sign_on = SingleSignOn::SystemAdministrators;
        settings.lockout = Some(lockout(4, 60, 120));
        settings.methods = Methods::only(Method::Email);
        settings.trusted_devices = TrustedDevices::AtMost { lifetime: 5 * DAY, per_user: 1 };
        settings.backup_codes = false;
    };
    let weaker: [fn(&mut TenantSettings); 11] = [
        |settings| settings.scope = Scope::SystemAdministratorsOnly,
        |settings| settings.scope = Scope::DoNotUse,
        |settings| settings.single_sign_on = SingleSignOn::Exempt,
        |settings| settings.lockout = Some(lockout(5, 60, 120)),
        |settings| settings.lockout = Some(lockout(4, 59, 120)),
        |settings| settings.lockout = Some(lockout(4, 60, 119)),
        |settings| settings.methods = Methods::default(),
        |settings| settings.trusted_devices = TrustedDevices::AsApplication,
        |settings| {
            settings.trusted_devices = TrustedDevices::AtMost { lifetime: 6 * DAY, per_user: 1 };
        },
        |settings| {
            settings.trusted_devices = TrustedDevices::AtMost { lifetime: 5 * DAY, per_user: 2 };
        },
        |settings| settings.backup_codes = true,
    ];
    let world = World::with(|b| any_lockout(b).trusted_devices(30 * DAY, 3)).await;
    change(&world, strict).await;
    let desk = desk(&world).await;
    world.clock.advance(MINUTE * 11);
    let shown = desk.settings().await.unwrap();
    for weaken in weaker {
        let mut next = shown.settings;
        weaken(&mut next);
        let refused = desk.change_settings(shown.version, &next, LockOuts::Accept).await;
        assert_eq!(refusal(refused), Reason::ReauthenticationRequired, "{next:?}");
    }
    assert_eq!(desk.settings().await.unwrap(), shown);
    // What protects more can be done from an old session.
    let mut next = shown.settings;
    next.lockout = Some(lockout(3, 60, 120));
    desk.change_settings(shown.version, &next, LockOuts::Refuse).await.unwrap();
    // But for what ends something that people have.
    let shown = desk.settings().await.unwrap();
    let mut next = shown.settings;
    next.trusted_devices = TrustedDevices::Off;
    let refused = desk.change_settings(shown.version, &next, LockOuts::Accept).await;
    assert_eq!(refusal(refused), Reason::ReauthenticationRequired);

    // And each weakening from a fresh one, with an alert.
    for weaken in weaker {
        let world = World::with(|b| any_lockout(b).trusted_devices(30 * DAY, 3)).await;
        change(&world, strict).await;
        let desk = self::desk(&world).await;
        let shown = desk.settings().await.unwrap();
        let mut next = shown.settings;
        weaken(&mut next);
        world.events.clear();
        desk.change_settings(shown.version, &next, LockOuts::Refuse).await.unwrap();
        let kinds = world.events.kinds();
        let [kind] = &kinds[..] else { panic!("one event") };
        assert_eq!(kind.severity(), Severity::Alert, "{kind:?}");
        match kind {
            EventKind::SettingsChanged { from, to, weakens, .. } => {
                assert_eq!((from, to, *weakens), (&shown.settings, &next, true));
            }
            EventKind::ScopeChanged { from, to, .. } => {
                assert_eq!((*from, *to), (shown.settings.scope, next.scope));
            }
            kind => panic!("{kind:?}"),
        }
    }
}

/// I-50: a method that the tenant does not allow completes no login, also one under way. Attack
/// class: a method that is forbidden in the middle of a login.
#[tokio::test]
async fn a_forbidden_method_completes_no_login() {
    let world = World::new().await;
    world.choose_sms("alice", "+819012345634").await;
    world.wait_for_the_spacing();
    let pending = world.begin("alice").await;
    let code = world.last_code();
    change(&world, |settings| settings.methods = Methods::only(Method::Email)).await;
    let step = world.submit(&pending.token, &code).await;
    assert_eq!(reason(&step), Reason::NoLiveCode);
    assert_eq!(world.saved_wrong_codes(&world.alice), 0, "nothing was compared");
    world.wait_for_the_spacing();
    let again = world.resend_to(&pending.token, ResendTo::Sms).await;
    assert_eq!(reason(&again), Reason::MethodNotAllowed);
    // Another code goes to the other place by itself, and the login goes on with it.
    let again = challenge(world.resend_to(&pending.token, ResendTo::Same).await);
    assert_eq!(again.delivery.sent().unwrap().method, Method::Email);
    assert!(again.alternatives.sms.is_none());
    let done = authenticated(world.submit(&pending.token, &world.last_code()).await);
    // Nothing is forgotten: the number is there when the method is allowed again.
    let status = world.request().account(&done.grant).status().await.unwrap();
    assert_eq!(status.method, Method::Email);
    assert!(status.phone.is_some());
    change(&world, |settings| settings.methods = Methods::default()).await;
    world.wait_for_the_spacing();
    let next = world.begin("alice").await;
    assert_eq!(next.delivery.sent().unwrap().method, Method::Sms);
}

/// I-50: no number is proved for a method that is forbidden, also where that began before.
#[tokio::test]
async fn a_forbidden_method_is_not_set_up() {
    let world = World::new().await;
    let grant = world.sign_in("alice").await.grant;
    let account = world.request().account(&grant);
    let number = countersign::contact::PhoneNumber::new("+819012345634").unwrap();
    world.wait_for_the_spacing();
    let setup = account.use_sms(&number).await.unwrap();
    let code = world.last_code().as_str().into();
    change(&world, |settings| settings.methods = Methods::only(Method::Email)).await;
    assert_eq!(
        refusal(account.confirm_method(&setup.token, &code).await),
        Reason::MethodNotAllowed
    );
    let sent = world.outbox.attempts();
    world.wait_for_the_spacing();
    assert_eq!(refusal(account.use_sms(&number).await), Reason::MethodNotAllowed);
    assert_eq!(world.outbox.attempts(), sent);
    assert!(world.record(&world.alice)["sms"].is_null());
}

/// A user without any allowed destination can't log in, and gets the reason for it.
#[tokio::test]
async fn where_no_allowed_method_leads_anywhere_nobody_comes_in() {
    let world = World::new().await;
    change(&world, |settings| settings.methods = Methods::only(Method::Sms)).await;
    let step = world.try_begin("alice", PASSWORD).await;
    assert_eq!(reason(&step), Reason::NoDestination);
    assert_eq!(world.outbox.attempts(), 0);
}

/// I-30, I-50: forbidding a method ends the devices that may have been registered with its codes,
/// and they do not come back.
#[tokio::test]
async fn forbidding_a_method_ends_trusted_devices() {
    let world = World::with(|b| b.trusted_devices(30 * DAY, 3)).await;
    let device = world.sign_in_and_trust("alice", "laptop").await.device_token.unwrap();
    change(&world, |settings| settings.methods = Methods::only(Method::Email)).await;
    world.wait_for_the_spacing();
    let step = world.begin_with_device("alice", &device).await;
    assert!(matches!(step, LoginStep::CodeRequired(_)));
    change(&world, |settings| settings.methods = Methods::default()).await;
    world.wait_for_the_spacing();
    let step = world.begin_with_device("alice", &device).await;
    assert!(matches!(step, LoginStep::CodeRequired(_)));
    assert_eq!(world.record(&world.alice)["devices"], serde_json::Value::Null);
}

/// I-42, I-30: devices that were switched off are asked for a code, also after they are switched on
/// again; a device of the time after that works, in the very same millisecond.
#[tokio::test]
async fn devices_that_were_switched_off_do_not_come_back() {
    let world = World::with(|b| b.trusted_devices(30 * DAY, 3)).await;
    let done = world.sign_in_and_trust("alice", "laptop").await;
    let (grant, device) = (done.grant, done.device_token.unwrap());
    change(&world, |settings| settings.trusted_devices = TrustedDevices::Off).await;
    assert_eq!(world.request().account(&grant).status().await.unwrap().devices, []);
    world.wait_for_the_spacing();
    let pending = challenge(world.begin_with_device("alice", &device).await);
    assert!(!pending.trust_device);
    // A page that still offers it gets no device, and the code is not wasted.
    let code = world.last_code().as_str().into();
    let trust = TrustDevice::Named("laptop");
    let step = world.request().submit_code(&pending.token, &code, trust).await.unwrap();
    assert!(authenticated(step).device_token.is_none());

    world.wait_for_the_spacing();
    change(&world, |settings| settings.trusted_devices = TrustedDevices::AsApplication).await;
    change(&world, |settings| settings.trusted_devices = TrustedDevices::Off).await;
    change(&world, |settings| settings.trusted_devices = TrustedDevices::AsApplication).await;
    let pending = challenge(world.begin_with_device("alice", &device).await);
    assert!(pending.trust_device);
    let code = world.last_code().as_str().into();
    let step = world.request().submit_code(&pending.token, &code, trust).await.unwrap();
    let fresh = authenticated(step).device_token.unwrap();
    let step = world.begin_with_device("alice", &fresh).await;
    assert!(matches!(step, LoginStep::Authenticated(_)));
}

/// I-42: fewer devices and a shorter trust hold for what was registered before.
#[tokio::test]
async fn a_shorter_trust_holds_for_devices_that_are_there() {
    let world = World::with(|b| b.trusted_devices(30 * DAY, 3)).await;
    let device = world.sign_in_and_trust("alice", "laptop").await.device_token.unwrap();
    change(&world, |settings| {
        settings.trusted_devices = TrustedDevices::AtMost { lifetime: 2 * DAY, per_user: 1 };
    })
    .await;
    world.clock.advance(2 * DAY - MINUTE);
    assert!(matches!(world.begin_with_device("alice", &device).await, LoginStep::Authenticated(_)));
    world.clock.advance(MINUTE);
    assert!(matches!(world.begin_with_device("alice", &device).await, LoginStep::CodeRequired(_)));
}

/// I-42: backup codes that were switched off let nobody in, in logins under way neither, and do not
/// come back.
#[tokio::test]
async fn backup_codes_that_were_switched_off_do_not_come_back() {
    let world = World::new().await;
    let backup = world.make_backup_code("alice").await;
    world.wait_for_the_spacing();
    let pending = world.begin("alice").await;
    assert!(pending.alternatives.backup_code);
    change(&world, |settings| settings.backup_codes = false).await;
    assert_eq!(reason(&world.submit_backup(&pending.token, &backup).await), Reason::BackupCodesOff);
    let done = authenticated(world.submit(&pending.token, &world.last_code()).await);
    let account = world.request().account(&done.grant);
    assert_eq!(refusal(account.new_backup_code().await), Reason::BackupCodesOff);
    change(&world, |settings| settings.backup_codes = true).await;
    world.wait_for_the_spacing();
    change(&world, |settings| settings.backup_codes = false).await;
    change(&world, |settings| settings.backup_codes = true).await;
    let pending = world.begin("alice").await;
    assert!(!pending.alternatives.backup_code);
    assert_eq!(reason(&world.submit_backup(&pending.token, &backup).await), Reason::NoBackupCode);
    let fresh = account.new_backup_code().await.unwrap();
    let step = world.submit_backup(&pending.token, fresh.expose()).await;
    assert!(authenticated(step).backup_code.is_some());
}

/// The off switch does what it did: everything saved goes, the tenant's own settings stay.
#[tokio::test]
async fn switching_off_keeps_the_tenants_own_settings() {
    let world = World::lenient().await;
    let settings = change(&world, |settings| settings.lockout = Some(lockout(3, 60, 120))).await;
    world.make_backup_code("alice").await;
    assert_eq!(desk(&world).await.saved_users().await.unwrap(), 2);
    world.set_scope(Scope::DoNotUse).await;
    let operator = world.flow.operator("test").unwrap();
    let shown = operator.settings(&world.acme).await.unwrap();
    let mut expected = settings;
    expected.scope = Scope::DoNotUse;
    assert_eq!(shown.settings, expected);
    let status = operator.status(&world.acme, &world.alice).await.unwrap().unwrap();
    assert!(status.backup_code_made_at.is_none());
}

/// Where single sign-on was the last that asked anybody, switching it off deletes what was saved.
#[tokio::test]
async fn switching_the_last_one_off_deletes_what_was_saved() {
    let world = World::new().await;
    world.make_backup_code("root").await;
    change(&world, |settings| settings.single_sign_on = SingleSignOn::SystemAdministrators).await;
    world.set_scope(Scope::DoNotUse).await;
    let row = world.settings_row(&world.acme).unwrap();
    change(&world, |settings| settings.single_sign_on = SingleSignOn::Exempt).await;
    let now = world.settings_row(&world.acme).unwrap();
    assert!(row.generation < now.generation);
    // While the scope is in use nothing is deleted by it.
    world.set_scope(Scope::EntireTenant).await;
    change(&world, |settings| settings.single_sign_on = SingleSignOn::SystemAdministrators).await;
    change(&world, |settings| settings.single_sign_on = SingleSignOn::Exempt).await;
    assert_eq!(world.settings_row(&world.acme).unwrap().generation, now.generation);
}

/// A change that would lock people out is refused unless it is confirmed; so it is where nobody can
/// tell.
#[tokio::test]
async fn locking_people_out_must_be_confirmed() {
    let only_sms = |mut settings: TenantSettings| {
        settings.methods = Methods::only(Method::Sms);
        settings
    };
    let unknown = World::new().await;
    unknown.choose_sms("root", "+819012345634").await;
    unknown.wait_for_the_spacing();
    let desk_without = desk(&unknown).await;
    let shown = desk_without.settings().await.unwrap();
    let next = only_sms(shown.settings);
    let refused = desk_without.change_settings(shown.version, &next, LockOuts::Refuse).await;
    assert_eq!(refusal(refused), Reason::WouldLockOut);

    let world = World::with_directory().await;
    for (name, number) in [("root", "+819012345634"), ("alice", "+819012345635")] {
        world.choose_sms(name, number).await;
        world.wait_for_the_spacing();
    }
    let desk = desk(&world).await;
    let shown = desk.settings().await.unwrap();
    let refused = desk.change_settings(shown.version, &next, LockOuts::Refuse).await;
    assert_eq!(refusal(refused), Reason::WouldLockOut, "bob has no number");
    assert_eq!(desk.settings().await.unwrap(), shown);
    world.users.remove(&world.acme, &world.bob);
    desk.change_settings(shown.version, &next, LockOuts::Refuse).await.unwrap();
    assert_eq!(desk.settings().await.unwrap().settings, next);
    desk_without
        .change_settings(desk_without.settings().await.unwrap().version, &next, LockOuts::Accept)
        .await
        .unwrap();
    // Nobody locks themselves out, confirmed or not.
    let world = World::new().await;
    let desk = self::desk(&world).await;
    let shown = desk.settings().await.unwrap();
    let refused = desk.change_settings(shown.version, &next, LockOuts::Accept).await;
    assert_eq!(refusal(refused), Reason::NoDestination);
}

/// I-34: settings are for administrators, and looked at anew at each call.
#[tokio::test]
async fn settings_are_for_administrators() {
    let world = World::with_directory().await;
    let desk = desk(&world).await;
    let shown = desk.settings().await.unwrap();
    world.change(&world.root, |user| user.system_administrator = false);
    world.calls.clear();
    assert_eq!(refusal(desk.settings().await), Reason::NotFound);
    let changed = desk.change_settings(shown.version, &shown.settings, LockOuts::Refuse).await;
    assert_eq!(refusal(changed), Reason::NotFound);
    assert_eq!(refusal(desk.people(None, 10).await), Reason::NotFound);
    let rehearsed = desk.rehearse(&shown.settings, countersign::Rehearsal::default(), 10).await;
    assert_eq!(refusal(rehearsed), Reason::NotFound);
    assert_eq!((world.calls.of("load_many"), world.calls.of("change_settings")), (0, 0));
}

/// What a builder allows its tenants must be sound, too.
#[test]
fn a_builder_refuses_unsound_bounds() {
    let world = World::off();
    let build = |least, most, shortest, longest| {
        let built = world.flow_over(world.factors.clone(), |b| {
            b.tenant_lockout(least..=most, MINUTE * shortest..=MINUTE * longest)
        });
        built.map(|_| ()).map_err(|error| error.cause().to_string())
    };
    assert_eq!(build(1, 20, 1, 43_200), Ok(()));
    for (least, most, shortest, longest) in [
        (0, 5, 5, 60),
        (5, 4, 5, 60),
        (3, 21, 5, 60),
        (3, 10, 0, 60),
        (3, 10, 61, 60),
        (3, 5, 5, 43_201),
    ] {
        let refused = build(least, most, shortest, longest).unwrap_err();
        assert!(refused.starts_with("`tenant_lockout` must be from"), "{refused}");
    }
    let none = {
        let mut none = Methods::only(Method::Email);
        none.email = false;
        none
    };
    let refused = world.flow_over(world.factors.clone(), |b| b.methods(none)).unwrap_err();
    assert_eq!(refused.cause().to_string(), ConfigError::NoMethod.to_string());
}

/// I-23, I-41: settings that cannot be read fail every step, and are not taken for the default
/// ones.
#[tokio::test]
async fn settings_that_can_not_be_read_fail_closed() {
    for document in [
        r#"{"format":1,"scope":"do_not_use","backup_codes_off":true}"#,
        r#"{"format":3,"scope":"do_not_use"}"#,
        r#"{"format":2,"scope":"do_not_use","passkeys":true}"#,
        r#"{"format":2,"scope":"do_not_use","methods":{"email":true}}"#,
        r#"{"format":2,"scope":"do_not_use","methods":{"email":true,"sms":true,"passkey":true}}"#,
        r#"{"format":2,"scope":"do_not_use","trusted_devices":{"use":"off","passkeys":true}}"#,
        r#"{"format":2,"scope":"do_not_use","trusted_devices":{"use":"as_application","at":1}}"#,
        r#"{"format":0,"scope":"do_not_use"}"#,
    ] {
        let world = World::off();
        world.plant_settings(&world.acme, document);
        let step = world.begin_as(&world.acme, "alice", PASSWORD, Channel::Web, None).await;
        assert!(
            matches!(step, Err(Error::Corrupt(_) | Error::UnsupportedFormat { .. })),
            "{document}: {step:?}"
        );
        let operator = world.flow.operator("test").unwrap();
        assert!(operator.settings(&world.acme).await.is_err());
        let set = operator.set_scope(&world.acme, Scope::EntireTenant).await;
        assert!(set.is_err(), "{document}");
    }
}

/// I-42, I-08: what an end covers is never taken back by a later one, whatever the clock says.
#[tokio::test]
async fn an_end_under_a_clock_that_is_behind_ends_what_came_before() {
    let world = World::with(|b| b.trusted_devices(30 * DAY, 3)).await;
    // The first end, by a clock that is ahead by a day; then it is right again.
    world.clock.advance(DAY);
    change(&world, |settings| settings.trusted_devices = TrustedDevices::Off).await;
    change(&world, |settings| settings.backup_codes = false).await;
    world.clock.set(world.now() - DAY);
    change(&world, |settings| settings.trusted_devices = TrustedDevices::AsApplication).await;
    change(&world, |settings| settings.backup_codes = true).await;
    let device = world.sign_in_and_trust("alice", "laptop").await.device_token.unwrap();
    world.wait_for_the_spacing();
    assert!(matches!(world.begin_with_device("alice", &device).await, LoginStep::Authenticated(_)));
    let backup = world.make_backup_code("alice").await;
    for round in 0..2 {
        change(&world, |settings| settings.methods.sms = round == 1).await;
        change(&world, |settings| settings.backup_codes = round == 1).await;
    }
    world.wait_for_the_spacing();
    let pending = challenge(world.begin_with_device("alice", &device).await);
    assert_eq!(reason(&world.submit_backup(&pending.token, &backup).await), Reason::NoBackupCode);
}

/// I-42: a device whose trust was cut short does not come back when trust is longer again.
#[tokio::test]
async fn trust_that_was_cut_short_does_not_come_back() {
    let world = World::with(|b| b.trusted_devices(30 * DAY, 3)).await;
    let device = world.sign_in_and_trust("alice", "laptop").await.device_token.unwrap();
    world.clock.advance(2 * DAY);
    let short = TrustedDevices::AtMost { lifetime: DAY, per_user: 3 };
    change(&world, |settings| settings.trusted_devices = short).await;
    change(&world, |settings| settings.trusted_devices = TrustedDevices::AsApplication).await;
    let _pending = challenge(world.begin_with_device("alice", &device).await);
}

/// I-42: fewer devices hold for those that are there: the newest count.
#[tokio::test]
async fn fewer_devices_hold_for_those_that_are_there() {
    let world = World::with(|b| b.trusted_devices(30 * DAY, 3)).await;
    let first = world.sign_in_and_trust("alice", "first").await.device_token.unwrap();
    world.wait_for_the_spacing();
    let second = world.sign_in_and_trust("alice", "second").await.device_token.unwrap();
    let one = TrustedDevices::AtMost { lifetime: 30 * DAY, per_user: 1 };
    change(&world, |settings| settings.trusted_devices = one).await;
    let step = world.begin_with_device("alice", &second).await;
    assert!(matches!(step, LoginStep::Authenticated(_)));
    world.wait_for_the_spacing();
    let _pending = challenge(world.begin_with_device("alice", &first).await);
    // It was not ended: it counts again when more are allowed.
    change(&world, |settings| settings.trusted_devices = TrustedDevices::AsApplication).await;
    world.wait_for_the_spacing();
    let step = world.begin_with_device("alice", &first).await;
    assert!(matches!(step, LoginStep::Authenticated(_)));
}

/// I-42: what the tenant ends is ended, also while the application happens not to offer it.
#[tokio::test]
async fn an_end_counts_while_the_application_offers_nothing() {
    let world = World::with(|b| b.trusted_devices(30 * DAY, 3)).await;
    let device = world.sign_in_and_trust("alice", "laptop").await.device_token.unwrap();
    let backup = world.make_backup_code("alice").await;
    let without = world.flow_over(world.factors.clone(), |b| b.backup_codes(false)).unwrap();
    let operator = without.operator("test").unwrap();
    for on in [false, true] {
        let shown = operator.settings(&world.acme).await.unwrap();
        let mut next = shown.settings;
        next.backup_codes = on;
        next.trusted_devices = if on { TrustedDevices::AsApplication } else { TrustedDevices::Off };
        operator.change_settings(&world.acme, shown.version, &next).await.unwrap();
    }
    world.wait_for_the_spacing();
    let pending = challenge(world.begin_with_device("alice", &device).await);
    assert_eq!(reason(&world.submit_backup(&pending.token, &backup).await), Reason::NoBackupCode);
}

/// I-42: without a frame of the application's own a tenant can only be stricter than it.
#[tokio::test]
async fn by_default_a_tenant_is_only_ever_stricter() {
    let world = World::off();
    let flow = countersign::LoginFlow::builder(
        world.users.clone(),
        world.factors.clone(),
        world.outbox.clone(),
    )
    .max_wrong_codes(2)
    .lockout(MINUTE * 30, 2 * DAY)
    .build()
    .unwrap();
    let operator = flow.operator("test").unwrap();
    let shown = operator.settings(&world.acme).await.unwrap();
    for (wrong_codes, first, longest, refused) in [
        (3, 30, 2880, Some("lockout.wrong_codes")),
        (2, 29, 2880, Some("lockout.first")),
        (2, 30, 2879, Some("lockout.longest")),
        (2, 60, 2880, None),
    ] {
        let mut next = shown.settings;
        next.lockout = Some(lockout(wrong_codes, first, longest));
        let changed = operator.change_settings(&world.acme, shown.version, &next).await;
        let reason = changed.err().map(|error| error.denied().unwrap().reason());
        match (reason, refused) {
            (Some(Reason::InvalidSettings(error)), Some(name)) => assert_eq!(error.setting(), name),
            (None, None) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// I-10: lowering the number of wrong codes is no way around the lock: what was charged counts.
#[tokio::test]
async fn lowering_the_number_of_wrong_codes_dodges_no_lock() {
    let world = World::lenient().await;
    change(&world, |settings| settings.lockout = Some(lockout(10, 60, 120))).await;
    let pending = world.begin("alice").await;
    for _ in 0..9 {
        let _ = world.submit(&pending.token, &world.wrong_code()).await;
    }
    change(&world, |settings| settings.lockout = Some(lockout(8, 60, 120))).await;
    world.wait_for_the_spacing();
    let pending = world.begin("alice").await;
    assert_eq!(pending.attempts_left, 1);
    let step = world.submit(&pending.token, &world.wrong_code()).await;
    assert_eq!(step.denied().unwrap().retry_at(), Some(world.now() + MINUTE * 60));
    // After that lock, and after one that an administrator has lifted, it takes eight again.
    world.clock.advance(MINUTE * 60);
    let pending = world.begin("alice").await;
    assert_eq!(pending.attempts_left, 6, "the remainder of ten, of which eight lock");
}

/// A scope is changed although numbers that were saved before are too lenient by now.
#[tokio::test]
async fn a_scope_is_not_held_up_by_old_numbers() {
    let world = World::lenient().await;
    change(&world, |settings| settings.lockout = Some(lockout(10, 60, 120))).await;
    let root = world.root_grant().await;
    let flow = world
        .flow_over(world.factors.clone(), |b| b.tenant_lockout(3..=4, MINUTE * 5..=DAY))
        .unwrap();
    let request = flow.request(&world.acme, &countersign::RequestContext::new());
    let desk = request.administration(&root).await.unwrap();
    let operator = flow.operator("test").unwrap();
    for by_operator in [false, true] {
        let shown = desk.settings().await.unwrap();
        let mut next = shown.settings;
        next.scope = Scope::SystemAdministratorsOnly;
        if by_operator {
            next.scope = Scope::EntireTenant;
            operator.change_settings(&world.acme, shown.version, &next).await.unwrap();
        } else {
            desk.change_settings(shown.version, &next, LockOuts::Refuse).await.unwrap();
        }
        // With anything else they are looked at.
        let shown = desk.settings().await.unwrap();
        let mut next = shown.settings;
        next.backup_codes = false;
        let refused = if by_operator {
            operator.change_settings(&world.acme, shown.version, &next).await
        } else {
            desk.change_settings(shown.version, &next, LockOuts::Refuse).await
        };
        assert!(matches!(refusal(refused), Reason::InvalidSettings(_)));
    }
}
