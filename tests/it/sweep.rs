//! The retention sweep: what goes, what stays and why, and that nothing which is written meanwhile
//! is lost.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::arithmetic_side_effects, clippy::unchecked_time_subtraction)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::faults::{FaultPoint, When, faulty_flow, poll_then_drop};
use crate::support::interject::Interject;
use crate::support::steps::flow_over;
use crate::support::wrapped::{Wrapped, Wraps};
use crate::support::*;
use async_trait::async_trait;
use countersign::error::PluginError;
use countersign::event::EventKind;
use countersign::grant::Staleness;
use countersign::operator::{SweepCursor, SweepProgress};
use countersign::store::{
    CommitOutcome, ExpectedVersions, FactorStore, Generation, Snapshot, StoredRow, Version,
};
use countersign::{
    Channel, LoginFlow, LoginStep, Reason, RequestContext, SavedGrant, Scope, TenantId, UserId,
};
use tokio::sync::Barrier;

/// The longest that a session of the application lives.
const SESSION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A world in which so many people have logged in once and never came back: nothing of them is
/// worth keeping.
async fn left_alone(people: usize) -> World {
    let world = World::with(|builder| builder.trusted_devices(90 * DAY, 3)).await;
    for number in 0..people {
        let name = format!("user{number:02}");
        Person::named(&name).join(&world.users, &world.acme).unwrap();
        let _ = world.sign_in(&name).await;
    }
    world.clock.advance(SESSION);
    world.events.clear();
    world.calls.clear();
    world
}

async fn sweep(world: &World) -> SweepProgress {
    world.flow.sweep(&world.acme, None, 5_000).await.unwrap()
}

fn numbers(progress: &SweepProgress) -> (u64, u64, u64, bool) {
    (progress.looked_at, progress.removed, progress.unreadable, progress.next.is_none())
}

async fn standing(world: &World, grant: &SavedGrant) -> Option<Staleness> {
    let answer = world
        .flow
        .request(grant.tenant(), &RequestContext::new())
        .revalidate(grant, Channel::Web)
        .await;
    answer.err().map(|error| error.staleness().unwrap())
}

#[tokio::test]
async fn records_of_people_who_never_came_back_go() {
    let world = left_alone(3).await;
    assert_eq!(numbers(&sweep(&world).await), (3, 3, 0, true));
    assert_eq!(world.factors.records(&world.acme), 0);
    assert_eq!(world.events.kinds(), [EventKind::RecordsSwept { removed: 3 }]);
    // One listing, and for each record one look and one deletion; nobody's user is looked up.
    assert_eq!(
        (world.calls.of("users"), world.calls.of("load"), world.calls.of("remove_if")),
        (1, 3, 3)
    );
    assert_eq!(
        (world.calls.of("find_by_id"), world.calls.of("commit"), world.calls.of("remove")),
        (0, 0, 0)
    );
    world.events.clear();
    assert_eq!(numbers(&sweep(&world).await), (0, 0, 0, true));
    assert!(world.events.all().is_empty());
    // Whoever comes back begins like anybody.
    let _ = world.sign_in("user01").await;
}

/// I-25: a session whose grant is bound to the record lives as long as the application says.
#[tokio::test]
async fn a_record_stays_as_long_as_a_session_can_be_bound_to_it() {
    let world = World::new().await;
    let grant = world.sign_in("alice").await.grant.into_saved();
    world.clock.advance(SESSION - Duration::from_millis(1));
    assert_eq!(numbers(&sweep(&world).await), (1, 0, 0, true));
    assert_eq!(standing(&world, &grant).await, None);
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(numbers(&sweep(&world).await), (1, 1, 0, true));
    // The session ends by the same number, so that none is ended by a sweep.
    assert_eq!(standing(&world, &grant).await, Some(Staleness::Expired));
}

/// Grants are bound to the hash that the password had first. They are written nowhere where no
/// second factor is needed.
#[tokio::test]
async fn a_record_that_knows_other_hashes_of_the_password_stays() {
    let world = World::off();
    world.change(&world.alice, |user| {
        user.password_hash = Some(PlainPasswords::outdated(PASSWORD));
    });
    let _ = world.sign_in("alice").await;
    world.clock.advance(2 * SESSION);
    // A login that writes nothing.
    let version = world.row(&world.alice).unwrap().version;
    let grant = world.sign_in("alice").await.grant.into_saved();
    assert_eq!(world.row(&world.alice).unwrap().version, version);
    assert_eq!(numbers(&sweep(&world).await), (1, 0, 0, true));
    assert_eq!(standing(&world, &grant).await, None);
    // Without the record the session would be taken for one of an earlier password.
    world.factors.remove(&world.acme, &world.alice).await.unwrap();
    assert_eq!(standing(&world, &grant).await, Some(Staleness::PasswordChanged));
}

/// I-10, I-11, I-12, I-15, I-29, I-31: each of these alone keeps a record, for as long as it
/// counts.
#[tokio::test]
async fn what_is_worth_something_stays() {
    let mut world = left_alone(1).await;
    let alice = world.alice.clone();
    let kept = async |what: &str| {
        assert_eq!(numbers(&sweep(&world).await).1, 0, "{what} is worth keeping");
        world.factors.remove(&world.acme, &alice).await.unwrap();
        world.clock.advance(DAY);
    };
    world.factors.remove(&world.acme, &user_id("user00")).await.unwrap();

    world.choose_sms("alice", "+819012345678").await;
    world.clock.advance(10 * SESSION);
    kept("a number").await;

    let _code = world.make_backup_code("alice").await;
    world.clock.advance(10 * SESSION);
    kept("a backup code").await;

    let _device = world.sign_in_and_trust("alice", "laptop").await;
    world.clock.advance(SESSION);
    kept("a trusted device").await;

    let _ = world.try_begin("alice", "wrong").await;
    world.clock.advance(100 * SESSION);
    kept("a wrong password").await;

    let challenge = world.begin("alice").await;
    let _ = world.submit(&challenge.token, &world.wrong_code()).await;
    world.clock.advance(100 * SESSION);
    kept("a wrong code in a row").await;

    // Success ends the row, and the rolling budget remembers for 30 days.
    let challenge = world.begin("alice").await;
    let _ = world.submit(&challenge.token, &world.wrong_code()).await;
    let _ = authenticated(world.submit(&challenge.token, &world.last_code()).await);
    world.restarted(|b| b.session_lifetime(DAY));
    let swept =
        async |world: &World| world.flow.sweep(&world.acme, None, 10).await.unwrap().removed;
    world.clock.advance(30 * DAY - Duration::from_secs(1));
    assert_eq!(swept(&world).await, 0, "a wrong code within 30 days");
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(swept(&world).await, 1);

    // A send, for a day, and a login under way, for ten minutes.
    world.restarted(|b| b.session_lifetime(MINUTE));
    let challenge = world.begin("alice").await;
    world.clock.advance(MINUTE);
    assert_eq!(swept(&world).await, 0, "a login under way");
    let _ = authenticated(world.submit(&challenge.token, &world.last_code()).await);
    world.clock.advance(DAY - MINUTE - Duration::from_secs(1));
    assert_eq!(swept(&world).await, 0, "a send within a day");
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(swept(&world).await, 1);
}

/// I-17, I-40: the records of unknown names count on. There are at most 256 in a tenant.
#[tokio::test]
async fn records_of_unknown_names_stay() {
    let world = World::new().await;
    for number in 0..40 {
        let _ = world.try_begin(&format!("nobody{number}"), PASSWORD).await;
    }
    let records = world.factors.records(&world.acme);
    world.clock.advance(100 * SESSION);
    let progress = sweep(&world).await;
    assert_eq!((progress.looked_at, progress.removed), (records as u64, 0));
    // They are pages like any other: the cursor is one of their ids, saved and read back.
    let first = world.flow.sweep(&world.acme, None, 1).await.unwrap();
    let cursor = serde_json::to_string(&first.next).unwrap();
    assert!(cursor.contains("~phantom~"), "{cursor}");
    let cursor: SweepCursor = serde_json::from_str(&cursor).unwrap();
    let rest = world.flow.sweep(&world.acme, Some(&cursor), 5_000).await.unwrap();
    assert_eq!(rest.looked_at, records as u64 - 1);
}

#[tokio::test]
async fn it_goes_in_batches_and_can_be_resumed() {
    let world = left_alone(5).await;
    let mut after: Option<SweepCursor> = None;
    for expected in [(2, 2, 0, false), (2, 2, 0, false), (1, 1, 0, true)] {
        let batch = world.flow.sweep(&world.acme, after.as_ref(), 2).await.unwrap();
        assert_eq!(numbers(&batch), expected);
        let saved = serde_json::to_string(&batch).unwrap();
        after = serde_json::from_str::<SweepProgress>(&saved).unwrap().next;
    }
    assert_eq!(world.factors.records(&world.acme), 0);
    // A batch has at least one record.
    let world = left_alone(2).await;
    assert_eq!(numbers(&world.flow.sweep(&world.acme, None, 0).await.unwrap()), (1, 1, 0, false));
    let other = world.flow.sweep(&world.other, None, 9).await.unwrap();
    assert_eq!(numbers(&other), (0, 0, 0, true));
    assert_eq!(
        numbers(&world.flow.sweep(&tenant("unknown"), None, 9).await.unwrap()),
        (0, 0, 0, true)
    );
}

/// I-27: what a purge deletes is its to count.
#[tokio::test]
async fn records_of_an_earlier_generation_are_left_to_the_purge() {
    let world = left_alone(3).await;
    world.set_scope(Scope::DoNotUse).await;
    let records = world.factors.records(&world.acme);
    world.clock.advance(SESSION);
    assert_eq!(numbers(&sweep(&world).await), (0, 0, 0, true));
    assert_eq!(world.flow.purge(&world.acme, 10).await.unwrap().unwrap().deleted, records as u64);

    // Switched off between the listing and the look.
    let world = left_alone(1).await;
    let store = Interject::over(&world);
    let (factors, acme) = (world.factors.clone(), world.acme.clone());
    store.interceptor.once("before load", move || async move {
        let before = factors.settings(&acme).await.unwrap().unwrap();
        let next = StoredRow {
            version: Version::from_bytes([9; 16]),
            generation: Generation::new(1),
            ..before.clone()
        };
        let changed = factors.change_settings(&acme, Some(before.version), &next).await.unwrap();
        assert_eq!(changed, CommitOutcome::Written);
    });
    let flow = flow_over(&world, store, |b| b);
    assert_eq!(numbers(&flow.sweep(&world.acme, None, 9).await.unwrap()), (1, 0, 0, true));
}

/// I-37: damage is counted, and neither deleted nor in the way of the others.
#[tokio::test]
async fn unreadable_records_are_left_and_counted() {
    let world = left_alone(3).await;
    let newer =
        world.record(&user_id("user01")).to_string().replace(r#""format":1"#, r#""format":9"#);
    world.overwrite(&user_id("user00"), "{}").await;
    world.overwrite(&user_id("user01"), &newer).await;
    assert_eq!(numbers(&sweep(&world).await), (3, 1, 2, true));
    assert_eq!(world.factors.records(&world.acme), 2);
    let settings = world.factors.settings(&world.acme).await.unwrap().unwrap();
    let damaged = StoredRow {
        document: "{}".into(),
        version: Version::from_bytes([8; 16]),
        ..settings.clone()
    };
    let written =
        world.factors.change_settings(&world.acme, Some(settings.version), &damaged).await.unwrap();
    assert_eq!(written, CommitOutcome::Written);
    assert!(world.flow.sweep(&world.acme, None, 9).await.is_err());
}

/// A clock that is behind what was decided last makes nothing old.
#[tokio::test]
async fn a_clock_that_went_back_keeps_everything() {
    let mut world = left_alone(2).await;
    world.clock.set(world.now() - SESSION - DAY);
    for longest_session in [MINUTE, SESSION, 400 * DAY] {
        world.restarted(|b| b.session_lifetime(longest_session));
        let progress = world.flow.sweep(&world.acme, None, 9).await.unwrap();
        assert_eq!(numbers(&progress), (2, 0, 0, true));
    }
}

/// I-23: whatever breaks, what was deleted was worth nothing, is told, and the rest is done by the
/// next call.
#[tokio::test]
async fn it_can_break_or_stop_at_every_call_and_be_resumed() {
    let mut broken = 0;
    for number in 1.. {
        for when in [When::Before, When::After] {
            let world = left_alone(2).await;
            let _keeps = world.try_begin("user00", "wrong").await;
            let point = FaultPoint::default();
            let flow = faulty_flow(&world, &point, countersign::policy::StandardPolicy, |b| b);
            world.clock.advance(SESSION);
            world.events.clear();
            point.arm(number, when);
            let first = flow.sweep(&world.acme, None, 9).await;
            broken += usize::from(first.is_err());
            if number > 12 {
                assert!(broken >= 12, "{broken}");
                return;
            }
            point.disarm();
            let _ = flow.sweep(&world.acme, None, 9).await.unwrap();
            assert!(
                world.row(&user_id("user00")).is_some() && world.row(&user_id("user01")).is_none()
            );
        }
        let world = left_alone(2).await;
        let point = FaultPoint::default();
        let flow = faulty_flow(&world, &point, countersign::policy::StandardPolicy, |b| b);
        point.wait_at_each_call();
        let _dropped = poll_then_drop(number, flow.sweep(&world.acme, None, 9));
        point.disarm();
        let _ = flow.sweep(&world.acme, None, 9).await.unwrap();
        assert_eq!(world.factors.records(&world.acme), 0);
    }
}

/// Lets others run after each look; and, if it is careless, a store whose conditional removal has
/// no condition: it removes once another call has written, and commits wait until a removal has
/// been asked for.
#[derive(Clone)]
struct Overlapping<T> {
    inner: T,
    careless: bool,
    asked: Arc<AtomicBool>,
}

impl<T> Overlapping<T> {
    fn over(inner: T, careless: bool) -> Self {
        Self { inner, careless, asked: Arc::default() }
    }
}

#[async_trait]
impl<T: FactorStore> Wraps for Overlapping<T> {
    type Inner = T;

    fn inner(&self) -> &T {
        &self.inner
    }

    async fn load(&self, tenant: &TenantId, user: &UserId) -> Result<Snapshot, PluginError> {
        let snapshot = self.inner.load(tenant, user).await;
        tokio::task::yield_now().await;
        snapshot
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        user: &UserId,
        expected: &ExpectedVersions,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        while self.careless && !self.asked.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
        self.inner.commit(tenant, user, expected, next).await
    }

    async fn remove_if(
        &self,
        tenant: &TenantId,
        user: &UserId,
        version: Version,
    ) -> Result<bool, PluginError> {
        if !self.careless {
            return self.inner.remove_if(tenant, user, version).await;
        }
        self.asked.store(true, Ordering::SeqCst);
        while self
            .inner
            .load(tenant, user)
            .await?
            .record
            .is_some_and(|record| record.version == version)
        {
            tokio::task::yield_now().await;
        }
        self.inner.remove(tenant, user).await
    }
}

/// A wrong password that is charged between the look and the deletion. Answers what is saved of it
/// afterwards.
async fn charged_in_between(point: &'static str, careless: bool) -> Option<u64> {
    let world = left_alone(1).await;
    let store = Interject::over(&world);
    let flow = world.flow.clone();
    let acme = world.acme.clone();
    store.interceptor.once(point, move || async move {
        let (password, channel) = ("wrong".into(), countersign::Channel::Web);
        let login =
            countersign::Login { name: "user00", password: &password, channel, device: None };
        assert_eq!(
            reason(&flow.request(&acme, &RequestContext::new()).begin(&login).await.unwrap()),
            Reason::InvalidCredentials
        );
    });
    let flow = flow_over(&world, Wrapped(Overlapping::over(store.clone(), careless)), |b| b);
    let _progress = flow.sweep(&world.acme, None, 9).await.unwrap();
    assert!(store.interceptor.is_done());
    world.row(&user_id("user00"))?;
    world.record(&user_id("user00"))["password"]["failures"]["streak"].as_u64()
}

/// I-09, I-10: a sweep never takes a failure that was charged after it had looked. With a store
/// that removes without a condition it does: the control.
#[tokio::test]
async fn a_failure_that_is_charged_meanwhile_is_kept() {
    for point in ["after load", "before remove_if", "after remove_if"] {
        assert_eq!(charged_in_between(point, false).await, Some(1), "{point}");
    }
    assert_eq!(charged_in_between("after load", true).await, None);
}

/// Guesses and sweeps at the same moment: how many wrong passwords were charged, and how many are
/// saved.
async fn storm(seed: u64, careless: bool) -> (u64, u64) {
    const GUESSERS: usize = 8;
    let world = left_alone(1).await;
    let store = Wrapped(Overlapping::over(world.factors.clone(), careless));
    let flow = flow_over(&world, store, |b| b.entropy(SeededEntropy::new(seed)));
    let barrier = Arc::new(Barrier::new(2 * GUESSERS));
    let mut tasks = Vec::new();
    for task in 0..2 * GUESSERS {
        let (flow, acme, barrier): (LoginFlow, _, _) =
            (flow.clone(), world.acme.clone(), Arc::clone(&barrier));
        tasks.push(tokio::spawn(async move {
            barrier.wait().await;
            for _ in 0..6 {
                if task % 2 == 0 {
                    let _progress = flow.sweep(&acme, None, 9).await.unwrap();
                    continue;
                }
                let (password, channel) = ("wrong".into(), countersign::Channel::Web);
                let login = countersign::Login {
                    name: "user00",
                    password: &password,
                    channel,
                    device: None,
                };
                match flow.request(&acme, &RequestContext::new()).begin(&login).await {
                    Ok(LoginStep::Denied(_)) | Err(countersign::Error::Contended) => {}
                    other => panic!("a wrong password is refused, not {other:?}"),
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let wrong = |kind: &EventKind| {
        matches!(
            kind,
            EventKind::CredentialsRefused {
                cause: countersign::event::CredentialsCause::WrongPassword,
                ..
            }
        )
    };
    let charged = world.events.kinds().iter().filter(|kind| wrong(kind)).count() as u64;
    let saved = world.row(&user_id("user00")).map(|_| world.record(&user_id("user00")));
    (
        charged,
        saved.map_or(0, |record| record["password"]["failures"]["streak"].as_u64().unwrap_or(0)),
    )
}

/// I-09, I-10: every failure that was told is saved, whatever is swept at the same moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_charge_is_lost_to_sweeps_at_the_same_moment() {
    // As one of many runs (`scripts/stress`), those that no other run has.
    let run =
        std::env::var("COUNTERSIGN_STRESS_RUN").ok().map(|run| 2 * run.parse::<u64>().unwrap());
    for seed in run.map_or(0..24, |first| first..first + 2) {
        let (charged, saved) = storm(seed, false).await;
        assert_eq!(charged, saved, "seed {seed}");
        assert_eq!(charged, 10, "seed {seed}: the lock comes after ten");
    }
    for seed in run.map_or(0..3, |first| first..first + 1) {
        let (charged, saved) = storm(seed, true).await;
        assert!(
            charged > saved || charged > 10,
            "seed {seed}: a store without a condition loses charges"
        );
    }
}

/// I-10, I-12, I-15: an application that sweeps every hour, and keeps nothing for its sessions,
/// gives a guesser who knows the password no guess more in 60 days than one that never sweeps, and
/// no message more in a day.
#[tokio::test]
async fn sweeping_every_hour_gives_a_guesser_nothing() {
    let mut came_to = Vec::new();
    for sweeps in [false, true] {
        let world = World::with(|b| b.session_lifetime(MINUTE)).await;
        let _ = world.sign_in("bob").await;
        let (mut learned, mut most_sent, mut swept) = (0, 0, 0);
        for _day in 0..60 {
            world.outbox.clear();
            for hour in 0..24 {
                world.clock.advance(60 * MINUTE);
                if hour % 6 == 0
                    && let LoginStep::CodeRequired(challenge) =
                        world.try_begin("alice", PASSWORD).await
                    && challenge.delivery.sent().is_some()
                {
                    let step = world.submit(&challenge.token, &world.wrong_code()).await;
                    learned += u32::from(
                        matches!(&step, LoginStep::Denied(denied) if denied.reason() == Reason::WrongCode),
                    );
                    // She comes in as well, which ends the row of failures.
                    let _step = world.submit(&challenge.token, &world.last_code()).await;
                }
                if sweeps {
                    let progress = world.flow.sweep(&world.acme, None, 5_000).await.unwrap();
                    swept += progress.removed;
                }
            }
            most_sent = most_sent.max(world.outbox.attempts());
        }
        assert_eq!(
            swept > 0,
            sweeps,
            "the sweep does take something: the record of bob, who comes once"
        );
        came_to.push((learned, most_sent));
    }
    assert_eq!(came_to[0], came_to[1]);
    assert_eq!(came_to[0].0, 40, "20 in 30 days");
}
