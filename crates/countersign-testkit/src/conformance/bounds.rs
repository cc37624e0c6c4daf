//! Checks at the edges of what the contract allows.

use countersign::store::{Generation, MAX_DOCUMENT};

use crate::conformance::desk::{expecting, must_be, note, row, set, write};
use crate::conformance::{Backend, Breach, ensure, tenant, user};

/// Documents come back as they were, byte for byte: also those of a later format, and those that
/// this library would not write.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn documents_are_kept_byte_for_byte(backend: &dyn Backend) -> Result<(), Breach> {
    let store = backend.open().await?;
    let acme = tenant("acme")?;
    let documents = [
        // A format that does not exist yet, with members that nobody knows.
        r#"{"format":4000000000,"something":{"else":[1,2,3]}}"#,
        // Order, spaces, repeated members, spelling of numbers and escapes are part of the text.
        "{ \"z\" : 1 ,\n\t\"a\":1.50e+2,\"a\": 12345678901234567890.0000000000000000001 }",
        r#"{"escaped":"\u0000\u0041\/\ud83d\ude00","empty":{}}"#,
        // Composed and decomposed, right to left, outside the basic plane.
        "{\"text\":\"\u{e9} e\u{301} \u{5d0}\u{5d1} 漢字 \u{1f600} \u{10ffff}\"}",
        r#"{"quotes":"'; DROP TABLE records; -- \\ %s $1 {} ?"}"#,
        "null",
        "\"\"",
        " 1 ",
    ];
    for (number, document) in documents.into_iter().enumerate() {
        let alice = user(&format!("alice-{number}"))?;
        let record = row(0, document)?;
        write(&*store, &acme, &alice, expecting(None, None), &record).await?;
        let found = store.load(&acme, &alice).await?.record;
        ensure!(found.as_ref() == Some(&record), "document {document:?} was changed");
        let tenant = tenant(&format!("tenant-{number}"))?;
        let settings = row(0, document)?;
        set(&*store, &tenant, None, &settings).await?;
        let found = store.settings(&tenant).await?;
        ensure!(found.as_ref() == Some(&settings), "document {document:?} of settings was changed");
    }
    Ok(())
}

/// Documents of exactly [`MAX_DOCUMENT`] bytes are kept, whatever they are made of.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn documents_may_be_as_large_as_the_limit(backend: &dyn Backend) -> Result<(), Breach> {
    let store = backend.open().await?;
    let acme = tenant("acme")?;
    let mut expected_settings = None;
    for (number, letter) in ["x", "é", "漢", "\u{1f600}"].into_iter().enumerate() {
        let room = MAX_DOCUMENT.saturating_sub(2);
        let mut text = letter.repeat(room.checked_div(letter.len()).unwrap_or_default());
        text.push_str(&" ".repeat(room.saturating_sub(text.len())));
        let document = format!("\"{text}\"");
        let alice = user(&format!("alice-{number}"))?;
        let first = row(0, document.clone())?;
        write(&*store, &acme, &alice, expecting(expected_settings.as_ref(), None), &first).await?;
        // Replacing one large document by another is the common case.
        let second = row(0, document.clone())?;
        write(&*store, &acme, &alice, expecting(expected_settings.as_ref(), Some(&first)), &second)
            .await?;
        must_be(&*store, &acme, &alice, Some(&second)).await?;
        let settings = row(0, document)?;
        set(&*store, &acme, expected_settings.as_ref(), &settings).await?;
        let found = store.settings(&acme).await?;
        ensure!(found.as_ref() == Some(&settings), "settings of {MAX_DOCUMENT} bytes were changed");
        expected_settings = Some(settings);
    }
    Ok(())
}

/// Ids of 128 bytes are kept whole: two that differ in the last byte only are two.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn ids_may_be_as_long_as_allowed(backend: &dyn Backend) -> Result<(), Breach> {
    let store = backend.open().await?;
    let mut written = Vec::new();
    for letter in ["x", "漢", "\u{1f600}"] {
        let stem = letter.repeat(127_usize.checked_div(letter.len()).unwrap_or_default());
        let stem = format!("{stem}{}", "-".repeat(127_usize.saturating_sub(stem.len())));
        for tenant_end in ["1", "2"] {
            for user_end in ["1", "2"] {
                let (tenant, user) =
                    (tenant(&format!("{stem}{tenant_end}"))?, user(&format!("{stem}{user_end}"))?);
                let record = note(0, "long")?;
                write(&*store, &tenant, &user, expecting(None, None), &record).await?;
                written.push((tenant, user, record));
            }
        }
    }
    for (tenant, user, record) in &written {
        must_be(&*store, tenant, user, Some(record)).await?;
    }
    Ok(())
}

/// Generations and batch sizes go up to `u32::MAX`, and are compared as unsigned numbers.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn numbers_may_be_as_large_as_their_type(backend: &dyn Backend) -> Result<(), Breach> {
    let store = backend.open().await?;
    let acme = tenant("acme")?;
    let generations = [0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX - 1, u32::MAX];
    for generation in generations {
        let alice = user(&format!("alice-{generation}"))?;
        let record = note(generation, "large")?;
        write(&*store, &acme, &alice, expecting(None, None), &record).await?;
        must_be(&*store, &acme, &alice, Some(&record)).await?;
    }
    for (below, generation) in (0_u64..).zip(generations) {
        let found = store.count(&acme, Generation::new(generation)).await?;
        ensure!(
            found == below,
            "{below} records are below generation {generation}, and {found} were counted"
        );
    }
    let settings = note(u32::MAX, "large")?;
    set(&*store, &acme, None, &settings).await?;
    ensure!(
        store.settings(&acme).await?.as_ref() == Some(&settings),
        "a generation of {} was changed",
        u32::MAX
    );
    let purged = store.purge(&acme, Generation::new(u32::MAX), u32::MAX).await?;
    ensure!(purged == 5, "5 records are below generation {}, and {purged} were deleted", u32::MAX);
    must_be_left(&*store, &acme, u32::MAX).await
}

async fn must_be_left(
    store: &dyn countersign::store::FactorStore,
    tenant: &countersign::TenantId,
    generation: u32,
) -> Result<(), Breach> {
    let left = user(&format!("alice-{generation}"))?;
    ensure!(
        store.load(tenant, &left).await?.record.is_some(),
        "the record of the latest generation is gone"
    );
    ensure!(
        store.count(tenant, Generation::new(generation)).await? == 0,
        "records are counted that were deleted"
    );
    Ok(())
}
