//! Logins of people at a mobile application.

use std::sync::{Arc, Mutex};

use countersign::error::PluginError;
use countersign::policy::{Channel, PolicyContext, Requirement, StandardPolicy, TwoFactorPolicy};
use countersign_http::memory::MemorySessions;
use countersign_http::{DEVICE_TOKEN, LOGIN_TOKEN, SETUP_TOKEN, Web};
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::browser::{Answer, HOST, PASSWORD, Site, tenants};
use crate::described::ask;

/// The channels that the policy was asked about.
#[derive(Clone, Default)]
struct Channels(Arc<Mutex<Vec<Channel>>>);

impl TwoFactorPolicy for Channels {
    fn decide(&self, context: &PolicyContext<'_>) -> Result<Requirement, PluginError> {
        self.0.lock().unwrap().push(context.channel);
        StandardPolicy.decide(context)
    }
}

struct App {
    web: Web,
    session: Option<String>,
}

impl App {
    fn of(site: &Site) -> Self {
        let web = Web::mobile_apps(&site.world.flow, tenants(), MemorySessions::new())
            .clock(site.world.clock.clone())
            .build();
        Self { web, session: None }
    }

    async fn send(
        &mut self,
        method: &str,
        path: &str,
        token: Option<(&str, &str)>,
        body: Value,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", HOST)
            .header("content-type", "application/json");
        if let Some((name, token)) = token {
            request = request.header(name, token);
        }
        if let Some(session) = &self.session {
            request = request.header("cookie", session);
        }
        let request = request.body(body.to_string()).unwrap();
        let answer = ask(&self.web, request).await;
        for cookie in answer.cookies() {
            assert!(cookie.starts_with("__Host-session="), "no token is in a cookie: {cookie}");
            self.session = Some(cookie.split(';').next().unwrap().to_owned());
        }
        answer
    }
}

/// Tokens are in bodies and headers, and in no cookie and no address.
#[tokio::test]
async fn a_login_keeps_its_tokens_itself() {
    let channels = Channels::default();
    let asked = channels.clone();
    let site = Site::with(|builder| builder.policy(asked), |builder| builder).await;
    channels.0.lock().unwrap().clear();
    let mut app = App::of(&site);
    let begun =
        app.send("POST", "/login", None, json!({"name": "alice", "password": PASSWORD})).await;
    let login = begun.json["login"].as_str().unwrap().to_owned();
    let token = begun.json["secrets"]["login_token"].as_str().unwrap().to_owned();
    let token = Some((LOGIN_TOKEN, token.as_str()));
    let code = json!({"code": site.world.last_code(), "trust_device": "phone"});
    let path = format!("/login/{login}/code");
    let lost = app.send("POST", &path, None, code.clone()).await;
    assert_eq!((lost.status, lost.reason()), (StatusCode::GONE, "login_over"));
    let again = app.send("GET", &format!("/login/{login}"), token, Value::Null).await;
    assert_eq!(again.step(), "code_required");
    let done = app.send("POST", &path, token, code).await;
    assert_eq!((done.status, done.step()), (StatusCode::OK, "authenticated"));
    let device = done.json["secrets"]["device_token"].as_str().unwrap().to_owned();
    assert_eq!(app.send("GET", "/session", None, Value::Null).await.json["user"], "alice");

    let device = Some((DEVICE_TOKEN, device.as_str()));
    let body = json!({"name": "alice", "password": PASSWORD});
    let known = app.send("POST", "/login", device, body).await;
    assert_eq!(known.json["second_factor"]["kind"], "trusted_device");
    let seen = channels.0.lock().unwrap();
    assert!(!seen.is_empty());
    assert!(seen.iter().all(|channel| *channel == Channel::Mobile), "{seen:?}");
}

#[tokio::test]
async fn a_method_is_proved_with_the_token_of_its_own() {
    let site = Site::new().await;
    let mut app = App::of(&site);
    let begun =
        app.send("POST", "/login", None, json!({"name": "alice", "password": PASSWORD})).await;
    let login = begun.json["login"].as_str().unwrap().to_owned();
    let token = begun.json["secrets"]["login_token"].as_str().unwrap().to_owned();
    let code = json!({"code": site.world.last_code()});
    let path = format!("/login/{login}/code");
    let _ = app.send("POST", &path, Some((LOGIN_TOKEN, &token)), code).await;
    site.world.wait_for_the_spacing();
    let number = json!({"method": "sms", "phone": "+819012345678"});
    let prove = app.send("POST", "/account/method", None, number).await;
    assert_eq!(prove.json["change"], "prove");
    let token = prove.json["secrets"]["setup_token"].as_str().unwrap().to_owned();
    let code = json!({"code": site.world.last_code()});
    let lost = app.send("POST", "/account/method/confirm", None, code.clone()).await;
    assert_eq!((lost.status, lost.reason()), (StatusCode::GONE, "setup_over"));
    let done = app.send("POST", "/account/method/confirm", Some((SETUP_TOKEN, &token)), code).await;
    assert_eq!(done.json, json!({"change": "done", "method": "sms"}));
}

/// I-52: no page gets the tokens that are in bodies here, not even one of the site's own.
#[tokio::test]
async fn no_page_of_a_browser_gets_in_here() {
    let site = Site::new().await;
    let app = App::of(&site);
    site.world.calls.clear();
    for header in [
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-site", "none"),
        ("origin", "https://acme.example.com"),
        ("origin", "null"),
    ] {
        for (method, path) in [("POST", "/login"), ("POST", "/logout"), ("GET", "/session")] {
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("host", HOST)
                .header("content-type", "application/json")
                .header(header.0, header.1);
            let body = json!({"name": "alice", "password": PASSWORD}).to_string();
            let answer = ask(&app.web, request.body(body).unwrap()).await;
            assert_eq!(answer.reason(), "foreign_origin", "{method} {path} {header:?}");
        }
    }
    assert_eq!(site.world.calls.all(), Vec::<&str>::new());
}
