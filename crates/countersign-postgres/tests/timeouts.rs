//! Every call ends, and what it leaves on the server ends too.
#![allow(clippy::arithmetic_side_effects, clippy::panic, clippy::unwrap_used)]

mod support;

use std::future::Future;
use std::time::{Duration, Instant};

use countersign::error::PluginError;
use countersign::store::{CommitOutcome, ExpectedVersions, FactorStore};
use countersign::{TenantId, UserId};
use countersign_postgres::{PostgresError, PostgresFactors};
use support::{Schema, connect, row, server, variants};
use test_servers::Forwarder;
use test_servers::servers::{Server, postgres_url};
use tokio_postgres::Client;

const SHORT: Duration = Duration::from_millis(200);
const NONE: ExpectedVersions = ExpectedVersions { settings: None, record: None };

/// In a tenant of its own: those of one tenant would not get the whole pool.
async fn first_commit(store: &PostgresFactors, number: u32) -> Result<CommitOutcome, PluginError> {
    let (tenant, user) = (tenant(number), UserId::new("alice").unwrap());
    store.commit(&tenant, &user, &NONE, &row(1)).await
}

fn tenant(number: u32) -> TenantId {
    TenantId::new(&format!("tenant-{number}")).unwrap()
}

/// Every write of a record takes this long on the server.
fn slow(seconds: u32) -> String {
    format!(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_sleep({seconds}); RETURN NEW; END $$;
        CREATE TRIGGER slow BEFORE INSERT OR UPDATE ON countersign.records FOR EACH ROW EXECUTE FUNCTION slow()"
    )
}

/// A fault is opaque, and shows the error within.
fn is(fault: &PluginError, error: &PostgresError) -> bool {
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
        // What runs there goes on for ten minutes, or until the test lets it go.
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "{found} connections, and {most} are allowed"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A session that holds the lock under which a node makes the tables, or the lock of a table:
/// connecting ends all the same.
#[tokio::test(flavor = "multi_thread")]
async fn connecting_behind_a_lock_ends_in_time() {
    let Some(server) = server(&[]) else { return };
    let (client, observer) =
        (connect(server.url()).await.unwrap(), connect(server.url()).await.unwrap());
    let options = || support::options().statement_timeout(SHORT);
    // "counters", the number of src/migrate.rs; and what a node reads first that finds tables.
    for lock in [
        "SELECT pg_advisory_xact_lock(x'636f756e74657273'::bigint)",
        "LOCK TABLE countersign.schema_version",
    ] {
        client.batch_execute(&format!("BEGIN; {lock}")).await.unwrap();
        // The lock is held until it has ended.
        let refused =
            tokio::time::timeout(Duration::from_secs(60), options().connect(server.url()))
                .await
                .unwrap();
        assert!(matches!(refused, Err(PostgresError::TimedOut)), "{lock}: {refused:?}");
        at_most(&observer, 0).await;
        client.batch_execute("COMMIT").await.unwrap();
        PostgresFactors::connect(server.url()).await.unwrap();
    }
}

/// More statements run out of time than the pool has connections. The server keeps none of them.
#[tokio::test(flavor = "multi_thread")]
async fn statements_that_ran_out_of_time_are_ended_on_the_server() {
    for prepared in variants([true, false]) {
        let Some(server) = server(&[]) else { return };
        PostgresFactors::connect(server.url()).await.unwrap();
        let options = support::options().connections(2).prepared_statements(prepared);
        let options =
            options.statement_timeout(Duration::from_secs(2)).wait_timeout(Duration::from_secs(60));
        let store = options.connect(server.url()).await.unwrap();
        let (client, observer) =
            (connect(server.url()).await.unwrap(), connect(server.url()).await.unwrap());
        client.batch_execute(&slow(600)).await.unwrap();
        let waiting: Vec<_> = (0..6)
            .map(|number| {
                let store = store.clone();
                tokio::spawn(async move { first_commit(&store, number).await })
            })
            .collect();
        for one in waiting {
            let fault = one.await.unwrap().unwrap_err();
            assert!(is(&fault, &PostgresError::TimedOut), "{fault:?}");
        }
        // Each of their connections was given up, and the server ends what runs there.
        at_most(&observer, 0).await;
        client.batch_execute("DROP FUNCTION slow() CASCADE").await.unwrap();
        // None of them comes later: each was undone.
        let kept: i64 =
            client.query_one("SELECT count(*) FROM countersign.records", &[]).await.unwrap().get(0);
        assert_eq!(kept, 0);
        // The pool has room again. A busy machine may need longer than 2 s for one of them.
        for number in 0..10 {
            let mut tries = 0..30;
            let late = |answer: &Result<_, _>| {
                answer.as_ref().is_err_and(|fault| is(fault, &PostgresError::TimedOut))
            };
            let answer = loop {
                let answer = first_commit(&store, number).await;
                if !late(&answer) || tries.next().is_none() {
                    break answer.unwrap();
                }
            };
            // One that was late may have been written all the same.
            assert!(tries.start > 0 || answer == CommitOutcome::Written);
        }
    }
}

/// I-39, I-40: a caller that hangs up leaves nothing that the next one waits for, not even on the
/// only connection. What it had under way ends on the server, although the lock that it waits for
/// is still held.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_dropped_holds_up_nobody() {
    for prepared in variants([true, false]) {
        let Some(server) = server(&[]) else { return };
        let options = support::options().connections(1).prepared_statements(prepared);
        // Nothing ends by a time-out here.
        let options = options
            .statement_timeout(Duration::from_secs(120))
            .wait_timeout(Duration::from_secs(120));
        let store = options.connect(server.url()).await.unwrap();
        let (acme, alice) = (tenant(1), UserId::new("alice").unwrap());
        assert_eq!(first_commit(&store, 1).await.unwrap(), CommitOutcome::Written);
        let (client, observer) =
            (connect(server.url()).await.unwrap(), connect(server.url()).await.unwrap());
        client.batch_execute("BEGIN; SELECT FROM countersign.records FOR UPDATE").await.unwrap();
        let next = ExpectedVersions { settings: None, record: Some(row(1).version) };
        let second = row(2);
        for _ in 0..2 {
            let mut dropped = Box::pin(store.commit(&acme, &alice, &next, &second));
            let waits = async {
                while waiting_for_a_lock(&observer).await == 0 {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                answer = &mut dropped => panic!("it did not wait: {answer:?}"),
                () = waits => {}
            }
            drop(dropped);
            // The next one needs the same place in the pool.
            let next =
                tokio::time::timeout(Duration::from_secs(60), store.load(&acme, &alice)).await;
            assert_eq!(next.unwrap().unwrap().record, Some(row(1)));
            assert_eq!(waiting_for_a_lock(&observer).await, 0);
        }
        client.batch_execute("COMMIT").await.unwrap();
        assert_eq!(store.load(&acme, &alice).await.unwrap().record, Some(row(1)));
        assert_eq!(
            store.commit(&acme, &alice, &next, &row(3)).await.unwrap(),
            CommitOutcome::Written
        );
    }
}

/// A statement that ends by itself soon after its caller has hung up costs no connection: whoever
/// hangs up often does not make the server accept a new one each time.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_dropped_and_ends_soon_keeps_its_connection() {
    let Some(server) = server(&["log_connections=on"]) else { return };
    // So that soon is long enough for any machine.
    let options = support::options().connections(1).statement_timeout(Duration::from_secs(12_000));
    let store = options.connect(server.url()).await.unwrap();
    let (observer, alice) = (connect(server.url()).await.unwrap(), UserId::new("alice").unwrap());
    let acme = tenant(1);
    store.load(&acme, &alice).await.unwrap();
    let process = "SELECT pid FROM pg_stat_activity WHERE application_name = 'countersign'";
    let before: i32 = observer.query_one(process, &[]).await.unwrap().get(0);
    for _ in 0..20 {
        let mut dropped = Box::pin(store.load(&acme, &alice));
        // It is sent, and not answered yet.
        let waker = std::task::Waker::noop();
        assert!(dropped.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending());
        drop(dropped);
    }
    store.load(&acme, &alice).await.unwrap();
    let after: i32 = observer.query_one(process, &[]).await.unwrap().get(0);
    assert_eq!(before, after);
}

async fn waiting_for_a_lock(observer: &Client) -> i64 {
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    observer.query_one(waits, &[]).await.unwrap().get(0)
}

/// The only connection waits behind a lock: the next call does not wait for it longer than it may.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_gets_no_connection_ends_in_time() {
    let Some(url) = postgres_url().unwrap() else { return };
    let schema = Schema::new(&url);
    let options = schema
        .options()
        .connections(1)
        .wait_timeout(SHORT)
        .statement_timeout(Duration::from_secs(3_600));
    let store = options.connect(&url).await.unwrap();
    let (client, observer) = (schema.client().await.unwrap(), schema.client().await.unwrap());
    client.batch_execute(&format!("BEGIN; LOCK TABLE \"{}\".records", schema.name)).await.unwrap();
    let alice = UserId::new("alice").unwrap();
    let first = tokio::spawn({
        let (store, alice) = (store.clone(), alice.clone());
        async move { store.load(&tenant(1), &alice).await }
    });
    let started = Instant::now();
    let lock =
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE $1";
    while observer.query_one(lock, &[&format!("%{}%", schema.name)]).await.unwrap().get::<_, i64>(0)
        == 0
    {
        assert!(started.elapsed() < Duration::from_secs(60), "the first statement does not wait");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let fault = store.load(&tenant(2), &alice).await.unwrap_err();
    assert!(is(&fault, &PostgresError::Exhausted), "{fault:?}");
    client.batch_execute("COMMIT").await.unwrap();
    assert_eq!(first.await.unwrap().unwrap().record, None);
    assert_eq!(store.load(&tenant(2), &alice).await.unwrap().record, None);
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
    let options = support::options().connect_timeout(Duration::from_secs(30));
    let store = options.connect(&url(&server)).await.unwrap();
    assert_eq!(first_commit(&store, 1).await.unwrap(), CommitOutcome::Written);
}

/// The host is lost without a word, and its address leads to another: the call that finds out
/// fails, and not one more for each connection of the pool.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_host_costs_one_call_and_not_one_for_each_connection() {
    let Some(server) = server(&[]) else { return };
    let address = Forwarder::to(server.port()).await.unwrap();
    let url = format!("postgres://countersign@127.0.0.1:{}/postgres", address.port());
    let options = support::options().connections(8).statement_timeout(Duration::from_secs(15));
    let store = options.connect(&url).await.unwrap();
    // All of the pool's connections are in use at once, behind a lock, and then idle.
    let (client, observer) =
        (connect(server.url()).await.unwrap(), connect(server.url()).await.unwrap());
    client.batch_execute("BEGIN; LOCK TABLE countersign.records").await.unwrap();
    let waiting: Vec<_> = (0..8)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { first_commit(&store, number).await })
        })
        .collect();
    while backends(&observer).await < 8 {
        tokio::task::yield_now().await;
    }
    client.batch_execute("COMMIT").await.unwrap();
    for one in waiting {
        assert_eq!(one.await.unwrap().unwrap(), CommitOutcome::Written);
    }
    address.fall_silent();
    let fault = first_commit(&store, 100).await.unwrap_err();
    assert!(is(&fault, &PostgresError::TimedOut), "{fault:?}");
    for user in 101..110 {
        assert_eq!(first_commit(&store, user).await.unwrap(), CommitOutcome::Written);
    }
}

/// The port of a listener whose queue is full.
async fn full_listener() -> (u16, impl Sized) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut held = Vec::new();
    while let Ok(stream) =
        tokio::time::timeout(SHORT, tokio::net::TcpStream::connect(address)).await
    {
        held.push(stream.unwrap());
        assert!(held.len() < 100, "the queue does not fill");
    }
    (address.port(), (listener, held))
}
