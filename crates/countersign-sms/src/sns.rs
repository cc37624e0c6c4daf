//! AWS Simple Notification Service.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use countersign::{Accepted, Clock, SendErrorKind, SystemClock};
use zeroize::Zeroizing;

use crate::failure::{SmsFailure, named_code, throttled};
use crate::form::form;
use crate::http::{HttpRequest, HttpResponse};
use crate::sender::{Origin, Provider, Sms, SmsConfigError, SmsSecret};
use crate::sigv4::Signing;

const NAME: &str = "aws sns";

/// An access key. Redacted in `Debug`; not `Clone`.
pub struct AwsCredentials {
    access_key_id: String,
    secret_access_key: SmsSecret,
    session_token: Option<SmsSecret>,
}

impl AwsCredentials {
    /// A long-lived key.
    ///
    /// # Errors
    ///
    /// [`SmsConfigError`] if the id is not 16 to 128 ASCII letters and digits, or the secret is empty or not printable ASCII.
    pub fn new(access_key_id: &str, secret_access_key: SmsSecret) -> Result<Self, SmsConfigError> {
        let id_ok =
            (16..=128).contains(&access_key_id.len()) && access_key_id.bytes().all(|b| b.is_ascii_alphanumeric());
        if !id_ok {
            return Err(SmsConfigError::Account);
        }
        sendable(&secret_access_key)?;
        Ok(Self { access_key_id: access_key_id.to_owned(), secret_access_key, session_token: None })
    }

    /// The token that belongs to a key for a limited time.
    ///
    /// # Errors
    ///
    /// [`SmsConfigError::Secret`] if it is empty or not printable ASCII.
    pub fn session_token(mut self, token: SmsSecret) -> Result<Self, SmsConfigError> {
        sendable(&token)?;
        self.session_token = Some(token);
        Ok(self)
    }
}

fn sendable(secret: &SmsSecret) -> Result<(), SmsConfigError> {
    let ok = !secret.expose().is_empty() && secret.expose().bytes().all(|b| b.is_ascii_graphic());
    if ok { Ok(()) } else { Err(SmsConfigError::Secret) }
}

impl fmt::Debug for AwsCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AwsCredentials(redacted)")
    }
}

/// Sends through the action `Publish`, as transactional messages. Clones share the credentials.
#[derive(Clone)]
pub struct Sns {
    region: String,
    url: String,
    credentials: Arc<RwLock<AwsCredentials>>,
    from: Option<Origin>,
    clock: Arc<dyn Clock>,
}

impl Sns {
    /// The region's own endpoint, `https://sns.<region>.amazonaws.com/`.
    ///
    /// # Errors
    ///
    /// [`SmsConfigError::Region`] if the region is not lower-case ASCII letters, digits and hyphens.
    pub fn new(region: &str, credentials: AwsCredentials) -> Result<Self, SmsConfigError> {
        let region_ok = (1..=32).contains(&region.len())
            && region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !region_ok {
            return Err(SmsConfigError::Region);
        }
        Ok(Self {
            region: region.to_owned(),
            url: format!("https://sns.{region}.amazonaws.com/"),
            credentials: Arc::new(RwLock::new(credentials)),
            from: None,
            clock: Arc::new(SystemClock),
        })
    }

    /// Whom messages come from: a name, or a number or short code of the account. Otherwise AWS chooses.
    #[must_use]
    pub fn from(mut self, origin: Origin) -> Self {
        self.from = Some(origin);
        self
    }

    /// Another address: a partition's or a private endpoint's, or a server for tests.
    #[must_use]
    pub fn url(mut self, url: &str) -> Self {
        self.url = format!("{}/", url.trim_end_matches('/'));
        self
    }

    /// The clock that signatures are dated with. AWS refuses those that are more than 15 minutes off.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Signs with these from now on: for keys that expire. Whoever renews them calls this in time.
    pub fn replace_credentials(&self, credentials: AwsCredentials) {
        *self.credentials.write().unwrap_or_else(PoisonError::into_inner) = credentials;
    }
}

impl Provider for Sns {
    fn name(&self) -> &'static str {
        NAME
    }

    fn request(&self, sms: &Sms<'_>) -> Result<HttpRequest, SmsFailure> {
        let unwritable = || SmsFailure::Request { provider: NAME };
        let mut fields = vec![
            ("Action", "Publish"),
            ("Version", "2010-03-31"),
            ("PhoneNumber", sms.to.expose()),
            ("Message", sms.text.expose()),
            ("MessageAttributes.entry.1.Name", "AWS.SNS.SMS.SMSType"),
            ("MessageAttributes.entry.1.Value.DataType", "String"),
            ("MessageAttributes.entry.1.Value.StringValue", "Transactional"),
        ];
        if let Some(from) = &self.from {
            let attribute = if from.is_name() { "AWS.SNS.SMS.SenderID" } else { "AWS.MM.SMS.OriginationNumber" };
            fields.extend([
                ("MessageAttributes.entry.2.Name", attribute),
                ("MessageAttributes.entry.2.Value.DataType", "String"),
                ("MessageAttributes.entry.2.Value.StringValue", from.as_str()),
            ]);
        }
        let body = form(&fields);
        let host = self.url.split_once("://").map(|(_, rest)| rest.trim_end_matches('/')).ok_or_else(unwritable)?;
        let credentials = self.credentials.read().unwrap_or_else(PoisonError::into_inner);
        let signing = Signing {
            access_key: &credentials.access_key_id,
            secret_key: credentials.secret_access_key.expose(),
            region: &self.region,
            service: "sns",
            at: self.clock.now().map_err(|_| unwritable())?,
        };
        let date = signing.date();
        let content_type = "application/x-www-form-urlencoded; charset=utf-8";
        let mut signed = vec![("content-type", content_type), ("host", host), ("x-amz-date", date.as_str())];
        signed.extend(credentials.session_token.as_ref().map(|token| ("x-amz-security-token", token.expose())));
        let authorization = signing.authorization(&signed, body.as_bytes()).ok_or_else(unwritable)?;
        let mut headers: Vec<(&'static str, Zeroizing<String>)> = signed
            .iter()
            .filter(|(name, _)| *name != "host")
            .map(|(name, value)| (*name, Zeroizing::new((*value).to_owned())))
            .collect();
        headers.push(("authorization", authorization));
        Ok(HttpRequest { url: self.url.clone(), headers, body })
    }

    fn answer(&self, answer: &HttpResponse) -> Result<Accepted, SmsFailure> {
        let text = String::from_utf8_lossy(&answer.body);
        let code = element(&text, "Code").and_then(named_code);
        if (200..=299).contains(&answer.status) && element(&text, "MessageId").is_some_and(|id| !id.is_empty()) {
            return Ok(Accepted::Sent);
        }
        // Throttling comes with 400, 429 or 503, depending on where in AWS it happens; in each case nothing was done.
        let slow_down = ["Throttled", "Throttling", "ThrottlingException", "RequestLimitExceeded", "SlowDown"];
        if !(200..=299).contains(&answer.status) && code.as_deref().is_some_and(|code| slow_down.contains(&code)) {
            let kind: SendErrorKind = throttled(answer);
            return Err(SmsFailure::Answered { provider: NAME, status: answer.status, code, kind });
        }
        Err(SmsFailure::from_status(NAME, answer, code))
    }
}

/// The text of the first element of this name, in XML that has neither attributes nor nesting there.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

impl fmt::Debug for Sns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sns").field("region", &self.region).finish_non_exhaustive()
    }
}
