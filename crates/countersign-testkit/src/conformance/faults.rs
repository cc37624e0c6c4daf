//! Checks of what is left when something goes wrong: dropped calls, lost connections, transactions
//! of the application.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use countersign::store::{CommitOutcome, FactorStore, Generation, StoredRow};
use countersign::{TenantId, UserId};

use crate::conformance::desk::{expecting, must_be, note, row, set, write};
use crate::conformance::{Backend, Breach, ensure, tenant, user};

/// How long a store may need until it answers again after an interruption is over.
const RECOVERY: Duration = Duration::from_secs(15);

/// What one handle acknowledged, every other handle sees at its next call.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn acknowledged_writes_are_seen_at_once(backend: &dyn Backend) -> Result<(), Breach> {
    let handles = [backend.open().await?, backend.open().await?, backend.open().await?];
    let (acme, alice) = (tenant("acme")?, user("alice")?);
    let (mut settings, mut record): (Option<StoredRow>, Option<StoredRow>) = (None, None);
    // Every handle has read before, so that each has had the opportunity to keep something.
    for handle in &handles {
        let _nothing = handle.load(&acme, &alice).await?;
    }
    for round in 0..30_u32 {
        for writer in &handles {
            let next = note(0, &format!("record of round {round}"))?;
            write(&**writer, &acme, &alice, expecting(settings.as_ref(), record.as_ref()), &next)
                .await?;
            record = Some(next);
            seen_by_all(&handles, &acme, &alice, settings.as_ref(), record.as_ref()).await?;
            let next = note(0, &format!("settings of round {round}"))?;
            set(&**writer, &acme, settings.as_ref(), &next).await?;
            settings = Some(next);
            seen_by_all(&handles, &acme, &alice, settings.as_ref(), record.as_ref()).await?;
        }
        if round % 10 == 9 {
            let [writer, ..] = &handles;
            ensure!(writer.remove(&acme, &alice).await?, "an existing record was not removed");
            record = None;
            seen_by_all(&handles, &acme, &alice, settings.as_ref(), None).await?;
        }
    }
    Ok(())
}

async fn seen_by_all(
    handles: &[Arc<dyn FactorStore>],
    tenant: &TenantId,
    user: &UserId,
    settings: Option<&StoredRow>,
    record: Option<&StoredRow>,
) -> Result<(), Breach> {
    for handle in handles {
        let snapshot = handle.load(tenant, user).await?;
        ensure!(
            snapshot.record.as_ref() == record,
            "{record:?} was acknowledged, and {:?} was read",
            snapshot.record
        );
        ensure!(
            snapshot.settings.as_ref() == settings,
            "{settings:?} was acknowledged, and {:?} was read",
            snapshot.settings
        );
        let found = handle.settings(tenant).await?;
        ensure!(
            found.as_ref() == settings,
            "{settings:?} was acknowledged, and {found:?} was read"
        );
    }
    Ok(())
}

/// A call whose future is dropped, at whatever point, has written all that it would have written or
/// nothing, and the handle goes on working.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn a_dropped_call_writes_all_or_nothing(backend: &dyn Backend) -> Result<(), Breach> {
    let (store, other) = (backend.open().await?, backend.open().await?);
    let (acme, alice) = (tenant("acme")?, user("alice")?);
    let mut record: Option<StoredRow> = None;
    let mut settings: Option<StoredRow> = None;
    for round in 0..120_u32 {
        // After one, two, three ... polls, and then after ever longer times.
        let point = Point::of(round);
        let next = row(round, format!("\"{}\"", round.to_string().repeat(200)))?;
        if round % 4 == 3 {
            let version = settings.as_ref().map(|row| row.version);
            point.drop_at(store.change_settings(&acme, version, &next)).await;
            settings =
                settle(&*other, &acme, &alice, round, |found| found.settings, settings, &next)
                    .await?;
        } else {
            let expected = expecting(settings.as_ref(), record.as_ref());
            point.drop_at(store.commit(&acme, &alice, &expected, &next)).await;
            record =
                settle(&*other, &acme, &alice, round, |found| found.record, record, &next).await?;
        }
        // Nothing else of the handle was broken by it.
        let snapshot = store.load(&acme, &alice).await?;
        ensure!(
            snapshot.record == record,
            "the handle that dropped a call reads {:?}, not {record:?}",
            snapshot.record
        );
        if round % 5 == 4 {
            point.drop_at(store.load(&acme, &alice)).await;
        }
    }
    Ok(())
}

/// A removal whose future is dropped, at whatever point, has removed each record as a whole or not
/// at all, and the handle goes on working. The same goes for a purge.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn a_dropped_removal_removes_all_or_nothing(backend: &dyn Backend) -> Result<(), Breach> {
    let (store, other) = (backend.open().await?, backend.open().await?);
    for round in 0..120_u32 {
        let point = Point::of(round);
        let acme = tenant(&format!("acme-{round}"))?;
        let mut written = Vec::new();
        for number in 0..4 {
            let (user, record) = (user(&format!("user-{number}"))?, note(0, &number.to_string())?);
            write(&*store, &acme, &user, expecting(None, None), &record).await?;
            written.push((user, record));
        }
        let [(first, record), ..] = &written[..] else { return Ok(()) };
        match round % 4 {
            0 => point.drop_at(store.remove(&acme, first)).await,
            1 => point.drop_at(store.remove_if(&acme, first, record.version)).await,
            2 => point.drop_at(store.purge(&acme, Generation::new(1), 4)).await,
            _ => point.drop_at(store.users(&acme, Generation::new(0), None, 4)).await,
        }
        for (user, record) in &written {
            let found = other.load(&acme, user).await?.record;
            let whole = found.is_none() || found.as_ref() == Some(record);
            ensure!(whole, "a dropped removal left {found:?} of {record:?}");
            ensure!(
                found.is_some() || round % 4 == 2 || (user == first && round % 4 < 2),
                "{user:?} is gone"
            );
        }
        // Nothing else of the handle was broken by it.
        while store.purge(&acme, Generation::new(1), 4).await? > 0 {}
        ensure!(
            other.count(&acme, Generation::new(1)).await? == 0,
            "records are left after a purge"
        );
    }
    Ok(())
}

/// When a call is dropped.
#[derive(Clone, Copy)]
pub(super) enum Point {
    Polls(u32),
    After(Duration),
}

impl Point {
    pub(super) fn of(round: u32) -> Self {
        match round.checked_sub(59) {
            None | Some(0) => Self::Polls(round / 20),
            Some(later) => Self::After(Duration::from_micros(u64::from(later).saturating_mul(20))),
        }
    }

    pub(super) async fn drop_at<T>(self, call: impl Future<Output = T>) {
        match self {
            Self::Polls(polls) => {
                let mut call = Box::pin(call);
                for _ in 0..polls {
                    if poll_fn(|context| Poll::Ready(call.as_mut().poll(context).is_ready())).await
                    {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            }
            Self::After(time) => drop(tokio::time::timeout(time, call).await),
        }
    }
}

/// Waits until a dropped write can no longer take effect, by a write of its own on what is there
/// now, and answers what is there then.
async fn settle(
    store: &dyn FactorStore,
    tenant: &TenantId,
    user: &UserId,
    round: u32,
    part: impl Fn(countersign::store::Snapshot) -> Option<StoredRow>,
    before: Option<StoredRow>,
    dropped: &StoredRow,
) -> Result<Option<StoredRow>, Breach> {
    loop {
        let snapshot = store.load(tenant, user).await?;
        let found = part(snapshot.clone());
        ensure!(
            found == before || found.as_ref() == Some(dropped),
            "a dropped call left {found:?}, which is neither {before:?} nor {dropped:?}"
        );
        let next = row(round, format!("\"settled {round}\""))?;
        let done = if round % 4 == 3 {
            store.change_settings(tenant, found.as_ref().map(|row| row.version), &next).await?
        } else {
            let expected = expecting(snapshot.settings.as_ref(), found.as_ref());
            store.commit(tenant, user, &expected, &next).await?
        };
        if done == CommitOutcome::Written {
            return Ok(Some(next));
        }
    }
}

/// After what a handle is connected to went away and came back, the handle works again by itself,
/// and everything that was acknowledged is there.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn comes_back_after_an_interruption(backend: &dyn Backend) -> Result<(), Breach> {
    let store = backend.open().await?;
    let (acme, alice) = (tenant("acme")?, user("alice")?);
    let settings = note(0, "settings")?;
    set(&*store, &acme, None, &settings).await?;
    let mut record = note(0, "before any interruption")?;
    write(&*store, &acme, &alice, expecting(Some(&settings), None), &record).await?;
    for round in 0..3 {
        if !backend.interrupt().await? {
            return Ok(());
        }
        if round != 1 {
            recovers(|| async { store.load(&acme, &alice).await.map(drop) }).await?;
            must_be(&*store, &acme, &alice, Some(&record)).await?;
        }
        // In the second round the first thing that meets the lost connection is a write.
        let next = note(0, &format!("after interruption {round}"))?;
        let expected = expecting(Some(&settings), Some(&record));
        let mut done = CommitOutcome::Conflict;
        let started = Instant::now();
        loop {
            match store.commit(&acme, &alice, &expected, &next).await {
                Ok(CommitOutcome::Written) => {
                    done = CommitOutcome::Written;
                    break;
                }
                // An earlier try that was answered with an error may have been written.
                Ok(CommitOutcome::Conflict) => break,
                Err(fault) => patience(started, &fault).await?,
            }
        }
        let found = store.load(&acme, &alice).await?.record;
        ensure!(
            found.as_ref() == Some(&next),
            "after {done:?}, {next:?} must be there and {found:?} is"
        );
        record = next;
        let found = store.settings(&acme).await?;
        ensure!(
            found.as_ref() == Some(&settings),
            "settings that were acknowledged are gone after an interruption"
        );
    }
    Ok(())
}

async fn recovers<F: Future<Output = Result<(), countersign::error::PluginError>>>(
    call: impl Fn() -> F,
) -> Result<(), Breach> {
    let started = Instant::now();
    while let Err(fault) = call().await {
        patience(started, &fault).await?;
    }
    Ok(())
}

async fn patience(started: Instant, fault: &countersign::error::PluginError) -> Result<(), Breach> {
    ensure!(
        started.elapsed() < RECOVERY,
        "it does not work again after an interruption: {fault:?}"
    );
    tokio::time::sleep(Duration::from_millis(50)).await;
    Ok(())
}

/// What was acknowledged stays when a transaction of the application, on the same database and at
/// the same time, is rolled back.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn outlives_a_rollback_of_the_application(backend: &dyn Backend) -> Result<(), Breach> {
    let store = backend.open().await?;
    let (acme, alice, bob) = (tenant("acme")?, user("alice")?, user("bob")?);
    let first = note(0, "before")?;
    write(&*store, &acme, &alice, expecting(None, None), &first).await?;
    write(&*store, &acme, &bob, expecting(None, None), &first).await?;
    let Some(transaction) = backend.host_transaction().await? else { return Ok(()) };
    let counted = note(0, "one more wrong guess")?;
    write(&*store, &acme, &alice, expecting(None, Some(&first)), &counted).await?;
    ensure!(store.remove(&acme, &bob).await?, "an existing record was not removed");
    let settings = note(0, "settings")?;
    set(&*store, &acme, None, &settings).await?;
    transaction.roll_back().await?;
    for store in [store, backend.open().await?] {
        must_be(&*store, &acme, &alice, Some(&counted)).await?;
        must_be(&*store, &acme, &bob, None).await?;
        let found = store.settings(&acme).await?;
        ensure!(
            found.as_ref() == Some(&settings),
            "settings were undone by the application's rollback"
        );
    }
    Ok(())
}
