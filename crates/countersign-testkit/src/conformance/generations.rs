//! Checks of switching off: settings and commits exclude each other, and a purge takes all of what
//! is earlier and nothing else (`I-27`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use countersign::store::{CommitOutcome, FactorStore, Generation, StoredRow};
use countersign::{TenantId, UserId};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::conformance::desk::{HANDLES, expecting, handles, must_be, note, rounds, set, write};
use crate::conformance::{Backend, Breach, ensure, tenant, user};

const ROUNDS: u32 = 12;

/// How many users each handle commits for while the settings change.
const USERS: usize = 6;

/// Once `change_settings` has returned, no commit that expects the earlier settings writes: neither
/// one that begins then nor one that is still under way.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn changed_settings_end_commits_that_expected_others(
    backend: &dyn Backend,
) -> Result<(), Breach> {
    let (handles, barrier) = handles(backend, HANDLES).await?;
    for round in rounds(ROUNDS) {
        let acme = tenant(&format!("acme-{round}"))?;
        let first = note(0, "in use")?;
        set(&**handles.first().ok_or_else(|| Breach::found("no handle"))?, &acme, None, &first)
            .await?;
        storm(&handles, &barrier, &acme, Some(&first)).await?;
    }
    Ok(())
}

/// The same for a tenant that had no settings: the first ones end every commit that expected none.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn first_settings_end_commits_that_expected_none(
    backend: &dyn Backend,
) -> Result<(), Breach> {
    let (handles, barrier) = handles(backend, HANDLES).await?;
    // There is nothing to lock where there is no row, so that a store which goes wrong does it
    // here.
    for round in rounds(ROUNDS.saturating_mul(2)) {
        storm(&handles, &barrier, &tenant(&format!("acme-{round}"))?, None).await?;
    }
    Ok(())
}

/// Lets handles commit under `settings` until they are refused, changes the settings meanwhile, and
/// looks whether anything was written after that change was acknowledged.
async fn storm(
    handles: &[Arc<dyn FactorStore>],
    barrier: &Arc<Barrier>,
    tenant: &TenantId,
    settings: Option<&StoredRow>,
) -> Result<(), Breach> {
    let changed = Arc::new(AtomicBool::new(false));
    let mut committing = JoinSet::new();
    for (number, handle) in handles.iter().cloned().enumerate() {
        let (barrier, changed, tenant) =
            (Arc::clone(barrier), Arc::clone(&changed), tenant.clone());
        let settings = settings.cloned();
        committing.spawn(async move {
            barrier.wait().await;
            commit_until_refused(&*handle, &tenant, number, settings.as_ref(), &changed).await
        });
    }
    let Some(store) = handles.first() else { return Err(Breach::found("no handle")) };
    wait_for_the_first(&**store, tenant, &mut committing).await?;
    let next = note(1, "switched off")?;
    set(&**store, tenant, settings, &next).await?;
    changed.store(true, Ordering::SeqCst);
    let then = all(&**store, tenant).await?;
    while let Some(finished) = committing.join_next().await {
        finished??;
    }
    let now = all(&**store, tenant).await?;
    ensure!(
        then == now,
        "a commit that expected other settings was written after the change was acknowledged"
    );
    Ok(())
}

/// Into the thick of it: returns when commits are being written.
async fn wait_for_the_first(
    store: &dyn FactorStore,
    tenant: &TenantId,
    committing: &mut JoinSet<Result<(), Breach>>,
) -> Result<(), Breach> {
    while store.load(tenant, &member(0, 0)?).await?.record.is_none() {
        if let Some(finished) = committing.try_join_next() {
            finished??;
            return Err(Breach::found("a commit was refused although nothing had changed"));
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn commit_until_refused(
    store: &dyn FactorStore,
    tenant: &TenantId,
    number: usize,
    settings: Option<&StoredRow>,
    changed: &AtomicBool,
) -> Result<(), Breach> {
    let mut records: Vec<Option<StoredRow>> = vec![None; USERS];
    loop {
        for (slot, record) in records.iter_mut().enumerate() {
            let after = changed.load(Ordering::SeqCst);
            let next = note(0, "under the first settings")?;
            let expected = expecting(settings, record.as_ref());
            match store.commit(tenant, &member(number, slot)?, &expected, &next).await? {
                CommitOutcome::Conflict => return Ok(()),
                CommitOutcome::Written => {
                    ensure!(
                        !after,
                        "a commit that began after the settings had changed was written"
                    );
                    *record = Some(next);
                }
            }
        }
        // A store that never waits would otherwise keep the thread to itself.
        tokio::task::yield_now().await;
    }
}

fn member(handle: usize, slot: usize) -> Result<UserId, Breach> {
    user(&format!("user-{handle}-{slot}"))
}

async fn all(store: &dyn FactorStore, tenant: &TenantId) -> Result<Vec<Option<StoredRow>>, Breach> {
    let mut found = Vec::new();
    for handle in 0..HANDLES {
        for slot in 0..USERS {
            found.push(store.load(tenant, &member(handle, slot)?).await?.record);
        }
    }
    Ok(found)
}

/// A purge deletes records of lower generations, no more than it was asked for, and none of another
/// tenant.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn a_purge_deletes_earlier_generations_only(backend: &dyn Backend) -> Result<(), Breach> {
    let store = backend.open().await?;
    let tenants = [tenant("acme")?, tenant("acme2")?];
    for tenant in &tenants {
        for (generation, records) in [(0, 3), (1, 4), (2, 5), (10, 6)] {
            for number in 0..records {
                let user = user(&format!("user-{generation}-{number}"))?;
                write(&*store, tenant, &user, expecting(None, None), &note(generation, "record")?)
                    .await?;
            }
        }
    }
    let [acme, other] = &tenants;
    let steps = [
        (0, 9, 0, 18),
        (2, 0, 0, 18),
        (2, 5, 5, 13),
        (2, 5, 2, 11),
        (2, 5, 0, 11),
        (3, 5, 5, 6),
        (10, 9, 0, 6),
    ];
    for (below, at_most, wanted, left) in steps {
        let deleted = store.purge(acme, Generation::new(below), at_most).await?;
        ensure!(
            deleted == wanted,
            "of what is below generation {below}, {deleted} records were deleted, not {wanted} (at most {at_most})"
        );
        let found = store.count(acme, Generation::new(11)).await?;
        ensure!(found == left, "{found} records are left, not {left}");
    }
    for number in 0..6 {
        let kept = store.load(acme, &user(&format!("user-10-{number}"))?).await?.record;
        ensure!(kept.is_some(), "a record of the generation itself was deleted");
    }
    let found = store.count(other, Generation::new(11)).await?;
    ensure!(found == 18, "{} records of another tenant were deleted", 18_u64.saturating_sub(found));
    Ok(())
}

/// Purges of many batches, from several concurrent handles, delete everything that is earlier, and
/// together say how much that was.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn a_purge_of_many_batches_ends_complete(backend: &dyn Backend) -> Result<(), Breach> {
    const EARLIER: u64 = 300;
    let (handles, barrier) = handles(backend, 3).await?;
    let store = backend.open().await?;
    let acme = tenant("acme")?;
    for number in 0..EARLIER {
        let user = user(&format!("user-{number}"))?;
        write(&*store, &acme, &user, expecting(None, None), &note(0, "earlier")?).await?;
    }
    let mut purging = JoinSet::new();
    for handle in handles {
        let (barrier, acme) = (Arc::clone(&barrier), acme.clone());
        purging.spawn(async move {
            barrier.wait().await;
            let mut deleted: u64 = 0;
            loop {
                let batch = handle.purge(&acme, Generation::new(1), 20).await?;
                deleted = deleted.saturating_add(batch);
                if batch < 20 {
                    let left = handle.count(&acme, Generation::new(1)).await?;
                    ensure!(
                        left == 0,
                        "a batch of at most 20 ended with {batch}, and {left} records were left"
                    );
                    return Ok::<_, Breach>(deleted);
                }
            }
        });
    }
    let mut deleted: u64 = 0;
    while let Some(finished) = purging.join_next().await {
        deleted = deleted.saturating_add(finished??);
    }
    ensure!(
        deleted == EARLIER,
        "{EARLIER} records were there, and {deleted} deletions were reported"
    );
    Ok(())
}

/// A record that is written anew under the later generation while a purge runs is not deleted by
/// it.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn a_purge_never_takes_a_later_record(backend: &dyn Backend) -> Result<(), Breach> {
    let (purger, store) = (backend.open().await?, backend.open().await?);
    for round in rounds(ROUNDS) {
        let acme = tenant(&format!("acme-{round}"))?;
        let mut earlier = Vec::new();
        for number in 0..30 {
            let (user, record) = (user(&format!("user-{number}"))?, note(0, "earlier")?);
            write(&*store, &acme, &user, expecting(None, None), &record).await?;
            earlier.push((user, record));
        }
        let purging = {
            let (purger, acme) = (Arc::clone(&purger), acme.clone());
            tokio::spawn(async move {
                while purger.purge(&acme, Generation::new(1), 5).await? > 0 {
                    tokio::task::yield_now().await;
                }
                Ok::<_, Breach>(())
            })
        };
        for (user, record) in earlier.iter().rev() {
            let next = note(1, "later")?;
            let expected = expecting(None, Some(record));
            if store.commit(&acme, user, &expected, &next).await? == CommitOutcome::Conflict {
                // It was deleted: then it is made anew, as the core does.
                write(&*store, &acme, user, expecting(None, None), &next).await?;
            }
        }
        purging.await??;
        for (user, _) in &earlier {
            let found = store.load(&acme, user).await?.record;
            ensure!(
                found.is_some_and(|record| record.generation == Generation::new(1)),
                "a record that was written under the later generation is gone"
            );
        }
    }
    Ok(())
}

/// After a change of settings and a complete purge have returned, no record of an earlier
/// generation exists or appears, whatever was under way.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn nothing_earlier_appears_after_a_purge(backend: &dyn Backend) -> Result<(), Breach> {
    let store = backend.open().await?;
    let (handles, barrier) = handles(backend, HANDLES).await?;
    for round in rounds(ROUNDS) {
        let acme = tenant(&format!("acme-{round}"))?;
        let first = note(0, "in use")?;
        set(&*store, &acme, None, &first).await?;
        let changed = Arc::new(AtomicBool::new(false));
        let mut committing = JoinSet::new();
        for (number, handle) in handles.iter().cloned().enumerate() {
            let (barrier, changed, acme) =
                (Arc::clone(&barrier), Arc::clone(&changed), acme.clone());
            let first = first.clone();
            committing.spawn(async move {
                barrier.wait().await;
                commit_until_refused(&*handle, &acme, number, Some(&first), &changed).await
            });
        }
        wait_for_the_first(&*store, &acme, &mut committing).await?;
        set(&*store, &acme, Some(&first), &note(1, "switched off")?).await?;
        changed.store(true, Ordering::SeqCst);
        while store.purge(&acme, Generation::new(1), 7).await? == 7 {}
        let left = store.count(&acme, Generation::new(1)).await?;
        while let Some(finished) = committing.join_next().await {
            finished??;
        }
        ensure!(
            left == 0,
            "{left} earlier records were left by a purge that answered less than it was asked for"
        );
        let appeared = store.count(&acme, Generation::new(1)).await?;
        ensure!(appeared == 0, "{appeared} earlier records appeared after a complete purge");
        must_be(&*store, &acme, &member(0, 0)?, None).await?;
    }
    Ok(())
}
