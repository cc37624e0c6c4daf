//! The calls of a store as statements: one for each read, and one conditional one for each write.

use countersign::budget::{Account, Charged};
use countersign::store::{
    CommitOutcome, ExpectedVersions, Generation, Snapshot, StoredRow, Version,
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

/// A call that only reads.
#[derive(Debug)]
pub(crate) enum Read {
    Load { tenant: TenantId, user: UserId },
    Settings { tenant: TenantId },
    Count { tenant: TenantId, below: Generation },
    Users { tenant: TenantId, generation: Generation, after: Option<UserId>, at_most: u32 },
}

/// A call that writes. Each runs as one statement, or as several of which at most one can find its
/// condition true.
#[derive(Debug)]
pub(crate) enum Write {
    Commit { tenant: TenantId, user: UserId, expected: ExpectedVersions, next: StoredRow },
    ChangeSettings { tenant: TenantId, expected: Option<Version>, next: StoredRow },
    PurgeSlice { tenant: TenantId, below: Generation, at_most: u32 },
    Remove { tenant: TenantId, user: UserId },
    Charge { accounts: Vec<Account>, now: OffsetDateTime },
    RemoveIf { tenant: TenantId, user: UserId, version: Version },
}

/// What a call answers.
#[derive(Debug)]
pub(crate) enum Answer {
    Snapshot(Snapshot),
    Settings(Option<StoredRow>),
    Commit(CommitOutcome),
    Number(u64),
    Charged(Charged),
    Users(Vec<UserId>),
}

impl Read {
    pub(crate) fn run(
        &self,
        connection: &Connection,
        sql: &Statements,
    ) -> Result<Answer, SqliteError> {
        Ok(match self {
            Self::Load { tenant, user } => {
                let mut statement = connection.prepare_cached(&sql.load)?;
                Answer::Snapshot(statement.query_row(
                    params![tenant.as_str(), user.as_str()],
                    |row| {
                        Ok(Snapshot {
                            settings: saved_or_none(row, 0)?,
                            record: saved_or_none(row, 3)?,
                        })
                    },
                )?)
            }
            Self::Settings { tenant } => {
                let mut statement = connection.prepare_cached(&sql.settings)?;
                Answer::Settings(
                    statement.query_row([tenant.as_str()], |row| saved(row, 0)).optional()?,
                )
            }
            Self::Count { tenant, below } => {
                let mut statement = connection.prepare_cached(&sql.count)?;
                let number: i64 = statement
                    .query_row(params![tenant.as_str(), below.number()], |row| row.get(0))?;
                Answer::Number(u64::try_from(number).unwrap_or_default())
            }
            Self::Users { tenant, generation, after, at_most } => {
                let after = after.as_ref().map_or("", UserId::as_str);
                let mut statement = connection.prepare_cached(&sql.users)?;
                let rows = statement.query_map(
                    params![tenant.as_str(), generation.number(), after, at_most],
                    user,
                )?;
                Answer::Users(rows.collect::<Result<_, _>>()?)
            }
        })
    }
}

impl Write {
    pub(crate) fn run(
        &self,
        connection: &Connection,
        sql: &Statements,
    ) -> Result<Answer, SqliteError> {
        Ok(match self {
            Self::Commit { tenant, user, expected, next } => {
                Answer::Commit(commit(connection, sql, tenant, user, *expected, next)?)
            }
            Self::ChangeSettings { tenant, expected, next } => {
                let (version, document) = (next.version.as_bytes(), next.document.as_str());
                let changed = match expected {
                    None => connection.prepare_cached(&sql.first_settings)?.execute(params![
                        tenant.as_str(),
                        version,
                        next.generation.number(),
                        document
                    ])?,
                    Some(expected) => {
                        connection.prepare_cached(&sql.change_settings)?.execute(params![
                            tenant.as_str(),
                            version,
                            next.generation.number(),
                            document,
                            expected.as_bytes()
                        ])?
                    }
                };
                Answer::Commit(written(changed))
            }
            Self::PurgeSlice { tenant, below, at_most } => {
                let mut statement = connection.prepare_cached(&sql.purge)?;
                Answer::Number(statement.execute(params![
                    tenant.as_str(),
                    below.number(),
                    at_most
                ])? as u64)
            }
            Self::Charge { accounts, now } => {
                Answer::Charged(budget::charge(connection, sql, accounts, *now)?)
            }
            Self::Remove { tenant, user } => {
                let mut statement = connection.prepare_cached(&sql.remove)?;
                Answer::Number(statement.execute(params![tenant.as_str(), user.as_str()])? as u64)
            }
            Self::RemoveIf { tenant, user, version } => {
                let mut statement = connection.prepare_cached(&sql.remove_if)?;
                Answer::Number(statement.execute(params![
                    tenant.as_str(),
                    user.as_str(),
                    version.as_bytes()
                ])? as u64)
            }
        })
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
