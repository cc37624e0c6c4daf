//! What the application's own callback answers after single sign-on, with pages.

use countersign::UserId;
use countersign::tenant::SingleSignOn;
use countersign_http::WebBuilder;
use http::{Request, StatusCode};

use crate::browser::{Answer, Site};
use crate::visitor::{Visitor, alert, place, site, site_with};

async fn come_back(visitor: &mut Visitor<'_>, user: &str, return_to: &str) -> Answer {
    let mut request = Request::get("/sso/callback?code=x&state=y")
        .header("host", visitor.browser.host)
        .header("accept-language", visitor.language)
        .header("sec-fetch-site", "cross-site");
    let cookies: Vec<_> =
        visitor.browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if !cookies.is_empty() {
        request = request.header("cookie", cookies.join("; "));
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let user = UserId::new(user).unwrap();
    let response = visitor.browser.site.web.after_single_sign_on(&parts, &user, return_to).await;
    let answer = Answer::of(response).await;
    visitor.browser.keep(&answer);
    answer
}

async fn asking() -> Site {
    let site = site().await;
    site.set(|settings| settings.single_sign_on = SingleSignOn::SystemAdministrators).await;
    site
}

/// I-36: exempt users are signed in under a new identifier, at the page that they wanted.
#[tokio::test]
async fn exempt_users_end_at_the_page_where_they_began() {
    let site = site().await;
    let mut visitor = Visitor::of(&site);
    visitor.browser.cookies.insert("__Host-session".to_owned(), "planted".to_owned());
    let done = come_back(&mut visitor, "alice", "/orders?page=2").await;
    assert_eq!((done.status, &*place(&done)), (StatusCode::SEE_OTHER, "/orders?page=2"));
    assert_ne!(visitor.browser.session().unwrap(), "planted");
    assert_eq!(done.headers["cache-control"], "no-store");
    assert_eq!(site.sessions.count(), 1);
    // The login page knows the session.
    assert_eq!(place(&visitor.get("/sign-in").await), "/");
}

/// I-52: a login ends at this site, whatever the callback was given.
#[tokio::test]
async fn no_login_leads_to_another_site() {
    let site = asking().await;
    for elsewhere in [
        "",
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "evil.example",
        "/a\r\nset-cookie: b=c",
    ] {
        let mut visitor = Visitor::of(&site);
        let done = come_back(&mut visitor, "alice", elsewhere).await;
        assert_eq!((done.status, &*place(&done)), (StatusCode::SEE_OTHER, "/"), "{elsewhere:?}");
        site.world.wait_for_the_spacing();
        let mut visitor = Visitor::of(&site);
        let asked = come_back(&mut visitor, "root", elsewhere).await;
        assert!(!place(&asked).contains("evil") && !place(&asked).contains("return_to"));
        let code = visitor.follow(&asked).await;
        let path = place(&asked).split('?').next().unwrap().to_owned();
        let done = visitor.send(&code, &path, &[("code", &site.world.last_code())]).await;
        assert_eq!(place(&done), "/", "{elsewhere:?}");
    }
}

/// I-43: the page for the code offers no trust, and the code leads on to the page that they wanted.
#[tokio::test]
async fn administrators_enter_the_code_and_go_on() {
    let site = asking().await;
    let mut visitor = Visitor::of(&site);
    let asked = come_back(&mut visitor, "root", "/orders").await;
    assert_eq!((asked.status, visitor.browser.session()), (StatusCode::SEE_OTHER, None));
    // No token is in an address.
    assert!(!place(&asked).contains("csp1."), "{}", place(&asked));
    let page = visitor.follow(&asked).await;
    assert!(page.text.contains("A code was sent by email to "), "{}", page.text);
    assert!(!page.text.contains("name=\"trust\""), "{}", page.text);
    let path = place(&asked).split('?').next().unwrap().to_owned();
    let wrong = visitor.send(&page, &path, &[("code", &site.world.wrong_code())]).await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
    assert!(!wrong.text.contains("name=\"trust\""), "{}", wrong.text);
    site.world.wait_for_the_spacing();
    let again = visitor.send(&wrong, &format!("{path}/resend"), &[("to", "same")]).await;
    let page = visitor.follow(&again).await;
    // Whatever a form claims, no device is trusted.
    let fields = [("code", &*site.world.last_code()), ("trust", "yes")];
    let action = place(&again);
    let action = action.replace("delivery=sent&", "");
    let done = visitor.post(&action, &fields).await;
    assert_eq!((done.status, &*place(&done)), (StatusCode::SEE_OTHER, "/orders"), "{}", page.text);
    assert!(visitor.browser.named("device").is_empty(), "{:?}", visitor.browser.cookies);
    assert!(visitor.browser.named("login").is_empty(), "{:?}", visitor.browser.cookies);
    let page = visitor.get("/me").await;
    assert!(page.text.contains("You have no trusted devices."), "{}", page.text);
    // Control: after a password the page offers it.
    site.world.wait_for_the_spacing();
    let (_, page) = visitor.begin("root").await;
    assert!(page.text.contains("name=\"trust\""), "{}", page.text);
}

/// A login after single sign-on that expired says so, and has no name to fill in.
#[tokio::test]
async fn a_login_that_expired_begins_at_the_login_page() {
    let site = asking().await;
    let mut visitor = Visitor::of(&site);
    let asked = come_back(&mut visitor, "root", "/orders").await;
    site.world.clock.advance(std::time::Duration::from_secs(601));
    let over = visitor.follow(&asked).await;
    assert_eq!(over.status, StatusCode::GONE);
    assert!(over.text.contains("name=\"name\" value=\"\""), "{}", over.text);
    assert!(over.text.contains("name=\"return_to\" value=\"/orders\""), "{}", over.text);
    assert!(visitor.browser.cookies.is_empty(), "{:?}", visitor.browser.cookies);
}

/// Users who may not log in get the login page, which says why.
#[tokio::test]
async fn a_refusal_is_the_login_page() {
    let site = asking().await;
    let mut visitor = Visitor::of(&site);
    for (language, text) in [
        ("en", "You could not be logged in with single sign-on. Please ask an administrator."),
        ("ja", "シングルサインオンでログインできませんでした。管理者にお問い合わせください。"),
    ] {
        visitor.language = language;
        let refused = come_back(&mut visitor, "nobody", "/orders").await;
        assert_eq!((refused.status, &*alert(&refused)), (StatusCode::FORBIDDEN, text));
        assert!(refused.text.contains("name=\"password\""), "{}", refused.text);
        assert!(refused.text.contains("name=\"return_to\" value=\"/orders\""));
        assert_eq!((visitor.browser.session(), site.sessions.count()), (None, 0));
    }
    // What is refused for another reason says that one.
    visitor.language = "en";
    let root = UserId::new("root").unwrap();
    site.world.users.change(&site.world.tenant, &root, |user| user.email = None).unwrap();
    let refused = come_back(&mut visitor, "root", "").await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(alert(&refused).starts_with("You have no email address"));
    // I-04: nobody of this tenant is anybody in another one.
    visitor.browser.host = "other.example.com";
    let refused = come_back(&mut visitor, "alice", "").await;
    assert_eq!((refused.status, site.sessions.count()), (StatusCode::FORBIDDEN, 0));
    visitor.browser.host = "nobody.example.com";
    assert_eq!(come_back(&mut visitor, "alice", "").await.status, StatusCode::NOT_FOUND);
}

/// What breaks is a page that says so, and signs nobody in.
#[tokio::test]
async fn a_failure_signs_nobody_in() {
    use countersign_testkit::{Failing, InjectedFault, Mishaps};
    let site = site().await;
    let mishaps = Mishaps::new();
    let broken = Failing::new(countersign::memory::MemoryFactors::new(), &mishaps);
    let flow = site.world.flow_over(broken, |builder| builder).unwrap();
    let failures = std::sync::Arc::clone(&site.failures);
    let tenants = crate::browser::tenants();
    let web = countersign_http::Web::browsers(&flow, tenants, site.sessions.clone())
        .on_failure(move |error| failures.lock().unwrap().push(error.to_string()))
        .pages(countersign_http::pages::Pages::new("Acme"))
        .build();
    mishaps.next_of("load", InjectedFault::Before);
    let request = Request::get("/sso/callback").header("host", "acme.example.com");
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let alice = UserId::new("alice").unwrap();
    let failed = Answer::of(web.after_single_sign_on(&parts, &alice, "/x").await).await;
    assert_eq!(failed.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(alert(&failed), "Something went wrong. Please try again later.");
    assert_eq!((site.sessions.count(), site.failures.lock().unwrap().len()), (0, 1));
    assert!(failed.cookies().is_empty());
}

/// In development, for this machine only.
#[tokio::test]
async fn the_mode_for_development_is_for_this_machine() {
    let site = site_with(WebBuilder::development_on_loopback).await;
    let mut visitor = Visitor::of(&site);
    let refused = come_back(&mut visitor, "alice", "/").await;
    assert_eq!(refused.status, StatusCode::MISDIRECTED_REQUEST);
    assert_eq!(site.sessions.count(), 0);
}
