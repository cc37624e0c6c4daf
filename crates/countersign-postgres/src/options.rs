//! How a server is reached.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use countersign::error::PluginError;
use deadpool::Runtime;
use deadpool::managed::{Pool as Pools, QueueMode};
use tokio_postgres_rustls::MakeRustlsConnect;
use zeroize::Zeroizing;

use crate::address::Address;
use crate::connection::{Manager, Pool, Source};
use crate::credentials::Credentials;
use crate::error::PostgresError;
use crate::store::PostgresFactors;
use crate::tls::{self, Identity};

/// How a server is reached. Made by [`PostgresFactors::options`].
#[derive(Clone, Debug)]
#[must_use]
pub struct PostgresOptions {
    pub(crate) schema: String,
    pub(crate) connections: usize,
    pub(crate) create_if_missing: bool,
    prepared_statements: Option<bool>,
    pub(crate) connect_timeout: Duration,
    pub(crate) wait_timeout: Duration,
    pub(crate) statement_timeout: Duration,
    roots: Option<Vec<u8>>,
    identity: Option<Identity>,
    credentials: Option<AskedFor>,
    pub(crate) may_lose: bool,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            schema: "countersign".to_owned(),
            connections: 16,
            create_if_missing: true,
            prepared_statements: None,
            connect_timeout: Duration::from_secs(5),
            wait_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
            roots: None,
            identity: None,
            credentials: None,
            may_lose: false,
        }
    }
}

impl PostgresOptions {
    /// The PostgreSQL schema that holds the tables. `countersign` by default; made if the role may
    /// do so.
    pub fn schema(mut self, name: impl Into<String>) -> Self {
        self.schema = name.into();
        self
    }

    /// Whether the tables are made where there are none. `true` by default.
    ///
    /// Switch it off in an application whose tables were made in a set-up step: a mistyped schema
    /// or a wrong database is then [`PostgresError::MissingTable`], and not an empty store, in
    /// which no tenant has a second factor. Tables of an earlier version are migrated either way.
    pub const fn create_if_missing(mut self, create: bool) -> Self {
        self.create_if_missing = create;
        self
    }

    /// How many connections the pool has at most. 16 by default.
    ///
    /// Writes of one tenant use at most half of them concurrently, and charges of the budget a
    /// quarter: whatever waits for a lock keeps its connection while it waits. The others wait for
    /// their turn outside of the pool, for as long as for a connection.
    pub const fn connections(mut self, number: usize) -> Self {
        self.connections = number;
        self
    }

    /// Whether statements are prepared once for each connection. By default they are, unless a
    /// pooler answers in place of the server.
    ///
    /// A pooler in transaction mode gives each statement another server connection, on which the
    /// prepared one is not known, or another one of the same name is. So behind any pooler
    /// statements are sent whole by default, still in one round trip. A pooler is noticed by the
    /// number of the server's process, which most make up. Pgpool-II names the real one, and is
    /// taken for the server.
    ///
    /// `true` is right behind a pooler in session mode, and behind one that follows prepared
    /// statements (PgBouncer from 1.21 on, with `max_prepared_statements`): it saves the server the
    /// planning. Behind any other it is [`PostgresError::Pooled`] or worse. `false` is right
    /// everywhere.
    pub const fn prepared_statements(mut self, prepared: bool) -> Self {
        self.prepared_statements = Some(prepared);
        self
    }

    /// How long making a connection may take. 5 s by default. Where the address names several hosts
    /// they share that time, so that one that does not answer leaves enough for the next.
    pub const fn connect_timeout(mut self, time: Duration) -> Self {
        self.connect_timeout = time;
        self
    }

    /// How long a call waits for a free connection of the pool. 5 s by default.
    ///
    /// A write waits for each lock for at most four fifths of that, and of the time for a
    /// statement, and is then [`PostgresError::Locked`]: what waits for locks gives its connections
    /// up before those run out of patience that wait for a connection.
    pub const fn wait_timeout(mut self, time: Duration) -> Self {
        self.wait_timeout = time;
        self
    }

    /// How long one statement may take, and all of the statements that make or migrate the tables
    /// together. 10 s by default. After that it is cancelled (not behind a pooler), and the
    /// connection is given up. On Linux a connection on which nothing is acknowledged for so long
    /// is closed, unless the address has a `tcp_user_timeout` (in seconds; 0 leaves it to the
    /// system).
    pub const fn statement_timeout(mut self, time: Duration) -> Self {
        self.statement_timeout = time;
        self
    }

    /// Certificates in PEM of the authorities that may have signed the server's certificate,
    /// instead of those of the operating system.
    pub fn tls_roots_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots = Some(pem.into());
        self
    }

    /// A certificate by which the server knows the application, with those that vouch for it, and
    /// its unencrypted key, both in PEM. The server asks for it with `cert` or `clientcert` in its
    /// `pg_hba.conf`.
    pub fn tls_client_pem(
        mut self,
        certificates: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.identity =
            Some(Identity { certificates: certificates.into(), key: Zeroizing::new(key.into()) });
        self
    }

    /// Asks for the password, or for role and password, of each new connection: for passwords that
    /// are rotated, and tokens that expire. It stands in for the password in the address.
    ///
    /// Connections that there are go on with the credentials that they were made with. The answer
    /// is waited for within the time for making a connection. An error is
    /// [`PostgresError::Credentials`], and is shown: it must not hold a secret.
    ///
    /// ```
    /// use countersign_postgres::{Credentials, PostgresFactors};
    ///
    /// # async fn token() -> Result<String, countersign::error::PluginError> { Ok(String::new()) }
    /// let options = PostgresFactors::options()
    ///     .credentials_from(|| async { Ok(Credentials::password(token().await?)) });
    /// # drop(options);
    /// ```
    pub fn credentials_from<F, A>(mut self, source: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<Credentials, PluginError>> + Send + 'static,
    {
        self.credentials = Some(AskedFor(Arc::new(move || Box::pin(source()))));
        self
    }

    /// Uses a server that runs with `fsync` or `synchronous_commit` off all the same.
    ///
    /// After a crash of such a server, wrong guesses of the last moments are forgotten and a code
    /// that was used in them works again until it expires; with `fsync` off anything may be lost,
    /// also that a tenant had switched the second factor on.
    pub const fn accept_data_loss_on_crash(mut self) -> Self {
        self.may_lose = true;
        self
    }

    /// Connects, and makes or migrates the tables. Any number of nodes may do so at the same time.
    ///
    /// The address is a connection string as `libpq` has it:
    /// `postgres://user:password@host:5432/database?sslmode=require`. Connections to another
    /// machine are encrypted unless the address says `sslmode=disable` or `sslmode=prefer`, and
    /// those to this machine are encrypted if it says `sslmode=require`. Wherever a connection is
    /// encrypted, the server's certificate is checked against its name. Only a server that takes
    /// writes is used, never a standby.
    ///
    /// `sslrootcert`, `sslcert` and `sslkey` name files in PEM. A parameter of `libpq` that can't
    /// be followed is [`PostgresError::Parameter`]; `tcp_user_timeout` is in seconds.
    ///
    /// # Errors
    ///
    /// [`PostgresError`] says why it can't be used.
    ///
    /// # Cancel safety
    ///
    /// A dropped future has made the tables, or none of them.
    pub async fn connect(self, address: &str) -> Result<PostgresFactors, PostgresError> {
        let (pool, tls) = self.pool(address)?;
        PostgresFactors::on(pool, tls, &self).await
    }

    fn pool(&self, address: &str) -> Result<(Pool, MakeRustlsConnect), PostgresError> {
        let name = &self.schema;
        let identifier = (1..=48).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
            && !name.starts_with(|first: char| first.is_ascii_digit())
            && !name.starts_with("pg_");
        if !identifier {
            return Err(PostgresError::Configuration(
                "`schema` must be 1 to 48 lower-case letters, digits and underscores, and begin with neither a digit nor pg_",
            ));
        }
        let Address { mut config, roots, identity } =
            Address::read(address, self.statement_timeout)?;
        let hosts = config.get_hosts().len().max(config.get_hostaddrs().len()).max(1);
        let share =
            u32::try_from(hosts).ok().and_then(|hosts| self.connect_timeout.checked_div(hosts));
        config.connect_timeout(share.unwrap_or(self.connect_timeout));
        let roots = match (&self.roots, roots) {
            (None, Some(path)) => Some(file("sslrootcert", &path)?),
            (given, _) => given.clone(),
        };
        let identity = match (&self.identity, identity) {
            (None, Some((certificates, key))) => {
                let certificates = file("sslcert", &certificates)?;
                Some(Identity { certificates, key: Zeroizing::new(file("sslkey", &key)?) })
            }
            (given, _) => given.clone(),
        };
        let tls = tls::connector(roots.as_deref(), identity.as_ref())?;
        let credentials = self.credentials.as_ref().map(|AskedFor(source)| Source::clone(source));
        let manager =
            Manager { config, tls: tls.clone(), credentials, prepares: self.prepared_statements };
        let pool = Pools::builder(manager)
            .max_size(self.connections.max(1))
            .runtime(Runtime::Tokio1)
            // The connection that was used last: the server's process behind it still has
            // everything at hand.
            .queue_mode(QueueMode::Lifo)
            .wait_timeout(Some(self.wait_timeout))
            .create_timeout(Some(self.connect_timeout))
            .recycle_timeout(Some(self.connect_timeout))
            .build()
            .map_err(|error| PostgresError::Unavailable { source: Box::new(error) })?;
        Ok((pool, tls))
    }
}

fn file(keyword: &'static str, path: &str) -> Result<Vec<u8>, PostgresError> {
    std::fs::read(path).map_err(|source| PostgresError::File { keyword, source })
}

#[derive(Clone)]
struct AskedFor(Source);

impl fmt::Debug for AskedFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AskedFor")
    }
}
