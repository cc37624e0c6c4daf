//! The SQL example of the manual for store authors, put to the suite.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod support;

use std::sync::Arc;

use async_trait::async_trait;
use countersign::error::PluginError;
use countersign::store::{
    CommitOutcome, ExpectedVersions, FactorStore, Generation, Snapshot, Snapshots, StoredRow,
    Version,
};
use countersign::{TenantId, UserId};
use countersign_testkit::conformance::{Backend, Hold, HostTransaction, Line};
use support::Schema;
use test_servers::servers;
use tokio::sync::{Mutex, MutexGuard};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

const MANUAL: &str = include_str!("../../countersign-testkit/src/manual/writing_a_store.md");

/// A statement of the example, by the first words of the comment before it.
fn sql(name: &str) -> &'static str {
    let example =
        MANUAL.split("```sql\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let mut statements = example.split("-- ").filter_map(|part| part.split_once('\n'));
    let found = statements.find(|(comment, _)| comment.split(':').next() == Some(name));
    found.unwrap_or_else(|| panic!("{name}")).1.trim_end().trim_end_matches(';')
}

/// One connection, which is opened again when it is lost.
struct Example {
    url: String,
    schema: String,
    client: Mutex<Option<Client>>,
}

type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

impl Example {
    async fn client(&self) -> Result<MutexGuard<'_, Option<Client>>, PluginError> {
        let mut client = self.client.lock().await;
        // Where a call was dropped in a transaction, that transaction ends with the connection.
        if client.as_ref().is_none_or(Client::is_closed) {
            let new = support::connect(&self.url).await?;
            new.batch_execute(&format!("SET search_path TO \"{}\"", self.schema)).await?;
            *client = Some(new);
        }
        Ok(client)
    }

    /// How many rows one statement found or wrote.
    async fn execute(&self, name: &str, parameters: Parameters<'_>) -> Result<u64, PluginError> {
        let client = self.client().await?;
        let Some(client) = &*client else { return Err(PluginError::new("no connection")) };
        Ok(client.execute(sql(name), parameters).await?)
    }

    async fn query(&self, name: &str, parameters: Parameters<'_>) -> Result<Vec<Row>, PluginError> {
        let client = self.client().await?;
        let Some(client) = &*client else { return Err(PluginError::new("no connection")) };
        Ok(client.query(sql(name), parameters).await?)
    }

    /// A transaction of several statements. Each that finds no row ends it as a conflict.
    async fn transaction(
        &self,
        steps: &[(&str, Parameters<'_>)],
    ) -> Result<CommitOutcome, PluginError> {
        let mut client = self.client().await?;
        let Some(open) = client.take() else { return Err(PluginError::new("no connection")) };
        open.batch_execute("BEGIN").await?;
        for (name, parameters) in steps {
            let rows = open.execute(sql(name), parameters).await?;
            if rows == 0 && *name != "something to lock" {
                open.batch_execute("ROLLBACK").await?;
                *client = Some(open);
                return Ok(CommitOutcome::Conflict);
            }
        }
        open.batch_execute("COMMIT").await?;
        // Only a connection without a transaction is used again.
        *client = Some(open);
        Ok(CommitOutcome::Written)
    }
}

fn saved(row: &Row, first: usize) -> Result<Option<StoredRow>, PluginError> {
    let Some(version) = row.try_get::<_, Option<Vec<u8>>>(first)? else { return Ok(None) };
    let version: [u8; 16] = version.try_into().map_err(|_| PluginError::new("not 16 bytes"))?;
    let generation: i64 = row.try_get(first + 1)?;
    let document = row.try_get(first + 2)?;
    let generation = Generation::new(generation.try_into()?);
    Ok(Some(StoredRow { version: Version::from_bytes(version), generation, document }))
}

fn bytes(version: Option<&Version>) -> Option<Vec<u8>> {
    version.map(|version| version.as_bytes().to_vec())
}

#[async_trait]
impl FactorStore for Example {
    async fn load(&self, tenant: &TenantId, user: &UserId) -> Result<Snapshot, PluginError> {
        let rows = self.query("load", &[&tenant.as_str(), &user.as_str()]).await?;
        Ok(Snapshot { settings: saved(&rows[0], 0)?, record: saved(&rows[0], 3)? })
    }

    async fn load_many(
        &self,
        tenant: &TenantId,
        users: &[UserId],
    ) -> Result<Snapshots, PluginError> {
        let users: Vec<&str> = users.iter().map(UserId::as_str).collect();
        let rows = self.query("load many", &[&tenant.as_str(), &users]).await?;
        let records = rows.iter().skip(1).map(|row| saved(row, 3)).collect::<Result<_, _>>()?;
        Ok(Snapshots { settings: saved(&rows[0], 0)?, records })
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        user: &UserId,
        expected: &ExpectedVersions,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        let (tenant, user) = (tenant.as_str(), user.as_str());
        let (settings, record) =
            (bytes(expected.settings.as_ref()), bytes(expected.record.as_ref()));
        let (version, generation) =
            (next.version.as_bytes().to_vec(), i64::from(next.generation.number()));
        let insert: Parameters<'_> = &[&tenant, &user, &version, &generation, &next.document];
        let update: Parameters<'_> =
            &[&tenant, &user, &version, &generation, &next.document, &record];
        let last =
            if record.is_none() { ("insert record", insert) } else { ("update record", update) };
        self.transaction(&[
            ("something to lock", &[&tenant]),
            ("lock settings", &[&tenant, &settings]),
            last,
        ])
        .await
    }

    async fn settings(&self, tenant: &TenantId) -> Result<Option<StoredRow>, PluginError> {
        let rows = self.query("load", &[&tenant.as_str(), &""]).await?;
        saved(&rows[0], 0)
    }

    async fn change_settings(
        &self,
        tenant: &TenantId,
        expected: Option<Version>,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        let (tenant, expected) = (tenant.as_str(), bytes(expected.as_ref()));
        let (version, generation) =
            (next.version.as_bytes().to_vec(), i64::from(next.generation.number()));
        let change: Parameters<'_> = &[&tenant, &version, &generation, &next.document, &expected];
        self.transaction(&[("something to lock", &[&tenant]), ("change settings", change)]).await
    }

    async fn purge(
        &self,
        tenant: &TenantId,
        below: Generation,
        at_most: u32,
    ) -> Result<u64, PluginError> {
        let (below, at_most) = (i64::from(below.number()), i64::from(at_most));
        self.execute("purge", &[&tenant.as_str(), &below, &at_most]).await
    }

    async fn count(&self, tenant: &TenantId, below: Generation) -> Result<u64, PluginError> {
        let rows = self.query("count", &[&tenant.as_str(), &i64::from(below.number())]).await?;
        Ok(rows[0].try_get::<_, i64>(0)?.try_into()?)
    }

    async fn remove(&self, tenant: &TenantId, user: &UserId) -> Result<bool, PluginError> {
        Ok(self.execute("remove", &[&tenant.as_str(), &user.as_str()]).await? > 0)
    }

    async fn remove_if(
        &self,
        tenant: &TenantId,
        user: &UserId,
        version: Version,
    ) -> Result<bool, PluginError> {
        let version = version.as_bytes().to_vec();
        Ok(self.execute("remove if", &[&tenant.as_str(), &user.as_str(), &version]).await? > 0)
    }

    async fn users(
        &self,
        tenant: &TenantId,
        generation: Generation,
        after: Option<&UserId>,
        at_most: u32,
    ) -> Result<Vec<UserId>, PluginError> {
        let (generation, at_most) = (i64::from(generation.number()), i64::from(at_most));
        let after = after.map_or("", UserId::as_str);
        let rows = self.query("users", &[&tenant.as_str(), &generation, &after, &at_most]).await?;
        rows.iter().map(|row| Ok(UserId::read_back(row.try_get(0)?)?)).collect()
    }
}

/// The schema of one check, with the tables of the example in it.
struct Tables(Schema);

impl Tables {
    async fn new(url: &str) -> Result<Self, PluginError> {
        let schema = Schema::new(url);
        let name = &schema.name;
        let tables =
            format!("CREATE SCHEMA \"{name}\"; SET search_path TO \"{name}\"; {}", sql("tables"));
        schema.client().await?.batch_execute(&tables).await?;
        Ok(Self(schema))
    }

    fn example(&self, url: &str) -> Example {
        Example { url: url.to_owned(), schema: self.0.name.clone(), client: Mutex::new(None) }
    }
}

#[async_trait]
impl Backend for Tables {
    async fn open(&self) -> Result<Arc<dyn FactorStore>, PluginError> {
        Ok(Arc::new(self.example(&self.0.store_url)))
    }

    async fn interrupt(&self) -> Result<bool, PluginError> {
        self.0.interrupt().await
    }

    async fn host_transaction(&self) -> Result<Option<Box<dyn HostTransaction>>, PluginError> {
        self.0.host_transaction().await
    }

    async fn open_on_a_line(
        &self,
    ) -> Result<Option<(Arc<dyn FactorStore>, Box<dyn Line>)>, PluginError> {
        let Some((line, url)) = test_servers::Forwarder::before(&self.0.store_url).await? else {
            return Ok(None);
        };
        Ok(Some((Arc::new(self.example(&url)), Box::new(line))))
    }

    async fn hold_writes(&self) -> Result<Option<Box<dyn Hold>>, PluginError> {
        self.0.hold_writes().await
    }

    async fn clean_up(&self) -> Result<(), PluginError> {
        self.0.clean_up().await
    }
}

countersign_testkit::factor_store_conformance!(async {
    let Some(url) = servers::postgres_url()? else { return Ok(None) };
    Tables::new(&url).await.map(Some)
});
