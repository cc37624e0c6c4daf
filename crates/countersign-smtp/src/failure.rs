//! What went wrong, without repeating anything that a server or a person said.

use std::error::Error as StdError;
use std::{fmt, io};

use countersign::sender::{SendError, SendErrorKind};

use crate::reply::EnhancedCode;

/// How far a conversation with the server was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Nothing was said yet: the message itself can't be sent.
    Preparation,
    /// Waiting for a free connection.
    Waiting,
    /// Connecting: name, TCP, greeting, `EHLO`, TLS.
    Connection,
    /// Logging in.
    Authentication,
    /// `MAIL FROM`.
    Sender,
    /// `RCPT TO`.
    Recipient,
    /// `DATA`, and the text before its end.
    Data,
    /// The end of the text was handed over, and the answer to it is missing or bad.
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

/// Why a step failed. Of what the server said it keeps codes only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SmtpCause {
    /// The server answered with an error.
    Refused {
        /// The reply code, from 400 to 599.
        reply: u16,
        /// The enhanced status code, if the server gave one.
        enhanced: Option<EnhancedCode>,
    },
    /// An answer of another kind than the step asks for, or one that nothing had asked for.
    OutOfTurn,
    /// The answer is not SMTP.
    Malformed,
    /// The answer is longer than a client has to read: 2,048 bytes in a line, 128 lines, 64 KiB in
    /// all.
    TooLong,
    /// No answer in time.
    TimedOut,
    /// The server's name has no address.
    NameNotFound,
    /// The connection failed or was closed.
    Io(io::ErrorKind),
    /// TLS failed.
    Tls(TlsProblem),
    /// The server has no `STARTTLS`.
    NoStartTls,
    /// The server has no way to log in that is known here (`PLAIN`, `LOGIN`).
    NoAuthentication,
    /// The mailbox name needs `SMTPUTF8`, which the server does not support.
    NoSmtpUtf8,
    /// The destination is not an email address.
    NotEmail,
    /// The address can't be written in SMTP.
    Address,
    /// The message can't be written as an email.
    Compose,
}

/// What TLS did not accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsProblem {
    /// Nobody who is trusted here vouches for the certificate.
    UnknownIssuer,
    /// The certificate is for another name.
    WrongName,
    /// The certificate has expired.
    Expired,
    /// The certificate is not valid yet.
    NotYetValid,
    /// The certificate was not accepted for another reason.
    Certificate,
    /// The two sides did not agree on a connection, or the server does not speak TLS.
    Handshake,
}

impl fmt::Display for SmtpCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { reply, enhanced: Some(code) } => {
                write!(f, "smtp server answered {reply} {code}")
            }
            Self::Refused { reply, enhanced: None } => write!(f, "smtp server answered {reply}"),
            Self::OutOfTurn => f.write_str("smtp server answered out of turn"),
            Self::Malformed => f.write_str("smtp server answered with something that is not smtp"),
            Self::TooLong => f.write_str("smtp server's answer is too long"),
            Self::TimedOut => f.write_str("smtp server did not answer in time"),
            Self::NameNotFound => f.write_str("smtp server's name has no address"),
            Self::Io(kind) => write!(f, "smtp connection failed: {kind}"),
            Self::Tls(problem) => write!(f, "tls failed: {problem}"),
            Self::NoStartTls => f.write_str("smtp server does not support starttls"),
            Self::NoAuthentication => {
                f.write_str("smtp server supports neither auth plain nor auth login")
            }
            Self::NoSmtpUtf8 => {
                f.write_str("address needs smtputf8, which the smtp server does not support")
            }
            Self::NotEmail => f.write_str("destination is not an email address"),
            Self::Address => f.write_str("address can not be written in smtp"),
            Self::Compose => f.write_str("message can not be written as an email"),
        }
    }
}

impl fmt::Display for TlsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownIssuer => "the certificate's issuer is not trusted",
            Self::WrongName => "the certificate is for another name",
            Self::Expired => "the certificate has expired",
            Self::NotYetValid => "the certificate is not valid yet",
            Self::Certificate => "the certificate was not accepted",
            Self::Handshake => "the handshake failed",
        })
    }
}

/// The source of a [`SendError`] of this crate: how far the conversation was, and why it ended
/// there.
///
/// Safe to log (`I-22`): it repeats nothing of what was sent, and of an answer its codes alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SmtpFailure {
    phase: Phase,
    cause: SmtpCause,
}

impl SmtpFailure {
    pub(crate) const fn new(phase: Phase, cause: SmtpCause) -> Self {
        Self { phase, cause }
    }

    /// How far the conversation was.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Why it ended there.
    pub const fn cause(&self) -> SmtpCause {
        self.cause
    }

    /// The server's reply code, if it was a reply.
    pub const fn reply(&self) -> Option<u16> {
        match self.cause {
            SmtpCause::Refused { reply, .. } => Some(reply),
            _ => None,
        }
    }

    pub(crate) const fn kind(&self) -> SendErrorKind {
        match self.cause {
            SmtpCause::Refused { reply: 500.., .. }
            | SmtpCause::NoStartTls
            | SmtpCause::NoAuthentication
            | SmtpCause::NoSmtpUtf8
            | SmtpCause::NotEmail
            | SmtpCause::Address
            | SmtpCause::Compose => SendErrorKind::Permanent,
            SmtpCause::Refused { .. } => SendErrorKind::Transient,
            SmtpCause::OutOfTurn
            | SmtpCause::Malformed
            | SmtpCause::TooLong
            | SmtpCause::TimedOut
            | SmtpCause::NameNotFound
            | SmtpCause::Io(_)
            | SmtpCause::Tls(_) => match self.phase {
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
        write!(f, "{} (phase: {})", self.cause, self.phase)
    }
}

impl StdError for SmtpFailure {}
