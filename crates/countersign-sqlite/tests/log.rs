//! How large the write-ahead log gets.
#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use countersign::store::CommitOutcome;
use countersign_sqlite::{Durability, SqliteFactors};
use rusqlite::Connection;
use support::add;

const MEGABYTE: u64 = 1024 * 1024;

fn log(path: &Path) -> u64 {
    path.with_extension("db-wal").metadata().unwrap().len()
}

async fn open(path: &Path) -> SqliteFactors {
    let options = SqliteFactors::options().durability(Durability::ProcessCrash);
    options.busy_timeout(Duration::from_secs(600)).open(path).await.unwrap()
}

/// SQLite keeps in the log what a reader's transaction may still look at. When the reader is gone
/// the log is emptied and shrinks.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_grew_behind_a_reader_shrinks_when_the_reader_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("countersign.db");
    let store = open(&path).await;
    let application = Connection::open(&path).unwrap();
    application.execute_batch("BEGIN").unwrap();
    let _rows: i64 = application
        .query_row("SELECT count(*) FROM countersign_records", [], |row| row.get(0))
        .unwrap();
    let mut number = 0;
    while log(&path) < 40 * MEGABYTE {
        assert_eq!(add(&store, number, 30_000).await.unwrap(), CommitOutcome::Written);
        number += 1;
    }
    application.execute_batch("COMMIT").unwrap();
    // Every 200 writes it is looked at, by a thread that may have to wait for the disk.
    let started = Instant::now();
    while log(&path) > 16 * MEGABYTE {
        assert!(
            started.elapsed() < Duration::from_secs(120),
            "the log is still {} bytes long",
            log(&path)
        );
        assert_eq!(add(&store, number, 10).await.unwrap(), CommitOutcome::Written);
        number += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Handles that write without a pause leave no moment at which all of the log is copied. It is
/// emptied all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_does_not_grow_for_ever_behind_writers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("countersign.db");
    let done = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for writer in 0..4 {
        let (store, done) = (open(&path).await, Arc::clone(&done));
        writers.push(tokio::spawn(async move {
            let mut number = 0;
            while !done.load(Ordering::SeqCst) && number < 8_000 {
                assert_eq!(
                    add(&store, writer * 100_000 + number, 30_000).await.unwrap(),
                    CommitOutcome::Written
                );
                number += 1;
            }
            number
        }));
    }
    let (mut largest, mut shrank) = (0, 0);
    while shrank < 1 && !writers.iter().all(tokio::task::JoinHandle::is_finished) {
        let now = log(&path);
        if now < largest / 2 {
            shrank += 1;
            println!("shrank from {} MB to {} kB", largest / MEGABYTE, now / 1024);
            largest = 0;
        }
        largest = largest.max(now);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    done.store(true, Ordering::SeqCst);
    let mut written = 0;
    for writer in writers {
        written += writer.await.unwrap();
    }
    assert_eq!(
        shrank,
        1,
        "{written} writes of 30 kB, and the log is {} MB long",
        largest / MEGABYTE
    );
}
