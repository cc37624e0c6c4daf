//! Copies that can be restored.
#![allow(clippy::arithmetic_side_effects, clippy::panic, clippy::unwrap_used)]

mod support;

use std::time::Duration;

use countersign::store::{CommitOutcome, FactorStore, Generation};
use countersign_sqlite::{Durability, SqliteError, SqliteFactors};
use rusqlite::Connection;
use support::{acme, row, user};

fn names(directory: &tempfile::TempDir) -> Vec<String> {
    let entries = std::fs::read_dir(directory.path()).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

/// The copy is of one moment: with every write that was acknowledged before, and with no write
/// without those that came before it.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_beside_writers_is_of_one_moment() {
    let (directory, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // However slow the disk is, nobody is told to come back later.
    let options = SqliteFactors::options()
        .durability(Durability::ProcessCrash)
        .busy_timeout(Duration::from_secs(600));
    let path = directory.path().join("countersign.db");
    let store = options.clone().open(&path).await.unwrap();
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE people AS SELECT 'alice' AS name")
        .unwrap();
    assert_eq!(
        store.change_settings(&acme(), None, &row(7, 7)).await.unwrap(),
        CommitOutcome::Written
    );
    // With settings of another tenant's, these are written for this one.
    let number = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let tenant = countersign::TenantId::new("busy").unwrap();
    let write = async |store: &SqliteFactors, number| {
        let none = countersign::store::ExpectedVersions { settings: None, record: None };
        store.commit(&tenant, &user(number), &none, &row(number, 2_000)).await.unwrap()
    };
    for number in 0..500 {
        assert_eq!(write(&store, number).await, CommitOutcome::Written);
    }
    for round in 0..5_u32 {
        let copy = copies.path().join(format!("backup-{round}.db"));
        let before = 500 + number.load(std::sync::atomic::Ordering::SeqCst);
        let backup = {
            let (store, copy) = (store.clone(), copy.clone());
            tokio::spawn(async move { store.backup(copy).await })
        };
        let mut next = before;
        while !backup.is_finished() || next < before + 20 {
            assert_eq!(write(&store, next).await, CommitOutcome::Written);
            next += 1;
        }
        backup.await.unwrap().unwrap();
        number.store(next - 500, std::sync::atomic::Ordering::SeqCst);
        let restored = SqliteFactors::options().create_if_missing(false).open(&copy).await.unwrap();
        let there =
            u32::try_from(restored.count(&tenant, Generation::new(1)).await.unwrap()).unwrap();
        assert!((before..=next).contains(&there), "{before} {there} {next}");
        for number in [0, before - 1, there - 1] {
            assert_eq!(
                restored.load(&tenant, &user(number)).await.unwrap().record,
                Some(row(number, 2_000))
            );
        }
        assert_eq!(restored.settings(&acme()).await.unwrap(), Some(row(7, 7)));
        let people: String = Connection::open(&copy)
            .unwrap()
            .query_row("SELECT name FROM people", [], |row| row.get(0))
            .unwrap();
        assert_eq!(people, "alice", "the file is the application's too");
        restored.close().await;
    }
    let whole: Vec<_> = (0..5).map(|round| format!("backup-{round}.db")).collect();
    let left: Vec<_> = names(&copies).into_iter().filter(|name| !name.contains("-turns")).collect();
    assert_eq!(left, whole, "nothing is left beside the copies");
}

/// What has the name already stays as it is, and a copy that fails leaves nothing.
#[tokio::test]
async fn a_backup_replaces_nothing_and_is_whole_or_not_there() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteFactors::open(directory.path().join("countersign.db")).await.unwrap();
    let copies = tempfile::tempdir().unwrap();
    let taken = copies.path().join("taken.db");
    std::fs::write(&taken, "mine").unwrap();
    for target in [taken.clone(), directory.path().join("countersign.db"), copies.path().to_owned()]
    {
        let refused = store.backup(&target).await;
        assert!(matches!(refused, Err(SqliteError::Exists)), "{refused:?}");
    }
    assert_eq!(std::fs::read_to_string(&taken).unwrap(), "mine");
    for target in
        [copies.path().join("missing/backup.db"), "file:backup.db".into(), ":memory:".into()]
    {
        let refused = store.backup(&target).await;
        assert!(matches!(refused, Err(SqliteError::CannotOpen)), "{refused:?}");
    }
    assert_eq!(names(&copies), ["taken.db"]);
    store.close().await;
    let refused = store.backup(copies.path().join("late.db")).await;
    assert!(matches!(refused, Err(SqliteError::Closed)), "{refused:?}");
    assert_eq!(names(&copies), ["taken.db"]);
}
