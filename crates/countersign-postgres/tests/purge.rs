//! What a purge reads, and what it leaves to others.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod support;

use std::time::{Duration, Instant};

use countersign::TenantId;
use countersign::store::{FactorStore, Generation};
use support::{connect, server};

const RECORDS: i64 = 20_000;

fn fill(records: i64) -> String {
    let version = "00".repeat(16);
    format!(
        "INSERT INTO countersign.records SELECT 'acme', 'user-' || n, '\\x{version}', n % 2, '{{}}'
        FROM generate_series(1, {records}) AS n; ANALYZE countersign.records"
    )
}

/// While some transaction may still see what was deleted, as a backup or a long report does, the
/// server keeps it: a purge passes over it twice and not once for each slice.
#[tokio::test(flavor = "multi_thread")]
async fn a_purge_reads_each_record_twice_while_an_old_snapshot_is_open() {
    let Some(server) = server(&["autovacuum=off"]) else { return };
    let store = support::options().connections(1).connect(server.url()).await.unwrap();
    connect(server.url()).await.unwrap().batch_execute(&fill(RECORDS)).await.unwrap();
    let report = connect(server.url()).await.unwrap();
    report
        .batch_execute(
            "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM countersign.records LIMIT 1",
        )
        .await
        .unwrap();

    let acme = TenantId::new("acme").unwrap();
    assert_eq!(
        store.purge(&acme, Generation::new(2), 1_000_000).await.unwrap(),
        u64::try_from(RECORDS).unwrap()
    );
    // A session tells what it read when it ends.
    drop(store);
    let read = read_by_generation(server.url()).await;
    // Once to delete them, and once to find that none is left.
    assert!(
        (RECORDS..RECORDS * 5 / 2).contains(&read),
        "{read} entries of the index for {RECORDS} records"
    );
    report.batch_execute("COMMIT").await.unwrap();
}

/// I-27: a purge is cut into statements of 250 records, so that whoever waits for one waits for no
/// more, and after each it rests for as long as the server was busy with it, up to 50 ms.
#[tokio::test(flavor = "multi_thread")]
async fn a_purge_leaves_half_of_the_time_to_others() {
    let Some(server) = server(&["log_min_duration_statement=0", "log_line_prefix=logged "]) else {
        return;
    };
    let store = support::options().connections(1).connect(server.url()).await.unwrap();
    let client = connect(server.url()).await.unwrap();
    client.batch_execute(&fill(2_100)).await.unwrap();
    // As on a slow disk.
    let slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.03); RETURN NULL; END $$;
        CREATE TRIGGER slow BEFORE DELETE ON countersign.records EXECUTE FUNCTION slow()";
    client.batch_execute(slow).await.unwrap();
    let acme = TenantId::new("acme").unwrap();
    let log = || std::fs::read_to_string(server.directory().join("log")).unwrap();
    let (before, started) = (log().len(), Instant::now());
    assert_eq!(store.purge(&acme, Generation::new(2), 2_000).await.unwrap(), 2_000);
    let (took, log) = (started.elapsed().as_secs_f64() * 1_000.0, log());
    let mut busy: Vec<f64> = Vec::new();
    for entry in log[before..].split("logged LOG:  duration: ").skip(1) {
        let (time, what) = entry.split_once(" ms").unwrap();
        if what.trim_start().starts_with("execute") && what.contains("FOR UPDATE") {
            busy.push(time.parse().unwrap());
        }
    }
    assert_eq!(busy.len(), 8, "{log}");
    let rests: f64 = busy[..7].iter().map(|time| time.min(50.0)).sum();
    let statements: f64 = busy.iter().sum();
    assert!(took >= statements + rests, "{took} ms for {busy:?}");
    assert_eq!(store.count(&acme, Generation::new(2)).await.unwrap(), 100);
}

/// I-27: a record that is written meanwhile, under a generation that goes too, does not make a
/// purge go past others: it says that it is at the end where it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_purge_goes_past_nothing() {
    let Some(server) = server(&[]) else { return };
    let store = support::options().connections(1).connect(server.url()).await.unwrap();
    let (host, watch) =
        (connect(server.url()).await.unwrap(), connect(server.url()).await.unwrap());
    host.batch_execute(&fill(1_000)).await.unwrap();
    host.batch_execute("UPDATE countersign.records SET generation = 0").await.unwrap();
    let later = "BEGIN; UPDATE countersign.records SET generation = 1 WHERE \"user\" = 'user-1'";
    host.batch_execute(later).await.unwrap();
    let acme = TenantId::new("acme").unwrap();
    let purge =
        tokio::spawn(async move { store.purge(&acme, Generation::new(2), 5_000).await.unwrap() });
    let waits = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    while watch.query(waits, &[]).await.unwrap().is_empty() {
        assert!(!purge.is_finished(), "nothing was waited for");
        tokio::task::yield_now().await;
    }
    host.batch_execute("COMMIT").await.unwrap();
    assert_eq!(purge.await.unwrap(), 1_000);
}

async fn read_by_generation(url: &str) -> i64 {
    let started = Instant::now();
    let observer = connect(url).await.unwrap();
    let sessions = "SELECT FROM pg_stat_activity WHERE application_name = 'countersign'";
    while !observer.query(sessions, &[]).await.unwrap().is_empty() {
        assert!(started.elapsed() < Duration::from_secs(30), "the session does not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let read = "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'records_by_generation'";
    observer.query_one(read, &[]).await.unwrap().get(0)
}
