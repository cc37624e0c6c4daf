//! The sender.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use countersign::TenantId;
use countersign::contact::{Destination, EmailAddress};
use countersign::sender::{CodeMessage, CodeSender, Notice, SendError, SendStatus};
use countersign_delivery::message::{EmailText, MessageSource, Messages, NoMessages, messages_of};
use lettre::Address;
use lettre::message::Mailbox;
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

use crate::address::on_the_wire;
use crate::builder::SmtpBuilder;
use crate::compose::compose;
use crate::failure::{Phase, SmtpCause, SmtpFailure};
use crate::pool::Pool;
use crate::session::Outgoing;

/// Sends codes and notices by email. Cheap to clone; clones share the connections.
///
/// | what happened | error |
/// |---|---|
/// | the tenant has no messages | permanent |
/// | its messages could not be looked up, or not within the time budget | transient |
/// | no email address; an address that can't be written, or needs `SMTPUTF8`; a 5xx answer; no `STARTTLS`; login refused | permanent |
/// | a 4xx answer; no connection; TLS or certificate not accepted; connection lost or silent before the text | transient |
/// | all connections busy for the whole time budget | throttled |
/// | connection lost, silent or nonsensical after the end of the text was handed over | unknown |
///
/// Each of these is the answer of a new connection. A message that fails on a used connection
/// before its text has begun is offered once more, on a new one. Nothing is sent again after that.
///
/// Dropping a future closes its connection; the message may or may not have been sent.
#[derive(Clone)]
pub struct SmtpSender {
    pool: Arc<Pool>,
    from: From,
    messages: Arc<dyn MessageSource>,
    time_budget: Duration,
}

/// The sender's address, and the name beside it: without one it is the application's, tenant by
/// tenant.
#[derive(Clone)]
pub(crate) struct From {
    pub(crate) address: Address,
    pub(crate) name: Option<String>,
}

impl From {
    fn mailbox(&self, messages: &Messages) -> Mailbox {
        let name = self.name.as_deref().unwrap_or_else(|| messages.application());
        Mailbox::new(Some(name.to_owned()), self.address.clone())
    }
}

impl SmtpSender {
    /// A server that is spoken to in TLS from the start, on port 465 (RFC 8314). The host is also
    /// the name in its certificate.
    pub fn relay(host: impl Into<String>) -> SmtpBuilder {
        SmtpBuilder::wrapped(host)
    }

    /// A server that changes to TLS by `STARTTLS`, on port 587. A server that does not is not
    /// spoken to.
    pub fn starttls_relay(host: impl Into<String>) -> SmtpBuilder {
        SmtpBuilder::starttls(host)
    }

    /// **Without TLS**, to a port of this machine (127.0.0.1) and nowhere else: for tests and local
    /// sinks. Credentials are refused.
    pub fn dangerously_unencrypted_on_loopback(port: u16) -> SmtpBuilder {
        SmtpBuilder::unencrypted(port)
    }

    pub(crate) fn new(
        pool: Pool,
        from: From,
        messages: Arc<dyn MessageSource>,
        time_budget: Duration,
    ) -> Self {
        Self { pool: Arc::new(pool), from, messages, time_budget }
    }

    async fn send(
        &self,
        tenant: &TenantId,
        to: &Destination,
        text: impl FnOnce(&Messages) -> EmailText + Send,
    ) -> Result<SendStatus, SendError> {
        // The deadline counts from here, so that looking the messages up and composing are inside
        // it.
        let now = Instant::now();
        let deadline = now.checked_add(self.time_budget).unwrap_or(now);
        let to = on_the_wire(email(to)?)
            .ok_or(SmtpFailure::new(Phase::Preparation, SmtpCause::Address))?;
        let found = timeout_at(deadline, messages_of(&*self.messages, tenant)).await;
        let messages = found.unwrap_or(Err(NoMessages::TimedOut))?;
        let from = self.from.mailbox(&messages);
        let bytes = Zeroizing::new(compose(&from, &to, &text(&messages))?);
        let message = Outgoing { from: &from.email, to: &to, text: &bytes };
        self.pool.send(&message, deadline).await?;
        Ok(SendStatus::Sent)
    }
}

#[async_trait]
impl CodeSender for SmtpSender {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        self.send(&message.tenant, &message.destination, |messages| messages.code_email(message))
            .await
    }

    async fn notify(&self, notice: &Notice) -> Result<SendStatus, SendError> {
        self.send(&notice.tenant, &notice.destination, |messages| messages.notice_email(notice))
            .await
    }
}

fn email(destination: &Destination) -> Result<&EmailAddress, SmtpFailure> {
    match destination {
        Destination::Email(address) => Ok(address),
        Destination::Sms(_) => Err(SmtpFailure::new(Phase::Preparation, SmtpCause::NotEmail)),
    }
}

impl fmt::Debug for SmtpSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpSender").field("time_budget", &self.time_budget).finish_non_exhaustive()
    }
}
