//! Files that somebody else has locked: how long a call waits, who waits, and what it is told.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use countersign::error::PluginError;
use countersign::store::{
    CommitOutcome, ExpectedVersions, FactorStore, Generation, StoredRow, Version,
};
use countersign::{TenantId, UserId};
use countersign_sqlite::{SqliteError, SqliteFactors};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::task::JoinSet;

const TIMEOUT: Duration = Duration::from_millis(300);

fn acme() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn user(number: u32) -> UserId {
    UserId::new(&format!("user-{number}")).unwrap()
}

async fn add(store: &SqliteFactors, number: u32) -> Result<CommitOutcome, PluginError> {
    let document = "\"\"".to_owned();
    let next = StoredRow {
        version: Version::from_bytes([7; 16]),
        generation: Generation::new(0),
        document,
    };
    store
        .commit(&acme(), &user(number), &ExpectedVersions { settings: None, record: None }, &next)
        .await
}

fn file() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("countersign.db");
    (directory, path)
}

/// Somebody else's connection that keeps the lock for writing until it is dropped.
fn locked(path: &Path) -> Connection {
    let host = Connection::open(path).unwrap();
    host.execute_batch("BEGIN IMMEDIATE").unwrap();
    host
}

/// One time-out for the write that came first, and one for what arrived behind it; not one for
/// each.
#[tokio::test(flavor = "multi_thread")]
async fn writes_that_wait_for_a_lock_together_fail_together() {
    // Long beside what anything else takes on a busy machine: that is what is compared below.
    const LONG: Duration = Duration::from_secs(1);
    let (_directory, path) = file();
    let store = SqliteFactors::options().busy_timeout(LONG).open(&path).await.unwrap();
    assert_eq!(add(&store, 100).await.unwrap(), CommitOutcome::Written);
    let host = locked(&path);
    let started = Instant::now();
    let mut calls = JoinSet::new();
    for number in 0..20 {
        let writes = store.clone();
        calls.spawn(async move { format!("{:?}", add(&writes, number).await) });
        let purges = store.clone();
        calls.spawn(
            async move { format!("{:?}", purges.purge(&acme(), Generation::new(1), 10).await) },
        );
    }
    for told in calls.join_all().await {
        assert_eq!(told, "Err(Busy)");
    }
    let waited = started.elapsed();
    assert!(waited >= LONG && waited < LONG * 20, "40 calls took {waited:?}");
    drop(host);
    assert_eq!(
        store.count(&acme(), Generation::new(1)).await.unwrap(),
        1,
        "a call that failed has done something"
    );
    assert_eq!(add(&store, 0).await.unwrap(), CommitOutcome::Written);
}

/// The writes that share a transaction with one that is refused by itself are made all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_fails_by_itself_fails_alone() {
    let (_directory, path) = file();
    let store = SqliteFactors::open(&path).await.unwrap();
    let refuse =
        "CREATE TRIGGER refuse BEFORE INSERT ON countersign_records WHEN new.\"user\" = 'user-7'
        BEGIN SELECT RAISE(ABORT, 'no seven'); END";
    Connection::open(&path).unwrap().execute_batch(refuse).unwrap();
    let host = locked(&path);
    let mut calls = JoinSet::new();
    for number in 0..20 {
        let store = store.clone();
        calls.spawn(async move { (number, add(&store, number).await.ok()) });
    }
    // They are in the queue, or in the group that waits.
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(host);
    for (number, written) in calls.join_all().await {
        assert_eq!(written, (number != 7).then_some(CommitOutcome::Written), "{number}");
    }
    assert_eq!(store.count(&acme(), Generation::new(1)).await.unwrap(), 19);
}

/// SQLite does not wait by itself where a file that is not yet in the mode of the store is locked
/// for writing.
#[tokio::test(flavor = "multi_thread")]
async fn opening_waits_for_whoever_makes_the_file() {
    let (_directory, path) = file();
    let host = locked(&path);
    let started = Instant::now();
    // The lock is held until it has ended.
    let refused = SqliteFactors::options().busy_timeout(TIMEOUT).open(&path).await;
    assert!(matches!(refused, Err(SqliteError::Busy)), "{refused:?}");
    assert!(started.elapsed() >= TIMEOUT);
    let patient = SqliteFactors::options().busy_timeout(Duration::from_secs(600));
    let opening = tokio::spawn(patient.open(path));
    tokio::time::sleep(TIMEOUT).await;
    assert!(!opening.is_finished());
    drop(host);
    assert_eq!(add(&opening.await.unwrap().unwrap(), 1).await.unwrap(), CommitOutcome::Written);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_stores_can_make_the_same_file_at_once() {
    for round in 0..20 {
        let (_directory, path) = file();
        let mut stores = JoinSet::new();
        for _ in 0..8 {
            let path = path.clone();
            stores.spawn(async move {
                SqliteFactors::options().busy_timeout(Duration::from_secs(600)).open(path).await
            });
        }
        for opened in stores.join_all().await {
            assert!(opened.is_ok(), "round {round}: {opened:?}");
        }
    }
}

/// The one thread of this runtime has its timers to serve while the write waits.
#[tokio::test(flavor = "current_thread")]
async fn a_write_that_waits_leaves_the_runtime_its_thread() {
    let (_directory, path) = file();
    let store =
        SqliteFactors::options().busy_timeout(Duration::from_secs(60)).open(&path).await.unwrap();
    let host = locked(&path);
    let mut write = Box::pin(add(&store, 1));
    let ticking = async {
        let mut timer = tokio::time::interval(TIMEOUT / 30);
        for _ in 0..30 {
            timer.tick().await;
        }
    };
    tokio::select! {
        biased;
        told = &mut write => panic!("nobody let it write: {told:?}"),
        () = ticking => {}
    }
    drop(host);
    assert_eq!(write.await.unwrap(), CommitOutcome::Written);
}
