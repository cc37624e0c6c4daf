//! The page of a signed-in user, and the administrator's.

use countersign::user::UserStatus;
use http::StatusCode;
use serde_json::json;

use crate::browser::Site;

#[tokio::test]
async fn a_number_is_proved_before_codes_go_there() {
    let site = Site::new().await;
    let mut browser = site.browser();
    site.sign_in(&mut browser, "alice").await;
    site.world.wait_for_the_spacing();
    let bad = browser.post("/account/method", json!({"method": "sms", "phone": "12"})).await;
    assert_eq!(
        (bad.status, bad.reason()),
        (StatusCode::UNPROCESSABLE_ENTITY, "invalid_phone_number")
    );
    let number = json!({"method": "sms", "phone": "+819012345678"});
    let prove = browser.post("/account/method", number).await;
    assert_eq!((prove.status, &prove.json["change"]), (StatusCode::OK, &json!("prove")));
    assert!(!prove.text.contains("css1."), "{}", prove.text);
    assert_eq!(browser.named("setup").len(), 1);
    let wrong = json!({"code": site.world.wrong_code()});
    let wrong = browser.post("/account/method/confirm", wrong).await;
    assert_eq!((wrong.status, wrong.reason()), (StatusCode::FORBIDDEN, "wrong_code"));
    let right = json!({"code": site.world.last_code()});
    let done = browser.post("/account/method/confirm", right).await;
    assert_eq!(done.json, json!({"change": "done", "method": "sms"}));
    assert!(browser.named("setup").is_empty());
    let account = browser.get("/account").await;
    assert_eq!(account.json["method"], "sms");
    assert_eq!(account.json["phone"], "+81 *** **78");
}

/// I-32: a change needs a recent code, and a session that holds.
#[tokio::test]
async fn an_old_session_is_told_to_sign_in_again_with_a_code() {
    let site = Site::new().await;
    let mut browser = site.browser();
    assert_eq!(browser.get("/account").await.reason(), "signed_out");
    site.sign_in(&mut browser, "alice").await;
    site.world.clock.advance(std::time::Duration::from_secs(601));
    let late = browser.post("/account/backup-code", json!({})).await;
    let expected = (StatusCode::FORBIDDEN, "reauthentication_required");
    assert_eq!((late.status, late.reason()), expected);
    assert_eq!(browser.get("/account").await.status, StatusCode::OK);
}

/// The session of a user who was disabled meanwhile is over, wherever that is noticed first.
#[tokio::test]
async fn a_session_that_does_not_hold_ends() {
    for path in ["/account", "/session", "/administration"] {
        let site = Site::new().await;
        let mut browser = site.browser();
        site.sign_in(&mut browser, "alice").await;
        let alice = countersign::UserId::new("alice").unwrap();
        let disable = |user: &mut countersign::user::User| user.status = UserStatus::Disabled;
        site.world.users.change(&site.world.tenant, &alice, disable).unwrap();
        let over = browser.get(path).await;
        assert_eq!(
            (over.status, over.reason()),
            (StatusCode::UNAUTHORIZED, "signed_out"),
            "{path}"
        );
        assert_eq!(over.headers["www-authenticate"], "countersign");
        // The browser keeps its cookie: the answer may be late, after another login.
        assert!(over.cookies().is_empty(), "{path}");
        assert_eq!(site.sessions.count(), 0, "{path}");
    }
}

/// I-35: a session of another channel is not ended here, and opens nothing here.
#[tokio::test]
async fn a_session_of_another_channel_is_left_alone() {
    use countersign::policy::Channel;
    use countersign::{Login, LoginStep};
    let site = Site::new().await;
    let login = Login {
        name: "root",
        password: &crate::browser::PASSWORD.into(),
        channel: Channel::ExemptApi,
        device: None,
    };
    let LoginStep::Authenticated(done) = site.world.request().begin(&login).await.unwrap() else {
        panic!("programs are exempt")
    };
    let (parts, ()) = http::Request::get("/").body(()).unwrap().into_parts();
    let started = countersign_http::Sessions::start(&site.sessions, &parts, &done.grant).await;
    let cookie = started.unwrap()["set-cookie"].to_str().unwrap().to_owned();
    let id = cookie.split(';').next().unwrap().split_once('=').unwrap().1;
    let mut browser = site.browser();
    browser.cookies.insert("__Host-session".to_owned(), id.to_owned());
    for path in ["/session", "/account", "/administration"] {
        assert_eq!(browser.get(path).await.reason(), "signed_out", "{path}");
    }
    assert_eq!(site.sessions.count(), 1);
}

/// I-34: an administrator's page is nobody else's.
#[tokio::test]
async fn administrators_switch_reset_and_unlock() {
    let site = Site::new().await;
    let (mut alice, mut root) = (site.browser(), site.browser());
    site.sign_in(&mut alice, "alice").await;
    for path in ["/administration", "/administration/users/bob"] {
        let hidden = alice.get(path).await;
        assert_eq!(
            (hidden.status, hidden.reason()),
            (StatusCode::NOT_FOUND, "not_found"),
            "{path}"
        );
    }
    site.sign_in(&mut root, "root").await;
    let page = root.get("/administration").await.json;
    assert_eq!((&page["scope"], &page["saved_users"]), (&json!("entire_tenant"), &json!(2)));
    assert!(page.get("purge").is_none(), "{page}");
    let known = root.get("/administration/users/ali%63e").await;
    assert_eq!((known.status, &known.json["method"]), (StatusCode::OK, &json!("email")));
    let unknown = root.get("/administration/users/nobody").await;
    assert_eq!((unknown.status, unknown.reason()), (StatusCode::NOT_FOUND, "not_found"));
    let reset = root.post("/administration/users/alice/reset", json!({})).await;
    assert_eq!(reset.status, StatusCode::OK, "{}", reset.text);
    assert_eq!(alice.get("/session").await.status, StatusCode::UNAUTHORIZED);
    let own = root.post("/administration/users/root/reset", json!({})).await;
    assert_eq!((own.status, own.reason()), (StatusCode::FORBIDDEN, "own_account"));
    let unlock = root.post("/administration/users/bob/unlock", json!({})).await;
    assert_eq!(unlock.status, StatusCode::NO_CONTENT);
    let shown = root.get("/administration").await.json;
    let mut change = json!({"version": shown["version"], "settings": shown["settings"]});
    change["settings"]["scope"] = json!("do_not_use");
    let off = root.send("PUT", "/administration/settings", &change).await;
    assert_eq!(off.json["settings"], change["settings"]);
    let page = root.get("/administration").await;
    assert_eq!(page.json["scope"], "do_not_use");
    assert!(page.json["purge"]["started_at"].is_string(), "{}", page.text);
    assert_eq!(page.json["saved_users"], 0);
    assert_eq!(site.browser().password("alice").await.step(), "authenticated");
}

/// What breaks is told to the operator and not to the client, and ends no session.
#[tokio::test]
async fn a_failure_keeps_the_session_and_its_cause() {
    use countersign_testkit::{Failing, InjectedFault, Mishaps};
    let site = Site::new().await;
    let mut browser = site.browser();
    site.sign_in(&mut browser, "alice").await;
    let mishaps = Mishaps::new();
    let broken = Failing::new(countersign::memory::MemoryFactors::new(), &mishaps);
    let flow = site.world.flow_over(broken, |builder| builder).unwrap();
    let failures = std::sync::Arc::clone(&site.failures);
    let web =
        countersign_http::Web::browsers(&flow, crate::browser::tenants(), site.sessions.clone())
            .on_failure(move |error| failures.lock().unwrap().push(error.to_string()))
            .build();
    mishaps.next_of("load", InjectedFault::Before);
    let request = http::Request::get("/session")
        .header("host", crate::browser::HOST)
        .header("cookie", format!("__Host-session={}", browser.session().unwrap()));
    let answer = crate::described::ask(&web, request.body(String::new()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    let text = "Something went wrong. Please try again later.";
    assert_eq!(answer.json, json!({"reason": "failed", "message": text}));
    assert!(answer.cookies().is_empty());
    assert_eq!(site.failures.lock().unwrap().len(), 1);
    assert_eq!(browser.get("/session").await.status, StatusCode::OK);
}

/// The application's own pages ask who is signed in, and get a response for everybody else.
#[tokio::test]
async fn own_pages_know_who_is_signed_in() {
    let site = Site::new().await;
    let (mut alice, mut root) = (site.browser(), site.browser());
    site.sign_in(&mut alice, "alice").await;
    site.sign_in(&mut root, "root").await;
    let parts = |browser: &crate::browser::Browser<'_>, method: &str, from: &str| {
        let session = browser.session().unwrap_or("none");
        let request = http::Request::builder()
            .method(method)
            .header("host", crate::browser::HOST)
            .header("sec-fetch-site", from)
            .header("cookie", format!("__Host-session={session}"));
        request.body(()).unwrap().into_parts().0
    };
    let own = |browser: &_| parts(browser, "POST", "same-origin");
    assert_eq!(site.web.signed_in(&own(&alice)).await.unwrap().user().as_str(), "alice");
    let foreign = site.web.signed_in(&parts(&alice, "POST", "cross-site")).await.unwrap_err();
    assert_eq!(foreign.status(), StatusCode::FORBIDDEN);
    let looking = site.web.signed_in(&parts(&alice, "GET", "cross-site")).await;
    assert_eq!(looking.unwrap().user().as_str(), "alice");
    // A page of any site can open a WebSocket, which begins with a GET (I-52).
    for (from, comes_through) in
        [("cross-site", false), ("same-site", false), ("same-origin", true)]
    {
        let mut socket = parts(&alice, "GET", from);
        socket.headers.insert("upgrade", http::HeaderValue::from_static("websocket"));
        let answered = site.web.signed_in(&socket).await;
        assert_eq!(answered.is_ok(), comes_through, "{from}");
    }
    let stranger = site.web.signed_in(&own(&site.browser())).await.unwrap_err();
    assert_eq!(stranger.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(stranger.headers()["cache-control"], "no-store");

    let administrator = site.web.administrator(&own(&root)).await.unwrap();
    assert_eq!(administrator.tenant(), &site.world.tenant);
    let hidden = site.web.administrator(&own(&alice)).await.unwrap_err();
    assert_eq!(hidden.status(), StatusCode::NOT_FOUND);

    let user = countersign::UserId::new("alice").unwrap();
    let disable = |user: &mut countersign::user::User| user.status = UserStatus::Disabled;
    site.world.users.change(&site.world.tenant, &user, disable).unwrap();
    let over = site.web.signed_in(&own(&alice)).await.unwrap_err();
    assert_eq!(over.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(site.sessions.count(), 1);
}

/// I-32: an application's own sensitive pages ask for a recent login with a code.
#[tokio::test]
async fn own_sensitive_pages_need_a_recent_code() {
    let site = Site::new().await;
    let mut alice = site.browser();
    let login = alice.begin("alice").await;
    let trusting = json!({"code": site.world.last_code(), "trust_device": "laptop"});
    alice.post(&format!("/login/{login}/code"), trusting).await;
    let window = std::time::Duration::from_secs(600);
    let parts = |browser: &crate::browser::Browser<'_>, language: &str| {
        let session = browser.session().unwrap_or("none");
        let request = http::Request::get("/own")
            .header("host", crate::browser::HOST)
            .header("accept-language", language)
            .header("cookie", format!("__Host-session={session}"));
        request.body(()).unwrap().into_parts().0
    };
    let stranger = site.web.recently_signed_in(&parts(&site.browser(), "en"), window).await;
    assert_eq!(stranger.unwrap_err().status(), StatusCode::UNAUTHORIZED);
    site.world.clock.advance(std::time::Duration::from_secs(599));
    let recent = site.web.recently_signed_in(&parts(&alice, "en"), window).await;
    assert_eq!(recent.unwrap().user().as_str(), "alice");
    site.world.clock.advance(std::time::Duration::from_secs(1));
    for (language, text) in [("en", "Your last login with a code was"), ("ja", "\u{5909}\u{66f4}")]
    {
        let refused = site.web.recently_signed_in(&parts(&alice, language), window).await;
        let refused = crate::browser::Answer::of(refused.unwrap_err()).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        assert_eq!(refused.reason(), "reauthentication_required");
        assert_eq!(refused.json["ends_login"], false);
        assert!(refused.json["message"].as_str().unwrap().contains(text), "{}", refused.text);
        assert_eq!(refused.headers["cache-control"], "no-store");
    }
    // A trusted device is no code, however recent its login is.
    assert_eq!(alice.password("alice").await.step(), "authenticated");
    let device = site.web.recently_signed_in(&parts(&alice, "en"), window).await;
    assert_eq!(device.unwrap_err().status(), StatusCode::FORBIDDEN);
    assert_eq!(site.web.base_path(), "");
}

/// I-32: no page is laxer than the flow.
#[tokio::test]
async fn own_sensitive_pages_are_no_laxer_than_the_flow() {
    let short = std::time::Duration::from_secs(120);
    let site = Site::with(|flow| flow.recent_login(short), |web| web).await;
    let mut alice = site.browser();
    site.sign_in(&mut alice, "alice").await;
    let request = http::Request::get("/own")
        .header("host", crate::browser::HOST)
        .header("cookie", format!("__Host-session={}", alice.session().unwrap()));
    let (parts, ()) = request.body(()).unwrap().into_parts();
    site.world.clock.advance(std::time::Duration::from_secs(119));
    assert!(site.web.recently_signed_in(&parts, 5 * short).await.is_ok());
    assert!(site.web.recently_signed_in(&parts, short / 2).await.is_err());
    site.world.clock.advance(std::time::Duration::from_secs(1));
    let refused = site.web.recently_signed_in(&parts, 5 * short).await.unwrap_err();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
}

/// I-31: what is shown once is shown also where the session could not be started.
#[tokio::test]
async fn a_session_that_does_not_start_loses_no_backup_code() {
    let site = Site::new().await;
    let mut browser = site.browser();
    site.sign_in(&mut browser, "alice").await;
    let made = browser.post("/account/backup-code", json!({})).await;
    let code = made.json["secrets"]["backup_code"].as_str().unwrap().to_owned();
    site.world.wait_for_the_spacing();
    let login = browser.begin("alice").await;
    let reported = std::sync::Arc::clone(&site.failures);
    let broken =
        countersign_http::Web::browsers(&site.world.flow, crate::browser::tenants(), NoSessions)
            .clock(site.world.clock.clone())
            .on_failure(move |error| reported.lock().unwrap().push(error.to_string()))
            .build();
    let cookies: Vec<_> =
        browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let request = http::Request::post(format!("/login/{login}/backup-code"))
        .header("host", crate::browser::HOST)
        .header("sec-fetch-site", "same-origin")
        .header("content-type", "application/json")
        .header("cookie", cookies.join("; "));
    let request = request.body(json!({"code": code}).to_string()).unwrap();
    let answer = crate::described::ask(&broken, request).await;
    assert_eq!((answer.status, answer.reason()), (StatusCode::INTERNAL_SERVER_ERROR, "failed"));
    let next = answer.json["secrets"]["backup_code"].as_str().unwrap().to_owned();
    assert!(answer.cookies()[0].contains("-login-") && answer.cookies()[0].contains("Max-Age=0"));
    assert_eq!(*site.failures.lock().unwrap(), ["the session store is down"]);
    // The session that does not end is no reason to look like a failure.
    let logout = broken.handle(
        http::Request::get("/session")
            .header("host", crate::browser::HOST)
            .body(String::new())
            .unwrap(),
    );
    assert_eq!(logout.await.status(), StatusCode::UNAUTHORIZED);
    browser.cookies.clear();
    site.world.wait_for_the_spacing();
    let login = browser.begin("alice").await;
    let body = json!({"code": next});
    let used = browser.post(&format!("/login/{login}/backup-code"), body).await;
    assert_eq!(used.step(), "authenticated");
}

/// Sessions that can't be started or ended.
pub struct NoSessions;

#[async_trait::async_trait]
impl countersign_http::Sessions for NoSessions {
    async fn get(
        &self,
        _: &http::request::Parts,
    ) -> Result<Option<countersign::SavedGrant>, countersign::error::PluginError> {
        Ok(None)
    }

    async fn start(
        &self,
        _: &http::request::Parts,
        _: &countersign::SavedGrant,
    ) -> Result<http::HeaderMap, countersign::error::PluginError> {
        Err(countersign::error::PluginError::new("the session store is down"))
    }

    async fn end(
        &self,
        _: &http::request::Parts,
    ) -> Result<http::HeaderMap, countersign::error::PluginError> {
        Err(countersign::error::PluginError::new("the session store is down"))
    }
}

/// The last wrong code ends the change, and the browser forgets its token.
#[tokio::test]
async fn a_change_that_is_over_leaves_no_cookie() {
    let site = Site::new().await;
    let mut browser = site.browser();
    site.sign_in(&mut browser, "alice").await;
    site.world.wait_for_the_spacing();
    let number = json!({"method": "sms", "phone": "+819012345678"});
    browser.post("/account/method", number).await;
    let wrong = json!({"code": site.world.wrong_code()});
    for left in (0..5).rev() {
        assert_eq!(browser.named("setup").len(), 1, "{left}");
        let answer = browser.post("/account/method/confirm", wrong.clone()).await;
        assert_eq!((answer.reason(), &answer.json["attempts_left"]), ("wrong_code", &json!(left)));
    }
    assert!(browser.named("setup").is_empty(), "{:?}", browser.cookies);
    let over = browser.post("/account/method/confirm", wrong).await;
    assert_eq!((over.status, over.reason()), (StatusCode::GONE, "setup_over"));
}

/// An empty field of a form names no device to trust.
#[tokio::test]
async fn no_device_is_trusted_without_a_name() {
    let site = Site::new().await;
    let mut browser = site.browser();
    let login = browser.begin("alice").await;
    let blank = json!({"code": site.world.last_code(), "trust_device": " "});
    let done = browser.post(&format!("/login/{login}/code"), blank).await;
    assert_eq!((done.status, done.step()), (StatusCode::OK, "authenticated"));
    assert!(browser.named("device").is_empty(), "{:?}", browser.cookies);
    assert_eq!(browser.get("/account").await.json["devices"], json!([]));
}
