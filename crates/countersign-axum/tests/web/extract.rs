//! Who is signed in, as arguments of an application's own handlers.

use axum::extract::FromRef;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Extension, Router};
use countersign::UserId;
use countersign::user::UserStatus;
use countersign_axum::{Administrator, RecentSecondFactor, SignInPage, SignedIn};
use countersign_http::Web;
use serde_json::json;

use crate::site::{Browser, Site};

#[derive(Clone)]
struct State {
    web: Web,
}

impl FromRef<State> for Web {
    fn from_ref(state: &State) -> Self {
        state.web.clone()
    }
}

async fn hello(SignedIn(grant): SignedIn) -> String {
    format!("hello {}", grant.user())
}

async fn sensitive(RecentSecondFactor(grant): RecentSecondFactor) -> String {
    format!("careful, {}", grant.user())
}

async fn very_sensitive(RecentSecondFactor(grant): RecentSecondFactor<60>) -> String {
    format!("very careful, {}", grant.user())
}

async fn users(Administrator(administration): Administrator) -> String {
    let alice = UserId::new("alice").unwrap();
    let status = administration.status(&alice).await;
    format!("{} {}", administration.tenant(), status.is_ok())
}

fn app(site: &Site) -> Router {
    let own = Router::new()
        .route("/hello", get(hello).post(hello))
        .route("/sensitive", post(sensitive))
        .route("/very-sensitive", post(very_sensitive))
        .route("/users", get(users))
        .with_state(State { web: site.web.clone() });
    own.merge(site.app())
}

/// I-25: a handler is called only for a session that still holds.
#[tokio::test]
async fn a_handler_gets_the_grant_of_a_session_that_holds() {
    let site = Site::new().await;
    let (mut alice, mut stranger) = (Browser::at(&app(&site)), Browser::at(&app(&site)));
    site.sign_in(&mut alice, "alice").await;
    assert_eq!(alice.get("/hello").await.text, "hello alice");
    assert_eq!(alice.post("/hello", json!({})).await.text, "hello alice");
    let answer = stranger.get("/hello").await;
    assert_eq!((answer.status, answer.reason()), (StatusCode::UNAUTHORIZED, "signed_out"));
    assert_eq!(answer.headers["cache-control"], "no-store");
    // Another site's page changes nothing in the person's name.
    alice.headers = vec![("sec-fetch-site", "cross-site")];
    let answer = alice.post("/hello", json!({})).await;
    assert_eq!((answer.status, answer.reason()), (StatusCode::FORBIDDEN, "foreign_origin"));

    alice.headers.clear();
    let id = UserId::new("alice").unwrap();
    let disable = |user: &mut countersign::user::User| user.status = UserStatus::Disabled;
    site.world.users.change(&site.world.tenant, &id, disable).unwrap();
    assert_eq!(alice.get("/hello").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(site.sessions.count(), 0);
}

/// I-32: what is sensitive needs a login with a code that is not long ago.
#[tokio::test]
async fn a_sensitive_handler_needs_a_recent_code() {
    let site = Site::new().await;
    let mut alice = Browser::at(&app(&site));
    let answer = alice.post("/sensitive", json!({})).await;
    assert_eq!((answer.status, answer.reason()), (StatusCode::UNAUTHORIZED, "signed_out"));
    let login = alice.begin("alice").await;
    let trusting = json!({"code": site.world.last_code(), "trust_device": "laptop"});
    alice.post(&format!("/auth/login/{login}/code"), trusting).await;
    let second = std::time::Duration::from_secs(1);
    for (path, seconds, text) in
        [("/very-sensitive", 59, "very careful, alice"), ("/sensitive", 539, "careful, alice")]
    {
        site.world.clock.advance(seconds * second);
        assert_eq!(alice.post(path, json!({})).await.text, text);
        site.world.clock.advance(second);
        let answer = alice.post(path, json!({})).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
        assert_eq!(answer.reason(), "reauthentication_required", "{path}");
        assert!(answer.json["message"].is_string(), "{}", answer.text);
    }
    assert_eq!(alice.get("/hello").await.text, "hello alice");
    // The trusted device lets her in, and is no code.
    assert_eq!(alice.password("alice").await.step(), "authenticated");
    let answer = alice.post("/sensitive", json!({})).await;
    assert_eq!(answer.reason(), "reauthentication_required");
    let again = json!({"name": "alice", "password": crate::site::PASSWORD, "reauthenticate": true});
    let login = alice.post("/auth/login", again).await;
    let login = login.json["login"].as_str().unwrap();
    alice.code(login, &site.world.last_code()).await;
    assert_eq!(alice.post("/sensitive", json!({})).await.text, "careful, alice");
}

/// I-34: only administrators get their rights, and others do not learn that there is a page.
#[tokio::test]
async fn an_administrators_handler_is_hidden_from_others() {
    let site = Site::new().await;
    let (mut alice, mut root) = (Browser::at(&app(&site)), Browser::at(&app(&site)));
    assert_eq!(root.get("/users").await.status, StatusCode::UNAUTHORIZED);
    site.sign_in(&mut alice, "alice").await;
    site.sign_in(&mut root, "root").await;
    assert_eq!(alice.get("/users").await.status, StatusCode::NOT_FOUND);
    assert_eq!(root.get("/users").await.text, "acme true");
    let demote = |user: &mut countersign::user::User| user.system_administrator = false;
    site.world.users.change(&site.world.tenant, &UserId::new("root").unwrap(), demote).unwrap();
    assert_eq!(root.get("/users").await.status, StatusCode::NOT_FOUND);
}

/// A browser that asks for a page gets the page to sign in at; scripts and programs get the 401.
#[tokio::test]
async fn a_browser_is_led_to_the_sign_in_page() {
    let site = Site::new().await;
    let mut browser = Browser::at(&app(&site).layer(Extension(SignInPage("/sign-in"))));
    browser.headers.push(("accept", "application/xml, Text/HTML;q=0.9, */*;q=0.8"));
    let answer = browser.get("/hello").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(answer.headers["location"], "/sign-in");
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(browser.get("/users").await.status, StatusCode::SEE_OTHER);
    assert_eq!(browser.post("/hello", json!({})).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(browser.get("/auth/session").await.status, StatusCode::UNAUTHORIZED);
    site.sign_in(&mut browser, "alice").await;
    assert_eq!(browser.get("/users").await.status, StatusCode::NOT_FOUND);
    for accept in ["*/*", "application/json", "text/htmlx"] {
        let mut script = Browser::at(&browser.app);
        script.headers.push(("accept", accept));
        assert_eq!(script.get("/hello").await.status, StatusCode::UNAUTHORIZED, "{accept}");
    }
}

/// A handler in a nested router leads to the login, and from there back to the address that the
/// client asked for.
#[tokio::test]
async fn a_nested_handler_leads_back_to_the_whole_path() {
    use countersign_http::pages::Pages;
    let site = Site::new().await;
    let web = countersign_http::Web::browsers(
        &site.world.flow,
        countersign_http::OneTenant(site.world.tenant.clone()),
        site.sessions.clone(),
    )
    .base_path("/auth")
    .pages(Pages::new("Acme"))
    .build();
    let shop = Router::new().route("/cart", get(hello)).with_state(State { web });
    let mut stranger = Browser::at(&Router::new().nest("/shop", shop));
    stranger.headers = vec![("accept", "text/html")];
    let answer = stranger.get("/shop/cart?item=1").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let expected = "/auth/sign-in?return_to=%2Fshop%2Fcart%3Fitem%3D1";
    assert_eq!(answer.headers["location"], expected);
}
