//! The description that is committed is the one that the code makes.
#![cfg(feature = "openapi")]
#![allow(missing_docs, clippy::unwrap_used)]

use serde_json::Value;

/// With `UPDATE_GOLDEN` set the file is written instead.
#[test]
fn the_description_is_the_committed_one() {
    let made = countersign_http::openapi("");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(file, &made).unwrap();
    }
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    // Not as text: the order of fields is for other crates' features to say.
    let (made, kept) = (read(&made), read(&std::fs::read_to_string(file).unwrap()));
    assert!(made == kept, "openapi.json is not up to date: run this with UPDATE_GOLDEN=1");
}

#[test]
fn the_base_path_is_that_of_the_server() {
    for (base, url) in [("", "/"), ("/", "/"), ("auth", "/auth"), ("/auth/", "/auth")] {
        let made: Value = serde_json::from_str(&countersign_http::openapi(base)).unwrap();
        assert_eq!(made["servers"][0]["url"], url);
    }
}
