//! One connection to the server, from the greeting to the last message on it.

use lettre::Address;
use tokio::time::Instant;

use crate::address::WireAddress;
use crate::auth::Credentials;
use crate::deadline::within;
use crate::dial::Dial;
use crate::dialogue::Dialogue;
use crate::extensions::Extensions;
use crate::failure::{Phase, SmtpCause, SmtpFailure};
use crate::text;
use crate::tls::Tls;

/// When a connection becomes a TLS connection.
pub(crate) enum Security {
    Wrapped(Tls),
    StartTls(Tls),
    None,
}

/// Where to connect to, and how.
pub(crate) struct Server {
    pub(crate) dial: Box<dyn Dial>,
    pub(crate) security: Security,
    pub(crate) credentials: Option<Credentials>,
    /// The name that this machine greets the server with. Without one it is its address.
    pub(crate) hello: Option<String>,
}

/// One message as it goes over the wire.
pub(crate) struct Outgoing<'a> {
    pub(crate) from: &'a Address,
    pub(crate) to: &'a WireAddress,
    pub(crate) text: &'a [u8],
}

impl Server {
    /// A new connection that is ready for a message.
    pub(crate) async fn open(&self, deadline: Instant) -> Result<Session, SmtpFailure> {
        let connecting = within(deadline, Phase::Connection, self.connect(deadline));
        let (mut dialogue, extensions) = connecting.await?;
        if let Some(credentials) = &self.credentials {
            within(deadline, Phase::Authentication, async {
                let mechanism = extensions.mechanism.ok_or(SmtpCause::NoAuthentication)?;
                credentials.log_in(&mut dialogue, mechanism).await
            })
            .await?;
        }
        Ok(Session { dialogue, smtp_utf8: extensions.smtp_utf8 })
    }

    async fn connect(&self, deadline: Instant) -> Result<(Dialogue, Extensions), SmtpCause> {
        let dialled = self.dial.dial(deadline).await?;
        // RFC 5321, 4.1.3.
        let hello = match (&self.hello, dialled.local) {
            (Some(name), _) => name.clone(),
            (None, Some(std::net::IpAddr::V6(address))) => format!("[IPv6:{address}]"),
            (None, Some(address)) => format!("[{address}]"),
            (None, None) => "[127.0.0.1]".to_owned(),
        };
        let wire = match &self.security {
            Security::Wrapped(tls) => tls.handshake(dialled.wire).await?,
            Security::StartTls(_) | Security::None => dialled.wire,
        };
        let mut dialogue = Dialogue::new(wire);
        dialogue.reply(|_| {}).await?.completed()?;
        let extensions = Extensions::ask(&mut dialogue, &hello).await?;
        let Security::StartTls(tls) = &self.security else { return Ok((dialogue, extensions)) };
        // Nothing but this command is said, and nothing that was heard is believed, before TLS.
        if !extensions.start_tls {
            return Err(SmtpCause::NoStartTls);
        }
        dialogue.command("STARTTLS").await?.completed()?;
        let mut dialogue = Dialogue::new(tls.handshake(dialogue.into_wire()?).await?);
        let extensions = Extensions::ask(&mut dialogue, &hello).await?;
        Ok((dialogue, extensions))
    }
}

/// A connection that is ready for a message, unless the server has changed its mind.
pub(crate) struct Session {
    dialogue: Dialogue,
    smtp_utf8: bool,
}

impl Session {
    /// Asks whether the server still listens. This also ends whatever it believes to be under way.
    pub(crate) async fn probe(&mut self, deadline: Instant) -> Result<(), SmtpFailure> {
        let reset = async { self.dialogue.command("RSET").await?.completed() };
        within(deadline, Phase::Connection, reset).await
    }

    /// Asks the server to take the message, until it is ready for the text. Nothing was handed over
    /// yet.
    pub(crate) async fn offer(
        &mut self,
        message: &Outgoing<'_>,
        deadline: Instant,
    ) -> Result<(), SmtpFailure> {
        let mut parameters = "";
        if message.to.needs_utf8 {
            if !self.smtp_utf8 {
                return Err(SmtpFailure::new(Phase::Recipient, SmtpCause::NoSmtpUtf8));
            }
            parameters = " SMTPUTF8 BODY=8BITMIME";
        }
        let dialogue = &mut self.dialogue;
        let mail = format!("MAIL FROM:<{}>{parameters}", message.from);
        within(deadline, Phase::Sender, async { dialogue.command(&mail).await?.completed() })
            .await?;
        let to = format!("RCPT TO:<{}>", message.to.address);
        within(deadline, Phase::Recipient, async { dialogue.command(&to).await?.completed() })
            .await?;
        within(deadline, Phase::Data, async { dialogue.command("DATA").await?.go_on() }).await
    }

    /// Hands the text over to a server that is ready for it. Whatever comes of it, this message
    /// MUST NOT be sent again: from the end of the text on, the server may have it.
    pub(crate) async fn hand_over(
        &mut self,
        text: &[u8],
        deadline: Instant,
    ) -> Result<(), SmtpFailure> {
        let dialogue = &mut self.dialogue;
        let text = text::transparent(text);
        within(deadline, Phase::Data, dialogue.write(&text)).await?;
        within(deadline, Phase::Text, async {
            dialogue.write(text::END).await?;
            dialogue.reply(|_| {}).await?.completed()
        })
        .await
    }
}
