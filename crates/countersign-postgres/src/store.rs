//! The store.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use countersign::error::PluginError;
use countersign::store::{
    CommitOutcome, ExpectedVersions, FactorStore, Generation, Snapshot, Snapshots, StoredRow,
    Version,
};
use countersign::{TenantId, UserId};
use deadpool::managed::Timeouts;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::budget::PostgresBudget;
use crate::connection::{Parameter, Pool};
use crate::error::PostgresError;
use crate::late::Call;
use crate::migrate;
use crate::options::PostgresOptions;
use crate::share::{Shares, Whose};
use crate::sql::{Sql, Statements};

/// How many records one statement deletes. A purge of more is cut into such slices, and rests after
/// each for as long as it took: the disk and the log belong to the other writers half of the time.
const SLICE: u32 = 250;

/// How long a purge rests at most between two slices: where a server is slow, a batch is to end all
/// the same.
const LONGEST_REST: Duration = Duration::from_millis(50);

/// How often a commit is sent that met another one making the tenant's row. Twice is enough: the
/// row is never deleted.
const ATTEMPTS: usize = 4;

/// How long a change of settings waits for its turn at first, and at most: the tenant's commits
/// wait behind it.
const FIRST_PATIENCE: Duration = Duration::from_secs(1);
const LONGEST_PATIENCE: Duration = Duration::from_secs(3);

/// How often a statement is sent that the server undid because of others.
const MOST_UNDONE: usize = 100;

/// The columns that every answer begins with: the number of the call, and whether a standby
/// answered.
const CALL: usize = 0;
const STANDBY: usize = 1;

/// Countersign's saved state in PostgreSQL. Clones share its pool of connections.
///
/// See the [crate's front page](crate) for what it promises and what it costs.
#[derive(Clone)]
pub struct PostgresFactors {
    inner: Arc<Inner>,
}

struct Inner {
    pool: Pool,
    shares: Arc<Shares>,
    sql: Statements,
    times: Times,
    /// The number of the last call. It begins anywhere, so that no two processes count alike.
    calls: AtomicI64,
    /// For the connections over which statements are cancelled.
    tls: MakeRustlsConnect,
}

/// How long things may take.
#[derive(Clone, Copy)]
pub(crate) struct Times {
    wait: Duration,
    connect: Duration,
    pub(crate) statement: Duration,
    /// Waiting for a lock ends before waiting for a connection does: those that hold the pool's
    /// connections while they wait for locks give them up in time for the others.
    lock: Duration,
}

impl Times {
    pub(crate) fn of(options: &PostgresOptions) -> Self {
        let (wait, statement) = (options.wait_timeout, options.statement_timeout);
        // Four fifths.
        let lock = wait.min(statement).checked_div(5).unwrap_or_default().saturating_mul(4);
        Self { wait, connect: options.connect_timeout, statement, lock }
    }

    /// What is left of the wait for a connection.
    fn left(&self, since: Instant) -> Timeouts {
        let wait = self.wait.saturating_sub(since.elapsed()).max(Duration::from_millis(1));
        Timeouts { wait: Some(wait), create: Some(self.connect), recycle: Some(self.connect) }
    }
}

/// What the server is told: whole milliseconds, and zero would be for ever.
pub(crate) fn milliseconds(patience: Duration) -> String {
    patience.as_millis().clamp(1, 0x7FFF_FFFF).to_string()
}

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

    /// A send budget in the same schema, for `Budgeted` of the crate `countersign-delivery`. It
    /// shares the pool of connections.
    pub fn budget(&self) -> PostgresBudget {
        PostgresBudget::of(self.clone())
    }

    pub(crate) fn statements(&self) -> &Statements {
        &self.inner.sql
    }

    pub(crate) async fn on(
        pool: Pool,
        tls: MakeRustlsConnect,
        options: &PostgresOptions,
    ) -> Result<Self, PostgresError> {
        let times = Times::of(options);
        migrate::prepare(&pool, &tls, options, times).await?;
        let first = RandomState::new().build_hasher().finish().cast_signed();
        let shares = Shares::of(pool.status().max_size);
        let sql = Statements::new(&options.schema);
        let inner = Inner { pool, shares, sql, times, calls: AtomicI64::new(first), tls };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Sends one statement and waits for its rows: at least one, each of this call, and from a
    /// server that takes writes.
    pub(crate) async fn query(
        &self,
        whose: Whose<'_>,
        sql: &Sql,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, PostgresError> {
        let Inner { pool, shares, times, calls, tls, .. } = &*self.inner;
        let asked = Instant::now();
        let place = tokio::time::timeout(times.wait, shares.place(whose)).await;
        let place =
            place.map_err(|_| PostgresError::Exhausted)?.map_err(|_| PostgresError::Exhausted)?;
        let connection = pool.timeout_get(&times.left(asked)).await?;
        let call = Call::new(connection, place, tls.clone(), times.statement);

        let number = calls.fetch_add(1, Ordering::Relaxed);
        let mut all: Vec<Parameter<'_>> = Vec::with_capacity(parameters.len().saturating_add(1));
        all.push((&number, Type::INT8));
        all.extend_from_slice(parameters);
        let sent = Instant::now();
        let Some(connection) = call.connection() else { return Err(PostgresError::Exhausted) };
        let error = match tokio::time::timeout(times.statement, connection.query(sql, &all)).await {
            Ok(Ok(rows)) => match answers(&rows, number) {
                Ok(()) => {
                    call.answered();
                    return Ok(rows);
                }
                Err(error) => {
                    call.broken();
                    return Err(error);
                }
            },
            Ok(Err(error)) => {
                call.answered();
                PostgresError::from(error)
            }
            Err(_) => {
                call.late();
                PostgresError::TimedOut
            }
        };
        if matches!(error, PostgresError::TimedOut | PostgresError::Lost { .. }) {
            // A host that is lost without a word is lost on all connections: whichever was not in
            // use since is not tried.
            drop(
                pool.retain(|_, connection| {
                    connection.recycled.unwrap_or(connection.created) > sent
                }),
            );
        }
        Err(error)
    }

    /// A statement that may wait for a lock, for as long as that may take.
    async fn locking(
        &self,
        whose: Whose<'_>,
        sql: &Sql,
        patience: Duration,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, PostgresError> {
        let patience = milliseconds(patience);
        let mut all: Vec<Parameter<'_>> = Vec::with_capacity(parameters.len().saturating_add(1));
        all.push((&patience, Type::TEXT));
        all.extend_from_slice(parameters);
        self.query(whose, sql, &all).await
    }

    /// Sends a statement again that the server undid because of others: surely it did nothing, and
    /// one of those has gone through. It happens only where the database's own default isolation is
    /// stricter than READ COMMITTED.
    pub(crate) async fn until_not_undone(
        &self,
        whose: Whose<'_>,
        sql: &Sql,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, PostgresError> {
        let patience = self.inner.times.lock;
        for _ in 1..MOST_UNDONE {
            match self.locking(whose, sql, patience, parameters).await {
                Err(error) if error.is_serialization_failure() => {}
                answer => return answer,
            }
        }
        self.locking(whose, sql, patience, parameters).await
    }

    /// A statement that only reads is sent once more where the connection turned out to be lost:
    /// the first call after a restart of the server.
    async fn read(
        &self,
        whose: Whose<'_>,
        sql: &Sql,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, PostgresError> {
        match self.query(whose, sql, parameters).await {
            Err(error) if error.is_lost() => self.query(whose, sql, parameters).await,
            answer => answer,
        }
    }

    /// A conditional write that answers the version that it wrote, if it did.
    async fn write(
        &self,
        tenant: &TenantId,
        sql: &Sql,
        patience: Duration,
        parameters: &[Parameter<'_>],
        next: Version,
    ) -> Result<CommitOutcome, PostgresError> {
        match self.locking(Whose::Of(tenant), sql, patience, parameters).await {
            Ok(rows) => wrote(first(&rows)?, next),
            // The database's own default isolation is stricter than READ COMMITTED: something came
            // first.
            Err(error) if error.is_serialization_failure() => Ok(CommitOutcome::Conflict),
            Err(error) => Err(error),
        }
    }

    /// A change of settings. Where its turn does not come, it gives way for as long as it has
    /// waited to the commits that waited behind it, and tries again with twice the patience, until
    /// a statement's time-out has passed.
    async fn write_in_turn(
        &self,
        tenant: &TenantId,
        sql: &Sql,
        parameters: &[Parameter<'_>],
        next: Version,
    ) -> Result<CommitOutcome, PostgresError> {
        let Times { statement, lock, .. } = self.inner.times;
        // A commit that waits behind it must not run out of patience before it does.
        let longest =
            lock.checked_div(4).unwrap_or_default().saturating_mul(3).min(LONGEST_PATIENCE);
        let started = Instant::now();
        let mut patience =
            FIRST_PATIENCE.min(statement.checked_div(4).unwrap_or_default()).min(longest);
        loop {
            match self.write(tenant, sql, patience, parameters, next).await {
                Err(PostgresError::Locked) => {
                    let left = statement.saturating_sub(started.elapsed()).saturating_sub(patience);
                    if left.is_zero() {
                        return Err(PostgresError::Locked);
                    }
                    tokio::time::sleep(patience).await;
                    patience = patience.saturating_mul(2).min(longest).min(left);
                }
                answer => return answer,
            }
        }
    }

    /// A commit that expects no settings: it locks the tenant's row all the same, and makes it if
    /// there is none.
    async fn write_unset(
        &self,
        tenant: &TenantId,
        sql: &Sql,
        parameters: &[Parameter<'_>],
        next: Version,
    ) -> Result<CommitOutcome, PostgresError> {
        for _ in 0..ATTEMPTS {
            let rows =
                match self.locking(Whose::Of(tenant), sql, self.inner.times.lock, parameters).await
                {
                    Err(error) if error.is_serialization_failure() => {
                        return Ok(CommitOutcome::Conflict);
                    }
                    answer => answer?,
                };
            let row = first(&rows)?;
            if wrote(row, next)? == CommitOutcome::Written || get(row, 3)? {
                return wrote(row, next);
            }
        }
        Ok(CommitOutcome::Conflict)
    }
}

impl fmt::Debug for PostgresFactors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresFactors").finish_non_exhaustive()
    }
}

/// Refuses what another call was answered, and what a standby says.
fn answers(rows: &[Row], number: i64) -> Result<(), PostgresError> {
    first(rows)?;
    for row in rows {
        if row.try_get::<_, i64>(CALL).ok() != Some(number) {
            return Err(PostgresError::Misplaced);
        }
        if get(row, STANDBY)? {
            return Err(PostgresError::Standby);
        }
    }
    Ok(())
}

fn first(rows: &[Row]) -> Result<&Row, PostgresError> {
    rows.first().ok_or(PostgresError::Damaged)
}

/// One column of a row. What has another type than it should was never written by this crate.
pub(crate) fn get<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Result<T, PostgresError> {
    row.try_get(column).map_err(|_| PostgresError::Damaged)
}

/// Whether a write has written this version. It answers none if it has written nothing.
fn wrote(row: &Row, next: Version) -> Result<CommitOutcome, PostgresError> {
    match get::<Option<&[u8]>>(row, 2)? {
        None => Ok(CommitOutcome::Conflict),
        Some(version) if version == next.as_bytes() => Ok(CommitOutcome::Written),
        Some(_) => Err(PostgresError::Misplaced),
    }
}

/// The three columns of a row, from `first` on. `None`: there is no such row.
fn saved(row: &Row, first: usize) -> Result<Option<StoredRow>, PostgresError> {
    let [version, generation, document] = [first, first.saturating_add(1), first.saturating_add(2)];
    let Some(bytes) = get::<Option<&[u8]>>(row, version)? else { return Ok(None) };
    let generation: i64 = get(row, generation)?;
    Ok(Some(StoredRow {
        version: Version::from_bytes(bytes.try_into().map_err(|_| PostgresError::Damaged)?),
        generation: Generation::new(u32::try_from(generation).map_err(|_| PostgresError::Damaged)?),
        document: get(row, document)?,
    }))
}

fn number(row: &Row, column: usize) -> Result<u64, PostgresError> {
    u64::try_from(get::<i64>(row, column)?).map_err(|_| PostgresError::Damaged)
}

#[async_trait]
impl FactorStore for PostgresFactors {
    async fn load(&self, tenant: &TenantId, user: &UserId) -> Result<Snapshot, PluginError> {
        let parameters: [Parameter<'_>; 2] =
            [(&tenant.as_str(), Type::TEXT), (&user.as_str(), Type::TEXT)];
        let rows = self.read(Whose::Anybody, &self.inner.sql.load, &parameters).await?;
        let row = first(&rows)?;
        Ok(Snapshot { settings: saved(row, 2)?, record: saved(row, 5)? })
    }

    async fn load_many(
        &self,
        tenant: &TenantId,
        users: &[UserId],
    ) -> Result<Snapshots, PluginError> {
        let names: Vec<&str> = users.iter().map(UserId::as_str).collect();
        let parameters: [Parameter<'_>; 2] =
            [(&tenant.as_str(), Type::TEXT), (&names, Type::TEXT_ARRAY)];
        let rows = self.read(Whose::Of(tenant), &self.inner.sql.load_many, &parameters).await?;
        let settings = saved(first(&rows)?, 2)?;
        let records =
            rows.iter().skip(1).map(|row| saved(row, 5)).collect::<Result<Vec<_>, _>>()?;
        if records.len() != users.len() {
            return Err(PostgresError::Damaged.into());
        }
        Ok(Snapshots { settings, records })
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        user: &UserId,
        expected: &ExpectedVersions,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        let (sql, patience) = (&self.inner.sql, self.inner.times.lock);
        let (of, user, document) = (tenant.as_str(), user.as_str(), next.document.as_str());
        let (version, generation) =
            (next.version.as_bytes().as_slice(), i64::from(next.generation.number()));
        let settings = expected.settings.as_ref().map(|version| version.as_bytes().as_slice());
        let record = expected.record.as_ref().map(|version| version.as_bytes().as_slice());
        let mut parameters: Vec<Parameter<'_>> = Vec::with_capacity(7);
        parameters.extend([
            (&of as &(dyn ToSql + Sync), Type::TEXT),
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
            (true, true) => {
                self.write(tenant, &sql.update, patience, &parameters, next.version).await?
            }
            (true, false) => {
                self.write(tenant, &sql.insert, patience, &parameters, next.version).await?
            }
            (false, true) => {
                self.write_unset(tenant, &sql.update_unset, &parameters, next.version).await?
            }
            (false, false) => {
                self.write_unset(tenant, &sql.insert_unset, &parameters, next.version).await?
            }
        })
    }

    async fn settings(&self, tenant: &TenantId) -> Result<Option<StoredRow>, PluginError> {
        let parameters: [Parameter<'_>; 1] = [(&tenant.as_str(), Type::TEXT)];
        let rows = self.read(Whose::Anybody, &self.inner.sql.settings, &parameters).await?;
        Ok(saved(first(&rows)?, 2)?)
    }

    async fn change_settings(
        &self,
        tenant: &TenantId,
        expected: Option<Version>,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        let (of, document) = (tenant.as_str(), next.document.as_str());
        let (version, generation) =
            (next.version.as_bytes().as_slice(), i64::from(next.generation.number()));
        let expected = expected.as_ref().map(|version| version.as_bytes().as_slice());
        let mut parameters: Vec<Parameter<'_>> = Vec::with_capacity(5);
        parameters.extend([
            (&of as &(dyn ToSql + Sync), Type::TEXT),
            (&version, Type::BYTEA),
            (&generation, Type::INT8),
            (&document, Type::TEXT),
        ]);
        if let Some(expected) = &expected {
            parameters.push((expected, Type::BYTEA));
        }
        let Statements { first_settings, change_settings, .. } = &self.inner.sql;
        let sql = if expected.is_some() { change_settings } else { first_settings };
        Ok(self.write_in_turn(tenant, sql, &parameters, next.version).await?)
    }

    async fn purge(
        &self,
        tenant: &TenantId,
        below: Generation,
        at_most: u32,
    ) -> Result<u64, PluginError> {
        let (of, below) = (tenant.as_str(), i64::from(below.number()));
        let mut deleted: u64 = 0;
        // No id is the empty text.
        let before_the_first = (-1_i64, String::new());
        let mut last = before_the_first.clone();
        loop {
            let left = u64::from(at_most).saturating_sub(deleted);
            let asked = left.min(u64::from(SLICE));
            let most = i64::try_from(asked)?;
            let parameters: [Parameter<'_>; 5] = [
                (&of, Type::TEXT),
                (&below, Type::INT8),
                (&most, Type::INT8),
                (&last.0, Type::INT8),
                (&last.1, Type::TEXT),
            ];
            let started = Instant::now();
            let rows = self
                .until_not_undone(Whose::Of(tenant), &self.inner.sql.purge, &parameters)
                .await?;
            let row = first(&rows)?;
            let slice = number(row, 2)?;
            deleted = deleted.saturating_add(slice);
            let (from_the_first, ended) = (last == before_the_first, slice < asked);
            if deleted >= u64::from(at_most) || (ended && from_the_first) {
                return Ok(deleted);
            }
            // A record that was written meanwhile has another place, and the slices may have gone
            // past others with it: only one that began with the first finds that there are no more.
            last = if ended { before_the_first.clone() } else { (get(row, 3)?, get(row, 4)?) };
            tokio::time::sleep(started.elapsed().min(LONGEST_REST)).await;
        }
    }

    async fn count(&self, tenant: &TenantId, below: Generation) -> Result<u64, PluginError> {
        let below = i64::from(below.number());
        let parameters: [Parameter<'_>; 2] = [(&tenant.as_str(), Type::TEXT), (&below, Type::INT8)];
        let rows = self.read(Whose::Of(tenant), &self.inner.sql.count, &parameters).await?;
        Ok(number(first(&rows)?, 2)?)
    }

    async fn remove(&self, tenant: &TenantId, user: &UserId) -> Result<bool, PluginError> {
        let parameters: [Parameter<'_>; 2] =
            [(&tenant.as_str(), Type::TEXT), (&user.as_str(), Type::TEXT)];
        let rows =
            self.until_not_undone(Whose::Of(tenant), &self.inner.sql.remove, &parameters).await?;
        Ok(get::<Option<&[u8]>>(first(&rows)?, 2)?.is_some())
    }

    async fn remove_if(
        &self,
        tenant: &TenantId,
        user: &UserId,
        version: Version,
    ) -> Result<bool, PluginError> {
        let (sql, patience) = (&self.inner.sql.remove_if, self.inner.times.lock);
        let (of, user, expected) = (tenant.as_str(), user.as_str(), version.as_bytes().as_slice());
        let parameters: [Parameter<'_>; 3] =
            [(&of, Type::TEXT), (&user, Type::TEXT), (&expected, Type::BYTEA)];
        Ok(self.write(tenant, sql, patience, &parameters, version).await? == CommitOutcome::Written)
    }

    async fn users(
        &self,
        tenant: &TenantId,
        generation: Generation,
        after: Option<&UserId>,
        at_most: u32,
    ) -> Result<Vec<UserId>, PluginError> {
        let (of, after) = (tenant.as_str(), after.map_or("", UserId::as_str));
        let (generation, at_most) = (i64::from(generation.number()), i64::from(at_most));
        let parameters: [Parameter<'_>; 4] = [
            (&of, Type::TEXT),
            (&generation, Type::INT8),
            (&after, Type::TEXT),
            (&at_most, Type::INT8),
        ];
        let rows = self.read(Whose::Of(tenant), &self.inner.sql.users, &parameters).await?;
        let mut users = Vec::with_capacity(rows.len());
        for row in &rows {
            // None is listed: the one row that says so has no user.
            if let Some(user) = get::<Option<&str>>(row, 2)? {
                users.push(UserId::read_back(user).map_err(|_| PostgresError::Damaged)?);
            }
        }
        Ok(users)
    }
}
