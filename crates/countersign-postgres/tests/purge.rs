//! What a purge reads.
#![allow(clippy::arithmetic_side_effects, clippy::panic, clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use countersign::{FactorStore, Generation, TenantId};
use countersign_postgres::PostgresFactors;
use support::{connect, server};

const RECORDS: i64 = 20_000;

/// While some transaction may still see what was deleted, as a backup or a long report does, the server keeps it: a purge passes over it once and
/// not once for each slice.
#[tokio::test(flavor = "multi_thread")]
async fn a_purge_reads_each_record_once_while_an_old_snapshot_is_open() {
    let Some(server) = server(&["autovacuum=off"]) else { return };
    let store = PostgresFactors::options().connections(1).connect(server.url()).await.unwrap();
    let fill = format!(
        "INSERT INTO countersign.records SELECT 'acme', 'user-' || n, '\\x{version}', n % 2, '{{}}'
        FROM generate_series(1, {RECORDS}) AS n; ANALYZE countersign.records",
        version = "00".repeat(16),
    );
    connect(server.url()).await.unwrap().batch_execute(&fill).await.unwrap();
    let report = connect(server.url()).await.unwrap();
    report
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM countersign.records LIMIT 1")
        .await
        .unwrap();

    let acme = TenantId::new("acme").unwrap();
    assert_eq!(store.purge(&acme, Generation::new(2), 1_000_000).await.unwrap(), u64::try_from(RECORDS).unwrap());
    assert_eq!(store.count(&acme, Generation::new(2)).await.unwrap(), 0);
    // A session tells what it read when it ends.
    drop(store);
    let read = read_by_generation(server.url()).await;
    assert!((RECORDS..RECORDS * 3 / 2).contains(&read), "{read} entries of the index for {RECORDS} records");
    report.batch_execute("COMMIT").await.unwrap();
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
