//! Who comes in between while much is deleted, counted or listed.
#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use countersign::{Commit, Expected, FactorStore, Generation, Saved, TenantId, UserId, Version};
use countersign_sqlite::{Durability, SqliteFactors};
use futures_lite::future;

const RECORDS: u64 = 5_000;

async fn fill(store: &SqliteFactors, acme: &TenantId) {
    for number in 0..RECORDS {
        let user = UserId::new(&format!("user-{number}")).unwrap();
        let (version, generation) = (Version::from_bytes([7; 16]), Generation::new(0));
        let next = Saved { version, generation, document: "{}".to_owned() };
        let nothing = Expected { settings: None, record: None };
        assert_eq!(store.commit(acme, &user, &nothing, &next).await.unwrap(), Commit::Written);
    }
}

/// With a single reader too, a login does not wait behind the pages and jobs that read a whole tenant.
#[tokio::test]
async fn a_login_does_not_wait_behind_what_counts_and_lists() {
    let directory = tempfile::tempdir().unwrap();
    let options = SqliteFactors::options().readers(1).durability(Durability::ProcessCrash);
    let store = options.open(directory.path().join("countersign.db")).await.unwrap();
    let acme = TenantId::new("acme").unwrap();
    fill(&store, &acme).await;
    let done = Arc::new(AtomicU32::new(0));
    let jobs: Vec<_> = (0..200)
        .map(|number| {
            let (store, acme, done) = (store.clone(), acme.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                let none = Generation::new(9);
                if number % 2 == 0 {
                    assert_eq!(store.count(&acme, none).await.unwrap(), RECORDS);
                } else {
                    assert_eq!(store.users(&acme, none, None, 10).await.unwrap(), []);
                }
                done.fetch_add(1, Ordering::SeqCst);
            })
        })
        .collect();
    // This thread is the only one: each of them runs up to its question.
    tokio::task::yield_now().await;
    assert!(store.load(&acme, &UserId::new("user-1").unwrap()).await.unwrap().record.is_some());
    assert_eq!(store.settings(&acme).await.unwrap(), None);
    let done_before = done.load(Ordering::SeqCst);
    assert!(done_before < 100, "the login waited for {done_before} of them");
    for job in jobs {
        job.await.unwrap();
    }
}

/// The runtime's thread hands a call over and goes on: it does not wait for the file. (Now and then the other thread is faster than the first look.)
#[tokio::test]
async fn no_call_is_made_on_the_threads_of_the_runtime() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteFactors::open(directory.path().join("countersign.db")).await.unwrap();
    let (acme, alice) = (TenantId::new("acme").unwrap(), UserId::new("alice").unwrap());
    let (first, nothing) = (Generation::new(0), Expected { settings: None, record: None });
    let next = Saved { version: Version::from_bytes([7; 16]), generation: first, document: "{}".to_owned() };
    let mut handed_over = [0; 7];
    for _ in 0..50 {
        let calls: [std::pin::Pin<Box<dyn Future<Output = ()>>>; 7] = [
            Box::pin(async { drop(store.load(&acme, &alice).await.unwrap()) }),
            Box::pin(async { drop(store.settings(&acme).await.unwrap()) }),
            Box::pin(async { assert_eq!(store.count(&acme, first).await.unwrap(), 0) }),
            Box::pin(async { drop(store.users(&acme, first, None, 1).await.unwrap()) }),
            Box::pin(async {
                assert_eq!(store.commit(&acme, &alice, &nothing, &next).await.unwrap(), Commit::Written);
            }),
            Box::pin(async { assert!(store.remove(&acme, &alice).await.unwrap()) }),
            Box::pin(async { assert_eq!(store.purge(&acme, first, 1).await.unwrap(), 0) }),
        ];
        for (mut call, handed_over) in calls.into_iter().zip(&mut handed_over) {
            if future::poll_once(&mut call).await.is_none() {
                *handed_over += 1;
                call.await;
            }
        }
    }
    assert!(handed_over.iter().all(|times| *times > 10), "{handed_over:?}");
}

/// I-27: others write between the slices of a purge of a file. A hundred records are a slice, so there are fifty turns.
#[tokio::test(flavor = "multi_thread")]
async fn a_purge_of_a_file_lets_others_in() {
    let directory = tempfile::tempdir().unwrap();
    let options = SqliteFactors::options().durability(Durability::ProcessCrash);
    let store = options.open(directory.path().join("countersign.db")).await.unwrap();
    let acme = TenantId::new("acme").unwrap();
    fill(&store, &acme).await;
    let purge = tokio::spawn({
        let (store, acme) = (store.clone(), acme.clone());
        async move { store.purge(&acme, Generation::new(1), 5_000).await.unwrap() }
    });
    let mut written = 0;
    while !purge.is_finished() {
        let user = UserId::new(&format!("other-{written}")).unwrap();
        let (version, generation) = (Version::from_bytes([8; 16]), Generation::new(1));
        let next = Saved { version, generation, document: "{}".to_owned() };
        let nothing = Expected { settings: None, record: None };
        assert_eq!(store.commit(&acme, &user, &nothing, &next).await.unwrap(), Commit::Written);
        written += 1;
    }
    assert_eq!(purge.await.unwrap(), RECORDS);
    assert!(written >= 10, "{written} commits during a purge of fifty slices");
}

/// A call that is begun and then not polled any more, as in a `select!` that another branch has won, holds up nobody.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_not_polled_any_more_holds_up_nobody() {
    let store = SqliteFactors::in_memory().unwrap();
    let acme = TenantId::new("acme").unwrap();
    fill(&store, &acme).await;
    let purge = tokio::spawn({
        let (store, acme) = (store.clone(), acme.clone());
        async move { store.purge(&acme, Generation::new(1), 5_000).await.unwrap() }
    });
    let user = UserId::new("user-1").unwrap();
    let mut begun = Vec::new();
    while !purge.is_finished() {
        let mut load = Box::pin(store.load(&acme, &user));
        drop(future::poll_once(&mut load).await);
        begun.push(load);
    }
    assert_eq!(purge.await.unwrap(), RECORDS);
    assert!(store.load(&acme, &user).await.unwrap().record.is_none());
}

/// I-27: a purge of a database in memory lets others on its thread come in between its slices.
#[tokio::test]
async fn a_purge_in_memory_lets_others_in() {
    let store = SqliteFactors::in_memory().unwrap();
    let acme = TenantId::new("acme").unwrap();
    fill(&store, &acme).await;
    let mut purge = Box::pin(store.purge(&acme, Generation::new(1), 5_000));
    let mut left = RECORDS;
    while future::poll_once(&mut purge).await.is_none() {
        let now = store.count(&acme, Generation::new(1)).await.unwrap();
        assert_eq!(left - now, 100);
        left = now;
    }
    assert_eq!(left, 100);
    assert_eq!(store.count(&acme, Generation::new(1)).await.unwrap(), 0);
}
