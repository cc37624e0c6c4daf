//! Several nodes on one server.
#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use countersign_postgres::PostgresFactors;
use countersign_testkit::conformance::Backend;
use support::Schema;
use test_servers::processes::{self, CHILD};
use test_servers::servers;

/// I-09: 128 guesses from two processes share the budget of 5.
#[tokio::test(flavor = "multi_thread")]
async fn guesses_of_two_processes_share_one_budget() {
    if std::env::var(CHILD).is_ok() {
        let (url, name) = (std::env::var("STORE").unwrap(), std::env::var("SCHEMA").unwrap());
        let store = PostgresFactors::options().schema(name).connect(&url).await.unwrap();
        return processes::guess(Arc::new(store)).await.unwrap();
    }
    let Some(url) = servers::postgres_url().unwrap() else { return };
    let schema = Schema::new(&url);
    let environment = [("STORE", url), ("SCHEMA", schema.name.clone())];
    let store = schema.open().await.unwrap();
    let tally =
        processes::guess_from_two(store, "guesses_of_two_processes_share_one_budget", &environment)
            .await
            .unwrap();
    assert_eq!((tally.wrong, tally.failed), (5, 0), "{tally:?}");
    assert_eq!(tally.refused + tally.contended, 123, "{tally:?}");
    schema.clean_up().await.unwrap();
}

/// Nodes that start together make the tables once.
#[tokio::test(flavor = "multi_thread")]
async fn many_nodes_may_start_at_once() {
    let Some(url) = servers::postgres_url().unwrap() else { return };
    let schema = Schema::new(&url);
    let nodes: Vec<_> = (0..12)
        .map(|_| {
            let (options, url) = (schema.options(), url.clone());
            tokio::spawn(async move { options.connect(&url).await.map(drop) })
        })
        .collect();
    for node in nodes {
        node.await.unwrap().unwrap();
    }
    schema.clean_up().await.unwrap();
}
