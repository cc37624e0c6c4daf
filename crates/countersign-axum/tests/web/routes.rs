//! Which requests the router takes.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use countersign_axum::router;
use countersign_http::memory::MemorySessions;
use countersign_http::{OneTenant, Web};
use serde_json::{Value, json};

use crate::site::{Browser, PASSWORD, Site, builder};

#[tokio::test]
async fn a_person_logs_in_through_the_router() {
    let site = Site::new().await;
    let mut browser = Browser::at(&site.app());
    let answer = site.sign_in(&mut browser, "alice").await;
    assert_eq!(answer.cookie("__Host-session"), Some(&*browser.cookies["__Host-session"]));
    let who = browser.get("/auth/session").await;
    assert_eq!((who.status, &who.json["user"]), (StatusCode::OK, &json!("alice")));
    assert_eq!(site.sessions.count(), 1);
}

#[tokio::test]
async fn browsers_and_mobile_applications_share_an_application() {
    let site = Site::new().await;
    let tenant = OneTenant(site.world.tenant.clone());
    let mobile = Web::mobile_apps(&site.world.flow, tenant, MemorySessions::new())
        .clock(site.world.clock.clone())
        .base_path("/api/auth")
        .build();
    let app = Router::new()
        .route("/", get(async || "home"))
        .route("/auth-news", get(async || "news"))
        .merge(router(&site.web, &site.detach))
        .merge(router(&mobile, &site.detach))
        .fallback(async || (StatusCode::NOT_FOUND, "my own 404"));
    let mut browser = Browser::at(&app);
    site.sign_in(&mut browser, "alice").await;
    site.world.wait_for_the_spacing();
    let mut phone = Browser::at(&app);
    phone.headers.clear();
    let body = json!({"name": "bob", "password": PASSWORD});
    let begun = phone.post("/api/auth/login", body).await;
    assert_eq!((begun.status, begun.step()), (StatusCode::OK, "code_required"));
    assert!(begun.json["secrets"]["login_token"].is_string(), "{}", begun.text);

    // The application keeps its own paths.
    assert_eq!(browser.get("/").await.text, "home");
    assert_eq!(browser.get("/auth-news").await.text, "news");
    for path in ["/elsewhere", "/authentic", "/api"] {
        assert_eq!(browser.get(path).await.text, "my own 404", "{path}");
    }
    for path in ["/auth", "/auth/", "/auth/nowhere", "/auth/login/x/y/z"] {
        let answer = browser.get(path).await;
        assert_eq!((answer.status, answer.reason()), (StatusCode::NOT_FOUND, "no_such_page"));
    }
    let answer = browser.send("PATCH", "/auth/login", &Value::Null).await;
    assert_eq!(
        (answer.status, &answer.headers["allow"]),
        (StatusCode::METHOD_NOT_ALLOWED, &"POST".parse().unwrap())
    );
}

#[tokio::test]
async fn endpoints_at_the_root_leave_the_applications_routes_alone() {
    let site = Site::new().await;
    let web = builder(&site.world, MemorySessions::new(), &site.reports).build();
    let app = Router::new()
        .route("/", get(async || "home"))
        .route("/hello/{name}", get(async || "hello"))
        .merge(router(&web, &site.detach));
    let mut browser = Browser::at(&app);
    assert_eq!(browser.get("/").await.text, "home");
    assert_eq!(browser.get("/hello/alice").await.text, "hello");
    assert_eq!(browser.get("/session").await.reason(), "signed_out");
    assert_eq!(browser.get("/nowhere").await.reason(), "no_such_page");
}
