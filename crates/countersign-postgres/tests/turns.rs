//! A change of a tenant's settings among commits that never pause.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod support;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use countersign::store::{CommitOutcome, ExpectedVersions, FactorStore, Version};
use countersign::{TenantId, UserId};
use countersign_postgres::PostgresFactors;
use support::{connect, row, server, variants};
use test_servers::servers::Server;
use tokio_postgres::Client;

/// Longer than any test.
const FOR_LONG: Duration = Duration::from_secs(3_600);

/// With these settings the server's log says in which order they waited and wrote, whatever the
/// time was.
const LOGGING: [&str; 2] = ["log_lock_waits=on", "deadlock_timeout=1ms"];
const WAITS_ALONE: &str = "still waiting for ExclusiveLock on advisory lock";
const WROTE: &str = "LOG:  a commit writes";
const CHANGED: &str = "LOG:  a change writes";
const GAVE_UP: &str = "canceling statement due to lock timeout";

/// Each commit that holds its locks stops at a gate, which a session of the test may close, takes
/// so many seconds more, and is logged. So is a change of settings that has its turn.
fn logged(seconds: &str) -> String {
    format!(
        "CREATE FUNCTION writes() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN
            PERFORM pg_advisory_xact_lock_shared(1); PERFORM pg_sleep({seconds});
            RAISE LOG 'a commit writes'; RETURN NEW;
        END $$;
        CREATE TRIGGER writes BEFORE INSERT OR UPDATE ON countersign.records FOR EACH ROW EXECUTE FUNCTION writes();
        CREATE FUNCTION changes() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE LOG 'a change writes'; RETURN NEW; END $$;
        CREATE TRIGGER changes BEFORE INSERT OR UPDATE ON countersign.settings
        FOR EACH ROW WHEN (NEW.version IS NOT NULL) EXECUTE FUNCTION changes()"
    )
}

fn log(server: &Server) -> String {
    std::fs::read_to_string(server.directory().join("log")).unwrap()
}

fn times(text: &str, server: &Server) -> usize {
    log(server).matches(text).count()
}

async fn close_the_gate(host: &Client) {
    host.batch_execute("SELECT pg_advisory_lock(1)").await.unwrap();
}

async fn open_the_gate(host: &Client) {
    host.batch_execute("SELECT pg_advisory_unlock(1)").await.unwrap();
}

/// How often this question has an answer that is at least this: looked at until it has.
async fn until(watch: &Client, waits: &str, number: i64) {
    let waits = format!(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND {waits}"
    );
    while watch.query_one(&waits, &[]).await.unwrap().get::<_, i64>(0) < number {
        tokio::task::yield_now().await;
    }
}

const AT_THE_GATE: &str = "objid = 1 AND mode = 'ShareLock'";
const FOR_ITS_TURN: &str = "mode = 'ExclusiveLock'";

/// I-27: switching the second factor on or off gets its turn, however many logins are under way.
/// Each commit keeps its locks for a while here, as one does that waits for a slow disk or a far
/// standby, and at every moment some do.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_settings_gets_its_turn_among_commits_that_never_pause() {
    for settings in variants([None, Some(row(1))]) {
        let Some(server) = server(&LOGGING) else { return };
        let acme = TenantId::new("acme").unwrap();
        let administrator = support::options().connections(1).connect(server.url()).await.unwrap();
        let (host, watch) =
            (connect(server.url()).await.unwrap(), connect(server.url()).await.unwrap());
        if let Some(settings) = &settings {
            assert_eq!(
                administrator.change_settings(&acme, None, settings).await.unwrap(),
                CommitOutcome::Written
            );
        }
        host.batch_execute(&logged("0.02 + 0.03 * random()")).await.unwrap();
        let expected = settings.as_ref().map(|settings| settings.version);
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let mut logins = Vec::new();
        for node in 0..2 {
            let store = support::options().connections(16).connect(server.url()).await.unwrap();
            for login in 0..16 {
                let (store, acme, stop, written) =
                    (store.clone(), acme.clone(), stop.clone(), written.clone());
                let user = UserId::new(&format!("user-{node}-{login}")).unwrap();
                logins.push(tokio::spawn(commits(store, acme, user, expected, stop, written)));
            }
        }
        while written.load(Ordering::SeqCst) < 100 {
            tokio::task::yield_now().await;
        }
        // They meet: some hold their locks when the change begins to wait.
        close_the_gate(&host).await;
        until(&watch, AT_THE_GATE, 1).await;
        let mut change = tokio::spawn({
            let (administrator, acme) = (administrator.clone(), acme.clone());
            async move { administrator.change_settings(&acme, expected, &row(2)).await.unwrap() }
        });
        tokio::select! {
            () = until(&watch, FOR_ITS_TURN, 1) => {}
            early = &mut change => panic!("it did not wait for its turn: {early:?}"),
        }
        open_the_gate(&host).await;
        assert_eq!(change.await.unwrap(), CommitOutcome::Written);
        stop.store(true, Ordering::SeqCst);
        for login in logins {
            login.await.unwrap();
        }
        // Those that held their locks already were let through: a tenant has half of the
        // connections of each node. And nothing was written after it by what expects the settings
        // of before.
        let log = log(&server);
        let (before, after) = log.split_once(CHANGED).unwrap();
        let overtook = before.rsplit(WAITS_ALONE).next().unwrap().matches(WROTE).count();
        assert!(
            before.contains(WAITS_ALONE) && overtook <= 16,
            "{overtook} commits came before it"
        );
        assert_eq!(after.matches(WROTE).count(), 0);
        assert_eq!(administrator.settings(&acme).await.unwrap().unwrap(), row(2));
    }
}

/// One commit that is stuck, and a change of settings that waits for it, hold up nobody else for
/// long: neither the tenant's other users nor, through the pool, another tenant.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_stuck_does_not_stop_a_tenant_whose_settings_are_changed() {
    let Some(server) = server(&[]) else { return };
    // What is stuck stays so until the test lets it go.
    let patient =
        support::options().connections(8).wait_timeout(FOR_LONG).statement_timeout(FOR_LONG);
    let store = patient.connect(server.url()).await.unwrap();
    let (acme, globex) = (TenantId::new("acme").unwrap(), TenantId::new("globex").unwrap());
    let settings = row(1);
    assert_eq!(
        store.change_settings(&acme, None, &settings).await.unwrap(),
        CommitOutcome::Written
    );
    let first = ExpectedVersions { settings: Some(settings.version), record: None };
    let user = |number: u32| UserId::new(&format!("user-{number}")).unwrap();
    assert_eq!(
        store.commit(&acme, &user(0), &first, &row(1)).await.unwrap(),
        CommitOutcome::Written
    );

    let (host, watch) =
        (connect(server.url()).await.unwrap(), connect(server.url()).await.unwrap());
    host.batch_execute("BEGIN; SELECT FROM countersign.records FOR UPDATE").await.unwrap();
    let waiting = async |number: usize| {
        let waits = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        while watch.query(waits, &[]).await.unwrap().len() < number {
            tokio::task::yield_now().await;
        }
    };
    let stuck = tokio::spawn({
        let (store, acme, user) = (store.clone(), acme.clone(), user(0));
        let expected =
            ExpectedVersions { settings: Some(settings.version), record: Some(row(1).version) };
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
    let nothing = ExpectedVersions { settings: None, record: None };
    assert_eq!(
        store.commit(&globex, &user(1), &nothing, &row(1)).await.unwrap(),
        CommitOutcome::Written
    );
    for other in others {
        assert_eq!(other.await.unwrap().unwrap(), CommitOutcome::Written);
    }
    assert!(!stuck.is_finished() && !change.is_finished());
    host.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(stuck.await.unwrap().unwrap(), CommitOutcome::Written);
    assert_eq!(change.await.unwrap().unwrap(), CommitOutcome::Written);
    assert_eq!(store.settings(&acme).await.unwrap(), Some(row(2)));
    assert_eq!(
        store.commit(&acme, &user(41), &first, &row(3)).await.unwrap(),
        CommitOutcome::Conflict
    );
}

/// Each commit takes longer than the change waits at first, and they begin without waiting for each
/// other. Its patience grows, so that it gets its turn after a few tries.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_settings_gets_its_turn_among_slow_commits() {
    let Some(server) = server(&LOGGING) else { return };
    let store = support::options()
        .connections(64)
        .wait_timeout(FOR_LONG)
        .connect(server.url())
        .await
        .unwrap();
    let administrator = support::options().connections(1).statement_timeout(FOR_LONG);
    let administrator = administrator.connect(server.url()).await.unwrap();
    let (host, watch) =
        (connect(server.url()).await.unwrap(), connect(server.url()).await.unwrap());
    let acme = TenantId::new("acme").unwrap();
    let settings = row(1);
    assert_eq!(
        administrator.change_settings(&acme, None, &settings).await.unwrap(),
        CommitOutcome::Written
    );
    host.batch_execute(&logged("0.7 + 1.4 * random()")).await.unwrap();
    close_the_gate(&host).await;
    let (stop, conflicts) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let logins = tokio::spawn({
        let (acme, stop, conflicts) = (acme.clone(), stop.clone(), conflicts.clone());
        async move {
            let first = ExpectedVersions { settings: Some(settings.version), record: None };
            let mut commits = tokio::task::JoinSet::new();
            for number in 0.. {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let (store, acme, conflicts) = (store.clone(), acme.clone(), conflicts.clone());
                let user = UserId::new(&format!("user-{number}")).unwrap();
                commits.spawn(async move {
                    match store.commit(&acme, &user, &first, &row(1)).await.unwrap() {
                        CommitOutcome::Written => {}
                        CommitOutcome::Conflict => drop(conflicts.fetch_add(1, Ordering::SeqCst)),
                    }
                });
                // Ten are under way at every moment: the next one begins when one of them has
                // ended.
                if commits.len() >= 10 {
                    commits.join_next().await.unwrap().unwrap();
                }
            }
            drop(commits.join_all().await);
        }
    });
    until(&watch, AT_THE_GATE, 1).await;
    let change = tokio::spawn({
        let (administrator, acme) = (administrator.clone(), acme.clone());
        async move { administrator.change_settings(&acme, Some(row(1).version), &row(2)).await.unwrap() }
    });
    // The first try ends behind the commits at the gate.
    gives_up_at_most(&server, 1, until_it_gave_up(&server)).await;
    open_the_gate(&host).await;
    assert_eq!(gives_up_at_most(&server, 8, change).await.unwrap(), CommitOutcome::Written);
    while conflicts.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    stop.store(true, Ordering::SeqCst);
    logins.await.unwrap();
    let log = log(&server);
    let (before, after) = log.split_once(CHANGED).unwrap();
    assert!(before.contains(WROTE) && !after.contains(WROTE));
}

async fn until_it_gave_up(server: &Server) {
    while times(GAVE_UP, server) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits for this while statements give up waiting for a lock, and for no more of them than these.
async fn gives_up_at_most<T>(server: &Server, most: usize, work: impl Future<Output = T>) -> T {
    let too_often = async {
        while times(GAVE_UP, server) <= most {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        biased;
        done = work => done,
        () = too_often => panic!("more than {most} statements gave up: {}", log(server)),
    }
}

/// A change that never gets its turn is refused, has changed nothing, and leaves nothing of its
/// patience on the connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_settings_whose_turn_does_not_come_is_refused() {
    for settings in variants([None, Some(row(1))]) {
        let Some(server) = server(&[]) else { return };
        let patient =
            support::options().connections(8).wait_timeout(FOR_LONG).statement_timeout(FOR_LONG);
        let store = patient.connect(server.url()).await.unwrap();
        // The second and last try ends with the time for a statement.
        let administrator =
            support::options().connections(1).statement_timeout(Duration::from_secs(4));
        let administrator = administrator.connect(server.url()).await.unwrap();
        let (acme, alice) = (TenantId::new("acme").unwrap(), UserId::new("alice").unwrap());
        if let Some(settings) = &settings {
            assert_eq!(
                store.change_settings(&acme, None, settings).await.unwrap(),
                CommitOutcome::Written
            );
        }
        let expected = |record: Option<u32>| ExpectedVersions {
            settings: settings.as_ref().map(|settings| settings.version),
            record: record.map(|record| row(record).version),
        };
        assert_eq!(
            store.commit(&acme, &alice, &expected(None), &row(1)).await.unwrap(),
            CommitOutcome::Written
        );
        let host = connect(server.url()).await.unwrap();
        host.batch_execute("BEGIN; SELECT FROM countersign.records FOR UPDATE").await.unwrap();
        let stuck = tokio::spawn({
            let (store, acme, alice, expected) =
                (store.clone(), acme.clone(), alice.clone(), expected(Some(1)));
            async move { store.commit(&acme, &alice, &expected, &row(2)).await }
        });
        let waits = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        while host.query(waits, &[]).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        let version = settings.as_ref().map(|settings| settings.version);
        let next = row(2);
        let change = administrator.change_settings(&acme, version, &next);
        let refused = gives_up_at_most(&server, 2, change).await.unwrap_err();
        assert!(format!("{refused:?}").contains("Locked"), "{refused:?}");
        assert_eq!(store.settings(&acme).await.unwrap(), settings);
        host.batch_execute("ROLLBACK").await.unwrap();
        assert_eq!(stuck.await.unwrap().unwrap(), CommitOutcome::Written);
        // The same connection has the patience of the call that it is used for, and then none.
        let says = "CREATE FUNCTION says() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE LOG 'lock_timeout is %', current_setting('lock_timeout'); RETURN OLD; END $$;
            CREATE TRIGGER says BEFORE DELETE ON countersign.records FOR EACH ROW EXECUTE FUNCTION says()";
        host.batch_execute(says).await.unwrap();
        assert!(administrator.remove(&acme, &alice).await.unwrap());
        assert_eq!(times("LOG:  lock_timeout is 3200ms", &server), 1, "{}", log(&server));
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
        let expected = ExpectedVersions { settings, record };
        if stop.load(Ordering::SeqCst)
            || store.commit(&acme, &user, &expected, &next).await.unwrap()
                == CommitOutcome::Conflict
        {
            return;
        }
        record = Some(next.version);
        written.fetch_add(1, Ordering::SeqCst);
    }
}
