//! Keys of one test's own.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::indexing_slicing, clippy::unwrap_used)]

pub mod calls;
pub mod mixer;
pub mod nodes;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use countersign::budget::SendBudget;
use countersign::error::PluginError;
use countersign::store::FactorStore;
use countersign_redis::{RedisFactors, RedisOptions};
use countersign_testkit::conformance::{Backend, BudgetBackend, Hold, HostTransaction, Line};
use redis::aio::MultiplexedConnection;
use test_servers::Forwarder;

pub struct Keys {
    pub url: String,
    pub prefix: String,
}

impl Keys {
    pub fn new(url: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self {
            url: url.to_owned(),
            prefix: format!("countersign-test-{}-{number}", std::process::id()),
        }
    }

    pub fn options(&self) -> RedisOptions {
        RedisFactors::options()
            .key_prefix(&self.prefix)
            .initialise_if_empty()
            .accept_data_loss_on_restart()
    }

    pub async fn client(&self) -> Result<MultiplexedConnection, PluginError> {
        Ok(calls::client_at(&self.url).await?)
    }

    /// The server's address with an account of this test's own, so that it can end its own
    /// connections and no others.
    async fn own_url(&self) -> Result<String, PluginError> {
        let mut client = self.client().await?;
        let rules = ["SETUSER", &self.prefix, "on", ">secret", "~*", "&*", "+@all"];
        redis::cmd("ACL").arg(&rules).exec_async(&mut client).await?;
        let (scheme, place) =
            self.url.split_once("://").ok_or_else(|| PluginError::new("no address"))?;
        let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
        Ok(format!("{scheme}://{}:secret@{place}", self.prefix))
    }
}

/// On a busy machine nothing ends by a time-out. Only on a line, which falls silent, something
/// must.
pub fn patient(options: RedisOptions) -> RedisOptions {
    options.connect_timeout(Duration::from_secs(60)).response_timeout(Duration::from_secs(60))
}

#[async_trait]
impl Backend for Keys {
    async fn open(&self) -> Result<Arc<dyn FactorStore>, PluginError> {
        Ok(Arc::new(patient(self.options()).connect(&self.own_url().await?).await?))
    }

    async fn open_on_a_line(
        &self,
    ) -> Result<Option<(Arc<dyn FactorStore>, Box<dyn Line>)>, PluginError> {
        let Some((line, url)) = Forwarder::before(&self.own_url().await?).await? else {
            return Ok(None);
        };
        Ok(Some((Arc::new(self.options().connect(&url).await?), Box::new(line))))
    }

    /// Nothing comes between a comparison and its write within a script.
    async fn hold_writes(&self) -> Result<Option<Box<dyn Hold>>, PluginError> {
        Ok(None)
    }

    /// Ends all connections of this test's stores, as a restart does. A restart itself is in
    /// `tests/losses.rs`.
    async fn interrupt(&self) -> Result<bool, PluginError> {
        let mut client = self.client().await?;
        let ended: u32 = redis::cmd("CLIENT")
            .arg(&["KILL", "USER", &self.prefix])
            .query_async(&mut client)
            .await?;
        assert!(ended > 0, "no connection was there to end");
        Ok(true)
    }

    async fn host_transaction(&self) -> Result<Option<Box<dyn HostTransaction>>, PluginError> {
        let mut client = self.client().await?;
        redis::cmd("MULTI").exec_async(&mut client).await?;
        Ok(Some(Box::new(Host(client))))
    }

    async fn clean_up(&self) -> Result<(), PluginError> {
        let mut client = self.client().await?;
        redis::cmd("ACL").arg(&["DELUSER", &self.prefix]).exec_async(&mut client).await?;
        let pattern = format!("{}:*", self.prefix);
        let keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query_async(&mut client).await?;
        for chunk in keys.chunks(1_000) {
            redis::cmd("UNLINK").arg(chunk).exec_async(&mut client).await?;
        }
        Ok(())
    }
}

struct Host(MultiplexedConnection);

#[async_trait]
impl HostTransaction for Host {
    async fn roll_back(self: Box<Self>) -> Result<(), PluginError> {
        let mut client = self.0;
        Ok(redis::cmd("DISCARD").exec_async(&mut client).await?)
    }
}

/// Keys of which only the budget is used.
pub struct Budget(pub Keys);

#[async_trait]
impl BudgetBackend for Budget {
    async fn open(&self) -> Result<Arc<dyn SendBudget>, PluginError> {
        Ok(Arc::new(patient(self.0.options()).connect(&self.0.url).await?.budget()))
    }

    async fn open_on_a_line(
        &self,
    ) -> Result<Option<(Arc<dyn SendBudget>, Box<dyn Line>)>, PluginError> {
        let Some((line, url)) = Forwarder::before(&self.0.url).await? else { return Ok(None) };
        Ok(Some((Arc::new(self.0.options().connect(&url).await?.budget()), Box::new(line))))
    }

    async fn kept(&self) -> Result<Option<u64>, PluginError> {
        let pattern = format!("{}:{{000}}:b:*", self.0.prefix);
        let kept: Vec<String> =
            redis::cmd("KEYS").arg(pattern).query_async(&mut self.0.client().await?).await?;
        Ok(Some(kept.len().try_into()?))
    }

    async fn clean_up(&self) -> Result<(), PluginError> {
        self.0.clean_up().await
    }
}
