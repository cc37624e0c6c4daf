//! The sender, and what a provider is to it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use countersign::contact::{Destination, PhoneNumber};
use countersign::sender::{CodeMessage, CodeSender, MessageId, Notice, SendError, SendStatus};
use countersign_delivery::message::{MessageSource, SmsText, messages_of};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::failure::SmsFailure;
use crate::http::{Http, HttpRequest, HttpResponse};

/// A provider of SMS: how its requests are written, and what its answers mean.
///
/// # Contract
///
/// - Writes the message to [`Sms::to`] and nowhere else.
/// - Says `Ok` only where the provider took the message, and an error that is not *unknown* only
///   where it surely did not.
pub trait Provider: Send + Sync {
    /// A name for errors and logs.
    fn name(&self) -> &'static str;

    /// Writes the request.
    ///
    /// # Errors
    ///
    /// [`SmsFailure::Request`] if that is not possible.
    fn request(&self, sms: &Sms<'_>) -> Result<HttpRequest, SmsFailure>;

    /// Reads the answer.
    ///
    /// # Errors
    ///
    /// [`SmsFailure::Answered`] unless the provider took the message.
    fn answer(&self, answer: &HttpResponse) -> Result<SendStatus, SmsFailure>;
}

/// One message. `Debug` is redacted.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Sms<'a> {
    /// To whom.
    pub to: &'a PhoneNumber,
    /// The text.
    pub text: &'a SmsText,
    /// How long it makes sense to try to deliver it; `None` for a notice.
    pub valid_for: Option<Duration>,
    /// Which message it is, for reports; `None` for a notice.
    pub id: Option<MessageId>,
}

impl fmt::Debug for Sms<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sms(redacted)")
    }
}

/// Sends codes and notices by SMS. Cheap to clone.
///
/// | what happened | error |
/// |---|---|
/// | the tenant has no messages | permanent |
/// | its messages could not be looked up | transient |
/// | not a phone number; refused: bad number, opted out, region, sender, credentials, balance; a redirect | permanent |
/// | the provider says to slow down | throttled |
/// | no connection to the provider | transient |
/// | time-out, connection lost, 5xx, an answer that can't be read | unknown |
#[derive(Clone)]
pub struct SmsSender {
    provider: Arc<dyn Provider>,
    http: Arc<dyn Http>,
    messages: Arc<dyn MessageSource>,
}

impl SmsSender {
    /// A sender that writes as this provider wants it, with one
    /// [`Messages`](countersign_delivery::message::Messages) for all tenants or with each tenant's
    /// own ([`TenantMessages`](countersign_delivery::message::TenantMessages)). The number or name
    /// that a message comes from ([`Origin`]) is the provider's, and the same for all.
    pub fn new(
        provider: impl Provider + 'static,
        http: impl Http + 'static,
        messages: impl MessageSource + 'static,
    ) -> Self {
        Self { provider: Arc::new(provider), http: Arc::new(http), messages: Arc::new(messages) }
    }

    async fn send(&self, sms: Sms<'_>) -> Result<SendStatus, SendError> {
        let request = self.provider.request(&sms)?;
        let provider = self.provider.name();
        let answer = self
            .http
            .post(request)
            .await
            .map_err(|source| SmsFailure::NoAnswer { provider, source })?;
        Ok(self.provider.answer(&answer)?)
    }
}

#[async_trait]
impl CodeSender for SmsSender {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        let to = number(&message.destination)?;
        let text = &messages_of(&*self.messages, &message.tenant).await?.code_sms(message);
        self.send(Sms { to, text, valid_for: Some(message.valid_for), id: Some(message.id()) })
            .await
    }

    async fn notify(&self, notice: &Notice) -> Result<SendStatus, SendError> {
        let to = number(&notice.destination)?;
        let text = &messages_of(&*self.messages, &notice.tenant).await?.notice_sms(notice);
        self.send(Sms { to, text, valid_for: None, id: None }).await
    }
}

fn number(destination: &Destination) -> Result<&PhoneNumber, SmsFailure> {
    match destination {
        Destination::Sms(number) => Ok(number),
        Destination::Email(_) => Err(SmsFailure::NotSms),
    }
}

/// Where a provider sends its reports: `https`, printable ASCII, no fragment.
pub(crate) fn callback(url: &str) -> Result<String, SmsConfigError> {
    let well_formed = url.strip_prefix("https://").is_some_and(|rest| !rest.is_empty())
        && url.len() <= 1000
        && url.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    if well_formed { Ok(url.to_owned()) } else { Err(SmsConfigError::Callback) }
}

impl fmt::Debug for SmsSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmsSender").field("provider", &self.provider.name()).finish_non_exhaustive()
    }
}

#[async_trait]
impl<T: Http + ?Sized> Http for Arc<T> {
    async fn post(&self, request: HttpRequest) -> Result<HttpResponse, crate::http::HttpError> {
        (**self).post(request).await
    }
}

/// A token, key or password for a provider. Redacted in `Debug`, wiped when dropped; not `Clone`,
/// not comparable.
pub struct SmsSecret(Zeroizing<String>);

impl SmsSecret {
    /// Wraps the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SmsSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SmsSecret(redacted)")
    }
}

/// Whom a message comes from, as the phone shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// A number of one's own.
    pub fn number(number: &PhoneNumber) -> Self {
        Self(number.expose().to_owned())
    }

    /// A name of 1 to 11 ASCII letters, digits and spaces, one of them a letter. Not every country
    /// and provider allows it.
    ///
    /// # Errors
    ///
    /// [`SmsConfigError::Origin`] if it is not such a name.
    pub fn name(name: &str) -> Result<Self, SmsConfigError> {
        let well_formed = (1..=11).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b' ')
            && name.bytes().any(|b| b.is_ascii_alphabetic())
            && name.trim() == name;
        if well_formed { Ok(Self(name.to_owned())) } else { Err(SmsConfigError::Origin) }
    }

    /// A short code of 3 to 8 digits.
    ///
    /// # Errors
    ///
    /// [`SmsConfigError::Origin`] if it is not such a code.
    pub fn short_code(digits: &str) -> Result<Self, SmsConfigError> {
        let well_formed =
            (3..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        if well_formed { Ok(Self(digits.to_owned())) } else { Err(SmsConfigError::Origin) }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_name(&self) -> bool {
        self.0.bytes().any(|b| b.is_ascii_alphabetic())
    }
}

/// Why a provider can't be set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SmsConfigError {
    /// The account's name is not of the form that the provider gives out.
    #[error("account identifier does not have the form that the provider gives out")]
    Account,
    /// The name or number that messages come from.
    #[error(
        "origin is neither a number, a short code nor a name of 1 to 11 letters, digits and spaces"
    )]
    Origin,
    /// The region is not the name of one.
    #[error("region is not a name in lower-case letters, digits and hyphens")]
    Region,
    /// The provider's address.
    #[error("address is not https://host[:port][/path] in a form that is sent as it stands")]
    Url,
    /// The address for reports.
    #[error("address for reports is not an https address without a fragment")]
    Callback,
    /// A secret is empty or has characters that can't be in a header.
    #[error("secret is empty or has characters that can not be sent")]
    Secret,
}
