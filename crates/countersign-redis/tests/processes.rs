//! Several nodes on one server.
#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use countersign_redis::RedisFactors;
use countersign_testkit::conformance::Backend;
use support::Keys;
use test_servers::processes::{self, CHILD};
use test_servers::servers;

/// I-09: 128 guesses from two processes share the budget of 5.
#[tokio::test(flavor = "multi_thread")]
async fn guesses_of_two_processes_share_one_budget() {
    if std::env::var(CHILD).is_ok() {
        let (url, prefix) = (std::env::var("STORE").unwrap(), std::env::var("PREFIX").unwrap());
        let options = RedisFactors::options().key_prefix(prefix).accept_data_loss_on_restart();
        return processes::guess(Arc::new(options.connect(&url).await.unwrap())).await.unwrap();
    }
    let Some(url) = servers::redis_url().unwrap() else { return };
    let keys = Keys::new(&url);
    let environment = [("STORE", url), ("PREFIX", keys.prefix.clone())];
    let store = keys.open().await.unwrap();
    let tally =
        processes::guess_from_two(store, "guesses_of_two_processes_share_one_budget", &environment)
            .await
            .unwrap();
    assert_eq!((tally.wrong, tally.failed), (5, 0), "{tally:?}");
    assert_eq!(tally.refused + tally.contended, 123, "{tally:?}");
    keys.clean_up().await.unwrap();
}
