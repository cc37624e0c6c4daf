//! The suite of the testkit, on a file.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use countersign::error::PluginError;
use countersign::store::FactorStore;
use countersign_sqlite::{Durability, SqliteFactors, SqliteOptions};
use countersign_testkit::conformance::{Backend, Hold, HostTransaction, Line};
use rusqlite::Connection;
use tempfile::TempDir;

/// Handles that wait for the disk neither by themselves nor for each other: one commit was seen to
/// take it half a minute beside a program that writes much. What the handles wait for apart from
/// that is bounded by their turns.
fn patient() -> SqliteOptions {
    SqliteFactors::options()
        .durability(Durability::ProcessCrash)
        .busy_timeout(Duration::from_secs(600))
}

/// The budget is a table of the same file. A connection of its own counts what is kept.
mod budget {
    use countersign::budget::SendBudget;
    use countersign_testkit::conformance::BudgetBackend;

    use super::*;

    struct File(TempDir);

    #[async_trait]
    impl BudgetBackend for File {
        async fn open(&self) -> Result<Arc<dyn SendBudget>, PluginError> {
            Ok(Arc::new(patient().open(self.0.path().join("countersign.db")).await?.budget()))
        }

        async fn kept(&self) -> Result<Option<u64>, PluginError> {
            let connection = Connection::open(self.0.path().join("countersign.db"))?;
            let kept = "SELECT count(DISTINCT account) FROM countersign_charges";
            let kept: i64 = connection.query_row(kept, [], |row| row.get(0))?;
            Ok(Some(kept.try_into()?))
        }

        async fn open_on_a_line(
            &self,
        ) -> Result<Option<(Arc<dyn SendBudget>, Box<dyn Line>)>, PluginError> {
            Ok(None)
        }

        async fn clean_up(&self) -> Result<(), PluginError> {
            Ok(())
        }
    }

    countersign_testkit::send_budget_conformance!(async { Ok(Some(File(TempDir::new()?))) });
}

/// The second time with names of its own for the tables, beside which the application has others of
/// the same endings.
mod file {
    use super::*;

    struct File {
        directory: TempDir,
        prefix: &'static str,
    }

    impl File {
        fn new(prefix: &'static str) -> Result<Self, PluginError> {
            let file = Self { directory: TempDir::new()?, prefix };
            if prefix != "countersign_" {
                let connection = Connection::open(file.path())?;
                for table in ["settings", "records", "charges", "schema"] {
                    connection.execute_batch(&format!(
                        "CREATE TABLE countersign_{table} (the_applications_own)"
                    ))?;
                }
            }
            Ok(file)
        }

        fn path(&self) -> PathBuf {
            self.directory.path().join("countersign.db")
        }
    }

    #[async_trait]
    impl Backend for File {
        /// A handle opens the file by itself, as another process does.
        async fn open(&self) -> Result<Arc<dyn FactorStore>, PluginError> {
            Ok(Arc::new(patient().table_prefix(self.prefix).open(self.path()).await?))
        }

        async fn interrupt(&self) -> Result<bool, PluginError> {
            Ok(false)
        }

        /// SQLite has one writer: an application that has written in its own transaction holds the
        /// store up until it ends, and what the store acknowledged was written outside of it. What
        /// can be open at the same time is a transaction that has read.
        async fn host_transaction(&self) -> Result<Option<Box<dyn HostTransaction>>, PluginError> {
            let connection = Connection::open(self.path())?;
            connection.execute_batch("BEGIN")?;
            let rows = format!("SELECT count(*) FROM {}records", self.prefix);
            let _rows: i64 = connection.query_row(&rows, [], |row| row.get(0))?;
            Ok(Some(Box::new(Host(connection))))
        }

        async fn open_on_a_line(
            &self,
        ) -> Result<Option<(Arc<dyn FactorStore>, Box<dyn Line>)>, PluginError> {
            Ok(None)
        }

        async fn hold_writes(&self) -> Result<Option<Box<dyn Hold>>, PluginError> {
            Ok(None)
        }

        async fn clean_up(&self) -> Result<(), PluginError> {
            Ok(())
        }
    }

    struct Host(Connection);

    #[async_trait]
    impl HostTransaction for Host {
        async fn roll_back(self: Box<Self>) -> Result<(), PluginError> {
            Ok(self.0.execute_batch("ROLLBACK")?)
        }
    }

    countersign_testkit::factor_store_conformance!(async { File::new("countersign_").map(Some) });

    mod with_a_prefix {
        use super::*;

        countersign_testkit::factor_store_conformance!(async {
            File::new("two_factor_").map(Some)
        });
    }
}
