//! AWS Simple Notification Service.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use countersign::clock::{Clock, SystemClock};
use countersign::sender::{SendErrorKind, SendStatus};
use zeroize::Zeroizing;

use crate::endpoint::Endpoint;
use crate::failure::{SmsFailure, named_code, repeats, throttled};
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
    /// [`SmsConfigError`] if the id is not 16 to 128 ASCII letters and digits, or the secret is
    /// empty or not printable ASCII.
    pub fn new(access_key_id: &str, secret_access_key: SmsSecret) -> Result<Self, SmsConfigError> {
        let id_ok = (16..=128).contains(&access_key_id.len())
            && access_key_id.bytes().all(|b| b.is_ascii_alphanumeric());
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
    endpoint: Endpoint,
    credentials: Arc<RwLock<AwsCredentials>>,
    from: Option<Origin>,
    clock: Arc<dyn Clock>,
}

impl Sns {
    /// The region's own endpoint, such as `https://sns.eu-west-1.amazonaws.com/`, or, for
    /// `cn-north-1`, `https://sns.cn-north-1.amazonaws.com.cn/`.
    ///
    /// # Errors
    ///
    /// [`SmsConfigError::Region`] if the region is not lower-case ASCII letters, digits and
    /// hyphens.
    pub fn new(region: &str, credentials: AwsCredentials) -> Result<Self, SmsConfigError> {
        let region_ok = (1..=32).contains(&region.len())
            && region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let url = format!("https://sns.{region}.{}/", dns_suffix(region));
        let endpoint = Endpoint::parse(&url).filter(|_| region_ok).ok_or(SmsConfigError::Region)?;
        Ok(Self {
            region: region.to_owned(),
            endpoint,
            credentials: Arc::new(RwLock::new(credentials)),
            from: None,
            clock: Arc::new(SystemClock),
        })
    }

    /// Whom messages come from: a name, or a number or short code of the account. Otherwise AWS
    /// chooses.
    #[must_use]
    pub fn from(mut self, origin: Origin) -> Self {
        self.from = Some(origin);
        self
    }

    /// Another address than the region's own: a private endpoint's, a proxy's, or a server for
    /// tests. It may have a port and a path; the region stays the one that requests are signed for.
    ///
    /// # Errors
    ///
    /// [`SmsConfigError::Url`] if it is not `https://host[:port][/path]` (or `http`), or if an HTTP
    /// client could send it in another spelling than the signed one.
    pub fn url(mut self, url: &str) -> Result<Self, SmsConfigError> {
        self.endpoint = Endpoint::parse(url).ok_or(SmsConfigError::Url)?;
        Ok(self)
    }

    /// The clock that signatures are dated with. AWS refuses those that are more than 15 minutes
    /// off.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Whether an answer repeats a key of ours. No error repeats it.
    fn is_secret(&self, code: &str) -> bool {
        let credentials = self.credentials.read().unwrap_or_else(PoisonError::into_inner);
        let AwsCredentials { access_key_id, secret_access_key, session_token } = &*credentials;
        repeats(code, access_key_id)
            || repeats(code, secret_access_key.expose())
            || session_token.as_ref().is_some_and(|token| repeats(code, token.expose()))
    }

    /// Signs with these from now on: for keys that expire. Call this before the earlier ones
    /// expire.
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
            let attribute = if from.is_name() {
                "AWS.SNS.SMS.SenderID"
            } else {
                "AWS.MM.SMS.OriginationNumber"
            };
            fields.extend([
                ("MessageAttributes.entry.2.Name", attribute),
                ("MessageAttributes.entry.2.Value.DataType", "String"),
                ("MessageAttributes.entry.2.Value.StringValue", from.as_str()),
            ]);
        }
        let body = form(&fields);
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
        let mut signed = vec![
            ("content-type", content_type),
            ("host", self.endpoint.host()),
            ("x-amz-date", date.as_str()),
        ];
        signed.extend(
            credentials
                .session_token
                .as_ref()
                .map(|token| ("x-amz-security-token", token.expose())),
        );
        let authorization = signing
            .authorization(self.endpoint.path(), &signed, body.as_bytes())
            .ok_or_else(unwritable)?;
        let mut headers: Vec<(&'static str, Zeroizing<String>)> = signed
            .iter()
            .filter(|(name, _)| *name != "host")
            .map(|(name, value)| (*name, Zeroizing::new((*value).to_owned())))
            .collect();
        headers.push(("authorization", authorization));
        Ok(HttpRequest { url: self.endpoint.url().to_owned(), headers, body })
    }

    fn answer(&self, answer: &HttpResponse) -> Result<SendStatus, SmsFailure> {
        let text = String::from_utf8_lossy(&answer.body);
        if (200..=299).contains(&answer.status)
            && element(&text, "MessageId").is_some_and(|id| !id.is_empty())
        {
            return Ok(SendStatus::Sent);
        }
        let code = element(&text, "Code").unwrap_or_default();
        let name = code.strip_suffix("Exception").unwrap_or(code);
        let refused = !(200..=299).contains(&answer.status);
        let kind = match name {
            _ if !refused => None,
            // A part of the request was read, perhaps all of it.
            "RequestTimeout" => Some(SendErrorKind::Unknown),
            name => SLOW_DOWN.contains(&name).then(|| throttled(answer)),
        };
        let code = named_code(code).filter(|code| !self.is_secret(code));
        Err(match kind {
            Some(kind) => {
                SmsFailure::Answered { provider: NAME, status: answer.status, code, kind }
            }
            None => SmsFailure::from_status(NAME, answer, code),
        })
    }
}

/// AWS's error codes that ask to wait, without the ending `Exception` that some services give them.
/// They come with 400, 403, 429 or 503, depending on where in AWS it happens; in each case nothing
/// was done. The list is that of AWS's own clients (`botocore/retries/standard.py`), with SNS's
/// two.
const SLOW_DOWN: [&str; 13] = [
    "BandwidthLimitExceeded",
    "EC2Throttled",
    "KMSThrottling",
    "LimitExceeded",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceeded",
    "RequestLimitExceeded",
    "RequestThrottled",
    "SlowDown",
    "Throttled",
    "Throttling",
    "TooManyRequests",
    "TransactionInProgress",
];

/// The domain of a region's endpoints. Each partition of AWS has its own.
fn dns_suffix(region: &str) -> &'static str {
    let partition =
        |prefix: &str| region.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('-'));
    match region {
        _ if partition("cn") => "amazonaws.com.cn",
        _ if partition("eusc") => "amazonaws.eu",
        _ if partition("us-iso") => "c2s.ic.gov",
        _ if partition("us-isob") => "sc2s.sgov.gov",
        _ if partition("us-isof") => "csp.hci.ic.gov",
        _ if partition("eu-isoe") => "cloud.adc-e.uk",
        _ => "amazonaws.com",
    }
}

/// The text of the first element of this name, in XML that has neither attributes nor nesting
/// there.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

impl fmt::Debug for Sns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sns").field("region", &self.region).finish_non_exhaustive()
    }
}
