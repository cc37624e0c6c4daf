//! The one thing that is needed of an HTTP client.

use std::error::Error as StdError;
use std::fmt;

use async_trait::async_trait;
use zeroize::Zeroizing;

/// The most of an answer that is read, in bytes.
pub const MAX_ANSWER: usize = 64 * 1024;

/// Carries one request to a provider.
///
/// # Contract
///
/// - Sends each request at most once: no retries, no redirects. *A second SMS costs money, and its
///   code looks like a newer one.*
/// - Says [`HttpError::not_sent`] only where not a byte of the request can have reached the
///   provider, as when no connection came about; in every other case [`HttpError::perhaps_sent`].
///   *The wrong way round sends people two messages.*
/// - Checks the server's certificate, and sends nothing to `http:` addresses other than this
///   machine's. *The request holds the code.*
/// - Answers in bounded time, and reads at most [`MAX_ANSWER`] bytes of an answer.
/// - Never logs a header or a body.
/// - Cancellation: a dropped future may or may not have sent.
#[async_trait]
pub trait Http: Send + Sync {
    /// Sends a `POST` and reads the answer, whatever its status.
    async fn post(&self, request: HttpRequest) -> Result<HttpResponse, HttpError>;
}

/// A `POST`. Not `Clone`, and `Debug` is redacted: it holds the code, the number and the
/// credentials.
pub struct HttpRequest {
    /// Where to.
    pub url: String,
    /// Names in lower case, and values. The host and the length are the client's to add.
    pub headers: Vec<(&'static str, Zeroizing<String>)>,
    /// The body.
    pub body: Zeroizing<String>,
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpRequest(redacted)")
    }
}

/// An answer. `Debug` is redacted: providers repeat the number in it.
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// The header `retry-after`, if there is one that can be read.
    pub retry_after: Option<String>,
    /// The body, or its beginning.
    pub body: Vec<u8>,
}

impl fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpResponse").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub struct HttpError {
    sent: bool,
    source: Box<dyn StdError + Send + Sync>,
}

impl HttpError {
    /// Not a byte of the request can have reached the provider. The cause MUST NOT repeat the
    /// request: it is logged.
    pub fn not_sent(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { sent: false, source: source.into() }
    }

    /// The provider perhaps has the request. The cause MUST NOT repeat the request: it is logged.
    pub fn perhaps_sent(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { sent: true, source: source.into() }
    }

    /// Whether the provider perhaps has the request.
    pub const fn is_perhaps_sent(&self) -> bool {
        self.sent
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.sent {
            "request was perhaps sent, and there is no answer"
        } else {
            "request was not sent"
        })
    }
}

impl StdError for HttpError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.source)
    }
}
