//! The store.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use countersign::{Commit, Expected, FactorStore, Fault, Generation, Saved, Snapshot, TenantId, UserId, Version};
use deadpool_postgres::{Object, Pool};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::budget::PostgresBudget;
use crate::error::PostgresError;
use crate::late;
use crate::migrate;
use crate::options::PostgresOptions;
use crate::sql::Statements;

/// How many records one statement deletes. A purge of more is cut into such slices, and rests after each for as long as it took: the disk and the
/// log belong to the other writers half of the time.
const SLICE: u32 = 250;

/// How long a purge rests at most between two slices: where a server is slow, a batch is to end all the same.
const LONGEST_REST: Duration = Duration::from_millis(50);

/// How often a commit is sent that met another one making the tenant's row. Twice is enough: the row is never deleted.
const ATTEMPTS: usize = 4;

/// How long a change of settings waits for its turn at first, and at most: the tenant's commits wait behind it.
const FIRST_PATIENCE: Duration = Duration::from_secs(1);
const LONGEST_PATIENCE: Duration = Duration::from_secs(4);

/// How often a statement is sent that the server undid because of others.
const MOST_UNDONE: usize = 100;

/// Countersign's saved state in PostgreSQL. Clones share its pool of connections.
///
/// See the [crate's front page](crate) for what it promises and what it costs.
#[derive(Clone)]
pub struct PostgresFactors {
    pool: Pool,
    sql: Arc<Statements>,
    prepared: bool,
    statement_timeout: Duration,
    /// For the connections over which statements are cancelled.
    tls: MakeRustlsConnect,
}

/// A parameter of a statement, with its type: so that one round trip is enough also where nothing is prepared.
pub(crate) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

impl PostgresFactors {
    /// Connects with the default options, and makes or migrates the tables.
    ///
    /// # Errors
    ///
    /// [`PostgresError`] says why the server can't be used.
    pub async fn connect(address: &str) -> Result<Self, PostgresError> {
        PostgresOptions::default().connect(address).await
    }

    /// Options to change before connecting.
    pub fn options() -> PostgresOptions {
        PostgresOptions::default()
    }

    /// A budget of messages in the same schema, for [`Budgeted`](countersign::budget::Budgeted). It shares the pool of connections.
    pub fn budget(&self) -> PostgresBudget {
        PostgresBudget::of(self.clone())
    }

    pub(crate) fn statements(&self) -> &Statements {
        &self.sql
    }

    pub(crate) async fn on(
        pool: Pool,
        tls: MakeRustlsConnect,
        options: &PostgresOptions,
    ) -> Result<Self, PostgresError> {
        migrate::prepare(&pool, &tls, options).await?;
        Ok(Self {
            pool,
            sql: Arc::new(Statements::new(&options.schema)),
            prepared: options.prepared_statements,
            statement_timeout: options.statement_timeout,
            tls,
        })
    }

    /// Sends one statement and waits for its rows.
    pub(crate) async fn query(&self, text: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, PostgresError> {
        let client = self.pool.get().await?;
        let sent = Instant::now();
        let error = match tokio::time::timeout(self.statement_timeout, self.send(&client, text, parameters)).await {
            Ok(Ok(rows)) => return Ok(rows),
            Ok(Err(error)) => PostgresError::from(error),
            Err(_) => {
                late::end(client, self.tls.clone());
                PostgresError::TimedOut
            }
        };
        if matches!(error, PostgresError::TimedOut | PostgresError::Lost { .. }) {
            // A host that is lost without a word is lost on all connections: whichever was not in use since is not tried.
            self.pool.retain(|_, connection| connection.recycled.unwrap_or(connection.created) > sent);
        }
        Err(error)
    }

    async fn send(
        &self,
        client: &Object,
        text: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        if !self.prepared {
            return client.query_typed(text, parameters).await;
        }
        let types: Vec<Type> = parameters.iter().map(|(_, kind)| kind.clone()).collect();
        let values: Vec<&(dyn ToSql + Sync)> = parameters.iter().map(|(value, _)| *value).collect();
        let statement = client.prepare_typed_cached(text, &types).await?;
        client.query(&statement, &values).await
    }

    /// Sends a statement again that the server undid because of others: surely it did nothing, and one of those has gone through. It happens only
    /// where the database's own default isolation is stricter than READ COMMITTED.
    pub(crate) async fn until_not_undone(
        &self,
        text: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, PostgresError> {
        for _ in 1..MOST_UNDONE {
            match self.query(text, parameters).await {
                Err(error) if error.is_serialization_failure() => {}
                answer => return answer,
            }
        }
        self.query(text, parameters).await
    }

    /// A statement that only reads is sent once more where the connection turned out to be lost: the first call after a restart of the server.
    async fn read(&self, text: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, PostgresError> {
        match self.query(text, parameters).await {
            Err(error) if error.is_lost() => self.query(text, parameters).await,
            answer => answer,
        }
    }

    /// A conditional write that answers with a row if it wrote.
    async fn write(&self, text: &str, parameters: &[Parameter<'_>]) -> Result<Commit, PostgresError> {
        match self.query(text, parameters).await {
            Ok(rows) => Ok(if rows.is_empty() { Commit::Conflict } else { Commit::Written }),
            // The database's own default isolation is stricter than READ COMMITTED: something came first.
            Err(error) if error.is_serialization_failure() => Ok(Commit::Conflict),
            Err(error) => Err(error),
        }
    }

    /// A change of settings, whose last parameter says how long it waits for its turn. Where that does not come, it gives way for as long to the
    /// commits that waited behind it, and tries again with twice the patience, until a statement's time-out has passed.
    async fn write_in_turn(&self, text: &str, parameters: &[Parameter<'_>]) -> Result<Commit, PostgresError> {
        let started = Instant::now();
        let mut patience = FIRST_PATIENCE.min(self.statement_timeout.checked_div(4).unwrap_or_default());
        loop {
            let milliseconds = patience.as_millis().clamp(1, 0x7FFF_FFFF).to_string();
            let mut all = parameters.to_vec();
            all.push((&milliseconds, Type::TEXT));
            match self.write(text, &all).await {
                Err(error) if error.is_lock_timeout() => {
                    let left = self.statement_timeout.saturating_sub(started.elapsed()).saturating_sub(patience);
                    if left.is_zero() {
                        return Err(error);
                    }
                    tokio::time::sleep(patience).await;
                    patience = patience.saturating_mul(2).min(LONGEST_PATIENCE).min(left);
                }
                answer => return answer,
            }
        }
    }

    /// A commit that expects no settings: it locks the tenant's row all the same, and makes it if there is none.
    async fn write_unset(&self, text: &str, parameters: &[Parameter<'_>]) -> Result<Commit, PostgresError> {
        for _ in 0..ATTEMPTS {
            let rows = match self.query(text, parameters).await {
                Err(error) if error.is_serialization_failure() => return Ok(Commit::Conflict),
                answer => answer?,
            };
            let row = rows.first().ok_or(PostgresError::Damaged)?;
            if row.try_get("wrote")? {
                return Ok(Commit::Written);
            }
            if row.try_get("known")? {
                return Ok(Commit::Conflict);
            }
        }
        Ok(Commit::Conflict)
    }
}

impl fmt::Debug for PostgresFactors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresFactors").field("prepared", &self.prepared).finish_non_exhaustive()
    }
}

/// The three columns of a row, from `first` on. `None`: there is no such row.
fn saved(row: &Row, first: usize) -> Result<Option<Saved>, PostgresError> {
    let [version, generation, document] = [first, first.saturating_add(1), first.saturating_add(2)];
    let Some(bytes) = row.try_get::<_, Option<&[u8]>>(version)? else { return Ok(None) };
    let generation: i64 = row.try_get(generation)?;
    Ok(Some(Saved {
        version: Version::from_bytes(bytes.try_into().map_err(|_| PostgresError::Damaged)?),
        generation: Generation::new(u32::try_from(generation).map_err(|_| PostgresError::Damaged)?),
        document: row.try_get::<_, String>(document)?,
    }))
}

fn user(row: &Row) -> Result<UserId, PostgresError> {
    UserId::read_back(row.try_get(0)?).map_err(|_| PostgresError::Damaged)
}

fn count(rows: &[Row]) -> Result<u64, PostgresError> {
    let number: i64 = rows.first().ok_or(PostgresError::Damaged)?.try_get(0)?;
    u64::try_from(number).map_err(|_| PostgresError::Damaged)
}

#[async_trait]
impl FactorStore for PostgresFactors {
    async fn load(&self, tenant: &TenantId, user: &UserId) -> Result<Snapshot, Fault> {
        let rows = self.read(&self.sql.load, &[(&tenant.as_str(), Type::TEXT), (&user.as_str(), Type::TEXT)]).await?;
        let row = rows.first().ok_or(PostgresError::Damaged)?;
        Ok(Snapshot { settings: saved(row, 0)?, record: saved(row, 3)? })
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        user: &UserId,
        expected: &Expected,
        next: &Saved,
    ) -> Result<Commit, Fault> {
        let (tenant, user, document) = (tenant.as_str(), user.as_str(), next.document.as_str());
        let (version, generation) = (next.version.as_bytes().as_slice(), i64::from(next.generation.number()));
        let settings = expected.settings.as_ref().map(|version| version.as_bytes().as_slice());
        let record = expected.record.as_ref().map(|version| version.as_bytes().as_slice());
        let mut parameters: Vec<Parameter<'_>> = Vec::with_capacity(7);
        parameters.extend([
            (&tenant as &(dyn ToSql + Sync), Type::TEXT),
            (&user, Type::TEXT),
            (&version, Type::BYTEA),
            (&generation, Type::INT8),
            (&document, Type::TEXT),
        ]);
        if let Some(settings) = &settings {
            parameters.push((settings, Type::BYTEA));
        }
        if let Some(record) = &record {
            parameters.push((record, Type::BYTEA));
        }
        Ok(match (settings.is_some(), record.is_some()) {
            (true, true) => self.write(&self.sql.update, &parameters).await?,
            (true, false) => self.write(&self.sql.insert, &parameters).await?,
            (false, true) => self.write_unset(&self.sql.update_unset, &parameters).await?,
            (false, false) => self.write_unset(&self.sql.insert_unset, &parameters).await?,
        })
    }

    async fn settings(&self, tenant: &TenantId) -> Result<Option<Saved>, Fault> {
        let rows = self.read(&self.sql.settings, &[(&tenant.as_str(), Type::TEXT)]).await?;
        Ok(match rows.first() {
            Some(row) => saved(row, 0)?,
            None => None,
        })
    }

    async fn change_settings(
        &self,
        tenant: &TenantId,
        expected: Option<Version>,
        next: &Saved,
    ) -> Result<Commit, Fault> {
        let (tenant, document) = (tenant.as_str(), next.document.as_str());
        let (version, generation) = (next.version.as_bytes().as_slice(), i64::from(next.generation.number()));
        let expected = expected.as_ref().map(|version| version.as_bytes().as_slice());
        let mut parameters: Vec<Parameter<'_>> = Vec::with_capacity(5);
        parameters.extend([
            (&tenant as &(dyn ToSql + Sync), Type::TEXT),
            (&version, Type::BYTEA),
            (&generation, Type::INT8),
            (&document, Type::TEXT),
        ]);
        Ok(match &expected {
            None => self.write_in_turn(&self.sql.first_settings, &parameters).await?,
            Some(expected) => {
                parameters.push((expected, Type::BYTEA));
                self.write_in_turn(&self.sql.change_settings, &parameters).await?
            }
        })
    }

    async fn purge(&self, tenant: &TenantId, below: Generation, at_most: u32) -> Result<u64, Fault> {
        let (tenant, below) = (tenant.as_str(), i64::from(below.number()));
        let mut deleted: u64 = 0;
        // No id is the empty text.
        let before_the_first = (-1_i64, String::new());
        let mut last = before_the_first.clone();
        loop {
            let left = u64::from(at_most).saturating_sub(deleted);
            let asked = i64::try_from(left)?.min(i64::from(SLICE));
            let parameters: [Parameter<'_>; 5] = [
                (&tenant, Type::TEXT),
                (&below, Type::INT8),
                (&asked, Type::INT8),
                (&last.0, Type::INT8),
                (&last.1, Type::TEXT),
            ];
            let started = Instant::now();
            let rows = self.until_not_undone(&self.sql.purge, &parameters).await?;
            let slice: i64 = rows.first().map_or(Ok(0), |row| row.try_get(2))?;
            deleted = deleted.saturating_add(u64::try_from(slice)?);
            let (from_the_first, ended) = (last == before_the_first, slice < asked);
            if deleted >= u64::from(at_most) || (ended && from_the_first) {
                return Ok(deleted);
            }
            last = match rows.first() {
                Some(row) if !ended => (row.try_get(0)?, row.try_get(1)?),
                // A record that was written meanwhile has another place, and the slices may have gone past others with it: only one that began with the
                // first finds that there are no more.
                _ => before_the_first.clone(),
            };
            tokio::time::sleep(started.elapsed().min(LONGEST_REST)).await;
        }
    }

    async fn count(&self, tenant: &TenantId, below: Generation) -> Result<u64, Fault> {
        let (tenant, below) = (tenant.as_str(), i64::from(below.number()));
        Ok(count(&self.read(&self.sql.count, &[(&tenant, Type::TEXT), (&below, Type::INT8)]).await?)?)
    }

    async fn remove(&self, tenant: &TenantId, user: &UserId) -> Result<bool, Fault> {
        let parameters: [Parameter<'_>; 2] = [(&tenant.as_str(), Type::TEXT), (&user.as_str(), Type::TEXT)];
        Ok(!self.until_not_undone(&self.sql.remove, &parameters).await?.is_empty())
    }

    async fn remove_if(&self, tenant: &TenantId, user: &UserId, version: Version) -> Result<bool, Fault> {
        let (tenant, user, version) = (tenant.as_str(), user.as_str(), version.as_bytes().as_slice());
        let parameters: [Parameter<'_>; 3] = [(&tenant, Type::TEXT), (&user, Type::TEXT), (&version, Type::BYTEA)];
        Ok(self.write(&self.sql.remove_if, &parameters).await? == Commit::Written)
    }

    async fn users(
        &self,
        tenant: &TenantId,
        generation: Generation,
        after: Option<&UserId>,
        at_most: u32,
    ) -> Result<Vec<UserId>, Fault> {
        let (tenant, after) = (tenant.as_str(), after.map_or("", UserId::as_str));
        let (generation, at_most) = (i64::from(generation.number()), i64::from(at_most));
        let parameters: [Parameter<'_>; 4] =
            [(&tenant, Type::TEXT), (&generation, Type::INT8), (&after, Type::TEXT), (&at_most, Type::INT8)];
        let rows = self.read(&self.sql.users, &parameters).await?;
        Ok(rows.iter().map(user).collect::<Result<_, _>>()?)
    }
}
