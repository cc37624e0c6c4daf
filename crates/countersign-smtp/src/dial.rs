//! Reaching the server: name and TCP.

use std::net::IpAddr;

use async_trait::async_trait;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};

use crate::deadline::share;
use crate::dialogue::Wire;
use crate::failure::SmtpCause;

/// Makes connections. Tests have one of their own.
#[async_trait]
pub(crate) trait Dial: Send + Sync {
    /// A new connection, before the deadline.
    async fn dial(&self, deadline: Instant) -> Result<Dialled, SmtpCause>;
}

/// A new connection.
pub(crate) struct Dialled {
    pub(crate) wire: Box<dyn Wire>,
    /// The address of this side.
    pub(crate) local: Option<IpAddr>,
}

/// Connections over TCP.
pub(crate) struct Tcp {
    pub(crate) host: String,
    pub(crate) port: u16,
}

#[async_trait]
impl Dial for Tcp {
    /// Tries the addresses of the server in their order. Each has its share of the time that is
    /// left, so that one that does not answer leaves time for the others.
    async fn dial(&self, deadline: Instant) -> Result<Dialled, SmtpCause> {
        let found = timeout_at(deadline, lookup_host((self.host.as_str(), self.port))).await;
        let found = found.map_err(|_| SmtpCause::TimedOut)?.map_err(|_| SmtpCause::NameNotFound)?;
        let addresses: Vec<_> = found.collect();
        let mut left = addresses.len();
        let mut failed = SmtpCause::NameNotFound;
        for address in addresses {
            match timeout_at(share(deadline, left), TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // Commands are short, and each waits for its answer.
                    let _ = stream.set_nodelay(true);
                    let local = stream.local_addr().ok().map(|address| address.ip());
                    return Ok(Dialled { wire: Box::new(stream), local });
                }
                Ok(Err(error)) => failed = SmtpCause::Io(error.kind()),
                Err(_) => failed = SmtpCause::TimedOut,
            }
            left = left.saturating_sub(1);
        }
        Err(failed)
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::time::Duration;

    use tokio::net::TcpListener;

    use super::*;

    async fn dial(host: &str, port: u16) -> Result<Dialled, SmtpCause> {
        let tcp = Tcp { host: host.to_owned(), port };
        tcp.dial(Instant::now() + Duration::from_secs(60)).await
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(dial("127.0.0.1", port).await.unwrap().local.unwrap().is_loopback());
        drop(listener);
        let refused = SmtpCause::Io(ErrorKind::ConnectionRefused);
        assert_eq!(dial("127.0.0.1", port).await.err(), Some(refused));
        // A label of 64 characters is no name, wherever one asks.
        assert_eq!(dial(&"a".repeat(64), port).await.err(), Some(SmtpCause::NameNotFound));
    }

    #[tokio::test]
    async fn a_server_that_listens_at_its_second_address_is_reached() {
        // `localhost` may have an address of version 6 too, where nobody listens.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(dial("localhost", port).await.is_ok());
    }
}
