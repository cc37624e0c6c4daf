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
    for path in ["/settings", "/settings/edit", "/users", "/users?id=bob", "/users/reset?id=bob"] {
        let hidden = visitor.get(path).await;
        assert_eq!(
            (hidden.status, &*alert(&hidden)),
            (
                StatusCode::NOT_FOUND,
                "This was not found. It may have been deleted, or you may not have access."
            ),
            "{path}"
        );
    }
    let off = [("scope", "do_not_use"), ("confirmed", "yes")];
    for (path, fields) in [("/settings/edit", &off[..]), ("/users/reset", &[("id", "bob")])] {
        let hidden = visitor.post_as("alice", path, fields).await;
        assert_eq!(hidden.status, StatusCode::NOT_FOUND, "{path}");
    }
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
    assert!(ask.text.contains("The data of 1 user will be deleted."), "{}", ask.text);
    let operator = site.world.flow.operator("test").unwrap();
    assert_eq!(operator.scope(&site.world.tenant).await.unwrap(), Scope::EntireTenant);
    let off = visitor.send(&ask, "/settings/edit", &[("confirmed", "yes")]).await;
    assert_eq!(place(&off), "/settings?done=saved");
    let page = visitor.follow(&off).await;
    assert_eq!(setting(&page.text), "Do not use");
    assert_eq!(between(&page.text, "id=\"remaining\">", "<"), "1", "{}", page.text);
    let _ = site.world.flow.purge(&site.world.tenant, 10).await.unwrap();
    let page = visitor.get("/settings").await;
    assert_eq!(between(&page.text, "id=\"deleted\">", "<"), "1");
    assert!(page.text.contains("<dt>Finished on</dt><dd><time datetime="), "{}", page.text);
    // Switching on deletes nothing.
    let edit = visitor.get("/settings/edit").await;
    let review = visitor.send(&edit, "/settings/edit", &[("scope", "entire_tenant")]).await;
    assert!(!review.text.contains("saved-users"), "{}", review.text);
    let on = visitor.send(&review, "/settings/edit", &[("confirmed", "yes")]).await;
    assert_eq!(place(&on), "/settings?done=saved");
}

#[tokio::test]
async fn what_weakens_somebody_needs_a_recent_login_and_returns_to_its_page() {
    let site = site().await;
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("root").await;
    site.world.clock.advance(std::time::Duration::from_secs(601));
    let off = visitor.confirmed_settings(&[("scope", "do_not_use")]).await;
    let off: Vec<_> = off.iter().map(|(name, value)| (&**name, &**value)).collect();
    for (path, fields, back) in [
        ("/settings/edit", &off[..], "/settings/edit?done=repeat"),
        ("/users/reset?id=bob", &[("id", "bob")], "/users?id=bob&done=repeat"),
        ("/users/unlock?id=bob", &[("id", "bob")], "/users?id=bob&done=repeat"),
    ] {
        let refused = visitor.post_as("root", path, fields).await;
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("return_to", back)
            .append_pair("again", "1")
            .finish();
        assert_eq!(place(&refused), format!("/sign-in?{query}"), "{path}");
        // The page that the login returns to is there, and says what to do.
        let page = visitor.get(back).await;
        let expected = (StatusCode::OK, "Please repeat your change now.");
        assert_eq!((page.status, &*alert(&page)), expected, "{path}");
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
    let page = visitor.get("/users?id=bob").await;
    assert!(between(&page.text, "id=\"codes\">", "</dd>").starts_with("Locked until <time"));
    let unlocked = visitor.send(&page, "/users/unlock", &[]).await;
    let unlocked = visitor.follow(&unlocked).await;
    assert_eq!(alert(&unlocked), "The user was unlocked.");
    assert_eq!(between(&unlocked.text, "id=\"codes\">", "</dd>"), "Not locked");
    let ask = visitor.get("/users/reset?id=bob").await;
    assert!(ask.text.contains("This deletes the user"), "{}", ask.text);
    let bob = UserId::new("bob").unwrap();
    site.world.choose_sms("bob", "+819012345678").await.unwrap();
    let done = visitor.send(&ask, "/users/reset", &[]).await;
    // A reload of what follows resets nobody again.
    let done = visitor.follow(&done).await;
    assert_eq!(
        (done.status, &*alert(&done)),
        (StatusCode::OK, "The user&#39;s two-factor authentication was reset.")
    );
    let operator = site.world.flow.operator("test").unwrap();
    let status = operator.status(&site.world.tenant, &bob).await.unwrap().unwrap();
    assert!(status.phone.is_none());
    // Nobody resets themselves, and nobody resets a user that there is not.
    for (id, status) in [("root", StatusCode::FORBIDDEN), ("nobody", StatusCode::NOT_FOUND)] {
        let refused = visitor.post_as("root", "/users/reset", &[("id", id)]).await;
        assert_eq!(refused.status, status, "{id}");
    }
    let unknown = visitor.get("/users?id=nobody").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    // The next id is asked for, on the page that says so.
    let field = between(&unknown.text, "<input id=\"id\"", ">");
    assert!(field.contains("value=\"nobody\""), "{}", unknown.text);
    assert!(field.contains("aria-invalid=\"true\""), "{}", unknown.text);
    let long = "x".repeat(500);
    let refused = visitor.get(&format!("/users?id={long}")).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text.contains(&long), "{}", refused.text);
}

/// Ids are in no path, where browsers would take some of them for something else.
#[tokio::test]
async fn a_user_whose_id_is_dots_is_reset_like_any_other() {
    let site = site().await;
    for id in ["..", ".", "a/b?c#d", "%2e"] {
        let name = format!("n{id}");
        let person = countersign_testkit::Person::named(name).id(id).email("x@example.com");
        person.join(&site.world.users, &site.world.tenant).unwrap();
        let mut visitor = Visitor::of(&site);
        visitor.sign_in("root").await;
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("id", id).finish();
        let page = visitor.get(&format!("/users?{query}")).await;
        assert_eq!(page.status, StatusCode::OK, "{id}: {}", page.text);
        let ask = visitor.get(&format!("/users/reset?{query}")).await;
        site.world.events.clear();
        let done = visitor.send(&ask, "/users/reset", &[]).await;
        assert!(place(&done).contains("&done=reset"), "{id}: {}", place(&done));
        let reset = site.world.events.all().into_iter().find_map(|event| event.user);
        assert_eq!(reset.unwrap().as_str(), id);
        visitor.post("/sign-out", &[]).await;
        site.world.clock.advance(crate::browser::DAY);
    }
}

/// I-42: a page that is older than the settings changes nothing.
#[tokio::test]
async fn a_setting_that_was_changed_meanwhile_is_shown_again() {
    let site = site().await;
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("root").await;
    let edit = visitor.get("/settings/edit").await;
    let off = [("scope", "do_not_use")];
    let review = visitor.send(&edit, "/settings/edit", &off).await;
    let only = Scope::SystemAdministratorsOnly;
    site.world.set_scope(only).await.unwrap();
    for answer in [
        visitor.send(&edit, "/settings/edit", &[("scope", "entire_tenant")]).await,
        visitor.send(&edit, "/settings/edit", &off).await,
        visitor.send(&review, "/settings/edit", &[("confirmed", "yes")]).await,
        visitor.send(&review, "/settings/edit", &[("back", "yes")]).await,
    ] {
        assert_eq!(place(&answer), "/settings/edit?done=changed");
    }
    let operator = site.world.flow.operator("test").unwrap();
    assert_eq!(operator.scope(&site.world.tenant).await.unwrap(), only);
    let page = visitor.get("/settings/edit?done=changed").await;
    assert!(alert(&page).starts_with("Somebody else has changed the setting meanwhile."));
}

/// What cannot be set is said where it was chosen.
#[tokio::test]
async fn a_setting_that_is_refused_is_shown_with_the_reason() {
    let site = site().await;
    let scope = Scope::SystemAdministratorsOnly;
    site.world.set_scope(Scope::DoNotUse).await.unwrap();
    let root = UserId::new("root").unwrap();
    site.world.users.change(&site.world.tenant, &root, |user| user.email = None).unwrap();
    let mut visitor = Visitor::of(&site);
    let fields = [("name", "root"), ("password", crate::browser::PASSWORD)];
    visitor.post("/sign-in", &fields).await;
    let edit = visitor.get("/settings/edit").await;
    let chosen = [("scope", "system_administrators_only")];
    let review = visitor.send(&edit, "/settings/edit", &chosen).await;
    let refused = visitor.send(&review, "/settings/edit", &[("confirmed", "yes")]).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{scope:?}");
    assert!(alert(&refused).starts_with("You have no email address"), "{}", refused.text);
    assert!(refused.text.contains("name=\"scope\""), "{}", refused.text);
    let operator = site.world.flow.operator("test").unwrap();
    assert_eq!(operator.scope(&site.world.tenant).await.unwrap(), Scope::DoNotUse);
}

/// An id is looked for as it was typed.
#[tokio::test]
async fn an_id_that_nobody_has_is_asked_for_again() {
    let site = site().await;
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("root").await;
    for (query, id) in [("nobody", "nobody"), ("+bob", " bob"), ("bob+", "bob ")] {
        let page = visitor.get(&format!("/users?id={query}")).await;
        assert_ne!(page.status, StatusCode::OK, "{id:?}");
        assert!(page.text.contains(&format!("value=\"{id}\"")), "{}", page.text);
    }
}
