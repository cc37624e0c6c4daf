//! How a server is reached.

use std::time::Duration;

use crate::connection::Connection;
use crate::error::RedisError;
use crate::store::RedisFactors;

/// How a server is reached. Made by [`RedisFactors::options`].
#[derive(Clone, Debug)]
#[must_use]
pub struct RedisOptions {
    pub(crate) prefix: String,
    pub(crate) connect_timeout: Duration,
    pub(crate) response_timeout: Duration,
    pub(crate) may_initialise: bool,
    pub(crate) may_lose: bool,
    #[cfg(feature = "tls")]
    pub(crate) roots: Option<Vec<u8>>,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            prefix: "countersign".to_owned(),
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(3),
            may_initialise: false,
            may_lose: false,
            #[cfg(feature = "tls")]
            roots: None,
        }
    }
}

impl RedisOptions {
    /// What every key begins with. `countersign` by default.
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long making a connection may take. 5 s by default.
    pub const fn connect_timeout(mut self, time: Duration) -> Self {
        self.connect_timeout = time;
        self
    }

    /// How long an answer may take. 3 s by default.
    pub const fn response_timeout(mut self, time: Duration) -> Self {
        self.response_timeout = time;
        self
    }

    /// Makes a new store where there is none.
    ///
    /// For the first start only, from a set-up step. An application that always gives it takes a server that has lost everything for a new one, and
    /// then no tenant uses the second factor any more.
    pub const fn initialise_if_empty(mut self) -> Self {
        self.may_initialise = true;
        self
    }

    /// Uses a server that keeps no append-only file all the same.
    ///
    /// After a restart of a server that takes snapshots, as Redis does by default, the store is that of the last snapshot, and **nothing fails**:
    /// used codes work again until they expire, wrong guesses since are not counted, deleted devices are back, and a second factor that was
    /// switched on since is off.
    ///
    /// Without snapshots it is empty: every call then fails with [`RedisError::Empty`], for all tenants, until somebody
    /// [initialises](Self::initialise_if_empty) it again. Locks, trusted devices and each tenant's choice to use the second factor are gone.
    pub const fn accept_data_loss_on_restart(mut self) -> Self {
        self.may_lose = true;
        self
    }

    /// Certificates in PEM of the authorities that may have signed the server's certificate, instead of those of the operating system. An
    /// address that is not `rediss://` is then refused.
    #[cfg(feature = "tls")]
    pub fn tls_roots_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots = Some(pem.into());
        self
    }

    /// Connects to one server: `redis://user:password@host:6379/0`, or `rediss://` with the feature `tls`.
    ///
    /// # Errors
    ///
    /// [`RedisError`] says why it can't be used.
    pub async fn connect(self, address: &str) -> Result<RedisFactors, RedisError> {
        self.check()?;
        let connection = Connection::to_one(address, &self).await?;
        RedisFactors::on(connection, &self).await
    }

    /// Connects to a cluster through any of its nodes.
    ///
    /// # Errors
    ///
    /// [`RedisError`] says why it can't be used.
    pub async fn connect_cluster(self, addresses: &[&str]) -> Result<RedisFactors, RedisError> {
        self.check()?;
        let connection = Connection::to_cluster(addresses, &self).await?;
        RedisFactors::on(connection, &self).await
    }

    fn check(&self) -> Result<(), RedisError> {
        let well_formed = (1..=64).contains(&self.prefix.len())
            && self.prefix.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'{' && byte != b'}');
        if well_formed {
            Ok(())
        } else {
            Err(RedisError::Configuration(
                "`key_prefix` must be 1 to 64 printable ASCII characters, without braces and spaces",
            ))
        }
    }
}
