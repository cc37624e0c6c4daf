//! Requests that do not come from the site's own pages.

use http::{Request, StatusCode, header};
use serde_json::{Value, json};

use crate::browser::{Answer, HOST, PASSWORD, Site};
use crate::described::ask;

/// Every endpoint that changes something.
const CHANGES: [(&str, &str); 16] = [
    ("POST", "/login"),
    ("POST", "/login/AAAAAAAAAAAAAAAAAAAAAA/code"),
    ("POST", "/login/AAAAAAAAAAAAAAAAAAAAAA/backup-code"),
    ("POST", "/login/AAAAAAAAAAAAAAAAAAAAAA/resend"),
    ("POST", "/login/AAAAAAAAAAAAAAAAAAAAAA/cancel"),
    ("POST", "/logout"),
    ("POST", "/account/method"),
    ("POST", "/account/method/confirm"),
    ("DELETE", "/account/devices"),
    ("DELETE", "/account/devices/AAAAAAAAAAAAAAAAAAAAAA"),
    ("POST", "/account/backup-code"),
    ("PUT", "/administration/settings"),
    ("POST", "/administration/rehearsal"),
    ("POST", "/administration/users/alice/reset"),
    ("POST", "/administration/users/alice/unlock"),
    ("POST", "/administration/users/root/reset"),
];

async fn send(site: &Site, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path).header("host", HOST);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    ask(&site.web, request.body(String::new()).unwrap()).await
}

/// I-52: each changing request of another site is refused before anything is looked at, for login
/// and logout too.
#[tokio::test]
async fn no_other_site_changes_anything() {
    let site = Site::new().await;
    let json_type = ("content-type", "application/json");
    let form = ("content-type", "application/x-www-form-urlencoded");
    let own = "https://acme.example.com";
    let foreign: [&[(&str, &str)]; 14] = [
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "cross-site"), json_type],
        // What says where it comes from first counts.
        &[("sec-fetch-site", "cross-site"), ("origin", own), json_type],
        &[("origin", "https://evil.example")],
        &[("origin", "https://evil.example"), json_type],
        &[("origin", "null"), json_type],
        &[("origin", "http://acme.example.com"), json_type],
        &[("origin", "https://acme.example.com:8443"), json_type],
        &[("origin", "https://acme.example.com.evil.example"), json_type],
        &[("origin", own), ("origin", "https://evil.example"), json_type],
        &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site"), json_type],
        &[("sec-fetch-site", "SAME-ORIGIN"), json_type],
        &[("sec-fetch-site", ""), json_type],
    ];
    site.world.calls.clear();
    for (method, path) in CHANGES {
        for headers in foreign {
            let answer = send(&site, method, path, headers).await;
            let about = format!("{method} {path} {headers:?}");
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{about}");
            assert_eq!(answer.reason(), "foreign_origin", "{about}");
            assert!(answer.cookies().is_empty(), "{about}");
        }
        // A form of which no browser says where it comes from.
        for headers in [&[form][..], &[], &[("content-type", "text/plain")]] {
            if method == "POST" {
                let answer = send(&site, method, path, headers).await;
                assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{path} {headers:?}");
                assert_eq!(answer.reason(), "json_expected", "{path} {headers:?}");
            }
        }
        let twice = [json_type, form];
        assert_eq!(send(&site, "POST", "/login", &twice).await.reason(), "json_expected");
    }
    assert_eq!(site.world.calls.all(), Vec::<&str>::new(), "nothing was looked at");
    assert_eq!(site.world.events.kinds(), []);

    // Control: the site's own requests come through to what they ask for.
    let own: [&[(&str, &str)]; 5] = [
        &[("sec-fetch-site", "same-origin"), json_type],
        &[("sec-fetch-site", "none"), json_type],
        &[("origin", own), json_type],
        &[("origin", "https://ACME.example.com"), json_type],
        &[json_type],
    ];
    for (method, path) in CHANGES {
        for headers in own {
            let answer = send(&site, method, path, headers).await;
            assert_ne!(answer.reason(), "foreign_origin", "{method} {path} {headers:?}");
            assert_ne!(answer.reason(), "json_expected", "{method} {path} {headers:?}");
        }
    }
}

/// I-52: a page of another site reads nothing either, and makes no session end.
#[tokio::test]
async fn no_other_site_reads_anything() {
    let site = Site::new().await;
    let mut browser = site.browser();
    site.sign_in(&mut browser, "root").await;
    site.world.calls.clear();
    for path in [
        "/session",
        "/account",
        "/administration",
        "/administration/users",
        "/login/AAAAAAAAAAAAAAAAAAAAAA",
    ] {
        for from in ["cross-site", "same-site"] {
            browser.headers = vec![("sec-fetch-site", from)];
            let answer = browser.get(path).await;
            let expected = (StatusCode::FORBIDDEN, "foreign_origin");
            assert_eq!((answer.status, answer.reason()), expected, "{path} {from}");
        }
    }
    assert_eq!(site.world.calls.all(), Vec::<&str>::new());
    browser.headers = Vec::new();
    assert_eq!(browser.get("/session").await.status, StatusCode::OK);
}

/// The tenant comes from the application's own list of hosts.
#[tokio::test]
async fn a_host_that_nobody_knows_has_no_tenant() {
    let site = Site::new().await;
    let mut browser = site.browser();
    for host in ["evil.example", "acme.example.com.evil.example", "acme", "", "acme.example.com:x"]
    {
        browser.host = host;
        let answer = browser.password("alice").await;
        assert_eq!(
            (answer.status, answer.reason()),
            (StatusCode::NOT_FOUND, "no_such_page"),
            "{host}"
        );
    }
    for host in ["acme.example.com", "ACME.example.com", "acme.example.com:8443"] {
        browser.host = host;
        site.world.wait_for_the_spacing();
        assert_eq!(browser.password("alice").await.step(), "code_required", "{host}");
    }
    // Two of them, or one inside the target that differs.
    let twice = Request::post("/login")
        .header("host", HOST)
        .header("host", "other.example.com")
        .header("sec-fetch-site", "same-origin")
        .header("content-type", "application/json");
    let inside = |authority: &str, host: &str| {
        Request::post(format!("https://{authority}/login"))
            .header("host", host)
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/json")
    };
    let body = json!({"name": "alice", "password": PASSWORD}).to_string();
    for (request, expected) in [
        (twice, StatusCode::NOT_FOUND),
        (inside(HOST, "other.example.com"), StatusCode::NOT_FOUND),
        (inside("other.example.com", HOST), StatusCode::NOT_FOUND),
        (inside("acme.example.com@evil.example", HOST), StatusCode::NOT_FOUND),
        (inside(HOST, "ACME.example.com"), StatusCode::OK),
    ] {
        site.world.wait_for_the_spacing();
        let answer = ask(&site.web, request.body(body.clone()).unwrap()).await;
        assert_eq!(answer.status, expected);
    }
}

/// I-03: a login's cookie, and a session, are nothing in another tenant.
#[tokio::test]
async fn cookies_of_one_tenant_are_nothing_in_another() {
    let site = Site::new().await;
    let mut browser = site.browser();
    let login = browser.begin("alice").await;
    let code = site.world.last_code();
    browser.host = "other.example.com";
    let kept = browser.cookies.clone();
    assert_eq!(browser.code(&login, &code).await.reason(), "login_over");
    browser.cookies = kept;
    browser.host = HOST;
    assert_eq!(browser.code(&login, &code).await.step(), "authenticated");
    browser.host = "other.example.com";
    let elsewhere = browser.get("/session").await;
    assert_eq!(elsewhere.status, StatusCode::UNAUTHORIZED);
    for path in ["/account", "/administration"] {
        assert_eq!(browser.get(path).await.reason(), "signed_out", "{path}");
    }
    assert_eq!(site.sessions.count(), 1, "it is left to its own tenant");
    browser.host = HOST;
    assert_eq!(browser.get("/session").await.status, StatusCode::OK);
}

/// Plain http is for this machine, and says so by refusing every other host.
#[tokio::test]
async fn the_mode_for_development_is_for_this_machine_only() {
    let site =
        Site::with(|builder| builder, countersign_http::WebBuilder::development_on_loopback).await;
    let mut browser = site.browser();
    for host in ["acme.example.com", "192.168.1.7:8080", "localhost.evil.example", "0.0.0.0", ""] {
        browser.host = host;
        for answer in [browser.password("alice").await, browser.get("/session").await] {
            assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST, "{host}");
            assert_eq!(answer.reason(), "foreign_host", "{host}");
        }
    }
    // A proxy on this machine names it as host. The page's origin and the client are elsewhere.
    browser.host = "127.0.0.1:8080";
    browser.headers =
        vec![("sec-fetch-site", "same-origin"), ("origin", "https://acme.example.com")];
    assert_eq!(browser.password("alice").await.reason(), "foreign_host");
    let request = Request::get("/session").header("host", "localhost");
    let client = countersign_http::ClientAddress("203.0.113.7".parse().unwrap());
    let request = request.extension(client).body(String::new()).unwrap();
    assert_eq!(ask(&site.web, request).await.status, StatusCode::MISDIRECTED_REQUEST);

    let factors = countersign::memory::MemoryFactors::new();
    let world = countersign_testkit::World::on(factors).unwrap();
    world.set_scope(countersign::Scope::EntireTenant).await.unwrap();
    world.clock.advance(crate::browser::DAY);
    let web = countersign_http::Web::browsers(
        &world.flow,
        countersign_http::OneTenant(world.tenant.clone()),
        countersign_http::memory::MemorySessions::new().development_on_loopback(),
    )
    .clock(world.clock.clone())
    .development_on_loopback()
    .build();
    for host in
        ["localhost", "localhost:8080", "127.0.0.1:3000", "127.8.9.1", "[::1]:8080", "[::1]"]
    {
        world.wait_for_the_spacing();
        let request = Request::post("/login")
            .header("host", host)
            .header("origin", format!("http://{host}"))
            .header("content-type", "application/json");
        let name = if host.contains('[') { "bob" } else { "alice" };
        let body = json!({"name": name, "password": PASSWORD}).to_string();
        let answer = ask(&web, request.body(body).unwrap()).await;
        assert_eq!(answer.status, StatusCode::OK, "{host}: {}", answer.text);
        let cookies = answer.cookies();
        assert!(cookies[0].starts_with("countersign-login-"), "{cookies:?}");
        assert!(!cookies[0].contains("Secure"), "{cookies:?}");
        assert!(cookies[0].contains("; HttpOnly"), "{cookies:?}");
    }
}

/// Nothing that comes in is read without a bound.
#[tokio::test]
async fn bodies_are_bounded_and_declared() {
    let site = Site::new().await;
    let send = async |body: String, kind: &str| {
        let request = Request::post("/login")
            .header("host", HOST)
            .header("sec-fetch-site", "same-origin")
            .header(header::CONTENT_TYPE, kind);
        ask(&site.web, request.body(body).unwrap()).await
    };
    let good = json!({"name": "alice", "password": PASSWORD}).to_string();
    let spaces = |length: usize| format!("{}{good}", " ".repeat(length - good.len()));
    site.world.calls.clear();
    let long = send(spaces(32 * 1024 + 1), "application/json").await;
    assert_eq!((long.status, long.reason()), (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"));
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "json"] {
        let answer = send(good.clone(), kind).await;
        let expected = (StatusCode::UNSUPPORTED_MEDIA_TYPE, "json_expected");
        assert_eq!((answer.status, answer.reason()), expected, "{kind}");
    }
    let secret = "a password that nobody repeats";
    for body in [
        String::new(),
        "{".to_owned(),
        format!(r#"{{"name":"alice","password":"{secret}","channel":"api"}}"#),
        format!(r#"{{"name":"alice","password":["{secret}"]}}"#),
        format!(r#"{{"name":"alice","password":"{secret}","password":"{secret}"}}"#),
        format!(r#""{secret}""#),
    ] {
        let answer = send(body.clone(), "application/json").await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        let text = "What was sent could not be processed. Please go back and try again.";
        let expected = json!({"reason": "malformed_request", "message": text});
        assert_eq!(answer.json, expected, "{body}");
    }
    assert_eq!(site.world.calls.all(), Vec::<&str>::new(), "nothing was looked at");
    for kind in ["application/json", "application/json; charset=utf-8", "Application/JSON"] {
        site.world.wait_for_the_spacing();
        assert_eq!(send(spaces(32 * 1024), kind).await.step(), "code_required", "{kind}");
    }
}

/// What every response says, whatever was asked.
#[tokio::test]
async fn no_response_is_kept_framed_or_guessed_at() {
    let site = Site::new().await;
    let mut browser = site.browser();
    let login = browser.begin("alice").await;
    let mut answers = vec![
        browser.get(&format!("/login/{login}")).await,
        browser.code(&login, &site.world.wrong_code()).await,
        browser.code(&login, &site.world.last_code()).await,
        browser.get("/session").await,
        browser.get("/nowhere").await,
        browser.send("PATCH", "/login", &Value::Null).await,
        browser.post("/logout", json!({})).await,
    ];
    browser.headers = vec![("sec-fetch-site", "cross-site")];
    answers.push(browser.post("/logout", json!({})).await);
    for answer in answers {
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ] {
            assert_eq!(answer.headers[name], value, "{answer:?}");
        }
    }
}
