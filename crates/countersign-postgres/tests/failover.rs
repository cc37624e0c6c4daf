//! The primary is lost in the middle of a storm of writes, and its standby takes its place.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

mod support;

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};

use countersign::store::{CommitOutcome, ExpectedVersions, FactorStore};
use countersign::{TenantId, UserId};
use countersign_postgres::{PostgresError, PostgresFactors};
use countersign_testkit::skip;
use support::standby::Standby;
use support::{connect, number, row, server};
use test_servers::servers::Server;

/// How many records are written, each by a task of its own.
const WRITERS: usize = 6;

/// How often each is written at least before the failover, and after it.
const WRITES: u32 = 20;

const WAITING_FOR_THE_STANDBY: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";

async fn replicated() -> Option<(Server, Standby)> {
    let primary = server(&["synchronous_standby_names=*", "synchronous_commit=on"])?;
    let Some(standby) = Standby::of(&primary).await else {
        skip("not all programs of PostgreSQL are installed: no standby").unwrap();
        return None;
    };
    Some((primary, standby))
}

/// The address of both, in this order. That a server must take writes is not in it: the store asks
/// for that itself.
fn both(first: u16, second: u16) -> String {
    format!("host=127.0.0.1,127.0.0.1 port={first},{second} user=countersign dbname=postgres")
}

/// What one writer knows.
struct Progress {
    acknowledged: [AtomicU32; WRITERS],
    over: AtomicBool,
}

impl Progress {
    fn numbers(&self) -> [u32; WRITERS] {
        std::array::from_fn(|writer| self.acknowledged[writer].load(SeqCst))
    }

    /// Waits until each writer is that far.
    async fn reaches(&self, far: [u32; WRITERS]) {
        let started = Instant::now();
        while !self.numbers().iter().zip(far).all(|(number, far)| *number >= far) {
            assert!(
                started.elapsed() < Duration::from_secs(40),
                "{:?}, and {far:?} is wanted",
                self.numbers()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn user(writer: usize) -> UserId {
    UserId::new(&format!("user-{writer}")).unwrap()
}

/// Counts up the number of one record, which nobody else writes. After each failure it reads where
/// it is: never behind what was acknowledged.
async fn count_up(store: PostgresFactors, acme: TenantId, writer: usize, progress: Arc<Progress>) {
    let (user, mut reached) = (user(writer), 0);
    while !progress.over.load(SeqCst) {
        let record = (reached > 0).then(|| row(reached).version);
        let answer = store
            .commit(&acme, &user, &ExpectedVersions { settings: None, record }, &row(reached + 1))
            .await;
        if matches!(answer, Ok(CommitOutcome::Written)) {
            reached += 1;
            progress.acknowledged[writer].store(reached, SeqCst);
            continue;
        }
        // What was under way may have been written, and also later than it was given up.
        let Ok(found) = store.load(&acme, &user).await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let found = found.record.as_ref().map_or(0, number);
        assert!(found >= reached, "{reached} was acknowledged, and {found} is there");
        reached = found;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_a_failover_to_a_synchronous_standby() {
    let Some((mut primary, standby)) = replicated().await else { return };
    let options = || support::options().connections(4).connect_timeout(Duration::from_secs(20));
    let store = options().connect(&both(primary.port(), standby.port())).await.unwrap();
    let acme = TenantId::new("acme").unwrap();
    let progress =
        Arc::new(Progress { acknowledged: Default::default(), over: AtomicBool::new(false) });
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(count_up(store.clone(), acme.clone(), writer, progress.clone())))
        .collect();
    progress.reaches([WRITES; WRITERS]).await;

    let watch = connect(primary.url()).await.unwrap();
    // For a moment the standby receives nothing, so that whatever is acknowledged without it would
    // be lost.
    let receiver = standby.receiver().await.to_string();
    let signal = |signal: &str| {
        assert!(Command::new("kill").args([signal, &receiver]).status().unwrap().success());
    };
    signal("-STOP");
    // Until a commit is written on the primary and waits for the standby.
    while watch.query_one(WAITING_FOR_THE_STANDBY, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    primary.kill().unwrap();
    // Ended before it reads what the primary had sent to it.
    signal("-TERM");
    signal("-CONT");
    let before = progress.numbers();
    standby.promote();
    progress.reaches(before.map(|number| number + WRITES)).await;
    progress.over.store(true, SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }

    // Asked of the new primary itself: it took the writes, and has them all.
    let client = connect(&standby.url()).await.unwrap();
    assert!(!client.query_one("SELECT pg_is_in_recovery()", &[]).await.unwrap().get::<_, bool>(0));
    for (writer, acknowledged) in progress.numbers().into_iter().enumerate() {
        let kept =
            "SELECT version FROM countersign.records WHERE tenant = 'acme' AND \"user\" = $1";
        let kept: Vec<u8> = client.query_one(kept, &[&user(writer).as_str()]).await.unwrap().get(0);
        assert!(
            kept[..4] >= acknowledged.to_be_bytes()[..],
            "{acknowledged} was acknowledged, and {kept:?} is kept"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_never_used() {
    let Some((primary, standby)) = replicated().await else { return };
    let only = PostgresFactors::connect(&standby.url()).await;
    assert!(matches!(only, Err(PostgresError::Standby)), "{only:?}");
    // Named first, it is passed over.
    let store = PostgresFactors::connect(&both(standby.port(), primary.port())).await.unwrap();
    let (acme, alice) = (TenantId::new("acme").unwrap(), UserId::new("alice").unwrap());
    let none = ExpectedVersions { settings: None, record: None };
    assert_eq!(store.commit(&acme, &alice, &none, &row(1)).await.unwrap(), CommitOutcome::Written);
    assert_eq!(store.load(&acme, &alice).await.unwrap().record, Some(row(1)));
    // The tables are on the standby too, so that nothing but its state stands in the way.
    let only = PostgresFactors::connect(&standby.url()).await;
    assert!(matches!(only, Err(PostgresError::Standby)), "{only:?}");
}
