//! What can go wrong with a file.

use std::error::Error as StdError;

use thiserror::Error;

/// Why a store could not be opened, or why a call of it failed.
///
/// Calls answer it inside a [`Fault`](countersign::Fault). None of them has written anything: SQLite undoes what it could not finish.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SqliteError {
    /// The file does not exist, and [`create_if_missing(false)`](crate::SqliteOptions::create_if_missing) was given.
    #[error("database file does not exist")]
    Missing,
    /// The file, its directory or the file system can't be written.
    #[error("database is read-only")]
    ReadOnly,
    /// There is no room on the disk.
    #[error("disk is full")]
    Full,
    /// The file is no database, or it is damaged. Restore it; a new one would forget every setting and every lock.
    #[error("database file is damaged or is no database")]
    Damaged,
    /// Another process kept the file locked for longer than the busy time-out.
    #[error("database file was locked by another process for too long")]
    Busy,
    /// The tables were made by a later version of this crate.
    #[error("tables have schema {found}, and this version reads up to schema {readable}")]
    NewerSchema {
        /// The schema that the tables have.
        found: u32,
        /// The latest one that this version knows.
        readable: u32,
    },
    /// The file system can't do write-ahead logging, as network file systems can't.
    #[error("journal mode is {found} and can't be changed to write-ahead logging")]
    NoWriteAheadLog {
        /// The mode that it stayed in.
        found: String,
    },
    /// A table prefix is 0 to 40 ASCII letters, digits and underscores, and does not begin with a digit or `sqlite_`.
    #[error("table prefix is not an identifier")]
    BadPrefix,
    /// The store's threads have ended.
    #[error("store is closed")]
    Closed,
    /// Anything else: an input or output error, most of the time.
    #[error("database failed")]
    Other {
        /// What SQLite said.
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl From<rusqlite::Error> for SqliteError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        match error.sqlite_error_code() {
            Some(Code::ReadOnly | Code::PermissionDenied) => Self::ReadOnly,
            Some(Code::DiskFull) => Self::Full,
            Some(Code::DatabaseCorrupt | Code::NotADatabase) => Self::Damaged,
            Some(Code::DatabaseBusy | Code::DatabaseLocked) => Self::Busy,
            _ => Self::Other { source: Box::new(error) },
        }
    }
}

impl From<std::io::Error> for SqliteError {
    fn from(error: std::io::Error) -> Self {
        Self::Other { source: Box::new(error) }
    }
}
