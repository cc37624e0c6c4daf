//! An [`Http`] on reqwest.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{HeaderValue, RETRY_AFTER};
use reqwest::{Client, redirect, retry};
use thiserror::Error;

use crate::http::{Http, HttpError, HttpRequest, HttpResponse, MAX_ANSWER};

/// An [`Http`] that keeps to the contract: no redirects, no retries, time-outs, TLS. Cheap to
/// clone; clones share the connections.
#[derive(Clone)]
pub struct ReqwestHttp {
    client: Client,
}

/// Configures a [`ReqwestHttp`].
#[derive(Clone, Debug)]
#[must_use]
pub struct ReqwestHttpBuilder {
    time_budget: Duration,
    connect_timeout: Duration,
    unencrypted: bool,
}

/// Why there is no client.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReqwestHttpError {
    /// No rustls crypto provider is installed. Install one at the start of the program, for example
    /// `rustls::crypto::ring::default_provider().install_default()`.
    #[error("no rustls crypto provider is installed")]
    NoCryptoProvider,
    /// The client can't be set up, for example because this machine has no root certificates.
    #[error("http client can not be set up")]
    Client {
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ReqwestHttp {
    /// With 10 s for a request, 5 of them at most to connect.
    ///
    /// # Errors
    ///
    /// [`ReqwestHttpError`] if no crypto provider is installed, or TLS can't be set up.
    pub fn new() -> Result<Self, ReqwestHttpError> {
        Self::builder().build()
    }

    /// With other times.
    pub const fn builder() -> ReqwestHttpBuilder {
        ReqwestHttpBuilder {
            time_budget: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            unencrypted: false,
        }
    }
}

impl ReqwestHttpBuilder {
    /// The longest that a request may take, with connecting and reading the answer. The person
    /// waits for it.
    pub const fn time_budget(mut self, budget: Duration) -> Self {
        self.time_budget = budget;
        self
    }

    /// The longest that connecting may take. A provider that is down fails after this time, and the
    /// next one can be tried.
    pub const fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// **Sends codes and credentials without TLS** to addresses that begin with `http:`. For tests
    /// and sinks on this machine.
    pub const fn dangerously_allow_unencrypted(mut self) -> Self {
        self.unencrypted = true;
        self
    }

    /// # Errors
    ///
    /// [`ReqwestHttpError`] if no crypto provider is installed, or TLS can't be set up.
    pub fn build(self) -> Result<ReqwestHttp, ReqwestHttpError> {
        // Without one, reqwest panics.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(ReqwestHttpError::NoCryptoProvider);
        }
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .https_only(!self.unencrypted)
            .timeout(self.time_budget)
            .connect_timeout(self.connect_timeout)
            // Shorter than providers keep idle connections: a connection that just closed costs an
            // unknown.
            .pool_idle_timeout(Duration::from_secs(15))
            .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| ReqwestHttpError::Client { source: error.without_url().into() })?;
        Ok(ReqwestHttp { client })
    }
}

#[async_trait]
impl Http for ReqwestHttp {
    async fn post(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut builder = self.client.post(&request.url);
        for (name, value) in &request.headers {
            let mut value = HeaderValue::from_str(value).map_err(HttpError::not_sent)?;
            value.set_sensitive(true);
            builder = builder.header(*name, value);
        }
        let mut response =
            builder.body(request.body.as_bytes().to_vec()).send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let mut body = Vec::new();
        while body.len() < MAX_ANSWER {
            let Some(chunk) = response.chunk().await.map_err(failed)? else { break };
            body.extend_from_slice(&chunk);
        }
        body.truncate(MAX_ANSWER);
        Ok(HttpResponse { status, retry_after, body })
    }
}

/// A connection that never came about, and a request that could not even be built, were surely not
/// sent.
fn failed(error: reqwest::Error) -> HttpError {
    let not_sent = error.is_connect() || error.is_builder();
    let error = error.without_url();
    if not_sent { HttpError::not_sent(error) } else { HttpError::perhaps_sent(error) }
}

impl fmt::Debug for ReqwestHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReqwestHttp")
    }
}
