//! A PostgreSQL schema of one test's own.
#![allow(dead_code, missing_docs, unreachable_pub)]
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

pub mod bouncer;
pub mod proxy;
pub mod standby;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use countersign::budget::SendBudget;
use countersign::error::PluginError;
use countersign::store::{FactorStore, Generation, StoredRow, Version};
use countersign_postgres::{PostgresFactors, PostgresOptions};
use countersign_testkit::conformance::{Backend, BudgetBackend, Hold, HostTransaction, Line};
use countersign_testkit::skip;
use test_servers::Forwarder;
use test_servers::servers::Server;
use tokio_postgres::{Client, NoTls};

pub struct Schema {
    pub url: String,
    /// What the store is given: a pooler's address, or the server's. Its connections are called as
    /// the schema is.
    pub store_url: String,
    pub name: String,
    /// Whether statements are prepared. `None`: the store finds out.
    pub prepared: Option<bool>,
}

impl Schema {
    pub fn new(url: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("countersign_test_{}_{number}", std::process::id());
        let more = if url.contains('?') { '&' } else { '?' };
        Self {
            url: url.to_owned(),
            store_url: format!("{url}{more}application_name={name}"),
            name,
            prepared: None,
        }
    }

    /// Behind a pooler on this port, which keeps connections of its own for each database that it
    /// is asked for.
    pub fn behind(pooler: u16, url: &str) -> Self {
        let schema = Self::new(url);
        let name = &schema.name;
        let store_url =
            format!("postgres://countersign@127.0.0.1:{pooler}/{name}?application_name={name}");
        Self { store_url, ..schema }
    }

    pub fn options(&self) -> PostgresOptions {
        let options = options().schema(&self.name).connections(2);
        match self.prepared {
            Some(prepared) => options.prepared_statements(prepared),
            None => options,
        }
    }

    pub async fn client(&self) -> Result<Client, PluginError> {
        connect(&self.url).await
    }
}

/// On a busy machine nothing ends by a time-out for connections. A test in which something must
/// sets its own.
pub fn options() -> PostgresOptions {
    PostgresFactors::options()
        .connect_timeout(Duration::from_secs(60))
        .wait_timeout(Duration::from_secs(60))
}

/// A record or settings whose version is this number.
pub fn row(number: u32) -> StoredRow {
    let mut version = [0; 16];
    version[..4].copy_from_slice(&number.to_be_bytes());
    let version = Version::from_bytes(version);
    StoredRow {
        version,
        generation: Generation::new(0),
        document: format!("{{\"number\":{number}}}"),
    }
}

pub fn number(row: &StoredRow) -> u32 {
    u32::from_be_bytes(row.version.as_bytes()[..4].try_into().unwrap())
}

/// All of these; or, where the test is one of many runs (`scripts/stress`), one of them, and the
/// next one in the next run.
pub fn variants<T, const N: usize>(all: [T; N]) -> Vec<T> {
    let mut all: Vec<T> = all.into();
    match std::env::var("COUNTERSIGN_STRESS_RUN") {
        Ok(run) => vec![all.swap_remove(run.parse::<usize>().unwrap() % N)],
        Err(_) => all,
    }
}

/// A server of one test's own.
pub fn server(settings: &[&str]) -> Option<Server> {
    let server = Server::postgres(settings).unwrap();
    if server.is_none() {
        skip("no PostgreSQL server is installed").unwrap();
    }
    server
}

pub async fn connect(url: &str) -> Result<Client, PluginError> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

#[async_trait]
impl Backend for Schema {
    async fn open(&self) -> Result<Arc<dyn FactorStore>, PluginError> {
        Ok(Arc::new(self.options().connect(&self.store_url).await?))
    }

    async fn open_on_a_line(
        &self,
    ) -> Result<Option<(Arc<dyn FactorStore>, Box<dyn Line>)>, PluginError> {
        let Some((line, url)) = Forwarder::before(&self.store_url).await? else { return Ok(None) };
        Ok(Some((Arc::new(self.options().connections(1).connect(&url).await?), Box::new(line))))
    }

    /// A trigger waits, before each row is written, for a lock that a session of the test has.
    async fn hold_writes(&self) -> Result<Option<Box<dyn Hold>>, PluginError> {
        let (holder, name) = (self.client().await?, &self.name);
        let hold = format!(
            "CREATE OR REPLACE FUNCTION \"{name}\".hold() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_advisory_xact_lock_shared(hashtext('{name}')); RETURN NEW; END $$;
            CREATE OR REPLACE TRIGGER hold BEFORE INSERT OR UPDATE ON \"{name}\".records
            FOR EACH ROW EXECUTE FUNCTION \"{name}\".hold();
            SELECT pg_advisory_lock(hashtext('{name}'))"
        );
        holder.batch_execute(&hold).await?;
        Ok(Some(Box::new(Held { holder, name: name.clone() })))
    }

    /// Ends all connections that stores have, as a restart does. A restart itself is in
    /// `tests/restarts.rs`.
    async fn interrupt(&self) -> Result<bool, PluginError> {
        let ended =
            "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
            WHERE application_name = $1";
        let ended: i64 = self.client().await?.query_one(ended, &[&self.name]).await?.try_get(0)?;
        if ended == 0 {
            return Err(PluginError::new("no connection of a store was there to be ended"));
        }
        Ok(true)
    }

    async fn host_transaction(&self) -> Result<Option<Box<dyn HostTransaction>>, PluginError> {
        let client = self.client().await?;
        client
            .batch_execute(
                "BEGIN; CREATE TEMPORARY TABLE host (one integer); INSERT INTO host VALUES (1)",
            )
            .await?;
        Ok(Some(Box::new(Host(client))))
    }

    async fn clean_up(&self) -> Result<(), PluginError> {
        let drop = format!(
            "SET client_min_messages = error; DROP SCHEMA IF EXISTS \"{}\" CASCADE",
            self.name
        );
        Ok(self.client().await?.batch_execute(&drop).await?)
    }
}

struct Held {
    holder: Client,
    name: String,
}

#[async_trait]
impl Hold for Held {
    async fn waiting(&self) -> Result<u64, PluginError> {
        let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
            AND objid::bigint = hashtext($1)::bigint & 4294967295";
        let waiting: i64 = self.holder.query_one(waiting, &[&self.name]).await?.try_get(0)?;
        Ok(waiting.try_into()?)
    }

    async fn release(self: Box<Self>) -> Result<(), PluginError> {
        Ok(self
            .holder
            .batch_execute(&format!("SELECT pg_advisory_unlock(hashtext('{}'))", self.name))
            .await?)
    }
}

struct Host(Client);

#[async_trait]
impl HostTransaction for Host {
    async fn roll_back(self: Box<Self>) -> Result<(), PluginError> {
        Ok(self.0.batch_execute("ROLLBACK").await?)
    }
}

/// A schema of which only the budget is used.
pub struct Budget(pub Schema);

#[async_trait]
impl BudgetBackend for Budget {
    async fn open(&self) -> Result<Arc<dyn SendBudget>, PluginError> {
        Ok(Arc::new(self.0.options().connect(&self.0.store_url).await?.budget()))
    }

    async fn open_on_a_line(
        &self,
    ) -> Result<Option<(Arc<dyn SendBudget>, Box<dyn Line>)>, PluginError> {
        let Some((line, url)) = Forwarder::before(&self.0.store_url).await? else {
            return Ok(None);
        };
        Ok(Some((
            Arc::new(self.0.options().connections(1).connect(&url).await?.budget()),
            Box::new(line),
        )))
    }

    async fn kept(&self) -> Result<Option<u64>, PluginError> {
        let kept = format!("SELECT count(*) FROM \"{}\".charges", self.0.name);
        let kept: i64 = self.0.client().await?.query_one(&kept, &[]).await?.try_get(0)?;
        Ok(Some(kept.try_into()?))
    }

    async fn clean_up(&self) -> Result<(), PluginError> {
        self.0.clean_up().await
    }
}
