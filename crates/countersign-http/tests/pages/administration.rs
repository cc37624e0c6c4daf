//! The administrator's pages.

use countersign::{Scope, UserId};
use http::StatusCode;

use crate::visitor::{Visitor, alert, between, place, site};

/// What a page says of the setting.
fn setting(text: &str) -> &str {
    between(text, "id=\"current-setting\">", "<")
}

/// I-34: an administrator's page is nobody else's.
#[tokio::test]
async fn other_users_find_no_such_page() {
    let site = site().await;
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("alice").await;
    let before = site.world.flow.operator("test").unwrap().scope(&site.world.tenant).await.unwrap();
    for path in ["/settings", "/settings/edit", "/users", "/users/bob", "/users/bob/reset"] {
        let hidden = visitor.get(path).await;
        assert_eq!(
            (hidden.status, &*alert(&hidden)),
            (StatusCode::NOT_FOUND, "This was not found."),
            "{path}"
        );
    }
    let fields = [("scope", "do_not_use"), ("confirmed", "yes")];
    assert_eq!(visitor.post("/settings/edit", &fields).await.status, StatusCode::NOT_FOUND);
    assert_eq!(visitor.post("/users/bob/reset", &[]).await.status, StatusCode::NOT_FOUND);
    let after = site.world.flow.operator("test").unwrap().scope(&site.world.tenant).await.unwrap();
    assert_eq!(before, after);
}

/// I-27: switching off says first what it deletes, and for how many people.
#[tokio::test]
async fn switching_off_asks_first() {
    let site = site().await;
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("root").await;
    let page = visitor.get("/settings").await;
    assert_eq!((setting(&page.text), page.status), ("Entire tenant", StatusCode::OK));
    let edit = visitor.get("/settings/edit").await;
    assert!(
        edit.text.contains(
            "value=\"entire_tenant\" aria-describedby=\"entire_tenant-means\" required checked"
        ),
        "{}",
        edit.text
    );
    let ask = visitor.send(&edit, "/settings/edit", &[("scope", "do_not_use")]).await;
    assert_eq!(ask.status, StatusCode::OK);
    assert!(ask.text.contains("Something is saved for 1 user."), "{}", ask.text);
    let operator = site.world.flow.operator("test").unwrap();
    assert_eq!(operator.scope(&site.world.tenant).await.unwrap(), Scope::EntireTenant);
    let off = visitor.send(&ask, "/settings/edit", &[("confirmed", "yes")]).await;
    assert_eq!(place(&off), "/settings");
    let page = visitor.follow(&off).await;
    assert_eq!(setting(&page.text), "Do not use");
    assert_eq!(between(&page.text, "id=\"remaining\">", "<"), "1", "{}", page.text);
    let _ = site.world.flow.purge(&site.world.tenant, 10).await.unwrap();
    let page = visitor.get("/settings").await;
    assert_eq!(between(&page.text, "id=\"deleted\">", "<"), "1");
    assert!(page.text.contains("<dt>Finished on</dt><dd><time datetime="), "{}", page.text);
    // Switching on asks nothing.
    let on = visitor.post("/settings/edit", &[("scope", "entire_tenant")]).await;
    assert_eq!(place(&on), "/settings");
}

#[tokio::test]
async fn what_weakens_somebody_needs_a_recent_login_and_returns_to_its_page() {
    let site = site().await;
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("root").await;
    site.world.clock.advance(std::time::Duration::from_secs(601));
    let fields = [("scope", "do_not_use"), ("confirmed", "yes")];
    for (path, fields, back) in [
        ("/settings/edit", &fields[..], "%2Fsettings%2Fedit"),
        ("/users/bob/reset", &[], "%2Fusers%2Fbob"),
        ("/users/bob/unlock", &[], "%2Fusers%2Fbob"),
    ] {
        let refused = visitor.post(path, fields).await;
        assert_eq!(place(&refused), format!("/sign-in?return_to={back}&again=1"), "{path}");
    }
    let operator = site.world.flow.operator("test").unwrap();
    assert_eq!(operator.scope(&site.world.tenant).await.unwrap(), Scope::EntireTenant);
}

#[tokio::test]
async fn a_locked_user_is_found_unlocked_and_reset() {
    let site = site().await;
    let _ = site.world.lock_codes("bob").await.unwrap();
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("root").await;
    let page = visitor.get("/users").await;
    assert_eq!(page.status, StatusCode::OK);
    let found = visitor.get("/users?id=bob").await;
    let page = visitor.follow(&found).await;
    assert!(between(&page.text, "id=\"codes\">", "</dd>").starts_with("locked until <time"));
    let unlocked = visitor.send(&page, "/users/bob/unlock", &[]).await;
    assert_eq!(alert(&unlocked), "The user was unlocked.");
    assert_eq!(between(&unlocked.text, "id=\"codes\">", "</dd>"), "open");
    let ask = visitor.get("/users/bob/reset").await;
    assert!(ask.text.contains("A reset clears this user"), "{}", ask.text);
    let bob = UserId::new("bob").unwrap();
    site.world.choose_sms("bob", "+819012345678").await.unwrap();
    let done = visitor.send(&ask, "/users/bob/reset", &[]).await;
    assert_eq!(
        (done.status, &*alert(&done)),
        (StatusCode::OK, "The user&#39;s two-factor authentication was reset.")
    );
    let operator = site.world.flow.operator("test").unwrap();
    let status = operator.status(&site.world.tenant, &bob).await.unwrap().unwrap();
    assert!(status.phone.is_none());
    // Nobody resets themselves, and nobody resets a user that there is not.
    assert_eq!(visitor.post("/users/root/reset", &[]).await.status, StatusCode::FORBIDDEN);
    assert_eq!(visitor.post("/users/nobody/reset", &[]).await.status, StatusCode::NOT_FOUND);
    assert_eq!(visitor.get("/users/nobody").await.status, StatusCode::NOT_FOUND);
}
