//! Checks of what a sweep rests on: listings page by page, and removals with a condition.

use std::sync::Arc;

use countersign::store::{CommitOutcome, FactorStore, Generation, StoredRow};
use countersign::{TenantId, UserId};
use tokio::task::JoinSet;

use crate::conformance::desk::{
    HANDLES, expecting, handles, must_be, new_version, note, rounds, write,
};
use crate::conformance::{Backend, Breach, ensure, tenant};

/// How often the handles meet at the barrier.
const ROUNDS: u32 = 20;

/// In the order of their bytes, and in no order that a locale knows. One is the library's own.
const NAMES: [&str; 13] =
    ["!", "A", "B", "Z", "a", "a b", "ab", "b", "z", "~phantom~007", "é", "テ", "😀"];

fn user(id: &str) -> Result<UserId, Breach> {
    UserId::read_back(id).map_err(|error| Breach::Fault(error.to_string()))
}

/// `remove_if` deletes a record only as it is, says whether it did, and leaves every other one
/// alone.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn a_conditional_removal_is_exact(backend: &dyn Backend) -> Result<(), Breach> {
    let store = backend.open().await?;
    let (acme, other) = (tenant("acme")?, tenant("other")?);
    let (alice, alicia) = (user("alice")?, user("alice2")?);
    let never = new_version()?;
    ensure!(
        !store.remove_if(&acme, &alice, never).await?,
        "a record was removed that nobody wrote"
    );
    let (first, record) = (note(0, "first")?, note(0, "record")?);
    write(&*store, &acme, &alice, expecting(None, None), &first).await?;
    write(&*store, &acme, &alice, expecting(None, Some(&first)), &record).await?;
    // A record of the same version elsewhere is not this record.
    for (tenant, user) in [(&acme, &alicia), (&other, &alice)] {
        write(&*store, tenant, user, expecting(None, None), &record).await?;
    }
    for (what, version) in
        [("a version that never was", never), ("an earlier version", first.version)]
    {
        ensure!(
            !store.remove_if(&acme, &alice, version).await?,
            "a removal that expected {what} said that it removed"
        );
        must_be(&*store, &acme, &alice, Some(&record)).await?;
    }
    ensure!(
        store.remove_if(&acme, &alice, record.version).await?,
        "a removal whose expectation holds was refused"
    );
    must_be(&*store, &acme, &alice, None).await?;
    for (tenant, user) in [(&acme, &alicia), (&other, &alice)] {
        must_be(&*store, tenant, user, Some(&record)).await?;
    }
    ensure!(!store.remove_if(&acme, &alice, record.version).await?, "a record was removed twice");
    // Nobody who loaded it before writes any more, and nobody finds it in a listing.
    let late =
        store.commit(&acme, &alice, &expecting(None, Some(&record)), &note(0, "late")?).await?;
    ensure!(late == CommitOutcome::Conflict, "a commit on what was before a removal was written");
    let listed = store.users(&acme, Generation::new(0), None, 9).await?;
    ensure!(listed == [alicia], "after a removal {listed:?} are listed");
    // The row is free again.
    let again = note(0, "again")?;
    write(&*store, &acme, &alice, expecting(None, None), &again).await?;
    ensure!(
        !store.remove_if(&acme, &alice, record.version).await?,
        "a removed version removed what was written anew"
    );
    must_be(&*store, &acme, &alice, Some(&again)).await
}

/// Of a removal and commits that expect the same version exactly one takes effect: what a commit
/// wrote and acknowledged is never deleted by a removal that was decided before it (`I-09`,
/// `I-10`).
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn a_conditional_removal_and_commits_exclude_each_other(
    backend: &dyn Backend,
) -> Result<(), Breach> {
    let (handles, barrier) = handles(backend, HANDLES).await?;
    let store = backend.open().await?;
    let acme = tenant("acme")?;
    for round in rounds(ROUNDS) {
        let alice = user(&format!("alice-{round}"))?;
        let record = note(0, "worth nothing")?;
        write(&*store, &acme, &alice, expecting(None, None), &record).await?;
        let mut racing = JoinSet::new();
        for (number, handle) in handles.iter().enumerate() {
            let (handle, barrier, acme, alice) =
                (Arc::clone(handle), Arc::clone(&barrier), acme.clone(), alice.clone());
            let (record, next) = (record.clone(), note(0, &format!("charged by handle {number}"))?);
            racing.spawn(async move {
                barrier.wait().await;
                // Half of them remove, half of them charge: whoever comes to the barrier last goes
                // on first, and is another each round.
                if (number % 2 == 0) == (round % 2 == 0) {
                    let removed = handle.remove_if(&acme, &alice, record.version).await?;
                    return Ok::<_, Breach>(removed.then_some(None));
                }
                let done =
                    handle.commit(&acme, &alice, &expecting(None, Some(&record)), &next).await?;
                Ok((done == CommitOutcome::Written).then_some(Some(next)))
            });
        }
        let mut effects: Vec<Option<StoredRow>> = Vec::new();
        while let Some(finished) = racing.join_next().await {
            effects.extend(finished??);
        }
        ensure!(
            effects.len() == 1,
            "{} of {HANDLES} calls with the same expectation took effect",
            effects.len()
        );
        let left = effects.pop().flatten();
        must_be(&*store, &acme, &alice, left.as_ref()).await?;
    }
    Ok(())
}

/// Lists everybody, so many at a time.
async fn pages(
    store: &dyn FactorStore,
    tenant: &TenantId,
    generation: u32,
    at_most: u32,
) -> Result<Vec<UserId>, Breach> {
    let mut listed: Vec<UserId> = Vec::new();
    loop {
        let page = store.users(tenant, Generation::new(generation), listed.last(), at_most).await?;
        let number = u32::try_from(page.len()).unwrap_or(u32::MAX);
        ensure!(
            number <= at_most,
            "{number} users were listed where at most {at_most} were asked for"
        );
        listed.extend(page);
        ensure!(listed.len() <= 100, "a listing does not end");
        if number < at_most {
            return Ok(listed);
        }
    }
}

/// Users are listed in the order of the bytes of their ids, whatever the pages, those of one
/// generation and one tenant only.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn users_are_listed_in_the_order_of_their_bytes(
    backend: &dyn Backend,
) -> Result<(), Breach> {
    let store = backend.open().await?;
    let (acme, longer) = (tenant("acme")?, tenant("acme2")?);
    ensure!(pages(&*store, &acme, 0, 3).await?.is_empty(), "users without a record are listed");
    // Every third in another generation, and all of them written in no particular order.
    let mut wanted: [Vec<UserId>; 3] = [Vec::new(), Vec::new(), Vec::new()];
    for (number, name) in NAMES.iter().enumerate() {
        let of = wanted.get_mut(number % 3).ok_or_else(|| Breach::found("no such generation"))?;
        of.push(user(name)?);
    }
    let evens = (0..NAMES.len()).step_by(2);
    for place in evens.chain((1..NAMES.len()).step_by(2)).rev() {
        let name = user(NAMES.get(place).copied().unwrap_or_default())?;
        let generation = u32::try_from(place % 3).unwrap_or_default();
        write(&*store, &acme, &name, expecting(None, None), &note(generation, "listed")?).await?;
        write(
            &*store,
            &longer,
            &user(&format!("other {place}"))?,
            expecting(None, None),
            &note(1, "other")?,
        )
        .await?;
    }
    for at_most in [1, 2, 3, 4, 5, 100] {
        for (generation, wanted) in (0..).zip(&wanted) {
            let listed = pages(&*store, &acme, generation, at_most).await?;
            ensure!(
                listed == *wanted,
                "generation {generation}, {at_most} at a time: {listed:?}, not {wanted:?}"
            );
        }
        ensure!(
            pages(&*store, &acme, 3, at_most).await?.is_empty(),
            "users of a later generation are listed"
        );
    }
    // From a name that nobody has.
    for (after, wanted) in [
        ("A!", vec!["Z", "ab", "~phantom~007", "😀"]),
        ("ab", vec!["~phantom~007", "😀"]),
        ("~phantom~007", vec!["😀"]),
        ("~~", vec!["😀"]),
        ("😀", vec![]),
    ] {
        let listed = store.users(&acme, Generation::new(0), Some(&user(after)?), 9).await?;
        let listed: Vec<&str> = listed.iter().map(UserId::as_str).collect();
        ensure!(listed == wanted, "after {after:?} come {listed:?}, not {wanted:?}");
    }
    // A record that is written under another generation is listed there, and there alone.
    let record = store.load(&acme, &user("A")?).await?.record;
    write(&*store, &acme, &user("A")?, expecting(None, record.as_ref()), &note(2, "listed")?)
        .await?;
    let listed = pages(&*store, &acme, 1, 2).await?;
    ensure!(!listed.contains(&user("A")?), "a record is listed under its earlier generation");
    let listed = pages(&*store, &acme, 2, 2).await?;
    ensure!(
        listed.first() == Some(&user("A")?),
        "a record is not listed under its later generation: {listed:?}"
    );
    Ok(())
}

/// A listing goes on after a user whose record has gone meanwhile, and leaves nobody out whose
/// record stays.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn a_listing_goes_on_while_records_go(backend: &dyn Backend) -> Result<(), Breach> {
    let store = backend.open().await?;
    let acme = tenant("acme")?;
    for number in 0..30 {
        write(
            &*store,
            &acme,
            &user(&format!("user-{number:02}"))?,
            expecting(None, None),
            &note(0, "listed")?,
        )
        .await?;
    }
    let (mut after, mut seen) = (None, 0_usize);
    loop {
        let page = store.users(&acme, Generation::new(0), after.as_ref(), 4).await?;
        for listed in &page {
            ensure!(
                *listed == user(&format!("user-{seen:02}"))?,
                "{listed:?} is listed in the place of number {seen}"
            );
            seen = seen.saturating_add(1);
        }
        // Half of every page goes, its last user with it.
        for gone in page.iter().rev().step_by(2) {
            ensure!(store.remove(&acme, gone).await?, "an existing record was not removed");
        }
        after = page.last().cloned();
        if page.len() < 4 {
            break;
        }
    }
    ensure!(seen == 30, "{seen} of 30 users were listed");
    Ok(())
}
