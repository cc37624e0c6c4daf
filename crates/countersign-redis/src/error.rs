//! What can go wrong with a server.

use std::error::Error as StdError;

use redis::{ErrorKind, RedisError as DriverError, ServerErrorKind};
use thiserror::Error;

/// Why a store could not be opened, or why a call of it failed.
///
/// Calls answer it inside a [`Fault`](countersign::Fault).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RedisError {
    /// The address or an option can't be used.
    #[error("{0}")]
    Configuration(&'static str),
    /// The server holds nothing of this store: it was never [initialised](crate::RedisOptions::initialise_if_empty), or it has lost what it had.
    ///
    /// Nothing is decided on it: an empty store knows of no tenant that switched the second factor on.
    #[error("the server holds no store: it was never initialised, or it has lost its data")]
    Empty,
    /// Part of the store is missing: a node of the cluster has lost what it had, keys were deleted, or the first start on a cluster was
    /// interrupted.
    ///
    /// It is not completed, since nobody knows what else is missing. The [crate's front page](crate#an-incomplete-store) says what to do.
    #[error("part of the store is missing: it was lost, or its first start on a cluster was interrupted")]
    Incomplete,
    /// The server may forget what it has acknowledged, and
    /// [`accept_data_loss_on_restart`](crate::RedisOptions::accept_data_loss_on_restart) was not given.
    #[error("the server keeps no append-only file: a restart forgets what it has acknowledged")]
    NotDurable,
    /// The server deletes keys when its memory is full.
    #[error("the server evicts keys that do not expire: its `maxmemory-policy` must be noeviction or volatile-*")]
    Evicts,
    /// The server's memory is full. Nothing was written. Reading and deleting go on.
    #[error("the server's memory is full")]
    Full,
    /// The server does not take writes: it is a replica, or it can't write to its disk. Nothing was read or written.
    #[error("the server takes no writes")]
    ReadOnly,
    /// The server did not answer in time, or the connection was lost. Whether a write happened is not known.
    #[error("no answer from the server")]
    Unavailable {
        /// Why.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The server refused a call.
    #[error("the server refused: {code}")]
    Refused {
        /// The first word of its answer.
        code: String,
    },
    /// A key holds what this crate never writes.
    #[error("a key is damaged")]
    Damaged,
}

impl From<DriverError> for RedisError {
    fn from(error: DriverError) -> Self {
        // The rest of the server's text is dropped: it may repeat what was sent.
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::ReadOnly) => Self::ReadOnly,
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => Self::Damaged,
            _ => match error.code() {
                Some("OOM") => Self::Full,
                Some("MISCONF" | "READONLY" | "NOREPLICAS") => Self::ReadOnly,
                Some(code) => Self::Refused { code: code.to_owned() },
                None => Self::Unavailable { source: Box::new(error) },
            },
        }
    }
}
