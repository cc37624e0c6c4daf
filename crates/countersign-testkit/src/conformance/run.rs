//! Runs one check as a test does.

use std::pin::Pin;
use std::time::Duration;

use countersign::error::PluginError;

use crate::conformance::{Backend, Breach, BudgetBackend, UserBackend};
use crate::skip;

/// How long one check may take. None takes a tenth of it on a store that works.
const PATIENCE: Duration = Duration::from_secs(120);

/// Makes a backend, runs one check on it, and cleans up whatever came of it.
///
/// # Errors
///
/// What the check found; [`Breach::Stuck`] if it took too long; a [`Breach::Fault`] if no backend
/// could be made, or if there is none and `COUNTERSIGN_REQUIRE_SERVERS=1`.
pub fn run<B: Backend>(
    name: &str,
    backend: impl Future<Output = Result<Option<B>, PluginError>>,
    check: impl for<'b> FnOnce(&'b B) -> Pin<Box<dyn Future<Output = Result<(), Breach>> + Send + 'b>>,
) -> Result<(), Breach> {
    on(name, backend, check, |backend| backend.clean_up())
}

/// The same for a check of a user store.
///
/// # Errors
///
/// As [`run`].
pub fn run_users<B: UserBackend>(
    name: &str,
    backend: impl Future<Output = Result<Option<B>, PluginError>>,
    check: impl for<'b> FnOnce(&'b B) -> Pin<Box<dyn Future<Output = Result<(), Breach>> + Send + 'b>>,
) -> Result<(), Breach> {
    on(name, backend, check, |backend| backend.clean_up())
}

/// The same for a check of a send budget.
///
/// # Errors
///
/// As [`run`].
pub fn run_budgets<B: BudgetBackend>(
    name: &str,
    backend: impl Future<Output = Result<Option<B>, PluginError>>,
    check: impl for<'b> FnOnce(&'b B) -> Pin<Box<dyn Future<Output = Result<(), Breach>> + Send + 'b>>,
) -> Result<(), Breach> {
    on(name, backend, check, |backend| backend.clean_up())
}

fn on<B>(
    name: &str,
    backend: impl Future<Output = Result<Option<B>, PluginError>>,
    check: impl for<'b> FnOnce(&'b B) -> Pin<Box<dyn Future<Output = Result<(), Breach>> + Send + 'b>>,
    clean_up: impl for<'b> FnOnce(
        &'b B,
    )
        -> Pin<Box<dyn Future<Output = Result<(), PluginError>> + Send + 'b>>,
) -> Result<(), Breach> {
    block_on(async {
        // Whoever made no backend has said why; this says what was not checked for it.
        let Some(backend) = backend.await? else { return Ok(skip(name)?) };
        let verdict = in_time(check(&backend)).await;
        let cleaned = clean_up(&backend).await;
        verdict.and(cleaned.map_err(Breach::from))
    })
}

async fn in_time(check: impl Future<Output = Result<(), Breach>>) -> Result<(), Breach> {
    tokio::time::timeout(PATIENCE, check).await.unwrap_or(Err(Breach::Stuck(PATIENCE.as_secs())))
}

/// A runtime with several threads, since half of the checks are about what happens at the same
/// time.
fn block_on<T>(work: impl Future<Output = Result<T, Breach>>) -> Result<T, Breach> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .map_err(|error| Breach::Fault(error.to_string()))?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_timeout(Duration::from_secs(5));
    outcome
}
