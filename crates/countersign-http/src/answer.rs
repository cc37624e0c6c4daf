//! What goes out: the status of each refusal, and headers that every response has.

use bytes::Bytes;
use countersign::error::{Error, PluginError};
use countersign::{Denied, OperationError, Reason};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;
use time::OffsetDateTime;

use crate::origin::Foreign;
use crate::texts::{Language, Plain, not_by_single_sign_on, refusal_text, seconds_until, sentence};
use crate::wire::{Failed, PlainBody, Secrets};

/// Why a request is not answered as it asked.
pub(crate) enum Refusal {
    Denied(Denied),
    /// Nobody is signed in.
    SignedOut,
    /// No code was verified in the login of this session, or too long ago.
    NotRecent,
    Foreign(Foreign),
    /// Nothing is there, or not for this method, or the body is not readable.
    Status(StatusCode),
    /// These methods are there.
    Method(&'static str),
    /// Something broke. The client learns nothing of it.
    Failed(Failure),
}

/// What broke, for the operator.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

impl From<StatusCode> for Refusal {
    fn from(status: StatusCode) -> Self {
        Self::Status(status)
    }
}

impl From<Foreign> for Refusal {
    fn from(foreign: Foreign) -> Self {
        Self::Foreign(foreign)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            // As of a tenant that there is not.
            Error::UnknownTenant => Self::Status(StatusCode::NOT_FOUND),
            error => Self::Failed(error.into()),
        }
    }
}

impl From<PluginError> for Refusal {
    fn from(error: PluginError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<OperationError> for Refusal {
    fn from(error: OperationError) -> Self {
        match error {
            OperationError::Denied(denied) => Self::Denied(denied),
            OperationError::Failed(error) => error.into(),
        }
    }
}

/// The status that says what kind of refusal it is.
pub(crate) const fn status(reason: Reason) -> StatusCode {
    match reason {
        Reason::InvalidInput(_) | Reason::InvalidSettings(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Reason::Busy => StatusCode::SERVICE_UNAVAILABLE,
        Reason::SessionStale => StatusCode::UNAUTHORIZED,
        Reason::InvalidCredentials
        | Reason::WrongPassword
        | Reason::WrongCode
        | Reason::WrongBackupCode
        | Reason::NotInteractive
        | Reason::ReauthenticationRequired
        | Reason::OwnAccount
        | Reason::MethodNotAllowed
        | Reason::RequestRefused => StatusCode::FORBIDDEN,
        // Each of these comes with a time. What waiting does not mend is none of them: clients
        // repeat a request that is answered so.
        Reason::PasswordsLocked
        | Reason::CodesLocked
        | Reason::SendLimit
        | Reason::TooManyLogins => StatusCode::TOO_MANY_REQUESTS,
        Reason::LoginOver | Reason::SetupOver => StatusCode::GONE,
        Reason::NotFound => StatusCode::NOT_FOUND,
        _ => StatusCode::CONFLICT,
    }
}

/// How a response is made for one request.
#[derive(Clone, Copy)]
pub(crate) struct Answering {
    pub(crate) language: Language,
    pub(crate) now: OffsetDateTime,
}

impl Answering {
    /// What is shown of a refusal beside its fields.
    pub(crate) fn message(&self, denied: &Denied) -> String {
        refusal_text(denied, self.language, self.now)
    }

    /// The same for a login in which nobody has typed a name or a password.
    pub(crate) fn message_without_password(&self, denied: &Denied) -> String {
        match denied.reason() {
            Reason::InvalidCredentials => not_by_single_sign_on(self.language).to_owned(),
            _ => self.message(denied),
        }
    }

    pub(crate) fn denied_headers(&self, denied: &Denied) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(at) = denied.retry_at() {
            let seconds = seconds_until(at, self.now);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        headers
    }

    pub(crate) fn refuse(&self, refusal: &Refusal) -> Response<Full<Bytes>> {
        #[derive(Serialize)]
        struct Refused<'a> {
            #[serde(flatten)]
            denied: &'a Denied,
            message: String,
        }
        // As a refusal of the flow looks.
        #[derive(Serialize)]
        struct NotRecent {
            reason: Reason,
            ends_login: bool,
            message: &'static str,
        }
        let plain = |status: StatusCode, plain: Plain| {
            json(status, &PlainBody::of(plain, self.language), HeaderMap::new())
        };
        match refusal {
            Refusal::Denied(denied) => {
                let body = Refused { denied, message: self.message(denied) };
                json(status(denied.reason()), &body, self.denied_headers(denied))
            }
            Refusal::SignedOut => plain(StatusCode::UNAUTHORIZED, Plain::SignedOut),
            Refusal::NotRecent => {
                let reason = Reason::ReauthenticationRequired;
                let message = sentence(reason, self.language);
                let body = NotRecent { reason, ends_login: false, message };
                json(status(reason), &body, HeaderMap::new())
            }
            Refusal::Foreign(Foreign::Host) => {
                plain(StatusCode::MISDIRECTED_REQUEST, Plain::ForeignHost)
            }
            Refusal::Foreign(Foreign::Form) => {
                plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, Plain::JsonExpected)
            }
            Refusal::Foreign(Foreign::Site) => plain(StatusCode::FORBIDDEN, Plain::ForeignOrigin),
            Refusal::Method(allowed) => {
                let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, Plain::Method);
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
                response
            }
            Refusal::Status(status) => plain(*status, plain_of(*status)),
            Refusal::Failed(_) => failed(Secrets::default(), HeaderMap::new(), self.language),
        }
    }
}

/// What a status says that comes with nothing else.
pub(crate) const fn plain_of(status: StatusCode) -> Plain {
    match status {
        StatusCode::NOT_FOUND => Plain::NoSuchPage,
        StatusCode::REQUEST_TIMEOUT => Plain::BodyTooSlow,
        StatusCode::PAYLOAD_TOO_LARGE => Plain::BodyTooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Plain::JsonExpected,
        StatusCode::INTERNAL_SERVER_ERROR => Plain::Failed,
        _ => Plain::Malformed,
    }
}

/// The response for a request that a server does not pass on, in the form of the endpoints.
///
/// For a body that is too large (413), too slow (408) or broken off (400), or a panic (500). Any
/// other status that the endpoints do not use has the reason `malformed_request`.
pub fn refusal(request: &Parts, status: StatusCode) -> Response<Full<Bytes>> {
    let body = PlainBody::of(plain_of(status), Language::of(&request.headers));
    let mut response = json(status, &body, HeaderMap::new());
    harden(&mut response);
    response
}

/// Something broke. What is handed out once goes out all the same.
pub(crate) fn failed(
    secrets: Secrets,
    headers: HeaderMap,
    language: Language,
) -> Response<Full<Bytes>> {
    let body = Failed { plain: PlainBody::of(Plain::Failed, language), secrets };
    json(StatusCode::INTERNAL_SERVER_ERROR, &body, headers)
}

pub(crate) fn json(
    status: StatusCode,
    body: &impl Serialize,
    headers: HeaderMap,
) -> Response<Full<Bytes>> {
    let (status, body) = match serde_json::to_vec(body) {
        Ok(body) => (status, body),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, Vec::new()),
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

pub(crate) fn nothing(headers: HeaderMap) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    *response.headers_mut() = headers;
    response
}

/// What every response says: it is for this person only, is no page to be framed, and is nothing
/// but what it is declared as.
pub(crate) fn harden(response: &mut Response<Full<Bytes>>) {
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::VARY, "cookie, accept-language, origin, sec-fetch-site"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    if response.status() == StatusCode::UNAUTHORIZED {
        // A 401 must name a scheme; of this one browsers ask nobody for a password.
        let scheme = HeaderValue::from_static("countersign");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
    }
}
