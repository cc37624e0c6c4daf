//! The application's own callback after single sign-on, as an axum handler.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use countersign::UserId;
use countersign::tenant::SingleSignOn;
use countersign_axum::{SignedIn, router};
use countersign_http::Web;
use tower::ServiceExt;

use crate::site::{Answer, Browser, Site};

/// In a test the identity provider is the query.
async fn callback(State(web): State<Web>, request: Parts) -> Response {
    let user = UserId::new(request.uri.query().unwrap()).unwrap();
    web.after_single_sign_on(&request, &user, "/home").await.into_response()
}

async fn hello(SignedIn(grant): SignedIn) -> String {
    grant.user().to_string()
}

fn app(site: &Site) -> Router {
    // In a nested router, which cuts off its own path.
    let callback = Router::new().route("/callback", get(callback).layer(site.detach.clone()));
    let own = Router::new().nest("/sso", callback).route("/hello", get(hello));
    own.with_state(site.web.clone()).merge(router(&site.web, &site.detach))
}

async fn ask_for_codes(site: &Site) {
    let operator = site.world.flow.operator("test").unwrap();
    let shown = operator.settings(&site.world.tenant).await.unwrap();
    let mut settings = shown.settings;
    settings.single_sign_on = SingleSignOn::SystemAdministrators;
    let changed = operator.change_settings(&site.world.tenant, shown.version, &settings);
    let _before = changed.await.unwrap();
}

/// I-36: the session has an identifier of its own, and holds for the application's handlers.
#[tokio::test]
async fn a_callback_starts_a_session() {
    let site = Site::new().await;
    let mut browser = Browser::at(&app(&site));
    browser.headers = vec![("sec-fetch-site", "cross-site")];
    browser.cookies.insert("__Host-session".to_owned(), "planted".to_owned());
    let done = browser.get("/sso/callback?alice").await;
    assert_eq!((done.status, done.step()), (StatusCode::OK, "authenticated"), "{done:?}");
    assert_ne!(browser.cookies["__Host-session"], "planted");
    browser.headers = vec![("sec-fetch-site", "same-origin")];
    assert_eq!(browser.get("/hello").await.text, "alice");
    ask_for_codes(&site).await;
    let asked = browser.get("/sso/callback?root").await;
    assert_eq!(asked.step(), "code_required");
    let login = asked.json["login"].as_str().unwrap().to_owned();
    let done = browser.code(&login, &site.world.last_code()).await;
    assert_eq!(done.step(), "authenticated", "{done:?}");
    assert_eq!(browser.get("/hello").await.text, "root");
}

/// A client that hangs up stops no step.
#[tokio::test]
async fn a_callback_goes_on_when_the_client_hangs_up() {
    let site = Site::new().await;
    ask_for_codes(&site).await;
    let (app, browser) = (app(&site), Browser::at(&app(&site)));
    let (committed, go) = site.hold.after("commit");
    let request = browser.request("GET", "/sso/callback?root", &serde_json::Value::Null);
    let client = tokio::spawn(async move { Answer::of(app.oneshot(request).await.unwrap()).await });
    committed.await.unwrap();
    client.abort();
    assert!(client.await.unwrap_err().is_cancelled());
    let sent = site.world.outbox.attempts();
    go.send(()).unwrap();
    site.detach.idle().await;
    assert_eq!(site.world.outbox.attempts(), sent + 1);
}
