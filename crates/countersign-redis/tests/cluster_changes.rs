//! A cluster that loses a node, and one whose slots move, while the store is in use.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use countersign::error::PluginError;
use countersign::store::{CommitOutcome, ExpectedVersions, FactorStore, Generation, StoredRow};
use countersign::{TenantId, UserId};
use countersign_redis::{RedisFactors, RedisOptions};
use support::calls::{ids, options, row};
use support::nodes::{self, command};
use test_servers::servers::Server;

async fn connect(nodes: &[Server]) -> RedisFactors {
    connect_by(options(), nodes).await
}

async fn connect_by(options: RedisOptions, nodes: &[Server]) -> RedisFactors {
    let addresses: Vec<_> = nodes.iter().map(Server::url).collect();
    options
        .initialise_if_empty()
        .dangerously_unencrypted()
        .connect_cluster(&addresses)
        .await
        .unwrap()
}

/// Tenants on all nodes, with settings each.
async fn tenants(store: &RedisFactors) -> Vec<TenantId> {
    let tenants: Vec<_> =
        (0..30).map(|number| TenantId::new(&format!("tenant-{number}")).unwrap()).collect();
    for tenant in &tenants {
        assert_eq!(
            store.change_settings(tenant, None, &row(1)).await.unwrap(),
            CommitOutcome::Written
        );
    }
    tenants
}

/// What all of them find at once.
async fn settings_of(
    store: &RedisFactors,
    tenants: &[TenantId],
) -> Vec<Result<Option<StoredRow>, PluginError>> {
    let calls: Vec<_> = tenants
        .iter()
        .cloned()
        .map(|tenant| {
            let store = store.clone();
            tokio::spawn(async move { store.settings(&tenant).await })
        })
        .collect();
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap());
    }
    answers
}

/// Calls to the node that is gone fail in bounded time and never find nothing; when it is back the
/// same store works.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_restarts_is_a_fault_and_then_works_again() {
    let Some(mut nodes) = nodes::start().unwrap() else { return };
    let options = options()
        .connect_timeout(Duration::from_secs(10))
        .response_timeout(Duration::from_secs(10));
    let store = connect_by(options, &nodes).await;
    let tenants = tenants(&store).await;
    nodes[1].kill().unwrap();
    // First nothing answers on its port, as when its host hangs, and then the port is closed.
    for silent in [true, false] {
        let silent =
            silent.then(|| std::net::TcpListener::bind(("127.0.0.1", nodes[1].port())).unwrap());
        for _ in 0..2 {
            // Nothing else ends those calls.
            let answers =
                tokio::time::timeout(Duration::from_secs(60), settings_of(&store, &tenants))
                    .await
                    .unwrap();
            let mut failed = 0;
            for answer in answers {
                match answer {
                    Ok(found) => assert_eq!(found, Some(row(1))),
                    Err(_) => failed += 1,
                }
            }
            assert!(failed > 0, "no tenant was on the node");
        }
        drop(silent);
    }
    nodes[1].start().unwrap();
    let started = Instant::now();
    loop {
        let answers = settings_of(&store, &tenants).await;
        for found in answers.iter().flatten() {
            assert_eq!(found, &Some(row(1)));
        }
        let Some(fault) = answers.iter().find_map(|answer| answer.as_ref().err()) else { break };
        assert!(started.elapsed() < Duration::from_secs(60), "it does not come back: {fault:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for tenant in &tenants {
        let written = store.change_settings(tenant, Some(row(1).version), &row(2)).await.unwrap();
        assert_eq!(written, CommitOutcome::Written);
    }
}

/// A slot on its way from one node to another.
struct Move<'a> {
    nodes: &'a [Server],
    slot: String,
    from: &'a Server,
    to: &'a Server,
}

impl<'a> Move<'a> {
    /// Of the slot of a tenant that has settings.
    fn begin(nodes: &'a [Server], tenant: &TenantId) -> Self {
        let keys = format!("countersign:*:s:{}", tenant.as_str());
        let holds = |node: &&Server| !command(node, &["KEYS", &keys]).unwrap().is_empty();
        let Some(from) = nodes.iter().find(holds) else {
            panic!("no node holds {keys}: {:?}", nodes::views(nodes));
        };
        let to = nodes.iter().find(|node| !holds(node)).unwrap();
        let slot =
            command(from, &["CLUSTER", "KEYSLOT", &command(from, &["KEYS", &keys]).unwrap()])
                .unwrap();
        let id = |node| command(node, &["CLUSTER", "MYID"]).unwrap();
        assert_eq!(
            command(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id(from)]).unwrap(),
            "OK"
        );
        assert_eq!(
            command(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id(to)]).unwrap(),
            "OK"
        );
        Self { nodes, slot, from, to }
    }

    /// The keys that have not moved yet.
    fn left(&self) -> Vec<String> {
        let keys = command(self.from, &["CLUSTER", "GETKEYSINSLOT", &self.slot, "100"]).unwrap();
        keys.lines().filter(|key| !key.is_empty()).map(str::to_owned).collect()
    }

    fn key(&self, key: &str) {
        let port = self.to.port().to_string();
        let moved = command(self.from, &["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]).unwrap();
        assert_eq!(moved, "OK", "{key}");
    }

    fn end(self) {
        for key in self.left() {
            self.key(&key);
        }
        let id = command(self.to, &["CLUSTER", "MYID"]).unwrap();
        // All of them, as redis-cli does: from a node that has not heard of it yet, the store would
        // learn the earlier place again.
        for node in [self.to].into_iter().chain(self.nodes) {
            assert_eq!(
                command(node, &["CLUSTER", "SETSLOT", &self.slot, "NODE", &id]).unwrap(),
                "OK"
            );
        }
        nodes::agreed(self.nodes).unwrap();
    }
}

/// While its slot moves, key by key, what a tenant is answered is right or a fault. The first call
/// after the move works.
#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_moves_loses_nothing_and_is_found_again() {
    let Some(nodes) = nodes::start().unwrap() else { return };
    let store = connect(&nodes).await;
    let (acme, alice) = ids();
    assert_eq!(store.change_settings(&acme, None, &row(1)).await.unwrap(), CommitOutcome::Written);
    let settings = Some(row(1).version);
    let none = ExpectedVersions { settings, record: None };
    assert_eq!(store.commit(&acme, &alice, &none, &row(1)).await.unwrap(), CommitOutcome::Written);

    let mut slot = Move::begin(&nodes, &acme);
    let (mut refused, mut written) = (0, 1);
    for rounds in 0.. {
        let found = store.load(&acme, &alice).await;
        match found {
            Ok(found) => {
                assert_eq!((found.settings, found.record), (Some(row(1)), Some(row(written))));
            }
            Err(_) => refused += 1,
        }
        let record = Some(row(written).version);
        match store
            .commit(&acme, &alice, &ExpectedVersions { settings, record }, &row(written + 1))
            .await
        {
            Ok(answer) => {
                assert_eq!(answer, CommitOutcome::Written);
                written += 1;
            }
            Err(_) => refused += 1,
        }
        let Some(key) = slot.left().into_iter().next() else { break };
        assert!(rounds < 20, "it does not end");
        slot.key(&key);
    }
    assert!(written > 1 && refused > 0, "the move was not seen");
    slot.end();

    let found = store.load(&acme, &alice).await.unwrap();
    assert_eq!((found.settings, found.record), (Some(row(1)), Some(row(written))));
    slot = Move::begin(&nodes, &acme);
    slot.end();
    let expected = ExpectedVersions { settings, record: Some(row(written).version) };
    assert_eq!(
        store.commit(&acme, &alice, &expected, &row(written + 1)).await.unwrap(),
        CommitOutcome::Written
    );
}

/// A purge finds the records by their names, which the cluster does not see: it never forgets one
/// that has moved away.
#[tokio::test(flavor = "multi_thread")]
async fn a_purge_while_a_slot_moves_leaves_no_record_behind() {
    let Some(nodes) = nodes::start().unwrap() else { return };
    let store = connect(&nodes).await;
    let (acme, _) = ids();
    assert_eq!(store.change_settings(&acme, None, &row(1)).await.unwrap(), CommitOutcome::Written);
    for number in 0..6 {
        let user = UserId::new(&format!("user-{number}")).unwrap();
        let none = ExpectedVersions { settings: Some(row(1).version), record: None };
        assert_eq!(
            store.commit(&acme, &user, &none, &row(1)).await.unwrap(),
            CommitOutcome::Written
        );
    }
    let slot = Move::begin(&nodes, &acme);
    slot.left()
        .iter()
        .filter(|key| key.ends_with("user-2") || key.ends_with("user-4"))
        .for_each(|key| slot.key(key));
    let said = store.purge(&acme, Generation::new(1), 10).await;
    assert!(said.is_err(), "{said:?}");
    slot.end();
    // Two were purged before the first that had moved.
    assert_eq!(store.count(&acme, Generation::new(1)).await.unwrap(), 4);
    assert_eq!(store.purge(&acme, Generation::new(1), 10).await.unwrap(), 4);
    for node in &nodes {
        assert_eq!(command(node, &["KEYS", "*}:r:*"]).unwrap(), "");
    }
}

/// Slots move to and fro while users are written: nothing that was acknowledged is lost.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_moves() {
    let Some(nodes) = nodes::start().unwrap() else { return };
    let store = connect(&nodes).await;
    let (acme, alice) = ids();
    assert_eq!(store.change_settings(&acme, None, &row(1)).await.unwrap(), CommitOutcome::Written);
    let settings = Some(row(1).version);
    let (done, tried) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let writer = tokio::spawn({
        let (store, acme, alice) = (store.clone(), acme.clone(), alice.clone());
        let (done, tried) = (done.clone(), tried.clone());
        async move {
            let (mut reached, mut failed) = (0_u32, 0);
            while !done.load(Ordering::SeqCst) {
                let record = (reached > 0).then(|| nth(reached).version);
                match store
                    .commit(
                        &acme,
                        &alice,
                        &ExpectedVersions { settings, record },
                        &nth(reached + 1),
                    )
                    .await
                {
                    Ok(CommitOutcome::Written) => reached += 1,
                    Ok(CommitOutcome::Conflict) => {
                        panic!("nobody else writes, and what failed was not executed")
                    }
                    Err(_) => failed += 1,
                }
                tried.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            (reached, failed)
        }
    });
    // It is tried before each move, in the middle of it, and after.
    let more = async || {
        let before = tried.load(Ordering::SeqCst);
        while tried.load(Ordering::SeqCst) < before + 5 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    more().await;
    for _ in 0..8 {
        let slot = Move::begin(&nodes, &acme);
        more().await;
        slot.end();
        more().await;
    }
    done.store(true, Ordering::SeqCst);
    let (reached, failed) = writer.await.unwrap();
    assert!(reached > 10, "{reached} written, {failed} failed");
    assert_eq!(store.load(&acme, &alice).await.unwrap().record, Some(nth(reached)));
}

/// Another one than those shortly before it.
fn nth(number: u32) -> StoredRow {
    row(u8::try_from(number % 250).unwrap())
}
