//! What the checks share: rows to write, and the writes and reads that must succeed.

use std::sync::Arc;

use countersign::store::{
    CommitOutcome, ExpectedVersions, FactorStore, Generation, StoredRow, Version,
};
use countersign::{TenantId, UserId};
use rand::TryRng;
use rand::rngs::SysRng;
use tokio::sync::Barrier;

use crate::conformance::{Backend, Breach, ensure};

/// How many handles act concurrently in the checks of concurrency.
pub(super) const HANDLES: usize = 8;

/// The numbers of so many rounds. Where a check is one of many runs, a tenth of them, and others in
/// the next run.
pub(super) fn rounds(many: u32) -> impl Iterator<Item = u32> {
    let run = std::env::var("COUNTERSIGN_STRESS_RUN").ok().and_then(|run| run.parse::<u32>().ok());
    let (first, step) = run.map_or((0, 1), |run| (run.checked_rem(many.min(10)).unwrap_or(0), 10));
    (first..many).step_by(step)
}

/// A version that was never used.
pub(super) fn new_version() -> Result<Version, Breach> {
    let mut bytes = [0; 16];
    SysRng.try_fill_bytes(&mut bytes).map_err(|error| Breach::Fault(error.to_string()))?;
    Ok(Version::from_bytes(bytes))
}

/// A row with a new version.
pub(super) fn row(generation: u32, document: impl Into<String>) -> Result<StoredRow, Breach> {
    Ok(StoredRow {
        version: new_version()?,
        generation: Generation::new(generation),
        document: document.into(),
    })
}

/// A row whose document says only what it is for.
pub(super) fn note(generation: u32, text: &str) -> Result<StoredRow, Breach> {
    row(generation, format!(r#"{{"format":1,"note":"{text}"}}"#))
}

pub(super) fn expecting(
    settings: Option<&StoredRow>,
    record: Option<&StoredRow>,
) -> ExpectedVersions {
    ExpectedVersions {
        settings: settings.map(|row| row.version),
        record: record.map(|row| row.version),
    }
}

/// A commit that nothing speaks against.
pub(super) async fn write(
    store: &dyn FactorStore,
    tenant: &TenantId,
    user: &UserId,
    expected: ExpectedVersions,
    next: &StoredRow,
) -> Result<(), Breach> {
    let done = store.commit(tenant, user, &expected, next).await?;
    ensure!(done == CommitOutcome::Written, "a commit whose expectations hold was refused");
    Ok(())
}

/// A change of settings that nothing speaks against.
pub(super) async fn set(
    store: &dyn FactorStore,
    tenant: &TenantId,
    expected: Option<&StoredRow>,
    next: &StoredRow,
) -> Result<(), Breach> {
    let done = store.change_settings(tenant, expected.map(|row| row.version), next).await?;
    ensure!(
        done == CommitOutcome::Written,
        "a change of settings whose expectation holds was refused"
    );
    Ok(())
}

/// A user's record must be this one.
pub(super) async fn must_be(
    store: &dyn FactorStore,
    tenant: &TenantId,
    user: &UserId,
    record: Option<&StoredRow>,
) -> Result<(), Breach> {
    let found = store.load(tenant, user).await?.record;
    ensure!(
        found.as_ref() == record,
        "the record of {user:?} in {tenant:?} must be {record:?} and is {found:?}"
    );
    Ok(())
}

/// Handles of their own for things that happen at the same time, and the barrier at which they wait
/// for each other.
pub(super) async fn handles(
    backend: &dyn Backend,
    number: usize,
) -> Result<(Vec<Arc<dyn FactorStore>>, Arc<Barrier>), Breach> {
    let mut handles = Vec::with_capacity(number);
    for _ in 0..number {
        handles.push(backend.open().await?);
    }
    Ok((handles, Arc::new(Barrier::new(number))))
}
