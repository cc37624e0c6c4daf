//! What can go wrong with a file.

use std::error::Error as StdError;

use rusqlite::ffi;
use thiserror::Error;

/// Why a store could not be opened, or why a call of it failed.
///
/// Calls answer it inside a [`PluginError`](countersign::error::PluginError). A write that fails is
/// undone as a whole. Two things are not:
///
/// - A purge deletes slice by slice. What its earlier slices deleted stays deleted when a later one
///   fails.
/// - [`Full`](Self::Full) and [`Other`](Self::Other) may come from the last step, when the disk is
///   asked to keep what it was given. The store counts that write as not made; after a loss of
///   power or a crash of the process it may turn out to have been made after all.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SqliteError {
    /// The file does not exist, and
    /// [`create_if_missing(false)`](crate::SqliteOptions::create_if_missing) was given.
    #[error("database file does not exist")]
    Missing,
    /// A table of the store does not exist: this is an empty file, another application's, or a
    /// store with another [prefix](crate::SqliteOptions::table_prefix), and
    /// [`create_if_missing(false)`](crate::SqliteOptions::create_if_missing) was given; or a part
    /// of the store was deleted. It is not made again, since an empty table would forget who uses
    /// the second factor.
    #[error(
        "table {table} does not exist: a wrong file, a wrong table prefix, or a table that was deleted"
    )]
    MissingTable {
        /// Its name.
        table: String,
    },
    /// The file was moved, deleted or replaced while it was open, or its write-ahead log was, or
    /// the process can't look at its path any more.
    ///
    /// What is read or written now is not what others read and write. Nothing that was acknowledged
    /// before is taken back; whether the write that got this answer happened is not known. Put the
    /// file back; or close every store of this process on it, and open it anew.
    #[error("database file, or its log, was moved, deleted or replaced while it was open")]
    Moved,
    /// A backup is not made over a file that exists.
    #[error("file of the backup exists already")]
    Exists,
    /// The file can't be opened or made: its directory does not exist, the process may not enter it
    /// or make files in it, or the path is that of a directory, or one that SQLite would not take
    /// for the name of a file (`:memory:`, `file:...`). While a store is open: the process has too
    /// many files open.
    #[error("database file can't be opened")]
    CannotOpen,
    /// The file, its directory or the file system can't be written.
    #[error("database is read-only")]
    ReadOnly,
    /// The disk takes no more: it is full, a quota is used up, the file has reached the largest
    /// size that is allowed, or the disk fails when it is written. SQLite does not tell these
    /// apart.
    #[error("disk is full or can't be written")]
    Full,
    /// The file is no database, or it is damaged. Restore it; a new one would forget every setting
    /// and every lock.
    #[error("database file is damaged or is no database")]
    Damaged,
    /// Another process, or another connection of this one, kept the file locked for longer than the
    /// busy time-out.
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
    /// A table prefix is 0 to 40 ASCII letters, digits and underscores, and does not begin with a
    /// digit or `sqlite_`.
    #[error("table prefix is not an identifier")]
    BadPrefix,
    /// The store's threads have ended.
    #[error("store is closed")]
    Closed,
    /// Anything else: a disk that can't be read, most of the time.
    #[error("database failed")]
    Other {
        /// What SQLite said.
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl SqliteError {
    /// The same for each of several calls whose common transaction failed.
    pub(crate) fn shared(&self) -> Self {
        match self {
            Self::Missing => Self::Missing,
            Self::MissingTable { table } => Self::MissingTable { table: table.clone() },
            Self::Moved => Self::Moved,
            Self::Exists => Self::Exists,
            Self::CannotOpen => Self::CannotOpen,
            Self::ReadOnly => Self::ReadOnly,
            Self::Full => Self::Full,
            Self::Damaged => Self::Damaged,
            Self::Busy => Self::Busy,
            Self::NewerSchema { found, readable } => {
                Self::NewerSchema { found: *found, readable: *readable }
            }
            Self::NoWriteAheadLog { found } => Self::NoWriteAheadLog { found: found.clone() },
            Self::BadPrefix => Self::BadPrefix,
            Self::Closed => Self::Closed,
            Self::Other { source } => Self::Other { source: source.to_string().into() },
        }
    }
}

impl From<rusqlite::Error> for SqliteError {
    fn from(error: rusqlite::Error) -> Self {
        named(&error).unwrap_or_else(|| Self::Other { source: Box::new(error) })
    }
}

fn named(error: &rusqlite::Error) -> Option<SqliteError> {
    use rusqlite::ErrorCode as Code;
    match error.sqlite_error_code()? {
        Code::ReadOnly | Code::PermissionDenied => Some(SqliteError::ReadOnly),
        Code::DiskFull => Some(SqliteError::Full),
        Code::SystemIoFailure => {
            written_in_vain(error.sqlite_error()?.extended_code).then_some(SqliteError::Full)
        }
        Code::DatabaseCorrupt | Code::NotADatabase => Some(SqliteError::Damaged),
        Code::DatabaseBusy | Code::DatabaseLocked => Some(SqliteError::Busy),
        Code::CannotOpen => Some(SqliteError::CannotOpen),
        _ => None,
    }
}

/// SQLite has a code of its own for a disk without room only. A quota and a limit on the size of a
/// file are errors of writing to it.
fn written_in_vain(code: i32) -> bool {
    matches!(code, ffi::SQLITE_IOERR_WRITE | ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_SHMSIZE)
}

impl From<std::io::Error> for SqliteError {
    fn from(error: std::io::Error) -> Self {
        Self::Other { source: Box::new(error) }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::SqliteError;

    #[test]
    fn each_code_of_sqlite_has_its_name() {
        let names = [
            (ffi::SQLITE_FULL, "Full"),
            (ffi::SQLITE_IOERR_WRITE, "Full"),
            (ffi::SQLITE_IOERR_FSYNC, "Full"),
            (ffi::SQLITE_IOERR_SHMSIZE, "Full"),
            (ffi::SQLITE_IOERR_READ, "Other"),
            (ffi::SQLITE_READONLY, "ReadOnly"),
            (ffi::SQLITE_READONLY_DIRECTORY, "ReadOnly"),
            (ffi::SQLITE_PERM, "ReadOnly"),
            (ffi::SQLITE_CANTOPEN, "CannotOpen"),
            (ffi::SQLITE_CANTOPEN_ISDIR, "CannotOpen"),
            (ffi::SQLITE_CORRUPT, "Damaged"),
            (ffi::SQLITE_NOTADB, "Damaged"),
            (ffi::SQLITE_BUSY, "Busy"),
            (ffi::SQLITE_BUSY_SNAPSHOT, "Busy"),
            (ffi::SQLITE_LOCKED, "Busy"),
            (ffi::SQLITE_CONSTRAINT, "Other"),
        ];
        for (code, name) in names {
            let error =
                SqliteError::from(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
            for told in [error.shared(), error] {
                let told = format!("{told:?}");
                assert_eq!(told.split(' ').next(), Some(name), "code {code}: {told}");
            }
        }
    }
}
