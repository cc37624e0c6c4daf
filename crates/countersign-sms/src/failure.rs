//! What went wrong, told without repeating anything that a provider or a person said.

use std::time::Duration;

use countersign::sender::{SendError, SendErrorKind};
use thiserror::Error;

use crate::http::{HttpError, HttpResponse};

/// The source of a [`SendError`] of this crate. Safe to log: of an answer it holds the status and
/// the provider's error code alone.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SmsFailure {
    /// The destination is not a phone number.
    #[error("destination is not a phone number")]
    NotSms,
    /// The request can't be written, for example because the clock can't be read to sign it.
    #[error("request to {provider} can not be written")]
    Request {
        /// Which provider.
        provider: &'static str,
    },
    /// There is no answer.
    #[error("no answer from {provider}")]
    NoAnswer {
        /// Which provider.
        provider: &'static str,
        /// Why.
        source: HttpError,
    },
    /// The provider did not take the message, or did not say that it did.
    #[error("{provider} answered {status}{}", code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default())]
    Answered {
        /// Which provider.
        provider: &'static str,
        /// The status of its answer.
        status: u16,
        /// Its own error code.
        code: Option<String>,
        /// What that means.
        kind: SendErrorKind,
    },
}

impl SmsFailure {
    /// An answer whose status says all that there is to know.
    pub fn from_status(
        provider: &'static str,
        answer: &HttpResponse,
        code: Option<String>,
    ) -> Self {
        Self::Answered { provider, status: answer.status, code, kind: kind_of(answer) }
    }

    /// What it means for the person who waits.
    pub fn kind(&self) -> SendErrorKind {
        match self {
            Self::NotSms | Self::Request { .. } => SendErrorKind::Permanent,
            Self::NoAnswer { source, .. } if source.is_perhaps_sent() => SendErrorKind::Unknown,
            Self::NoAnswer { .. } => SendErrorKind::Transient,
            Self::Answered { kind, .. } => *kind,
        }
    }
}

impl From<SmsFailure> for SendError {
    fn from(failure: SmsFailure) -> Self {
        Self::new(failure.kind()).caused_by(failure)
    }
}

/// A refusal of the request was surely no send. A server that failed, or answers what can't be
/// read, perhaps did send.
fn kind_of(answer: &HttpResponse) -> SendErrorKind {
    match answer.status {
        429 => throttled(answer),
        408 => SendErrorKind::Unknown,
        300..=499 => SendErrorKind::Permanent,
        _ => SendErrorKind::Unknown,
    }
}

pub(crate) fn throttled(answer: &HttpResponse) -> SendErrorKind {
    const DAY: u64 = 24 * 60 * 60;
    let seconds = answer.retry_after.as_deref().and_then(|text| text.trim().parse::<u64>().ok());
    SendErrorKind::Throttled {
        retry_after: seconds.map(|seconds| Duration::from_secs(seconds.min(DAY))),
    }
}

/// A provider's own numeric error code, if it is one: five digits at most, so that neither a number
/// nor a code passes for one.
pub(crate) fn numeric_code(code: u64) -> Option<String> {
    (code < 100_000).then(|| code.to_string())
}

/// A provider's own error code in letters, if it is one.
pub(crate) fn named_code(code: &str) -> Option<String> {
    let named = (1..=64).contains(&code.len())
        && code.bytes().all(|b| b.is_ascii_alphabetic() || matches!(b, b'.' | b'-' | b'_'));
    named.then(|| code.to_owned())
}

/// Whether what an answer names as its error code is, or is part of, a secret of ours.
pub(crate) fn repeats(code: &str, secret: &str) -> bool {
    secret.to_ascii_lowercase().contains(&code.to_ascii_lowercase())
        || (!secret.is_empty() && code.to_ascii_lowercase().contains(&secret.to_ascii_lowercase()))
}
