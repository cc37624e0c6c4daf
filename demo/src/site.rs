//! The application's own pages.

use askama::Template;
use axum::extract::{FromRef, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use countersign::TenantId;
use countersign::event::Event;
use countersign_axum::RecentSecondFactor;
use countersign_http::{Tenants, Web};

use crate::inbox::{Arrived, Inbox};
use crate::log::Log;
use crate::seed;

/// What the pages share.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) web: Web,
    pub(crate) inbox: Inbox,
    pub(crate) log: Log,
}

impl FromRef<Site> for Web {
    fn from_ref(site: &Site) -> Self {
        site.web.clone()
    }
}

pub(crate) fn routes() -> Router<Site> {
    Router::new()
        .route("/", get(home))
        .route("/vault", get(vault))
        .route("/inbox", get(inbox))
        .route("/inbox.json", get(inbox_json))
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
}

#[derive(Template)]
#[template(path = "inbox.html")]
struct InboxPage<'a> {
    style: &'a str,
    messages: Vec<Arrived>,
}

#[derive(Template)]
#[template(path = "events.html")]
struct Events<'a> {
    style: &'a str,
    events: Vec<Event>,
}

async fn home(State(site): State<Site>, request: Parts) -> Result<Response, StatusCode> {
    let tenant = tenant(&request).await?;
    let user = site.web.signed_in(&request).await.ok().map(|grant| grant.user().to_string());
    let people: Vec<_> = seed::people(&tenant).collect();
    let is_administrator = user.as_ref().is_some_and(|user| {
        people.iter().any(|(name, administrator)| name == user && *administrator)
    });
    let style = site.web.style_path().unwrap_or_default();
    let password = seed::PASSWORD;
    page(&Home { style, tenant: &tenant, people, password, user, is_administrator })
}

/// A page that needs a recent login with a code. Without one it leads to the login, and back.
async fn vault(
    State(site): State<Site>,
    RecentSecondFactor(grant): RecentSecondFactor,
) -> Result<Response, StatusCode> {
    let style = site.web.style_path().unwrap_or_default();
    page(&Vault { style, user: grant.user().to_string() })
}

async fn inbox(State(site): State<Site>, request: Parts) -> Result<Response, StatusCode> {
    let messages = site.inbox.of(&tenant(&request).await?);
    page(&InboxPage { style: site.web.style_path().unwrap_or_default(), messages })
}

/// The same for programs.
async fn inbox_json(State(site): State<Site>, request: Parts) -> Result<Response, StatusCode> {
    Ok(Json(site.inbox.of(&tenant(&request).await?)).into_response())
}

async fn events(State(site): State<Site>, request: Parts) -> Result<Response, StatusCode> {
    let tenant = tenant(&request).await?;
    let mut events = site.log.newest();
    events.retain(|event| event.tenant == tenant);
    page(&Events { style: site.web.style_path().unwrap_or_default(), events })
}

async fn tenant(request: &Parts) -> Result<TenantId, StatusCode> {
    let hosts = seed::tenants_by_host().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    hosts.tenant(request).await.ok().flatten().ok_or(StatusCode::NOT_FOUND)
}

fn page(page: &impl Template) -> Result<Response, StatusCode> {
    let text = page.render().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let policy = "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'";
    let headers: [(HeaderName, &str); 2] =
        [(header::CACHE_CONTROL, "no-store"), (header::CONTENT_SECURITY_POLICY, policy)];
    Ok((headers, Html(text)).into_response())
}
