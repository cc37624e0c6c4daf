//! The list of users.

use countersign_testkit::Person;
use http::StatusCode;

use crate::browser::{Answer, Site};
use crate::visitor::{Visitor, alert, between, place, site, site_with_people};

/// The ids that a page lists.
fn listed(page: &Answer) -> Vec<&str> {
    let list = between(&page.text, "id=\"people\"", "</ul>");
    list.split("<h2>").skip(1).map(|item| between(item, "<bdi>", "</bdi>")).collect()
}

/// What a page says of one user.
fn card<'p>(page: &'p Answer, id: &str) -> &'p str {
    let list = between(&page.text, "id=\"people\"", "</ul>");
    let is = |item: &&str| item.contains(&format!("<bdi>{id}</bdi></a></h2>"));
    list.split("<li>").find(is).unwrap_or_else(|| panic!("no {id} in {}", page.text))
}

async fn crowd() -> Site {
    let site = site_with_people().await;
    Person::named("dora").disabled().join(&site.world.users, &site.world.tenant).unwrap();
    site.world.choose_sms("bob", "+819012345678").await.unwrap();
    let _ = site.world.sign_in_and_trust("bob", "laptop").await.unwrap();
    site.world.wait_for_the_spacing();
    let _ = site.world.lock_codes("alice").await.unwrap();
    site
}

#[tokio::test]
async fn users_are_listed_and_lead_to_their_pages() {
    let site = crowd().await;
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("root").await;
    let page = visitor.get("/users").await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(listed(&page), ["alice", "bob", "dora", "root"]);
    let bob = card(&page, "bob");
    assert!(bob.contains("SMS <bdi>+81 *** **78</bdi>"), "{bob}");
    assert!(bob.contains("<dt>Trusted devices</dt><dd>1</dd>"), "{bob}");
    assert!(bob.contains("<dt>Backup code</dt><dd>None</dd>"), "{bob}");
    assert!(!bob.contains("lock") && !bob.contains("hint"), "{bob}");
    let alice = card(&page, "alice");
    assert!(alice.contains("<dt>Code lock</dt><dd>Locked until <time"), "{alice}");
    assert!(card(&page, "dora").contains("Disabled, Not set up yet"));
    assert!(card(&page, "root").contains("System administrator"));
    let user = visitor.get(between(bob, "href=\"", "\"")).await;
    assert!(user.text.contains("<h2 id=\"user\"><bdi>bob</bdi></h2>"), "{}", user.text);
    // And back to the list.
    assert!(user.text.contains("<a href=\"/users\">List of users</a>"), "{}", user.text);
    // An id is looked for as ever.
    let unknown = visitor.get("/users?id=nobody").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert!(unknown.text.contains("List of users"), "{}", unknown.text);
    visitor.language = "ja";
    let page = visitor.get("/users").await;
    assert!(card(&page, "dora").contains("無効, 未設定"), "{}", page.text);
}

#[tokio::test]
async fn filters_show_some_of_them() {
    let site = crowd().await;
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("root").await;
    for (filter, name, expected) in [
        ("not_set_up", "Not set up yet", &["dora"][..]),
        ("locked", "Locked", &["alice"]),
        ("sms", "Codes by SMS", &["bob"]),
        ("administrators", "System administrators", &["root"]),
        ("all", "All users", &["alice", "bob", "dora", "root"]),
        // What is no filter shows everybody.
        ("others", "All users", &["alice", "bob", "dora", "root"]),
    ] {
        let page = visitor.get(&format!("/users?filter={filter}")).await;
        assert_eq!(listed(&page), expected, "{filter}");
        let chosen = between(&page.text, "aria-current=\"page\">", "<");
        assert_eq!(chosen, name, "{filter}");
        assert!(!page.text.contains("rel=\"next\""), "{filter}");
    }
}

#[tokio::test]
async fn the_list_has_parts() {
    let site = site_with_people().await;
    site.join((0..120).map(|number| format!("u&{number:03}")));
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("root").await;
    let (mut place, mut seen) = ("/users".to_owned(), Vec::new());
    for part in 0..3 {
        let page = visitor.get(&place).await;
        seen.extend(listed(&page).into_iter().map(str::to_owned));
        let pager = between(&page.text, "aria-label=\"Parts of the list\"", "</nav>");
        assert_eq!(pager.contains("<a href=\"/users\">Back to the start</a>"), part > 0);
        let next = pager.split("<a ").find(|link| link.contains("rel=\"next\""));
        place = next
            .map_or_else(String::new, |link| between(link, "href=\"", "\"").replace("&#38;", "&"));
    }
    assert!(place.is_empty());
    assert_eq!(seen.len(), 123);
    let mut sorted = seen.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), 123);
}

/// I-40: where many people must be looked at, the page says that there are more.
#[tokio::test]
async fn a_filter_that_finds_nobody_goes_on() {
    let site = site_with_people().await;
    site.join((0..2_100).map(|number| format!("u{number:04}")));
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("root").await;
    let page = visitor.get("/users?filter=locked").await;
    let said = between(&page.text, "<p id=\"nobody\">", "</p>");
    assert_eq!(said, "No users found so far. There are more users to look through.");
    let next = between(&page.text, "<a href=\"/users?filter=locked&#38;after=", "\"");
    let last = visitor.get(&format!("/users?filter=locked&after={next}")).await;
    assert_eq!(between(&last.text, "<p id=\"nobody\">", "</p>"), "No users found.");
}

/// Without a list, an administrator finds a user by id, as ever.
#[tokio::test]
async fn without_a_list_users_are_found_by_id() {
    let site = site().await;
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("root").await;
    let page = visitor.get("/users?filter=locked&after=alice").await;
    assert_eq!((page.status, listed(&page).len()), (StatusCode::OK, 0));
    assert!(page.text.contains("name=\"id\" value=\"\""), "{}", page.text);
    assert!(!page.text.contains("All users"), "{}", page.text);
    let user = visitor.get("/users?id=bob").await;
    assert!(!user.text.contains("List of users"), "{}", user.text);
}

/// I-34: the list is for administrators; a stale session is led to the login, and back to the same
/// part of the list.
#[tokio::test]
async fn the_list_is_for_administrators() {
    let site = site_with_people().await;
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("alice").await;
    let hidden = visitor.get("/users?filter=sms").await;
    assert_eq!(hidden.status, StatusCode::NOT_FOUND);
    assert_eq!(listed(&hidden), Vec::<&str>::new());
    assert!(alert(&hidden).starts_with("This was not found."));
    visitor.post("/sign-out", &[]).await;
    let asked = visitor.get("/users?filter=sms&after=bob").await;
    assert_eq!(place(&asked), "/sign-in?return_to=%2Fusers%3Ffilter%3Dsms%26after%3Dbob");
    // I-03: of another tenant there is no session.
    visitor.sign_in("root").await;
    visitor.browser.host = "other.example.com";
    assert_eq!(place(&visitor.get("/users").await), "/sign-in?return_to=%2Fusers");
}

/// Ids are text, whatever is in them: markup, quotes, and marks that turn the direction of text.
#[tokio::test]
async fn ids_in_the_list_stay_text() {
    let site = site_with_people().await;
    let hostile =
        ["\"><script>alert(1)</script>'&", "\u{5d0}\u{5d1}\u{5d2} (root)", "../?id=root#x"];
    site.join(hostile.map(str::to_owned));
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("root").await;
    for path in ["/users", "/users?filter=not_set_up", "/users?after=%22%3E%3Cscript%3E"] {
        let page = visitor.get(path).await;
        assert_eq!(page.status, StatusCode::OK);
        assert_eq!(page.text.matches("<script").count(), 1, "{}", page.text);
        // Each id is in an element of its own, from which its direction does not get out.
        for id in ["&#34;&#62;&#60;script&#62;", "\u{5d0}\u{5d1}\u{5d2} (root)"] {
            for (at, _) in page.text.match_indices(id) {
                assert!(page.text[..at].ends_with("<bdi>"), "{}", page.text);
            }
        }
    }
    let page = visitor.get("/users").await;
    let links: Vec<_> = page.text.split("<h2><a href=\"").skip(1).collect();
    assert_eq!(links.len(), 6);
    for (link, id) in links.iter().zip(listed(&page)) {
        let user = visitor.get(link.split('"').next().unwrap()).await;
        assert_eq!(user.status, StatusCode::OK);
        assert!(user.text.contains(&format!("<h2 id=\"user\"><bdi>{id}</bdi></h2>")), "{id}");
    }
}
