//! What a server loses is noticed, and what it keeps comes back.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod support;

use std::future::Future;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use countersign::budget::{Account, Limit, SendBudget};
use countersign::store::{CommitOutcome, ExpectedVersions, FactorStore, Generation, StoredRow};
use countersign::{TenantId, UserId};
use countersign_redis::{RedisError, RedisFactors};
use support::calls::{client, every_call, ids, options, row, server};
use test_servers::servers::Server;
use time::OffsetDateTime;

async fn refusal(store: &RedisFactors, acme: &TenantId, alice: &UserId) -> String {
    format!("{:?}", store.load(acme, alice).await.unwrap_err())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_keeps_nothing_is_refused_unless_that_is_accepted() {
    let Some(server) = server(&[]) else { return };
    let refused = options().initialise_if_empty().connect(server.url()).await;
    assert!(matches!(refused, Err(RedisError::NotDurable)), "{refused:?}");
    options()
        .initialise_if_empty()
        .accept_data_loss_on_restart()
        .connect(server.url())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_evicts_is_refused() {
    let Some(server) = server(&["--appendonly", "yes", "--maxmemory-policy", "allkeys-lru"]) else {
        return;
    };
    let refused = options().initialise_if_empty().connect(server.url()).await;
    assert!(matches!(refused, Err(RedisError::Evicts)), "{refused:?}");
}

/// An empty server is no store in which nobody uses the second factor: every call fails.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lost_everything_is_noticed_at_every_call() {
    let Some(server) = server(&["--appendonly", "yes"]) else { return };
    let refused = options().connect(server.url()).await;
    assert!(matches!(refused, Err(RedisError::Empty)), "{refused:?}");
    let store = options().initialise_if_empty().connect(server.url()).await.unwrap();
    let (acme, alice) = (TenantId::new("acme").unwrap(), UserId::new("alice").unwrap());
    assert_eq!(store.change_settings(&acme, None, &row(1)).await.unwrap(), CommitOutcome::Written);

    let mut client = client(&server).await;
    redis::cmd("FLUSHALL").exec_async(&mut client).await.unwrap();
    let none = ExpectedVersions { settings: None, record: None };
    assert_eq!(refusal(&store, &acme, &alice).await, "Empty");
    assert!(store.commit(&acme, &alice, &none, &row(2)).await.is_err());
    assert!(store.settings(&acme).await.is_err());
    assert!(store.change_settings(&acme, None, &row(2)).await.is_err());
    assert!(store.purge(&acme, Generation::new(9), 1).await.is_err());
    assert!(store.count(&acme, Generation::new(9)).await.is_err());
    assert!(store.remove(&acme, &alice).await.is_err());
    let account = Account::new("to", Limit::new(1, Duration::from_secs(60)));
    assert!(
        store.budget().charge(&[account], OffsetDateTime::UNIX_EPOCH).await.is_err(),
        "what was counted is gone"
    );
    assert!(store.remove_if(&acme, &alice, row(2).version).await.is_err());
    assert!(store.users(&acme, Generation::new(0), None, 1).await.is_err());
    assert!(store.load_many(&acme, std::slice::from_ref(&alice)).await.is_err());
    assert!(store.load_many(&acme, &[]).await.is_err());
    assert!(matches!(options().connect(server.url()).await, Err(RedisError::Empty)));
    let keys: u64 = redis::cmd("DBSIZE").query_async(&mut client).await.unwrap();
    assert_eq!(keys, 0);
}

/// A restart of a server that keeps neither an append-only file nor snapshots.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_with_nothing_kept_is_noticed() {
    let Some(mut server) = server(&[]) else { return };
    let options = || options().accept_data_loss_on_restart();
    let store = options().initialise_if_empty().connect(server.url()).await.unwrap();
    let (acme, alice) = ids();
    assert_eq!(store.change_settings(&acme, None, &row(1)).await.unwrap(), CommitOutcome::Written);
    server.stop().unwrap();
    server.start().unwrap();
    let started = Instant::now();
    // The first calls may meet the connection that is lost.
    while refusal(&store, &acme, &alice).await != "Empty" {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "{}",
            refusal(&store, &acme, &alice).await
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (others, writes) = every_call(&store).await;
    assert!(others.iter().chain(&writes).all(|said| said == "Empty"), "{others:?} {writes:?}");
    let refused = options().connect(server.url()).await;
    assert!(matches!(refused, Err(RedisError::Empty)), "{refused:?}");
}

/// An append-only file that is given up later is noticed at the next start, and not before, as the
/// README says.
#[tokio::test(flavor = "multi_thread")]
async fn an_append_only_file_that_is_given_up_is_noticed_at_the_next_start() {
    let Some(server) = server(&["--appendonly", "yes"]) else { return };
    let store = options().initialise_if_empty().connect(server.url()).await.unwrap();
    let mut client = client(&server).await;
    redis::cmd("CONFIG").arg(&["SET", "appendonly", "no"]).exec_async(&mut client).await.unwrap();
    let (acme, alice) = ids();
    assert!(store.load(&acme, &alice).await.is_ok());
    let refused = options().connect(server.url()).await;
    assert!(matches!(refused, Err(RedisError::NotDurable)), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_that_the_server_forgot_are_sent_again() {
    let Some(server) = server(&["--appendonly", "yes"]) else { return };
    let store = options().initialise_if_empty().connect(server.url()).await.unwrap();
    let (acme, alice) = (TenantId::new("acme").unwrap(), UserId::new("alice").unwrap());
    let mut client = client(&server).await;
    let mut before = None;
    for number in 1..5 {
        redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut client).await.unwrap();
        let expected = ExpectedVersions { settings: None, record: before };
        assert_eq!(
            store.commit(&acme, &alice, &expected, &row(number)).await.unwrap(),
            CommitOutcome::Written
        );
        before = Some(row(number).version);
    }
    assert_eq!(store.load(&acme, &alice).await.unwrap().record.unwrap(), row(4));
}

/// A server that takes a call and does not answer: the call ends with an error, since nobody knows
/// whether it was done, and the store works again when the server does. A server that never answers
/// is refused at the start.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_is_a_fault_in_time() {
    let Some(server) = server(&["--appendonly", "yes"]) else { return };
    let options = || {
        options().response_timeout(Duration::from_secs(10)).connect_timeout(Duration::from_secs(10))
    };
    let store = options().initialise_if_empty().connect(server.url()).await.unwrap();
    let (acme, alice) = (TenantId::new("acme").unwrap(), UserId::new("alice").unwrap());
    // It does not answer until both calls have ended.
    signal(&server, "-STOP");
    let none = ExpectedVersions { settings: None, record: None };
    assert!(in_time(refusal(&store, &acme, &alice)).await.starts_with("Unavailable"));
    assert!(in_time(store.commit(&acme, &alice, &none, &row(1))).await.is_err());
    signal(&server, "-CONT");
    let started = Instant::now();
    let found = loop {
        match store.load(&acme, &alice).await {
            Ok(snapshot) => break snapshot.record,
            Err(fault) => assert!(
                started.elapsed() < Duration::from_secs(60),
                "it does not come back: {fault:?}"
            ),
        }
    };
    // The commit without an answer was done or not, as a whole.
    assert!(found.is_none() || found == Some(row(1)), "{found:?}");

    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("redis://127.0.0.1:{}/", silent.local_addr().unwrap().port());
    assert!(in_time(options().connect(&url)).await.is_err());
}

fn signal(server: &Server, signal: &str) {
    let pid = std::fs::read_to_string(server.directory().join("pid")).unwrap();
    assert!(Command::new("kill").args([signal, pid.trim()]).status().unwrap().success());
}

/// What would never end by itself ends, however busy the machine is.
async fn in_time<T>(call: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), call).await.unwrap()
}

/// With `appendfsync always`, what was acknowledged survives SIGKILL in the middle of a storm of
/// writes.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_crashes() {
    let Some(mut server) = server(&["--appendonly", "yes", "--appendfsync", "always"]) else {
        return;
    };
    let store = options().initialise_if_empty().connect(server.url()).await.unwrap();
    let acme = TenantId::new("acme").unwrap();
    let mut acknowledged = [0_u8; 8];
    let total = Arc::new(AtomicU32::new(0));
    for crash in 1..=5 {
        let writers: Vec<_> = acknowledged
            .iter()
            .copied()
            .enumerate()
            .map(|(user, from)| {
                let (store, total) = (store.clone(), Arc::clone(&total));
                tokio::spawn(count_until_it_fails(store, acme.clone(), user, from, total))
            })
            .collect();
        let started = Instant::now();
        while total.load(Ordering::SeqCst) < crash * 16 {
            assert!(started.elapsed() < Duration::from_secs(60), "nothing is written");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        server.kill().unwrap();
        let mut reached = Vec::new();
        for user in writers {
            reached.push(user.await.unwrap());
        }
        server.start().unwrap();
        for (user, (kept, count)) in acknowledged.iter_mut().zip(reached).enumerate() {
            let found =
                patiently(&store, &acme, user).await.map_or(0, |row| row.version.as_bytes()[0]);
            assert!(
                found == count || found == count + 1,
                "{count} was acknowledged, and {found} was kept"
            );
            *kept = found;
        }
    }
}

/// Redis without an append-only file and with snapshots, as it is by default: what comes back is an
/// older store, and nothing fails.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_from_a_snapshot_is_an_older_store_and_nothing_fails() {
    let Some(mut server) = server(&["--save", "3600 1"]) else { return };
    let refused = options().initialise_if_empty().connect(server.url()).await;
    assert!(matches!(refused, Err(RedisError::NotDurable)), "{refused:?}");
    let store = options()
        .initialise_if_empty()
        .accept_data_loss_on_restart()
        .connect(server.url())
        .await
        .unwrap();
    let (acme, user) = (TenantId::new("acme").unwrap(), UserId::new("user-1").unwrap());
    let commit = async |settings, record, next| {
        store.commit(&acme, &user, &ExpectedVersions { settings, record }, &next).await.unwrap()
    };
    assert_eq!(commit(None, None, row(1)).await, CommitOutcome::Written);
    redis::cmd("SAVE").exec_async(&mut client(&server).await).await.unwrap();
    assert_eq!(commit(None, Some(row(1).version), row(2)).await, CommitOutcome::Written);
    assert_eq!(store.change_settings(&acme, None, &row(3)).await.unwrap(), CommitOutcome::Written);
    server.kill().unwrap();
    server.start().unwrap();
    assert_eq!(patiently(&store, &acme, 1).await, Some(row(1)), "what was used works again");
    assert_eq!(store.settings(&acme).await.unwrap(), None, "the second factor is off again");
    let again = options().accept_data_loss_on_restart().connect(server.url()).await.unwrap();
    assert_eq!(again.load(&acme, &user).await.unwrap().record, Some(row(1)));
}

/// A store of which a part is missing is never taken for one whose first start was interrupted. The
/// way out is the operator's.
#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_store_is_never_completed() {
    let Some(server) = server(&["--appendonly", "yes"]) else { return };
    let mut client = client(&server).await;
    options().initialise_if_empty().connect(server.url()).await.unwrap();
    let statistics: String =
        redis::cmd("INFO").arg("commandstats").query_async(&mut client).await.unwrap();
    assert!(
        statistics.contains("cmdstat_msetnx:calls=1,"),
        "the markers are made all at once: {statistics}"
    );
    assert!(
        !statistics.contains("cmdstat_setnx:") && !statistics.contains("cmdstat_set:"),
        "{statistics}"
    );

    redis::cmd("DEL").arg("countersign:{001}:m").exec_async(&mut client).await.unwrap();
    for options in [options(), options().initialise_if_empty()] {
        let refused = options.connect(server.url()).await;
        assert!(matches!(refused, Err(RedisError::Incomplete)), "{refused:?}");
    }
    let markers: Vec<String> =
        redis::cmd("KEYS").arg("countersign:*}:m").query_async(&mut client).await.unwrap();
    assert_eq!(markers.len(), 1_023);
    redis::cmd("DEL").arg(markers).exec_async(&mut client).await.unwrap();
    options().initialise_if_empty().connect(server.url()).await.unwrap();
}

/// A full server writes nothing and loses nothing. It still reads, and deletes, so that a sweep
/// makes room.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_writes_nothing_and_loses_nothing() {
    let Some(server) = server(&["--appendonly", "yes", "--maxmemory-policy", "noeviction"]) else {
        return;
    };
    let store = options().initialise_if_empty().connect(server.url()).await.unwrap();
    let (acme, alice) = ids();
    let bob = UserId::new("bob").unwrap();
    for user in [&alice, &bob] {
        let none = ExpectedVersions { settings: None, record: None };
        assert_eq!(
            store.commit(&acme, user, &none, &row(1)).await.unwrap(),
            CommitOutcome::Written
        );
    }
    let mut client = client(&server).await;
    redis::cmd("CONFIG").arg(&["SET", "maxmemory", "1"]).exec_async(&mut client).await.unwrap();
    let (others, writes) = every_call(&store).await;
    assert!(writes.iter().all(|said| said == "Full"), "{writes:?}");
    assert!(others.iter().all(|said| said == "Ok"), "{others:?}");
    assert!(store.remove(&acme, &bob).await.unwrap());
    assert_eq!(store.load(&acme, &alice).await.unwrap().record, Some(row(1)));
    redis::cmd("CONFIG").arg(&["SET", "maxmemory", "0"]).exec_async(&mut client).await.unwrap();
    let seen = ExpectedVersions { settings: None, record: Some(row(1).version) };
    assert_eq!(store.commit(&acme, &alice, &seen, &row(2)).await.unwrap(), CommitOutcome::Written);
}

/// A lock, a device, a tenant's settings and what a budget has counted do not go away by
/// themselves.
#[tokio::test(flavor = "multi_thread")]
async fn no_key_expires() {
    let Some(server) = server(&["--appendonly", "yes"]) else { return };
    let store = options().initialise_if_empty().connect(server.url()).await.unwrap();
    let (others, writes) = every_call(&store).await;
    assert!(others.iter().chain(&writes).all(|said| said == "Ok"), "{others:?} {writes:?}");
    every_call(&store).await;
    let mut client = client(&server).await;
    let (acme, alice) = ids();
    let expected = ExpectedVersions { settings: Some(row(1).version), record: None };
    assert_eq!(
        store.commit(&acme, &alice, &expected, &row(1)).await.unwrap(),
        CommitOutcome::Written
    );
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut client).await.unwrap();
    for part in ["}:m", "}:s:", "}:g:", "}:r:", "}:b:", "}:bl"] {
        assert!(keys.iter().any(|key| key.contains(part)), "{part} was never written");
    }
    for key in keys {
        let left: i64 = redis::cmd("PTTL").arg(&key).query_async(&mut client).await.unwrap();
        assert_eq!(left, -1, "{key}");
    }
}

async fn count_until_it_fails(
    store: RedisFactors,
    acme: TenantId,
    user: usize,
    from: u8,
    total: Arc<AtomicU32>,
) -> u8 {
    let user = UserId::new(&format!("user-{user}")).unwrap();
    let mut reached = from;
    while reached < 250 {
        let record = (reached > 0).then(|| row(reached).version);
        match store
            .commit(&acme, &user, &ExpectedVersions { settings: None, record }, &row(reached + 1))
            .await
        {
            Ok(CommitOutcome::Written) => {
                reached += 1;
                total.fetch_add(1, Ordering::SeqCst);
            }
            Ok(CommitOutcome::Conflict) => panic!("nobody else writes"),
            Err(_) => break,
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    reached
}

async fn patiently(store: &RedisFactors, acme: &TenantId, user: usize) -> Option<StoredRow> {
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
