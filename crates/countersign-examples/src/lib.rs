//! What the example programs share: a store that is chosen by its address.

use std::sync::Arc;

use countersign::error::PluginError;
use countersign::memory::MemoryFactors;
use countersign::store::FactorStore;
use countersign_postgres::PostgresFactors;
use countersign_redis::RedisFactors;
use countersign_sqlite::SqliteFactors;

/// The store at an address: `memory:`, `sqlite:path`, `postgres://…` or `redis://…`.
///
/// # Errors
///
/// A [`PluginError`] if there is none.
pub async fn store_at(address: &str) -> Result<Arc<dyn FactorStore>, PluginError> {
    Ok(match address.split_once(':') {
        Some(("memory", "")) => Arc::new(MemoryFactors::new()),
        Some(("sqlite", path)) => Arc::new(SqliteFactors::open(path).await?),
        Some(("postgres" | "postgresql", _)) => Arc::new(PostgresFactors::connect(address).await?),
        // An example may make a new store, and may forget it. An application initialises once, and
        // insists on an append-only file.
        Some(("redis" | "rediss", _)) => {
            let options =
                RedisFactors::options().initialise_if_empty().accept_data_loss_on_restart();
            Arc::new(options.connect(address).await?)
        }
        _ => {
            return Err(PluginError::new(
                "the address is memory:, sqlite:path, postgres://... or redis://...",
            ));
        }
    })
}
