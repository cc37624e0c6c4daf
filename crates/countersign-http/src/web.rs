//! What an application holds: its settings, and what it asks for each request.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use countersign::clock::{Clock, SystemClock};
use countersign::{Administration, Grant, LoginFlow, SecondFactor, UserId};
use http::request::Parts;
use http::{Method, Request, Response, header};
use http_body::Body;
use http_body_util::Full;

use crate::answer::{Failure, Refusal};
use crate::body::is_json;
use crate::exchange::Inner;
use crate::hosts::{Sessions, Tenants};
use crate::origin::Origins;
use crate::tokens::Clients;

/// The endpoints of one application, for one kind of client. Cheap to clone.
///
/// It keeps `I-52`: it refuses requests from other sites and lets nothing secret be cached. Your
/// [`Sessions`] must give each login a new session identifier (`I-36`).
/// [`handle`](Self::handle) answers a request. See the [crate](crate) for the list of endpoints.
#[derive(Clone)]
pub struct Web {
    inner: Arc<Inner>,
}

/// The settings of a [`Web`].
#[must_use = "call `build`"]
pub struct WebBuilder {
    inner: Inner,
    #[cfg(feature = "pages")]
    pages: Option<crate::pages::Pages>,
}

impl Web {
    /// Endpoints for browsers: tokens are in cookies that no script can read.
    pub fn browsers(
        flow: &LoginFlow,
        tenants: impl Tenants + 'static,
        sessions: impl Sessions + 'static,
    ) -> WebBuilder {
        WebBuilder::new(Clients::Browsers, flow, Box::new(tenants), Box::new(sessions))
    }

    /// Endpoints for mobile applications: tokens are in the bodies of responses and in headers of
    /// requests. Not for browsers, where scripts could read them.
    pub fn mobile_apps(
        flow: &LoginFlow,
        tenants: impl Tenants + 'static,
        sessions: impl Sessions + 'static,
    ) -> WebBuilder {
        WebBuilder::new(Clients::MobileApps, flow, Box::new(tenants), Box::new(sessions))
    }

    /// Answers one request.
    ///
    /// A request to an endpoint, or a form of a page, must come from this site (`I-52`). Without
    /// `Sec-Fetch-Site` and `Origin`, as from mobile applications, a `POST` must declare JSON. At
    /// most 32 KiB of a body are read; how long that may take is for the server to bound.
    ///
    /// # Cancel safety
    ///
    /// What a step has committed stays committed. Run this in a task that outlives the connection:
    /// otherwise a client that hangs up can keep the person from being notified.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body,
        B::Error: Into<Failure>,
    {
        let (parts, body) = request.into_parts();
        let answering = match self.inner.answering(&parts) {
            Ok(answering) => answering,
            Err(response) => return response,
        };
        #[cfg(feature = "pages")]
        let body = match self.inner.page(&parts, body, answering).await {
            Ok(response) => return response,
            Err(body) => body,
        };
        let answered = self.inner.route(&parts, body, answering).await;
        self.inner.finish(answered, answering)
    }

    /// The grant of the signed-in user, for the application's own pages and endpoints.
    ///
    /// It checks the session against the user as they are now (`I-25`). A request other than `GET`
    /// or `HEAD`, or one that opens a WebSocket, must come from a page of this site (`I-52`). Call
    /// it for each request.
    ///
    /// # Errors
    ///
    /// The response to send: 401 if nobody is signed in, or if the session does not hold any more,
    /// which also ends it. With [pages](WebBuilder::pages), a browser that asks for a page is sent
    /// to the login instead, and from there back. 403 or 415 for a request from elsewhere, 404 for
    /// a host without a tenant, 421 in development for another host, and 500 if something broke.
    ///
    /// # Cancel safety
    ///
    /// A session that does not hold may have ended.
    pub async fn signed_in(&self, request: &Parts) -> Result<Grant, Response<Full<Bytes>>> {
        let answering = self.inner.answering(request)?;
        // A WebSocket begins with a GET, and can change something.
        let reads = matches!(request.method, Method::GET | Method::HEAD)
            && !request.headers.contains_key(header::UPGRADE);
        let checked = if reads {
            // From a link in another site's page, too.
            self.inner.origins.check_host(request)
        } else {
            self.inner.origins.check(request, is_json(request))
        };
        if let Err(foreign) = checked {
            return Err(self.inner.turn_away(request, foreign.into(), answering));
        }
        let found = match self.inner.visit(request, Bytes::new(), answering).await {
            Ok(exchange) => exchange.whose_session().await,
            Err(refusal) => Err(refusal),
        };
        found.map_err(|refusal| self.inner.turn_away(request, refusal, answering))
    }

    /// Who is signed in by a recent login with a code or a backup code, for the application's own
    /// sensitive pages.
    ///
    /// `window` is how long a login counts as recent: at most the flow's
    /// [`recent_login`](LoginFlow::recent_login), whatever is given here. The time is that of
    /// [`WebBuilder::clock`]. A trusted device replaces no code here (`I-32`).
    ///
    /// # Errors
    ///
    /// The response to send: 401 as from [`signed_in`](Self::signed_in), and 403 with the reason
    /// `reauthentication_required` if the login is too long ago or had no code. A user whom the
    /// policy exempts needs no code, but still a recent login. After single sign-on that is a user
    /// who would need no code after a password either.
    ///
    /// # Cancel safety
    ///
    /// A session that does not hold may have ended.
    pub async fn recently_signed_in(
        &self,
        request: &Parts,
        window: Duration,
    ) -> Result<Grant, Response<Full<Bytes>>> {
        let grant = self.signed_in(request).await?;
        let answering = self.inner.answering(request)?;
        // As the flow counts, and never longer.
        let window = window.min(self.inner.flow.recent_login());
        let window = time::Duration::try_from(window).unwrap_or(time::Duration::MAX);
        if answering.now < grant.at().saturating_add(window) {
            let enough = match grant.second_factor() {
                SecondFactor::Exempt { .. } => {
                    self.inner.is_exempt_by_password(request, &grant, answering).await
                }
                _ => Ok(grant.has_second_factor()),
            };
            match enough {
                Ok(true) => return Ok(grant),
                Ok(false) => {}
                Err(refusal) => return Err(self.inner.turn_away(request, refusal, answering)),
            }
        }
        Err(self.inner.turn_away(request, Refusal::NotRecent, answering))
    }

    /// The administrator who is signed in, for the application's own pages: their rights in their
    /// tenant.
    ///
    /// # Errors
    ///
    /// The response to send: as from [`signed_in`](Self::signed_in), and 404 for signed-in users
    /// who are not administrators (`I-34`).
    ///
    /// # Cancel safety
    ///
    /// A session that does not hold may have ended.
    pub async fn administrator(
        &self,
        request: &Parts,
    ) -> Result<Administration, Response<Full<Bytes>>> {
        let grant = self.signed_in(request).await?;
        let answering = self.inner.answering(request)?;
        let answered = match self.inner.visit(request, Bytes::new(), answering).await {
            Ok(exchange) => exchange.flow.administration(&grant).await.map_err(Refusal::from),
            Err(refusal) => Err(refusal),
        };
        answered.map_err(|refusal| self.inner.turn_away(request, refusal, answering))
    }

    /// The response to a login by single sign-on, for the application's own callback: the identity
    /// provider has just authenticated this user of the request's tenant.
    ///
    /// The grant never claims a password, and no device token is read or handed out (`I-43`). Where
    /// the tenant's settings ask for a code after single sign-on, the login goes on with the pages
    /// or endpoints for codes.
    ///
    /// With [pages](WebBuilder::pages) it redirects: to `return_to` with a new session (`I-36`), or
    /// to the page for the code. `return_to` must be a path of this site of at most 1,024 bytes, as
    /// for the login; anything else leads home. A refusal is the login page, which says why.
    /// Without pages it is the step as JSON, and `return_to` is not used.
    ///
    /// # Security
    ///
    /// It takes your word for who the user is. Before the call, your callback MUST
    ///
    /// - verify the assertion: signature, issuer, audience, expiry, and that it is used once;
    /// - bind it to the browser that asked for it, by `state` or `InResponseTo` held against a
    ///   cookie of your own. *Otherwise an attacker signs people in to the attacker's account.* The
    ///   call can't check the request's origin, because callbacks come from another site;
    /// - take the user from your own records of this tenant. *One tenant's identity provider must
    ///   not name another tenant's users*;
    /// - where it matters that the person was just asked, ask for that (`max_age` or `ForceAuthn`)
    ///   and check `auth_time` or `AuthnInstant`. The call counts as a login of this moment,
    ///   however old the session at the identity provider is.
    ///
    /// # Cancel safety
    ///
    /// As [`handle`](Self::handle): run it in a task that outlives the connection.
    pub async fn after_single_sign_on(
        &self,
        request: &Parts,
        user: &UserId,
        return_to: &str,
    ) -> Response<Full<Bytes>> {
        let answering = match self.inner.answering(request) {
            Ok(answering) => answering,
            Err(response) => return response,
        };
        #[cfg(feature = "pages")]
        {
            let found = self.inner.page_after_single_sign_on(request, user, return_to, answering);
            if let Some(response) = found.await {
                return response;
            }
        }
        #[cfg(not(feature = "pages"))]
        let _ = return_to;
        let answered = self.inner.after_single_sign_on(request, user, answering).await;
        self.inner.finish(answered, answering)
    }

    /// The path that all endpoints are under, such as `/auth`. Empty: they are at the root.
    pub fn base_path(&self) -> &str {
        &self.inner.base
    }
}

#[cfg(feature = "pages")]
impl Web {
    /// The address of the pages' style, for pages of your own that are to look alike. `None`: there
    /// are no pages.
    pub fn style_path(&self) -> Option<&str> {
        self.inner.pages.as_ref().map(|(_, assets)| assets.style_path())
    }
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Web").field("clients", &self.inner.clients).finish_non_exhaustive()
    }
}

impl WebBuilder {
    fn new(
        clients: Clients,
        flow: &LoginFlow,
        tenants: Box<dyn Tenants>,
        sessions: Box<dyn Sessions>,
    ) -> Self {
        Self {
            inner: Inner {
                flow: flow.clone(),
                tenants,
                sessions,
                clients,
                origins: Origins { clients, on_loopback: false },
                base: String::new(),
                keeps_names: false,
                #[cfg(feature = "pages")]
                pages: None,
                clock: Box::new(SystemClock),
                on_failure: Box::new(|_| {}),
            },
            #[cfg(feature = "pages")]
            pages: None,
        }
    }

    /// Sets the path that all endpoints are under, such as `/auth`. By default they are at the
    /// root.
    pub fn base_path(mut self, base: &str) -> Self {
        let base = base.trim_matches('/');
        self.inner.base = if base.is_empty() { String::new() } else { format!("/{base}") };
        self
    }

    /// Plain http for development: cookies without `Secure` and `__Host-`, and every request for
    /// another host than `localhost`, `127.0.0.1` or `[::1]` is refused.
    pub fn development_on_loopback(mut self) -> Self {
        self.inner.origins.on_loopback = true;
        self
    }

    /// Sets the clock for cookies, `Retry-After` and
    /// [`recently_signed_in`](Web::recently_signed_in). Use the flow's clock. By default it is the
    /// system's. If it fails, the response is 500.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.inner.clock = Box::new(clock);
        self
    }

    /// Sets what receives the cause of each `500`, such as a logger. The client learns nothing of
    /// it. By default it is dropped.
    pub fn on_failure(
        mut self,
        report: impl Fn(&(dyn std::error::Error + 'static)) + Send + Sync + 'static,
    ) -> Self {
        self.inner.on_failure = Box::new(report);
        self
    }

    /// Adds pages for browsers, under the same base path. Mobile applications get none.
    #[cfg(feature = "pages")]
    pub fn pages(mut self, pages: crate::pages::Pages) -> Self {
        self.pages = Some(pages);
        self
    }

    /// Builds the endpoints.
    pub fn build(self) -> Web {
        #[cfg_attr(not(feature = "pages"), expect(unused_mut, reason = "for pages only"))]
        let mut inner = self.inner;
        #[cfg(feature = "pages")]
        if let (Some(pages), Clients::Browsers) = (self.pages, inner.clients) {
            let assets = crate::pages::Assets::new(&inner.base, pages.rules());
            inner.keeps_names = true;
            inner.pages = Some((pages, assets));
        }
        Web { inner: Arc::new(inner) }
    }
}

impl fmt::Debug for WebBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebBuilder").field("clients", &self.inner.clients).finish_non_exhaustive()
    }
}
