//! How a server is reached.

use std::time::Duration;

use countersign::error::PluginError;
#[cfg(feature = "tls")]
use zeroize::Zeroizing;

use crate::connection::Connection;
use crate::credentials::{Credentials, Source};
use crate::error::RedisError;
use crate::store::RedisFactors;
#[cfg(feature = "tls")]
use crate::tls::{self, ClientCertificate};

/// How a server is reached. Made by [`RedisFactors::options`].
#[derive(Clone, Debug)]
#[must_use]
pub struct RedisOptions {
    pub(crate) prefix: String,
    pub(crate) connect_timeout: Duration,
    pub(crate) response_timeout: Duration,
    pub(crate) may_initialise: bool,
    pub(crate) may_lose: bool,
    pub(crate) unencrypted: bool,
    pub(crate) credentials: Option<Source>,
    #[cfg(feature = "tls")]
    pub(crate) roots: Option<Vec<u8>>,
    #[cfg(feature = "tls")]
    pub(crate) client_certificate: Option<ClientCertificate>,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            prefix: "countersign".to_owned(),
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(3),
            may_initialise: false,
            may_lose: false,
            unencrypted: false,
            credentials: None,
            #[cfg(feature = "tls")]
            roots: None,
            #[cfg(feature = "tls")]
            client_certificate: None,
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
    /// For the first start only, from a set-up step. An application that always gives it takes a
    /// server that has lost everything for a new one, and then no tenant uses the second factor any
    /// more.
    pub const fn initialise_if_empty(mut self) -> Self {
        self.may_initialise = true;
        self
    }

    /// Uses a server that keeps no append-only file all the same.
    ///
    /// After a restart of a server that takes snapshots, as Redis does by default, the store is
    /// that of the last snapshot, and **nothing fails**: used codes work again until they expire,
    /// wrong guesses since are not counted, deleted devices are back, and a second factor that was
    /// switched on since is off.
    ///
    /// Without snapshots it is empty: every call then fails with [`RedisError::Empty`], for all
    /// tenants, until somebody [initialises](Self::initialise_if_empty) it again. Locks, trusted
    /// devices and each tenant's choice to use the second factor are gone.
    pub const fn accept_data_loss_on_restart(mut self) -> Self {
        self.may_lose = true;
        self
    }

    /// Sends everything in clear, or to a server whose certificate nobody checks, also to another
    /// machine.
    ///
    /// **Anyone on the way can then read and change it**: counters, phone numbers, the server's
    /// password. Without this, an address beyond this machine must be `rediss://`, and so must
    /// those of a cluster and of sentinels, which say themselves where their servers are.
    pub const fn dangerously_unencrypted(mut self) -> Self {
        self.unencrypted = true;
        self
    }

    /// Asks for the user and password of each new connection, in place of those of the address: for
    /// passwords that change, and for tokens that run out.
    ///
    /// Connections that there are stay. When the server ends one, the call that meets it fails, and
    /// the next one connects with what is answered then. An answer must come within the [connect
    /// time-out](Self::connect_timeout). On a cluster each node's connection asks, twice.
    ///
    /// ```
    /// # use countersign_redis::{Credentials, RedisFactors};
    /// # async fn token() -> Result<String, std::io::Error> { Ok(String::new()) }
    /// let options = RedisFactors::options().credentials(|| async { Ok(Credentials::new("countersign", token().await?)) });
    /// ```
    pub fn credentials<F, A>(mut self, ask: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<Credentials, PluginError>> + Send + 'static,
    {
        self.credentials = Some(Source::new(ask));
        self
    }

    /// Certificates in PEM of the authorities that may have signed the server's certificate,
    /// instead of those of the operating system. An address that is not `rediss://` is then
    /// refused.
    #[cfg(feature = "tls")]
    pub fn tls_roots_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots = Some(pem.into());
        self
    }

    /// A certificate in PEM, with those that lead to its authority, and its private key, for a
    /// server that asks for one. An address that is not `rediss://` is then refused.
    #[cfg(feature = "tls")]
    pub fn tls_client_certificate_pem(
        mut self,
        certificate: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        let (certificate, key) = (certificate.into(), Zeroizing::new(key.into()));
        self.client_certificate = Some(ClientCertificate { certificate, key });
        self
    }

    /// Connects to one server: `rediss://user:password@host:6379/0` with the feature `tls`, and on
    /// this machine also `redis://` or `unix:///path`.
    ///
    /// # Errors
    ///
    /// [`RedisError`] says why it can't be used.
    pub async fn connect(self, address: &str) -> Result<RedisFactors, RedisError> {
        self.check()?;
        let connection = Connection::to_one(address, &self).await?;
        RedisFactors::on(connection, &self).await
    }

    /// Connects to the server of a service that sentinels watch over: to whichever they name when a
    /// connection is made.
    ///
    /// The addresses are those of the sentinels, with their user and password if they have one. The
    /// server's own come from [`credentials`](Self::credentials), its database is 0, and it is
    /// encrypted if the sentinel is. After a failover calls fail until the sentinels name the new
    /// server. What it had not got yet is [lost](crate#what-redis-loses-and-what-that-means).
    ///
    /// # Errors
    ///
    /// [`RedisError`] says why it can't be used.
    pub async fn connect_sentinel(
        self,
        sentinels: &[&str],
        service: &str,
    ) -> Result<RedisFactors, RedisError> {
        self.check()?;
        let connection = Connection::to_service(sentinels, service, &self).await?;
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
            && self
                .prefix
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'{' && byte != b'}');
        if !well_formed {
            return Err(RedisError::Configuration(
                "`key_prefix` must be 1 to 64 printable ASCII characters, without braces and spaces",
            ));
        }
        #[cfg(feature = "tls")]
        tls::check(self)?;
        Ok(())
    }
}
