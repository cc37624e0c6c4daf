//! One server's address that leads to another server, or to none.
#![allow(clippy::arithmetic_side_effects, clippy::panic, clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use countersign::store::{CommitOutcome, ExpectedVersions, FactorStore, StoredRow};
use countersign_redis::RedisFactors;
use support::calls::{client, every_call, ids, options, row, server};
use test_servers::Forwarder;
use test_servers::servers::Server;

async fn address_of(server: &Server) -> (Forwarder, String) {
    let forwarder = Forwarder::to(server.port()).await.unwrap();
    let url = format!("redis://127.0.0.1:{}/", forwarder.port());
    (forwarder, url)
}

async fn replicate(server: &Server, of: &[&str]) {
    redis::cmd("REPLICAOF").arg(of).exec_async(&mut client(server).await).await.unwrap();
}

/// Waits until a replica has what its master has.
async fn in_step(replica: &Server, master: &Server) {
    replicate(replica, &["127.0.0.1", &master.port().to_string()]).await;
    let (mut replica, mut master) = (client(replica).await, client(master).await);
    let started = Instant::now();
    loop {
        let state: String =
            redis::cmd("INFO").arg("replication").query_async(&mut replica).await.unwrap();
        if state.contains("master_link_status:up") {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{state}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // It waits for what came over the same connection.
    redis::cmd("SET").arg(&["written", "all"]).exec_async(&mut master).await.unwrap();
    let reached: u32 = redis::cmd("WAIT").arg(&[1, 60_000]).query_async(&mut master).await.unwrap();
    assert_eq!(reached, 1);
}

const MASTER: [&str; 4] = ["--appendonly", "yes", "--repl-diskless-sync-delay", "0"];

async fn record(store: &RedisFactors) -> Result<Option<StoredRow>, String> {
    let (acme, alice) = ids();
    store.load(&acme, &alice).await.map(|found| found.record).map_err(|fault| format!("{fault:?}"))
}

/// The master becomes a replica without ending its connections, and the address leads to the new
/// master: calls fail, and then work again.
#[tokio::test(flavor = "multi_thread")]
async fn a_demoted_server_is_left_for_the_one_that_leads() {
    let (Some(old), Some(new)) = (server(&MASTER), server(&MASTER)) else { return };
    let (address, url) = address_of(&old).await;
    let store = options().initialise_if_empty().connect(&url).await.unwrap();
    let (acme, alice) = ids();
    let none = ExpectedVersions { settings: None, record: None };
    assert_eq!(store.commit(&acme, &alice, &none, &row(1)).await.unwrap(), CommitOutcome::Written);
    in_step(&new, &old).await;
    replicate(&new, &["NO", "ONE"]).await;
    replicate(&old, &["127.0.0.1", &new.port().to_string()]).await;

    assert_eq!(record(&store).await.unwrap_err(), "ReadOnly");
    let (started, before) = (Instant::now(), address.accepted());
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..25 {
                    assert_eq!(
                        record(&store).await.unwrap_err(),
                        "ReadOnly",
                        "while the address leads to a replica"
                    );
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let made = address.accepted() - before;
    let most = 2 + usize::try_from(started.elapsed().as_millis() / 100).unwrap();
    assert!(made <= most, "{made} connections where {most} are enough");

    address.lead_to(new.port());
    let switched = Instant::now();
    let found = loop {
        match record(&store).await {
            Ok(found) => break found,
            Err(said) => {
                assert_eq!(said, "ReadOnly");
                assert!(
                    switched.elapsed() < Duration::from_secs(60),
                    "the store stays with the replica"
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    };
    assert_eq!(found, Some(row(1)));
    let seen = ExpectedVersions { settings: None, record: Some(row(1).version) };
    assert_eq!(store.commit(&acme, &alice, &seen, &row(2)).await.unwrap(), CommitOutcome::Written);
}

/// A connection on which nothing comes any more, as when the server's host is gone: the calls on it
/// fail, and the next works.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_connection_is_replaced() {
    let Some(server) = server(&MASTER) else { return };
    let (address, url) = address_of(&server).await;
    let options = options().response_timeout(Duration::from_secs(20));
    let store = options.initialise_if_empty().connect(&url).await.unwrap();
    assert_eq!(record(&store).await, Ok(None));
    let before = address.accepted();
    for round in 1..3 {
        address.fall_silent();
        let calls: Vec<_> = (0..50)
            .map(|_| {
                tokio::spawn({
                    let store = store.clone();
                    async move { record(&store).await }
                })
            })
            .collect();
        for call in calls {
            let said = call.await.unwrap().unwrap_err();
            assert!(said.starts_with("Unavailable"), "{said}");
        }
        assert_eq!(record(&store).await, Ok(None));
        assert_eq!(address.accepted() - before, round, "one connection for all calls");
    }
}

/// Also what only reads is refused: a replica may be behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_refuses_every_script() {
    let (Some(master), Some(replica)) = (server(&MASTER), server(&MASTER)) else { return };
    options().initialise_if_empty().connect(master.url()).await.unwrap();
    in_step(&replica, &master).await;
    let store = options().connect(replica.url()).await.unwrap();
    let (others, writes) = every_call(&store).await;
    assert!(others.iter().chain(&writes).all(|said| said == "ReadOnly"), "{others:?} {writes:?}");
}

/// A replica that takes writes, as some are set up, runs every script: only the store can refuse
/// it. What is read there may lag, and what is written there is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_takes_writes_is_refused() {
    let (Some(master), Some(replica)) = (server(&MASTER), server(&MASTER)) else { return };
    let store = options().initialise_if_empty().connect(master.url()).await.unwrap();
    in_step(&replica, &master).await;
    let mut operator = client(&replica).await;
    redis::cmd("CONFIG")
        .arg(&["SET", "replica-read-only", "no"])
        .exec_async(&mut operator)
        .await
        .unwrap();
    redis::cmd("SET").arg(&["it", "writes"]).exec_async(&mut operator).await.unwrap();
    let behind = options().connect(replica.url()).await.unwrap();
    let (others, writes) = every_call(&behind).await;
    assert!(others.iter().chain(&writes).all(|said| said == "ReadOnly"), "{others:?} {writes:?}");
    // And once it is a master, and no earlier, it is believed.
    replicate(&replica, &["NO", "ONE"]).await;
    let started = Instant::now();
    while record(&behind).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(store);
}

/// A master that was cut off from its replicas does not know that another one was made. With
/// `min-replicas-to-write` it refuses everything, also what only reads: a login that writes nothing
/// must not be decided there.
#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_is_cut_off_refuses_every_script() {
    let (Some(master), Some(mut replica)) = (server(&MASTER), server(&MASTER)) else { return };
    let store = options().initialise_if_empty().connect(master.url()).await.unwrap();
    in_step(&replica, &master).await;
    let mut operator = client(&master).await;
    redis::cmd("CONFIG")
        .arg(&["SET", "min-replicas-to-write", "1"])
        .exec_async(&mut operator)
        .await
        .unwrap();
    assert_eq!(record(&store).await, Ok(None));
    replica.kill().unwrap();
    let started = Instant::now();
    while record(&store).await.is_ok() {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "it still answers without its replica"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (others, writes) = every_call(&store).await;
    assert!(others.iter().chain(&writes).all(|said| said == "ReadOnly"), "{others:?} {writes:?}");
}
