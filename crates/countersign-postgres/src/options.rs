//! How a server is reached.

use std::net::IpAddr;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, QueueMode, RecyclingMethod, Runtime};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::PostgresError;
use crate::store::PostgresFactors;
use crate::tls;

/// How a server is reached. Made by [`PostgresFactors::options`].
#[derive(Clone, Debug)]
#[must_use]
pub struct PostgresOptions {
    pub(crate) schema: String,
    pub(crate) connections: usize,
    pub(crate) prepared_statements: bool,
    pub(crate) connect_timeout: Duration,
    pub(crate) wait_timeout: Duration,
    pub(crate) statement_timeout: Duration,
    pub(crate) roots: Option<Vec<u8>>,
    pub(crate) may_lose: bool,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            schema: "countersign".to_owned(),
            connections: 16,
            prepared_statements: true,
            connect_timeout: Duration::from_secs(5),
            wait_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
            roots: None,
            may_lose: false,
        }
    }
}

impl PostgresOptions {
    /// The PostgreSQL schema that holds the tables. `countersign` by default; made if the role may do so.
    pub fn schema(mut self, name: impl Into<String>) -> Self {
        self.schema = name.into();
        self
    }

    /// How many connections the pool has at most. 16 by default.
    pub const fn connections(mut self, number: usize) -> Self {
        self.connections = number;
        self
    }

    /// Whether statements are prepared once for each connection. `true` by default.
    ///
    /// A pooler in transaction mode (PgBouncer's `pool_mode = transaction` before its version 1.21, or any without `max_prepared_statements`)
    /// gives each statement another server connection, on which the prepared one is not known. Switch it off there: statements are then sent
    /// whole each time, still in one round trip.
    pub const fn prepared_statements(mut self, prepared: bool) -> Self {
        self.prepared_statements = prepared;
        self
    }

    /// How long making a connection may take. 5 s by default. Where the address names several hosts they share that time, so that one that does
    /// not answer leaves enough for the next.
    pub const fn connect_timeout(mut self, time: Duration) -> Self {
        self.connect_timeout = time;
        self
    }

    /// How long a call waits for a free connection of the pool. 5 s by default.
    pub const fn wait_timeout(mut self, time: Duration) -> Self {
        self.wait_timeout = time;
        self
    }

    /// How long one statement may take, and all of the statements that make or migrate the tables together. 10 s by default. After that the
    /// server is asked to end it, and its connection is given up. On Linux a connection on which nothing is acknowledged for so long is closed,
    /// unless the address has a `tcp_user_timeout` (in seconds; 0 leaves it to the system).
    pub const fn statement_timeout(mut self, time: Duration) -> Self {
        self.statement_timeout = time;
        self
    }

    /// Certificates in PEM of the authorities that may have signed the server's certificate, instead of those of the operating system.
    pub fn tls_roots_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots = Some(pem.into());
        self
    }

    /// Uses a server that runs with `fsync` or `synchronous_commit` off all the same.
    ///
    /// After a crash of such a server, wrong guesses of the last moments are forgotten and a code that was used in them works again until it
    /// expires; with `fsync` off anything may be lost, also that a tenant had switched the second factor on.
    pub const fn accept_data_loss_on_crash(mut self) -> Self {
        self.may_lose = true;
        self
    }

    /// Connects, and makes or migrates the tables. Any number of nodes may do so at the same time.
    ///
    /// The address is a connection string as `libpq` has it: `postgres://user:password@host:5432/database?sslmode=require`. Connections to
    /// another machine are encrypted unless the address says `sslmode=disable` or `sslmode=prefer`, and those to this machine are encrypted if
    /// it says `sslmode=require`. Wherever a connection is encrypted, the server's certificate is checked against its name. Only a server that
    /// takes writes is used, never a standby.
    ///
    /// # Errors
    ///
    /// [`PostgresError`] says why it can't be used.
    pub async fn connect(self, address: &str) -> Result<PostgresFactors, PostgresError> {
        let (pool, tls) = self.pool(address)?;
        PostgresFactors::on(pool, tls, &self).await
    }

    fn pool(&self, address: &str) -> Result<(Pool, MakeRustlsConnect), PostgresError> {
        let name = &self.schema;
        let identifier = (1..=48).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
            && !name.starts_with(|first: char| first.is_ascii_digit())
            && !name.starts_with("pg_");
        if !identifier {
            return Err(PostgresError::Configuration(
                "`schema` must be 1 to 48 lower-case letters, digits and underscores, and begin with neither a digit nor pg_",
            ));
        }
        let mut config = read_address(address, self.statement_timeout)?;
        let hosts = config.get_hosts().len().max(config.get_hostaddrs().len()).max(1);
        let share = u32::try_from(hosts).ok().and_then(|hosts| self.connect_timeout.checked_div(hosts));
        config.connect_timeout(share.unwrap_or(self.connect_timeout));
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        if config.get_application_name().is_none() {
            config.application_name("countersign");
        }
        let tls = tls::connector(self.roots.as_deref())?;
        let manager =
            Manager::from_config(config, tls.clone(), ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let pool = Pool::builder(manager)
            .max_size(self.connections.max(1))
            .runtime(Runtime::Tokio1)
            // The connection that was used last: the server's process behind it still has everything at hand.
            .queue_mode(QueueMode::Lifo)
            .wait_timeout(Some(self.wait_timeout))
            .create_timeout(Some(self.connect_timeout))
            .recycle_timeout(Some(self.connect_timeout))
            .build()
            .map_err(|error| PostgresError::Unavailable { source: Box::new(error) })?;
        Ok((pool, tls))
    }
}

/// Reads a connection string. Without a word on encryption in it, a connection that leaves the machine is encrypted; without one on silence, a
/// connection on which nothing is acknowledged for as long as a statement may take is lost, and an idle one is asked every half minute.
fn read_address(address: &str, silence: Duration) -> Result<Config, PostgresError> {
    // Certificates are always checked in full here, so these three mean the same.
    let text =
        address.replace("sslmode=verify-full", "sslmode=require").replace("sslmode=verify-ca", "sslmode=require");
    let mut config: Config = text.parse().map_err(|_| PostgresError::Address)?;
    let (hosts, addresses) = (config.get_hosts(), config.get_hostaddrs());
    let local = hosts.iter().all(|host| match host {
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()),
        #[cfg(unix)]
        Host::Unix(_) => true,
    });
    // A `hostaddr` is what is connected to, whatever the host's name is. Without either there is no connection: the driver knows no default.
    let local = local && addresses.iter().all(IpAddr::is_loopback) && !(hosts.is_empty() && addresses.is_empty());
    // The driver's own default can't be told from the word itself.
    if config.get_ssl_mode() == SslMode::Prefer && !text.contains("sslmode=prefer") {
        config.ssl_mode(if local { SslMode::Disable } else { SslMode::Require });
    }
    if !text.contains("tcp_user_timeout") {
        // The system takes no more milliseconds than these.
        config.tcp_user_timeout(silence.min(Duration::from_millis(0x7FFF_FFFF)));
    }
    // The driver's own default, two hours, can't be told from these words either.
    if !text.contains("keepalives_idle") {
        config.keepalives_idle(Duration::from_secs(30));
    }
    if config.get_keepalives_interval().is_none() {
        config.keepalives_interval(Duration::from_secs(10));
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(address: &str) -> Result<Config, PostgresError> {
        read_address(address, Duration::from_secs(7))
    }

    #[test]
    fn a_connection_that_falls_silent_is_lost_in_time_unless_the_address_says_otherwise() {
        let silence = |address: &str| {
            let read = read(address).unwrap();
            let seconds = |time: Duration| time.as_secs();
            let after = read.get_tcp_user_timeout().copied().map(seconds);
            (after, seconds(read.get_keepalives_idle()), read.get_keepalives_interval().map(seconds))
        };
        assert_eq!(silence("host=h user=u"), (Some(7), 30, Some(10)));
        let own = "host=h user=u tcp_user_timeout=3 keepalives_idle=7200 keepalives_interval=5";
        assert_eq!(silence(own), (Some(3), 7_200, Some(5)));
        assert_eq!(silence("host=h user=u tcp_user_timeout=0"), (None, 30, Some(10)));
        let patient = read_address("host=h user=u", Duration::MAX).unwrap();
        assert_eq!(patient.get_tcp_user_timeout(), Some(&Duration::from_millis(2_147_483_647)));
    }

    #[test]
    fn what_leaves_the_machine_is_encrypted_unless_the_address_says_otherwise() {
        let mode = |address: &str| read(address).unwrap().get_ssl_mode();
        assert_eq!(mode("postgres://u@db.example.com/d"), SslMode::Require);
        assert_eq!(mode("host=10.0.0.7 user=u"), SslMode::Require);
        assert_eq!(mode("postgres://u@127.0.0.1,db.example.com/d"), SslMode::Require);
        assert_eq!(mode("postgres://u@db.example.com/d?sslmode=verify-full"), SslMode::Require);
        assert_eq!(mode("postgres://u@db.example.com/d?sslmode=disable"), SslMode::Disable);
        assert_eq!(mode("postgres://u@127.0.0.1/d"), SslMode::Disable);
        assert_eq!(mode("postgres://u@[::1]/d?sslmode=prefer"), SslMode::Prefer);
        assert_eq!(mode("host=/run/postgresql user=u"), SslMode::Disable);
        // What is connected to is the `hostaddr`.
        assert_eq!(mode("hostaddr=10.0.0.7 user=u"), SslMode::Require);
        assert_eq!(mode("host=localhost hostaddr=10.0.0.7 user=u"), SslMode::Require);
        assert_eq!(mode("host=/run/postgresql hostaddr=10.0.0.7 user=u"), SslMode::Require);
        assert_eq!(mode("host=localhost,localhost hostaddr=127.0.0.1,10.0.0.7 user=u"), SslMode::Require);
        assert_eq!(mode("postgres://u@localhost/d?hostaddr=10.0.0.7"), SslMode::Require);
        assert_eq!(mode("hostaddr=127.0.0.1 user=u"), SslMode::Disable);
        assert_eq!(mode("host=localhost hostaddr=::1 user=u"), SslMode::Disable);
        assert_eq!(mode("user=u dbname=d"), SslMode::Require);
        // The word counts where it is a setting, however it is written.
        assert_eq!(mode("host=db.example.com user=u password=sslmode=disable"), SslMode::Require);
        assert_eq!(mode("host=localhost user=u sslmode = require"), SslMode::Require);
    }

    #[test]
    fn a_bad_address_is_not_repeated() {
        let error = read("postgres://user:secret@host:notaport/").unwrap_err();
        assert!(!format!("{error:?} {error}").contains("secret"));
    }
}
