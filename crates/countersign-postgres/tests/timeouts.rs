//! Every call ends, and what it leaves on the server ends too.
#![allow(clippy::arithmetic_side_effects, clippy::panic, clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use countersign::{Commit, Expected, FactorStore, Fault, TenantId, UserId};
use countersign_postgres::{PostgresError, PostgresFactors};
use countersign_testkit::Forwarder;
use countersign_testkit::servers::{Server, postgres_url};
use support::{Schema, connect, row, server};
use tokio_postgres::Client;

const SHORT: Duration = Duration::from_millis(200);
const NONE: Expected = Expected { settings: None, record: None };

async fn first_commit(store: &PostgresFactors, user: u32) -> Result<Commit, Fault> {
    let (acme, user) = (TenantId::new("acme").unwrap(), UserId::new(&format!("user-{user}")).unwrap());
    store.commit(&acme, &user, &NONE, &row(1)).await
}

/// A fault is opaque, and shows the error within.
fn is(fault: &Fault, error: &PostgresError) -> bool {
    format!("{fault:?}").contains(&format!("{error:?}"))
}

/// Asked on a connection of its own: within a transaction the answer stays what it was first.
async fn backends(observer: &Client) -> i64 {
    let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'countersign'";
    observer.query_one(count, &[]).await.unwrap().get(0)
}

/// Waits until no more than these are left.
async fn at_most(observer: &Client, most: i64) {
    let started = Instant::now();
    loop {
        let found = backends(observer).await;
        if found <= most {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(5), "{found} connections, and {most} are allowed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A session that holds the lock under which a node makes the tables, or the lock of a table: connecting ends all the same.
#[tokio::test(flavor = "multi_thread")]
async fn connecting_behind_a_lock_ends_in_time() {
    let Some(server) = server(&[]) else { return };
    let (client, observer) = (connect(server.url()).await.unwrap(), connect(server.url()).await.unwrap());
    let options = || PostgresFactors::options().statement_timeout(SHORT);
    // "counters", the number of src/migrate.rs; and what a node reads first that finds tables.
    for lock in ["SELECT pg_advisory_xact_lock(x'636f756e74657273'::bigint)", "LOCK TABLE countersign.schema_version"] {
        client.batch_execute(&format!("BEGIN; {lock}")).await.unwrap();
        let started = Instant::now();
        let refused = options().connect(server.url()).await;
        assert!(matches!(refused, Err(PostgresError::TimedOut)), "{lock}: {refused:?}");
        assert!(started.elapsed() < Duration::from_secs(5), "{lock}: {:?}", started.elapsed());
        at_most(&observer, 0).await;
        client.batch_execute("COMMIT").await.unwrap();
        PostgresFactors::connect(server.url()).await.unwrap();
    }
}

/// Behind a lock that is held for long, more statements run out of time than the pool has connections. The server keeps none of them.
#[tokio::test(flavor = "multi_thread")]
async fn statements_that_ran_out_of_time_are_ended_on_the_server() {
    for prepared in [true, false] {
        let Some(server) = server(&[]) else { return };
        PostgresFactors::connect(server.url()).await.unwrap();
        let options = PostgresFactors::options().connections(2).prepared_statements(prepared);
        let options = options.statement_timeout(Duration::from_secs(1));
        let store = options.connect(server.url()).await.unwrap();
        let (client, observer) = (connect(server.url()).await.unwrap(), connect(server.url()).await.unwrap());
        client.batch_execute("BEGIN; LOCK TABLE countersign.records").await.unwrap();
        // Two that their callers drop before: each stays on its connection, and others are sent after it.
        for user in 100..102 {
            let dropped = tokio::time::timeout(SHORT, first_commit(&store, user)).await;
            assert!(dropped.is_err(), "{dropped:?}");
        }
        let waiting: Vec<_> = (0..6)
            .map(|user| {
                let store = store.clone();
                tokio::spawn(async move { first_commit(&store, user).await })
            })
            .collect();
        for one in waiting {
            let fault = one.await.unwrap().unwrap_err();
            assert!(is(&fault, &PostgresError::TimedOut), "{fault:?}");
        }
        // The lock is still held. Each of their connections was given up, and the server ends what waits there.
        at_most(&observer, 0).await;
        client.batch_execute("COMMIT").await.unwrap();
        // None of them comes later: each was undone.
        let kept: i64 = client.query_one("SELECT count(*) FROM countersign.records", &[]).await.unwrap().get(0);
        assert_eq!(kept, 0);
        for user in 0..10 {
            assert_eq!(first_commit(&store, user).await.unwrap(), Commit::Written);
        }
    }
}

/// The only connection waits behind a lock: the next call does not wait for it longer than it may.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_gets_no_connection_ends_in_time() {
    let Some(url) = postgres_url().unwrap() else { return };
    let schema = Schema::new(&url);
    let store = schema.options().connections(1).wait_timeout(SHORT).connect(&url).await.unwrap();
    let (client, observer) = (schema.client().await.unwrap(), schema.client().await.unwrap());
    client.batch_execute(&format!("BEGIN; LOCK TABLE \"{}\".records", schema.name)).await.unwrap();
    let first = tokio::spawn({
        let store = store.clone();
        async move { first_commit(&store, 1).await }
    });
    let started = Instant::now();
    let lock = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE $1";
    while observer.query_one(lock, &[&format!("%{}%", schema.name)]).await.unwrap().get::<_, i64>(0) == 0 {
        assert!(started.elapsed() < Duration::from_secs(5), "the first statement does not wait");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let started = Instant::now();
    let fault = first_commit(&store, 2).await.unwrap_err();
    assert!(is(&fault, &PostgresError::Exhausted), "{fault:?}");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    client.batch_execute("COMMIT").await.unwrap();
    assert_eq!(first.await.unwrap().unwrap(), Commit::Written);
    assert_eq!(first_commit(&store, 2).await.unwrap(), Commit::Written);
    countersign_testkit::conformance::Backend::clean_up(&schema).await.unwrap();
}

/// The first host takes no connections and refuses none, as a machine without power does.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_does_not_answer_leaves_time_for_the_next() {
    let Some(server) = server(&[]) else { return };
    let (silent, _held) = full_listener().await;
    let url = |server: &Server| {
        let (user, port) = ("user=countersign dbname=postgres", server.port());
        format!("host=127.0.0.1,127.0.0.1 port={silent},{port} {user}")
    };
    let options = PostgresFactors::options().connect_timeout(Duration::from_secs(2));
    let store = options.connect(&url(&server)).await.unwrap();
    assert_eq!(first_commit(&store, 1).await.unwrap(), Commit::Written);
}

/// The host is lost without a word, and its address leads to another: the call that finds out fails, and not one more for each connection of the pool.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_host_costs_one_call_and_not_one_for_each_connection() {
    let Some(server) = server(&[]) else { return };
    let address = Forwarder::to(server.port()).await.unwrap();
    let url = format!("postgres://countersign@127.0.0.1:{}/postgres", address.port());
    let options = PostgresFactors::options().connections(8).statement_timeout(Duration::from_secs(1));
    let store = options.connect(&url).await.unwrap();
    // All of the pool's connections are in use at once, behind a lock, and then idle.
    let (client, observer) = (connect(server.url()).await.unwrap(), connect(server.url()).await.unwrap());
    client.batch_execute("BEGIN; LOCK TABLE countersign.records").await.unwrap();
    let waiting: Vec<_> = (0..8)
        .map(|user| {
            let store = store.clone();
            tokio::spawn(async move { first_commit(&store, user).await })
        })
        .collect();
    while backends(&observer).await < 8 {
        tokio::task::yield_now().await;
    }
    client.batch_execute("COMMIT").await.unwrap();
    for one in waiting {
        assert_eq!(one.await.unwrap().unwrap(), Commit::Written);
    }
    address.fall_silent();
    let fault = first_commit(&store, 100).await.unwrap_err();
    assert!(is(&fault, &PostgresError::TimedOut), "{fault:?}");
    for user in 101..110 {
        assert_eq!(first_commit(&store, user).await.unwrap(), Commit::Written);
    }
}

/// The port of a listener whose queue is full.
async fn full_listener() -> (u16, impl Sized) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut held = Vec::new();
    while let Ok(stream) = tokio::time::timeout(SHORT, tokio::net::TcpStream::connect(address)).await {
        held.push(stream.unwrap());
        assert!(held.len() < 100, "the queue does not fill");
    }
    (address.port(), (listener, held))
}
