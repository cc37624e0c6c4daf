//! What the example programs share: a store that is chosen by its address.

use std::sync::Arc;
use std::time::Duration;

use countersign::error::PluginError;
use countersign::memory::MemoryFactors;
use countersign::store::FactorStore;
use countersign_postgres::PostgresFactors;
use countersign_redis::RedisFactors;
use countersign_sqlite::SqliteFactors;

const MINUTE: Duration = Duration::from_secs(60);

/// The store at an address: `memory:`, `sqlite:path`, `postgres://…` or `redis://…`.
///
/// Each is given a minute where its default is a few seconds: examples and tests run on machines
/// that have other work.
///
/// # Errors
///
/// A [`PluginError`] if there is none.
pub async fn store_at(address: &str) -> Result<Arc<dyn FactorStore>, PluginError> {
    Ok(match address.split_once(':') {
        Some(("memory", "")) => Arc::new(MemoryFactors::new()),
        Some(("sqlite", path)) => {
            Arc::new(SqliteFactors::options().busy_timeout(MINUTE).open(path).await?)
        }
        Some(("postgres" | "postgresql", _)) => {
            let options = PostgresFactors::options()
                .connect_timeout(MINUTE)
                .wait_timeout(MINUTE)
                .statement_timeout(MINUTE);
            Arc::new(options.connect(address).await?)
        }
        // An example may make a new store, and may forget it. An application initialises once, and
        // insists on an append-only file.
        Some(("redis" | "rediss", _)) => {
            let options = RedisFactors::options()
                .initialise_if_empty()
                .accept_data_loss_on_restart()
                .connect_timeout(MINUTE)
                .response_timeout(MINUTE);
            Arc::new(options.connect(address).await?)
        }
        _ => {
            return Err(PluginError::new(
                "the address is memory:, sqlite:path, postgres://... or redis://...",
            ));
        }
    })
}
