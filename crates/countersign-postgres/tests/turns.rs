//! A change of a tenant's settings among commits that never pause.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use countersign::{Commit, Expected, FactorStore, TenantId, UserId, Version};
use countersign_postgres::PostgresFactors;
use support::{connect, row, server};

/// Longer than any test.
const FOR_LONG: Duration = Duration::from_secs(3_600);

const SLOW: &str = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_sleep(0.02 + 0.03 * random()); RETURN NEW; END $$;
    CREATE TRIGGER slow BEFORE INSERT OR UPDATE ON countersign.records FOR EACH ROW EXECUTE FUNCTION slow()";

/// I-27: switching the second factor on or off gets its turn, however many logins are under way. Each commit keeps its locks for a
/// while here, as one does that waits for a slow disk or a far standby, and at every moment some do.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_settings_gets_its_turn_among_commits_that_never_pause() {
    for settings in [None, Some(row(1))] {
        let Some(server) = server(&[]) else { return };
        let acme = TenantId::new("acme").unwrap();
        let administrator = PostgresFactors::options().connections(1).connect(server.url()).await.unwrap();
        connect(server.url()).await.unwrap().batch_execute(SLOW).await.unwrap();
        if let Some(settings) = &settings {
            assert_eq!(administrator.change_settings(&acme, None, settings).await.unwrap(), Commit::Written);
        }
        let expected = settings.as_ref().map(|settings| settings.version);
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let mut logins = Vec::new();
        for node in 0..2 {
            let store = PostgresFactors::options().connections(16).connect(server.url()).await.unwrap();
            for login in 0..16 {
                let (store, acme, stop, written) = (store.clone(), acme.clone(), stop.clone(), written.clone());
                let user = UserId::new(&format!("user-{node}-{login}")).unwrap();
                logins.push(tokio::spawn(commits(store, acme, user, expected, stop, written)));
            }
        }
        while written.load(Ordering::SeqCst) < 100 {
            tokio::task::yield_now().await;
        }
        let started = Instant::now();
        assert_eq!(administrator.change_settings(&acme, expected, &row(2)).await.unwrap(), Commit::Written);
        let (took, before) = (started.elapsed(), written.load(Ordering::SeqCst));
        assert!(took < Duration::from_secs(2), "{took:?}");
        stop.store(true, Ordering::SeqCst);
        for login in logins {
            login.await.unwrap();
        }
        // Those that held their locks already were let through, and no later one passed.
        assert!(written.load(Ordering::SeqCst) - before <= 32);
        assert_eq!(administrator.settings(&acme).await.unwrap().unwrap(), row(2));
    }
}

/// One commit that is stuck, and a change of settings that waits for it, hold up nobody else for long: neither the tenant's other users nor, through
/// the pool, another tenant.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_stuck_does_not_stop_a_tenant_whose_settings_are_changed() {
    let Some(server) = server(&[]) else { return };
    // What is stuck stays so until the test lets it go.
    let patient = PostgresFactors::options().connections(8).wait_timeout(FOR_LONG).statement_timeout(FOR_LONG);
    let store = patient.connect(server.url()).await.unwrap();
    let (acme, globex) = (TenantId::new("acme").unwrap(), TenantId::new("globex").unwrap());
    let settings = row(1);
    assert_eq!(store.change_settings(&acme, None, &settings).await.unwrap(), Commit::Written);
    let first = Expected { settings: Some(settings.version), record: None };
    let user = |number: u32| UserId::new(&format!("user-{number}")).unwrap();
    assert_eq!(store.commit(&acme, &user(0), &first, &row(1)).await.unwrap(), Commit::Written);

    let (host, watch) = (connect(server.url()).await.unwrap(), connect(server.url()).await.unwrap());
    host.batch_execute("BEGIN; SELECT FROM countersign.records FOR UPDATE").await.unwrap();
    let waiting = async |number: usize| {
        let waits = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        while watch.query(waits, &[]).await.unwrap().len() < number {
            tokio::task::yield_now().await;
        }
    };
    let stuck = tokio::spawn({
        let (store, acme, user) = (store.clone(), acme.clone(), user(0));
        let expected = Expected { settings: Some(settings.version), record: Some(row(1).version) };
        async move { store.commit(&acme, &user, &expected, &row(2)).await }
    });
    waiting(1).await;
    let change = tokio::spawn({
        let (store, acme) = (store.clone(), acme.clone());
        async move { store.change_settings(&acme, Some(settings.version), &row(2)).await }
    });
    waiting(2).await;
    let others: Vec<_> = (1..=40)
        .map(|number| {
            let (store, acme, user) = (store.clone(), acme.clone(), user(number));
            tokio::spawn(async move { store.commit(&acme, &user, &first, &row(1)).await })
        })
        .collect();
    let nothing = Expected { settings: None, record: None };
    assert_eq!(store.commit(&globex, &user(1), &nothing, &row(1)).await.unwrap(), Commit::Written);
    for other in others {
        assert_eq!(other.await.unwrap().unwrap(), Commit::Written);
    }
    assert!(!stuck.is_finished() && !change.is_finished());
    host.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(stuck.await.unwrap().unwrap(), Commit::Written);
    assert_eq!(change.await.unwrap().unwrap(), Commit::Written);
    assert_eq!(store.settings(&acme).await.unwrap(), Some(row(2)));
    assert_eq!(store.commit(&acme, &user(41), &first, &row(3)).await.unwrap(), Commit::Conflict);
}

/// Each commit takes longer than the change waits at first, and they begin without waiting for each other.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_settings_gets_its_turn_among_slow_commits() {
    let Some(server) = server(&[]) else { return };
    let store = PostgresFactors::options().connections(64).wait_timeout(FOR_LONG).connect(server.url()).await.unwrap();
    let administrator = PostgresFactors::options().connections(1).connect(server.url()).await.unwrap();
    let slow = SLOW.replace("0.02 + 0.03 * random()", "1.4");
    connect(server.url()).await.unwrap().batch_execute(&slow).await.unwrap();
    let acme = TenantId::new("acme").unwrap();
    let settings = row(1);
    assert_eq!(administrator.change_settings(&acme, None, &settings).await.unwrap(), Commit::Written);
    let stop = Arc::new(AtomicBool::new(false));
    let logins = tokio::spawn({
        let (store, acme, stop) = (store.clone(), acme.clone(), stop.clone());
        async move {
            let first = Expected { settings: Some(settings.version), record: None };
            let mut commits = tokio::task::JoinSet::new();
            for number in 0.. {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let (store, acme) = (store.clone(), acme.clone());
                let user = UserId::new(&format!("user-{number}")).unwrap();
                commits.spawn(async move { store.commit(&acme, &user, &first, &row(1)).await.unwrap() });
                tokio::time::sleep(Duration::from_millis(150)).await;
            }
            commits.join_all().await
        }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(administrator.change_settings(&acme, Some(row(1).version), &row(2)).await.unwrap(), Commit::Written);
    tokio::time::sleep(Duration::from_millis(500)).await;
    stop.store(true, Ordering::SeqCst);
    let logins = logins.await.unwrap();
    assert!(logins.contains(&Commit::Written) && logins.contains(&Commit::Conflict), "{logins:?}");
}

/// A change that never gets its turn is refused, has changed nothing, and leaves nothing of its patience on the connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_settings_whose_turn_does_not_come_is_refused() {
    for settings in [None, Some(row(1))] {
        let Some(server) = server(&[]) else { return };
        let patient = PostgresFactors::options().connections(8).wait_timeout(FOR_LONG).statement_timeout(FOR_LONG);
        let store = patient.connect(server.url()).await.unwrap();
        let administrator = PostgresFactors::options().connections(1).statement_timeout(Duration::from_secs(4));
        let administrator = administrator.connect(server.url()).await.unwrap();
        let (acme, alice) = (TenantId::new("acme").unwrap(), UserId::new("alice").unwrap());
        if let Some(settings) = &settings {
            assert_eq!(store.change_settings(&acme, None, settings).await.unwrap(), Commit::Written);
        }
        let expected = |record: Option<u32>| Expected {
            settings: settings.as_ref().map(|settings| settings.version),
            record: record.map(|record| row(record).version),
        };
        assert_eq!(store.commit(&acme, &alice, &expected(None), &row(1)).await.unwrap(), Commit::Written);
        let host = connect(server.url()).await.unwrap();
        host.batch_execute("BEGIN; SELECT FROM countersign.records FOR UPDATE").await.unwrap();
        let stuck = tokio::spawn({
            let (store, acme, alice, expected) = (store.clone(), acme.clone(), alice.clone(), expected(Some(1)));
            async move { store.commit(&acme, &alice, &expected, &row(2)).await }
        });
        let waits = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        while host.query(waits, &[]).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        let version = settings.as_ref().map(|settings| settings.version);
        let started = Instant::now();
        let refused = administrator.change_settings(&acme, version, &row(2)).await.unwrap_err();
        assert!(format!("{refused:?}").contains("Locked"), "{refused:?}");
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
        assert_eq!(store.settings(&acme).await.unwrap(), settings);
        // The same connection waits for a lock for longer than the change did.
        let waiting = tokio::spawn({
            let (administrator, acme, alice) = (administrator.clone(), acme.clone(), alice.clone());
            async move { administrator.remove(&acme, &alice).await }
        });
        tokio::time::sleep(Duration::from_millis(1_300)).await;
        assert!(!waiting.is_finished());
        host.batch_execute("ROLLBACK").await.unwrap();
        assert!(waiting.await.unwrap().unwrap());
        assert_eq!(stuck.await.unwrap().unwrap(), Commit::Written);
    }
}

/// Writes one user's record again and again, until that is refused or it is told to stop.
async fn commits(
    store: PostgresFactors,
    acme: TenantId,
    user: UserId,
    settings: Option<Version>,
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU32>,
) {
    let mut record = None;
    for number in 1.. {
        let next = row(number);
        let expected = Expected { settings, record };
        if stop.load(Ordering::SeqCst)
            || store.commit(&acme, &user, &expected, &next).await.unwrap() == Commit::Conflict
        {
            return;
        }
        record = Some(next.version);
        written.fetch_add(1, Ordering::SeqCst);
    }
}
