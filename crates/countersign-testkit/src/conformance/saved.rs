//! Checks of single calls: what is written is what is read.

use crate::conformance::desk::{expecting, must_be, new_version, note, set, write};
use crate::conformance::{Backend, Breach, ensure, tenant, user};
use countersign::store::{CommitOutcome, Generation, StoredRow};

/// For a tenant without settings and a user without a record, everything is absent and nothing is
/// an error.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn nothing_saved_is_none(backend: &dyn Backend) -> Result<(), Breach> {
    let store = backend.open().await?;
    let (acme, alice) = (tenant("acme")?, user("alice")?);
    let snapshot = store.load(&acme, &alice).await?;
    ensure!(
        snapshot.record.is_none(),
        "a record is there that nobody wrote: {:?}",
        snapshot.record
    );
    ensure!(
        snapshot.settings.is_none(),
        "settings are there that nobody wrote: {:?}",
        snapshot.settings
    );
    let settings = store.settings(&acme).await?;
    ensure!(settings.is_none(), "settings are there that nobody wrote: {settings:?}");
    ensure!(!store.remove(&acme, &alice).await?, "a record was removed that nobody wrote");
    ensure!(
        store.count(&acme, Generation::new(9)).await? == 0,
        "records are counted that nobody wrote"
    );
    ensure!(
        store.purge(&acme, Generation::new(9), 10).await? == 0,
        "records are purged that nobody wrote"
    );
    // Saving one user's record makes no settings.
    write(&*store, &acme, &alice, expecting(None, None), &note(0, "first")?).await?;
    let settings = store.load(&acme, &alice).await?.settings;
    ensure!(settings.is_none(), "a record's commit made settings: {settings:?}");
    let settings = store.settings(&acme).await?;
    ensure!(settings.is_none(), "a record's commit made settings: {settings:?}");
    must_be(&*store, &acme, &user("bob")?, None).await
}

/// A record is read back with the version, the generation and the document that were written last.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn what_is_committed_is_read_back(backend: &dyn Backend) -> Result<(), Breach> {
    let store = backend.open().await?;
    let (acme, alice) = (tenant("acme")?, user("alice")?);
    let mut before = None;
    for generation in [0, 0, 1, 1, 7] {
        let next = note(generation, &format!("generation {generation}"))?;
        write(&*store, &acme, &alice, expecting(None, before.as_ref()), &next).await?;
        must_be(&*store, &acme, &alice, Some(&next)).await?;
        must_be(&*backend.open().await?, &acme, &alice, Some(&next)).await?;
        before = Some(next);
    }
    Ok(())
}

/// Settings are read back as they were written last, by both verbs that read them.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn settings_are_read_back(backend: &dyn Backend) -> Result<(), Breach> {
    let store = backend.open().await?;
    let (acme, alice) = (tenant("acme")?, user("alice")?);
    let mut before: Option<StoredRow> = None;
    for generation in [0, 1, 1, 2] {
        let next = note(generation, &format!("settings {generation}"))?;
        set(&*store, &acme, before.as_ref(), &next).await?;
        let read = store.settings(&acme).await?;
        ensure!(read.as_ref() == Some(&next), "settings {next:?} were read back as {read:?}");
        let read = store.load(&acme, &alice).await?.settings;
        ensure!(read.as_ref() == Some(&next), "settings {next:?} were loaded as {read:?}");
        before = Some(next);
    }
    // With records in the tenant too.
    let record = note(2, "record")?;
    write(&*store, &acme, &alice, expecting(before.as_ref(), None), &record).await?;
    let snapshot = store.load(&acme, &alice).await?;
    ensure!(
        snapshot.settings == before,
        "settings {before:?} were loaded as {:?}",
        snapshot.settings
    );
    ensure!(
        snapshot.record.as_ref() == Some(&record),
        "{record:?} was loaded as {:?}",
        snapshot.record
    );
    Ok(())
}

/// Settings may be written with the version that they have, and a caller that loaded them before
/// may still commit: a store compares with what is expected and has no opinion on what is written.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn settings_may_keep_their_version(backend: &dyn Backend) -> Result<(), Breach> {
    let store = backend.open().await?;
    let (acme, alice) = (tenant("acme")?, user("alice")?);
    let before = note(1, "before")?;
    set(&*store, &acme, None, &before).await?;
    let after = StoredRow { version: before.version, ..note(1, "after")? };
    set(&*store, &acme, Some(&before), &after).await?;
    let read = store.settings(&acme).await?;
    ensure!(
        read.as_ref() == Some(&after),
        "settings {after:?} with an unchanged version were read back as {read:?}"
    );
    // Who loaded before may still commit.
    write(&*store, &acme, &alice, expecting(Some(&before), None), &note(1, "record")?).await
}

/// What is there may be written again as it is, in records and in settings: it is written, though
/// nothing changes by it.
///
/// Some databases count the rows that changed, and not those that their conditions matched.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn what_is_there_may_be_written_again(backend: &dyn Backend) -> Result<(), Breach> {
    let store = backend.open().await?;
    let (acme, alice) = (tenant("acme")?, user("alice")?);
    let (settings, record) = (note(1, "settings")?, note(1, "record")?);
    write(&*store, &acme, &alice, expecting(None, None), &record).await?;
    write(&*store, &acme, &alice, expecting(None, Some(&record)), &record).await?;
    set(&*store, &acme, None, &settings).await?;
    set(&*store, &acme, Some(&settings), &settings).await?;
    write(&*store, &acme, &alice, expecting(Some(&settings), Some(&record)), &record).await?;
    must_be(&*store, &acme, &alice, Some(&record)).await?;
    let read = store.settings(&acme).await?;
    ensure!(read.as_ref() == Some(&settings), "settings that were written again are {read:?}");
    Ok(())
}

/// `remove` deletes one record, says whether there was one, and leaves settings and every other
/// record alone.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn removing_is_exact(backend: &dyn Backend) -> Result<(), Breach> {
    let store = backend.open().await?;
    let (acme, other) = (tenant("acme")?, tenant("other")?);
    let (alice, alicia) = (user("alice")?, user("alice2")?);
    let settings = note(0, "settings")?;
    set(&*store, &acme, None, &settings).await?;
    let kept = note(0, "kept")?;
    for (tenant, settings) in [(&acme, Some(&settings)), (&other, None)] {
        for user in [&alice, &alicia] {
            let next = StoredRow { version: new_version()?, ..kept.clone() };
            write(&*store, tenant, user, expecting(settings, None), &next).await?;
        }
    }
    ensure!(store.remove(&acme, &alice).await?, "an existing record was not removed");
    must_be(&*store, &acme, &alice, None).await?;
    for (tenant, user) in [(&acme, &alicia), (&other, &alice), (&other, &alicia)] {
        let found = store.load(tenant, user).await?.record;
        ensure!(found.is_some(), "removing {alice:?} of {acme:?} took {user:?} of {tenant:?} too");
    }
    ensure!(
        store.settings(&acme).await?.as_ref() == Some(&settings),
        "removing a record changed the settings"
    );
    ensure!(!store.remove(&acme, &alice).await?, "a record was removed twice");
    // The row is free again, for a commit that expects none.
    let again = note(0, "again")?;
    let stale =
        store.commit(&acme, &alice, &expecting(Some(&settings), Some(&kept)), &again).await?;
    ensure!(
        stale == CommitOutcome::Conflict,
        "a commit that expected a removed record was written"
    );
    write(&*store, &acme, &alice, expecting(Some(&settings), None), &again).await?;
    must_be(&*store, &acme, &alice, Some(&again)).await
}
