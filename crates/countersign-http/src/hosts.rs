//! What the application brings: where sessions live, and which tenant a request is for.

use std::collections::HashMap;
use std::net::IpAddr;

use async_trait::async_trait;
use countersign::error::PluginError;
use countersign::{RequestContext, SavedGrant, TenantId};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, header};

/// The sessions of the application.
///
/// # Contract
///
/// - **A new identifier for every login** (`I-36`). [`start`](Self::start) MUST NOT go on with the
///   identifier that came with the request, whether or not it is known. *An attacker who planted it
///   would be signed in.*
/// - Nothing of another user's session is carried into the new one.
/// - The grant is kept on the server or sealed: anyone who can change it can forge it. What
///   [`get`](Self::get) returns is a claim. In pages of your own, ask
///   [`Web::signed_in`](crate::Web::signed_in).
/// - Ending a session that there is not is no error.
/// - An error signs nobody in. The response is 500, and
///   [`on_failure`](crate::WebBuilder::on_failure) gets the cause.
/// - The cookie is `HttpOnly`, `Secure`, and `SameSite=Lax` or stricter, and its name begins with
///   `__Host-`.
/// - Cancellation: a dropped future has made its change or left everything as it was.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// The grant in the session that this request belongs to. `None`: it belongs to none.
    async fn get(&self, request: &Parts) -> Result<Option<SavedGrant>, PluginError>;

    /// Ends the session that the request belongs to, if any, and starts another one with this grant
    /// under a new identifier. Answers the headers that hand the identifier to the client, such as
    /// `Set-Cookie`.
    async fn start(&self, request: &Parts, grant: &SavedGrant) -> Result<HeaderMap, PluginError>;

    /// Ends the session that the request belongs to. Answers the headers that make the client
    /// forget it.
    async fn end(&self, request: &Parts) -> Result<HeaderMap, PluginError>;
}

/// Which tenant a request is for, and where it comes from.
///
/// # Contract
///
/// - The tenant comes from the application's own routing, such as the host name, held against the
///   application's own list. *A client chooses every header and every field of a form.*
/// - The answer is the tenant's id as the application has stored it (`I-04`).
/// - An error signs nobody in. The response is 500, and
///   [`on_failure`](crate::WebBuilder::on_failure) gets the cause.
#[async_trait]
pub trait Tenants: Send + Sync {
    /// The tenant. `None`: there is none; the answer is 404.
    async fn tenant(&self, request: &Parts) -> Result<Option<TenantId>, PluginError>;

    /// Where the request comes from, for policies, events and notices.
    ///
    /// By default the user agent, and the address that is given as [`ClientAddress`] in the
    /// extensions of the request. No header is taken for an address: which one your own proxy sets,
    /// only you know.
    fn context(&self, request: &Parts) -> RequestContext {
        let mut context = RequestContext::new();
        if let Some(ClientAddress(address)) = request.extensions.get() {
            context = context.with_client_address(*address);
        }
        if let Some(agent) = request.headers.get(header::USER_AGENT) {
            context = context.with_user_agent(&String::from_utf8_lossy(agent.as_bytes()));
        }
        context
    }
}

/// The network address of the client, for the extensions of a request. Take it from the connection,
/// or from a header that your own proxy sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// One tenant, whatever the request says.
#[derive(Clone, Debug)]
pub struct OneTenant(pub TenantId);

#[async_trait]
impl Tenants for OneTenant {
    async fn tenant(&self, _request: &Parts) -> Result<Option<TenantId>, PluginError> {
        Ok(Some(self.0.clone()))
    }
}

/// Tenants by host name. A host that is not in the list has no tenant.
#[derive(Clone, Debug, Default)]
pub struct TenantsByHost(HashMap<String, TenantId>);

impl TenantsByHost {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a host name. Neither its case nor a port matters. The last tenant of a host counts.
    #[must_use]
    pub fn with(mut self, host: &str, tenant: TenantId) -> Self {
        self.0.insert(without_port(host).to_ascii_lowercase(), tenant);
        self
    }
}

#[async_trait]
impl Tenants for TenantsByHost {
    async fn tenant(&self, request: &Parts) -> Result<Option<TenantId>, PluginError> {
        Ok(host_of(request)
            .and_then(|host| self.0.get(&without_port(host).to_ascii_lowercase()).cloned()))
    }
}

/// The host that the request is for, with its port: the authority of its target and its one `Host`
/// header, of which there may be one. `None` if they differ.
pub(crate) fn host_of(request: &Parts) -> Option<&str> {
    let authority = request.uri.authority().map(Authority::as_str);
    let mut hosts = request.headers.get_all(header::HOST).iter();
    let host = match (authority, hosts.next(), hosts.next()) {
        (Some(authority), None, _) => authority,
        (None, Some(host), None) => host.to_str().ok()?,
        (Some(authority), Some(host), None)
            if host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()) =>
        {
            authority
        }
        _ => return None,
    };
    Some(host).filter(|host| !host.is_empty() && !host.contains('@'))
}

/// Whether a host, with or without a port, is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let host = without_port(host);
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The host name or address without a port.
pub(crate) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}
