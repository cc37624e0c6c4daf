//! Configuring a sender.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use countersign::contact::EmailAddress;
use countersign_delivery::message::{BadText, MessageSource, check_shown_name};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::address::on_the_wire;
use crate::auth::Credentials;
use crate::dial::Tcp;
use crate::pool::Pool;
use crate::sender::{From, SmtpSender};
use crate::session::{Security, Server};
use crate::tls::{Roots, Tls};

/// The password for the mail server. Redacted in `Debug`, wiped when dropped; not `Clone`, not
/// comparable.
pub struct SmtpPassword(Zeroizing<String>);

impl SmtpPassword {
    /// Wraps the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SmtpPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SmtpPassword(redacted)")
    }
}

/// Why a sender can't be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The server's name is no host name.
    #[error("smtp server is not a host name")]
    Host,
    /// The sender's address must be ASCII, apart from its domain.
    #[error("sender address can not be written in ascii")]
    From,
    /// The name beside the sender's address.
    #[error("sender name {0}")]
    FromName(BadText),
    /// Credentials without TLS.
    #[error("credentials need tls")]
    CredentialsWithoutTls,
    /// The extra root certificate is not PEM.
    #[error("root certificate is not a certificate in pem")]
    RootCertificate,
    /// TLS can't be set up, for example because this machine has no root certificates.
    #[error("tls can not be set up")]
    Tls,
    /// A number is zero.
    #[error("{0} must not be zero")]
    Zero(&'static str),
}

/// Configures an [`SmtpSender`].
///
/// | setting | default |
/// |---|---|
/// | [`port`](Self::port) | 465 with TLS from the start, 587 with `STARTTLS` |
/// | [`credentials`](Self::credentials) | none |
/// | [`time_budget`](Self::time_budget) | 10 s for one message, connecting included |
/// | [`connections`](Self::connections) | 8, kept open for the next message |
/// | [`idle_after`](Self::idle_after) | a connection is not used again after 30 s without a message |
/// | [`probe_timeout`](Self::probe_timeout) | an idle connection has 1 s to answer before a new one replaces it |
/// | [`from_name`](Self::from_name) | the application's name, tenant by tenant |
/// | [`hello_name`](Self::hello_name) | this machine's name |
#[must_use]
pub struct SmtpBuilder {
    host: String,
    port: u16,
    tls: When,
    credentials: Option<(String, SmtpPassword)>,
    root_certificate: Option<Vec<u8>>,
    only_that_root: bool,
    time_budget: Duration,
    connections: usize,
    idle_after: Duration,
    probe_timeout: Duration,
    from_name: Option<String>,
    hello_name: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    FromTheStart,
    Upgraded,
    Never,
}

impl SmtpBuilder {
    fn new(host: impl Into<String>, port: u16, tls: When) -> Self {
        Self {
            host: host.into(),
            port,
            tls,
            credentials: None,
            root_certificate: None,
            only_that_root: false,
            time_budget: Duration::from_secs(10),
            connections: 8,
            idle_after: Duration::from_secs(30),
            probe_timeout: Duration::from_secs(1),
            from_name: None,
            hello_name: None,
        }
    }

    pub(crate) fn wrapped(host: impl Into<String>) -> Self {
        Self::new(host, 465, When::FromTheStart)
    }

    pub(crate) fn starttls(host: impl Into<String>) -> Self {
        Self::new(host, 587, When::Upgraded)
    }

    pub(crate) fn unencrypted(port: u16) -> Self {
        Self::new("127.0.0.1", port, When::Never)
    }

    /// Another port.
    pub const fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// The user name and password for the server.
    pub fn credentials(mut self, user: impl Into<String>, password: SmtpPassword) -> Self {
        self.credentials = Some((user.into(), password));
        self
    }

    /// Accepts certificates under this root (PEM) beside those that the operating system trusts.
    pub fn additional_root_certificate(mut self, pem: &[u8]) -> Self {
        self.root_certificate = Some(pem.to_vec());
        self
    }

    /// Accepts certificates under this root (PEM) and no other.
    pub fn only_root_certificate(mut self, pem: &[u8]) -> Self {
        self.root_certificate = Some(pem.to_vec());
        self.only_that_root = true;
        self
    }

    /// The longest that one message may take, with looking up the tenant's messages, waiting for a
    /// connection, connecting and logging in. The person waits for it.
    pub const fn time_budget(mut self, budget: Duration) -> Self {
        self.time_budget = budget;
        self
    }

    /// The maximum number of concurrent connections. Messages beyond that wait within their time
    /// budget.
    pub const fn connections(mut self, most: usize) -> Self {
        self.connections = most;
        self
    }

    /// After how long without a message a connection is not used again.
    ///
    /// A connection that the server closes earlier costs nothing but a new one: it is asked
    /// (`RSET`) before each message.
    pub const fn idle_after(mut self, idle: Duration) -> Self {
        self.idle_after = idle;
        self
    }

    /// How long an idle connection has to answer when it is asked whether it still works, and at
    /// most half of what is left of the time budget. One that does not answer is replaced by a new
    /// one, and the other idle ones are dropped too.
    pub const fn probe_timeout(mut self, timeout: Duration) -> Self {
        self.probe_timeout = timeout;
        self
    }

    /// The name beside the sender's address, for all tenants: 1 to 80 characters that a reader can
    /// see, or spaces, none of them first or last.
    pub fn from_name(mut self, name: impl Into<String>) -> Self {
        self.from_name = Some(name.into());
        self
    }

    /// The name that this machine greets the server with.
    pub fn hello_name(mut self, name: impl Into<String>) -> Self {
        self.hello_name = Some(name.into());
        self
    }

    /// Builds the sender, with one [`Messages`](countersign_delivery::message::Messages) for all
    /// tenants or with each tenant's own
    /// ([`TenantMessages`](countersign_delivery::message::TenantMessages)). Nothing is connected
    /// yet.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] says what to change.
    pub fn build(
        self,
        from: &EmailAddress,
        messages: impl MessageSource + 'static,
    ) -> Result<SmtpSender, ConfigError> {
        let host_ok = !self.host.is_empty()
            && self.host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:".contains(&b));
        if !host_ok || !self.hello_name.as_deref().is_none_or(is_hello) {
            return Err(ConfigError::Host);
        }
        if self.connections == 0 {
            return Err(ConfigError::Zero("connections"));
        }
        if self.time_budget.is_zero() {
            return Err(ConfigError::Zero("time_budget"));
        }
        if self.probe_timeout.is_zero() {
            return Err(ConfigError::Zero("probe_timeout"));
        }
        if self.tls == When::Never && self.credentials.is_some() {
            return Err(ConfigError::CredentialsWithoutTls);
        }
        let wire = on_the_wire(from).filter(|wire| !wire.needs_utf8).ok_or(ConfigError::From)?;
        self.from_name
            .as_deref()
            .map_or(Ok(()), check_shown_name)
            .map_err(ConfigError::FromName)?;
        let security = match self.tls {
            When::FromTheStart => Security::Wrapped(self.tls()?),
            When::Upgraded => Security::StartTls(self.tls()?),
            When::Never => Security::None,
        };
        let this_machine =
            || hostname::get().ok()?.into_string().ok().filter(|name| is_hello(name));
        let server = Server {
            dial: Box::new(Tcp { host: self.host, port: self.port }),
            security,
            credentials: self.credentials.map(|(user, password)| Credentials::new(user, password)),
            hello: self.hello_name.or_else(this_machine),
        };
        let pool = Pool::new(server, self.connections, self.idle_after, self.probe_timeout);
        let from = From { address: wire.address, name: self.from_name };
        Ok(SmtpSender::new(pool, from, Arc::new(messages), self.time_budget))
    }

    fn tls(&self) -> Result<Tls, ConfigError> {
        let roots = match &self.root_certificate {
            Some(pem) if self.only_that_root => Roots::Only(pem),
            Some(pem) => Roots::SystemAnd(pem),
            None => Roots::System,
        };
        Tls::new(&self.host, &roots)
    }
}

fn is_hello(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic())
}

impl fmt::Debug for SmtpBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpBuilder")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}
