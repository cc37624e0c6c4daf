//! What the application's own callback answers after single sign-on.

use countersign::tenant::SingleSignOn;
use countersign::user::UserStatus;
use countersign::{Scope, UserId};
use countersign_http::memory::MemorySessions;
use countersign_http::{LOGIN_TOKEN, Web, WebBuilder};
use http::request::Parts;
use http::{Request, StatusCode};
use serde_json::json;

use crate::browser::{Answer, Browser, DAY, Site, tenants};
use crate::described::ask;

/// The request of a browser that the identity provider has sent back.
fn callback(browser: &Browser<'_>) -> Parts {
    let mut request = Request::get("/sso/callback?code=x&state=y")
        .header("host", browser.host)
        .header("sec-fetch-site", "cross-site");
    let cookies: Vec<_> =
        browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if !cookies.is_empty() {
        request = request.header("cookie", cookies.join("; "));
    }
    request.body(()).unwrap().into_parts().0
}

async fn come_back(browser: &mut Browser<'_>, user: &str) -> Answer {
    let parts = callback(browser);
    let user = UserId::new(user).unwrap();
    let response = browser.site.web.after_single_sign_on(&parts, &user, "/home").await;
    let answer = Answer::of(response).await;
    browser.keep(&answer);
    answer
}

/// A site whose administrators are asked for a code after single sign-on.
async fn asking() -> Site {
    let site = Site::new().await;
    site.set(|settings| settings.single_sign_on = SingleSignOn::SystemAdministrators).await;
    site
}

/// I-36, I-43: a new identifier for the session, and a grant that claims no password.
#[tokio::test]
async fn exempt_users_are_signed_in_under_a_new_identifier() {
    let site = Site::new().await;
    let mut browser = site.browser();
    browser.cookies.insert("__Host-session".to_owned(), "planted".to_owned());
    let done = come_back(&mut browser, "alice").await;
    assert_eq!((done.status, done.step()), (StatusCode::OK, "authenticated"), "{}", done.text);
    assert_eq!((&done.json["amr"], &done.json["user"]), (&json!([]), &json!("alice")));
    assert_eq!(
        done.json["second_factor"],
        json!({"kind": "exempt", "exemption": "single_sign_on"})
    );
    let session = browser.session().unwrap().to_owned();
    assert_ne!(session, "planted");
    for (name, value) in [("cache-control", "no-store"), ("x-content-type-options", "nosniff")] {
        assert_eq!(done.headers[name], value);
    }
    // The session holds, although a password alone would not let her in.
    let who = browser.get("/session").await;
    assert_eq!((who.status, &who.json["amr"]), (StatusCode::OK, &json!([])));
    // Another login in this browser ends it.
    let again = come_back(&mut browser, "alice").await;
    assert_eq!(again.step(), "authenticated");
    assert_ne!(browser.session().unwrap(), session);
    assert_eq!(site.sessions.count(), 1);
}

/// I-32: the provider's word opens no sensitive page of a user who would need a code after a
/// password, however recent it is. Attack class: a weaker login for a stronger one.
#[tokio::test]
async fn the_providers_word_is_no_recent_login_with_a_code() {
    let window = std::time::Duration::from_secs(600);
    for (scope, expected) in [
        (Scope::EntireTenant, Some("reauthentication_required")),
        // Control: of these nobody is asked for a code.
        (Scope::DoNotUse, None),
    ] {
        let site = Site::new().await;
        site.set(|settings| settings.scope = scope).await;
        let mut browser = site.browser();
        assert_eq!(come_back(&mut browser, "alice").await.step(), "authenticated");
        let found = site.web.recently_signed_in(&callback(&browser), window).await;
        let refused = match found {
            Ok(grant) => {
                assert_eq!((grant.user().as_str(), expected), ("alice", None));
                continue;
            }
            Err(response) => Answer::of(response).await,
        };
        assert_eq!((refused.status, Some(refused.reason())), (StatusCode::FORBIDDEN, expected));
        // The session itself holds.
        assert_eq!(browser.get("/session").await.status, StatusCode::OK);
    }
}

/// I-43: administrators are asked for a code at every such login. No device token is sent, cleared
/// or handed out, and no device is registered, whatever the request asks for.
#[tokio::test]
async fn no_device_replaces_a_code_or_is_registered() {
    let site = asking().await;
    let mut browser = site.browser();
    // A trusted device of the same person, under the name by which they log in.
    let login = browser.begin("root").await;
    let body = json!({"code": site.world.last_code(), "trust_device": "laptop"});
    let _ = browser.post(&format!("/login/{login}/code"), body).await;
    let [device] = browser.named("device")[..] else { panic!("{:?}", browser.cookies) };
    let (device, token) = (device.to_owned(), browser.cookies[device].clone());
    assert_eq!(browser.password("root").await.step(), "authenticated");
    for _ in 0..2 {
        site.world.wait_for_the_spacing();
        let asked = come_back(&mut browser, "root").await;
        assert_eq!((asked.status, asked.step()), (StatusCode::OK, "code_required"));
        assert_eq!(asked.json["trust_device"], false);
        assert!(!asked.text.contains("csp1."), "{}", asked.text);
        let login = asked.json["login"].as_str().unwrap();
        let body = json!({"code": site.world.last_code(), "trust_device": "another"});
        let done = browser.post(&format!("/login/{login}/code"), body).await;
        assert_eq!((done.step(), &done.json["device_token"]), ("authenticated", &json!(false)));
        assert_eq!(done.json["amr"], json!(["otp", "mfa"]));
        let touched = |answer: &Answer| answer.cookies().iter().any(|it| it.contains("device"));
        assert!(!touched(&asked) && !touched(&done), "{:?} {:?}", asked.headers, done.headers);
        assert!(browser.named("login").is_empty(), "{:?}", browser.cookies);
    }
    assert_eq!(browser.cookies[&device], token);
    let devices = browser.get("/account").await.json["devices"].as_array().unwrap().clone();
    assert_eq!(devices.len(), 1, "{devices:?}");
    assert_eq!(devices[0]["label"], "laptop");
    // Control: after the password it still counts.
    assert_eq!(browser.password("root").await.step(), "authenticated");
}

/// I-29, I-43: a login by password trusts no device if its cookie claims single sign-on.
#[tokio::test]
async fn a_cookie_that_claims_single_sign_on_trusts_no_device() {
    let site = Site::new().await;
    let mut browser = site.browser();
    let login = browser.begin("alice").await;
    let (name, value) = browser.cookies.shift_remove_index(0).unwrap();
    let token = value.split('~').next().unwrap().to_owned();
    browser.cookies.insert(name, format!("{token}~single-sign-on"));
    let body = json!({"code": site.world.last_code(), "trust_device": "laptop"});
    let done = browser.post(&format!("/login/{login}/code"), body).await;
    assert_eq!((done.step(), &done.json["device_token"]), ("authenticated", &json!(false)));
    assert_eq!(browser.get("/account").await.json["devices"], json!([]));
}

/// The login goes on with the endpoints for codes: another code keeps its cookie.
#[tokio::test]
async fn a_login_goes_on_with_its_code() {
    let site = asking().await;
    let mut browser = site.browser();
    let asked = come_back(&mut browser, "root").await;
    let login = asked.json["login"].as_str().unwrap().to_owned();
    let [cookie] = asked.cookies()[..] else { panic!("{:?}", asked.cookies()) };
    for attribute in ["; HttpOnly", "; Secure", "; SameSite=Lax", "; Path=/", "; Max-Age=600"] {
        assert!(cookie.contains(attribute), "{attribute}: {cookie}");
    }
    assert_eq!(browser.get(&format!("/login/{login}")).await.step(), "code_required");
    site.world.wait_for_the_spacing();
    let again = browser.post(&format!("/login/{login}/resend"), json!({})).await;
    assert_eq!(again.step(), "code_required");
    let done = browser.code(&login, &site.world.last_code()).await;
    assert_eq!(done.step(), "authenticated", "{}", done.text);
    // In another browser it is over.
    site.world.wait_for_the_spacing();
    let asked = come_back(&mut browser, "root").await;
    let login = asked.json["login"].as_str().unwrap();
    let stranger = site.browser().code(login, &site.world.last_code()).await;
    assert_eq!(stranger.reason(), "login_over");
}

/// I-03, I-04: the user is one of the request's tenant, and of no other.
#[tokio::test]
async fn the_tenant_is_that_of_the_request() {
    let site = Site::new().await;
    let mut browser = site.browser();
    for (host, status, reason) in [
        ("other.example.com", StatusCode::FORBIDDEN, "invalid_credentials"),
        ("evil.example", StatusCode::NOT_FOUND, "no_such_page"),
    ] {
        browser.host = host;
        let refused = come_back(&mut browser, "alice").await;
        assert_eq!((refused.status, refused.reason()), (status, reason), "{host}");
        assert_eq!((browser.session(), site.sessions.count()), (None, 0));
    }
    browser.host = crate::browser::HOST;
    assert_eq!(come_back(&mut browser, "alice").await.step(), "authenticated");
    browser.host = "other.example.com";
    assert_eq!(browser.get("/session").await.reason(), "signed_out");
}

/// Nobody is signed in whom the application does not know, or no longer lets in.
#[tokio::test]
async fn a_user_who_may_not_log_in_is_refused() {
    let site = Site::new().await;
    let alice = UserId::new("alice").unwrap();
    let disable = |user: &mut countersign::user::User| user.status = UserStatus::Disabled;
    site.world.users.change(&site.world.tenant, &alice, disable).unwrap();
    let mut browser = site.browser();
    for user in ["alice", "nobody"] {
        let refused = come_back(&mut browser, user).await;
        assert_eq!(
            (refused.status, refused.step(), refused.reason()),
            (StatusCode::FORBIDDEN, "denied", "invalid_credentials")
        );
        let text = "You could not be logged in with single sign-on. Please ask an administrator.";
        assert_eq!(refused.json["message"], text);
        assert_eq!((browser.session(), site.sessions.count()), (None, 0));
    }
}

/// I-25: a session by single sign-on ends when the tenant asks for a code after it, and holds while
/// it does not.
#[tokio::test]
async fn a_session_ends_when_the_tenant_asks_for_more() {
    let site = Site::new().await;
    let (mut root, mut alice) = (site.browser(), site.browser());
    let _ = come_back(&mut root, "root").await;
    let _ = come_back(&mut alice, "alice").await;
    // I-34: after a password an administrator needs a code, so this session is not enough.
    assert_eq!(root.get("/administration").await.reason(), "not_found");
    site.set(|settings| settings.single_sign_on = SingleSignOn::SystemAdministrators).await;
    let stale = root.get("/session").await;
    assert_eq!((stale.status, stale.reason()), (StatusCode::UNAUTHORIZED, "signed_out"));
    assert_eq!(alice.get("/session").await.status, StatusCode::OK);
    assert_eq!(site.sessions.count(), 1, "the stale one is ended");
    site.set(|settings| settings.scope = Scope::DoNotUse).await;
    assert_eq!(alice.get("/session").await.status, StatusCode::OK);
}

/// I-40: unfinished logins leave a bounded number of cookies.
#[tokio::test]
async fn unfinished_logins_are_evicted() {
    let site = asking().await;
    let mut browser = site.browser();
    for number in 0..12 {
        site.world.clock.advance(std::time::Duration::from_secs(181));
        let asked = come_back(&mut browser, "root").await;
        assert_eq!(asked.step(), "code_required", "{number}: {}", asked.text);
        assert!(browser.named("login").len() <= 8, "{:?}", browser.cookies);
    }
}

/// A change of method that began in the session before is over with it, as after a password.
#[tokio::test]
async fn a_setup_of_the_session_before_is_over() {
    let site = Site::new().await;
    let mut browser = site.browser();
    site.sign_in(&mut browser, "alice").await;
    site.world.wait_for_the_spacing();
    let number = json!({"method": "sms", "phone": "+819012345678"});
    let _ = browser.post("/account/method", number).await;
    assert_eq!(browser.named("setup").len(), 1);
    let _ = come_back(&mut browser, "bob").await;
    assert!(browser.named("setup").is_empty(), "{:?}", browser.cookies);
}

/// In development, for this machine only.
#[tokio::test]
async fn the_mode_for_development_answers_this_machine_only() {
    let site = Site::with(|flow| flow, WebBuilder::development_on_loopback).await;
    let mut browser = site.browser();
    let refused = come_back(&mut browser, "alice").await;
    assert_eq!(refused.status, StatusCode::MISDIRECTED_REQUEST);
    assert_eq!(site.sessions.count(), 0);
}

/// A mobile application finds its token in the body.
#[tokio::test]
async fn a_mobile_application_keeps_its_token() {
    let site = asking().await;
    let web = Web::mobile_apps(&site.world.flow, tenants(), MemorySessions::new())
        .clock(site.world.clock.clone())
        .build();
    let (parts, root) = (callback(&site.browser()), UserId::new("root").unwrap());
    let asked = Answer::of(web.after_single_sign_on(&parts, &root, "").await).await;
    assert_eq!(asked.step(), "code_required");
    assert!(asked.cookies().is_empty(), "{:?}", asked.cookies());
    let (login, token) = (&asked.json["login"], &asked.json["secrets"]["login_token"]);
    let body = json!({"code": site.world.last_code(), "trust_device": "phone"}).to_string();
    let request = Request::post(format!("/login/{}/code", login.as_str().unwrap()))
        .header("host", crate::browser::HOST)
        .header("content-type", "application/json")
        .header(LOGIN_TOKEN, token.as_str().unwrap());
    let done = ask(&web, request.body(body).unwrap()).await;
    assert_eq!((done.step(), &done.json["device_token"]), ("authenticated", &json!(false)));
    site.world.clock.advance(DAY);
}
