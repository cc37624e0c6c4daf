//! Checks that tenants and users are kept apart (`I-04`).

use countersign::store::{CommitOutcome, Generation, StoredRow};
use countersign::{TenantId, UserId};

use crate::conformance::desk::{expecting, must_be, note, set, write};
use crate::conformance::{Backend, Breach, ensure, tenant, user};

/// Ids that look alike, group by group.
pub(super) const ALIKE: [&[&str]; 7] = [
    // However the two halves are joined.
    &[
        "a", "a:", ":a", "a:a", ":", "::", "a/a", "a|a", "a.a", "a,a", "a\\a", "a\\:a", "a;a",
        "a#a", "a~a", "a-a",
    ],
    &["name", "Name", "NAME", "name ", " name", "name  ", "nam", "names"],
    // Composed, decomposed, full-width, ligature, dotted and dotless, and sharp s.
    &[
        "\u{e9}", "e\u{301}", "e", "E", "ｅ", "fi", "ﬁ", "I", "i", "\u{130}", "\u{131}", "straße",
        "strasse",
    ],
    &["%", "_", "*", "?", "[a]", "{a}", "}{", "{", "}", "%7B", "%25", "a%", "a_"],
    &["1", "01", "1.0", "+1", "1e0", "0x1", "true", "null", "NULL", "''", "\"\"", "'", "\""],
    &["a b", "a\u{a0}b", "a\u{3000}b", "ab", "a+b", "a%20b"],
    &["~phantom", "phantom~000", "settings", "s", "u", "g", "marker"],
];

/// What happens in one tenant changes nothing in another, whatever the two are called.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn tenants_are_apart(backend: &dyn Backend) -> Result<(), Breach> {
    let store = backend.open().await?;
    let alice = user("alice")?;
    // One is a prefix of the others, a pattern that matches them, or differs from them in case.
    let names = [
        "acme", "acme2", "acm", "acme:", "acme%", "acm_", "ac*", "[a]cme", "ACME", "acme ",
        "{acme}",
    ];
    let mut written = Vec::new();
    for name in names {
        let tenant = tenant(name)?;
        let settings = note(0, "settings")?;
        set(&*store, &tenant, None, &settings).await?;
        let record = note(0, "record")?;
        write(&*store, &tenant, &alice, expecting(Some(&settings), None), &record).await?;
        written.push((tenant, settings, record));
    }
    for victim in 0..written.len() {
        let Some((tenant, settings, record)) = written.get(victim).cloned() else { continue };
        // Neither the settings nor the records of another tenant serve as an expectation here.
        for (other, others_settings, others_record) in
            written.iter().filter(|(other, ..)| *other != tenant)
        {
            for expected in [
                expecting(Some(others_settings), Some(&record)),
                expecting(Some(&settings), Some(others_record)),
            ] {
                let refused =
                    store.commit(&tenant, &alice, &expected, &note(0, "crossed")?).await?;
                ensure!(
                    refused == CommitOutcome::Conflict,
                    "what is saved for {other:?} served as an expectation in {tenant:?}"
                );
            }
        }
        // Switching one off, purging it and removing from it.
        let off = note(1, "switched off")?;
        set(&*store, &tenant, Some(&settings), &off).await?;
        let deleted = store.purge(&tenant, Generation::new(1), 100).await?;
        ensure!(deleted == 1, "a purge of {tenant:?} deleted {deleted} records, and 1 was there");
        ensure!(!store.remove(&tenant, &alice).await?, "{tenant:?} has a record after its purge");
        for (index, (other, settings, record)) in
            written.iter().enumerate().filter(|(index, _)| *index != victim)
        {
            must_be(&*store, other, &alice, (index > victim).then_some(record)).await?;
            if index > victim {
                let found = store.settings(other).await?;
                ensure!(
                    found.as_ref() == Some(settings),
                    "a change in {tenant:?} changed the settings of {other:?}"
                );
                let counted = store.count(other, Generation::new(1)).await?;
                ensure!(counted == 1, "{other:?} has 1 record, and {counted} were counted");
            }
        }
    }
    Ok(())
}

/// Ids that look alike are different: prefixes, separators in either half, case, Unicode form,
/// width, spaces, characters that a database or a key pattern gives a meaning to.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn similar_ids_are_different_ids(backend: &dyn Backend) -> Result<(), Breach> {
    let store = backend.open().await?;
    for group in ALIKE {
        let mut written: Vec<(TenantId, UserId, StoredRow)> = Vec::new();
        for in_tenant in group {
            for in_user in group {
                // What is no id at all can't be mistaken for one.
                let (Ok(tenant), Ok(user)) = (TenantId::new(in_tenant), UserId::new(in_user))
                else {
                    continue;
                };
                let record = note(0, "alike")?;
                let done = store.commit(&tenant, &user, &expecting(None, None), &record).await?;
                ensure!(
                    done == CommitOutcome::Written,
                    "{user:?} of {tenant:?} was taken for another"
                );
                written.push((tenant, user, record));
            }
        }
        for (tenant, user, record) in &written {
            must_be(&*store, tenant, user, Some(record)).await?;
        }
        // Each tenant has its own users and no others, and gives them up without touching the next
        // one's.
        let mut left = written.len();
        while left > 0 {
            let Some((tenant, ..)) = written.first().cloned() else { break };
            let own = written.iter().filter(|(other, ..)| *other == tenant).count();
            let deleted = store.purge(&tenant, Generation::new(1), u32::MAX).await?;
            ensure!(
                deleted == own as u64,
                "{tenant:?} has {own} records, and {deleted} were deleted"
            );
            written.retain(|(other, ..)| *other != tenant);
            left = written.len();
        }
    }
    Ok(())
}
