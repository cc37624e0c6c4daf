#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use countersign::budget::Account;
use countersign::store::{
    CommitOutcome, ExpectedVersions, FactorStore, Generation, StoredRow, Version,
};
use countersign::{TenantId, UserId};
use futures_lite::future;
use tokio::sync::{Mutex, mpsc};

use super::{Queues, SqliteFactors, Threads};
use crate::calls::Charge;
use crate::threads::Queue;

/// The same file with these queues. Whatever is pushed into a new one waits for ever.
fn with_queues(store: &SqliteFactors, queues: impl FnOnce(&Queues) -> Queues) -> SqliteFactors {
    let threads = &store.threads;
    let (file, options) = (threads.file.clone(), threads.options.clone());
    let (place, closing) = (Arc::clone(&threads.place), Arc::clone(&threads.closing));
    let ended = Mutex::new(mpsc::channel(1).1);
    let queues = queues(&threads.queues);
    SqliteFactors { threads: Arc::new(Threads { queues, file, options, place, closing, ended }) }
}

/// Each call is handed over and waits: the threads of the runtime never wait for the file.
#[tokio::test]
async fn no_call_is_made_on_the_threads_of_the_runtime() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteFactors::open(directory.path().join("countersign.db")).await.unwrap();
    let unserved =
        |_: &Queues| Queues { reads: Queue::new(), lists: Queue::new(), writes: Queue::new() };
    let store = with_queues(&store, unserved);
    let (acme, alice) = (TenantId::new("acme").unwrap(), UserId::new("alice").unwrap());
    let (first, version) = (Generation::new(0), Version::from_bytes([7; 16]));
    let nothing = ExpectedVersions { settings: None, record: None };
    let next = StoredRow { version, generation: first, document: "{}".to_owned() };
    let accounts: Vec<Account> = Vec::new();
    let charge = Charge { accounts, now: time::OffsetDateTime::UNIX_EPOCH };
    assert!(future::poll_once(store.load(&acme, &alice)).await.is_none());
    assert!(
        future::poll_once(store.load_many(&acme, std::slice::from_ref(&alice))).await.is_none()
    );
    assert!(future::poll_once(store.settings(&acme)).await.is_none());
    assert!(future::poll_once(store.count(&acme, first)).await.is_none());
    assert!(future::poll_once(store.users(&acme, first, None, 1)).await.is_none());
    assert!(future::poll_once(store.commit(&acme, &alice, &nothing, &next)).await.is_none());
    assert!(future::poll_once(store.change_settings(&acme, None, &next)).await.is_none());
    assert!(future::poll_once(store.remove(&acme, &alice)).await.is_none());
    assert!(future::poll_once(store.remove_if(&acme, &alice, version)).await.is_none());
    assert!(future::poll_once(store.purge(&acme, first, 1)).await.is_none());
    assert!(future::poll_once(store.write(charge)).await.is_none());
}

/// With a single reader too, a login does not wait behind the pages and jobs that read a whole
/// tenant: here these never come to an end.
#[tokio::test]
async fn a_login_does_not_wait_behind_what_counts_and_lists() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteFactors::options()
        .readers(1)
        .open(directory.path().join("countersign.db"))
        .await
        .unwrap();
    let store = with_queues(&store, |served| Queues {
        reads: Arc::clone(&served.reads),
        lists: Queue::new(),
        writes: Arc::clone(&served.writes),
    });
    let (acme, alice) = (TenantId::new("acme").unwrap(), UserId::new("alice").unwrap());
    let (first, nothing) = (Generation::new(0), ExpectedVersions { settings: None, record: None });
    let (mut count, mut users) = (store.count(&acme, first), store.users(&acme, first, None, 10));
    let mut many = store.load_many(&acme, std::slice::from_ref(&alice));
    assert!(future::poll_once(&mut count).await.is_none());
    assert!(future::poll_once(&mut users).await.is_none());
    assert!(future::poll_once(&mut many).await.is_none());
    assert_eq!(store.settings(&acme).await.unwrap(), None);
    let next = StoredRow {
        version: Version::from_bytes([7; 16]),
        generation: first,
        document: "{}".to_owned(),
    };
    assert_eq!(store.commit(&acme, &alice, &nothing, &next).await.unwrap(), CommitOutcome::Written);
    assert_eq!(store.load(&acme, &alice).await.unwrap().record, Some(next));
    assert!(future::poll_once(&mut count).await.is_none());
    assert!(future::poll_once(&mut users).await.is_none());
    assert!(future::poll_once(&mut many).await.is_none());
}
