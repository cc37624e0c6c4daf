//! The calls of a store as statements: one for each read, and one conditional one for each write.

use countersign::budget::{Account, Charged};
use countersign::store::{
    CommitOutcome, ExpectedVersions, Generation, Snapshot, Snapshots, StoredRow, Version,
};
use countersign::{TenantId, UserId};
use rusqlite::types::{Type, ValueRef};
use rusqlite::{Connection, Error, OptionalExtension, Row, params};
use time::OffsetDateTime;

use crate::budget;
use crate::error::SqliteError;

/// How many records one transaction deletes. A purge of more is cut into such slices, with other
/// writes in between.
pub(crate) const SLICE: u32 = 100;

/// The texts of the statements, for one table prefix.
#[derive(Debug)]
pub(crate) struct Statements {
    load: String,
    record: String,
    settings: String,
    count: String,
    first_commit: String,
    commit: String,
    commit_generation: String,
    first_settings: String,
    change_settings: String,
    purge: String,
    remove: String,
    /// The slots of an account that count, oldest first: until when, and how much.
    pub(crate) charges: String,
    pub(crate) charge: String,
    pub(crate) remove_charges: String,
    remove_if: String,
    users: String,
}

impl Statements {
    pub(crate) fn new(p: &str) -> Self {
        let settings_hold = format!("(SELECT version FROM {p}settings WHERE tenant = ?1) IS ?6");
        Self {
            load: format!(
                r#"SELECT s.version, s.generation, s.document, r.version, r.generation, r.document
                FROM (SELECT 1) LEFT JOIN {p}settings s ON s.tenant = ?1
                LEFT JOIN {p}records r ON r.tenant = ?1 AND r."user" = ?2"#
            ),
            record: format!(
                r#"SELECT version, generation, document FROM {p}records WHERE tenant = ?1 AND "user" = ?2"#
            ),
            settings: format!("SELECT version, generation, document FROM {p}settings WHERE tenant = ?1"),
            count: format!("SELECT count(*) FROM {p}records WHERE tenant = ?1 AND generation < ?2"),
            first_commit: format!(
                r#"INSERT INTO {p}records (tenant, "user", version, generation, document)
                SELECT ?1, ?2, ?3, ?4, ?5 WHERE {settings_hold} ON CONFLICT (tenant, "user") DO NOTHING"#
            ),
            // SQLite rewrites the entry of an index whenever its column is named, so the generation
            // is named only where it changes.
            commit: format!(
                r#"UPDATE {p}records SET version = ?3, document = ?5
                WHERE tenant = ?1 AND "user" = ?2 AND version = ?7 AND generation = ?4 AND {settings_hold}"#
            ),
            commit_generation: format!(
                r#"UPDATE {p}records SET version = ?3, generation = ?4, document = ?5
                WHERE tenant = ?1 AND "user" = ?2 AND version = ?7 AND generation <> ?4 AND {settings_hold}"#
            ),
            first_settings: format!(
                "INSERT INTO {p}settings (tenant, version, generation, document) VALUES (?1, ?2, ?3, ?4)
                ON CONFLICT (tenant) DO NOTHING"
            ),
            change_settings: format!(
                "UPDATE {p}settings SET version = ?2, generation = ?3, document = ?4 WHERE tenant = ?1 AND version = ?5"
            ),
            purge: format!(
                "DELETE FROM {p}records WHERE id IN
                (SELECT id FROM {p}records WHERE tenant = ?1 AND generation < ?2 LIMIT ?3)"
            ),
            remove: format!(r#"DELETE FROM {p}records WHERE tenant = ?1 AND "user" = ?2"#),
            charges: format!(
                "SELECT leaves, number FROM {p}charges WHERE account = ?1 AND leaves > ?2 ORDER BY account, start"
            ),
            charge: format!(
                "INSERT INTO {p}charges (account, start, leaves, number)
                SELECT ?1, start, start + ?3, 1
                FROM (SELECT max(?2, ifnull((SELECT max(start) FROM {p}charges WHERE account = ?1), ?2)) AS start) WHERE true
                ON CONFLICT (account, start) DO UPDATE SET number = number + 1"
            ),
            remove_charges: format!(
                "DELETE FROM {p}charges WHERE (account, start) IN
                (SELECT account, start FROM {p}charges WHERE leaves <= ?1 ORDER BY leaves LIMIT ?2)"
            ),
            remove_if: format!(r#"DELETE FROM {p}records WHERE tenant = ?1 AND "user" = ?2 AND version = ?3"#),
            // By the index of names, which has the order; the plus sign keeps SQLite from the index
            // of generations. No id is the empty text.
            users: format!(
                r#"SELECT "user" FROM {p}records WHERE tenant = ?1 AND +generation = ?2 AND "user" > ?3
                ORDER BY "user" LIMIT ?4"#
            ),
        }
    }
}

/// A call, with what it answers.
pub(crate) trait Call: Send + 'static {
    type Answer: Send + 'static;

    /// Runs one statement, several of which at most one applies, or a transaction.
    fn run(&self, connection: &Connection, sql: &Statements) -> Result<Self::Answer, SqliteError>;
}

/// Reads settings and record as of one moment.
pub(crate) struct Load {
    pub(crate) tenant: TenantId,
    pub(crate) user: UserId,
}

/// Reads settings and many records as of one moment.
pub(crate) struct LoadMany {
    pub(crate) tenant: TenantId,
    pub(crate) users: Vec<UserId>,
}

pub(crate) struct Settings {
    pub(crate) tenant: TenantId,
}

pub(crate) struct Count {
    pub(crate) tenant: TenantId,
    pub(crate) below: Generation,
}

pub(crate) struct Users {
    pub(crate) tenant: TenantId,
    pub(crate) generation: Generation,
    pub(crate) after: Option<UserId>,
    pub(crate) at_most: u32,
}

pub(crate) struct Commit {
    pub(crate) tenant: TenantId,
    pub(crate) user: UserId,
    pub(crate) expected: ExpectedVersions,
    pub(crate) next: StoredRow,
}

pub(crate) struct ChangeSettings {
    pub(crate) tenant: TenantId,
    pub(crate) expected: Option<Version>,
    pub(crate) next: StoredRow,
}

pub(crate) struct Purge {
    pub(crate) tenant: TenantId,
    pub(crate) below: Generation,
    pub(crate) at_most: u32,
}

pub(crate) struct Remove {
    pub(crate) tenant: TenantId,
    pub(crate) user: UserId,
}

pub(crate) struct RemoveIf {
    pub(crate) tenant: TenantId,
    pub(crate) user: UserId,
    pub(crate) version: Version,
}

pub(crate) struct Charge {
    pub(crate) accounts: Vec<Account>,
    pub(crate) now: OffsetDateTime,
}

impl Call for Load {
    type Answer = Snapshot;

    fn run(&self, connection: &Connection, sql: &Statements) -> Result<Snapshot, SqliteError> {
        let mut statement = connection.prepare_cached(&sql.load)?;
        let snapshot = |row: &Row<'_>| {
            Ok(Snapshot { settings: saved_or_none(row, 0)?, record: saved_or_none(row, 3)? })
        };
        Ok(statement.query_row(params![self.tenant.as_str(), self.user.as_str()], snapshot)?)
    }
}

impl Call for LoadMany {
    type Answer = Snapshots;

    /// One look-up for each user. A statement with as many parameters as users would be prepared
    /// anew for each number of them.
    fn run(&self, connection: &Connection, sql: &Statements) -> Result<Snapshots, SqliteError> {
        let transaction = connection.unchecked_transaction()?;
        let tenant = self.tenant.as_str();
        let mut statement = transaction.prepare_cached(&sql.settings)?;
        let settings = statement.query_row([tenant], |row| saved(row, 0)).optional()?;
        let mut statement = transaction.prepare_cached(&sql.record)?;
        let record = |user: &UserId| {
            statement.query_row([tenant, user.as_str()], |row| saved(row, 0)).optional()
        };
        let records = self.users.iter().map(record).collect::<Result<_, _>>()?;
        Ok(Snapshots { settings, records })
    }
}

impl Call for Settings {
    type Answer = Option<StoredRow>;

    fn run(&self, connection: &Connection, sql: &Statements) -> Result<Self::Answer, SqliteError> {
        let mut statement = connection.prepare_cached(&sql.settings)?;
        Ok(statement.query_row([self.tenant.as_str()], |row| saved(row, 0)).optional()?)
    }
}

impl Call for Count {
    type Answer = u64;

    fn run(&self, connection: &Connection, sql: &Statements) -> Result<u64, SqliteError> {
        let mut statement = connection.prepare_cached(&sql.count)?;
        let number: i64 = statement
            .query_row(params![self.tenant.as_str(), self.below.number()], |row| row.get(0))?;
        Ok(u64::try_from(number).unwrap_or_default())
    }
}

impl Call for Users {
    type Answer = Vec<UserId>;

    fn run(&self, connection: &Connection, sql: &Statements) -> Result<Vec<UserId>, SqliteError> {
        let after = self.after.as_ref().map_or("", UserId::as_str);
        let mut statement = connection.prepare_cached(&sql.users)?;
        let rows = statement.query_map(
            params![self.tenant.as_str(), self.generation.number(), after, self.at_most],
            user,
        )?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl Call for Commit {
    type Answer = CommitOutcome;

    fn run(&self, connection: &Connection, sql: &Statements) -> Result<CommitOutcome, SqliteError> {
        commit(connection, sql, &self.tenant, &self.user, self.expected, &self.next)
    }
}

impl Call for ChangeSettings {
    type Answer = CommitOutcome;

    fn run(&self, connection: &Connection, sql: &Statements) -> Result<CommitOutcome, SqliteError> {
        let (tenant, generation) = (self.tenant.as_str(), self.next.generation.number());
        let (version, document) = (self.next.version.as_bytes(), self.next.document.as_str());
        let changed =
            match &self.expected {
                None => connection
                    .prepare_cached(&sql.first_settings)?
                    .execute(params![tenant, version, generation, document])?,
                Some(expected) => connection
                    .prepare_cached(&sql.change_settings)?
                    .execute(params![tenant, version, generation, document, expected.as_bytes()])?,
            };
        Ok(written(changed))
    }
}

impl Purge {
    /// Deletes at most `at_most` records, and answers how many.
    pub(crate) fn slice(
        &self,
        at_most: u32,
        connection: &Connection,
        sql: &Statements,
    ) -> Result<u64, SqliteError> {
        let mut statement = connection.prepare_cached(&sql.purge)?;
        let deleted =
            statement.execute(params![self.tenant.as_str(), self.below.number(), at_most])?;
        Ok(deleted as u64)
    }
}

impl Call for Remove {
    type Answer = bool;

    fn run(&self, connection: &Connection, sql: &Statements) -> Result<bool, SqliteError> {
        let mut statement = connection.prepare_cached(&sql.remove)?;
        Ok(statement.execute(params![self.tenant.as_str(), self.user.as_str()])? > 0)
    }
}

impl Call for RemoveIf {
    type Answer = bool;

    fn run(&self, connection: &Connection, sql: &Statements) -> Result<bool, SqliteError> {
        let mut statement = connection.prepare_cached(&sql.remove_if)?;
        let version = self.version.as_bytes();
        Ok(statement.execute(params![self.tenant.as_str(), self.user.as_str(), version])? > 0)
    }
}

impl Call for Charge {
    type Answer = Charged;

    fn run(&self, connection: &Connection, sql: &Statements) -> Result<Charged, SqliteError> {
        budget::charge(connection, sql, &self.accounts, self.now)
    }
}

fn commit(
    connection: &Connection,
    sql: &Statements,
    tenant: &TenantId,
    user: &UserId,
    expected: ExpectedVersions,
    next: &StoredRow,
) -> Result<CommitOutcome, SqliteError> {
    let (tenant, user) = (tenant.as_str(), user.as_str());
    let (version, generation, document) =
        (next.version.as_bytes(), next.generation.number(), next.document.as_str());
    let settings = expected.settings.as_ref().map(Version::as_bytes);
    let Some(record) = expected.record else {
        let mut statement = connection.prepare_cached(&sql.first_commit)?;
        return Ok(written(
            statement.execute(params![tenant, user, version, generation, document, settings])?,
        ));
    };
    for text in [&sql.commit, &sql.commit_generation] {
        let mut statement = connection.prepare_cached(text)?;
        let changed = statement.execute(params![
            tenant,
            user,
            version,
            generation,
            document,
            settings,
            record.as_bytes()
        ])?;
        if changed == 1 {
            return Ok(CommitOutcome::Written);
        }
    }
    Ok(CommitOutcome::Conflict)
}

fn written(changed: usize) -> CommitOutcome {
    if changed == 1 { CommitOutcome::Written } else { CommitOutcome::Conflict }
}

fn user(row: &Row<'_>) -> rusqlite::Result<UserId> {
    let text: String = row.get(0)?;
    UserId::read_back(&text)
        .map_err(|error| Error::FromSqlConversionFailure(0, Type::Text, error.into()))
}

fn saved(row: &Row<'_>, first: usize) -> rusqlite::Result<StoredRow> {
    let [version, generation, document] = [first, first.saturating_add(1), first.saturating_add(2)];
    Ok(StoredRow {
        version: Version::from_bytes(row.get(version)?),
        generation: Generation::new(row.get(generation)?),
        document: row.get::<_, String>(document)?,
    })
}

fn saved_or_none(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<StoredRow>> {
    let absent = row.get_ref(first)? == ValueRef::Null;
    if absent { Ok(None) } else { saved(row, first).map(Some) }
}
