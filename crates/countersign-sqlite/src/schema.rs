//! The tables, and how a file is prepared.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};

use crate::error::SqliteError;
use crate::options::{Durability, SqliteOptions};

/// The schema that this version makes.
const SCHEMA: u32 = 2;

/// Opens a connection to a file for writing.
pub(crate) fn open(path: &Path, options: &SqliteOptions) -> Result<Connection, SqliteError> {
    // Where that can't be told, SQLite says why.
    if !options.create_if_missing && matches!(path.try_exists(), Ok(false)) {
        return Err(SqliteError::Missing);
    }
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags.set(OpenFlags::SQLITE_OPEN_CREATE, options.create_if_missing);
    let connection = Connection::open_with_flags(path, flags)?;
    // SQLite opens a file that can't be written all the same, and fails later.
    if connection.is_readonly("main")? {
        return Err(SqliteError::ReadOnly);
    }
    prepare(&connection, options)?;
    // Others may be making the same file. SQLite does not wait for all of their locks by itself here.
    let mode: String = patience::retry(|| connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)))?;
    if mode != "wal" {
        return Err(SqliteError::NoWriteAheadLog { found: mode });
    }
    // Checkpoints are made by a thread of their own; within a commit only where that does not keep up.
    let _pages: i64 = connection.query_row("PRAGMA wal_autocheckpoint = 20000", [], |row| row.get(0))?;
    Ok(connection)
}

/// Opens a connection to a file that is open for writing already.
pub(crate) fn open_reader(path: &Path, options: &SqliteOptions) -> Result<Connection, SqliteError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    prepare(&connection, options)?;
    Ok(connection)
}

/// What a connection does not remember from one opening to the next.
pub(crate) fn prepare(connection: &Connection, options: &SqliteOptions) -> Result<(), SqliteError> {
    connection.busy_handler(Some(patience::wait))?;
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

/// Makes or migrates the tables, once, whichever process comes first.
pub(crate) fn migrate(connection: &mut Connection, prefix: &str) -> Result<(), SqliteError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS {prefix}schema (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL) STRICT;"
    ))?;
    let found: Option<u32> =
        transaction.query_row(&format!("SELECT version FROM {prefix}schema"), [], |row| row.get(0)).optional()?;
    match found {
        Some(SCHEMA) => return Ok(transaction.commit()?),
        Some(found) if found > SCHEMA => return Err(SqliteError::NewerSchema { found, readable: SCHEMA }),
        Some(_) => {}
        None => {
            // Names are compared byte by byte: SQLite's default. A record is found by (tenant, user), and by generation for a purge.
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

/// Waiting for another process that holds the lock.
///
/// SQLite's own way sleeps ever longer, up to 100 ms, and then finds the lock taken again by a process that never slept: one of several busy
/// processes can starve for seconds. Short waits of uneven length get everybody in.
pub(crate) mod patience {
    use std::cell::Cell;
    use std::time::{Duration, Instant};

    use rusqlite::ErrorCode;

    thread_local! {
        static TIMEOUT: Cell<Duration> = const { Cell::new(Duration::from_secs(5)) };
        static STARTED: Cell<Option<Instant>> = const { Cell::new(None) };
    }

    /// How long calls on this thread wait.
    pub(crate) fn set(timeout: Duration) {
        TIMEOUT.set(timeout);
    }

    pub(super) fn wait(calls: i32) -> bool {
        if calls == 0 {
            STARTED.set(Some(Instant::now()));
        }
        pause(STARTED.get().map_or(Duration::ZERO, |started| started.elapsed()))
    }

    /// Does it again while it finds the file locked, for what SQLite does not wait for by itself.
    pub(super) fn retry<T>(work: impl Fn() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let started = Instant::now();
        loop {
            let done = work();
            let busy = done.as_ref().is_err_and(|error| error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy));
            if !busy || !pause(started.elapsed()) {
                return done;
            }
        }
    }

    /// Whether there is time left. If so, some of it has passed.
    fn pause(waited: Duration) -> bool {
        if waited >= TIMEOUT.get() {
            return false;
        }
        let uneven = waited.subsec_nanos() % 1_000;
        std::thread::sleep(Duration::from_micros(u64::from(uneven).saturating_add(200)));
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
            for connection in [open(&path, &options).unwrap(), open_reader(&path, &options).unwrap()] {
                let found: i64 = connection.query_row("PRAGMA synchronous", [], |row| row.get(0)).unwrap();
                assert_eq!(found, expected, "{options:?}");
                let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
                assert_eq!(mode, "wal");
                let erased: i64 = connection.query_row("PRAGMA secure_delete", [], |row| row.get(0)).unwrap();
                assert_eq!(erased, 1);
            }
        }
    }
}
