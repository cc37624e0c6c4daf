//! The suite of the testkit on a cluster of three nodes.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod support;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use countersign::budget::SendBudget;
use countersign::error::PluginError;
use countersign::store::FactorStore;
use countersign_redis::RedisFactors;
use countersign_testkit::conformance::{Backend, BudgetBackend, Hold, HostTransaction, Line};
use test_servers::servers::Server;

/// The addresses of one cluster for all tests of this file.
fn cluster() -> Result<Option<Vec<String>>, PluginError> {
    static NODES: Mutex<Vec<Server>> = Mutex::new(Vec::new());
    let mut nodes = NODES.lock().unwrap();
    if nodes.is_empty() {
        let Some(started) = support::nodes::start()? else { return Ok(None) };
        *nodes = started;
    }
    Ok(Some(nodes.iter().map(|node| node.url().to_owned()).collect()))
}

struct Cluster {
    nodes: Vec<String>,
    prefix: String,
}

impl Cluster {
    fn new(nodes: Vec<String>) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        Self { nodes, prefix: format!("test-{}", NUMBER.fetch_add(1, Ordering::Relaxed)) }
    }
}

impl Cluster {
    async fn connect(&self) -> Result<RedisFactors, PluginError> {
        let nodes: Vec<_> = self.nodes.iter().map(String::as_str).collect();
        let options = RedisFactors::options().key_prefix(&self.prefix).initialise_if_empty();
        let options = support::patient(options).dangerously_unencrypted();
        Ok(options.connect_cluster(&nodes).await?)
    }
}

#[async_trait]
impl Backend for Cluster {
    async fn open(&self) -> Result<Arc<dyn FactorStore>, PluginError> {
        Ok(Arc::new(self.connect().await?))
    }

    /// In `cluster_changes.rs`, on nodes that no other test uses.
    async fn interrupt(&self) -> Result<bool, PluginError> {
        Ok(false)
    }

    async fn host_transaction(&self) -> Result<Option<Box<dyn HostTransaction>>, PluginError> {
        Ok(None)
    }

    /// A node tells its own address, past any that leads to it. The scripts are those of
    /// `conformance.rs`.
    async fn open_on_a_line(
        &self,
    ) -> Result<Option<(Arc<dyn FactorStore>, Box<dyn Line>)>, PluginError> {
        Ok(None)
    }

    async fn hold_writes(&self) -> Result<Option<Box<dyn Hold>>, PluginError> {
        Ok(None)
    }

    /// The cluster ends with the process.
    async fn clean_up(&self) -> Result<(), PluginError> {
        Ok(())
    }
}

countersign_testkit::factor_store_conformance!(async { Ok(cluster()?.map(Cluster::new)) });

mod budget {
    use super::*;

    struct Budget(Cluster);

    #[async_trait]
    impl BudgetBackend for Budget {
        async fn open(&self) -> Result<Arc<dyn SendBudget>, PluginError> {
            Ok(Arc::new(self.0.connect().await?.budget()))
        }

        async fn open_on_a_line(
            &self,
        ) -> Result<Option<(Arc<dyn SendBudget>, Box<dyn Line>)>, PluginError> {
            Ok(None)
        }

        /// Counted on one server in `conformance.rs`: the script is the same.
        async fn kept(&self) -> Result<Option<u64>, PluginError> {
            Ok(None)
        }

        async fn clean_up(&self) -> Result<(), PluginError> {
            Ok(())
        }
    }

    countersign_testkit::send_budget_conformance!(async {
        Ok(cluster()?.map(Cluster::new).map(Budget))
    });
}
