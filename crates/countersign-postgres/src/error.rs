//! What can go wrong with a server.

use std::error::Error as StdError;

use thiserror::Error;
use tokio_postgres::error::SqlState;

/// Why a store could not be opened, or why a call of it failed.
///
/// Calls answer it inside a [`Fault`](countersign::Fault). What PostgreSQL says about the rows concerned is dropped: it may repeat what is in them.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PostgresError {
    /// The address or an option can't be used.
    #[error("{0}")]
    Configuration(&'static str),
    /// The address can't be read. It is not repeated: it may hold a password.
    #[error("address is no PostgreSQL connection string")]
    Address,
    /// No connection could be made.
    #[error("no connection to the server")]
    Unavailable {
        /// Why.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// All connections of the pool were in use for too long.
    #[error("no connection of the pool became free in time")]
    Exhausted,
    /// The server did not answer in time. Whether a write happened is not known.
    #[error("the server did not answer in time")]
    TimedOut,
    /// The connection was lost. Whether a write happened is not known.
    #[error("the connection was lost")]
    Lost {
        /// How.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The server refused a statement.
    #[error("the server refused: {message} ({code})")]
    Refused {
        /// The SQLSTATE.
        code: String,
        /// PostgreSQL's message, without its detail.
        message: String,
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
    /// [`accept_data_loss_on_crash`](crate::PostgresOptions::accept_data_loss_on_crash) was not given.
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
    /// Whether the server undid the statement because of others that ran at the same time. Then surely nothing was written.
    pub(crate) fn is_serialization_failure(&self) -> bool {
        let undone = [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED];
        matches!(self, Self::Refused { code, .. } if undone.iter().any(|state| state.code() == code))
    }

    /// Whether a lock was not granted in time. Then surely nothing was written.
    pub(crate) fn is_lock_timeout(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == SqlState::LOCK_NOT_AVAILABLE.code())
    }

    /// Whether a read may work on another connection.
    pub(crate) fn is_lost(&self) -> bool {
        let ending = [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN, SqlState::IDLE_SESSION_TIMEOUT];
        match self {
            Self::Lost { .. } => true,
            Self::Refused { code, .. } => ending.iter().any(|state| state.code() == code),
            _ => false,
        }
    }
}

impl From<tokio_postgres::Error> for PostgresError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(refused) => {
                Self::Refused { code: refused.code().code().to_owned(), message: refused.message().to_owned() }
            }
            None => Self::Lost { source: Box::new(error) },
        }
    }
}

impl From<deadpool_postgres::PoolError> for PostgresError {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        use deadpool_postgres::{PoolError, TimeoutType};
        match error {
            PoolError::Timeout(TimeoutType::Wait) => Self::Exhausted,
            PoolError::Backend(error) => match error.as_db_error() {
                Some(_) => error.into(),
                None => Self::Unavailable { source: Box::new(error) },
            },
            error => Self::Unavailable { source: Box::new(error) },
        }
    }
}
