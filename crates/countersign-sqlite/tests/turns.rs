//! Who comes in between while much is deleted in memory, or a call is left half done.
#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used)]

use countersign::store::{
    CommitOutcome, ExpectedVersions, FactorStore, Generation, StoredRow, Version,
};
use countersign::{TenantId, UserId};
use countersign_sqlite::SqliteFactors;
use futures_lite::future;

const RECORDS: u64 = 5_000;

async fn fill(store: &SqliteFactors, acme: &TenantId) {
    for number in 0..RECORDS {
        let user = UserId::new(&format!("user-{number}")).unwrap();
        let (version, generation) = (Version::from_bytes([7; 16]), Generation::new(0));
        let next = StoredRow { version, generation, document: "{}".to_owned() };
        let nothing = ExpectedVersions { settings: None, record: None };
        assert_eq!(
            store.commit(acme, &user, &nothing, &next).await.unwrap(),
            CommitOutcome::Written
        );
    }
}

/// A call that is begun and then not polled any more, as in a `select!` that another branch has
/// won, holds up nobody.
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
