//! A pooler leads to a standby, which has not seen the last writes.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod support;

use std::time::{Duration, Instant};

use countersign::error::PluginError;
use countersign::event::EventKind;
use countersign::store::{CommitOutcome, ExpectedVersions, FactorStore, Generation};
use countersign::{Channel, LoginStep, RequestContext, Scope, TenantId, UserId};
use countersign_postgres::{PostgresError, PostgresFactors};
use countersign_testkit::World;
use countersign_testkit::skip;
use support::bouncer::Bouncer;
use support::proxy::Proxy;
use support::standby::Standby;
use support::{connect, row, server, variants};
use test_servers::servers::Server;

async fn replicated() -> Option<(Server, Standby)> {
    let primary = server(&["synchronous_standby_names=*", "synchronous_commit=on"])?;
    let Some(standby) = Standby::of(&primary).await else {
        skip("not all programs of PostgreSQL are installed: no standby").unwrap();
        return None;
    };
    Some((primary, standby))
}

/// What was written so far is on the standby, and what is written from now on is received and not
/// shown there.
async fn pause(primary: &Server, standby: &Standby) {
    let (first, second) =
        (connect(primary.url()).await.unwrap(), connect(&standby.url()).await.unwrap());
    let written: String =
        first.query_one("SELECT pg_current_wal_lsn()::text", &[]).await.unwrap().get(0);
    let (started, mut shown) = (Instant::now(), false);
    let state =
        "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn, pg_get_wal_replay_pause_state()";
    loop {
        let row = second.query_one(state, &[&written]).await.unwrap();
        if row.get::<_, &str>(1) == "paused" {
            return;
        }
        if row.get(0) && !shown {
            shown = true;
            second.batch_execute("SELECT pg_wal_replay_pause()").await.unwrap();
        }
        assert!(started.elapsed() < Duration::from_secs(30), "the standby does not pause");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn from_a_standby<T: std::fmt::Debug, E: std::fmt::Debug>(answer: &Result<T, E>) {
    let answer = format!("{answer:?}");
    assert!(answer.starts_with("Err(") && answer.contains("Standby"), "{answer}");
}

/// I-01, I-23, I-28, I-39, attack 73: the administrator's choice is acknowledged, the pooler
/// switches to a standby that does not show it yet, and nobody comes in without a code: neither by
/// a login, nor by a session of before.
#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_switches_to_a_standby_lets_nobody_in_without_a_code() {
    let Some((primary, standby)) = replicated().await else { return };
    let Some(bouncer) = Bouncer::before(&primary).unwrap() else { return };
    let store = support::options().connections(4).connect(&bouncer.url("app")).await.unwrap();
    let world = World::on(store.clone()).unwrap();
    let before = world.sign_in("alice").await.unwrap().grant.into_saved();
    let root = world.sign_in("root").await.unwrap().grant.into_saved();
    pause(&primary, &standby).await;
    world.set_scope(Scope::EntireTenant).await.unwrap();
    // What the standby shows.
    let shown = connect(&standby.url()).await.unwrap();
    let shown = shown
        .query("SELECT FROM countersign.settings WHERE version IS NOT NULL", &[])
        .await
        .unwrap();
    assert!(shown.is_empty(), "the standby shows the new setting");
    bouncer.lead_to(standby.port()).await;
    world.events.clear();

    for _ in 0..3 {
        for name in ["root", "alice", "bob"] {
            from_a_standby(&world.begin(name).await);
        }
        from_a_standby(
            &world
                .flow
                .request(&world.tenant, &RequestContext::new())
                .revalidate(&before, Channel::Web)
                .await,
        );
    }
    // Nothing else is decided on it either.
    from_a_standby(
        &world.flow.request(&world.tenant, &RequestContext::new()).account(&before).status().await,
    );
    from_a_standby(
        &world.flow.request(&world.tenant, &RequestContext::new()).administration(&root).await,
    );
    let operator = world.flow.operator("a test").unwrap();
    let alice = UserId::new("alice").unwrap();
    from_a_standby(&operator.scope(&world.tenant).await);
    from_a_standby(&operator.set_scope(&world.tenant, Scope::DoNotUse).await);
    from_a_standby(&operator.status(&world.tenant, &alice).await);
    from_a_standby(&operator.purge_progress(&world.tenant).await);
    from_a_standby(&operator.forget(&world.tenant, &alice).await);
    from_a_standby(&world.flow.sweep(&world.tenant, None, 10).await);
    from_a_standby(&world.flow.purge(&world.tenant, 10).await);
    from_a_standby(&PostgresFactors::connect(&bouncer.url("app")).await);
    assert!(
        !world.events.kinds().iter().any(|kind| matches!(kind, EventKind::LoginCompleted { .. }))
    );

    // The pooler leads to the primary again, and the store goes on by itself.
    bouncer.lead_to(primary.port()).await;
    for name in ["alice", "bob"] {
        assert!(matches!(world.begin(name).await.unwrap(), LoginStep::CodeRequired(_)), "{name}");
    }
    assert_eq!(world.outbox.codes().len(), 2);
}

/// I-39: a pooler that splits reads from writes leads every statement that only reads to the
/// standby. Each is a fault, and the writes are not.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_only_reads_is_a_fault_behind_a_pooler_that_splits_reads_from_writes() {
    for prepared in variants([true, false]) {
        let Some((primary, standby)) = replicated().await else { return };
        PostgresFactors::connect(primary.url()).await.unwrap();
        pause(&primary, &standby).await;
        let options = || support::options().connections(1).prepared_statements(prepared);
        let proxy = Proxy::splitting(primary.port(), standby.port()).await;
        // What is looked at when the store connects is a read.
        from_a_standby(&options().connect(&proxy.url()).await);

        // A pooler that begins to do so later: this store was connected before.
        let forwarder = test_servers::Forwarder::to(primary.port()).await.unwrap();
        let url = format!("postgres://countersign@127.0.0.1:{}/postgres", forwarder.port());
        let store = options().connect(&url).await.unwrap();
        let (acme, alice) = (TenantId::new("acme").unwrap(), UserId::new("alice").unwrap());
        let nothing = ExpectedVersions { settings: None, record: None };
        assert_eq!(
            store.commit(&acme, &alice, &nothing, &row(1)).await.unwrap(),
            CommitOutcome::Written
        );
        forwarder.lead_to(proxy.port());
        connect(primary.url()).await.unwrap().batch_execute(END).await.unwrap();
        // A write does not read first; and what it answers is the primary's.
        let next = ExpectedVersions { settings: None, record: Some(row(1).version) };
        assert_eq!(written(&store, &acme, &alice, &next).await.unwrap(), CommitOutcome::Written);
        for _ in 0..2 {
            from_a_standby(&store.load(&acme, &alice).await);
            from_a_standby(&store.load_many(&acme, std::slice::from_ref(&alice)).await);
            from_a_standby(&store.load_many(&acme, &[]).await);
            from_a_standby(&store.settings(&acme).await);
            from_a_standby(&store.count(&acme, Generation::new(1)).await);
            from_a_standby(&store.users(&acme, Generation::new(0), None, 10).await);
        }
        assert!(store.remove(&acme, &alice).await.unwrap());
    }
}

/// Ends the connections that the store has, so that it makes new ones.
const END: &str = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'countersign'";

/// The first write finds its connection lost, or a new one.
async fn written(
    store: &PostgresFactors,
    tenant: &TenantId,
    user: &UserId,
    expected: &ExpectedVersions,
) -> Result<CommitOutcome, PluginError> {
    match store.commit(tenant, user, expected, &row(2)).await {
        Err(_) => store.commit(tenant, user, expected, &row(2)).await,
        answer => answer,
    }
}

/// A standby is a standby also where the address leads to nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_named_when_a_store_connects() {
    let Some((_primary, standby)) = replicated().await else { return };
    for address in [standby.url(), format!("{}?target_session_attrs=any", standby.url())] {
        assert!(
            matches!(PostgresFactors::connect(&address).await, Err(PostgresError::Standby)),
            "{address}"
        );
    }
}
