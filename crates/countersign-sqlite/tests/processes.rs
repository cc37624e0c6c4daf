//! Several processes on one file.
#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use countersign_sqlite::{SqliteFactors, SqliteOptions};
use test_servers::processes::{self, CHILD, Tally};

/// However slow the disk is, nobody is told to come back later.
fn patient() -> SqliteOptions {
    SqliteFactors::options().busy_timeout(Duration::from_secs(600))
}

/// I-09: 128 guesses from two processes share the budget of 5.
#[tokio::test(flavor = "multi_thread")]
async fn guesses_of_two_processes_share_one_budget() {
    if std::env::var(CHILD).is_ok() {
        let store = patient().open(std::env::var("STORE").unwrap()).await.unwrap();
        return processes::guess(Arc::new(store)).await.unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("countersign.db").display().to_string();
    let store = patient().open(&path).await.unwrap();
    let tally = processes::guess_from_two(
        Arc::new(store),
        "guesses_of_two_processes_share_one_budget",
        &[("STORE", path)],
    )
    .await
    .unwrap();
    assert_eq!(tally.wrong, 5, "{tally:?}");
    assert_eq!(tally.failed, 0, "{tally:?}");
    assert_eq!(tally, Tally { refused: 123 - tally.contended, ..tally });
}
