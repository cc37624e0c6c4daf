//! Checks of reading many records in one call, as pages that show everybody and rehearsals do.

use std::sync::Arc;

use countersign::store::{FactorStore, MAX_DOCUMENT, StoredRow};
use countersign::{TenantId, UserId};
use tokio::task::JoinSet;

use crate::conformance::desk::{HANDLES, expecting, handles, note, row, set, write};
use crate::conformance::tenants::ALIKE;
use crate::conformance::{Backend, Breach, ensure, tenant};

/// The most users of one call.
const MOST: usize = 1_000;

/// Users, and the record that each must have.
type Wanted = Vec<(UserId, Option<StoredRow>)>;

fn user(id: &str) -> Result<UserId, Breach> {
    UserId::read_back(id).map_err(|error| Breach::Fault(error.to_string()))
}

/// A call must answer these settings, and these records in this order.
async fn must_read(
    store: &dyn FactorStore,
    tenant: &TenantId,
    settings: Option<&StoredRow>,
    wanted: &[(UserId, Option<StoredRow>)],
) -> Result<(), Breach> {
    let users: Vec<UserId> = wanted.iter().map(|(user, _)| user.clone()).collect();
    let found = store.load_many(tenant, &users).await?;
    ensure!(
        found.settings.as_ref() == settings,
        "with {} records, the settings of {tenant:?} must be {settings:?} and are {:?}",
        users.len(),
        found.settings
    );
    ensure!(
        found.records.len() == users.len(),
        "{} users were asked for, and {} records were answered",
        users.len(),
        found.records.len()
    );
    for (place, ((user, wanted), found)) in wanted.iter().zip(&found.records).enumerate() {
        ensure!(
            found == wanted,
            "the record of {user:?} in {tenant:?}, in place {place} of a list of {}, must be {wanted:?} and is {found:?}",
            users.len()
        );
    }
    Ok(())
}

/// `load_many` answers one record for each user of the list, in its order: `None` for a user
/// without one, the same record twice for a user who is listed twice, and records of every
/// generation. The settings come with them, also with an empty list.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn many_records_come_in_the_order_of_the_list(
    backend: &dyn Backend,
) -> Result<(), Breach> {
    let store = backend.open().await?;
    let acme = tenant("acme")?;
    let nobody = [(user("alice")?, None), (user("bob")?, None)];
    must_read(&*store, &acme, None, &[]).await?;
    must_read(&*store, &acme, None, &nobody).await?;
    // Written in no particular order. One is the library's own, and the ids of two others begin
    // alike.
    let (mut saved, mut settings) = (Wanted::new(), None);
    for (id, generation) in [("dora", 2), ("alice", 0), ("~phantom~007", 1), ("Zoe", 2), ("bob", 1)]
    {
        let (of, record) = (user(id)?, note(generation, id)?);
        write(&*store, &acme, &of, expecting(None, None), &record).await?;
        saved.push((of, Some(record)));
    }
    let nobody = ["ali", "alice2", "nobody"].map(|id| user(id).map(|id| (id, None)));
    let nobody = nobody.into_iter().collect::<Result<Wanted, _>>()?;
    let backwards: Wanted = saved.iter().rev().cloned().collect();
    let mixed: Wanted =
        nobody.iter().zip(&saved).flat_map(|(none, some)| [none.clone(), some.clone()]).collect();
    let twice: Wanted =
        [&saved, &nobody, &backwards, &nobody].into_iter().flatten().cloned().collect();
    // Without settings, and with those of a later generation than some of the records.
    for generation in [None, Some(2)] {
        if let Some(generation) = generation {
            let next = note(generation, "settings")?;
            set(&*store, &acme, None, &next).await?;
            settings = Some(next);
        }
        for list in [&saved, &backwards, &nobody, &mixed, &twice, &Wanted::new()] {
            must_read(&*store, &acme, settings.as_ref(), list).await?;
        }
        for one in saved.iter().chain(&nobody) {
            must_read(&*store, &acme, settings.as_ref(), &[one.clone(), one.clone()]).await?;
        }
    }
    Ok(())
}

/// `load_many` answers records of the tenant that it was asked for, and of the users that were
/// listed: not those of another tenant's user with the same id, nor of a user whose id looks alike.
/// A separator or a quotation mark in an id is a character like any other.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn many_records_are_of_one_tenant_and_its_users(
    backend: &dyn Backend,
) -> Result<(), Breach> {
    let store = backend.open().await?;
    // One is a prefix of another, or a pattern that matches it, or differs in case.
    let mut tenants = Vec::new();
    for name in ["acme", "acme2", "ACME", "acm_"] {
        let (tenant, settings) = (tenant(name)?, note(0, "settings")?);
        set(&*store, &tenant, None, &settings).await?;
        tenants.push((tenant, settings, Wanted::new()));
    }
    // Each user has a record in two of the tenants. What is no id at all can't be mistaken for one.
    let ids = ALIKE.iter().copied().flatten().filter_map(|id| UserId::new(id).ok());
    let ids: Vec<UserId> = ids.collect();
    for (number, id) in ids.iter().enumerate() {
        for (place, (tenant, settings, wanted)) in tenants.iter_mut().enumerate() {
            let record = if [number % 4, (number / 4) % 4].contains(&place) {
                let record = note(0, "alike")?;
                write(&*store, tenant, id, expecting(Some(settings), None), &record).await?;
                Some(record)
            } else {
                None
            };
            wanted.push((id.clone(), record));
        }
    }
    for (tenant, settings, wanted) in &tenants {
        must_read(&*store, tenant, Some(settings), wanted).await?;
        let mut backwards = wanted.clone();
        backwards.reverse();
        must_read(&*store, tenant, Some(settings), &backwards).await?;
        for few in wanted.chunks(5) {
            must_read(&*store, tenant, Some(settings), few).await?;
        }
    }
    let without: Wanted = ids.into_iter().map(|id| (id, None)).collect();
    must_read(&*store, &tenant("acme3")?, None, &without).await
}

/// A list may have 1,000 users, with ids of 128 bytes and documents of any size.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn a_thousand_records_are_read_in_one_call(backend: &dyn Backend) -> Result<(), Breach> {
    let (handles, _) = handles(backend, HANDLES).await?;
    let store = backend.open().await?;
    let acme = tenant("acme")?;
    let settings = note(0, "settings")?;
    set(&*store, &acme, None, &settings).await?;
    let mut wanted = Wanted::with_capacity(MOST);
    for number in 0..MOST {
        // In no order: 7 and 1,000 have no common divisor.
        let number = number.wrapping_mul(7) % MOST;
        let record = match number % 30 {
            0 => {
                let text = "x".repeat(MAX_DOCUMENT.saturating_sub(2));
                Some(row(0, format!("\"{text}\""))?)
            }
            other if other % 3 == 0 => Some(note(0, &format!("record {number}"))?),
            _ => None,
        };
        wanted.push((user(&format!("{number:04}-{}", "漢".repeat(41)))?, record));
    }
    let wanted = Arc::new(wanted);
    let mut writing = JoinSet::new();
    for (first, handle) in handles.into_iter().enumerate() {
        let (acme, wanted, settings) = (acme.clone(), Arc::clone(&wanted), settings.clone());
        writing.spawn(async move {
            for (user, record) in wanted.iter().skip(first).step_by(HANDLES) {
                if let Some(record) = record {
                    write(&*handle, &acme, user, expecting(Some(&settings), None), record).await?;
                }
            }
            Ok::<_, Breach>(())
        });
    }
    while let Some(written) = writing.join_next().await {
        written??;
    }
    must_read(&*store, &acme, Some(&settings), &wanted).await?;
    // Nobody of a thousand, and one of them a thousand times.
    let nobody = (0..MOST).map(|number| Ok((user(&format!("nobody {number}"))?, None)));
    must_read(&*store, &acme, Some(&settings), &nobody.collect::<Result<Wanted, Breach>>()?)
        .await?;
    let small = |(_, record): &&(UserId, Option<StoredRow>)| {
        record.as_ref().is_some_and(|row| row.document.len() < 100)
    };
    let one = wanted.iter().find(small).ok_or_else(|| Breach::found("no small record"))?;
    must_read(&*store, &acme, Some(&settings), &vec![one.clone(); MOST]).await
}

/// What one handle acknowledged, `load_many` of every other handle shows at its next call.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn many_records_show_every_acknowledged_write(
    backend: &dyn Backend,
) -> Result<(), Breach> {
    let handles = [backend.open().await?, backend.open().await?, backend.open().await?];
    let acme = tenant("acme")?;
    let mut settings: Option<StoredRow> = None;
    let mut wanted: Wanted = Vec::new();
    for id in ["carol", "alice", "nobody", "bob"] {
        wanted.push((user(id)?, None));
    }
    // Every handle has read before, so that each has had the opportunity to keep something.
    seen_by_all(&handles, &acme, None, &wanted).await?;
    for round in 0..10_u32 {
        // Each writer has a user of its own.
        for (writer, place) in handles.iter().zip([0, 1, 3]) {
            let Some((user, record)) = wanted.get_mut(place) else { continue };
            let next = note(0, &format!("record of round {round}"))?;
            let expected = expecting(settings.as_ref(), record.as_ref());
            write(&**writer, &acme, user, expected, &next).await?;
            *record = Some(next);
            seen_by_all(&handles, &acme, settings.as_ref(), &wanted).await?;
            let next = note(0, &format!("settings of round {round}"))?;
            set(&**writer, &acme, settings.as_ref(), &next).await?;
            settings = Some(next);
            seen_by_all(&handles, &acme, settings.as_ref(), &wanted).await?;
        }
        if round % 5 == 4 {
            let ([writer, ..], [(user, record), ..]) = (&handles, &mut wanted[..]) else { break };
            ensure!(writer.remove(&acme, user).await?, "an existing record was not removed");
            *record = None;
            seen_by_all(&handles, &acme, settings.as_ref(), &wanted).await?;
        }
    }
    Ok(())
}

async fn seen_by_all(
    handles: &[Arc<dyn FactorStore>],
    tenant: &TenantId,
    settings: Option<&StoredRow>,
    wanted: &[(UserId, Option<StoredRow>)],
) -> Result<(), Breach> {
    for handle in handles {
        must_read(&**handle, tenant, settings, wanted).await?;
    }
    Ok(())
}
