//! The tables, and how a file is prepared.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};

use crate::error::SqliteError;
use crate::file::{self, Place};
use crate::options::{Durability, SqliteOptions};
use crate::turns::Turns;

/// The schema that this version makes.
const SCHEMA: u32 = 2;

/// What the names of the tables end in.
const TABLES: [&str; 4] = ["schema", "settings", "records", "charges"];

/// How large the write-ahead log may stay once everything in it is in the database.
pub(crate) const LOG_KEPT: u64 = 16 * 1024 * 1024;

/// A file that is open for writing.
pub(crate) struct Opened {
    pub(crate) connection: Connection,
    pub(crate) place: Place,
    pub(crate) turns: Turns,
}

/// Opens a file for writing, and makes or migrates its tables.
pub(crate) fn open(path: &Path, options: &SqliteOptions) -> Result<Opened, SqliteError> {
    // Where that can't be told, SQLite says why.
    let missing = matches!(path.try_exists(), Ok(false));
    if missing && !options.create_if_missing {
        return Err(SqliteError::Missing);
    }
    let made_by_sqlite = missing && !file::make(path);
    let before = Place::before(path);
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags.set(OpenFlags::SQLITE_OPEN_CREATE, options.create_if_missing);
    let mut connection = Connection::open_with_flags(path, flags)?;
    if made_by_sqlite {
        file::restrict(path)?;
    }
    // SQLite opens a file that can't be written all the same, and fails later.
    if connection.is_readonly("main")? {
        return Err(SqliteError::ReadOnly);
    }
    prepare(&connection, options)?;
    // Before anything of the file is changed: it may be another application's.
    if !options.create_if_missing {
        check_tables(&connection, &options.prefix, &TABLES[..3])?;
    }
    // Others may be making the same file. SQLite does not wait for all of their locks by itself
    // here.
    let mode: String = patience::retry(|| {
        connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
    })?;
    if mode != "wal" {
        return Err(SqliteError::NoWriteAheadLog { found: mode });
    }
    // Checkpoints are made by a thread of their own; within a commit only where that does not keep
    // up.
    let _pages: i64 =
        connection.query_row("PRAGMA wal_autocheckpoint = 20000", [], |row| row.get(0))?;
    let _bytes: i64 =
        connection
            .query_row(&format!("PRAGMA journal_size_limit = {LOG_KEPT}"), [], |row| row.get(0))?;
    migrate(&mut connection, &options.prefix)?;
    // The log and its index are there by now, since tables were looked for.
    let place = Place::of(path, before)?;
    let turns = Turns::at(path)?;
    Ok(Opened { connection, place, turns })
}

/// Opens a connection to a file that is open for writing already.
pub(crate) fn open_reader(
    path: &Path,
    options: &SqliteOptions,
    place: &Place,
) -> Result<Connection, SqliteError> {
    // To open another file beside this log, and to close it, would delete the log.
    place.check()?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    let prepared = prepare(&connection, options);
    let checked = prepared.and_then(|()| check_tables(&connection, &options.prefix, &TABLES));
    // It was the same file before it was opened, and is after it was read: so it is the one that
    // was opened.
    place.check()?;
    checked.map(|()| connection)
}

/// Lets calls on this connection wait for a lock, for as long as their thread has patience.
pub(crate) fn be_patient(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_handler(Some(patience::wait))
}

/// What a connection does not remember from one opening to the next.
pub(crate) fn prepare(connection: &Connection, options: &SqliteOptions) -> Result<(), SqliteError> {
    be_patient(connection)?;
    let synchronous = match options.durability {
        Durability::PowerLoss => "FULL",
        Durability::ProcessCrash => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    // Deleted records are overwritten, not only unlinked.
    let _mode: i64 = connection.query_row("PRAGMA secure_delete = ON", [], |row| row.get(0))?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

/// Whether all of these tables are there. The error names the first that is not.
fn check_tables(
    connection: &Connection,
    prefix: &str,
    endings: &[&str],
) -> Result<(), SqliteError> {
    for ending in endings {
        let table = format!("{prefix}{ending}");
        if !exists(connection, &table)? {
            return Err(SqliteError::MissingTable { table });
        }
    }
    Ok(())
}

fn exists(connection: &Connection, table: &str) -> rusqlite::Result<bool> {
    // As SQLite compares the names of tables.
    let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE";
    connection.query_row(sql, [table], |_| Ok(())).optional().map(|found| found.is_some())
}

/// The schema of the tables, if there are any.
fn found(connection: &Connection, prefix: &str) -> Result<Option<u32>, SqliteError> {
    if !exists(connection, &format!("{prefix}schema"))? {
        return Ok(None);
    }
    let version = format!("SELECT version FROM {prefix}schema");
    match connection.query_row(&version, [], |row| row.get(0)).optional()? {
        Some(found) if found > SCHEMA => Err(SqliteError::NewerSchema { found, readable: SCHEMA }),
        found => Ok(found),
    }
}

/// Makes or migrates the tables, once, whichever process comes first. Tables that were there once
/// are never made again.
pub(crate) fn migrate(connection: &mut Connection, prefix: &str) -> Result<(), SqliteError> {
    // Most of the time there is nothing to write, and nobody to wait for.
    if found(connection, prefix)? == Some(SCHEMA) {
        return check_tables(connection, prefix, &TABLES);
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = found(&transaction, prefix)?;
    if found.is_none() {
        transaction.execute_batch(&format!(
            "CREATE TABLE IF NOT EXISTS {prefix}schema (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL) STRICT;"
        ))?;
    }
    match found {
        Some(SCHEMA) => {
            transaction.commit()?;
            return check_tables(connection, prefix, &TABLES);
        }
        Some(_) => check_tables(&transaction, prefix, &TABLES[..3])?,
        None => {
            // Names are compared byte by byte: SQLite's default. A record is found by (tenant,
            // user), and by generation for a purge.
            transaction.execute_batch(&format!(
                r#"
                CREATE TABLE {prefix}settings (
                    tenant TEXT PRIMARY KEY NOT NULL,
                    version BLOB NOT NULL CHECK (length(version) = 16),
                    generation INTEGER NOT NULL,
                    document TEXT NOT NULL
                ) STRICT;
                CREATE TABLE {prefix}records (
                    id INTEGER PRIMARY KEY,
                    tenant TEXT NOT NULL,
                    "user" TEXT NOT NULL,
                    version BLOB NOT NULL CHECK (length(version) = 16),
                    generation INTEGER NOT NULL,
                    document TEXT NOT NULL,
                    UNIQUE (tenant, "user")
                ) STRICT;
                CREATE INDEX {prefix}records_by_generation ON {prefix}records (tenant, generation);
                "#
            ))?;
        }
    }
    // Since schema 2: the messages that count, slot by slot.
    transaction.execute_batch(&format!(
        "
        CREATE TABLE {prefix}charges (
            account TEXT NOT NULL,
            start INTEGER NOT NULL,
            leaves INTEGER NOT NULL,
            number INTEGER NOT NULL,
            PRIMARY KEY (account, start)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX {prefix}charges_by_end ON {prefix}charges (leaves);
        INSERT OR REPLACE INTO {prefix}schema VALUES (1, {SCHEMA});
        "
    ))?;
    Ok(transaction.commit()?)
}

/// Waiting for another handle that holds the lock.
///
/// SQLite's own way sleeps ever longer, up to 100 ms, and then finds the lock taken again by a
/// process that never slept. Here the first waits are as short as a commit is, and none is longer
/// than a millisecond or two. Whose turn it is at all is decided by [`Turns`].
pub(crate) mod patience {
    use std::cell::Cell;
    use std::time::{Duration, Instant};

    use rusqlite::ErrorCode;

    thread_local! {
        static TIMEOUT: Cell<Duration> = const { Cell::new(Duration::from_secs(5)) };
        static STARTED: Cell<Option<Instant>> = const { Cell::new(None) };
        /// Whether what was started covers more than one call of SQLite.
        static SPANS: Cell<bool> = const { Cell::new(false) };
    }

    /// How long calls on this thread wait.
    pub(crate) fn set(timeout: Duration) {
        TIMEOUT.set(timeout);
    }

    /// Lets all waiting until it is dropped share one time-out.
    pub(crate) fn shared() -> impl Drop {
        struct Shared;

        impl Drop for Shared {
            fn drop(&mut self) {
                SPANS.set(false);
            }
        }

        STARTED.set(Some(Instant::now()));
        SPANS.set(true);
        Shared
    }

    pub(super) fn wait(calls: i32) -> bool {
        if calls == 0 && !SPANS.get() {
            STARTED.set(Some(Instant::now()));
        }
        pause(waited(), TIMEOUT.get())
    }

    /// Whether half of the time is left. If so, some of it has passed.
    pub(crate) fn pause_within_half() -> bool {
        pause(waited(), TIMEOUT.get().checked_div(2).unwrap_or_default())
    }

    /// Does it again while it finds the file locked, for what SQLite does not wait for by itself.
    pub(super) fn retry<T>(work: impl Fn() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let started = Instant::now();
        loop {
            let done = work();
            let busy = done
                .as_ref()
                .is_err_and(|error| error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy));
            if !busy || !pause(started.elapsed(), TIMEOUT.get()) {
                return done;
            }
        }
    }

    fn waited() -> Duration {
        STARTED.get().map_or(Duration::ZERO, |started| started.elapsed())
    }

    /// Whether there is time left. If so, some of it has passed: an eighth of what has passed so
    /// far, and a length that is never the same.
    fn pause(waited: Duration, timeout: Duration) -> bool {
        if waited >= timeout {
            return false;
        }
        let longest = waited.checked_div(8).unwrap_or_default();
        let longest = longest.clamp(Duration::from_micros(30), Duration::from_millis(1));
        let uneven = waited.subsec_nanos().checked_rem(1_000).unwrap_or_default();
        std::thread::sleep(
            longest.saturating_add(
                longest.saturating_mul(uneven).checked_div(1_000).unwrap_or_default(),
            ),
        );
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::SqliteFactors;

    /// What the documentation of each says, and what a killed process can't show.
    #[test]
    fn a_loss_of_power_is_survived_unless_told_otherwise() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("countersign.db");
        let full = 2;
        let normal = 1;
        for (options, expected) in [
            (SqliteFactors::options(), full),
            (SqliteFactors::options().durability(Durability::PowerLoss), full),
            (SqliteFactors::options().durability(Durability::ProcessCrash), normal),
        ] {
            let Opened { connection, place, .. } = open(&path, &options).unwrap();
            for connection in [connection, open_reader(&path, &options, &place).unwrap()] {
                let found: i64 =
                    connection.query_row("PRAGMA synchronous", [], |row| row.get(0)).unwrap();
                assert_eq!(found, expected, "{options:?}");
                let mode: String =
                    connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
                assert_eq!(mode, "wal");
                let erased: i64 =
                    connection.query_row("PRAGMA secure_delete", [], |row| row.get(0)).unwrap();
                assert_eq!(erased, 1);
            }
        }
    }
}
