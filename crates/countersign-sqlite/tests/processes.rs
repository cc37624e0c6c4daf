//! Several processes on one file.
#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used)]

use std::sync::Arc;

use countersign_sqlite::SqliteFactors;
use countersign_testkit::processes::{self, CHILD, Tally};

/// I-09: 128 guesses from two processes share the budget of 5.
#[tokio::test(flavor = "multi_thread")]
async fn guesses_of_two_processes_share_one_budget() {
    if std::env::var(CHILD).is_ok() {
        let store = SqliteFactors::open(std::env::var("STORE").unwrap()).await.unwrap();
        return processes::guess(Arc::new(store)).await.unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("countersign.db").display().to_string();
    let store = SqliteFactors::open(&path).await.unwrap();
    let tally =
        processes::guess_from_two(Arc::new(store), "guesses_of_two_processes_share_one_budget", &[("STORE", path)])
            .await
            .unwrap();
    assert_eq!(tally.wrong, 5, "{tally:?}");
    assert_eq!(tally.failed, 0, "{tally:?}");
    assert_eq!(tally, Tally { refused: 123 - tally.contended, ..tally });
}
