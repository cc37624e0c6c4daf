//! A stand-in for a company's identity provider. It takes everybody's word for who they are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use askama::Template;
use axum::extract::{Form, Query, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use countersign::entropy::{Entropy, SystemEntropy};
use countersign::{TenantId, UserId};
use serde::Deserialize;

use crate::seed;
use crate::site::{Site, page};

/// Logins at the provider that nobody has picked up yet, by their code.
#[derive(Clone, Default)]
pub(crate) struct Provider(Arc<Mutex<HashMap<String, (TenantId, UserId)>>>);

impl Provider {
    fn hand_out(&self, code: String, login: (TenantId, UserId)) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(code, login);
    }

    /// A code is good once.
    pub(crate) fn pick_up(&self, code: &str) -> Option<(TenantId, UserId)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(code)
    }
}

/// 128 random bits as text.
pub(crate) fn random() -> Result<String, StatusCode> {
    let mut bytes = [0; 16];
    SystemEntropy.fill(&mut bytes).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

#[derive(Template)]
#[template(path = "provider.html")]
struct ProviderPage<'a> {
    style: &'a str,
    state: String,
    people: Vec<(&'static str, bool)>,
}

#[derive(Deserialize)]
pub(crate) struct Asked {
    state: String,
}

/// The provider's page.
pub(crate) async fn ask(
    State(site): State<Site>,
    Query(Asked { state }): Query<Asked>,
    request: Parts,
) -> Result<Response, StatusCode> {
    let tenant = site.tenant(&request).await?;
    page(&ProviderPage { style: site.style(), state, people: seed::people(&tenant).collect() })
}

#[derive(Deserialize)]
pub(crate) struct Chosen {
    state: String,
    user: String,
}

/// Somebody said who they are: the provider sends the browser back with a code.
pub(crate) async fn answer(
    State(site): State<Site>,
    request: Parts,
    Form(Chosen { state, user }): Form<Chosen>,
) -> Result<Response, StatusCode> {
    let tenant = site.tenant(&request).await?;
    let user = UserId::new(&user).map_err(|_| StatusCode::BAD_REQUEST)?;
    let hex = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !hex(&state) {
        return Err(StatusCode::BAD_REQUEST);
    }
    let code = random()?;
    site.provider.hand_out(code.clone(), (tenant, user));
    Ok(Redirect::to(&format!("/sso/callback?state={state}&code={code}")).into_response())
}
