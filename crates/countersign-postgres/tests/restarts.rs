//! Crashes of the server in the middle of a storm of writes.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use countersign::budget::{Account, Charged, Limit, SendBudget};
use countersign::store::{CommitOutcome, ExpectedVersions, FactorStore, Generation, StoredRow};
use countersign::{TenantId, UserId};
use countersign_postgres::{PostgresError, PostgresFactors, PostgresOptions};
use support::{connect, number, row, server, variants};
use time::OffsetDateTime;

/// What was acknowledged is there after each crash, and nothing more than the one write that was
/// under way.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_crashes() {
    let Some(mut server) = server(&[]) else { return };
    let store = support::options().connections(8).connect(server.url()).await.unwrap();
    let acme = TenantId::new("acme").unwrap();
    let mut kept = [0_u32; 8];
    for round in 0..4 {
        let written: [Arc<AtomicU32>; 8] = std::array::from_fn(|_| Arc::default());
        let writers: Vec<_> = kept
            .iter()
            .copied()
            .enumerate()
            .map(|(user, from)| {
                let written = written[user].clone();
                tokio::spawn(count_until_it_fails(store.clone(), acme.clone(), user, from, written))
            })
            .collect();
        // All of them are in the middle of it.
        while written.iter().any(|written| written.load(Ordering::SeqCst) < 10) {
            tokio::task::yield_now().await;
        }
        if round % 2 == 0 {
            server.kill().unwrap();
        } else {
            server.stop().unwrap();
        }
        let mut acknowledged = Vec::new();
        for writer in writers {
            acknowledged.push(writer.await.unwrap());
        }
        server.start().unwrap();
        for (user, (kept, acknowledged)) in kept.iter_mut().zip(acknowledged).enumerate() {
            let found = patiently(&store, &acme, user).await.as_ref().map_or(0, number);
            assert!(
                found == acknowledged || found == acknowledged + 1,
                "{acknowledged} was acknowledged, and {found} was kept"
            );
            *kept = found;
        }
    }
}

async fn count_until_it_fails(
    store: PostgresFactors,
    acme: TenantId,
    user: usize,
    from: u32,
    written: Arc<AtomicU32>,
) -> u32 {
    let user = UserId::new(&format!("user-{user}")).unwrap();
    let mut reached = from;
    loop {
        let record = (reached > 0).then(|| row(reached).version);
        match store
            .commit(&acme, &user, &ExpectedVersions { settings: None, record }, &row(reached + 1))
            .await
        {
            Ok(CommitOutcome::Written) => {
                reached += 1;
                written.fetch_add(1, Ordering::SeqCst);
            }
            Ok(CommitOutcome::Conflict) => panic!("nobody else writes"),
            Err(_) => return reached,
        }
    }
}

async fn patiently(store: &PostgresFactors, acme: &TenantId, user: usize) -> Option<StoredRow> {
    let user = UserId::new(&format!("user-{user}")).unwrap();
    let started = Instant::now();
    loop {
        match store.load(acme, &user).await {
            Ok(snapshot) => return snapshot.record,
            Err(fault) => assert!(
                started.elapsed() < Duration::from_secs(20),
                "it does not come back: {fault:?}"
            ),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_may_forget_is_refused_unless_that_is_accepted() {
    for setting in variants(["synchronous_commit", "fsync", "full_page_writes"]) {
        let Some(server) = server(&[&format!("{setting}=off")]) else { return };
        let refused = PostgresFactors::connect(server.url()).await;
        assert!(
            matches!(refused, Err(PostgresError::NotDurable { setting: found }) if found == setting),
            "{setting}: {refused:?}"
        );
        support::options().accept_data_loss_on_crash().connect(server.url()).await.unwrap();
    }
}

/// A server that accepts connections and never answers: every call ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_is_a_fault_in_time() {
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url =
        format!("postgres://nobody@127.0.0.1:{}/nothing", silent.local_addr().unwrap().port());
    let connecting = support::options().connect_timeout(Duration::from_millis(300)).connect(&url);
    let refused = tokio::time::timeout(Duration::from_secs(60), connecting).await.unwrap();
    assert!(matches!(refused, Err(PostgresError::Unavailable { .. })), "{refused:?}");
}

/// I-09: the stricter isolation levels undo a statement where READ COMMITTED looks again; that is a
/// conflict, not a fault, and of several commits that expect the same record one is written.
#[tokio::test(flavor = "multi_thread")]
async fn a_stricter_default_isolation_makes_conflicts_and_no_faults() {
    let Some(server) = server(&["default_transaction_isolation=serializable"]) else { return };
    let store = support::options().connections(8).connect(server.url()).await.unwrap();
    let (acme, alice) = (TenantId::new("acme").unwrap(), UserId::new("alice").unwrap());
    let racing: Vec<_> = (1..=8_u32)
        .map(|writer| {
            let (store, acme, alice) = (store.clone(), acme.clone(), alice.clone());
            tokio::spawn(async move {
                let mut written = Vec::new();
                for round in 0..20 {
                    let before = store.load(&acme, &alice).await.unwrap().record;
                    let next = row(writer * 1_000 + round);
                    let expected = ExpectedVersions {
                        settings: None,
                        record: before.as_ref().map(|row| row.version),
                    };
                    if store.commit(&acme, &alice, &expected, &next).await.unwrap()
                        == CommitOutcome::Written
                    {
                        written.push((before.as_ref().map_or(0, number), number(&next)));
                    }
                }
                written
            })
        })
        .collect();
    let mut followed = HashMap::new();
    for writer in racing {
        for (before, next) in writer.await.unwrap() {
            assert_eq!(followed.insert(before, next), None, "two were written after {before}");
        }
    }
    // From the first to the last each follows the one before it, and none was lost on the way.
    let mut last = 0;
    for _ in 0..followed.len() {
        last = followed[&last];
    }
    assert_eq!(store.load(&acme, &alice).await.unwrap().record.map(|row| number(&row)), Some(last));
}

/// I-26, I-27: there a deletion that was undone is sent again. It never says that there is nothing
/// while the row stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_stricter_default_isolation_leaves_no_row_that_was_to_be_deleted() {
    let all = [
        ("repeatable read", false),
        ("serializable", false),
        ("repeatable read", true),
        ("serializable", true),
    ];
    for (isolation, purges) in variants(all) {
        let Some(server) = server(&[&format!("default_transaction_isolation={isolation}")]) else {
            return;
        };
        let store = support::options().connections(2).connect(server.url()).await.unwrap();
        let (acme, alice) = (TenantId::new("acme").unwrap(), UserId::new("alice").unwrap());
        let nothing = ExpectedVersions { settings: None, record: None };
        assert_eq!(
            store.commit(&acme, &alice, &nothing, &row(1)).await.unwrap(),
            CommitOutcome::Written
        );
        let other = connect(server.url()).await.unwrap();
        other.batch_execute("BEGIN; UPDATE countersign.records SET document = '{}'").await.unwrap();
        let deleting = tokio::spawn({
            let (store, acme, alice) = (store.clone(), acme.clone(), alice.clone());
            async move {
                if purges {
                    return store.purge(&acme, Generation::new(1), 10).await.unwrap() == 1;
                }
                store.remove(&acme, &alice).await.unwrap()
            }
        });
        let waits = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        let watch = connect(server.url()).await.unwrap();
        while watch.query(waits, &[]).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        other.batch_execute("COMMIT").await.unwrap();
        assert!(deleting.await.unwrap(), "{isolation}");
        assert_eq!(store.load(&acme, &alice).await.unwrap().record, None, "{isolation}");
    }
}

/// There a charge that was undone is sent again, and no limit is passed.
#[tokio::test(flavor = "multi_thread")]
async fn a_stricter_default_isolation_lets_no_charge_past_a_limit() {
    for isolation in variants(["repeatable read", "serializable"]) {
        let Some(server) = server(&[&format!("default_transaction_isolation={isolation}")]) else {
            return;
        };
        let budget =
            support::options().connections(8).connect(server.url()).await.unwrap().budget();
        let barrier = std::sync::Arc::new(tokio::sync::Barrier::new(40));
        let racing: Vec<_> = (0..40_u64)
            .map(|number| {
                let (budget, barrier) = (budget.clone(), barrier.clone());
                tokio::spawn(async move {
                    let account = |key: &str, most| {
                        Account::new(key, Limit::new(most, Duration::from_secs(60)))
                    };
                    // In slots of their own, so that nothing but the account holds them together.
                    let now = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(1_000 + number % 7);
                    barrier.wait().await;
                    budget
                        .charge(&[account(&format!("to:{number}"), 1), account("tenant", 12)], now)
                        .await
                        .unwrap()
                })
            })
            .collect();
        let mut charged = 0;
        for one in racing {
            charged += u32::from(one.await.unwrap() == Charged::Yes);
        }
        assert_eq!(charged, 12, "{isolation}");
    }
}

/// Nodes wait for each other's migration, on a busy machine for long.
fn patient() -> PostgresOptions {
    support::options().statement_timeout(Duration::from_secs(60))
}

/// The tables of the first version get what the budget needs, and keep what is in them.
#[tokio::test(flavor = "multi_thread")]
async fn tables_of_an_earlier_version_are_migrated() {
    let Some(server) = server(&[]) else { return };
    let (acme, alice) = (TenantId::new("acme").unwrap(), UserId::new("alice").unwrap());
    let store = patient().connect(server.url()).await.unwrap();
    let first = ExpectedVersions { settings: None, record: None };
    assert_eq!(store.commit(&acme, &alice, &first, &row(7)).await.unwrap(), CommitOutcome::Written);
    let (client, connection) =
        tokio_postgres::connect(server.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let earlier = "DROP FUNCTION countersign.charge; DROP TABLE countersign.charges;
        UPDATE countersign.schema_version SET version = 1";
    client.batch_execute(earlier).await.unwrap();
    // By several nodes at once.
    let nodes: Vec<_> = (0..8)
        .map(|_| {
            let url = server.url().to_owned();
            tokio::spawn(async move { patient().connect(&url).await })
        })
        .collect();
    for node in nodes {
        node.await.unwrap().unwrap();
    }
    let store = patient().connect(server.url()).await.unwrap();
    assert_eq!(store.load(&acme, &alice).await.unwrap().record.unwrap(), row(7));
    let account = Account::new("to", Limit::new(1, Duration::from_secs(60)));
    assert_eq!(
        store.budget().charge(&[account], OffsetDateTime::UNIX_EPOCH).await.unwrap(),
        Charged::Yes
    );
}

/// Another node has migrated the tables between the two looks of this one: at the tables, and at
/// their version. It looks again, and does not say that one is missing.
#[tokio::test(flavor = "multi_thread")]
async fn tables_that_another_node_migrates_meanwhile_are_not_missing() {
    let Some(server) = server(&[]) else { return };
    patient().connect(server.url()).await.unwrap();
    let (other, watch) =
        (connect(server.url()).await.unwrap(), connect(server.url()).await.unwrap());
    let earlier = "CREATE TABLE kept AS TABLE countersign.charges; DROP TABLE countersign.charges;
        UPDATE countersign.schema_version SET version = 1";
    other.batch_execute(earlier).await.unwrap();
    other.batch_execute("BEGIN; LOCK TABLE countersign.schema_version").await.unwrap();
    let url = server.url().to_owned();
    let connecting = tokio::spawn(async move { patient().connect(&url).await });
    let waits = "SELECT FROM pg_locks WHERE relation = 'countersign.schema_version'::regclass AND NOT granted";
    while watch.query(waits, &[]).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let migrated = "ALTER TABLE kept RENAME TO charges; ALTER TABLE charges SET SCHEMA countersign;
        UPDATE countersign.schema_version SET version = 2; COMMIT";
    other.batch_execute(migrated).await.unwrap();
    connecting.await.unwrap().unwrap();
}

/// A node of a later version makes its tables while this one waits for its turn: they are left as
/// they are.
#[tokio::test(flavor = "multi_thread")]
async fn tables_of_a_later_version_are_left_alone() {
    let Some(server) = server(&[]) else { return };
    let later = connect(server.url()).await.unwrap();
    // "counters", the number of src/migrate.rs.
    later
        .batch_execute("BEGIN; SELECT pg_advisory_xact_lock(x'636f756e74657273'::bigint)")
        .await
        .unwrap();
    let url = server.url().to_owned();
    let connecting = tokio::spawn(async move { patient().connect(&url).await });
    let watch = connect(server.url()).await.unwrap();
    let waits = "SELECT FROM pg_stat_activity WHERE wait_event = 'advisory'";
    while watch.query(waits, &[]).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let tables =
        "CREATE SCHEMA countersign; CREATE TABLE countersign.schema_version (one boolean PRIMARY KEY, version integer);
        INSERT INTO countersign.schema_version VALUES (true, 3); COMMIT";
    later.batch_execute(tables).await.unwrap();
    let refused = connecting.await.unwrap();
    assert!(
        matches!(refused, Err(PostgresError::NewerSchema { found: 3, readable: 2 })),
        "{refused:?}"
    );
    let made = "SELECT relname::text FROM pg_class WHERE relnamespace = 'countersign'::regnamespace AND relkind = 'r'";
    let made: Vec<String> =
        watch.query(made, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(made, ["schema_version"]);
}
