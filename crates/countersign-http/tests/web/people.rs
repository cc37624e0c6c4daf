//! The list of a tenant's users.

use countersign_testkit::Person;
use http::StatusCode;
use serde_json::{Value, json};

use crate::browser::{Answer, Browser, Site};

async fn site() -> Site {
    Site::with_people(|flow| flow, |web| web).await
}

async fn list(browser: &mut Browser<'_>, query: &str) -> Answer {
    let answer = browser.get(&format!("/administration/users{query}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{query}: {}", answer.text);
    answer
}

fn ids(answer: &Answer) -> Vec<&str> {
    let people = answer.json["people"].as_array().unwrap();
    people.iter().map(|person| person["user"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn users_are_listed_with_their_second_factors() {
    let site = site().await;
    Person::named("dora").disabled().join(&site.world.users, &site.world.tenant).unwrap();
    site.world.choose_sms("bob", "+819012345678").await.unwrap();
    let _ = site.world.lock_codes("alice").await.unwrap();
    let mut root = site.browser();
    site.sign_in(&mut root, "root").await;
    let all = list(&mut root, "").await;
    assert_eq!(ids(&all), ["alice", "bob", "dora", "root"]);
    assert!(all.json.get("next").is_none(), "{}", all.text);
    let bob = &all.json["people"][1];
    assert_eq!(bob["status"]["phone"], "+81 *** **78");
    let dora =
        json!({"user": "dora", "active": false, "system_administrator": false, "known": false});
    for (name, value) in dora.as_object().unwrap() {
        assert_eq!(all.json["people"][2][name], *value, "{name}");
    }
    for (filter, expected) in [
        ("all", &["alice", "bob", "dora", "root"][..]),
        ("not_set_up", &["dora"]),
        ("locked", &["alice"]),
        ("sms", &["bob"]),
        ("administrators", &["root"]),
    ] {
        let found = list(&mut root, &format!("?filter={filter}")).await;
        assert_eq!((ids(&found).as_slice(), found.json.get("next")), (expected, None), "{filter}");
    }
    // Users locked by wrong passwords are listed, too.
    for _ in 0..10 {
        let wrong = json!({"name": "bob", "password": "wrong"});
        let _ = site.browser().post("/login", wrong).await;
    }
    assert_eq!(ids(&list(&mut root, "?filter=locked").await), ["alice", "bob"]);
}

/// Each part goes on where the one before ended, and nobody is listed twice or left out.
#[tokio::test]
async fn the_list_goes_on_where_it_ended() {
    let site = site().await;
    let ids_of_all: Vec<String> = (0..120).map(|number| format!("u{number:03}")).collect();
    site.join(ids_of_all.clone());
    let mut root = site.browser();
    site.sign_in(&mut root, "root").await;
    let (mut seen, mut query) = (Vec::new(), "?limit=50".to_owned());
    for expected in [50, 50, 23] {
        let part = list(&mut root, &query).await;
        assert_eq!(ids(&part).len(), expected);
        seen.extend(ids(&part).into_iter().map(str::to_owned));
        match part.json["next"].as_str() {
            Some(next) => query = format!("?limit=50&after={next}"),
            None => query.clear(),
        }
    }
    assert!(query.is_empty());
    let all = ["alice", "bob", "root"].map(str::to_owned).into_iter().chain(ids_of_all);
    assert_eq!(seen, all.collect::<Vec<_>>());
    assert_eq!(ids(&list(&mut root, "").await).len(), 50);
    assert_eq!(ids(&list(&mut root, "?limit=200").await).len(), 123);
    // Exactly as many as were asked for, and nobody after them.
    let last = list(&mut root, "?limit=20&after=u099").await;
    assert_eq!((ids(&last).len(), last.json.get("next")), (20, None));
}

/// I-40: one request looks at no more than 2,000 people, whatever the filter keeps.
#[tokio::test]
async fn a_filter_looks_at_a_bounded_number_of_people() {
    let site = site().await;
    site.join((0..4_500).map(|number| format!("u{number:04}")));
    let late = Person::named("zoe").administrator();
    late.join(&site.world.users, &site.world.tenant).unwrap();
    let mut root = site.browser();
    site.sign_in(&mut root, "root").await;
    site.world.calls.clear();
    let first = list(&mut root, "?filter=administrators").await;
    assert_eq!((ids(&first), &first.json["next"]), (vec!["root"], &json!("u1996")));
    assert_eq!(site.world.calls.of("load_many"), 4);
    let second = list(&mut root, "?filter=administrators&after=u1996").await;
    assert_eq!((ids(&second), &second.json["next"]), (vec![], &json!("u3996")));
    let third = list(&mut root, "?filter=administrators&after=u3996").await;
    assert_eq!((ids(&third), third.json.get("next")), (vec!["zoe"], None));
    // Those who are kept are not more than were asked for, and the rest is not lost.
    let some = list(&mut root, "?filter=not_set_up&limit=3&after=u0998").await;
    assert_eq!(
        (ids(&some), &some.json["next"]),
        (vec!["u0999", "u1000", "u1001"], &json!("u1001"))
    );
}

#[tokio::test]
async fn a_query_that_is_none_is_refused() {
    let site = site().await;
    let mut root = site.browser();
    site.sign_in(&mut root, "root").await;
    let long = format!("after={}", "x".repeat(129));
    for query in [
        "filter=",
        "filter=everybody",
        "filter=ALL",
        "limit=0",
        "limit=201",
        "limit=",
        "limit=-1",
        "limit=%2B1",
        "limit=1&limit=2",
        "after=",
        "after=a&after=b",
        "after=%00",
        "after=~phantom~1",
        &long,
    ] {
        let refused = root.get(&format!("/administration/users?{query}")).await;
        let expected = (StatusCode::BAD_REQUEST, "malformed_request");
        assert_eq!((refused.status, refused.reason()), expected, "{query}");
    }
    let odd = list(&mut root, "?filter=all&other=1&after=%22%3E%3Cscript%3E").await;
    assert_eq!(ids(&odd), ["alice", "bob", "root"]);
}

/// Without a list of its users, an application has none to show.
#[tokio::test]
async fn there_may_be_no_list() {
    let site = Site::new().await;
    let mut root = site.browser();
    site.sign_in(&mut root, "root").await;
    let none = root.send("GET", "/administration/users", &Value::Null).await;
    assert_eq!((none.status, none.reason()), (StatusCode::NOT_FOUND, "not_found"));
}
