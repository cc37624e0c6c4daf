//! What a language, or a tenant's own wording, has to say.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use time::{OffsetDateTime, UtcOffset};

use super::EmailWords;
use countersign::RequestContext;
use countersign::TenantId;
use countersign::context::Client;
use countersign::sender::{NoticeKind, Purpose, Reference};

/// Where the code goes in the text that [`Wording::code_sms`] answers with.
pub const CODE: &str = "{code}";

/// The words of every message, in one language.
///
/// A wording is given facts and never the code: [`Messages`](super::Messages) puts that in
/// afterwards. `None` means "as in English", so that a wording may change one message and leave the
/// rest, and so that kinds of notice that it does not know are still told.
///
/// # Contract
///
/// - Plain text in, plain text out: what is special in HTML is escaped later.
/// - MUST NOT answer with a link, an `@`, a brace other than [`CODE`], a number beside the code of
///   more than three digits, or a control character other than `\n`. *People learn to follow links
///   in such messages, and phones fill in the wrong number.* Such texts are refused when
///   [`Messages`](super::Messages) is built; one that comes up later is replaced by the English
///   text.
/// - Says which application it is, how long a code lives, its reference, and what to do if it was
///   not you.
pub trait Wording: Send + Sync {
    /// A code, by email.
    fn code_email(&self, facts: &CodeFacts<'_>) -> Option<EmailWords> {
        let _ = facts;
        None
    }

    /// A code, by SMS: one text that holds [`CODE`] once. The line that binds it to the web origin
    /// is added to it.
    fn code_sms(&self, facts: &CodeFacts<'_>) -> Option<String> {
        let _ = facts;
        None
    }

    /// A notice, by email.
    fn notice_email(&self, facts: &NoticeFacts<'_>) -> Option<EmailWords> {
        let _ = facts;
        None
    }

    /// A notice, by SMS.
    fn notice_sms(&self, facts: &NoticeFacts<'_>) -> Option<String> {
        let _ = facts;
        None
    }
}

impl<T: Wording + ?Sized> Wording for Arc<T> {
    fn code_email(&self, facts: &CodeFacts<'_>) -> Option<EmailWords> {
        (**self).code_email(facts)
    }

    fn code_sms(&self, facts: &CodeFacts<'_>) -> Option<String> {
        (**self).code_sms(facts)
    }

    fn notice_email(&self, facts: &NoticeFacts<'_>) -> Option<EmailWords> {
        (**self).notice_email(facts)
    }

    fn notice_sms(&self, facts: &NoticeFacts<'_>) -> Option<String> {
        (**self).notice_sms(facts)
    }
}

/// What there is to say about a code, other than the code.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CodeFacts<'a> {
    /// The application's name.
    pub application: &'a str,
    /// The tenant, for an application whose tenants have words of their own.
    pub tenant: &'a TenantId,
    /// What the code is for.
    pub purpose: Purpose,
    /// The letters that are on the page too.
    pub reference: Reference,
    /// How long the code lives.
    pub valid_for: Duration,
    /// Whether the full text takes more than one SMS: leave out what can be left out. Code, name,
    /// reference and purpose can not. Only for SMS.
    pub short: bool,
}

/// What there is to say about something that happened.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct NoticeFacts<'a> {
    /// The application's name.
    pub application: &'a str,
    /// The tenant, for an application whose tenants have words of their own.
    pub tenant: &'a TenantId,
    /// What happened.
    pub kind: &'a NoticeKind,
    /// When, by the user's clock, or in UTC: print its offset beside it. Times in `kind` are given
    /// in the same way.
    pub at: OffsetDateTime,
    /// What may be shown of a trusted device's name. Use this and not the label in `kind`: it is
    /// chosen by the user who logged in.
    pub device: Option<&'a str>,
    /// How many notices of this kind were held back since the last one, at most 999, which stands
    /// for that many or more. Say the number where it is not 0. In an SMS it is 0 if the text would
    /// not fit with it.
    pub held_back: u32,
    /// Where the request came from that did it. Say it where something is known. In an SMS nothing
    /// is known if the text would not fit with it.
    pub from: Origin,
    /// Whether the full text takes more than one SMS: leave out what can be left out. Only for SMS.
    pub short: bool,
}

/// What a notice may say of where a request came from.
///
/// A wording writes the address as `IpAddr` prints it: then it is not taken for a number that could
/// be the code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// The client's address.
    pub address: Option<IpAddr>,
    /// The client's browser and system.
    pub client: Client,
}

impl Origin {
    pub(super) fn of(request: &RequestContext) -> Self {
        Self { address: request.client_address(), client: request.client() }
    }

    /// Whether nothing is known.
    pub const fn is_empty(&self) -> bool {
        self.address.is_none() && self.client.is_empty()
    }
}

/// A code's life in words: whole minutes where it is that, seconds otherwise.
pub(super) enum Life {
    Minutes(u64),
    Seconds(u64),
}

impl Life {
    pub(super) fn of(valid_for: Duration) -> Self {
        let seconds = valid_for.as_secs();
        match (seconds / 60, seconds % 60) {
            (minutes @ 1.., 0) => Self::Minutes(minutes),
            _ => Self::Seconds(seconds),
        }
    }
}

/// A time in the parts that a text needs.
pub(super) struct Moment {
    pub(super) year: i32,
    pub(super) month: time::Month,
    pub(super) day: u8,
    pub(super) time: String,
    /// `UTC`, `UTC+9` or `UTC-9:30`.
    pub(super) zone: String,
}

impl Moment {
    pub(super) fn of(at: OffsetDateTime) -> Self {
        let (hours, minutes, seconds) = at.offset().as_hms();
        // No zone of today differs from UTC by seconds.
        let at = match UtcOffset::from_hms(hours, minutes, 0) {
            Ok(offset) if seconds != 0 => at.checked_to_offset(offset).unwrap_or(at),
            _ => at,
        };
        let (year, month, day) = at.to_calendar_date();
        let sign = if hours < 0 || minutes < 0 { '-' } else { '+' };
        let zone = match (hours.unsigned_abs(), minutes.unsigned_abs()) {
            (0, 0) => "UTC".to_owned(),
            (hours, 0) => format!("UTC{sign}{hours}"),
            (hours, minutes) => format!("UTC{sign}{hours}:{minutes:02}"),
        };
        Self { year, month, day, time: format!("{:02}:{:02}", at.hour(), at.minute()), zone }
    }

    /// Whether the time is in UTC.
    pub(super) fn is_utc(&self) -> bool {
        self.zone == "UTC"
    }
}
