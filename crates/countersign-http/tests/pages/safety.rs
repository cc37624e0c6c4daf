//! I-52 on pages: no other site's form, no other site's address, nothing kept, nothing framed, and
//! nothing that people typed comes alive.

use std::sync::Arc;

use countersign::error::PluginError;
use countersign::memory::MemoryFactors;
use countersign::{Scope, TenantId};
use countersign_http::memory::MemorySessions;
use countersign_http::pages::{BackupCodePage, CodePage, Pages, Screens, SignInPage};
use countersign_http::{TenantsByHost, Web};
use countersign_testkit::{Person, World};
use http::StatusCode;

use crate::browser::{PASSWORD, Site};
use crate::visitor::{Visitor, alert, place, site, site_with};

/// Every form of a signed-in administrator but the one of the settings, and the fields that make it
/// do something.
const FORMS: [(&str, &[(&str, &str)]); 9] = [
    ("/sign-in", &[("name", "alice"), ("password", PASSWORD)]),
    ("/sign-out", &[]),
    ("/me/method/confirm", &[("code", "123456")]),
    ("/me/method", &[("method", "sms"), ("phone", "+819012345678")]),
    ("/me/devices/AAAAAAAAAAAAAAAAAAAAAA/remove", &[]),
    ("/me/devices/remove", &[]),
    ("/me/backup-code", &[]),
    ("/users/unlock", &[("id", "bob")]),
    ("/users/reset", &[("id", "bob")]),
];

/// Every form of a pending login.
const LOGIN_FORMS: [(&str, &[(&str, &str)]); 4] = [
    ("", &[("code", "123456")]),
    ("/backup-code", &[("code", "0000-0000-0000-0000-0000-0000")]),
    ("/resend", &[("to", "same")]),
    ("/cancel", &[]),
];

/// I-52, login and logout too: a foreign form signs nobody in as somebody else, and nobody out.
#[tokio::test]
async fn forms_of_other_sites_do_nothing() {
    let route = include_str!("../../src/pages/route.rs").lines().map(str::trim);
    let takes_forms = |line: &&str| line.contains("] => both(") || line.contains("] => post(");
    let tried = FORMS.len() + LOGIN_FORMS.len() + 1;
    assert_eq!(route.filter(takes_forms).count(), tried, "each is tried");
    let site = site().await;
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("root").await;
    let session = visitor.browser.session().unwrap().to_owned();
    let off = visitor.confirmed_settings(&[("scope", "do_not_use")]).await;
    let off: Vec<_> = off.iter().map(|(name, value)| (&**name, &**value)).collect();
    let mut forms = FORMS.to_vec();
    forms.insert(2, ("/settings/edit", &off));
    let (login, _) = visitor.begin("bob").await;
    site.world.calls.clear();
    let of_the_login = LOGIN_FORMS.map(|(path, fields)| (format!("{login}{path}"), fields));
    for headers in [
        vec![],
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site")],
        vec![("origin", "https://evil.example")],
        vec![("origin", "null")],
        vec![("origin", "http://acme.example.com")],
        vec![("sec-fetch-site", "cross-site"), ("origin", "https://acme.example.com")],
        vec![("sec-fetch-site", "none"), ("origin", "https://evil.example")],
        vec![("sec-fetch-site", "none"), ("origin", "null")],
    ] {
        visitor.browser.headers.clone_from(&headers);
        let forms: Vec<_> =
            forms.iter().map(|(path, fields)| ((*path).to_owned(), *fields)).collect();
        for (path, fields) in forms.iter().chain(&of_the_login) {
            let answer = visitor.post_as("root", path, fields).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path} with {headers:?}");
            assert_eq!(
                alert(&answer),
                "This request came from another site, so it was not carried out."
            );
            assert!(answer.cookies().is_empty(), "{path} with {headers:?}");
        }
    }
    assert!(site.world.calls.all().is_empty(), "{:?}", site.world.calls.all());
    assert_eq!(site.sessions.count(), 1);
    // Control: the same forms from this site's own pages do something.
    visitor.browser.headers = vec![("origin", "https://acme.example.com")];
    assert_eq!(visitor.browser.session(), Some(&*session));
    for (path, fields) in &of_the_login {
        let before = site.world.calls.all().len();
        visitor.post(path, fields).await;
        assert!(site.world.calls.all().len() > before, "{path}");
    }
    for (path, fields) in forms.into_iter().rev() {
        let before = site.world.calls.all().len();
        let answer = visitor.post_as("root", path, fields).await;
        assert_ne!(answer.status, StatusCode::BAD_REQUEST, "{path}");
        assert!(path == "/sign-out" || site.world.calls.all().len() > before, "{path}");
    }
    assert_ne!(visitor.browser.session(), Some(&*session));
}

/// A link in another site's page shows the page. JSON goes to the endpoints, not to forms.
#[tokio::test]
async fn links_lead_in_and_other_bodies_do_not() {
    let site = site().await;
    let mut visitor = Visitor::of(&site);
    visitor.browser.headers = vec![("sec-fetch-site", "cross-site")];
    assert_eq!(visitor.get("/sign-in").await.status, StatusCode::OK);
    visitor.browser.headers =
        vec![("sec-fetch-site", "same-origin"), ("content-type", "application/json")];
    let json = visitor.request("POST", "/sign-in", None).await;
    assert_eq!(json.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let put = visitor.request("PUT", "/sign-in", None).await;
    assert_eq!(put.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(put.headers["allow"], "GET, HEAD, POST");
    visitor.browser.headers = vec![("sec-fetch-site", "same-origin")];
    let twice = "name=alice&name=bob&password=x".to_owned();
    let answer = visitor.request("POST", "/sign-in", Some(twice)).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let long = format!("name=alice&password={}", "x".repeat(40_000));
    let answer = visitor.request("POST", "/sign-in", Some(long)).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}

/// I-52: a login ends at this site.
#[tokio::test]
async fn no_login_leads_to_another_site() {
    let site = site().await;
    for elsewhere in ["//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nb: c"] {
        let mut visitor = Visitor::of(&site);
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("return_to", elsewhere)
            .finish();
        let page = visitor.get(&format!("/sign-in?{query}")).await;
        assert!(!page.text.contains("evil"), "{}", page.text);
        site.world.wait_for_the_spacing();
        let fields = [("name", "alice"), ("password", PASSWORD), ("return_to", elsewhere)];
        let sent = visitor.post("/sign-in", &fields).await;
        assert!(!place(&sent).contains("evil"), "{}", place(&sent));
        let mut path = place(&sent).split('?').next().unwrap().to_owned();
        let page = visitor.get(&format!("{path}?{query}")).await;
        assert!(!page.text.contains("evil"), "{}", page.text);
        for form in ["/cancel", "/resend"] {
            let form = visitor.post(&format!("{path}{form}?{query}"), &[("to", "same")]).await;
            assert!(!place_or_text(&form).contains("evil"), "{}", form.text);
            if !visitor.browser.named("login").is_empty() {
                continue;
            }
            site.world.wait_for_the_spacing();
            let sent = visitor.post("/sign-in", &fields).await;
            path = place(&sent).split('?').next().unwrap().to_owned();
        }
        let code = site.world.last_code();
        let done = visitor.post(&format!("{path}?{query}"), &[("code", &code)]).await;
        assert_eq!(place(&done), "/");
        // Who is signed in already is not led there either.
        assert_eq!(place(&visitor.get(&format!("/sign-in?{query}")).await), "/");
        visitor.post("/sign-out", &[]).await;
    }
    // Control: to a page of this site it leads.
    let mut visitor = Visitor::of(&site);
    site.world.wait_for_the_spacing();
    let (path, _) = visitor.begin("alice").await;
    let code = site.world.last_code();
    let done = visitor.post(&format!("{path}?return_to=%2Fx"), &[("code", &code)]).await;
    assert_eq!(place(&done), "/x");
}

/// Where a response leads, and what it says.
fn place_or_text(answer: &crate::browser::Answer) -> String {
    let place = answer.headers.get("location").map(|place| place.to_str().unwrap());
    format!("{} {}", place.unwrap_or_default(), answer.text)
}

/// I-52: nothing that a person types ends up as a header of its own, or as a second cookie.
#[tokio::test]
async fn nothing_that_is_typed_becomes_a_header() {
    let site = site().await;
    let nasty = "alice\r\nset-cookie: own=1; x=2, y=3~z";
    let mut visitor = Visitor::of(&site);
    for name in [nasty, "alice"] {
        let fields = [("name", name), ("password", PASSWORD), ("return_to", "/a\r\nx: y")];
        let answer = visitor.post("/sign-in", &fields).await;
        assert!(!answer.headers.contains_key("x"), "{:?}", answer.headers);
        assert!(!visitor.browser.cookies.contains_key("own"), "{:?}", visitor.browser.cookies);
        assert!(!place(&answer).contains(['\r', '\n', ' ']), "{}", place(&answer));
    }
    // Names that people do have keep their cookie in one piece.
    let person = Person::named("o'b;r=i~e,n 日本").id("obrien").email("o@example.com");
    person.join(&site.world.users, &site.world.tenant).unwrap();
    let before = visitor.browser.cookies.len();
    site.world.wait_for_the_spacing();
    let (path, _) = visitor.begin("o'b;r=i~e,n 日本").await;
    assert_eq!(visitor.browser.cookies.len(), before + 1);
    let code = site.world.last_code();
    assert_eq!(place(&visitor.post(&path, &[("code", &code)]).await), "/");
    for query in ["id=%0d%0ax%3A+y", "id=a%00b", "return_to=%0d%0ax%3A+y"] {
        let answer = visitor.get(&format!("/users?{query}")).await;
        assert!(!answer.headers.contains_key("x"), "{:?}", answer.headers);
    }
}

/// I-52: nothing of a page is kept, nothing frames it, and it runs no code of its own.
#[tokio::test]
async fn every_page_says_what_browsers_must_not_do() {
    let site = site().await;
    let mut visitor = Visitor::of(&site);
    let mut seen = vec![visitor.get("/sign-in").await, visitor.get("/me").await];
    let (_, code) = visitor.begin("alice").await;
    seen.push(code);
    visitor.sign_in("root").await;
    for path in ["/me", "/settings", "/settings/edit", "/users", "/users?id=bob", "/users/%20/x"] {
        seen.push(visitor.get(path).await);
    }
    for page in seen {
        assert_eq!(page.headers["cache-control"], "no-store");
        assert_eq!(page.headers["x-frame-options"], "DENY");
        assert_eq!(page.headers["cross-origin-opener-policy"], "same-origin");
        assert_eq!(page.headers["x-content-type-options"], "nosniff");
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        for rule in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(rule), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        for inline in ["<script>", "<style", " style=", " onclick=", "javascript:"] {
            assert!(!page.text.contains(inline), "{inline} in {}", page.text);
        }
        assert!(!page.text.contains("csp1.") && !page.text.contains("csd1."), "{}", page.text);
    }
}

#[tokio::test]
async fn style_and_script_are_files_of_the_same_site() {
    let rules = ":root { --cs-accent: #7a0000; }";
    let site =
        site_with(|web| web.base_path("/auth").pages(Pages::new("Acme").stylesheet(rules))).await;
    let mut visitor = Visitor::of(&site);
    let page = visitor.get("/auth/sign-in").await;
    let mut files = page.text.split('"').filter(|part| part.starts_with("/auth/assets/"));
    let style = visitor.get(files.next().unwrap()).await;
    assert_eq!(style.headers["content-type"], "text/css; charset=utf-8");
    assert!(style.text.ends_with(rules));
    assert_eq!(style.headers["cache-control"], "public, max-age=31536000, immutable");
    let script = visitor.get(files.next().unwrap()).await;
    assert_eq!(script.headers["content-type"], "text/javascript; charset=utf-8");
    let other = visitor.get("/auth/assets/AAAAAAAAAAAA/pages.css").await;
    assert_eq!(other.status, StatusCode::NOT_FOUND);
}

/// Names, labels and ids with markup, quotes, newlines and marks that turn the direction of text.
const HOSTILE: &str =
    "\"><script>alert(1)</script>\r\n<img src=x onerror=alert(2)>'\u{202e}& {{7*7}}";

#[tokio::test]
async fn what_people_typed_stays_text() {
    let site = site_with(|web| web.pages(Pages::new(HOSTILE))).await;
    let mut visitor = Visitor::of(&site);
    let mut seen = Vec::new();
    for language in ["en", "ja"] {
        visitor.language = language;
        seen.push(visitor.post("/sign-in", &[("name", HOSTILE), ("password", "x")]).await);
    }
    let agent = "Firefox/1 Windows <script>alert(1)</script>";
    visitor.browser.headers.push(("user-agent", agent));
    site.world.wait_for_the_spacing();
    let (path, code) = visitor.begin("root").await;
    seen.push(code);
    let hostile = [("code", HOSTILE), ("return_to", HOSTILE)];
    seen.push(visitor.post(&path, &hostile).await);
    let right = site.world.last_code();
    visitor.post(&path, &[("code", &right), ("trust", "yes")]).await;
    let devices = site.world.flow.operator("test").unwrap();
    let root = countersign::UserId::new("root").unwrap();
    assert_eq!(devices.status(&site.world.tenant, &root).await.unwrap().unwrap().devices.len(), 1);
    seen.push(visitor.get("/me").await);
    let fields = [("code", "1"), ("destination", HOSTILE), ("reference", HOSTILE)];
    seen.push(visitor.post_as("root", "/me/method/confirm", &fields).await);
    let query = |name: &str| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair(name, HOSTILE).finish()
    };
    seen.push(visitor.get(&format!("/me/method/confirm?{}", query("destination"))).await);
    seen.push(visitor.get(&format!("/me/method/confirm?{}", query("reference"))).await);
    let phone = [("method", "sms"), ("phone", HOSTILE)];
    seen.push(visitor.post_as("root", "/me/method", &phone).await);
    for path in ["/users", "/users/reset"] {
        seen.push(visitor.get(&format!("{path}?{}", query("id"))).await);
        seen.push(visitor.get(&format!("{path}?id=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")).await);
    }
    for page in seen {
        assert!(!page.text.is_empty());
        for alive in ["<script>alert", "<img", "onerror=alert(2)>'", "49}"] {
            assert!(!page.text.contains(alive), "{alive} in {}", page.text);
        }
        assert_eq!(page.text.matches("<script").count(), 1, "{}", page.text);
        // What turns the direction of text ends with its own element, or is in a field.
        for (at, _) in page.text.match_indices('\u{202e}') {
            let before = &page.text[..at];
            let (opens, closes) = (before.rfind("<bdi"), before.rfind("</bdi>"));
            let in_field = before.rfind('"') > before.rfind('>');
            let in_title = before.rfind("<title>") > before.rfind("</title>");
            assert!(opens > closes || in_field || in_title, "{}", page.text);
        }
    }
}

/// Ids and addresses of the users table, on every page of theirs and of their administrator.
#[tokio::test]
async fn ids_and_addresses_stay_text() {
    let site = site().await;
    let id = "\"><script>alert(1)</script>'&";
    let person = Person::named("mallory").id(id).administrator();
    person.email("o'b&x@example.com").join(&site.world.users, &site.world.tenant).unwrap();
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("mallory").await;
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("id", id).finish();
    let edit = visitor.get("/settings/edit").await;
    let off = [("scope", "do_not_use")];
    let mut seen = vec![visitor.send(&edit, "/settings/edit", &off).await];
    assert!(seen[0].text.contains("saved-users"), "{}", seen[0].text);
    for path in ["/me", "/settings", "/settings/edit", "/users", "/me/method/confirm"] {
        seen.push(visitor.get(path).await);
    }
    seen.push(visitor.get(&format!("/users?{query}")).await);
    seen.push(visitor.get(&format!("/users/reset?{query}")).await);
    seen.push(visitor.post_as(id, "/me/backup-code", &[]).await);
    for page in seen {
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        assert_eq!(page.text.matches("<script").count(), 1, "{}", page.text);
        assert!(page.text.contains("<bdi>&#34;&#62;&#60;script&#62;"), "{}", page.text);
    }
}

/// A link of another site, or one that is typed, does not make a page claim what nobody did.
#[tokio::test]
async fn only_this_site_says_what_was_done() {
    let site = site().await;
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("root").await;
    for path in ["/me?done=saved", "/users?id=alice&done=reset", "/settings?done=saved"] {
        for (from, says) in
            [("same-origin", true), ("cross-site", false), ("same-site", false), ("none", false)]
        {
            visitor.browser.headers = vec![("sec-fetch-site", from)];
            let page = visitor.get(path).await;
            assert_eq!(page.status, StatusCode::OK, "{path} {from}");
            assert_eq!(page.text.contains("id=\"alert\""), says, "{path} {from}");
        }
    }
}

/// What a tenant is called is for the application: no page shows it.
#[tokio::test]
async fn ids_of_tenants_are_on_no_page() {
    let id = "\"><script>alert(1)</script>'&";
    let world = World::with(MemoryFactors::new(), id, |flow| flow).unwrap();
    world.set_scope(Scope::EntireTenant).await.unwrap();
    let sessions = MemorySessions::new();
    let tenants = TenantsByHost::new().with("acme.example.com", world.tenant.clone());
    let web = Web::browsers(&world.flow, tenants, sessions.clone())
        .clock(world.clock.clone())
        .pages(Pages::new("Acme"))
        .build();
    let site = Site { world, web, sessions, failures: Arc::default() };
    let mut visitor = Visitor::of(&site);
    let mut seen = vec![visitor.get("/sign-in").await, visitor.begin("alice").await.1];
    visitor.sign_in("root").await;
    for path in [
        "/me",
        "/me/method/confirm",
        "/settings",
        "/settings/edit",
        "/users",
        "/users?id=alice",
        "/users/reset?id=alice",
    ] {
        seen.push(visitor.get(path).await);
    }
    let edit = visitor.get("/settings/edit").await;
    seen.push(visitor.send(&edit, "/settings/edit", &[("scope", "do_not_use")]).await);
    seen.push(visitor.post_as("root", "/me/backup-code", &[]).await);
    for page in seen {
        assert!(page.text.contains("<h1"), "{}", page.text);
        assert!(!page.text.contains("alert(1)"), "{}", page.text);
        assert_eq!(page.text.matches("<script").count(), 1, "{}", page.text);
    }
}

/// A device's label is what the person calls it, whatever they call it.
#[tokio::test]
async fn labels_of_devices_stay_text() {
    let site = site().await;
    site.world.wait_for_the_spacing();
    let _ = site.world.sign_in_and_trust("alice", HOSTILE).await.unwrap();
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("alice").await;
    let page = visitor.get("/me").await;
    assert!(page.text.contains("<bdi>&#34;&#62;&#60;script&#62;"), "{}", page.text);
    assert_eq!(page.text.matches("<script").count(), 1, "{}", page.text);
}

#[tokio::test]
async fn pages_are_japanese_for_those_who_ask() {
    let site = site().await;
    let mut visitor = Visitor::of(&site);
    visitor.language = "ja-JP,ja;q=0.9,en;q=0.5";
    let page = visitor.get("/sign-in").await;
    assert!(page.text.contains("<html lang=\"ja\">") && page.text.contains("<h1>ログイン</h1>"));
    let (_, page) = visitor.begin("alice").await;
    assert!(page.text.contains("に確認コードをメールで送信しました。"), "{}", page.text);
    assert!(!page.text.contains("Log in"), "{}", page.text);
}

/// A form for one tenant is no form for another, and a session is not either (I-03, I-04).
#[tokio::test]
async fn another_tenant_knows_neither_login_nor_session() {
    let site = site().await;
    let mut visitor = Visitor::of(&site);
    let (path, _) = visitor.begin("alice").await;
    visitor.browser.host = "other.example.com";
    let over = visitor.post(&path, &[("code", &site.world.last_code())]).await;
    assert_eq!((over.status, visitor.browser.session()), (StatusCode::GONE, None));
    visitor.browser.host = "acme.example.com";
    visitor.sign_in("alice").await;
    visitor.browser.host = "other.example.com";
    assert_eq!(place(&visitor.get("/me").await), "/sign-in?return_to=%2Fme");
    assert_eq!(site.sessions.count(), 1);
    visitor.browser.host = "nobody.example.com";
    for path in ["/sign-in", "/me"] {
        assert_eq!(visitor.get(path).await.status, StatusCode::NOT_FOUND);
    }
}

/// One page is the application's own; the others stay.
#[tokio::test]
async fn a_page_can_be_replaced() {
    struct Own;
    impl Screens for Own {
        fn sign_in(&self, page: &SignInPage<'_>) -> Result<String, PluginError> {
            Ok(format!("own page, back to {}", page.return_to))
        }
    }
    let site = site_with(|web| web.pages(Pages::new("Acme").screens(Own))).await;
    let mut visitor = Visitor::of(&site);
    let page = visitor.get("/sign-in?return_to=/x").await;
    assert_eq!(page.text, "own page, back to /x");
    assert!(visitor.begin("alice").await.1.text.contains("one-time-code"));
}

/// What is handed out once goes out, even if the application's own page for it fails.
#[tokio::test]
async fn a_page_that_fails_loses_nothing() {
    struct Broken;
    impl Screens for Broken {
        fn backup_code(&self, _: &BackupCodePage<'_>) -> Result<String, PluginError> {
            Err(PluginError::new("own page is broken"))
        }
        fn code(&self, _: &CodePage<'_>) -> Result<String, PluginError> {
            Err(PluginError::new("own page is broken"))
        }
    }
    let site = site_with(|web| web.pages(Pages::new("Acme").screens(Broken))).await;
    let backup = site.world.make_backup_code("alice").await.unwrap();
    site.world.wait_for_the_spacing();
    let mut visitor = Visitor::of(&site);
    let sent = visitor.post("/sign-in", &[("name", "alice"), ("password", PASSWORD)]).await;
    let failed = visitor.follow(&sent).await;
    assert_eq!(failed.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(alert(&failed), "Something went wrong. Please try again later.");
    let path = place(&sent).split('?').next().unwrap().to_owned();
    let done = visitor.post(&format!("{path}/backup-code"), &[("code", &backup)]).await;
    assert_eq!(done.status, StatusCode::OK);
    assert!(done.text.contains("<p class=\"secret\"><code>"), "{}", done.text);
    assert!(visitor.browser.session().is_some());
    assert_eq!(site.failures.lock().unwrap().len(), 2);
}

/// A login may end at another site only if the application says at which.
#[tokio::test]
async fn another_site_is_let_in_by_name() {
    for (origin, allowed) in [
        ("https://client.example", true),
        ("http://client.example", false),
        ("https://x; script-src *", false),
        ("https://x\r\ny: z", false),
    ] {
        let site = site_with(|web| web.pages(Pages::new("Acme").may_lead_to(origin))).await;
        let page = Visitor::of(&site).get("/sign-in").await;
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        let expected = format!("form-action 'self' {origin}");
        assert_eq!(policy.ends_with(&expected), allowed, "{policy}");
        assert!(allowed || policy.ends_with("form-action 'self'"), "{policy}");
    }
}

/// Applications without a browser get no pages.
#[tokio::test]
async fn mobile_applications_have_no_pages() {
    let world = World::on(MemoryFactors::new()).unwrap();
    let tenants = TenantsByHost::new().with("acme.example.com", TenantId::new("acme").unwrap());
    let web = Web::mobile_apps(&world.flow, tenants, MemorySessions::new())
        .pages(Pages::new("Acme"))
        .build();
    let request = http::Request::get("https://acme.example.com/sign-in").body(String::new());
    assert_eq!(web.handle(request.unwrap()).await.status(), StatusCode::NOT_FOUND);
}

/// In development, nobody but this machine sees a page.
#[tokio::test]
async fn the_mode_for_development_is_for_this_machine() {
    let site =
        Site::with(|flow| flow, |web| web.pages(Pages::new("Acme")).development_on_loopback())
            .await;
    let mut visitor = Visitor::of(&site);
    assert_eq!(visitor.get("/sign-in").await.status, StatusCode::MISDIRECTED_REQUEST);
    visitor.browser.host = "localhost:8080";
    assert_ne!(visitor.get("/sign-in").await.status, StatusCode::MISDIRECTED_REQUEST);
}
