//! Delivery of codes and notices.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use time::OffsetDateTime;

use crate::causes::Causes;
use crate::contact::{Destination, Method};
use crate::context::RequestContext;
use crate::error::PluginError;
use crate::ids::{Language, LoginId, TenantId, UserId};
use crate::label::DeviceLabel;
use crate::secret::Code;

/// Delivers codes and notices.
///
/// # Contract
///
/// - Sends to [`CodeMessage::destination`] and nowhere else. *Anything else hands a login to
///   somebody else (`I-33`).*
/// - Never sends twice for one call where the first attempt was perhaps delivered. *People are then
///   asked for the wrong code.*
/// - Never writes the code, the destination or a provider's text that repeats them into a log or an
///   error (`I-22`).
/// - Names the cause of a failure ([`SendError::caused_by`]). *Without it the operator learns that
///   codes do not arrive, and not why.*
/// - Answers in bounded time: the person waits for it. A sender that hands over to a queue answers
///   [`SendStatus::Queued`].
/// - Cancellation: a dropped future may or may not have sent. The send is charged either way
///   (`I-15`).
#[async_trait]
pub trait CodeSender: Send + Sync {
    /// Sends one code. Called after the code was saved and the send was charged, at most once for
    /// each.
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError>;

    /// Tells a person of a change to their second factor. A failure is an event and does not undo
    /// the change.
    async fn notify(&self, notice: &Notice) -> Result<SendStatus, SendError>;
}

#[async_trait]
impl<T: CodeSender + ?Sized> CodeSender for Arc<T> {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        (**self).send_code(message).await
    }

    async fn notify(&self, notice: &Notice) -> Result<SendStatus, SendError> {
        (**self).notify(notice).await
    }
}

/// Looks at a destination just before a code goes there, for signs that somebody else reads it: a
/// SIM card that was replaced, a number that was ported to another carrier.
///
/// # Contract
///
/// - Asked after the send was charged, and before the sender is called, at most once for each code.
///   A refusal gives nothing back (`I-15`).
/// - An error is a refusal: the code is not sent (`I-23`).
/// - Answers in bounded time: the person waits for it.
/// - Never writes the destination into a log or an error (`I-22`).
#[async_trait]
pub trait SendCheck: Send + Sync {
    /// Whether the code may go there.
    async fn check(&self, send: &PlannedSend<'_>) -> Result<SendVerdict, PluginError>;
}

#[async_trait]
impl<T: SendCheck + ?Sized> SendCheck for Arc<T> {
    async fn check(&self, send: &PlannedSend<'_>) -> Result<SendVerdict, PluginError> {
        (**self).check(send).await
    }
}

/// A code that is about to be sent, without the code.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PlannedSend<'a> {
    /// The tenant.
    pub tenant: &'a TenantId,
    /// The user.
    pub user: &'a UserId,
    /// What the code is for.
    pub purpose: Purpose,
    /// Where it would go.
    pub destination: &'a Destination,
    /// Where the request comes from that asked for it.
    pub request: &'a RequestContext,
}

impl<'a> PlannedSend<'a> {
    pub(crate) const fn new(
        (tenant, user): (&'a TenantId, &'a UserId),
        purpose: Purpose,
        destination: &'a Destination,
        request: &'a RequestContext,
    ) -> Self {
        Self { tenant, user, purpose, destination, request }
    }
}

/// What a [`SendCheck`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a code must not go where the check refused it"]
pub enum SendVerdict {
    /// The code may go there.
    Allow,
    /// The code must not go there. The page offers the other ways on, as after a failed delivery;
    /// the event carries this name, such as `sim_swapped`, and the person does not see it.
    Refuse {
        /// Why: a short, stable name.
        risk: Cow<'static, str>,
    },
}

/// A code on its way to a person. Not `Clone`: it holds the code.
#[derive(Debug)]
pub struct CodeMessage {
    /// The tenant.
    pub tenant: TenantId,
    /// The user.
    pub user: UserId,
    /// The login it belongs to, for correlation.
    pub login: LoginId,
    /// What the code is for; the message must say it.
    pub purpose: Purpose,
    /// The one place it goes to.
    pub destination: Destination,
    /// The code.
    pub code: Code,
    /// Shown on the page too, so that a person with two messages knows which belongs to it.
    pub reference: Reference,
    /// How long the code lives, counted from when it was made.
    pub valid_for: Duration,
    /// When it stops working, by the user's clock
    /// ([`User::utc_offset`](crate::user::User::utc_offset)), or in UTC.
    pub expires_at: OffsetDateTime,
    /// The user's language.
    pub language: Option<Language>,
}

impl CodeMessage {
    /// Which message it is.
    pub const fn id(&self) -> MessageId {
        MessageId::new(self.login, self.reference)
    }

    /// Why sending this message failed, in words that may be logged.
    pub fn causes(&self, error: &SendError) -> Causes {
        error.causes(Some(&self.destination), Some(&self.code))
    }

    /// A second copy of the message *and of the code in it*, for a sender that hands it to a
    /// background task.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self {
            tenant: self.tenant.clone(),
            user: self.user.clone(),
            login: self.login,
            purpose: self.purpose,
            destination: self.destination.clone(),
            code: Code::new(self.code.expose()),
            reference: self.reference,
            valid_for: self.valid_for,
            expires_at: self.expires_at,
            language: self.language.clone(),
        }
    }
}

/// Which message it is: for reports that a provider sends later. It authenticates nothing, and says
/// nothing about the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageId {
    login: LoginId,
    reference: Reference,
}

impl MessageId {
    /// The message of this login that carries this reference, both as in the
    /// [`Challenge`](crate::Challenge).
    pub const fn new(login: LoginId, reference: Reference) -> Self {
        Self { login, reference }
    }

    /// The login.
    pub const fn login(&self) -> LoginId {
        self.login
    }

    /// The reference in the message.
    pub const fn reference(&self) -> Reference {
        self.reference
    }
}

/// 27 characters of base64url and a dot: `dGhlIGxvZ2luIGlkIGhlcmU.BKTR`.
impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.login, self.reference)
    }
}

impl std::str::FromStr for MessageId {
    type Err = crate::ids::MalformedId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (login, reference) = text.split_once('.').ok_or(crate::ids::MalformedId)?;
        let reference = Reference::parse(reference).ok_or(crate::ids::MalformedId)?;
        Ok(Self { login: login.parse()?, reference })
    }
}

/// What a provider says later of a message that it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeliveryReport {
    /// The phone or mailbox has it.
    Delivered,
    /// It will not arrive.
    Undeliverable,
}

/// What a code is for. A code of one purpose never serves another (`I-03`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To log in.
    Login,
    /// To prove a phone number, or the email address, as the place where codes go from now on.
    MethodSetup,
}

/// Four letters that tie a message to a page: `BKTR`. No digits, so that nobody takes it for the
/// code, and no vowels.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reference([u8; 4]);

impl Reference {
    const LETTERS: [u8; 20] = *b"BCDFGHJKLMNPQRSTVWXZ";

    /// The reference of one random number. It is no secret: a slight bias does no harm.
    pub fn from_random(mut number: u32) -> Self {
        Self(std::array::from_fn(|_| {
            let letter = Self::LETTERS.get((number % 20) as usize).copied().unwrap_or(b'B');
            number /= 20;
            letter
        }))
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let letters = <[u8; 4]>::try_from(text.as_bytes()).ok()?;
        letters.iter().all(|letter| Self::LETTERS.contains(letter)).then_some(Self(letters))
    }

    /// The four letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reference({self})")
    }
}

impl Serialize for Reference {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| serde::de::Error::custom("not a reference of four letters"))
    }
}

/// Something that a person must be told about their second factor.
#[derive(Clone, Debug)]
pub struct Notice {
    /// The tenant.
    pub tenant: TenantId,
    /// The user.
    pub user: UserId,
    /// Where it goes: the registered address, and the number that was in use before a change.
    pub destination: Destination,
    /// What happened.
    pub kind: NoticeKind,
    /// When it happened, by the user's clock ([`User::utc_offset`](crate::user::User::utc_offset)),
    /// or in UTC. Other times in `kind` are given in the same way.
    pub at: OffsetDateTime,
    /// The user's language.
    pub language: Option<Language>,
    /// How many notices of this kind were held back since the last one; 999 stands for that many or
    /// more.
    pub held_back: u32,
    /// Where the request came from that did it. Nothing is known where somebody else did it: an
    /// administrator's reset, another registered address.
    pub from: RequestContext,
}

impl Notice {
    /// Why sending this notice failed, in words that may be logged.
    pub fn causes(&self, error: &SendError) -> Causes {
        error.causes(Some(&self.destination), None)
    }
}

/// What a [`Notice`] is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoticeKind {
    /// Codes go somewhere else from now on.
    MethodChanged {
        /// The method from now on.
        to: Method,
    },
    /// An administrator or the operator cleared the second factor.
    Reset,
    /// The backup code was used; a new one was shown.
    BackupCodeUsed,
    /// A backup code was made on the account page; an earlier one is dead.
    BackupCodeMade,
    /// The registered address was changed. It goes to the address that was used before; its trusted
    /// devices and pending logins have ended.
    AddressChanged,
    /// A device was registered that needs no code from now on.
    DeviceTrusted {
        /// What the user calls it.
        label: DeviceLabel,
        /// The device that is no longer trusted, because there are only so many.
        dropped: Option<DeviceLabel>,
    },
    /// An administrator or the operator changed the tenant's settings. It goes to the other
    /// administrators.
    SettingsChanged {
        /// Whether anybody is protected less than before.
        weakens: bool,
    },
    /// Too many wrong codes were entered, after the right password.
    Locked {
        /// When codes are accepted again. `None`: not before an administrator resets the user.
        until: Option<OffsetDateTime>,
    },
}

impl NoticeKind {
    /// Whether the request in which it came up did it, so that the person may know where that came
    /// from.
    pub(crate) const fn is_of_the_request(&self) -> bool {
        match self {
            Self::MethodChanged { .. }
            | Self::BackupCodeUsed
            | Self::BackupCodeMade
            | Self::DeviceTrusted { .. }
            | Self::Locked { .. } => true,
            Self::Reset | Self::AddressChanged | Self::SettingsChanged { .. } => false,
        }
    }

    /// The budget that this notice is counted in.
    pub const fn topic(&self) -> NoticeTopic {
        match self {
            Self::MethodChanged { .. } => NoticeTopic::MethodChanged,
            Self::AddressChanged => NoticeTopic::AddressChanged,
            Self::Reset => NoticeTopic::Reset,
            Self::SettingsChanged { .. } => NoticeTopic::SettingsChanged,
            Self::BackupCodeUsed => NoticeTopic::BackupCodeUsed,
            Self::BackupCodeMade => NoticeTopic::BackupCodeMade,
            Self::DeviceTrusted { .. } => NoticeTopic::DeviceTrusted,
            Self::Locked { until: Some(_) } => NoticeTopic::Locked,
            Self::Locked { until: None } => NoticeTopic::Suspended,
        }
    }

    /// The same with its times changed.
    pub(crate) fn map_times(self, change: impl Fn(OffsetDateTime) -> OffsetDateTime) -> Self {
        match self {
            Self::Locked { until } => Self::Locked { until: until.map(change) },
            // None of these has a time.
            Self::MethodChanged { .. }
            | Self::Reset
            | Self::SettingsChanged { .. }
            | Self::BackupCodeUsed
            | Self::BackupCodeMade
            | Self::AddressChanged
            | Self::DeviceTrusted { .. } => self,
        }
    }
}

/// The kinds of notices that have a budget of their own: the first of each in an hour goes
/// (`I-15`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NoticeTopic {
    /// Codes go somewhere else. Notices of a real change always go, since each costs a code that
    /// was sent.
    MethodChanged,
    /// The registered address is another one. These always go: each costs a change in the
    /// application's own table.
    AddressChanged,
    /// The second factor was reset.
    Reset,
    /// The backup code was used.
    BackupCodeUsed,
    /// A backup code was made.
    BackupCodeMade,
    /// A device was registered. These always go, since each costs a code that was sent.
    DeviceTrusted,
    /// Codes are locked for a time.
    Locked,
    /// The second factor is suspended until a reset.
    Suspended,
    /// The tenant's settings were changed. It is counted with the tenant and in no user's record.
    SettingsChanged,
}

/// What a sender did with a message that it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SendStatus {
    /// The provider or mail server has taken it.
    Sent,
    /// It is queued: nobody knows yet whether it will be taken.
    Queued,
}

/// Why a sender did not deliver.
///
/// `Display` says the kind alone. `Debug` says what [`Causes`] says, so that it can be logged.
#[derive(Error)]
#[error("delivery failed ({kind})")]
pub struct SendError {
    kind: SendErrorKind,
    source: Option<Box<dyn Error + Send + Sync>>,
    earlier: Vec<SendError>,
}

impl SendError {
    /// A failure of this kind.
    pub const fn new(kind: SendErrorKind) -> Self {
        Self { kind, source: None, earlier: Vec::new() }
    }

    /// Names the error that caused it. It MUST NOT repeat the destination, the code or a
    /// credential: what it and its sources print is logged. The flow puts it into
    /// [`EventKind::DeliveryFailed`](crate::event::EventKind::DeliveryFailed) and
    /// [`EventKind::NoticeFailed`](crate::event::EventKind::NoticeFailed), as [`Causes`].
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds the failures of other senders that were tried first, so that the operator sees their
    /// causes too.
    #[must_use]
    pub fn after(mut self, earlier: impl IntoIterator<Item = Self>) -> Self {
        for mut error in earlier {
            let before = std::mem::take(&mut error.earlier);
            self.earlier.extend(before);
            self.earlier.push(error);
        }
        self
    }

    /// Which kind of failure it is.
    pub const fn kind(&self) -> SendErrorKind {
        self.kind
    }

    pub(crate) fn causes(&self, destination: Option<&Destination>, code: Option<&Code>) -> Causes {
        let earlier = self.earlier.iter();
        let earlier = earlier.map(|error| (error.kind, error as &(dyn Error + 'static)));
        Causes::of(self, earlier, destination, code)
    }

    /// The failures of other senders that were tried first.
    pub fn earlier(&self) -> &[Self] {
        &self.earlier
    }
}

impl fmt::Debug for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("SendError");
        shown
            .field("kind", &self.kind)
            .field("causes", &self.causes(None, None))
            .finish_non_exhaustive()
    }
}

/// The kinds of failed delivery, told apart because the person has different ways on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SendErrorKind {
    /// It will not work for this destination: unknown number, opted out, refused by policy or
    /// configuration. Surely not sent.
    #[error("permanent")]
    Permanent,
    /// The provider asks to wait. Surely not sent.
    #[error("throttled")]
    Throttled {
        /// How long to wait, if the provider says so.
        retry_after: Option<Duration>,
    },
    /// It may work later. Surely not sent.
    #[error("transient")]
    Transient,
    /// Nobody knows whether it was sent, for example after a time-out.
    #[error("unknown")]
    Unknown,
}

impl SendErrorKind {
    /// Whether the message certainly did not go out.
    pub const fn surely_not_sent(self) -> bool {
        !matches!(self, Self::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_is_read_as_it_is_written() {
        let id = MessageId::new(LoginId::from_random([7; 16]), Reference::from_random(123_456));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().len(), 27);
        for text in [
            "",
            ".",
            "BKTR",
            "AAAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAA.",
            "AAAAAAAAAAAAAAAAAAAAAA.BKT1",
            "A.BKTR",
        ] {
            assert!(text.parse::<MessageId>().is_err(), "{text:?}");
        }
    }
}
