//! The store.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use countersign::error::PluginError;
use countersign::store::{
    CommitOutcome, ExpectedVersions, FactorStore, Generation, Snapshot, Snapshots, StoredRow,
    Version,
};
use countersign::{TenantId, UserId};

use crate::budget::RedisBudget;
use crate::connection::Connection;
use crate::error::RedisError;
use crate::keys::{FORMAT, Keys};
use crate::options::RedisOptions;
use crate::prepare;
use crate::scripts::Scripts;

/// How many records one script deletes. A purge of more is cut into such slices, with other calls
/// in between.
const SLICE: u32 = 500;

/// Countersign's saved state in Redis. Clones share its connection.
///
/// See the [crate's front page](crate) for what it promises and what it costs.
#[derive(Clone)]
pub struct RedisFactors {
    connection: Connection,
    scripts: Arc<Scripts>,
    prefix: Arc<str>,
}

/// The fields of a row as Redis answers them.
type Fields = (Option<Vec<u8>>, Option<u32>, Option<String>);

impl RedisFactors {
    /// Connects to one server with the default options. The store must have been made before.
    ///
    /// # Errors
    ///
    /// [`RedisError`] says why the server can't be used.
    pub async fn connect(address: &str) -> Result<Self, RedisError> {
        RedisOptions::default().connect(address).await
    }

    /// Options to change before connecting.
    pub fn options() -> RedisOptions {
        RedisOptions::default()
    }

    pub(crate) async fn on(
        connection: Connection,
        options: &RedisOptions,
    ) -> Result<Self, RedisError> {
        prepare::prepare(&connection, options).await?;
        Ok(Self {
            connection,
            scripts: Arc::new(Scripts::new()),
            prefix: options.prefix.as_str().into(),
        })
    }

    /// A send budget on the same server, for `Budgeted` of the crate `countersign-delivery`. It
    /// shares the connection.
    pub fn budget(&self) -> RedisBudget {
        RedisBudget::of(self.clone())
    }

    pub(crate) const fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(crate) fn scripts(&self) -> &Scripts {
        &self.scripts
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    fn keys(&self, tenant: &TenantId) -> Keys {
        Keys::of(&self.prefix, tenant)
    }
}

impl fmt::Debug for RedisFactors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisFactors").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

fn saved(fields: Fields) -> Result<Option<StoredRow>, RedisError> {
    match fields {
        (None, None, None) => Ok(None),
        (Some(version), Some(generation), Some(document)) => Ok(Some(StoredRow {
            version: Version::from_bytes(version.try_into().map_err(|_| RedisError::Damaged)?),
            generation: Generation::new(generation),
            document,
        })),
        _ => Err(RedisError::Damaged),
    }
}

/// What a conditional script answers: how many rows it wrote.
fn commit(answer: u64) -> Result<CommitOutcome, RedisError> {
    match answer {
        0 => Ok(CommitOutcome::Conflict),
        1 => Ok(CommitOutcome::Written),
        _ => Err(RedisError::Damaged),
    }
}

/// No version is empty, so the empty text stands for none.
fn expected(version: Option<&Version>) -> &[u8] {
    version.map_or(&[], |version| version.as_bytes())
}

#[async_trait]
impl FactorStore for RedisFactors {
    async fn load(&self, tenant: &TenantId, user: &UserId) -> Result<Snapshot, PluginError> {
        let keys = self.keys(tenant);
        let mut call = self.scripts.load.prepare_invoke();
        call.key(keys.marker()).key(keys.settings()).key(keys.record(user)).arg(FORMAT);
        let (settings, record) = self.connection.run::<(Fields, Fields)>(&mut call).await?;
        Ok(Snapshot { settings: saved(settings)?, record: saved(record)? })
    }

    async fn load_many(
        &self,
        tenant: &TenantId,
        users: &[UserId],
    ) -> Result<Snapshots, PluginError> {
        let keys = self.keys(tenant);
        let mut call = self.scripts.load_many.prepare_invoke();
        call.key(keys.marker()).key(keys.settings());
        for user in users {
            call.key(keys.record(user));
        }
        call.arg(FORMAT);
        let (settings, records) = self.connection.run::<(Fields, Vec<Fields>)>(&mut call).await?;
        if records.len() != users.len() {
            return Err(RedisError::Damaged.into());
        }
        let records = records.into_iter().map(saved).collect::<Result<_, _>>()?;
        Ok(Snapshots { settings: saved(settings)?, records })
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        user: &UserId,
        expectation: &ExpectedVersions,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        let keys = self.keys(tenant);
        let mut call = self.scripts.commit.prepare_invoke();
        call.key(keys.marker()).key(keys.settings()).key(keys.record(user)).key(keys.generations());
        call.arg(FORMAT)
            .arg(expected(expectation.settings.as_ref()))
            .arg(expected(expectation.record.as_ref()))
            .arg(next.version.as_bytes().as_slice())
            .arg(next.generation.number())
            .arg(next.document.as_str())
            .arg(user.as_str());
        Ok(commit(self.connection.run(&mut call).await?)?)
    }

    async fn settings(&self, tenant: &TenantId) -> Result<Option<StoredRow>, PluginError> {
        let keys = self.keys(tenant);
        let mut call = self.scripts.settings.prepare_invoke();
        call.key(keys.marker()).key(keys.settings()).arg(FORMAT);
        Ok(saved(self.connection.run::<Fields>(&mut call).await?)?)
    }

    async fn change_settings(
        &self,
        tenant: &TenantId,
        expectation: Option<Version>,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        let keys = self.keys(tenant);
        let mut call = self.scripts.change_settings.prepare_invoke();
        call.key(keys.marker()).key(keys.settings());
        call.arg(FORMAT)
            .arg(expected(expectation.as_ref()))
            .arg(next.version.as_bytes().as_slice())
            .arg(next.generation.number())
            .arg(next.document.as_str());
        Ok(commit(self.connection.run(&mut call).await?)?)
    }

    async fn purge(
        &self,
        tenant: &TenantId,
        below: Generation,
        at_most: u32,
    ) -> Result<u64, PluginError> {
        let keys = self.keys(tenant);
        let mut deleted: u64 = 0;
        loop {
            let left = u64::from(at_most).saturating_sub(deleted);
            let asked = left.min(u64::from(SLICE));
            let mut call = self.scripts.purge.prepare_invoke();
            call.key(keys.marker()).key(keys.generations());
            call.arg(FORMAT).arg(below.number()).arg(asked).arg(keys.records());
            let slice: u64 = self.connection.run(&mut call).await?;
            deleted = deleted.saturating_add(slice);
            if slice < asked || deleted >= u64::from(at_most) {
                return Ok(deleted);
            }
        }
    }

    async fn count(&self, tenant: &TenantId, below: Generation) -> Result<u64, PluginError> {
        let keys = self.keys(tenant);
        let mut call = self.scripts.count.prepare_invoke();
        call.key(keys.marker()).key(keys.generations()).arg(FORMAT).arg(below.number());
        Ok(self.connection.run(&mut call).await?)
    }

    async fn remove(&self, tenant: &TenantId, user: &UserId) -> Result<bool, PluginError> {
        let keys = self.keys(tenant);
        let mut call = self.scripts.remove.prepare_invoke();
        call.key(keys.marker())
            .key(keys.record(user))
            .key(keys.generations())
            .arg(FORMAT)
            .arg(user.as_str());
        Ok(self.connection.run::<u64>(&mut call).await? > 0)
    }

    async fn remove_if(
        &self,
        tenant: &TenantId,
        user: &UserId,
        version: Version,
    ) -> Result<bool, PluginError> {
        let keys = self.keys(tenant);
        let mut call = self.scripts.remove_if.prepare_invoke();
        call.key(keys.marker()).key(keys.record(user)).key(keys.generations());
        call.arg(FORMAT).arg(user.as_str()).arg(version.as_bytes().as_slice());
        Ok(self.connection.run::<u64>(&mut call).await? > 0)
    }

    async fn users(
        &self,
        tenant: &TenantId,
        generation: Generation,
        after: Option<&UserId>,
        at_most: u32,
    ) -> Result<Vec<UserId>, PluginError> {
        let keys = self.keys(tenant);
        let mut call = self.scripts.users.prepare_invoke();
        call.key(keys.marker()).key(keys.generations());
        call.arg(FORMAT)
            .arg(generation.number())
            .arg(after.map_or("", UserId::as_str))
            .arg(at_most);
        let users = self.connection.run::<Vec<String>>(&mut call).await?;
        Ok(users
            .iter()
            .map(|user| UserId::read_back(user))
            .collect::<Result<_, _>>()
            .map_err(|_| RedisError::Damaged)?)
    }
}
