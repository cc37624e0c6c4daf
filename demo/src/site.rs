//! The application's own pages.

use askama::Template;
use axum::Router;
use axum::extract::{FromRef, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use countersign::TenantId;
use countersign::event::Event;
use countersign_axum::{Detach, RecentSecondFactor};
use countersign_http::{Tenants, TenantsByHost, Web};

use crate::inbox::{self, Inbox};
use crate::log::Log;
use crate::provider::{self, Provider};
use crate::{seed, single_sign_on};

/// What the pages share.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) web: Web,
    pub(crate) inbox: Inbox,
    pub(crate) log: Log,
    pub(crate) provider: Provider,
    pub(crate) tenants: TenantsByHost,
}

impl FromRef<Site> for Web {
    fn from_ref(site: &Site) -> Self {
        site.web.clone()
    }
}

pub(crate) fn routes(detach: &Detach) -> Router<Site> {
    Router::new()
        .route("/", get(home))
        .route("/sso", get(single_sign_on::begin))
        .route("/sso/callback", get(single_sign_on::callback).layer(detach.clone()))
        .route("/provider", get(provider::ask).post(provider::answer))
        .route("/vault", get(vault))
        .route("/inbox", get(inbox::show))
        .route("/inbox.json", get(inbox::as_json))
        .route("/events", get(events))
}

#[derive(Template)]
#[template(path = "home.html")]
struct Home<'a> {
    style: &'a str,
    tenant: &'a TenantId,
    people: Vec<(&'static str, bool)>,
    password: &'static str,
    user: Option<String>,
    is_administrator: bool,
}

#[derive(Template)]
#[template(path = "vault.html")]
struct Vault<'a> {
    style: &'a str,
    user: String,
    with_code: bool,
}

#[derive(Template)]
#[template(path = "events.html")]
struct Events<'a> {
    style: &'a str,
    events: Vec<Event>,
}

async fn home(State(site): State<Site>, request: Parts) -> Result<Response, StatusCode> {
    let tenant = site.tenant(&request).await?;
    let user = match site.web.signed_in(&request).await {
        Ok(grant) => Some(grant.user().to_string()),
        Err(refused) if refused.status().is_server_error() => return Err(refused.status()),
        Err(_) => None,
    };
    let people: Vec<_> = seed::people(&tenant).collect();
    let is_administrator = user.as_ref().is_some_and(|user| people.contains(&(user, true)));
    let (style, password) = (site.style(), seed::PASSWORD);
    page(&Home { style, tenant: &tenant, people, password, user, is_administrator })
}

/// A page that needs a recent login: with a code, where the tenant asks for one. Other browsers are
/// led to the login, and back.
async fn vault(
    State(site): State<Site>,
    RecentSecondFactor(grant): RecentSecondFactor,
) -> Result<Response, StatusCode> {
    let (user, with_code) = (grant.user().to_string(), grant.has_second_factor());
    page(&Vault { style: site.style(), user, with_code })
}

async fn events(State(site): State<Site>, request: Parts) -> Result<Response, StatusCode> {
    let tenant = site.tenant(&request).await?;
    page(&Events { style: site.style(), events: site.log.of(&tenant) })
}

impl Site {
    /// The tenant of the request's host. 404 for a host that is not listed.
    pub(crate) async fn tenant(&self, request: &Parts) -> Result<TenantId, StatusCode> {
        self.tenants.tenant(request).await.ok().flatten().ok_or(StatusCode::NOT_FOUND)
    }

    pub(crate) fn style(&self) -> &str {
        self.web.style_path().unwrap_or_default()
    }
}

/// A page that is for this person only: no cache keeps it, and no other page frames it.
pub(crate) fn page(page: &impl Template) -> Result<Response, StatusCode> {
    let text = page.render().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let policy = "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'";
    let headers: [(HeaderName, &str); 3] = [
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, Html(text)).into_response())
}
