//! Logins of people at a browser.

use countersign_testkit::other_code;
use http::StatusCode;
use serde_json::json;

use crate::browser::{PASSWORD, Site};

/// I-52: every cookie is for this very host over https, and no script reads it.
#[tokio::test]
async fn a_login_by_code_starts_a_session_under_a_new_identifier() {
    let site = Site::new().await;
    let mut browser = site.browser();
    browser.cookies.insert("__Host-session".to_owned(), "planted".to_owned());
    let first = browser.password("alice").await;
    assert_eq!(first.json["delivery"]["state"], "sent");
    let login = first.json["login"].as_str().unwrap().to_owned();
    let [cookie] = first.cookies()[..] else { panic!("{:?}", first.cookies()) };
    assert!(cookie.starts_with(&format!("__Host-countersign-login-{login}=csp1.")), "{cookie}");
    for attribute in ["; HttpOnly", "; Secure", "; SameSite=Lax", "; Path=/", "; Max-Age=600"] {
        assert!(cookie.contains(attribute), "{attribute}: {cookie}");
    }
    assert!(!first.text.contains("csp1."), "{}", first.text);
    assert_eq!(browser.get("/session").await.status, StatusCode::UNAUTHORIZED);

    let wrong = browser.code(&login, &site.world.wrong_code()).await;
    assert_eq!((wrong.status, wrong.reason()), (StatusCode::FORBIDDEN, "wrong_code"));
    assert_eq!(wrong.json["message"], "This code is wrong. 4 attempts are left.");

    let right = browser.code(&login, &site.world.last_code()).await;
    assert_eq!((right.status, right.step()), (StatusCode::OK, "authenticated"));
    assert!(browser.named("login").is_empty(), "{:?}", browser.cookies);
    let session = browser.session().unwrap().to_owned();
    assert_ne!(session, "planted");
    let who = browser.get("/session").await;
    assert_eq!((who.status, &who.json["user"]), (StatusCode::OK, &json!("alice")));
    assert_eq!(who.json["second_factor"], json!({"kind": "code", "method": "email"}));

    // A second login of the same person ends the session before.
    site.sign_in(&mut browser, "alice").await;
    assert_ne!(browser.session().unwrap(), session);
    assert_eq!(site.sessions.count(), 1);
    let out = browser.post("/logout", json!({})).await;
    assert_eq!((out.status, browser.session()), (StatusCode::NO_CONTENT, None));
    assert_eq!(site.sessions.count(), 0);
    assert_eq!(browser.get("/session").await.reason(), "signed_out");
}

/// I-02, I-05: nobody is signed in by a token that has done its work.
#[tokio::test]
async fn the_right_code_submitted_twice_signs_in_once() {
    let site = Site::new().await;
    let (mut browser, mut double) = (site.browser(), site.browser());
    let login = browser.begin("alice").await;
    double.cookies.clone_from(&browser.cookies);
    let code = site.world.last_code();
    assert_eq!(browser.code(&login, &code).await.status, StatusCode::OK);
    let again = double.code(&login, &code).await;
    assert_eq!((again.status, again.reason()), (StatusCode::GONE, "login_over"));
    assert_eq!(double.session(), None);
    assert!(double.cookies.is_empty(), "{:?}", double.cookies);
    assert_eq!(site.sessions.count(), 1);
    assert_eq!(browser.get("/session").await.status, StatusCode::OK);
}

/// Two tabs of one browser have a login each, and each works.
#[tokio::test]
async fn two_tabs_do_not_meet() {
    let site = Site::new().await;
    let mut browser = site.browser();
    let first = browser.begin("alice").await;
    let code = site.world.last_code();
    site.world.wait_for_the_spacing();
    let second = browser.begin("bob").await;
    assert_eq!(browser.named("login").len(), 2);
    let right = browser.code(&first, &code).await;
    assert_eq!(right.json["user"], "alice");
    let right = browser.code(&second, &site.world.last_code()).await;
    assert_eq!(right.json["user"], "bob");
    // The code of one tab is not taken in the other.
    site.world.wait_for_the_spacing();
    let (one, code) = (browser.begin("alice").await, site.world.last_code());
    site.world.wait_for_the_spacing();
    let other = browser.begin("alice").await;
    let wrong = if code == site.world.last_code() { other_code(&code) } else { code };
    assert_eq!(browser.code(&other, &wrong).await.reason(), "wrong_code");
    assert_ne!(one, other);
}

/// A reload shows the same challenge and sends nothing (I-46).
#[tokio::test]
async fn a_reload_shows_the_same_challenge() {
    let site = Site::new().await;
    let mut browser = site.browser();
    let login = browser.begin("alice").await;
    let sent = site.world.outbox.attempts();
    for _ in 0..3 {
        let again = browser.get(&format!("/login/{login}")).await;
        assert_eq!((again.status, again.step()), (StatusCode::OK, "code_required"));
        assert_eq!(again.json["delivery"]["state"], "made_earlier");
        assert!(again.cookies().is_empty(), "{:?}", again.cookies());
    }
    assert_eq!(site.world.outbox.attempts(), sent);
    // Without its cookie it is over, as it is in another browser.
    let stranger = site.browser().get(&format!("/login/{login}")).await;
    assert_eq!((stranger.status, stranger.reason()), (StatusCode::GONE, "login_over"));
    site.world.clock.advance(std::time::Duration::from_secs(601));
    let over = browser.get(&format!("/login/{login}")).await;
    assert_eq!((over.status, over.reason()), (StatusCode::GONE, "login_over"));
    assert!(browser.cookies.is_empty(), "{:?}", browser.cookies);
}

/// After a resend the newest code counts, and the cookie stays.
#[tokio::test]
async fn another_code_goes_out_when_it_may() {
    let site = Site::new().await;
    let mut browser = site.browser();
    let login = browser.begin("alice").await;
    let early = browser.post(&format!("/login/{login}/resend"), json!({})).await;
    assert_eq!((early.status, early.reason()), (StatusCode::TOO_MANY_REQUESTS, "send_limit"));
    assert_eq!(early.headers["retry-after"], "30");
    assert_eq!(early.json["message"], "A new code cannot be sent yet. Try again in 30 seconds.");
    site.world.wait_for_the_spacing();
    let again = browser.post(&format!("/login/{login}/resend"), json!({"to": "email"})).await;
    assert_eq!((again.status, &again.json["delivery"]["state"]), (StatusCode::OK, &json!("sent")));
    let right = browser.code(&login, &site.world.last_code()).await;
    assert_eq!(right.step(), "authenticated");
}

#[tokio::test]
async fn a_login_that_is_given_up_is_over() {
    let site = Site::new().await;
    let mut browser = site.browser();
    let login = browser.begin("alice").await;
    let kept = browser.cookies.clone();
    let cancelled = browser.post(&format!("/login/{login}/cancel"), json!({})).await;
    assert_eq!((cancelled.status, cancelled.text.as_str()), (StatusCode::NO_CONTENT, ""));
    assert!(browser.cookies.is_empty());
    browser.cookies = kept;
    assert_eq!(browser.code(&login, &site.world.last_code()).await.reason(), "login_over");
}

/// I-29: people who share a browser stay trusted each, and a re-authentication asks for a code.
#[tokio::test]
async fn each_person_has_a_device_cookie() {
    let site = Site::new().await;
    let mut browser = site.browser();
    for name in ["alice", "bob"] {
        site.world.wait_for_the_spacing();
        let login = browser.begin(name).await;
        let body = json!({"code": site.world.last_code(), "trust_device": "the kitchen"});
        let done = browser.post(&format!("/login/{login}/code"), body).await;
        assert_eq!(done.json["device_token"], true);
        assert!(!done.text.contains("csd1."), "{}", done.text);
        let cookies = done.cookies();
        let device = cookies.iter().find(|cookie| cookie.contains("-device-")).unwrap();
        assert!(device.contains("; SameSite=Strict") && device.contains("; Max-Age=34560000"));
    }
    assert_eq!(browser.named("device").len(), 2);
    for name in ["alice", "bob"] {
        let known = browser.password(name).await;
        assert_eq!(known.json["second_factor"]["kind"], "trusted_device", "{name}");
    }
    site.world.wait_for_the_spacing();
    let body = json!({"name": "alice", "password": PASSWORD, "reauthenticate": true});
    let again = browser.post("/login", body).await;
    assert_eq!(again.step(), "code_required");
    assert_eq!(browser.named("device").len(), 2, "it was not presented, so it is not dead");
    // The same browser, trusted again, takes the place of its earlier entry.
    let login = again.json["login"].as_str().unwrap();
    let body = json!({"code": site.world.last_code(), "trust_device": "the kitchen"});
    let _ = browser.post(&format!("/login/{login}/code"), body).await;
    let account = browser.get("/account").await;
    assert_eq!(account.json["devices"].as_array().unwrap().len(), 1);
    // A device that was revoked is forgotten at the next login.
    let _ = browser.send("DELETE", "/account/devices", &json!({})).await;
    site.world.wait_for_the_spacing();
    let _ = browser.begin("alice").await;
    assert_eq!(browser.named("device").len(), 1);
}

/// I-40: a browser does not send ever longer headers.
#[tokio::test]
async fn unfinished_logins_leave_a_bounded_number_of_cookies() {
    let site = Site::new().await;
    let mut browser = site.browser();
    let mut begun = Vec::new();
    for number in 0..12 {
        site.world.clock.advance(std::time::Duration::from_secs(31));
        let name = if number % 2 == 0 { "alice" } else { "bob" };
        let answer = browser.password(name).await;
        assert_eq!(answer.status, StatusCode::OK, "{number}: {}", answer.text);
        begun.push(format!("__Host-countersign-login-{}", answer.json["login"].as_str().unwrap()));
        assert!(browser.named("login").len() <= 8, "{:?}", browser.cookies);
    }
    // The oldest go, so that the newest can be completed.
    assert_eq!(browser.named("login"), begun[4..]);
}

#[tokio::test]
async fn the_backup_code_is_shown_once_with_its_successor() {
    let site = Site::new().await;
    let mut browser = site.browser();
    site.sign_in(&mut browser, "alice").await;
    let made = browser.post("/account/backup-code", json!({})).await;
    let code = made.json["secrets"]["backup_code"].as_str().unwrap().to_owned();
    site.world.wait_for_the_spacing();
    let login = browser.begin("alice").await;
    let used = browser.post(&format!("/login/{login}/backup-code"), json!({"code": code})).await;
    assert_eq!(used.step(), "authenticated");
    let next = used.json["secrets"]["backup_code"].as_str().unwrap();
    assert_ne!(next, code);
}

/// A cookie that is no text hides no other, and none passes for another by spaces or repetition.
#[tokio::test]
async fn cookies_are_read_as_bytes_and_once() {
    use http::{HeaderValue, Request};
    let site = Site::new().await;
    let mut browser = site.browser();
    site.sign_in(&mut browser, "alice").await;
    let session = browser.session().unwrap();
    let is_signed_in = async |cookies: String| {
        let value = HeaderValue::from_bytes(cookies.as_bytes()).unwrap();
        let request = Request::get("/session").header("host", crate::browser::HOST);
        let request = request.header("cookie", value).body(String::new()).unwrap();
        crate::described::ask(&site.web, request).await.status == StatusCode::OK
    };
    let own = format!("__Host-session={session}");
    for (cookies, expected) in [
        (own.clone(), true),
        (format!("lang=日本; {own}"), true),
        (format!("a; =b; ;{own};"), true),
        (format!("\u{2000}{own}"), false),
        (format!("\u{a0}{own}; x=1"), false),
        (format!("__host-session={session}"), false),
        (format!("__Host-session=\"{session}\""), false),
        (format!("{own}; __Host-session=planted"), false),
        (format!("__Host-session=planted; {own}"), false),
    ] {
        assert_eq!(is_signed_in(cookies.clone()).await, expected, "{cookies}");
    }
}

/// I-40: a browser that many people use keeps the devices of some of them.
#[tokio::test]
async fn a_shared_browser_keeps_a_bounded_number_of_devices() {
    let site = Site::new().await;
    let mut browser = site.browser();
    for number in 0..40 {
        let tag = format!("__Host-countersign-device-{number:016}");
        browser.cookies.insert(tag, "csd1.planted".to_owned());
    }
    for name in ["alice", "bob"] {
        site.world.wait_for_the_spacing();
        let login = browser.begin(name).await;
        let body = json!({"code": site.world.last_code(), "trust_device": "the kitchen"});
        let _ = browser.post(&format!("/login/{login}/code"), body).await;
        assert!(browser.named("device").len() <= 16, "{:?}", browser.named("device"));
        assert_eq!(browser.password(name).await.step(), "authenticated");
    }
}

/// Nothing that is printed of a response holds a token (I-22).
#[tokio::test]
async fn a_response_prints_no_token() {
    let site = Site::new().await;
    let request = http::Request::post("/login")
        .header("host", crate::browser::HOST)
        .header("sec-fetch-site", "same-origin")
        .header("content-type", "application/json");
    let body = json!({"name": "alice", "password": PASSWORD}).to_string();
    let response = site.web.handle(request.body(body).unwrap()).await;
    assert_eq!(response.status(), StatusCode::OK);
    let printed = format!("{:?}", response.headers());
    assert!(printed.contains("set-cookie") && !printed.contains("csp1."), "{printed}");
}

/// I-29: a login whose cookie was tampered with trusts no device, and completes nothing.
#[tokio::test]
async fn a_login_without_its_person_is_over() {
    let site = Site::new().await;
    let mut browser = site.browser();
    let login = browser.begin("alice").await;
    let (name, value) = browser.cookies.shift_remove_index(0).unwrap();
    let token = value.split('~').next().unwrap().to_owned();
    for tampered in [token.clone(), format!("{token}~"), format!("{token}~short"), "~".to_owned()] {
        browser.cookies.insert(name.clone(), tampered.clone());
        let body = json!({"code": site.world.last_code(), "trust_device": "laptop"});
        let answer = browser.post(&format!("/login/{login}/code"), body).await;
        assert_eq!(answer.reason(), "login_over", "{tampered}");
        assert_eq!(site.sessions.count(), 0);
    }
    browser.cookies.insert(name, value);
    let body = json!({"code": site.world.last_code(), "trust_device": "laptop"});
    let done = browser.post(&format!("/login/{login}/code"), body).await;
    assert_eq!(done.json["device_token"], true);
    assert_eq!(browser.named("device").len(), 1);
}
