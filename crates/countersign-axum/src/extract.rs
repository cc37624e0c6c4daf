//! Who is signed in, as arguments of handlers.

use std::time::Duration;

use axum::extract::{FromRef, FromRequestParts, OriginalUri};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use countersign::{Administration, Grant};
use countersign_http::Web;

/// Extractor for the grant of the signed-in user.
///
/// It checks the session against the user as they are now, on each request
/// ([`Web::signed_in`]). A request other than `GET` must come from a page of this site.
///
/// The application's state holds the [`Web`] (`Web: FromRef<S>`). With two of them, give the routes
/// of each a state of their own: [`with_state`](axum::Router::with_state).
///
/// ```
/// use axum::{Router, routing::get};
/// use countersign_axum::SignedIn;
/// use countersign_http::Web;
///
/// async fn hello(SignedIn(grant): SignedIn) -> String {
///     format!("Hello, {}.", grant.user())
/// }
///
/// let app: Router<Web> = Router::new().route("/hello", get(hello));
/// ```
///
/// # Rejection
///
/// 401 if nobody is signed in or the session no longer holds, which also ends it. With pages, or
/// with a [`SignInPage`], a browser that asks for a page is redirected to the login instead. Other
/// responses are those of [`Web::signed_in`], such as 403 for a request from another site (`I-52`).
#[derive(Debug)]
pub struct SignedIn(
    /// The grant, as checked for this request.
    pub Grant,
);

/// Extractor for the grant of a user who logged in recently with a code or a backup code.
///
/// For pages that change something sensitive (`I-32`). Where the policy exempts the user, a recent
/// login with the password is enough; to insist on a code, check
/// [`has_second_factor`](countersign::SavedGrant::has_second_factor), too. A trusted device never
/// counts. `SECONDS` is how many seconds a login counts as recent: 600 by default, and never more
/// than the flow's [`recent_login`](countersign::LoginFlow::recent_login).
///
/// ```
/// use countersign_axum::RecentSecondFactor;
///
/// async fn close_account(RecentSecondFactor(grant): RecentSecondFactor) {}
/// async fn pay(RecentSecondFactor(grant): RecentSecondFactor<120>) {}
/// ```
///
/// # Rejection
///
/// As of [`SignedIn`], and 403 with the reason `reauthentication_required`: let the user log in
/// again with `reauthenticate`, and then repeat the request. With pages, a browser is led to the
/// login, and from there back.
#[derive(Debug)]
pub struct RecentSecondFactor<const SECONDS: u64 = 600>(
    /// The grant, as checked for this request.
    pub Grant,
);

/// Extractor for the rights of the signed-in administrator in their tenant.
///
/// # Rejection
///
/// As of [`SignedIn`], and 404 for signed-in users who are not administrators (`I-34`).
#[derive(Debug)]
pub struct Administrator(
    /// The rights. Each call checks them again.
    pub Administration,
);

/// The page to which browsers are redirected when nobody is signed in.
///
/// Put it into the extensions of requests. It acts on `GET` and `HEAD` requests that accept
/// `text/html`; others get the 401. It has no effect where the [`Web`] has pages, which redirects
/// itself.
///
/// ```
/// use axum::{Extension, Router};
/// use countersign_axum::SignInPage;
///
/// let app: Router = Router::new().layer(Extension(SignInPage("/sign-in")));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SignInPage(
    /// Its path on this site.
    pub &'static str,
);

impl<S: Send + Sync> FromRequestParts<S> for SignedIn
where
    Web: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let parts = as_asked(parts);
        let found = Web::from_ref(state).signed_in(&parts).await;
        found.map(Self).map_err(|refused| turn_away(&parts, refused))
    }
}

impl<S: Send + Sync, const SECONDS: u64> FromRequestParts<S> for RecentSecondFactor<SECONDS>
where
    Web: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let window = Duration::from_secs(SECONDS);
        let parts = as_asked(parts);
        let found = Web::from_ref(state).recently_signed_in(&parts, window).await;
        found.map(Self).map_err(|refused| turn_away(&parts, refused))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Administrator
where
    Web: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let parts = as_asked(parts);
        let found = Web::from_ref(state).administrator(&parts).await;
        found.map(Self).map_err(|refused| turn_away(&parts, refused))
    }
}

/// The request as the client sent it: a nested router cuts its own path off.
fn as_asked(parts: &Parts) -> Parts {
    let mut asked = parts.clone();
    if let Some(OriginalUri(uri)) = parts.extensions.get() {
        asked.uri = uri.clone();
    }
    asked
}

fn turn_away(request: &Parts, refused: impl IntoResponse) -> Response {
    let refused = refused.into_response();
    match request.extensions.get() {
        Some(SignInPage(path))
            if refused.status() == StatusCode::UNAUTHORIZED && asks_for_a_page(request) =>
        {
            let mut response = Redirect::to(path).into_response();
            let no_store = HeaderValue::from_static("no-store");
            response.headers_mut().insert(header::CACHE_CONTROL, no_store);
            response
        }
        _ => refused,
    }
}

fn asks_for_a_page(request: &Parts) -> bool {
    let accepted = request.headers.get_all(header::ACCEPT).iter();
    let mut kinds = accepted.filter_map(|value| value.to_str().ok()).flat_map(|it| it.split(','));
    matches!(request.method, Method::GET | Method::HEAD)
        && kinds.any(|kind| {
            let media = kind.split(';').next().unwrap_or_default().trim();
            media.eq_ignore_ascii_case("text/html")
        })
}
