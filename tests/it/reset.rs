//! A reset: what it clears, what it keeps from the third one in a month on, and that nothing gets
//! in its way.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::interject::Interject;
use crate::support::steps::flow_over;
use crate::support::wrapped::{Wrapped, Wraps};
use crate::support::*;
use async_trait::async_trait;
use countersign::contact::{Destination, EmailAddress};
use countersign::error::PluginError;
use countersign::event::{Actor, EventKind, ResetOutcome};
use countersign::grant::Staleness;
use countersign::memory::MemoryFactors;
use countersign::sender::{NoticeKind, NoticeTopic};
use countersign::status::LockState;
use countersign::store::{
    CommitOutcome, ExpectedVersions, FactorStore, Snapshot, StoredRow, Version,
};
use countersign::{
    Channel, LoginStep, Reason, RequestContext, RevalidateError, SavedGrant, Scope, TenantId,
    UserId,
};
use serde_json::{Value, json};

const NOTHING: [&str; 2] = ["notices", "resets"];
const BUDGETS: [&str; 4] = ["code_failures", "notices", "resets", "sends"];

fn kept(outcome: ResetOutcome) -> Option<time::OffsetDateTime> {
    match outcome {
        ResetOutcome::BudgetsKept { refills_from } => refills_from,
        other => panic!("the budgets are kept, not {other:?}"),
    }
}

async fn administrator_resets(world: &World, grant: &SavedGrant) -> ResetOutcome {
    world.request().administration(grant).await.unwrap().reset(&world.alice).await.unwrap()
}

async fn reset(world: &World) -> ResetOutcome {
    world.flow.operator("T-1").unwrap().reset(&world.acme, &world.alice).await.unwrap()
}

/// The wrong codes that are saved of alice's rolling budget.
fn window(world: &World) -> usize {
    world.record(&world.alice)["code_failures"]["recent"].as_array().map_or(0, Vec::len)
}

/// I-26: the first two resets in 30 days leave the times of resets alone. From the third on the
/// rolling window and the send log stay as well, and nothing else. Each lifts the lock, and the
/// user comes in.
#[tokio::test]
async fn two_resets_a_month_refill_the_budgets_and_further_ones_keep_them() {
    let world = World::with(|b| b.trusted_devices(30 * DAY, 3)).await;
    let grant = world.root_grant().await;
    let first = world.now();
    for nth in 0..5 {
        let _challenge = world.lock_codes("alice").await;
        assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::CodesLocked);
        let _ = world.try_begin("alice", "wrong").await;
        world.events.clear();
        let outcome = administrator_resets(&world, &grant).await;
        let by = Actor::Administrator { user: world.root.clone() };
        assert_eq!(world.events.kinds()[0], EventKind::UserReset { by, outcome });
        let record = world.record(&world.alice);
        if nth < 2 {
            assert_eq!(outcome, ResetOutcome::Refilled);
            assert_eq!(world.saved_of(&world.alice), NOTHING);
            let notices = record["notices"].as_array().unwrap();
            assert_eq!(
                (notices.len(), &notices[0]["about"]),
                (1, &json!("reset")),
                "that of the lock is forgotten"
            );
        } else {
            assert_eq!(kept(outcome), Some(first + 30 * DAY));
            assert_eq!(world.saved_of(&world.alice), BUDGETS);
            // The guesses since the second refill, and no row of them, no lock and no suspension.
            let failures = record["code_failures"].as_object().unwrap();
            assert_eq!(failures.keys().collect::<Vec<_>>(), ["recent"]);
            assert_eq!(
                (window(&world), world.charged_sends(&world.alice)),
                (5 * (nth - 1), nth - 1)
            );
        }
        assert_eq!(record["resets"].as_array().unwrap().len(), usize::min(nth + 1, 2));
        world.wait_for_the_spacing();
    }
    let challenge = world.begin("alice").await;
    assert_eq!(challenge.attempts_left, 5);
    let _done = authenticated(world.submit(&challenge.token, &world.last_code()).await);
}

/// I-26: everything that a person has goes with a reset that keeps the budgets too.
#[tokio::test]
async fn a_reset_that_keeps_the_budgets_clears_all_the_rest() {
    let world = World::with(|b| b.trusted_devices(30 * DAY, 3)).await;
    for _ in 0..2 {
        assert_eq!(reset(&world).await, ResetOutcome::Refilled);
    }
    let backup = world.make_backup_code("alice").await;
    world.choose_sms("alice", "+819012345634").await;
    let done = world.sign_in_and_trust("alice", "laptop").await;
    world.wait_for_the_spacing();
    let pending = world.begin("alice").await;
    let code = world.last_code();
    let _ = world.submit(&pending.token, &world.wrong_code()).await;
    kept(reset(&world).await);
    assert_eq!(world.saved_of(&world.alice), BUDGETS);
    assert_eq!(reason(&world.submit(&pending.token, &code).await), Reason::LoginOver);
    let stale = world.request().revalidate(&done.grant, Channel::Web).await.unwrap_err();
    assert!(matches!(stale, RevalidateError::Stale(Staleness::Reset)), "{stale:?}");
    world.wait_for_the_spacing();
    let again = challenge(world.begin_with_device("alice", &done.device_token.unwrap()).await);
    assert!(matches!(world.outbox.last_code().unwrap().to, Destination::Email(_)));
    assert_eq!(reason(&world.submit_backup(&again.token, &backup).await), Reason::NoBackupCode);
}

/// I-11: a suspension ends with every reset, whatever it keeps.
#[tokio::test]
async fn a_reset_that_keeps_the_budgets_ends_a_suspension() {
    let world = World::with(|b| b.suspend_after(5)).await;
    let operator = world.flow.operator("T-1").unwrap();
    for _ in 0..3 {
        let _challenge = world.lock_codes("alice").await;
        assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::Suspended);
        let _ = reset(&world).await;
        let codes = operator.status(&world.acme, &world.alice).await.unwrap().unwrap().codes;
        assert_eq!(codes, LockState::Open);
        world.wait_for_the_spacing();
        let challenge = world.begin("alice").await;
        let _done = authenticated(world.submit(&challenge.token, &world.last_code()).await);
        world.wait_for_the_spacing();
    }
}

/// I-12: who has used the window up waits for it, whoever resets them; the operator need not.
#[tokio::test]
async fn a_used_up_window_outlasts_resets_and_the_operator_refills_it() {
    let world = World::with(|b| b.rolling_wrong_code_limit(5)).await;
    for _ in 0..2 {
        assert_eq!(reset(&world).await, ResetOutcome::Refilled);
    }
    let guessed = world.now();
    let _challenge = world.lock_codes("alice").await;
    for _ in 0..3 {
        kept(reset(&world).await);
        let refused = denied(&world.try_begin("alice", PASSWORD).await);
        assert_eq!(
            (refused.reason(), refused.retry_at()),
            (Reason::CodesLocked, Some(guessed + 30 * DAY))
        );
    }
    world.events.clear();
    let operator = world.flow.operator("ticket 12").unwrap();
    let outcome = operator.reset_and_refill(&world.acme, &world.alice).await.unwrap();
    assert_eq!(outcome, ResetOutcome::RefilledBeyond);
    let by = Actor::Operator { reason: "ticket 12".into() };
    assert_eq!(world.events.kinds()[0], EventKind::UserReset { by, outcome });
    assert_eq!(world.saved_of(&world.alice), NOTHING);
    assert_eq!(world.begin("alice").await.attempts_left, 5);
    // It counts: an administrator does not refill on top of it.
    world.clock.advance(29 * DAY);
    kept(reset(&world).await);
    world.clock.advance(DAY);
    assert_eq!(reset(&world).await, ResetOutcome::Refilled);
}

/// I-26: a refill comes back to the millisecond, and resets that kept the budgets do not put it
/// off.
#[tokio::test]
async fn a_refill_comes_back_after_thirty_days() {
    let world = World::new().await;
    let first = world.now();
    assert_eq!(reset(&world).await, ResetOutcome::Refilled);
    world.clock.advance(10 * DAY);
    assert_eq!(reset(&world).await, ResetOutcome::Refilled);
    for _ in 0..19 {
        world.clock.advance(DAY);
        assert_eq!(kept(reset(&world).await), Some(first + 30 * DAY));
    }
    world.clock.set(first + 30 * DAY - Duration::from_millis(1));
    kept(reset(&world).await);
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(reset(&world).await, ResetOutcome::Refilled);
    assert_eq!(kept(reset(&world).await), Some(first + 40 * DAY));
}

/// I-12: a configuration may say that no reset refills anything.
#[tokio::test]
async fn without_refills_every_reset_keeps_the_budgets() {
    let world = World::with(|b| b.refills_per_month(0)).await;
    let _challenge = world.lock_codes("alice").await;
    assert_eq!(kept(reset(&world).await), None);
    assert_eq!(world.saved_of(&world.alice), ["code_failures", "notices", "sends"]);
    assert_eq!(window(&world), 5);
    let operator = world.flow.operator("T-2").unwrap();
    let outcome = operator.reset_and_refill(&world.acme, &world.alice).await.unwrap();
    assert_eq!((outcome, window(&world)), (ResetOutcome::RefilledBeyond, 0));
}

/// I-08: a clock that was ahead for a moment, while somebody was reset, does not keep the budgets
/// closed for longer.
#[tokio::test]
async fn a_clock_that_was_ahead_does_not_put_off_the_next_refill() {
    let world = World::new().await;
    let now = world.now();
    world.clock.advance(300 * DAY);
    for _ in 0..2 {
        assert_eq!(reset(&world).await, ResetOutcome::Refilled);
    }
    world.clock.set(now);
    assert_eq!(kept(reset(&world).await), Some(now + 30 * DAY));
}

/// I-37: a record that can't be read does not keep itself from being reset, and is no supply of
/// guesses: its windows are lost once, and after that no reset refills anything for 30 days.
#[tokio::test]
async fn a_damaged_record_is_reset_and_uses_the_refills_up() {
    let damaged = ["", "{}", "{\"format\":1}", "{\"format\":2,\"what\":\"ever\"}"];
    for document in damaged {
        let world = World::new().await;
        let _challenge = world.lock_codes("alice").await;
        world.overwrite(&world.alice, document).await;
        world.outbox.clear();
        let (at, before) = (world.now(), world.row(&world.alice).unwrap().version);
        assert_eq!(reset(&world).await, ResetOutcome::RefilledBeyond, "{document}");
        assert_eq!(world.saved_of(&world.alice), NOTHING);
        assert_ne!(world.row(&world.alice).unwrap().version, before);
        assert!(matches!(world.told()[..], [(_, NoticeKind::Reset)]), "{document}");
        world.wait_for_the_spacing();
        let _challenge = world.lock_codes("alice").await;
        assert_eq!(kept(reset(&world).await), Some(at + 30 * DAY));
        assert_eq!(window(&world), 5);
    }
}

/// The same for a tenant whose settings can't be read, which only the operator reaches.
#[tokio::test]
async fn damaged_settings_do_not_keep_a_user_from_being_reset() {
    let world = World::new().await;
    let _challenge = world.lock_codes("alice").await;
    let saved = world.factors.settings(&world.acme).await.unwrap().unwrap();
    let next = StoredRow { document: "{}".to_owned(), ..saved.clone() };
    let damaged =
        world.factors.change_settings(&world.acme, Some(saved.version), &next).await.unwrap();
    assert_eq!(damaged, CommitOutcome::Written);
    assert_eq!(reset(&world).await, ResetOutcome::Refilled);
    assert_eq!(world.saved_of(&world.alice), NOTHING);
    assert_eq!(world.row(&world.alice).unwrap().generation, saved.generation);
}

/// I-40: of somebody who does not exist nothing is saved, and what was saved of them goes.
#[tokio::test]
async fn a_reset_of_nobody_saves_nothing() {
    let world = World::new().await;
    let operator = world.flow.operator("T-3").unwrap();
    for _ in 0..3 {
        let outcome = operator.reset(&world.acme, &user_id("nobody")).await.unwrap();
        assert_eq!(outcome, ResetOutcome::Refilled);
    }
    assert_eq!((world.factors.records(&world.acme), world.told().len()), (0, 0));
    let _challenge = world.begin("alice").await;
    world.users.remove(&world.acme, &world.alice);
    assert_eq!(operator.reset(&world.acme, &world.alice).await.unwrap(), ResetOutcome::Refilled);
    assert!(world.row(&world.alice).is_none());
}

/// I-27: the times of resets go where everything goes.
#[tokio::test]
async fn forgetting_and_switching_off_delete_the_times_of_resets() {
    let world = World::new().await;
    let used_up = async || {
        for _ in 0..2 {
            assert_eq!(reset(&world).await, ResetOutcome::Refilled);
        }
        kept(reset(&world).await);
    };
    used_up().await;
    assert!(
        world.flow.operator("deleted").unwrap().forget(&world.acme, &world.alice).await.unwrap()
    );
    used_up().await;
    world.set_scope(Scope::DoNotUse).await;
    world.set_scope(Scope::EntireTenant).await;
    used_up().await;
}

/// I-26: a sweep keeps the times of resets for as long as they count, and no longer.
#[tokio::test]
async fn a_sweep_keeps_the_times_of_resets_for_thirty_days() {
    let world = World::with(|b| b.session_lifetime(DAY)).await;
    assert_eq!(reset(&world).await, ResetOutcome::Refilled);
    world.clock.advance((30 * DAY).checked_sub(Duration::from_millis(1)).unwrap());
    let sweep = async || world.flow.sweep(&world.acme, None, 100).await.unwrap().removed;
    let _ = sweep().await;
    assert_eq!(world.saved_of(&world.alice), NOTHING);
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(sweep().await, 1);
    assert!(world.row(&world.alice).is_none());
}

/// I-12, I-26: a guess that is charged while a reset is being decided is not lost: the reset
/// decides once more.
#[tokio::test]
async fn a_guess_beside_a_reset_that_keeps_the_budgets_counts() {
    let mut world = World::new().await;
    for _ in 0..2 {
        assert_eq!(reset(&world).await, ResetOutcome::Refilled);
    }
    let challenge = world.begin("alice").await;
    let (store, plain, acme) = (Interject::over(&world), world.flow.clone(), world.acme.clone());
    let (token, wrong) = (challenge.token.expose().to_owned(), world.wrong_code());
    world.flow = flow_over(&world, store.clone(), |b| b);
    store.interceptor.once("before commit", move || async move {
        let step = plain
            .request(&acme, &RequestContext::new())
            .submit_code(&token.into(), &wrong.into(), countersign::TrustDevice::No)
            .await;
        assert_eq!(reason(&step.unwrap()), Reason::WrongCode);
    });
    kept(reset(&world).await);
    assert!(store.interceptor.is_done());
    assert_eq!(
        (world.saved_of(&world.alice), window(&world)),
        (BUDGETS.map(str::to_owned).to_vec(), 1)
    );
}

/// A store in which somebody else always writes first, so many times.
#[derive(Clone)]
struct Crowded {
    inner: MemoryFactors,
    crowd: Arc<AtomicUsize>,
    /// Whether a removal ends it.
    ends: bool,
    removals: Arc<Mutex<Vec<UserId>>>,
}

impl Crowded {
    fn over(world: &mut World, crowd: usize, ends: bool) -> Self {
        let store = Self {
            inner: world.factors.clone(),
            crowd: Arc::new(crowd.into()),
            ends,
            removals: Arc::default(),
        };
        world.flow = flow_over(world, Wrapped(store.clone()), |b| b);
        store
    }

    async fn write_first(&self, tenant: &TenantId, user: &UserId) -> Result<(), PluginError> {
        let Snapshot { settings, record } = self.inner.load(tenant, user).await?;
        let Some(record) = record else { return Ok(()) };
        let mut version = *record.version.as_bytes();
        version[0] = version[0].wrapping_add(1);
        let expected = ExpectedVersions {
            settings: settings.map(|saved| saved.version),
            record: Some(record.version),
        };
        let next = StoredRow { version: Version::from_bytes(version), ..record };
        assert_eq!(
            self.inner.commit(tenant, user, &expected, &next).await?,
            CommitOutcome::Written
        );
        Ok(())
    }
}

#[async_trait]
impl Wraps for Crowded {
    type Inner = MemoryFactors;

    fn inner(&self) -> &MemoryFactors {
        &self.inner
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        user: &UserId,
        expected: &ExpectedVersions,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        if self
            .crowd
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .is_ok()
        {
            self.write_first(tenant, user).await?;
            return Ok(CommitOutcome::Conflict);
        }
        self.inner.commit(tenant, user, expected, next).await
    }

    async fn remove(&self, tenant: &TenantId, user: &UserId) -> Result<bool, PluginError> {
        self.removals.lock().unwrap().push(user.clone());
        if self.ends {
            self.crowd.store(0, Ordering::SeqCst);
        }
        self.inner.remove(tenant, user).await
    }
}

/// Alice, locked once more after two resets that refilled.
async fn locked_after_two_resets() -> World {
    let world = World::new().await;
    for _ in 0..2 {
        assert_eq!(reset(&world).await, ResetOutcome::Refilled);
    }
    let _challenge = world.lock_codes("alice").await;
    world.events.clear();
    world
}

/// I-26: a reset wins against many writes of others, by its condition and without a removal.
#[tokio::test]
async fn a_reset_wins_in_a_crowd() {
    for crowd in [1, 16, 255] {
        let mut world = locked_after_two_resets().await;
        let store = Crowded::over(&mut world, crowd, false);
        kept(reset(&world).await);
        assert_eq!(*store.removals.lock().unwrap(), []);
        assert_eq!(
            (world.saved_of(&world.alice), window(&world)),
            (BUDGETS.map(str::to_owned).to_vec(), 5)
        );
    }
}

/// I-26: where not even that helps it removes the record, and puts back what it has to keep.
#[tokio::test]
async fn a_reset_that_never_comes_first_removes_the_record_and_keeps_the_budgets() {
    let mut world = locked_after_two_resets().await;
    let before = world.record(&world.alice);
    let store = Crowded::over(&mut world, usize::MAX, true);
    kept(reset(&world).await);
    assert_eq!(*store.removals.lock().unwrap(), [world.alice.clone()]);
    let record = world.record(&world.alice);
    assert_eq!(
        (world.saved_of(&world.alice), window(&world)),
        (BUDGETS.map(str::to_owned).to_vec(), 5)
    );
    for field in ["resets", "sends"] {
        assert_eq!(record[field], before[field], "{field}");
    }
    assert_ne!(record["id"], before["id"]);
}

/// I-26, I-38: and if even that never comes first, everything is gone all the same, and the event
/// says what that means.
#[tokio::test]
async fn a_reset_ends_whatever_others_write() {
    let mut world = locked_after_two_resets().await;
    let store = Crowded::over(&mut world, usize::MAX, false);
    assert_eq!(reset(&world).await, ResetOutcome::RefilledBeyond);
    assert_eq!(store.removals.lock().unwrap().len(), 1);
    assert!(world.row(&world.alice).is_none());
    let by = Actor::Operator { reason: "T-1".into() };
    let outcome = ResetOutcome::RefilledBeyond;
    assert_eq!(world.events.kinds(), [EventKind::UserReset { by, outcome }]);
}

/// I-15: a thousand resets are a thousand events and one notice; the next one says how many were
/// held back.
#[tokio::test]
async fn a_thousand_resets_send_one_notice_an_hour() {
    let world = World::new().await;
    let grant = world.root_grant().await;
    world.events.clear();
    world.outbox.clear();
    for _ in 0..1_000 {
        let _ = administrator_resets(&world, &grant).await;
    }
    assert_eq!(world.told().len(), 1);
    let held = EventKind::NoticeHeldBack { about: NoticeTopic::Reset };
    let events = world.events.kinds();
    assert_eq!(events.iter().filter(|kind| **kind == held).count(), 999);
    assert_eq!(
        events.iter().filter(|kind| matches!(kind, EventKind::UserReset { .. })).count(),
        1_000
    );
    world.clock.advance(60 * MINUTE);
    let _ = reset(&world).await;
    assert_eq!(world.held_back(), [0, 999]);
    assert_eq!(
        world.record(&world.alice)["notices"],
        json!([{ "about": "reset", "sent": milliseconds(&world) }])
    );
}

fn milliseconds(world: &World) -> Value {
    (i64::try_from(world.now().unix_timestamp_nanos() / 1_000_000).unwrap()).into()
}

/// A reset of somebody who has no record is noted too: otherwise each would send a notice.
#[tokio::test]
async fn a_reset_of_somebody_without_a_record_is_noted() {
    let world = World::new().await;
    assert!(world.row(&world.alice).is_none());
    for _ in 0..2 {
        assert_eq!(reset(&world).await, ResetOutcome::Refilled);
    }
    kept(reset(&world).await);
    assert_eq!(world.told().len(), 1);
    assert!(matches!(world.try_begin("alice", PASSWORD).await, LoginStep::CodeRequired(_)));
}

/// I-30: who has the address changed and then resets does not keep its owner from hearing of it.
#[tokio::test]
async fn a_reset_is_told_at_the_address_that_was_used_before() {
    let world = World::new().await;
    let _done = world.sign_in("alice").await;
    world.change(&world.alice, |user| {
        user.email = Some(EmailAddress::new("mallory@example.net").unwrap());
    });
    let _ = reset(&world).await;
    let at = |address| (Destination::Email(EmailAddress::new(address).unwrap()), NoticeKind::Reset);
    assert_eq!(world.told(), [at("mallory@example.net"), at("alice@example.com")]);
    assert_eq!(world.saved_of(&world.alice), NOTHING);
}
