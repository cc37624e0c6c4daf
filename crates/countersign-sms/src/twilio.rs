//! Twilio's Programmable Messaging.

use std::fmt;

use countersign::sender::{DeliveryReport, SendErrorKind, SendStatus};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::failure::{SmsFailure, numeric_code, throttled};
use crate::form::{basic, form};
use crate::http::{HttpRequest, HttpResponse};
use crate::sender::{Origin, Provider, Sms, SmsConfigError, SmsSecret, callback};

const NAME: &str = "twilio";

/// Twilio's error codes that ask to wait: queue full, too many requests, concurrent requests, daily
/// limit.
const SLOW_DOWN: [u64; 6] = [14_107, 20_429, 21_611, 30_001, 30_022, 63_038];

/// Sends through `POST /2010-04-01/Accounts/{AccountSid}/Messages.json`.
pub struct Twilio {
    account: String,
    user: String,
    secret: SmsSecret,
    from: From,
    callback: Option<String>,
    base_url: String,
}

enum From {
    Origin(Origin),
    MessagingService(String),
}

/// A Twilio account that does not know yet whom its messages come from.
pub struct TwilioAccount(Twilio);

impl Twilio {
    /// The account with its own token. An API key does less harm when it leaks:
    /// [`Twilio::with_api_key`].
    ///
    /// # Errors
    ///
    /// [`SmsConfigError`] if the account is not `AC` and 32 hexadecimal digits, or the token is
    /// empty.
    #[expect(
        clippy::new_ret_no_self,
        reason = "an account is nothing to send with until it has an origin"
    )]
    pub fn new(account_sid: &str, auth_token: SmsSecret) -> Result<TwilioAccount, SmsConfigError> {
        Self::with_api_key(account_sid, account_sid, auth_token)
    }

    /// The account with an API key of it and the key's secret.
    ///
    /// # Errors
    ///
    /// [`SmsConfigError`] if the account or the key is not of the form that Twilio gives out, or
    /// the secret is empty.
    pub fn with_api_key(
        account_sid: &str,
        key_sid: &str,
        secret: SmsSecret,
    ) -> Result<TwilioAccount, SmsConfigError> {
        let key_ok = key_sid == account_sid || is_sid("SK", key_sid);
        if !is_sid("AC", account_sid) || !key_ok {
            return Err(SmsConfigError::Account);
        }
        if secret.expose().is_empty() {
            return Err(SmsConfigError::Secret);
        }
        Ok(TwilioAccount(Self {
            account: account_sid.to_owned(),
            user: key_sid.to_owned(),
            secret,
            from: From::MessagingService(String::new()),
            callback: None,
            base_url: "https://api.twilio.com".to_owned(),
        }))
    }

    /// Has Twilio report to this address what becomes of a code: as a form with `MessageStatus`,
    /// and with the [`MessageId`](countersign::sender::MessageId) in the address, as `message`.
    /// Check `X-Twilio-Signature` before believing a report.
    ///
    /// # Errors
    ///
    /// [`SmsConfigError::Callback`] if it is not an `https` address.
    pub fn reports_to(mut self, url: &str) -> Result<Self, SmsConfigError> {
        self.callback = Some(callback(url)?);
        Ok(self)
    }

    /// What a `MessageStatus` means. `None`: nothing is decided yet.
    pub fn report(message_status: &str) -> Option<DeliveryReport> {
        match message_status {
            "delivered" | "read" => Some(DeliveryReport::Delivered),
            "undelivered" | "failed" | "canceled" => Some(DeliveryReport::Undeliverable),
            _ => None,
        }
    }

    /// Another address than `https://api.twilio.com`: an edge location, or a server for tests.
    #[must_use]
    pub fn base_url(mut self, url: &str) -> Self {
        url.trim_end_matches('/').clone_into(&mut self.base_url);
        self
    }
}

impl TwilioAccount {
    /// Messages come from this number, short code or name.
    pub fn from(mut self, origin: Origin) -> Twilio {
        self.0.from = From::Origin(origin);
        self.0
    }

    /// Messages come from whichever number this messaging service chooses.
    ///
    /// # Errors
    ///
    /// [`SmsConfigError::Origin`] if it is not `MG` and 32 hexadecimal digits.
    pub fn from_messaging_service(mut self, sid: &str) -> Result<Twilio, SmsConfigError> {
        if !is_sid("MG", sid) {
            return Err(SmsConfigError::Origin);
        }
        self.0.from = From::MessagingService(sid.to_owned());
        Ok(self.0)
    }
}

fn is_sid(prefix: &str, text: &str) -> bool {
    text.strip_prefix(prefix)
        .is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[derive(Deserialize)]
struct Answer {
    status: Option<serde_json::Value>,
    error_code: Option<u64>,
    code: Option<u64>,
}

impl Provider for Twilio {
    fn name(&self) -> &'static str {
        NAME
    }

    fn request(&self, sms: &Sms<'_>) -> Result<HttpRequest, SmsFailure> {
        let from = match &self.from {
            From::Origin(origin) => ("From", origin.as_str()),
            From::MessagingService(sid) => ("MessagingServiceSid", sid.as_str()),
        };
        // Twilio takes 1 to 36,000 seconds: a code that is over is not worth delivering.
        let seconds = sms.valid_for.map(|valid| valid.as_secs().clamp(1, 36_000).to_string());
        let mut fields = vec![("To", sms.to.expose()), from, ("Body", sms.text.expose())];
        fields.extend(seconds.as_deref().map(|seconds| ("ValidityPeriod", seconds)));
        let callback = self.callback.as_ref().zip(sms.id).map(|(url, id)| {
            let joint = if url.contains('?') { '&' } else { '?' };
            format!("{url}{joint}message={id}")
        });
        fields.extend(callback.as_deref().map(|url| ("StatusCallback", url)));
        Ok(HttpRequest {
            url: format!("{}/2010-04-01/Accounts/{}/Messages.json", self.base_url, self.account),
            headers: vec![
                ("authorization", basic(&self.user, self.secret.expose())),
                ("content-type", Zeroizing::new("application/x-www-form-urlencoded".to_owned())),
                ("accept", Zeroizing::new("application/json".to_owned())),
            ],
            body: form(&fields),
        })
    }

    fn answer(&self, answer: &HttpResponse) -> Result<SendStatus, SmsFailure> {
        let read = serde_json::from_slice::<Answer>(&answer.body).ok();
        let code = read.as_ref().and_then(|read| read.code.or(read.error_code));
        let refused = |kind| SmsFailure::Answered {
            provider: NAME,
            status: answer.status,
            code: code.and_then(numeric_code),
            kind,
        };
        let status =
            read.as_ref().and_then(|read| read.status.as_ref()).and_then(serde_json::Value::as_str);
        match (answer.status, status) {
            (200..=299, Some("failed" | "undelivered" | "canceled")) => {
                Err(refused(SendErrorKind::Permanent))
            }
            (200..=299, Some(_)) => Ok(SendStatus::Sent),
            (400..=499, _) if code.is_some_and(|code| SLOW_DOWN.contains(&code)) => {
                Err(refused(throttled(answer)))
            }
            _ => Err(SmsFailure::from_status(NAME, answer, code.and_then(numeric_code))),
        }
    }
}

impl fmt::Debug for Twilio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Twilio").field("account", &self.account).finish_non_exhaustive()
    }
}

impl fmt::Debug for TwilioAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TwilioAccount").field("account", &self.0.account).finish_non_exhaustive()
    }
}
