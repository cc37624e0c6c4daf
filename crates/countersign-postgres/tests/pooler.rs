//! The suite behind a pooler in transaction mode, with nothing configured for it.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod support;

use std::sync::Mutex;
use std::time::Duration;

use countersign::error::PluginError;
use countersign::store::{CommitOutcome, ExpectedVersions, FactorStore};
use countersign::{TenantId, UserId};
use countersign_testkit::skip;
use support::bouncer::Bouncer;
use support::{Budget, Schema, connect, row, server};
use test_servers::Forwarder;
use test_servers::servers::Server;

/// One server with a pooler before it, for the suite.
fn schema() -> Result<Option<Schema>, PluginError> {
    static SHARED: Mutex<Option<(Bouncer, Server)>> = Mutex::new(None);
    let mut shared = SHARED.lock().unwrap();
    if shared.is_none() {
        let Some(server) = Server::postgres(&["max_connections=500"])? else {
            return skip("no PostgreSQL server is installed").map(|()| None);
        };
        let Some(bouncer) = Bouncer::before(&server)? else { return Ok(None) };
        *shared = Some((bouncer, server));
    }
    Ok(shared.as_ref().map(|(bouncer, server)| Schema::behind(bouncer.port(), server.url())))
}

countersign_testkit::factor_store_conformance!(async { schema() });

mod budget {
    use super::*;

    countersign_testkit::send_budget_conformance!(async { Ok(schema()?.map(Budget)) });
}

fn bounced() -> Option<(Bouncer, Server)> {
    let server = server(&[])?;
    Some((Bouncer::before(&server).unwrap()?, server))
}

/// With nothing but an address: the store notices the pooler, and sends its statements whole. The
/// server connections change all the time here: each transaction of the host takes the one that was
/// used last.
#[tokio::test(flavor = "multi_thread")]
async fn the_defaults_work_behind_a_pooler_in_transaction_mode() {
    let Some((bouncer, server)) = bounced() else { return };
    let store = support::options().connections(1).connect(&bouncer.url("app")).await.unwrap();
    let (acme, alice) = (TenantId::new("acme").unwrap(), UserId::new("alice").unwrap());
    let mut expected = ExpectedVersions { settings: None, record: None };
    let mut hosts = Vec::new();
    for number in 1..=4 {
        assert_eq!(
            store.commit(&acme, &alice, &expected, &row(number)).await.unwrap(),
            CommitOutcome::Written
        );
        assert_eq!(store.load(&acme, &alice).await.unwrap().record, Some(row(number)));
        expected.record = Some(row(number).version);
        let host = connect(&bouncer.url("app")).await.unwrap();
        host.batch_execute("BEGIN; SELECT").await.unwrap();
        hosts.push(host);
    }
    // Nothing is prepared on any of them.
    for host in &hosts {
        let prepared = "SELECT count(*)::text FROM pg_prepared_statements";
        let prepared = host.simple_query(prepared).await.unwrap();
        assert_eq!(first(&prepared), Some("0"));
    }
    drop(server);
}

/// Asked to prepare all the same, the store says by name what it met, and what helps.
#[tokio::test(flavor = "multi_thread")]
async fn prepared_statements_behind_a_pooler_in_transaction_mode_fail_by_name() {
    let Some((bouncer, _server)) = bounced() else { return };
    let options = support::options().connections(1).prepared_statements(true);
    let store = options.connect(&bouncer.url("app")).await.unwrap();
    let (acme, alice) = (TenantId::new("acme").unwrap(), UserId::new("alice").unwrap());
    store.load(&acme, &alice).await.unwrap();
    // The only server connection is this one's for now, so that the store gets another one.
    let host = connect(&bouncer.url("app")).await.unwrap();
    host.batch_execute("BEGIN; SELECT").await.unwrap();
    let fault = format!("{:?}", store.load(&acme, &alice).await.unwrap_err());
    assert!(fault.contains("Pooled") && fault.contains("26000"), "{fault}");
}

/// Through a pooler no statement is cancelled: it could be another client's by then, and PgBouncer
/// up to 1.20 may exit over it. One that nobody waits for any more ends by its own time for a lock,
/// and keeps its connection until then.
#[tokio::test(flavor = "multi_thread")]
async fn behind_a_pooler_nothing_is_cancelled() {
    let Some((bouncer, server)) = bounced() else { return };
    let line = Forwarder::to(bouncer.port()).await.unwrap();
    let address = format!("postgres://countersign@127.0.0.1:{}/app", line.port());
    // It gives up after 8 s, long before the connection would be closed.
    let options = support::options().connections(1).wait_timeout(Duration::from_secs(10));
    let options = options.statement_timeout(Duration::from_secs(60));
    let store = options.connect(&address).await.unwrap();
    let (acme, alice) = (TenantId::new("acme").unwrap(), UserId::new("alice").unwrap());
    let unset = ExpectedVersions { settings: None, record: None };
    assert_eq!(store.commit(&acme, &alice, &unset, &row(1)).await.unwrap(), CommitOutcome::Written);
    let (holder, observer) =
        (connect(server.url()).await.unwrap(), connect(server.url()).await.unwrap());
    holder.batch_execute("BEGIN; SELECT FROM countersign.records FOR UPDATE").await.unwrap();

    let (expected, next) = (ExpectedVersions { record: Some(row(1).version), ..unset }, row(2));
    let mut dropped = Box::pin(store.commit(&acme, &alice, &expected, &next));
    let waits = async {
        let waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        while observer.query(waiting, &[]).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        answer = &mut dropped => panic!("it did not wait: {answer:?}"),
        () = waits => {}
    }
    drop(dropped);

    // Has the same connection, once the statement before has given up, although the lock is held.
    assert_eq!(store.load(&acme, &alice).await.unwrap().record, Some(row(1)));
    assert_eq!(line.accepted(), 1);
    holder.batch_execute("COMMIT").await.unwrap();
    assert_eq!(store.load(&acme, &alice).await.unwrap().record, Some(row(1)));
}

/// The same of one that ran out of time. A request to cancel it would be one more connection, and
/// the next call's another, since its own would not be used again.
#[tokio::test(flavor = "multi_thread")]
async fn behind_a_pooler_a_late_statement_is_not_cancelled() {
    let Some((bouncer, server)) = bounced() else { return };
    let line = Forwarder::to(bouncer.port()).await.unwrap();
    let address = format!("postgres://countersign@127.0.0.1:{}/app", line.port());
    let options = support::options().connections(1).statement_timeout(Duration::from_secs(5));
    let store = options.connect(&address).await.unwrap();
    let (acme, alice) = (TenantId::new("acme").unwrap(), UserId::new("alice").unwrap());
    store.load(&acme, &alice).await.unwrap();
    let (made, holder) = (line.accepted(), connect(server.url()).await.unwrap());
    holder.batch_execute("BEGIN; LOCK TABLE countersign.records").await.unwrap();
    let fault = format!("{:?}", store.load(&acme, &alice).await.unwrap_err());
    assert!(fault.contains("TimedOut"), "{fault}");
    holder.batch_execute("COMMIT").await.unwrap();
    store.load(&acme, &alice).await.unwrap();
    // None, or on a slow machine the one that takes its place.
    assert!(line.accepted() <= made + 1, "{} after {made}", line.accepted());
}

/// Nothing stands in between: statements are prepared, each once for a connection.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_pooler_statements_are_prepared() {
    let Some(server) = server(&["log_statement=all", "log_line_prefix=logged "]) else { return };
    let store = support::options().connections(1).connect(server.url()).await.unwrap();
    let (acme, alice) = (TenantId::new("acme").unwrap(), UserId::new("alice").unwrap());
    for _ in 0..3 {
        store.load(&acme, &alice).await.unwrap();
    }
    let log = std::fs::read_to_string(server.directory().join("log")).unwrap();
    let executed: Vec<&str> = log.split("logged LOG:  execute ").skip(1).collect();
    assert_eq!(executed.len(), 3, "{log}");
    for entry in executed {
        assert!(entry.starts_with('s') && !entry.starts_with("<unnamed>"), "{entry}");
    }
}

fn first(messages: &[tokio_postgres::SimpleQueryMessage]) -> Option<&str> {
    messages.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    })
}
