//! The page of a signed-in user.

use countersign::UserId;
use countersign::user::UserStatus;
use http::StatusCode;

use crate::browser::PASSWORD;
use crate::visitor::{Visitor, alert, between, place, site};

#[tokio::test]
async fn a_number_is_proved_on_the_way() {
    let site = site().await;
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("alice").await;
    site.world.wait_for_the_spacing();
    let page = visitor.get("/me").await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(between(&page.text, "id=\"current-method\">", "<"), "Email");
    let bad = visitor.post_as("alice", "/me/method", &[("method", "sms"), ("phone", "12")]).await;
    assert_eq!(
        (bad.status, &*alert(&bad)),
        (
            StatusCode::UNPROCESSABLE_ENTITY,
            "This is not a valid phone number. Include the country code."
        )
    );
    let field = between(&bad.text, "<input id=\"phone\"", ">");
    assert!(field.contains("aria-invalid=\"true\" aria-describedby=\"alert\""), "{field}");
    // As the page itself shows it.
    let fields = [("phone", "+81 90 1234 5678"), ("method", "sms")];
    let sent = visitor.send(&page, "/me/method", &fields).await;
    // Neither logs nor the browser's history get the number, and no link can make one up.
    assert_eq!(place(&sent), "/me/method/confirm");
    let made_up = "/me/method/confirm?destination=Call+us&reference=BKTR";
    let made_up = visitor.get(made_up).await;
    let prove = visitor.follow(&sent).await;
    assert_eq!((prove.status, &prove.text), (StatusCode::OK, &made_up.text));
    assert!(prove.text.contains("+81 *** **78"), "{}", prove.text);
    let reference = site.world.outbox.last_code().unwrap().reference;
    assert!(prove.text.contains(reference.as_str()), "{}", prove.text);
    // The browser has dropped the page while the person read the message: it can be loaded again.
    let attempts = site.world.outbox.attempts();
    let back = visitor.get("/me").await;
    assert!(back.text.contains("href=\"/me/method/confirm\""), "{}", back.text);
    assert_eq!(visitor.follow(&sent).await.text, prove.text);
    assert_eq!(site.world.outbox.attempts(), attempts);
    let wrong = site.world.wrong_code();
    let wrong = visitor.send(&prove, "/me/method/confirm", &[("code", &wrong)]).await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
    assert!(wrong.text.contains(reference.as_str()), "the page after it says less: {}", wrong.text);
    let right = site.world.last_code();
    let done = visitor.send(&wrong, "/me/method/confirm", &[("code", &right)]).await;
    assert_eq!(place(&done), "/me?done=saved");
    assert!(visitor.browser.named("setup").is_empty());
    let page = visitor.follow(&done).await;
    assert_eq!(between(&page.text, "id=\"current-method\">", "<"), "SMS");
    // The same code again: the change is over, and the page says so.
    let over = visitor.send(&wrong, "/me/method/confirm", &[("code", &right)]).await;
    assert_eq!(over.status, StatusCode::GONE, "{}", over.text);
    assert_eq!(alert(&over), "This code no longer works. Please start the change again.");
}

#[tokio::test]
async fn devices_are_removed_one_by_one_and_together() {
    let site = site().await;
    let mut visitor = Visitor::of(&site);
    for _ in 0..3 {
        site.world.wait_for_the_spacing();
        let mut other = Visitor::of(&site);
        let (path, page) = other.begin("alice").await;
        let code = site.world.last_code();
        other.send(&page, &path, &[("code", &code), ("trust", "yes")]).await;
        visitor.browser.cookies.extend(other.browser.cookies);
    }
    let page = visitor.get("/me").await;
    assert_eq!(page.text.matches("<li>").count(), 3, "{}", page.text);
    let first = between(&page.text, "action=\"/me/devices/", "/remove\"");
    let removed = visitor.post_as("alice", &format!("/me/devices/{first}/remove"), &[]).await;
    assert_eq!(place(&removed), "/me?done=removed");
    let page = visitor.follow(&removed).await;
    assert_eq!(alert(&page), "The device was removed.");
    let left = page.text.matches("<li>").count();
    assert_eq!(left, 2, "{}", page.text);
    let removed = visitor.send(&page, "/me/devices/remove", &[]).await;
    assert_eq!(place(&removed), "/me?done=removed");
    let alice = UserId::new("alice").unwrap();
    let operator = site.world.flow.operator("test").unwrap();
    let status = operator.status(&site.world.tenant, &alice).await.unwrap().unwrap();
    assert!(status.devices.is_empty());
}

#[tokio::test]
async fn exempt_users_have_nothing_to_set_up() {
    let site = site().await;
    let scope = countersign::Scope::SystemAdministratorsOnly;
    site.world.set_scope(scope).await.unwrap();
    let mut visitor = Visitor::of(&site);
    let done = visitor.post("/sign-in", &[("name", "alice"), ("password", PASSWORD)]).await;
    assert_eq!(place(&done), "/");
    let page = visitor.get("/me").await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(alert(&page), "Two-factor authentication is not in use for this account.");
    assert!(!page.text.contains("/me/method"), "{}", page.text);
}

/// A session that does not hold leads to the login, and from there back.
#[tokio::test]
async fn without_a_session_that_holds_every_page_leads_to_the_login() {
    let site = site().await;
    let mut visitor = Visitor::of(&site);
    let pages = [
        ("GET", "/me", "%2Fme"),
        ("POST", "/me/method", "%2Fme"),
        ("POST", "/me/backup-code", "%2Fme"),
        ("GET", "/settings", "%2Fsettings"),
        ("POST", "/settings/edit", "%2Fsettings%2Fedit"),
        ("GET", "/users?id=bob", "%2Fusers%3Fid%3Dbob"),
        ("POST", "/users/reset?id=bob", "%2Fusers%3Fid%3Dbob"),
    ];
    for round in 0..2 {
        for (method, path, back) in pages {
            let body = (method == "POST").then(String::new);
            let answer = visitor.request(method, path, body).await;
            assert_eq!(place(&answer), format!("/sign-in?return_to={back}"), "{path}, {round}");
        }
        if round == 1 {
            break;
        }
        visitor.sign_in("alice").await;
        let alice = UserId::new("alice").unwrap();
        let disable = |user: &mut countersign::user::User| user.status = UserStatus::Disabled;
        site.world.users.change(&site.world.tenant, &alice, disable).unwrap();
    }
    assert_eq!(site.sessions.count(), 0);
}

/// Pages of the application's own lead to the login, and from there back; requests for data do not.
#[tokio::test]
async fn pages_of_the_application_lead_to_the_login_and_back() {
    use std::time::Duration;
    let site = site().await;
    let request = |accept: &str, cookies: &str| {
        let request = http::Request::get("/vault?door=2")
            .header("host", "acme.example.com")
            .header("accept", accept)
            .header("cookie", cookies);
        request.body(()).unwrap().into_parts().0
    };
    let html = "text/html,application/xhtml+xml;q=0.9";
    let window = Duration::from_secs(600);
    let refused = site.web.signed_in(&request(html, "")).await.unwrap_err();
    assert_eq!(refused.status(), StatusCode::SEE_OTHER);
    assert_eq!(refused.headers()["location"], "/sign-in?return_to=%2Fvault%3Fdoor%3D2");
    let refused = site.web.signed_in(&request("application/json", "")).await.unwrap_err();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("alice").await;
    let cookies = format!("__Host-session={}", visitor.browser.session().unwrap());
    let granted = site.web.recently_signed_in(&request(html, &cookies), window).await.unwrap();
    assert_eq!(granted.user().as_str(), "alice");
    let refused = site.web.administrator(&request(html, &cookies)).await.unwrap_err();
    assert_eq!(refused.status(), StatusCode::NOT_FOUND);
    assert_eq!(refused.headers()["content-type"], "text/html; charset=utf-8");
    site.world.clock.advance(window);
    let late = site.web.recently_signed_in(&request(html, &cookies), window).await.unwrap_err();
    assert_eq!(late.headers()["location"], "/sign-in?return_to=%2Fvault%3Fdoor%3D2&again=1");
    // Exempt users need no code, but a recent login.
    site.world.set_scope(countersign::Scope::SystemAdministratorsOnly).await.unwrap();
    visitor.post("/sign-in", &[("name", "bob"), ("password", PASSWORD)]).await;
    let cookies = format!("__Host-session={}", visitor.browser.session().unwrap());
    assert!(site.web.recently_signed_in(&request(html, &cookies), window).await.is_ok());
    site.world.clock.advance(window);
    assert!(site.web.recently_signed_in(&request(html, &cookies), window).await.is_err());
}

/// A page of one person does nothing for another one who has logged in in the same browser.
#[tokio::test]
async fn a_form_is_of_the_person_whose_page_it_was_on() {
    let site = site().await;
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("alice").await;
    let page = visitor.get("/me").await;
    visitor.sign_in("bob").await;
    site.world.calls.clear();
    let fields = [("method", "sms"), ("phone", "+819012345678")];
    let refused = visitor.send(&page, "/me/method", &fields).await;
    assert_eq!(place(&refused), "/me?done=other");
    assert_eq!(site.world.calls.of("commit"), 0);
    let page = visitor.follow(&refused).await;
    assert_eq!(
        alert(&page),
        "Somebody else has logged in in this browser meanwhile. Please check whose page this is."
    );
    // Control: Bob's own page does it.
    site.world.wait_for_the_spacing();
    let sent = visitor.send(&page, "/me/method", &fields).await;
    assert!(place(&sent).starts_with("/me/method/confirm"), "{}", place(&sent));
}

/// What comes with a time says it in a header, too.
#[tokio::test]
async fn later_comes_with_a_time_on_every_page() {
    let site = site().await;
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("alice").await;
    site.world.wait_for_the_spacing();
    let fields = [("method", "sms"), ("phone", "+81 90-1234-5678")];
    for _ in 0..2 {
        let sent = visitor.post_as("alice", "/me/method", &fields).await;
        assert!(place(&sent).starts_with("/me/method/confirm"), "{}", place(&sent));
    }
    let early = visitor.post_as("alice", "/me/method", &fields).await;
    assert_eq!(early.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(early.headers["retry-after"], "30");
    // The number is not what is wrong.
    assert!(!early.text.contains("aria-invalid"), "{}", early.text);
}

/// A form of the application's own leads to the login, and back to the page that it was on.
#[tokio::test]
async fn a_form_of_the_application_leads_to_the_login_and_back_to_its_page() {
    use std::time::Duration;
    let site = site().await;
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("alice").await;
    site.world.clock.advance(Duration::from_secs(601));
    let cookie = format!("__Host-session={}", visitor.browser.session().unwrap());
    for (referer, back) in [
        ("https://acme.example.com/account?tab=2", "return_to=%2Faccount%3Ftab%3D2&again=1"),
        ("https://evil.example/account", "again=1"),
        ("https://acme.example.com.evil.example/", "again=1"),
        ("nonsense", "again=1"),
    ] {
        let request = http::Request::post("/account/close")
            .header("host", "acme.example.com")
            .header("accept", "text/html")
            .header("sec-fetch-site", "same-origin")
            .header("referer", referer)
            .header("cookie", &cookie);
        let parts = request.body(()).unwrap().into_parts().0;
        let refused = site.web.recently_signed_in(&parts, Duration::from_secs(600)).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.status(), StatusCode::SEE_OTHER);
        assert_eq!(refused.headers()["location"], format!("/sign-in?{back}"), "{referer}");
    }
}

/// The next person at this browser is not offered the change that somebody else has begun.
#[tokio::test]
async fn a_change_ends_with_its_session() {
    let site = site().await;
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("alice").await;
    site.world.wait_for_the_spacing();
    let fields = [("method", "sms"), ("phone", "+819012345678")];
    visitor.post_as("alice", "/me/method", &fields).await;
    assert_eq!(visitor.browser.named("setup").len(), 1);
    visitor.sign_in("bob").await;
    assert!(visitor.browser.named("setup").is_empty(), "{:?}", visitor.browser.cookies);
    assert!(!visitor.get("/me").await.text.contains("/me/method/confirm"));
}
