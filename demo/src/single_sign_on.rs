//! Single sign-on: the way to the identity provider, and the callback that it leads back to.
//!
//! Your own callback verifies a signed assertion. This one picks up a code, which is good once.

use axum::extract::{Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use serde::Deserialize;

use crate::provider::random;
use crate::site::Site;

/// Binds an answer of the provider to the browser that asked for it.
const STATE: &str = "sso_state";

/// Leads to the provider.
pub(crate) async fn begin() -> Result<Response, StatusCode> {
    let state = random()?;
    let place = format!("/provider?state={state}");
    Ok((remember(&state, 600), Redirect::to(&place)).into_response())
}

#[derive(Deserialize)]
pub(crate) struct Answered {
    state: String,
    code: String,
}

/// The application's callback: only for the browser that asked, only once, only for its tenant.
pub(crate) async fn callback(
    State(site): State<Site>,
    Query(Answered { state, code }): Query<Answered>,
    request: Parts,
) -> Result<Response, StatusCode> {
    let tenant = site.tenant(&request).await?;
    let picked_up = site.provider.pick_up(&code);
    let asked = cookie(&request.headers).is_some_and(|cookie| cookie == state);
    let (Some((of, user)), true) = (picked_up, asked) else { return Err(StatusCode::FORBIDDEN) };
    if of != tenant {
        return Err(StatusCode::FORBIDDEN);
    }
    let response = site.web.after_single_sign_on(&request, &user, "/").await;
    Ok((remember("", 0), response).into_response())
}

fn remember(state: &str, seconds: u32) -> AppendHeaders<[(HeaderName, String); 1]> {
    let cookie = format!("{STATE}={state}; Path=/sso; HttpOnly; SameSite=Lax; Max-Age={seconds}");
    AppendHeaders([(header::SET_COOKIE, cookie)])
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|header| header.to_str().ok());
    let mut pairs = all.flat_map(|header| header.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(STATE)?.strip_prefix('='))
}
