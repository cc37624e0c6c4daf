//! Checks of the conditional writes: of any number of concurrent ones with the same expectation
//! exactly one wins.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use countersign::store::{CommitOutcome, ExpectedVersions, FactorStore, StoredRow};
use countersign::{TenantId, UserId};
use tokio::task::JoinSet;

use crate::conformance::desk::{
    HANDLES, expecting, handles, must_be, new_version, note, rounds, row, set, write,
};
use crate::conformance::{Backend, Breach, ensure, tenant, user};

/// How often the handles meet at the barrier.
const ROUNDS: u32 = 20;

/// A commit or change whose expectation does not hold in any one of its parts changes nothing.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn a_conflict_changes_nothing(backend: &dyn Backend) -> Result<(), Breach> {
    let store = backend.open().await?;
    let (acme, alice, bob) = (tenant("acme")?, user("alice")?, user("bob")?);
    let (old, settings) = (note(0, "old")?, note(0, "settings")?);
    let (first, second, next) = (note(0, "first")?, note(0, "second")?, note(0, "next")?);

    let absent = Some(new_version()?);
    let refused = store
        .commit(&acme, &alice, &ExpectedVersions { settings: None, record: absent }, &next)
        .await?;
    ensure!(
        refused == CommitOutcome::Conflict,
        "a commit that expected a record was written where there is none"
    );
    let refused = store
        .commit(&acme, &alice, &ExpectedVersions { settings: absent, record: None }, &next)
        .await?;
    ensure!(
        refused == CommitOutcome::Conflict,
        "a commit that expected settings was written where there are none"
    );
    let refused = store.change_settings(&acme, absent, &next).await?;
    ensure!(
        refused == CommitOutcome::Conflict,
        "a change that expected settings was written where there are none"
    );
    must_be(&*store, &acme, &alice, None).await?;

    set(&*store, &acme, None, &old).await?;
    set(&*store, &acme, Some(&old), &settings).await?;
    write(&*store, &acme, &alice, expecting(Some(&settings), None), &first).await?;
    write(&*store, &acme, &alice, expecting(Some(&settings), Some(&first)), &second).await?;
    let wrong = [
        ("no record where there is one", expecting(Some(&settings), None)),
        ("an earlier record", expecting(Some(&settings), Some(&first))),
        (
            "a version that never was",
            ExpectedVersions { settings: Some(settings.version), record: absent },
        ),
        ("no settings where there are some", expecting(None, Some(&second))),
        ("earlier settings", expecting(Some(&old), Some(&second))),
        (
            "settings that never were",
            ExpectedVersions { settings: absent, record: Some(second.version) },
        ),
        // The record's version in the place of the settings', and the other way round.
        ("versions that changed places", expecting(Some(&second), Some(&settings))),
    ];
    for (what, expected) in wrong {
        let refused = store.commit(&acme, &alice, &expected, &next).await?;
        ensure!(refused == CommitOutcome::Conflict, "a commit that expected {what} was written");
        must_be(&*store, &acme, &alice, Some(&second)).await?;
    }
    for (what, expected) in
        [("no settings", expecting(None, None)), ("earlier settings", expecting(Some(&old), None))]
    {
        let refused = store.commit(&acme, &bob, &expected, &next).await?;
        ensure!(
            refused == CommitOutcome::Conflict,
            "a first commit that expected {what} was written"
        );
        must_be(&*store, &acme, &bob, None).await?;
    }
    for (what, expected) in
        [("none", None), ("earlier ones", Some(old.version)), ("others", absent)]
    {
        let refused = store.change_settings(&acme, expected, &next).await?;
        ensure!(
            refused == CommitOutcome::Conflict,
            "a change of settings that expected {what} was written"
        );
        let found = store.settings(&acme).await?;
        ensure!(
            found.as_ref() == Some(&settings),
            "a refused change left {found:?} for {settings:?}"
        );
    }
    Ok(())
}

/// Of many first commits for one user exactly one is written, and it is the one that is read back.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn of_many_first_commits_one_wins(backend: &dyn Backend) -> Result<(), Breach> {
    let (handles, barrier) = handles(backend, HANDLES).await?;
    for round in rounds(ROUNDS) {
        let (acme, alice) =
            (tenant(&format!("acme-{}", round % 2))?, user(&format!("alice-{round}"))?);
        race_commits(&handles, &barrier, &acme, &alice, expecting(None, None)).await?;
    }
    Ok(())
}

/// Of many commits that expect the same record exactly one is written, and it is the one that is
/// read back.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn of_many_commits_one_wins(backend: &dyn Backend) -> Result<(), Breach> {
    let (handles, barrier) = handles(backend, HANDLES).await?;
    let (acme, alice) = (tenant("acme")?, user("alice")?);
    let settings = note(0, "settings")?;
    let store = backend.open().await?;
    set(&*store, &acme, None, &settings).await?;
    let mut record = note(0, "first")?;
    write(&*store, &acme, &alice, expecting(Some(&settings), None), &record).await?;
    for _ in rounds(ROUNDS) {
        let expected = expecting(Some(&settings), Some(&record));
        record = race_commits(&handles, &barrier, &acme, &alice, expected).await?;
    }
    Ok(())
}

/// Lets all handles commit concurrently with the same expectation, and answers with the row of the
/// one that won.
async fn race_commits(
    handles: &[Arc<dyn FactorStore>],
    barrier: &Arc<tokio::sync::Barrier>,
    tenant: &TenantId,
    user: &UserId,
    expected: ExpectedVersions,
) -> Result<StoredRow, Breach> {
    let mut racing = JoinSet::new();
    for (number, handle) in handles.iter().enumerate() {
        let (handle, barrier) = (Arc::clone(handle), Arc::clone(barrier));
        let (tenant, user, next) =
            (tenant.clone(), user.clone(), note(0, &format!("of handle {number}"))?);
        racing.spawn(async move {
            barrier.wait().await;
            let done = handle.commit(&tenant, &user, &expected, &next).await;
            (done, next)
        });
    }
    let winner = one_winner(racing).await?;
    for handle in handles {
        must_be(&**handle, tenant, user, Some(&winner)).await?;
    }
    Ok(winner)
}

async fn one_winner(
    mut racing: JoinSet<(Result<CommitOutcome, countersign::error::PluginError>, StoredRow)>,
) -> Result<StoredRow, Breach> {
    let mut winners = Vec::new();
    while let Some(finished) = racing.join_next().await {
        let (done, next) = finished?;
        if done? == CommitOutcome::Written {
            winners.push(next);
        }
    }
    ensure!(
        winners.len() == 1,
        "{} of {HANDLES} writes with the same expectation were written",
        winners.len()
    );
    winners.pop().ok_or_else(|| Breach::found("nobody won"))
}

/// Of many changes of a tenant's first settings exactly one is written.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn of_many_first_settings_one_wins(backend: &dyn Backend) -> Result<(), Breach> {
    let (handles, barrier) = handles(backend, HANDLES).await?;
    for round in rounds(ROUNDS) {
        let acme = tenant(&format!("acme-{round}"))?;
        if round % 2 == 1 {
            // A tenant that has records already.
            let store = backend.open().await?;
            write(&*store, &acme, &user("alice")?, expecting(None, None), &note(0, "record")?)
                .await?;
        }
        race_settings(&handles, &barrier, &acme, None).await?;
    }
    Ok(())
}

/// Of many changes that expect the same settings exactly one is written.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn of_many_changes_of_settings_one_wins(backend: &dyn Backend) -> Result<(), Breach> {
    let (handles, barrier) = handles(backend, HANDLES).await?;
    let acme = tenant("acme")?;
    let mut settings = note(0, "settings")?;
    set(&*backend.open().await?, &acme, None, &settings).await?;
    for _ in rounds(ROUNDS) {
        settings = race_settings(&handles, &barrier, &acme, Some(&settings)).await?;
    }
    Ok(())
}

async fn race_settings(
    handles: &[Arc<dyn FactorStore>],
    barrier: &Arc<tokio::sync::Barrier>,
    tenant: &TenantId,
    expected: Option<&StoredRow>,
) -> Result<StoredRow, Breach> {
    let expected = expected.map(|row| row.version);
    let mut racing = JoinSet::new();
    for (number, handle) in handles.iter().enumerate() {
        let (handle, barrier, tenant) = (Arc::clone(handle), Arc::clone(barrier), tenant.clone());
        let next = note(0, &format!("of handle {number}"))?;
        racing.spawn(async move {
            barrier.wait().await;
            let done = handle.change_settings(&tenant, expected, &next).await;
            (done, next)
        });
    }
    let winner = one_winner(racing).await?;
    for handle in handles {
        let found = handle.settings(tenant).await?;
        ensure!(found.as_ref() == Some(&winner), "{winner:?} won, and {found:?} was read");
    }
    Ok(winner)
}

/// Commits for different users of a tenant that is new do not conflict: none of them rests on what
/// the others write.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn users_of_a_new_tenant_do_not_conflict(backend: &dyn Backend) -> Result<(), Breach> {
    let (handles, barrier) = handles(backend, HANDLES).await?;
    for round in rounds(ROUNDS) {
        let acme = tenant(&format!("acme-{round}"))?;
        let mut racing = JoinSet::new();
        for (number, handle) in handles.iter().enumerate() {
            let (handle, barrier) = (Arc::clone(handle), Arc::clone(&barrier));
            let (acme, alice, next) =
                (acme.clone(), user(&format!("alice-{number}"))?, note(0, "first")?);
            racing.spawn(async move {
                barrier.wait().await;
                handle.commit(&acme, &alice, &expecting(None, None), &next).await
            });
        }
        while let Some(finished) = racing.join_next().await {
            ensure!(
                finished?? == CommitOutcome::Written,
                "the first commit for one user conflicted with that for another"
            );
        }
    }
    Ok(())
}

/// Handles that count up the same record, each trying again after a conflict, lose none of their
/// counts (`I-09`).
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn no_update_is_lost(backend: &dyn Backend) -> Result<(), Breach> {
    const EACH: u64 = 12;
    let (handles, barrier) = handles(backend, HANDLES).await?;
    let (acme, alice) = (tenant("acme")?, user("alice")?);
    let mut counting = JoinSet::new();
    for handle in handles {
        let (barrier, acme, alice) = (Arc::clone(&barrier), acme.clone(), alice.clone());
        counting.spawn(async move {
            barrier.wait().await;
            for _ in 0..EACH {
                count_up(&*handle, &acme, &alice).await?;
            }
            Ok::<_, Breach>(())
        });
    }
    let mut wanted: u64 = 0;
    while let Some(finished) = counting.join_next().await {
        finished??;
        wanted = wanted.saturating_add(EACH);
    }
    let counted = backend.open().await?.load(&acme, &alice).await?.record;
    let counted = counted.and_then(|record| record.document.parse::<u64>().ok());
    ensure!(
        counted == Some(wanted),
        "{wanted} increments were acknowledged, and {counted:?} were kept"
    );
    Ok(())
}

async fn count_up(store: &dyn FactorStore, tenant: &TenantId, user: &UserId) -> Result<(), Breach> {
    loop {
        let found = store.load(tenant, user).await?.record;
        let count: u64 = match &found {
            Some(record) => {
                record.document.parse().map_err(|_| Breach::found("a count was changed"))?
            }
            None => 0,
        };
        let next = row(0, count.saturating_add(1).to_string())?;
        // What a handle read is often no longer true when it writes.
        tokio::task::yield_now().await;
        if store.commit(tenant, user, &expecting(None, found.as_ref()), &next).await?
            == CommitOutcome::Written
        {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
}

/// A version that was seen before a deletion never becomes valid again, however often the row is
/// made anew.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn a_removed_version_stays_dead(backend: &dyn Backend) -> Result<(), Breach> {
    let store = backend.open().await?;
    let (acme, alice) = (tenant("acme")?, user("alice")?);
    let mut seen: Vec<StoredRow> = Vec::new();
    for round in 0..4 {
        let record = note(0, &format!("life {round}"))?;
        write(&*store, &acme, &alice, expecting(None, None), &record).await?;
        seen.push(record.clone());
        ensure!(store.remove(&acme, &alice).await?, "an existing record was not removed");
        for earlier in &seen {
            let late = store
                .commit(&acme, &alice, &expecting(None, Some(earlier)), &note(0, "late")?)
                .await?;
            ensure!(
                late == CommitOutcome::Conflict,
                "a commit on what was before a removal was written"
            );
        }
        must_be(&*store, &acme, &alice, None).await?;
    }
    let record = note(0, "last life")?;
    write(&*store, &acme, &alice, expecting(None, None), &record).await?;
    for earlier in &seen {
        let late =
            store.commit(&acme, &alice, &expecting(None, Some(earlier)), &note(0, "late")?).await?;
        ensure!(
            late == CommitOutcome::Conflict,
            "a commit on what was before a removal replaced a newer record"
        );
    }
    must_be(&*store, &acme, &alice, Some(&record)).await
}

/// When a record is removed while commits on it are under way, it is gone afterwards (`I-26`).
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn a_remove_and_a_commit_exclude_each_other(backend: &dyn Backend) -> Result<(), Breach> {
    let (handles, barrier) = handles(backend, HANDLES).await?;
    let acme = tenant("acme")?;
    for round in rounds(ROUNDS) {
        let alice = user(&format!("alice-{round}"))?;
        let record = note(0, "before")?;
        write(&*backend.open().await?, &acme, &alice, expecting(None, None), &record).await?;
        let expected = expecting(None, Some(&record));
        let mut racing = JoinSet::new();
        for (number, handle) in handles.iter().enumerate() {
            let (handle, barrier) = (Arc::clone(handle), Arc::clone(&barrier));
            let (acme, alice, next) = (acme.clone(), alice.clone(), note(0, "after")?);
            racing.spawn(async move {
                barrier.wait().await;
                if number == 0 {
                    ensure!(
                        handle.remove(&acme, &alice).await?,
                        "an existing record was not removed"
                    );
                } else {
                    let _either = handle.commit(&acme, &alice, &expected, &next).await?;
                }
                Ok::<_, Breach>(())
            });
        }
        while let Some(finished) = racing.join_next().await {
            finished??;
        }
        must_be(&**handles.first().ok_or_else(|| Breach::found("no handle"))?, &acme, &alice, None)
            .await?;
    }
    Ok(())
}

/// What one `load` answers was true at one instant: settings and record are never from different
/// moments.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn a_load_is_of_one_instant(backend: &dyn Backend) -> Result<(), Breach> {
    const LOADS: usize = 200;
    let (writer, reader) = (backend.open().await?, backend.open().await?);
    let (acme, alice) = (tenant("acme")?, user("alice")?);
    let mut settings = note(0, "settings")?;
    let mut record = note(0, "record")?;
    set(&*writer, &acme, None, &settings).await?;
    write(&*writer, &acme, &alice, expecting(Some(&settings), None), &record).await?;
    let enough = Arc::new(AtomicBool::new(false));
    let writing = {
        let (acme, alice, enough) = (acme.clone(), alice.clone(), Arc::clone(&enough));
        tokio::spawn(async move {
            for cycle in 1.. {
                if enough.load(Ordering::SeqCst) {
                    break;
                }
                let next = note(cycle, "settings")?;
                set(&*writer, &acme, Some(&settings), &next).await?;
                settings = next;
                let next = note(cycle, "record")?;
                write(&*writer, &acme, &alice, expecting(Some(&settings), Some(&record)), &next)
                    .await?;
                record = next;
                tokio::task::yield_now().await;
            }
            Ok::<_, Breach>(())
        })
    };
    for _ in 0..LOADS {
        let snapshot = reader.load(&acme, &alice).await?;
        let (Some(settings), Some(record)) = (snapshot.settings, snapshot.record) else {
            return Err(Breach::found("a row that is only ever replaced was absent for a moment"));
        };
        let (settings, record) = (settings.generation.number(), record.generation.number());
        // The record follows one step behind.
        ensure!(
            settings == record || settings == record.saturating_add(1),
            "settings of cycle {settings} and a record of cycle {record} were never there at the same time"
        );
        tokio::task::yield_now().await;
    }
    enough.store(true, Ordering::SeqCst);
    writing.await?
}
