//! What went wrong, told without repeating anything that a server or a person said.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use countersign::{SendError, SendErrorKind};
use lettre::transport::smtp::Error as SmtpError;

/// How far a conversation with the server was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Nothing was said yet: the message itself can't be sent.
    Preparation,
    /// Waiting for a free connection.
    Waiting,
    /// Connecting: name, TCP, TLS, greeting.
    Connection,
    /// Logging in.
    Authentication,
    /// `MAIL FROM`.
    Sender,
    /// `RCPT TO`.
    Recipient,
    /// `DATA`, before the text.
    Data,
    /// The text was handed over, and the answer to it is missing or bad.
    Text,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Preparation => "preparation",
            Self::Waiting => "waiting for a connection",
            Self::Connection => "connection",
            Self::Authentication => "authentication",
            Self::Sender => "sender",
            Self::Recipient => "recipient",
            Self::Data => "data",
            Self::Text => "text",
        })
    }
}

/// The source of a [`SendError`] of this crate. Safe to log: it repeats nothing of what was sent, and of an answer its codes alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpFailure {
    phase: Phase,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Refused { reply: u16, status: Option<String> },
    Unexpected,
    TimedOut,
    Io(io::ErrorKind),
    Tls,
    NoStartTls,
    NoAuthentication,
    NoSmtpUtf8,
    NotEmail,
    Address,
    Compose,
}

impl SmtpFailure {
    pub(crate) const fn new(phase: Phase, what: What) -> Self {
        Self { phase, what }
    }

    /// How far the conversation was.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// The server's reply code, if it was a reply.
    pub const fn reply(&self) -> Option<u16> {
        match self.what {
            What::Refused { reply, .. } => Some(reply),
            _ => None,
        }
    }

    /// What the library's error means at this point of the conversation.
    pub(crate) fn of(phase: Phase, error: &SmtpError) -> Self {
        let what = if let Some(reply) = error.status() {
            let status = error.source().and_then(|text| enhanced_status(&text.to_string()));
            What::Refused { reply: reply.into(), status }
        } else if error.is_timeout() {
            What::TimedOut
        } else if error.is_tls() {
            What::Tls
        } else {
            match io_kind(error) {
                // A certificate that is not accepted comes as invalid data while connecting.
                Some(io::ErrorKind::InvalidData) if phase == Phase::Connection => What::Tls,
                Some(kind) => What::Io(kind),
                None if error.is_client() && phase == Phase::Authentication => What::NoAuthentication,
                None if error.is_client() && phase == Phase::Connection => What::NoStartTls,
                None => What::Unexpected,
            }
        };
        Self { phase, what }
    }

    /// Whether the connection was lost before this message's text was handed over, so that another connection may be tried.
    pub(crate) const fn is_lost_before_text(&self) -> bool {
        matches!(self.what, What::Io(_) | What::Unexpected | What::Refused { reply: 421, .. })
            && matches!(self.phase, Phase::Sender)
    }

    pub(crate) fn kind(&self) -> SendErrorKind {
        match self.what {
            What::Refused { reply: 500.., .. }
            | What::NoStartTls
            | What::NoAuthentication
            | What::NoSmtpUtf8
            | What::NotEmail
            | What::Address
            | What::Compose => SendErrorKind::Permanent,
            What::Refused { .. } => SendErrorKind::Transient,
            What::Unexpected | What::TimedOut | What::Io(_) | What::Tls => match self.phase {
                Phase::Text => SendErrorKind::Unknown,
                Phase::Waiting => SendErrorKind::Throttled { retry_after: None },
                _ => SendErrorKind::Transient,
            },
        }
    }
}

impl From<SmtpFailure> for SendError {
    fn from(failure: SmtpFailure) -> Self {
        Self::new(failure.kind()).caused_by(failure)
    }
}

impl fmt::Display for SmtpFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Refused { reply, status: Some(status) } => write!(f, "smtp server answered {reply} {status}")?,
            What::Refused { reply, status: None } => write!(f, "smtp server answered {reply}")?,
            What::Unexpected => f.write_str("smtp server answered out of turn, or nonsense")?,
            What::TimedOut => f.write_str("smtp server did not answer in time")?,
            What::Io(kind) => write!(f, "smtp connection failed ({kind})")?,
            What::Tls => f.write_str("smtp server's tls or certificate was not accepted")?,
            What::NoStartTls => f.write_str("smtp server offers no starttls")?,
            What::NoAuthentication => f.write_str("smtp server offers no way to log in that is known here")?,
            What::NoSmtpUtf8 => f.write_str("address needs smtputf8, which the smtp server has not")?,
            What::NotEmail => f.write_str("destination is not an email address")?,
            What::Address => f.write_str("address can not be written in smtp")?,
            What::Compose => f.write_str("message can not be written as an email")?,
        }
        write!(f, " (phase: {})", self.phase)
    }
}

impl StdError for SmtpFailure {}

fn io_kind(error: &SmtpError) -> Option<io::ErrorKind> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        source = error.source();
    }
    None
}

/// The enhanced status code (RFC 3463) at the start of a reply: `5.1.1`. Bounded, so that nothing else passes for one.
fn enhanced_status(text: &str) -> Option<String> {
    let first = text.split_whitespace().next()?;
    let parts: Vec<&str> = first.split('.').collect();
    let digits = |part: &str, most: usize| (1..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    match parts.as_slice() {
        [class @ ("4" | "5"), subject, detail] if digits(subject, 1) && digits(detail, 2) => {
            Some(format!("{class}.{subject}.{detail}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_status_code_of_an_answer_is_kept() {
        assert_eq!(enhanced_status("5.1.1 <alice@example.com>: no such user").as_deref(), Some("5.1.1"));
        assert_eq!(enhanced_status("4.7.28 slow down").as_deref(), Some("4.7.28"));
        for text in ["", "alice@example.com", "5.1", "5.1.1.1", "2.0.0 fine", "5.123.456", "555.123.4567", "5.1.123456"]
        {
            assert_eq!(enhanced_status(text), None, "{text:?}");
        }
    }
}
