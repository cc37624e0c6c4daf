//! What can go wrong with a server.

use std::error::Error as StdError;
use std::io;

use countersign::error::PluginError;
use thiserror::Error;
use tokio_postgres::error::SqlState;

type Source = Box<dyn StdError + Send + Sync>;

/// Why a store could not be opened, or why a call of it failed.
///
/// Calls answer it inside a [`PluginError`](countersign::error::PluginError). What PostgreSQL says
/// about the rows concerned is dropped: it may repeat what is in them.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PostgresError {
    /// The address or an option can't be used.
    #[error("{0}")]
    Configuration(&'static str),
    /// The address can't be read. It is not repeated: it may hold a password.
    #[error("address is no PostgreSQL connection string")]
    Address,
    /// The address has a parameter that can't be followed. Its value is not repeated.
    #[error("`{keyword}` in the address: {why}")]
    Parameter {
        /// The parameter.
        keyword: &'static str,
        /// Why it can't be followed, and what to write instead.
        why: &'static str,
    },
    /// A file that the address names can't be read.
    #[error("the file that `{keyword}` names in the address can't be read")]
    File {
        /// The parameter.
        keyword: &'static str,
        /// Why.
        source: io::Error,
    },
    /// No connection could be made.
    #[error("no connection to the server")]
    Unavailable {
        /// Why.
        source: Source,
    },
    /// What [`credentials_from`](crate::PostgresOptions::credentials_from) was given had no
    /// credentials.
    #[error("no credentials for a new connection")]
    Credentials {
        /// Why.
        source: Source,
    },
    /// All connections of the pool, or of the part of it that one tenant or the budget may use,
    /// were in use for too long.
    #[error("no connection of the pool became free in time")]
    Exhausted,
    /// The server did not answer in time. Whether a write happened is not known.
    #[error("the server did not answer in time")]
    TimedOut,
    /// The connection was lost. Whether a write happened is not known.
    #[error("the connection was lost")]
    Lost {
        /// How.
        source: Source,
    },
    /// The server refused a statement.
    #[error("the server refused: {message} ({code})")]
    Refused {
        /// The SQLSTATE.
        code: String,
        /// PostgreSQL's message, without its detail.
        message: String,
    },
    /// A lock was not granted in time (55P03). Nothing was written.
    #[error("a lock was not granted in time")]
    Locked,
    /// A standby answered, or a server that takes no writes. What it says may be out of date, so
    /// nothing was decided on it. A pooler must lead to the primary, also for statements that only
    /// read.
    #[error("a standby answered, and what it says may be out of date")]
    Standby,
    /// A server connection answered that does not know what was prepared: a pooler leads each
    /// transaction to another one. Nothing was written. Leave
    /// [`prepared_statements`](crate::PostgresOptions::prepared_statements) at its default, or
    /// switch it off.
    #[error(
        "a pooler changed the server connection: `prepared_statements(false)` is needed ({code})"
    )]
    Pooled {
        /// The SQLSTATE.
        code: String,
    },
    /// The answer belongs to another statement. Whether a write happened is not known, and the
    /// connection was closed.
    #[error("the answer belongs to another statement")]
    Misplaced,
    /// The tables are not there, and
    /// [`create_if_missing(false)`](crate::PostgresOptions::create_if_missing) was given; or some
    /// of them are gone.
    #[error("there is no table \"{schema}\".\"{table}\"")]
    MissingTable {
        /// The PostgreSQL schema that was looked into.
        schema: String,
        /// The first table that is not there.
        table: &'static str,
    },
    /// A table of that name is there which this crate has not made: the schema belongs to something
    /// else.
    #[error("\"{schema}\".\"{table}\" is a table of something else")]
    ForeignTable {
        /// The PostgreSQL schema that was looked into.
        schema: String,
        /// The table.
        table: &'static str,
    },
    /// The tables were made by a later version of this crate.
    #[error("tables have schema {found}, and this version reads up to schema {readable}")]
    NewerSchema {
        /// The schema that the tables have.
        found: i32,
        /// The latest one that this version knows.
        readable: i32,
    },
    /// The server may forget what it has acknowledged, and
    /// [`accept_data_loss_on_crash`](crate::PostgresOptions::accept_data_loss_on_crash) was not
    /// given.
    #[error("{setting} is off: what the server has acknowledged may be lost in a crash")]
    NotDurable {
        /// The setting of the server.
        setting: &'static str,
    },
    /// A row holds what this crate never writes.
    #[error("a row is damaged")]
    Damaged,
}

impl PostgresError {
    /// Whether the server undid the statement because of others that ran at the same time. Then
    /// surely nothing was written.
    pub(crate) fn is_serialization_failure(&self) -> bool {
        let undone = [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED];
        matches!(self, Self::Refused { code, .. } if undone.iter().any(|state| state.code() == code))
    }

    /// Whether a read may work on another connection.
    pub(crate) fn is_lost(&self) -> bool {
        let ending =
            [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN, SqlState::IDLE_SESSION_TIMEOUT];
        match self {
            Self::Lost { .. } => true,
            Self::Refused { code, .. } => ending.iter().any(|state| state.code() == code),
            _ => false,
        }
    }

    /// Why no connection could be made.
    pub(crate) fn connecting(error: tokio_postgres::Error) -> Self {
        // The driver's own words for a server that was asked whether it takes writes.
        let standby = error
            .source()
            .and_then(|source| source.downcast_ref::<io::Error>())
            .is_some_and(|source| {
                source.kind() == io::ErrorKind::PermissionDenied
                    && source.to_string() == "database does not allow writes"
            });
        match error.as_db_error() {
            Some(_) => error.into(),
            None if standby => Self::Standby,
            None => Self::Unavailable { source: Box::new(error) },
        }
    }

    pub(crate) fn credentials(fault: &PluginError) -> Self {
        Self::Credentials { source: fault.to_string().into() }
    }
}

impl From<tokio_postgres::Error> for PostgresError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(refused) = error.as_db_error() else {
            return Self::Lost { source: Box::new(error) };
        };
        let code = refused.code();
        if *code == SqlState::LOCK_NOT_AVAILABLE {
            Self::Locked
        } else if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
            Self::Standby
        } else if [SqlState::INVALID_SQL_STATEMENT_NAME, SqlState::DUPLICATE_PSTATEMENT]
            .contains(code)
        {
            Self::Pooled { code: code.code().to_owned() }
        } else {
            Self::Refused { code: code.code().to_owned(), message: refused.message().to_owned() }
        }
    }
}

impl From<deadpool::managed::PoolError<Self>> for PostgresError {
    fn from(error: deadpool::managed::PoolError<Self>) -> Self {
        use deadpool::managed::{PoolError, TimeoutType};
        match error {
            PoolError::Timeout(TimeoutType::Wait) => Self::Exhausted,
            PoolError::Backend(error) => error,
            error => Self::Unavailable { source: Box::new(error) },
        }
    }
}
