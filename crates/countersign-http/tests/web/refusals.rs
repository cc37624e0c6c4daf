//! What is refused, with which status and in which words.

use http::StatusCode;
use serde_json::{Value, json};

use crate::browser::{PASSWORD, Site};

#[tokio::test]
async fn wrong_passwords_and_unknown_names_are_answered_alike() {
    let site = Site::new().await;
    let mut browser = site.browser();
    let mut answers = Vec::new();
    for (name, password) in [("alice", "wrong"), ("nobody", PASSWORD)] {
        let answer = browser.post("/login", json!({"name": name, "password": password})).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        assert!(answer.cookies().is_empty());
        answers.push((answer.text, answer.headers));
    }
    assert_eq!(answers[0], answers[1]);
    let empty = browser.post("/login", json!({"name": "", "password": ""})).await;
    let expected = (StatusCode::UNPROCESSABLE_ENTITY, "invalid_login_name");
    assert_eq!((empty.status, empty.reason()), expected);
}

#[tokio::test]
async fn a_lock_says_when_to_try_again_in_both_languages() {
    let site = Site::new().await;
    for (language, message) in [
        ("en", "This code is wrong. Try again in 15 minutes."),
        ("ja", "確認コードが正しくありません。15分後にもう一度お試しください。"),
        (
            "fr;q=0.9, ja;q=0.5, en;q=0.4",
            "確認コードが正しくありません。15分後にもう一度お試しください。",
        ),
        ("ja-JP", "確認コードが正しくありません。15分後にもう一度お試しください。"),
        ("fr, *", "This code is wrong. Try again in 15 minutes."),
    ] {
        let site = if language == "en" { &site } else { &Site::new().await };
        let mut browser = site.browser();
        browser.headers.push(("accept-language", language));
        let login = browser.begin("alice").await;
        let mut last = browser.code(&login, &site.world.wrong_code()).await;
        for _ in 0..4 {
            last = browser.code(&login, &site.world.wrong_code()).await;
        }
        assert_eq!(last.reason(), "wrong_code", "{}", last.text);
        assert_eq!(
            (&last.json["message"], &last.headers["retry-after"].to_str().unwrap()),
            (&json!(message), &"900"),
            "{language}"
        );
        let locked = browser.code(&login, &site.world.last_code()).await;
        assert_eq!(
            (locked.status, locked.reason()),
            (StatusCode::TOO_MANY_REQUESTS, "codes_locked")
        );
    }
}

#[tokio::test]
async fn what_is_not_there_is_404_and_another_method_405() {
    let site = Site::new().await;
    let mut browser = site.browser();
    for path in [
        "/",
        "",
        "/log",
        "/login/",
        "/login/x",
        "/login/AAAAAAAAAAAAAAAAAAAAAA/",
        "/login/../login",
        "/administration/users/",
        "/administration/users/a/b",
        "/administration/users/%FF",
        "//login",
    ] {
        if path.is_empty() {
            continue;
        }
        let answer = browser.get(path).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (StatusCode::NOT_FOUND, "no_such_page"),
            "{path}"
        );
    }
    for (method, path, allowed) in [
        ("GET", "/login", "POST"),
        ("PUT", "/login/AAAAAAAAAAAAAAAAAAAAAA", "GET, HEAD"),
        ("GET", "/logout", "POST"),
        ("GET", "/account/devices", "DELETE"),
        ("HEAD", "/logout", "POST"),
        ("POST", "/administration/settings", "PUT"),
        ("GET", "/administration/users/alice/reset", "POST"),
    ] {
        let answer = browser.send(method, path, &Value::Null).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        assert_eq!(answer.headers["allow"], allowed, "{method} {path}");
    }
}

/// The endpoints can be under any path.
#[tokio::test]
async fn a_base_path_is_in_front_of_every_endpoint() {
    let site = Site::with(|builder| builder, |builder| builder.base_path("/auth/")).await;
    let mut browser = site.browser();
    let body = json!({"name": "alice", "password": PASSWORD});
    assert_eq!(browser.post("/auth/login", body.clone()).await.step(), "code_required");
    assert_eq!(browser.post("/login", body.clone()).await.status, StatusCode::NOT_FOUND);
    assert_eq!(browser.post("/authlogin", body).await.status, StatusCode::NOT_FOUND);
}

/// What waiting does not mend is no 429, and what says 429 says when.
#[tokio::test]
async fn later_comes_with_a_time() {
    let site = Site::with(|builder| builder.sends_per_login(1), |builder| builder).await;
    let mut browser = site.browser();
    let login = browser.begin("alice").await;
    site.world.wait_for_the_spacing();
    let none = browser.post(&format!("/login/{login}/resend"), json!({})).await;
    assert_eq!((none.status, none.reason()), (StatusCode::CONFLICT, "login_send_limit"));
    assert!(none.headers.get("retry-after").is_none());
    for _ in 0..5 {
        let _ = browser.code(&login, &site.world.wrong_code()).await;
    }
    let locked = browser.password("alice").await;
    assert_eq!((locked.status, locked.reason()), (StatusCode::TOO_MANY_REQUESTS, "codes_locked"));
    assert!(locked.headers.get("retry-after").is_some());
    let message = locked.json["message"].as_str().unwrap();
    assert!(message.contains("If you have a backup code"), "{message}");
}
