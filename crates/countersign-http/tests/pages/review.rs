//! The page on which a change of settings is reviewed: who is affected, and what must be accepted.

use countersign::tenant::{Methods, SingleSignOn};
use countersign::{Method, Scope};
use http::StatusCode;

use crate::browser::Answer;
use crate::settings::{CONFIRMED, EDIT, shown};
use crate::visitor::{Visitor, alert, between, place, site, site_with_people};

/// How many people a review names of one kind, and their ids.
fn affected<'p>(page: &'p Answer, id: &str) -> (&'p str, Vec<&'p str>) {
    let found = shown(page, id);
    let ids = found.split("<bdi>").skip(1).map(|part| part.split("</bdi>").next().unwrap());
    (found.split('\n').next().unwrap(), ids.collect())
}

/// I-44: the review says who is affected, and looking at it changes nothing.
#[tokio::test]
async fn a_review_says_who_is_affected() {
    let site = site_with_people().await;
    site.world.choose_sms("bob", "+819012345678").await.unwrap();
    let _ = site.world.sign_in_and_trust("bob", "laptop").await.unwrap();
    site.world.wait_for_the_spacing();
    site.world.make_backup_code("bob").await.unwrap();
    site.world.wait_for_the_spacing();
    site.join((0..25).map(|number| format!("u{number:02}")));
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("root").await;
    let edit = visitor.get(EDIT).await;
    site.world.calls.clear();
    site.world.events.clear();
    let fields = [("scope", "system_administrators_only")];
    let review = visitor.send_without(&edit, EDIT, &fields, &["sms", "backup_codes"]).await;
    let looked_at = between(&review.text, "id=\"looked-at\">", "</p>");
    assert_eq!(looked_at, "Checked for all 28 users who may log in.");
    let (count, ids) = affected(&review, "no-longer-asked");
    assert_eq!(
        (count, ids.len(), ids[0], ids[1], ids[19]),
        ("27 users", 20, "alice", "bob", "u17")
    );
    assert!(shown(&review, "no-longer-asked").contains("<li>and 7 more</li>"), "{}", review.text);
    assert_eq!(shown(&review, "devices-deleted"), "1");
    assert_eq!(shown(&review, "backup-codes-deleted"), "1");
    for absent in ["locked-out", "newly-asked", "settings-deleted", "unreadable"] {
        assert!(!review.text.contains(&format!("id=\"{absent}\"")), "{absent}");
    }
    assert!(!review.text.contains("accept_lock_outs"), "{}", review.text);
    let writes = ["commit", "change_settings", "remove"];
    assert_eq!(writes.map(|call| site.world.calls.of(call)), [0; 3]);
    assert!(site.world.events.all().is_empty());
    // What it says is what happens.
    let saved = visitor.send(&review, EDIT, &CONFIRMED).await;
    assert_eq!(place(&saved), "/settings?done=saved");
    assert_eq!(site.browser().password("bob").await.step(), "authenticated");
    // Other changes affect nobody, or other people.
    let edit = visitor.get(EDIT).await;
    let nobody = visitor.send(&edit, EDIT, &[("lockout", "own"), ("wrong_codes", "4")]).await;
    assert_eq!(between(&nobody.text, "<p id=\"nobody\">", "</p>"), "No users are affected.");
    let edit = visitor.get(EDIT).await;
    let again = visitor.send(&edit, EDIT, &[("scope", "entire_tenant")]).await;
    assert_eq!(affected(&again, "newly-asked").0, "27 users");
    visitor.language = "ja";
    let again = visitor.send(&edit, EDIT, &[("scope", "entire_tenant")]).await;
    assert_eq!(affected(&again, "newly-asked").0, "27人");
    assert!(shown(&again, "newly-asked").contains("<li>ほか7人</li>"), "{}", again.text);
}

/// Codes that go another way than today are said, and the ways that users then have are in force.
#[tokio::test]
async fn a_forbidden_method_gives_way_to_the_other_one() {
    let site = site_with_people().await;
    site.world.choose_sms("bob", "+819012345678").await.unwrap();
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("root").await;
    let user = visitor.get("/users?id=bob").await;
    assert!(user.text.contains("<dt>Current method</dt><dd>SMS</dd>"), "{}", user.text);
    let edit = visitor.get(EDIT).await;
    let review = visitor.send_without(&edit, EDIT, &[], &["sms"]).await;
    assert_eq!(affected(&review, "other-method"), ("1 user", vec!["bob"]));
    let saved = visitor.send(&review, EDIT, &CONFIRMED).await;
    assert_eq!(place(&saved), "/settings?done=saved", "{}", saved.text);
    // An administrator and the user see the method that is in force.
    let user = visitor.get("/users?id=bob").await;
    assert!(user.text.contains("<dt>Current method</dt><dd>Email</dd>"), "{}", user.text);
    let mut bob = Visitor::of(&site);
    bob.sign_in("bob").await;
    let me = bob.get("/me").await;
    assert_eq!(between(&me.text, "id=\"current-method\">", "<"), "Email");
    // I-50: nobody chooses what is not allowed.
    site.world.wait_for_the_spacing();
    let fields = [("method", "sms"), ("phone", "+819087654321")];
    let refused = bob.post_as("bob", "/me/method", &fields).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(alert(&refused), "Codes cannot be sent this way. Choose another way.");
}

/// People are locked out only by somebody who ticks that.
#[tokio::test]
async fn locking_people_out_takes_a_tick() {
    let site = site_with_people().await;
    site.world.choose_sms("root", "+819012345678").await.unwrap();
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("root").await;
    let edit = visitor.get(EDIT).await;
    let review = visitor.send_without(&edit, EDIT, &[], &["email"]).await;
    assert_eq!(affected(&review, "locked-out"), ("2 users", vec!["alice", "bob"]));
    let tick = between(&review.text, "<input type=\"checkbox\" id=\"accept_lock_outs\"", ">");
    assert!(tick.contains(" required") && !tick.contains("checked"), "{tick}");
    // A browser would not send it like this.
    let refused = visitor.send(&review, EDIT, &CONFIRMED).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(alert(&refused).starts_with("This change can lock users out."));
    let tick = between(&refused.text, "<input type=\"checkbox\" id=\"accept_lock_outs\"", ">");
    assert!(tick.contains("aria-invalid=\"true\""), "{tick}");
    assert!(site.settings().await.methods.email);
    let ticked = [("confirmed", "yes"), ("accept_lock_outs", "yes")];
    let saved = visitor.send(&refused, EDIT, &ticked).await;
    assert_eq!(place(&saved), "/settings?done=saved", "{}", saved.text);
    assert_eq!(site.settings().await.methods, Methods::only(Method::Sms));
}

/// Also by a change that forbids no method: people without an address, who are asked from then on.
#[tokio::test]
async fn locking_people_out_by_the_scope_takes_a_tick_too() {
    let site = site_with_people().await;
    site.set(|settings| settings.scope = Scope::SystemAdministratorsOnly).await;
    let bob = countersign::UserId::new("bob").unwrap();
    site.world.users.change(&site.world.tenant, &bob, |user| user.email = None).unwrap();
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("root").await;
    let edit = visitor.get(EDIT).await;
    let review = visitor.send(&edit, EDIT, &[("scope", "entire_tenant")]).await;
    assert_eq!(affected(&review, "locked-out"), ("1 user", vec!["bob"]));
    let refused = visitor.send(&review, EDIT, &CONFIRMED).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert_eq!(site.settings().await.scope, Scope::SystemAdministratorsOnly);
    let ticked = [("confirmed", "yes"), ("accept_lock_outs", "yes")];
    let saved = visitor.send(&refused, EDIT, &ticked).await;
    assert_eq!(place(&saved), "/settings?done=saved", "{}", saved.text);
}

/// Without a list of users nobody can tell who is affected: the page says so, and asks for the tick
/// where people can be locked out.
#[tokio::test]
async fn without_a_list_nobody_can_tell() {
    let site = site().await;
    site.world.choose_sms("root", "+819012345678").await.unwrap();
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("root").await;
    let edit = visitor.get(EDIT).await;
    let review = visitor.send(&edit, EDIT, &[("scope", "system_administrators_only")]).await;
    assert_eq!(
        between(&review.text, "<p id=\"no-directory\">", "</p>"),
        "This application has no list of its users, so nobody can tell who is affected."
    );
    assert!(!review.text.contains("accept_lock_outs"), "{}", review.text);
    let edit = visitor.get(EDIT).await;
    let review = visitor.send_without(&edit, EDIT, &[], &["email"]).await;
    assert!(review.text.contains("id=\"accept_lock_outs\""), "{}", review.text);
    let refused = visitor.send(&review, EDIT, &CONFIRMED).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    assert!(site.settings().await.methods.email);
    // A number that is not allowed is found, too.
    let fields = [("lockout", "own"), ("wrong_codes", "11")];
    let refused = visitor.send(&edit, EDIT, &fields).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
}

/// I-40: one page looks at no more than 20,000 people, and says so.
#[tokio::test]
async fn a_review_of_many_people_says_that_there_are_more() {
    let site = site_with_people().await;
    site.join((0..20_000).map(|number| format!("u{number:05}")));
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("root").await;
    let edit = visitor.get(EDIT).await;
    site.world.calls.clear();
    let review = visitor.send(&edit, EDIT, &[("scope", "do_not_use")]).await;
    let looked_at = between(&review.text, "id=\"looked-at\">", "</p>");
    let text = "Checked for the first 20000 users who may log in. There are more.";
    assert_eq!((looked_at, site.world.calls.of("load_many")), (text, 40));
}

/// I-27: also the end of the codes after single sign-on is a switching off, where nobody else is
/// asked for one.
#[tokio::test]
async fn exempting_the_last_people_asked_is_a_switching_off() {
    let site = site_with_people().await;
    site.set(|settings| {
        settings.scope = Scope::DoNotUse;
        settings.single_sign_on = SingleSignOn::SystemAdministrators;
    })
    .await;
    let mut visitor = Visitor::of(&site);
    let fields = [("name", "root"), ("password", crate::browser::PASSWORD)];
    visitor.post("/sign-in", &fields).await;
    let edit = visitor.get(EDIT).await;
    let review = visitor.send(&edit, EDIT, &[("single_sign_on", "exempt")]).await;
    assert!(review.text.contains("Switch off two-factor authentication?"), "{}", review.text);
    assert!(review.text.contains("id=\"saved-users\""), "{}", review.text);
    assert!(review.text.contains("<button class=\"danger\" name=\"confirmed\""));
}

/// Ids of users in a review are text, and lead to their pages.
#[tokio::test]
async fn ids_in_a_review_stay_text() {
    let site = site_with_people().await;
    let hostile = ["\"><script>alert(1)</script>'&", "\u{5d0}\u{5d1} (root)"];
    site.join(hostile.map(str::to_owned));
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("root").await;
    let edit = visitor.get(EDIT).await;
    let review = visitor.send(&edit, EDIT, &[("scope", "do_not_use")]).await;
    assert_eq!(review.text.matches("<script").count(), 1, "{}", review.text);
    assert!(review.text.contains("<bdi>&#34;&#62;&#60;script&#62;"), "{}", review.text);
    for (at, _) in review.text.match_indices('\u{5d0}') {
        assert!(review.text[..at].ends_with("<bdi>"), "{}", review.text);
    }
    let links = between(&review.text, "<dd id=\"no-longer-asked\">", "</dd>");
    for link in links.split("<a href=\"").skip(1) {
        let user = visitor.get(link.split('"').next().unwrap()).await;
        assert_eq!(user.status, StatusCode::OK, "{link}");
    }
    // What a form sends as a number is text, too.
    let fields = [("lockout", "own"), ("wrong_codes", "\"><script>alert(1)</script>")];
    let refused = visitor.send(&edit, EDIT, &fields).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused.text.matches("<script").count(), 1, "{}", refused.text);
}
