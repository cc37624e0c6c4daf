//! Vonage's Messages API.

use std::fmt;

use countersign::sender::{DeliveryReport, SendStatus};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::failure::{SmsFailure, named_code, numeric_code, repeats, throttled};
use crate::form::basic;
use crate::http::{HttpRequest, HttpResponse};
use crate::sender::{Origin, Provider, Sms, SmsConfigError, SmsSecret, callback};

const NAME: &str = "vonage";

/// The seconds that Vonage takes as `ttl`: a week at most. A code that lives shorter is tried for
/// this long.
const MIN_TTL: u64 = 20;
const MAX_TTL: u64 = 604_800;

/// "You have exceeded the submission capacity allowed on this account. Please wait and retry."
const SLOW_DOWN: &str = "1000";

/// Sends through `POST /v1/messages` with the channel `sms`. Not through the older SMS API, which
/// answers failures with 200.
pub struct Vonage {
    key: String,
    secret: SmsSecret,
    from: Origin,
    callback: Option<String>,
    base_url: String,
}

impl Vonage {
    /// The account's API key and secret, and whom messages come from.
    ///
    /// # Errors
    ///
    /// [`SmsConfigError`] if the key is not 1 to 64 ASCII letters and digits, or the secret is
    /// empty.
    pub fn new(api_key: &str, api_secret: SmsSecret, from: Origin) -> Result<Self, SmsConfigError> {
        if !(1..=64).contains(&api_key.len()) || !api_key.bytes().all(|b| b.is_ascii_alphanumeric())
        {
            return Err(SmsConfigError::Account);
        }
        if api_secret.expose().is_empty() {
            return Err(SmsConfigError::Secret);
        }
        Ok(Self {
            key: api_key.to_owned(),
            secret: api_secret,
            from,
            callback: None,
            base_url: "https://api.nexmo.com".to_owned(),
        })
    }

    /// Has Vonage report to this address, and not to the account's own, what becomes of a code: as
    /// JSON with `status`, and with the [`MessageId`](countersign::sender::MessageId) as
    /// `client_ref`. Check the webhook's signature before believing a report.
    ///
    /// # Errors
    ///
    /// [`SmsConfigError::Callback`] if it is not an `https` address.
    pub fn reports_to(mut self, url: &str) -> Result<Self, SmsConfigError> {
        self.callback = Some(callback(url)?);
        Ok(self)
    }

    /// What a `status` means. `None`: nothing is decided yet.
    pub fn report(status: &str) -> Option<DeliveryReport> {
        match status {
            "delivered" | "read" => Some(DeliveryReport::Delivered),
            "rejected" | "undeliverable" => Some(DeliveryReport::Undeliverable),
            _ => None,
        }
    }

    /// Another address than `https://api.nexmo.com`: a region's own, or a server for tests.
    #[must_use]
    pub fn base_url(mut self, url: &str) -> Self {
        url.trim_end_matches('/').clone_into(&mut self.base_url);
        self
    }
}

#[derive(Serialize)]
struct Request<'a> {
    channel: &'a str,
    message_type: &'a str,
    to: &'a str,
    from: &'a str,
    text: &'a str,
    /// Seconds. Without it Vonage tries for 72 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_ref: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_url: Option<&'a str>,
}

#[derive(Deserialize)]
struct Answer {
    message_uuid: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

impl Provider for Vonage {
    fn name(&self) -> &'static str {
        NAME
    }

    fn request(&self, sms: &Sms<'_>) -> Result<HttpRequest, SmsFailure> {
        let request = Request {
            channel: "sms",
            message_type: "text",
            to: sms.to.expose().trim_start_matches('+'),
            from: self.from.as_str().trim_start_matches('+'),
            text: sms.text.expose(),
            ttl: sms.valid_for.map(|valid| valid.as_secs().clamp(MIN_TTL, MAX_TTL)),
            client_ref: sms.id.map(|id| id.to_string()),
            webhook_url: sms.id.and(self.callback.as_deref()),
        };
        let body =
            serde_json::to_string(&request).map_err(|_| SmsFailure::Request { provider: NAME })?;
        Ok(HttpRequest {
            url: format!("{}/v1/messages", self.base_url),
            headers: vec![
                ("authorization", basic(&self.key, self.secret.expose())),
                ("content-type", Zeroizing::new("application/json".to_owned())),
                ("accept", Zeroizing::new("application/json".to_owned())),
            ],
            body: Zeroizing::new(body),
        })
    }

    fn answer(&self, answer: &HttpResponse) -> Result<SendStatus, SmsFailure> {
        let read = serde_json::from_slice::<Answer>(&answer.body).ok();
        match (answer.status, &read) {
            (200..=299, Some(Answer { message_uuid: Some(id), .. })) if !id.is_empty() => {
                Ok(SendStatus::Sent)
            }
            // The kind of problem is a link whose fragment is the code (RFC 9457): a number, or a
            // name.
            (_, Some(Answer { kind: Some(kind), .. })) => {
                let code = kind.rsplit('#').next().unwrap_or_default();
                let named = || named_code(code).filter(|code| !repeats(code, self.secret.expose()));
                let code = code.parse().map_or_else(|_| named(), numeric_code);
                if (400..=499).contains(&answer.status) && code.as_deref() == Some(SLOW_DOWN) {
                    let kind = throttled(answer);
                    return Err(SmsFailure::Answered {
                        provider: NAME,
                        status: answer.status,
                        code,
                        kind,
                    });
                }
                Err(SmsFailure::from_status(NAME, answer, code))
            }
            _ => Err(SmsFailure::from_status(NAME, answer, None)),
        }
    }
}

impl fmt::Debug for Vonage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vonage").field("key", &self.key).finish_non_exhaustive()
    }
}
