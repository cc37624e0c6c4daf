//! What can go wrong with a server.

use std::error::Error as StdError;
use std::sync::Arc;

use redis::{ErrorKind, RedisError as DriverError, ServerErrorKind};
use thiserror::Error;

/// Why a store could not be opened, or why a call of it failed.
///
/// Calls answer it inside a [`PluginError`](countersign::error::PluginError).
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum RedisError {
    /// The address or an option can't be used.
    #[error("{0}")]
    Configuration(&'static str),
    /// What would be sent to another machine is not encrypted, and
    /// [`dangerously_unencrypted`](crate::RedisOptions::dangerously_unencrypted) was not given.
    #[error("the address leads beyond this machine and is not encrypted: it must be rediss://")]
    NotEncrypted,
    /// The server's certificate is for another name, or no authority that is trusted has signed it.
    /// Or the server does not take the certificate that it was shown, or asks for one.
    #[error("no encrypted connection could be agreed on")]
    Encryption {
        /// Why.
        source: Arc<dyn StdError + Send + Sync>,
    },
    /// The server does not take the user or the password, or asks for one.
    #[error("the server refuses the user or the password")]
    WrongCredentials,
    /// The server's access control list does not allow a command or a key. The [crate's front
    /// page](crate#the-servers-user) has what is needed.
    #[error("the server's user may not do this")]
    NotPermitted,
    /// [`credentials`](crate::RedisOptions::credentials) did not answer, or not in time.
    #[error("no credentials for the server")]
    NoCredentials {
        /// What it said.
        source: Arc<dyn StdError + Send + Sync>,
    },
    /// An answer was not to the call that got it: something between the store and the server
    /// repeats or loses answers. Whether the call was executed is not known. The connection is
    /// given up.
    #[error("an answer of the server belongs to another call")]
    MixedUp,
    /// What answers does not speak Redis' protocol, or what it said was changed on the way. Whether
    /// a write happened is not known.
    #[error("what answers does not speak Redis' protocol")]
    Protocol,
    /// The server holds nothing of this store: it was never
    /// [initialised](crate::RedisOptions::initialise_if_empty), or it has lost what it had.
    ///
    /// Nothing is decided on it: an empty store knows of no tenant that switched the second factor
    /// on.
    #[error("the server holds no store: it was never initialised, or it has lost its data")]
    Empty,
    /// Part of the store is missing: a node of the cluster has lost what it had, keys were deleted,
    /// or the first start on a cluster was interrupted.
    ///
    /// It is not completed, since nobody knows what else is missing. The [crate's front
    /// page](crate#an-incomplete-store) says what to do.
    #[error(
        "part of the store is missing: it was lost, or its first start on a cluster was interrupted"
    )]
    Incomplete,
    /// The server may forget what it has acknowledged, and
    /// [`accept_data_loss_on_restart`](crate::RedisOptions::accept_data_loss_on_restart) was not
    /// given.
    #[error("the server keeps no append-only file: a restart forgets what it has acknowledged")]
    NotDurable,
    /// The server deletes keys when its memory is full.
    #[error(
        "the server evicts keys that do not expire: its `maxmemory-policy` must be noeviction or volatile-*"
    )]
    Evicts,
    /// The server's memory is full. Nothing was written. Reading and deleting go on.
    #[error("the server's memory is full")]
    Full,
    /// The server does not take writes: it is a replica, or it can't write to its disk. Nothing was
    /// read or written.
    #[error("the server takes no writes")]
    ReadOnly,
    /// The server did not answer in time, or the connection was lost. Whether a write happened is
    /// not known.
    #[error("no answer from the server")]
    Unavailable {
        /// Why.
        source: Arc<dyn StdError + Send + Sync>,
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
            ErrorKind::AuthenticationFailed => Self::WrongCredentials,
            ErrorKind::Parse => Self::Protocol,
            ErrorKind::UnexpectedReturnType => Self::Damaged,
            ErrorKind::InvalidClientConfig => {
                Self::Configuration("a certificate or another option can't be used")
            }
            _ => match error.code() {
                Some("OOM") => Self::Full,
                Some("MISCONF" | "READONLY" | "NOREPLICAS") => Self::ReadOnly,
                Some("NOAUTH" | "WRONGPASS") => Self::WrongCredentials,
                Some("NOPERM") => Self::NotPermitted,
                Some("ERR") if said(&error, "user executing the script can't") => {
                    Self::NotPermitted
                }
                Some("ERR") if said(&error, "DB index is out of range") => {
                    Self::Configuration("the server has no database of that number")
                }
                Some(code) => Self::Refused { code: code.to_owned() },
                None if is_of_encryption(&error) => Self::Encryption { source: Arc::new(error) },
                None => Self::Unavailable { source: Arc::new(error) },
            },
        }
    }
}

/// Whether a server's text has these words in it, where its code says too little.
fn said(error: &DriverError, words: &str) -> bool {
    error.detail().is_some_and(|text| text.contains(words))
}

#[cfg(feature = "tls")]
fn is_of_encryption(error: &DriverError) -> bool {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(mut error) = cause {
        if let Some(shared) = error.downcast_ref::<Arc<dyn StdError + Send + Sync>>() {
            error = &**shared;
        }
        // An I/O error is not the cause of what it was made of, but holds it.
        let held = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if error.is::<rustls::Error>()
            || held.is_some_and(<dyn StdError + Send + Sync>::is::<rustls::Error>)
        {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(not(feature = "tls"))]
fn is_of_encryption(_: &DriverError) -> bool {
    false
}
