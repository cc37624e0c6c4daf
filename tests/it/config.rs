//! The configuration: defaults that are pinned by what they do, and numbers that are refused.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unchecked_time_subtraction
)]

use std::time::Duration;

use crate::support::*;
use countersign::Pepper;
use countersign::contact::PhoneNumber;
use countersign::sender::SendErrorKind;
use countersign::{
    ConfigError, DeliveryStatus, Denied, LoginFlow, LoginFlowBuilder, LoginStep, Method, Reason,
    ResendTo, TrustDevice,
};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(60 * 60);

fn build(
    configure: impl FnOnce(LoginFlowBuilder) -> LoginFlowBuilder,
) -> Result<LoginFlow, ConfigError> {
    let world_free = LoginFlow::builder(
        countersign::memory::MemoryUsers::new(),
        countersign::memory::MemoryFactors::new(),
        Outbox::default(),
    );
    configure(world_free).build()
}

/// The setting that a refusal names.
#[track_caller]
fn refused(configure: impl FnOnce(LoginFlowBuilder) -> LoginFlowBuilder) -> &'static str {
    match build(configure) {
        Err(error @ (ConfigError::Count { setting, .. } | ConfigError::Time { setting, .. })) => {
            assert!(error.to_string().contains(&format!("`{setting}`")));
            setting
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_defaults_are_accepted() {
    assert!(build(|b| b).is_ok());
}

#[test]
fn each_count_is_refused_outside_its_bounds_by_its_name() {
    for digits in [0, 5, 11, u32::MAX] {
        assert_eq!(refused(|b| b.code_digits(digits)), "code_digits");
    }
    for digits in 6..=10 {
        assert!(build(|b| b.code_digits(digits)).is_ok());
    }
    for (number, ok) in [(0, false), (1, false), (2, true), (16, true), (17, false)] {
        assert_eq!(build(|b| b.pending_logins(number)).is_ok(), ok);
    }
    assert_eq!(refused(|b| b.pending_logins(0)), "pending_logins");
    for (number, ok) in [(0, false), (1, true), (20, true), (21, false)] {
        assert_eq!(build(|b| b.max_wrong_codes(number)).is_ok(), ok);
    }
    assert_eq!(refused(|b| b.max_wrong_codes(21)), "max_wrong_codes");
    assert_eq!(refused(|b| b.rolling_wrong_code_limit(4)), "rolling_wrong_code_limit");
    assert_eq!(
        refused(|b| b.rolling_wrong_code_limit(101).code_digits(8)),
        "rolling_wrong_code_limit"
    );
    assert!(build(|b| b.rolling_wrong_code_limit(5)).is_ok());
    assert_eq!(refused(|b| b.refills_per_month(11).code_digits(8)), "refills_per_month");
    assert!(build(|b| b.refills_per_month(10).code_digits(8)).is_ok());
    // I-11: at most 100, and not less than what locks.
    assert_eq!(refused(|b| b.suspend_after(4)), "suspend_after");
    assert_eq!(refused(|b| b.suspend_after(101)), "suspend_after");
    assert!(build(|b| b.suspend_after(100)).is_ok());
    for (number, ok) in [(2, false), (3, true), (100, true), (101, false)] {
        assert_eq!(build(|b| b.wrong_passwords(number)).is_ok(), ok);
    }
    assert_eq!(refused(|b| b.wrong_passwords(2)), "wrong_passwords");
    assert_eq!(refused(|b| b.sends_per_day(101)), "sends_per_day");
    assert_eq!(refused(|b| b.sends_per_day(0)), "sends_per_day");
    assert_eq!(refused(|b| b.sends_per_hour(21)), "sends_per_hour");
    assert_eq!(refused(|b| b.sends_per_hour(0)), "sends_per_hour");
    assert_eq!(refused(|b| b.sends_per_login(11)), "sends_per_login");
    assert_eq!(refused(|b| b.sends_per_login(0)), "sends_per_login");
    assert_eq!(refused(|b| b.sends_per_hour(4)), "sends_per_login");
    assert_eq!(refused(|b| b.trusted_devices(DAY, 0)), "trusted_devices");
    assert_eq!(refused(|b| b.trusted_devices(DAY, 33)), "trusted_devices");
}

#[test]
fn each_time_is_refused_outside_its_bounds_by_its_name() {
    // I-07: at most 600 seconds.
    for (ttl, ok) in [
        (Duration::ZERO, false),
        (30 * SECOND - MILLISECOND, false),
        (30 * SECOND, true),
        (600 * SECOND, true),
        (600 * SECOND + MILLISECOND, false),
        (Duration::MAX, false),
    ] {
        assert_eq!(build(|b| b.code_ttl(ttl)).is_ok(), ok, "{ttl:?}");
    }
    assert_eq!(refused(|b| b.code_ttl(Duration::MAX)), "code_ttl");
    assert_eq!(refused(|b| b.login_ttl(179 * SECOND)), "login_ttl");
    assert_eq!(refused(|b| b.login_ttl(HOUR + MILLISECOND)), "login_ttl");
    assert_eq!(refused(|b| b.lockout(59 * SECOND, HOUR)), "lockout");
    assert_eq!(refused(|b| b.lockout(HOUR, HOUR - MILLISECOND)), "lockout");
    assert_eq!(refused(|b| b.lockout(HOUR, 30 * DAY + MILLISECOND)), "lockout");
    assert!(build(|b| b.lockout(MINUTE, MINUTE)).is_ok());
    // I-13: anybody can cause it, so it is short.
    assert_eq!(refused(|b| b.password_lock(Duration::ZERO, MINUTE)), "password_lock");
    assert_eq!(refused(|b| b.password_lock(MINUTE, HOUR + MILLISECOND)), "password_lock");
    assert_eq!(refused(|b| b.password_lock(MINUTE, SECOND)), "password_lock");
    assert_eq!(refused(|b| b.send_spacing(9 * SECOND)), "send_spacing");
    assert_eq!(refused(|b| b.send_spacing(181 * SECOND)), "send_spacing");
    assert_eq!(refused(|b| b.session_lifetime(59 * SECOND)), "session_lifetime");
    assert_eq!(refused(|b| b.session_lifetime(400 * DAY + MILLISECOND)), "session_lifetime");
    assert_eq!(refused(|b| b.clock_tolerance(61 * SECOND)), "clock_tolerance");
    assert_eq!(refused(|b| b.recent_login(59 * SECOND)), "recent_login");
    assert_eq!(refused(|b| b.recent_login(DAY + SECOND)), "recent_login");
    assert_eq!(refused(|b| b.trusted_devices(HOUR - SECOND, 3)), "trusted_devices");
    assert_eq!(refused(|b| b.trusted_devices(90 * DAY + SECOND, 3)), "trusted_devices");
    assert!(build(|b| b.trusted_devices(90 * DAY, 32)).is_ok());
}

/// I-12: what a patient attacker who knows the password may try in a year, against the number of
/// codes; also one who resets the user as often as refills the budget.
#[test]
fn a_configuration_in_which_guessing_is_too_likely_is_refused() {
    let too_likely = |guesses_per_year| {
        Some(ConfigError::GuessingTooLikely { guesses_per_year, codes: 1_000_000 })
    };
    for (refills, most) in [(0, 71), (1, 35), (2, 23), (3, 17), (10, 6)] {
        let with = |month: u32| {
            build(move |b| b.refills_per_month(refills).rolling_wrong_code_limit(month))
        };
        assert!(with(most).is_ok(), "{refills} refills");
        let guesses = u64::from(most + 1) * 14 * u64::from(refills + 1);
        assert_eq!(with(most + 1).err(), too_likely(guesses), "{refills} refills");
        assert!(guesses > 1_000);
    }
    assert!(build(|b| b.rolling_wrong_code_limit(100).code_digits(7)).is_ok());
    let said = too_likely(1_008).unwrap().to_string();
    for setting in ["`code_digits`", "`rolling_wrong_code_limit`", "`refills_per_month`"] {
        assert!(said.contains(setting), "{said}");
    }
    // The default: 20 in 30 days, two refills: 840 guesses a year, 1 in 1,190.
    assert!(
        build(|b| b.refills_per_month(3)).is_err() && build(|b| b.refills_per_month(2)).is_ok()
    );
    assert_eq!(build(|b| b.refills_per_month(3)).err(), too_likely(20 * 14 * 4));
}

#[test]
fn two_peppers_of_one_name_are_refused() {
    let pepper = |id| Pepper::new(id, vec![1; 32]).unwrap();
    assert!(
        build(|b| b.pepper(pepper("a")).previous_pepper(pepper("b")).previous_pepper(pepper("c")))
            .is_ok()
    );
    for configure in [
        build(|b| b.pepper(pepper("a")).previous_pepper(pepper("a"))),
        build(|b| {
            b.previous_pepper(pepper("b")).previous_pepper(pepper("a")).previous_pepper(pepper("b"))
        }),
    ] {
        assert_eq!(configure.err(), Some(ConfigError::DuplicatePepper));
    }
    for (id, key) in [("", 32), ("a b", 32), ("ninechars", 32), ("k1", 31), ("k1", 65), ("ü", 32)]
    {
        assert!(Pepper::new(id, vec![1; key]).is_err());
    }
}

/// I-19.
#[test]
fn a_generator_that_fails_at_the_start_is_refused() {
    struct Broken;
    impl countersign::entropy::Entropy for Broken {
        fn fill(&self, _: &mut [u8]) -> Result<(), countersign::error::PluginError> {
            Err(countersign::error::PluginError::new("broken"))
        }
    }
    assert_eq!(build(|b| b.entropy(Broken)).err(), Some(ConfigError::NoRandomness));
}

#[tokio::test]
async fn by_default_a_code_has_six_digits_and_lives_three_minutes_in_a_login_of_ten() {
    let world = World::new().await;
    let challenge = world.begin("alice").await;
    let now = countersign::clock::Clock::now(&world.clock).unwrap();
    assert_eq!((challenge.digits, world.last_code().len()), (6, 6));
    assert_eq!(challenge.delivery.sent().unwrap().expires_at - now, 3 * MINUTE);
    assert_eq!(challenge.login_expires_at - now, 10 * MINUTE);
    assert_eq!(challenge.resend_at.unwrap() - now, 30 * SECOND);
    world.clock.advance(3 * MINUTE);
    assert_eq!(
        reason(&world.submit(&challenge.token, &world.last_code()).await),
        Reason::NoLiveCode
    );
    world.clock.advance(7 * MINUTE - MILLISECOND);
    assert_eq!(reason(&world.submit(&challenge.token, "123456").await), Reason::NoLiveCode);
    world.clock.advance(MILLISECOND);
    assert_eq!(reason(&world.submit(&challenge.token, "123456").await), Reason::LoginOver);
}

#[tokio::test]
async fn by_default_five_wrong_codes_lock_for_a_quarter_of_an_hour_and_doubling_up_to_a_day() {
    // Without the suspension at 30 and the monthly budget, the doubling goes on to its end.
    let world =
        World::with(|b| b.suspend_after(100).rolling_wrong_code_limit(100).code_digits(7)).await;
    for minutes in [15, 30, 60, 120, 240, 480, 960, 1440, 1440] {
        let challenge = world.begin("alice").await;
        assert_eq!(challenge.attempts_left, 5);
        let mut last: Option<Denied> = None;
        for _ in 0..5 {
            last = Some(denied(&world.submit(&challenge.token, &world.wrong_code7()).await));
        }
        let now = countersign::clock::Clock::now(&world.clock).unwrap();
        assert_eq!(last.unwrap().retry_at().unwrap() - now, minutes * MINUTE);
        world.clock.advance(minutes * MINUTE);
    }
}

trait SevenDigits {
    fn wrong_code7(&self) -> String;
}

impl SevenDigits for World {
    fn wrong_code7(&self) -> String {
        let right: u32 = self.last_code().parse().unwrap();
        format!("{:07}", (right + 1) % 10_000_000)
    }
}

#[tokio::test]
async fn by_default_20_wrong_codes_in_30_days_and_30_in_a_row_are_the_end() {
    let world = World::new().await;
    let began = countersign::clock::Clock::now(&world.clock).unwrap();
    for _ in 0..20 {
        let challenge = world.begin("alice").await;
        let _ = world.submit(&challenge.token, &world.wrong_code()).await;
        world.clock.advance(2 * HOUR);
        let _done = world.sign_in_if_open("alice").await;
        world.clock.advance(2 * HOUR);
    }
    let locked = denied(&world.try_begin("alice", PASSWORD).await);
    assert_eq!((locked.reason(), locked.retry_at()), (Reason::CodesLocked, Some(began + 30 * DAY)));

    let world = World::new().await;
    for _ in 0..30 {
        world.clock.advance(2 * DAY);
        let challenge = world.begin("alice").await;
        let _ = world.submit(&challenge.token, &world.wrong_code()).await;
    }
    world.clock.advance(60 * DAY);
    assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::Suspended);
}

trait SignInIfOpen {
    async fn sign_in_if_open(&self, name: &str) -> Option<countersign::Authenticated>;
}

impl SignInIfOpen for World {
    async fn sign_in_if_open(&self, name: &str) -> Option<countersign::Authenticated> {
        let LoginStep::CodeRequired(challenge) = self.try_begin(name, PASSWORD).await else {
            return None;
        };
        Some(authenticated(self.submit(&challenge.token, &self.last_code()).await))
    }
}

#[tokio::test]
async fn by_default_ten_wrong_passwords_lock_for_a_minute_and_doubling_up_to_fifteen() {
    let world = World::new().await;
    for minutes in [1, 2, 4, 8, 15, 15] {
        for _ in 0..10 {
            let _ = world.try_begin("alice", "wrong").await;
        }
        world.clock.advance(minutes * MINUTE - MILLISECOND);
        assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::InvalidCredentials);
        world.clock.advance(MILLISECOND);
    }
    let _ = world.begin("alice").await;
}

#[tokio::test]
async fn by_default_four_logins_wait_at_once() {
    let world = World::new().await;
    for _ in 0..4 {
        let _ = world.begin("alice").await;
        world.wait_for_the_spacing();
    }
    assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::TooManyLogins);
    assert_eq!(world.record(&world.alice)["pending"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn by_default_codes_are_sent_5_times_a_login_10_times_an_hour_and_20_times_a_day() {
    let world = World::with(|b| b.login_ttl(HOUR)).await;
    let began = countersign::clock::Clock::now(&world.clock).unwrap();
    let limit = |step: &LoginStep| match step {
        LoginStep::CodeRequired(challenge) => match challenge.delivery {
            DeliveryStatus::NotMade { denied } => Some(denied),
            _ => None,
        },
        LoginStep::Denied(denied) => Some(*denied),
        LoginStep::Authenticated(_) => panic!(),
    };
    for round in 0..2 {
        for _ in 0..2 {
            let challenge = world.begin("alice").await;
            for _ in 0..4 {
                world.wait_for_the_spacing();
                let again = world.request().resend(&challenge.token, ResendTo::Same).await.unwrap();
                assert!(limit(&again).is_none());
            }
            world.wait_for_the_spacing();
            let more = world.request().resend(&challenge.token, ResendTo::Same).await.unwrap();
            assert_eq!(limit(&more).unwrap().reason(), Reason::LoginSendLimit);
        }
        let over = limit(&world.try_begin("alice", PASSWORD).await).unwrap();
        assert_eq!(over.reason(), Reason::SendLimit);
        if round == 0 {
            assert_eq!(over.retry_at().unwrap() - began, HOUR);
            world.clock.advance(HOUR);
        } else {
            assert_eq!(over.retry_at().unwrap() - began, DAY);
        }
    }
    assert_eq!(world.outbox.attempts(), 20);
}

#[tokio::test]
async fn by_default_changes_are_made_within_ten_minutes_devices_are_off_and_backup_codes_on() {
    let world = World::new().await;
    let grant = world.sign_in("alice").await.grant;
    world.clock.advance(10 * MINUTE - MILLISECOND);
    assert!(world.request().account(&grant).new_backup_code().await.is_ok());
    world.clock.advance(MILLISECOND);
    assert_eq!(
        refusal(world.request().account(&grant).new_backup_code().await),
        Reason::ReauthenticationRequired
    );
    let challenge = world.begin("alice").await;
    let code = world.last_code().into();
    let step = world
        .request()
        .submit_code(&challenge.token, &code, TrustDevice::Named("x"))
        .await
        .unwrap();
    assert_eq!(reason(&step), Reason::TrustedDevicesOff);
}

#[tokio::test]
async fn by_default_the_person_chooses_email_when_an_sms_fails() {
    for on in [false, true] {
        let world = World::with(|b| b.fall_back_to_email(on)).await;
        world.choose_sms("alice", PhoneNumber::new("+819012345634").unwrap().expose()).await;
        world.outbox.always(Some(Method::Sms), Delivered::Failed(SendErrorKind::Permanent));
        let before = world.charged_sends(&world.alice);
        let challenge = world.begin("alice").await;
        match &challenge.delivery {
            DeliveryStatus::Sent(code) => assert!(on && code.method == Method::Email),
            DeliveryStatus::Failed { method, error, .. } => {
                assert!(!on);
                assert_eq!((*method, *error), (Method::Sms, SendErrorKind::Permanent));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(challenge.alternatives.email.is_some(), !on);
        assert_eq!(world.charged_sends(&world.alice) - before, if on { 2 } else { 1 });
    }
}
