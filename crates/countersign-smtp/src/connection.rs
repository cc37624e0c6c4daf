//! Conversations with the server, and the connections that are kept for the next one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::Response;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::address::WireAddress;
use crate::failure::{Phase, SmtpFailure, What};

pub(crate) enum Security {
    Wrapped(TlsParameters),
    StartTls(TlsParameters),
    None,
}

/// Where to connect to, and how.
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) security: Security,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) hello: ClientId,
}

/// One message as it goes over the wire.
pub(crate) struct Outgoing<'a> {
    pub(crate) from: &'a Address,
    pub(crate) to: &'a WireAddress,
    pub(crate) text: &'a [u8],
}

struct Idle {
    connection: AsyncSmtpConnection,
    since: Instant,
}

/// A bounded number of connections, each used by one message at a time.
pub(crate) struct Pool {
    server: Server,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
    idle_after: Duration,
}

impl Pool {
    pub(crate) fn new(server: Server, most: usize, idle_after: Duration) -> Self {
        Self { server, permits: Arc::new(Semaphore::new(most)), idle: Mutex::default(), idle_after }
    }

    /// Sends one message before the deadline. A message whose text was handed over is never sent again.
    pub(crate) async fn send(&self, message: &Outgoing<'_>, deadline: Instant) -> Result<(), SmtpFailure> {
        let Ok(Ok(_permit)) = timeout_at(deadline, self.permits.acquire()).await else {
            return Err(SmtpFailure::new(Phase::Waiting, What::TimedOut));
        };
        while let Some(mut connection) = self.take_idle() {
            match converse(&mut connection, message, deadline).await {
                // The server hung up on an idle connection. The next one is tried, and in the end a new one.
                Err(failure) if failure.is_lost_before_text() => {}
                done => return self.keep(connection, done),
            }
        }
        let mut connection = within(deadline, Phase::Connection, self.connect()).await?;
        if let Some(credentials) = &self.server.credentials {
            // PLAIN first, as lettre does; both are protected by TLS.
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            let login = connection.auth(&mechanisms, credentials);
            expect(235, Phase::Authentication, &said(deadline, Phase::Authentication, login).await?)?;
        }
        let done = converse(&mut connection, message, deadline).await;
        self.keep(connection, done)
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SmtpFailure> {
        let failed = |error: SmtpError| SmtpFailure::of(Phase::Connection, &error);
        let Server { host, port, security, hello, .. } = &self.server;
        let wrapped = match security {
            Security::Wrapped(tls) => Some(tls.clone()),
            Security::StartTls(_) | Security::None => None,
        };
        let mut connection = AsyncSmtpConnection::connect_tokio1((host.as_str(), *port), None, hello, wrapped, None)
            .await
            .map_err(failed)?;
        if let Security::StartTls(tls) = security {
            connection.starttls(tls.clone(), hello).await.map_err(failed)?;
        }
        // Whatever happened above: without TLS there is nothing more to say.
        if !matches!(security, Security::None) && !connection.is_encrypted() {
            return Err(SmtpFailure::new(Phase::Connection, What::NoStartTls));
        }
        Ok(connection)
    }

    fn take_idle(&self) -> Option<AsyncSmtpConnection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|kept| kept.since.elapsed() < self.idle_after);
        idle.pop().map(|kept| kept.connection)
    }

    /// Only after a message that was taken is it certain where the conversation stands.
    fn keep(&self, connection: AsyncSmtpConnection, done: Result<(), SmtpFailure>) -> Result<(), SmtpFailure> {
        if done.is_ok() && !connection.has_broken() {
            let kept = Idle { connection, since: Instant::now() };
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(kept);
        }
        done
    }
}

/// The conversation about one message. Every answer must be the one that the step asks for: answers that are one step behind (as after
/// answers that somebody injected before TLS) would make a refused message look sent.
async fn converse(
    connection: &mut AsyncSmtpConnection,
    message: &Outgoing<'_>,
    deadline: Instant,
) -> Result<(), SmtpFailure> {
    let mut parameters = Vec::new();
    if message.to.needs_utf8 {
        if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            return Err(SmtpFailure::new(Phase::Recipient, What::NoSmtpUtf8));
        }
        parameters.push(MailParameter::SmtpUtfEight);
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    let mail = Mail::new(Some(message.from.clone()), parameters);
    expect(250, Phase::Sender, &said(deadline, Phase::Sender, connection.command(mail)).await?)?;
    let to = Rcpt::new(message.to.address.clone(), Vec::new());
    let answer = said(deadline, Phase::Recipient, connection.command(to)).await?;
    expect(250, Phase::Recipient, &answer)
        .or_else(|failure| expect(251, Phase::Recipient, &answer).map_err(|_| failure))?;
    expect(354, Phase::Data, &said(deadline, Phase::Data, connection.command(Data)).await?)?;
    expect(250, Phase::Text, &said(deadline, Phase::Text, connection.message(message.text)).await?)
}

async fn said(
    deadline: Instant,
    phase: Phase,
    step: impl Future<Output = Result<Response, SmtpError>>,
) -> Result<Response, SmtpFailure> {
    within(deadline, phase, async { step.await.map_err(|error| SmtpFailure::of(phase, &error)) }).await
}

async fn within<T>(
    deadline: Instant,
    phase: Phase,
    step: impl Future<Output = Result<T, SmtpFailure>>,
) -> Result<T, SmtpFailure> {
    timeout_at(deadline, step).await.unwrap_or(Err(SmtpFailure::new(phase, What::TimedOut)))
}

fn expect(code: u16, phase: Phase, answer: &Response) -> Result<(), SmtpFailure> {
    if answer.has_code(code) { Ok(()) } else { Err(SmtpFailure::new(phase, What::Unexpected)) }
}

#[cfg(test)]
mod tests {
    use countersign::{EmailAddress, SendErrorKind};

    use super::*;
    use crate::address::on_the_wire;

    #[tokio::test]
    async fn busy_connections_are_waited_for_within_the_budget() {
        let server = Server {
            host: "127.0.0.1".to_owned(),
            port: 1,
            security: Security::None,
            credentials: None,
            hello: ClientId::default(),
        };
        let pool = Pool::new(server, 0, Duration::ZERO);
        let to = on_the_wire(&EmailAddress::new("alice@example.com").unwrap()).unwrap();
        let message = Outgoing { from: &to.address, to: &to, text: b"" };
        let failure = pool.send(&message, Instant::now() + Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(failure.phase(), Phase::Waiting);
        assert_eq!(failure.kind(), SendErrorKind::Throttled { retry_after: None });
    }
}
