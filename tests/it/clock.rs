//! A clock that jumps, stands still in the wrong century, or can't be read.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unchecked_time_subtraction
)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::*;
use countersign::clock::Clock;
use countersign::contact::PhoneNumber;
use countersign::error::PluginError;
use countersign::grant::Staleness;
use countersign::status::LockState;
use countersign::{
    Channel, DeliveryStatus, Error, LoginStep, OperationError, Reason, RequestContext, ResendTo,
    RevalidateError, Scope, TrustDevice,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use time::{OffsetDateTime, UtcOffset};

const CODE_TTL: Duration = Duration::from_secs(180);
const SECOND: Duration = Duration::from_secs(1);

/// A clock that can hold any time, or none.
#[derive(Clone)]
struct AnyClock(Arc<Mutex<Option<OffsetDateTime>>>);

impl AnyClock {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Some(
            OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap(),
        ))))
    }

    fn set(&self, to: Option<OffsetDateTime>) {
        *self.0.lock().unwrap() = to;
    }

    fn time(&self) -> OffsetDateTime {
        self.now().unwrap()
    }

    fn forward(&self, by: Duration) {
        self.set(Some(self.time() + by));
    }

    fn back(&self, by: Duration) {
        self.set(Some(self.time() - by));
    }
}

impl Clock for AnyClock {
    fn now(&self) -> Result<OffsetDateTime, PluginError> {
        self.0.lock().unwrap().ok_or_else(|| PluginError::new("no time"))
    }
}

async fn world() -> (World, AnyClock) {
    let clock = AnyClock::new();
    let world = World::off_with(|b| b.clock(clock.clone()).trusted_devices(30 * DAY, 3));
    world.set_scope(Scope::EntireTenant).await;
    (world, clock)
}

async fn backup_code(world: &World, clock: &AnyClock) -> String {
    let grant = world.sign_in("alice").await.grant;
    clock.forward(30 * SECOND);
    world.request().account(&grant).new_backup_code().await.unwrap().expose().to_owned()
}

/// Years, hours and the smallest step that is not taken for the difference between two nodes.
const FAR_BACK: [Duration; 4] = [
    Duration::from_secs(31),
    Duration::from_secs(60 * 60),
    Duration::from_secs(86_400),
    Duration::from_secs(315_360_000),
];

/// I-07, I-23: nothing is decided without a time.
#[tokio::test]
async fn a_clock_that_cannot_be_used_decides_nothing() {
    let (world, clock) = world().await;
    let backup = backup_code(&world, &clock).await;
    let token = world.begin("alice").await.token;
    let code = world.last_code();
    let grant = world.root_grant().await;
    let before = (world.factors.record(&world.acme, &world.alice), world.outbox.attempts());
    let good = clock.time();
    let after_9999 = OffsetDateTime::new_in_offset(
        time::Date::MAX,
        time::Time::from_hms(23, 59, 59).unwrap(),
        UtcOffset::from_hms(-12, 0, 0).unwrap(),
    );
    let before_1970 = OffsetDateTime::UNIX_EPOCH - Duration::from_millis(1);
    let year_zero = OffsetDateTime::new_utc(time::Date::MIN, time::Time::MIDNIGHT);
    for time in [None, Some(before_1970), Some(year_zero), Some(after_9999)] {
        clock.set(time);
        let is_fault =
            |answer: Result<LoginStep, Error>| assert!(matches!(answer, Err(Error::Clock { .. })));
        let flow = &world.flow;
        is_fault(
            world.begin_as(&world.acme, "alice", PASSWORD, countersign::Channel::Web, None).await,
        );
        is_fault(
            world.begin_as(&world.acme, "alice", "wrong", countersign::Channel::Web, None).await,
        );
        is_fault(world.begin_as(&world.acme, "", PASSWORD, countersign::Channel::Web, None).await);
        is_fault(
            flow.request(&world.acme, &RequestContext::new())
                .submit_code(&token, &code.as_str().into(), TrustDevice::No)
                .await,
        );
        is_fault(
            flow.request(&world.acme, &RequestContext::new())
                .submit_backup_code(&token, &backup.as_str().into())
                .await,
        );
        is_fault(
            flow.request(&world.acme, &RequestContext::new()).resend(&token, ResendTo::Same).await,
        );
        assert!(matches!(
            flow.request(&world.acme, &RequestContext::new()).cancel(&token).await,
            Err(Error::Clock { .. })
        ));
        let revalidated = flow
            .request(&world.acme, &RequestContext::new())
            .revalidate(&grant, Channel::Web)
            .await;
        assert!(matches!(revalidated, Err(RevalidateError::Failed(Error::Clock { .. }))));
        assert!(matches!(
            flow.request(&world.acme, &RequestContext::new()).account(&grant).status().await,
            Err(OperationError::Failed(Error::Clock { .. }))
        ));
        assert!(matches!(
            flow.request(&world.acme, &RequestContext::new()).administration(&grant).await,
            Err(OperationError::Failed(Error::Clock { .. }))
        ));
        let operator = flow.operator("T-1").unwrap();
        let alice = &world.alice;
        assert!(matches!(
            operator.reset(&world.acme, alice).await,
            Err(OperationError::Failed(Error::Clock { .. }))
        ));
        assert!(matches!(
            operator.unlock(&world.acme, alice).await,
            Err(OperationError::Failed(Error::Clock { .. }))
        ));
        assert!(matches!(operator.forget(&world.acme, alice).await, Err(Error::Clock { .. })));
    }
    assert_eq!((world.factors.record(&world.acme, &world.alice), world.outbox.attempts()), before);
    clock.set(Some(good));
    let _done = authenticated(world.submit(&token, &code).await);
}

/// The first and the last millisecond that can be used.
#[tokio::test]
async fn both_ends_of_time_are_survived() {
    let end = OffsetDateTime::new_utc(
        time::Date::MAX,
        time::Time::from_hms_milli(23, 59, 59, 999).unwrap(),
    );
    for start in [OffsetDateTime::UNIX_EPOCH, end, end - SECOND, end - CODE_TTL] {
        let clock = AnyClock::new();
        let world = World::off_with(|b| b.clock(clock.clone()).trusted_devices(30 * DAY, 3));
        world.set_scope(Scope::EntireTenant).await;
        let normal = clock.time();
        clock.set(Some(start));
        let challenge = world.begin("alice").await;
        let wrong = world.wrong_code();
        for _ in 0..6 {
            let step = world.submit(&challenge.token, &wrong).await;
            assert!(denied(&step).retry_at().is_none_or(|until| until <= end));
        }
        for _ in 0..12 {
            let _ = world.try_begin("alice", "wrong").await;
        }
        let _ = world.request().resend(&challenge.token, ResendTo::Same).await.unwrap();
        let _ =
            world.flow.operator("T-1").unwrap().status(&world.acme, &world.alice).await.unwrap();
        // Back in the present, after the longest lock that there can be, the owner gets in again.
        clock.set(Some(normal + 366 * DAY));
        let _ = world.try_begin("alice", PASSWORD).await;
        clock.forward(15 * MINUTE);
        let _done = world.sign_in("alice").await;
    }
}

/// I-07.
#[tokio::test]
async fn a_code_works_until_its_last_millisecond() {
    for (after, works) in [(CODE_TTL - Duration::from_millis(1), true), (CODE_TTL, false)] {
        let (world, clock) = world().await;
        let challenge = world.begin("alice").await;
        clock.forward(after);
        let step = world.submit(&challenge.token, &world.last_code()).await;
        assert_eq!(matches!(step, LoginStep::Authenticated(_)), works);
        if !works {
            assert_eq!(reason(&step), Reason::NoLiveCode);
        }
    }
}

/// I-08: as far as two nodes may differ, logins go on, and no code lives longer for it.
#[tokio::test]
async fn a_small_step_back_ends_no_login_and_prolongs_no_code() {
    for back in [SECOND, 30 * SECOND] {
        let (world, clock) = world().await;
        let challenge = world.begin("alice").await;
        let (code, issued) = (world.last_code(), clock.time());
        clock.back(back);
        assert_eq!(
            reason(&world.submit(&challenge.token, &other_code(&code)).await),
            Reason::WrongCode
        );
        assert_eq!(
            world.record(&world.alice)["seen"],
            milliseconds(issued),
            "the record's time does not go back"
        );
        clock.set(Some(issued + CODE_TTL));
        assert_eq!(reason(&world.submit(&challenge.token, &code).await), Reason::NoLiveCode);

        let (world, clock) = self::world().await;
        let challenge = world.begin("alice").await;
        clock.back(back);
        let grant = authenticated(world.submit(&challenge.token, &world.last_code()).await).grant;
        assert!(world.request().revalidate(&grant, Channel::Web).await.is_ok());
    }
}

fn milliseconds(time: OffsetDateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap()
}

/// I-08: a larger one ends the logins under way, and a new one gets its code after the spacing at
/// the latest.
#[tokio::test]
async fn a_large_step_back_ends_logins_and_lets_new_ones_begin() {
    for back in FAR_BACK {
        let (world, clock) = world().await;
        let challenge = world.begin("alice").await;
        let code = world.last_code();
        let then = clock.time();
        clock.back(back);
        assert_eq!(reason(&world.submit(&challenge.token, &code).await), Reason::LoginOver);
        clock.set(Some(then));
        assert_eq!(
            reason(&world.submit(&challenge.token, &code).await),
            Reason::LoginOver,
            "nor is it revived"
        );

        clock.back(back);
        let challenge = world.begin("alice").await;
        assert!(challenge.delivery.sent().is_some());
        let third = world.begin("alice").await;
        let DeliveryStatus::NotMade { denied } = third.delivery else {
            panic!("the sends before count as of now")
        };
        assert!(denied.retry_at().unwrap() <= clock.time() + 30 * SECOND);
        clock.forward(30 * SECOND);
        let again = world.request().resend(&challenge.token, ResendTo::Same).await.unwrap();
        assert!(matches!(again, LoginStep::CodeRequired(_)));
        let _done = authenticated(world.submit(&challenge.token, &world.last_code()).await);
    }
}

/// I-08: what was found expired stays so, even if the clock then says that it is not.
#[tokio::test]
async fn what_was_seen_expired_is_not_revived_by_going_back() {
    for (after, seen) in [(CODE_TTL, Reason::NoLiveCode), (10 * MINUTE, Reason::LoginOver)] {
        let (world, clock) = world().await;
        let challenge = world.begin("alice").await;
        let (code, issued) = (world.last_code(), clock.time());
        clock.forward(after);
        assert_eq!(reason(&world.submit(&challenge.token, &code).await), seen);
        clock.set(Some(issued + SECOND));
        assert_eq!(reason(&world.submit(&challenge.token, &code).await), Reason::LoginOver);
    }
    let (world, clock) = world().await;
    let grant = world.sign_in("alice").await.grant;
    clock.forward(30 * SECOND);
    let number = PhoneNumber::new("+819012345634").unwrap();
    let setup = world.request().account(&grant).use_sms(&number).await.unwrap();
    let (code, issued) = (world.last_code().into(), clock.time());
    clock.forward(CODE_TTL);
    assert_eq!(
        refusal(world.request().account(&grant).confirm_method(&setup.token, &code).await),
        Reason::SetupOver
    );
    clock.set(Some(issued + SECOND));
    assert_eq!(
        refusal(world.request().account(&grant).confirm_method(&setup.token, &code).await),
        Reason::SetupOver
    );
}

/// I-08: a lock is neither lifted nor prolonged past its length.
#[tokio::test]
async fn a_step_back_leaves_a_lock_and_its_length() {
    for back in FAR_BACK {
        let (world, clock) = world().await;
        let _ = world.lock_codes("alice").await;
        for _ in 0..10 {
            let _ = world.try_begin("alice", "wrong").await;
        }
        clock.back(back);
        let operator = world.flow.operator("look").unwrap();
        let status =
            || async { operator.status(&world.acme, &world.alice).await.unwrap().unwrap() };
        let locks = status().await;
        for (lock, length) in [(locks.codes, 15 * MINUTE), (locks.passwords, MINUTE)] {
            let LockState::LockedUntil { until } = lock else { panic!("{lock:?} after {back:?}") };
            assert!(until - clock.time() <= length && until > clock.time(), "{back:?}");
        }
        assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::InvalidCredentials);
        clock.forward(15 * MINUTE);
        let locks = status().await;
        assert_eq!((locks.codes, locks.passwords), (LockState::Open, LockState::Open));
        assert_eq!(world.saved_wrong_codes(&world.alice), 5, "the counters stay");
        let _done = world.sign_in("alice").await;
    }
}

/// I-12, I-15: the rolling budget and the sends of the day are not forgotten, and bind no longer
/// than they are long.
#[tokio::test]
async fn a_step_back_forgets_no_budget_and_prolongs_none() {
    let clock = AnyClock::new();
    let world = World::off_with(|b| {
        b.clock(clock.clone()).rolling_wrong_code_limit(5).sends_per_hour(2).sends_per_login(2)
    });
    world.set_scope(Scope::EntireTenant).await;
    let challenge = world.lock_codes("alice").await;
    clock.back(365 * DAY);
    let step = world.try_begin("alice", PASSWORD).await;
    let refused = denied(&step);
    assert_eq!(
        (refused.reason(), refused.retry_at()),
        (Reason::CodesLocked, Some(clock.time() + 30 * DAY))
    );
    assert_eq!(reason(&world.submit(&challenge.token, "123456").await), Reason::LoginOver);

    let first = world.begin("bob").await;
    clock.forward(30 * SECOND);
    let _ = world.request().resend(&first.token, ResendTo::Same).await.unwrap();
    clock.back(DAY);
    let challenge = world.begin("bob").await;
    let DeliveryStatus::NotMade { denied } = challenge.delivery else { panic!() };
    assert!(denied.retry_at().unwrap() <= clock.time() + 60 * MINUTE);
    clock.forward(60 * MINUTE);
    let _ = world.begin("bob").await;
    assert_eq!(world.outbox.attempts(), 4);
}

/// I-08: sessions from the future are stale.
#[tokio::test]
async fn a_grant_from_the_future_does_not_hold() {
    let (world, clock) = world().await;
    let grant = world.sign_in("alice").await.grant;
    clock.back(30 * SECOND);
    assert!(world.request().revalidate(&grant, Channel::Web).await.is_ok());
    clock.back(SECOND);
    assert_eq!(
        world.request().revalidate(&grant, Channel::Web).await.unwrap_err().staleness(),
        Some(Staleness::ClockMoved)
    );
    assert_eq!(
        refusal(world.request().account(&grant).new_backup_code().await),
        Reason::SessionStale
    );
}

/// I-08, by chance: whatever the clock does, a code is right only within its life, never after it
/// was seen dead, and no lock outlasts its longest.
#[tokio::test]
async fn no_script_of_jumps_revives_a_code_or_stretches_a_lock() {
    for seed in 0..60 {
        let (world, clock) = world().await;
        let mut random = StdRng::seed_from_u64(seed);
        let mut login: Option<(countersign::PendingToken, String, OffsetDateTime, bool)> = None;
        for step in 0..60 {
            let jump = Duration::from_secs(match random.random_range(0..6) {
                0 => 0,
                1 => random.random_range(0..8),
                2 => random.random_range(0..200),
                3 => random.random_range(0..4_000),
                4 => 86_400 * random.random_range(0..40),
                _ => 31,
            });
            if random.random_range(0..3) == 0 && clock.time().unix_timestamp() > 100_000_000 {
                clock.back(jump);
            } else {
                clock.forward(jump);
            }
            let about = || format!("seed {seed}, step {step}");
            match (&mut login, random.random_range(0..4)) {
                (None, _) | (_, 0) => {
                    if let LoginStep::CodeRequired(challenge) =
                        world.try_begin("alice", PASSWORD).await
                        && challenge.delivery.sent().is_some()
                    {
                        login = Some((challenge.token, world.last_code(), clock.time(), false));
                    }
                }
                (Some((token, code, _, dead)), 1 | 2) => {
                    match world.submit(token, &other_code(code)).await {
                        LoginStep::Denied(denied) => {
                            *dead |=
                                matches!(denied.reason(), Reason::NoLiveCode | Reason::LoginOver);
                            let longest = denied.retry_at().map(|until| until - clock.time());
                            assert!(
                                longest.is_none_or(|longest| longest <= 30 * DAY + 30 * SECOND),
                                "{}",
                                about()
                            );
                        }
                        other => panic!("{}: {other:?}", about()),
                    }
                }
                (Some((token, code, issued, dead)), _) => match world.submit(token, code).await {
                    LoginStep::Authenticated(_) => {
                        let age = clock.time() - *issued;
                        assert!(
                            !*dead && age < CODE_TTL && age >= time::Duration::seconds(-30),
                            "{}: {age}",
                            about()
                        );
                        login = None;
                    }
                    LoginStep::Denied(denied) => {
                        *dead |= matches!(denied.reason(), Reason::NoLiveCode | Reason::LoginOver);
                    }
                    LoginStep::CodeRequired(_) => panic!("{}", about()),
                },
            }
        }
    }
}
