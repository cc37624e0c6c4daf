//! Files that are damaged, full, read-only, of another version, or locked.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use countersign::budget::{Account, Charged, Limit, SendBudget};
use countersign::store::{
    CommitOutcome, ExpectedVersions, FactorStore, Generation, StoredRow, Version,
};
use countersign::{TenantId, UserId};
use countersign_sqlite::{SqliteError, SqliteFactors};
use rusqlite::Connection;
use time::OffsetDateTime;

fn row(number: u32, size: usize) -> StoredRow {
    let mut version = [0; 16];
    version[..4].copy_from_slice(&number.to_be_bytes());
    let document = format!("\"{}\"", "x".repeat(size));
    StoredRow { version: Version::from_bytes(version), generation: Generation::new(0), document }
}

fn acme() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn user(number: u32) -> UserId {
    UserId::new(&format!("user-{number}")).unwrap()
}

async fn add(
    store: &SqliteFactors,
    number: u32,
    size: usize,
) -> Result<CommitOutcome, countersign::error::PluginError> {
    store
        .commit(
            &acme(),
            &user(number),
            &ExpectedVersions { settings: None, record: None },
            &row(number, size),
        )
        .await
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes.txt");
    std::fs::write(&path, "this is no database, whatever it is called\n".repeat(100)).unwrap();
    let refused = SqliteFactors::open(&path).await;
    assert!(matches!(refused, Err(SqliteError::Damaged)), "{refused:?}");
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("this is no database"));
}

#[tokio::test]
async fn a_damaged_file_is_a_fault_and_no_empty_store() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("countersign.db");
    let store = SqliteFactors::open(&path).await.unwrap();
    for number in 0..200 {
        assert_eq!(add(&store, number, 600).await.unwrap(), CommitOutcome::Written);
    }
    store.close().await;
    assert!(add(&store, 200, 600).await.is_err(), "a closed store takes no writes");
    checkpoint(&path);
    let whole = std::fs::read(&path).unwrap();
    let mut damaged = whole.clone();
    damaged[8 * 4096..].fill(0x5a);
    std::fs::write(&path, damaged).unwrap();
    let store = SqliteFactors::open(&path).await.unwrap();
    let mut faults = 0;
    for number in 0..200 {
        match store.load(&acme(), &user(number)).await {
            Ok(snapshot) => assert_eq!(
                snapshot.record.unwrap(),
                row(number, 600),
                "{number} is taken for another"
            ),
            Err(fault) => {
                assert_eq!(format!("{fault:?}"), "Damaged");
                faults += 1;
            }
        }
    }
    assert!(faults > 0, "damage was not noticed");
    store.close().await;
    // Behind the header of the file there is what tells of its tables.
    let mut damaged = whole;
    damaged[100..4096].fill(0x5a);
    std::fs::write(&path, damaged).unwrap();
    let refused = SqliteFactors::open(&path).await;
    assert!(matches!(refused, Err(SqliteError::Damaged)), "{refused:?}");
}

fn checkpoint(path: &Path) {
    let connection = Connection::open(path).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
}

#[tokio::test]
async fn tables_of_a_later_version_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("countersign.db");
    drop(SqliteFactors::open(&path).await.unwrap());
    Connection::open(&path)
        .unwrap()
        .execute_batch("UPDATE countersign_schema SET version = 3")
        .unwrap();
    let refused = SqliteFactors::open(&path).await;
    assert!(
        matches!(refused, Err(SqliteError::NewerSchema { found: 3, readable: 2 })),
        "{refused:?}"
    );
}

/// The tables of the first version get the one of the budget, and keep what is in them.
#[tokio::test]
async fn tables_of_an_earlier_version_are_migrated() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("countersign.db");
    drop(SqliteFactors::open(&path).await.unwrap());
    let earlier = "DROP TABLE countersign_charges; UPDATE countersign_schema SET version = 1;
        INSERT INTO countersign_settings VALUES ('acme', zeroblob(16), 3, '{}')";
    Connection::open(&path).unwrap().execute_batch(earlier).unwrap();
    let store = SqliteFactors::open(&path).await.unwrap();
    let kept = store.settings(&TenantId::new("acme").unwrap()).await.unwrap().unwrap();
    assert_eq!(kept.generation.number(), 3);
    let account = Account::new("to", Limit::new(1, Duration::from_secs(60)));
    let charged = store.budget().charge(&[account], OffsetDateTime::UNIX_EPOCH).await.unwrap();
    assert_eq!(charged, Charged::Yes);
}

#[tokio::test]
async fn a_missing_file_is_made_only_if_that_is_wanted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("countersign.db");
    let refused = SqliteFactors::options().create_if_missing(false).open(&path).await;
    assert!(matches!(refused, Err(SqliteError::Missing)), "{refused:?}");
    assert!(!path.exists());
    drop(SqliteFactors::open(&path).await.unwrap());
    SqliteFactors::options().create_if_missing(false).open(&path).await.unwrap();
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_has_an_error_with_a_name() {
    let directory = tempfile::tempdir().unwrap();
    for path in [directory.path().join("missing/countersign.db"), directory.path().to_owned()] {
        let refused = SqliteFactors::open(&path).await;
        assert!(matches!(refused, Err(SqliteError::CannotOpen)), "{}: {refused:?}", path.display());
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    let refused = SqliteFactors::options()
        .create_if_missing(false)
        .open(directory.path().join("missing/a.db"))
        .await;
    assert!(matches!(refused, Err(SqliteError::Missing)), "{refused:?}");
}

#[tokio::test]
async fn prefixes_keep_stores_in_one_file_apart_and_are_checked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.db");
    let first = SqliteFactors::options().table_prefix("a_").open(&path).await.unwrap();
    let second = SqliteFactors::options().table_prefix("b_").open(&path).await.unwrap();
    assert_eq!(add(&first, 1, 10).await.unwrap(), CommitOutcome::Written);
    assert!(second.load(&acme(), &user(1)).await.unwrap().record.is_none());
    for prefix in ["1a", "a-b", "a b", "a;DROP TABLE x", "sqlite_", "ä"] {
        let refused = SqliteFactors::options().table_prefix(prefix).open(&path).await;
        assert!(matches!(refused, Err(SqliteError::BadPrefix)), "{prefix:?}: {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_of_another_process_is_waited_for_and_then_a_fault() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("countersign.db");
    let store = SqliteFactors::options()
        .busy_timeout(Duration::from_millis(200))
        .open(&path)
        .await
        .unwrap();
    let host = Connection::open(&path).unwrap();
    host.execute_batch("BEGIN IMMEDIATE").unwrap();
    let started = Instant::now();
    // The lock is held until it has ended.
    let refused = add(&store, 1, 10).await.unwrap_err();
    assert!(format!("{refused:?}").contains("Busy"), "{refused:?}");
    assert!(started.elapsed() >= Duration::from_millis(200));
    // Reading goes on.
    assert!(store.load(&acme(), &user(1)).await.unwrap().record.is_none());
    let patient =
        SqliteFactors::options().busy_timeout(Duration::from_secs(600)).open(&path).await.unwrap();
    let waiting = tokio::spawn(async move { add(&patient, 1, 10).await.unwrap() });
    tokio::time::sleep(Duration::from_millis(50)).await;
    host.execute_batch("ROLLBACK").unwrap();
    assert_eq!(waiting.await.unwrap(), CommitOutcome::Written);
}

#[tokio::test]
async fn a_read_only_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("countersign.db");
    SqliteFactors::open(&path).await.unwrap().close().await;
    checkpoint(&path);
    if let Ok(readable) = std::env::var("COUNTERSIGN_TEST_READ_ONLY") {
        for name in ["countersign.db", "writable.db"] {
            let refused = SqliteFactors::open(Path::new(&readable).join(name)).await;
            assert!(matches!(refused, Err(SqliteError::ReadOnly)), "{name}: {refused:?}");
        }
        let refused = SqliteFactors::open(Path::new(&readable).join("new.db")).await;
        assert!(matches!(refused, Err(SqliteError::CannotOpen)), "{refused:?}");
        println!("REFUSED");
        return;
    }
    // Root may write everything, so it has to become somebody else for this.
    let root = Command::new("id").arg("-u").output().unwrap().stdout.trim_ascii() == b"0";
    let test = std::env::current_exe().unwrap();
    let readable = tempfile::tempdir().unwrap();
    for (from, to) in [(&test, "test"), (&path, "countersign.db"), (&path, "writable.db")] {
        std::fs::copy(from, readable.path().join(to)).unwrap();
    }
    assert!(
        Command::new("chmod")
            .args(["-R", "a+rX,a-w"])
            .arg(readable.path())
            .status()
            .unwrap()
            .success()
    );
    let writable = readable.path().join("writable.db");
    assert!(Command::new("chmod").arg("a+rw").arg(&writable).status().unwrap().success());
    let test = readable.path().join("test");
    let mut again = if root { Command::new("setpriv") } else { Command::new(&test) };
    if root {
        again.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&test);
    }
    again.args(["--exact", "a_read_only_directory_is_refused", "--nocapture"]).stdin(Stdio::null());
    let output = again.env("COUNTERSIGN_TEST_READ_ONLY", readable.path()).output().unwrap();
    let printed = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        Command::new("chmod").args(["-R", "u+w"]).arg(readable.path()).status().unwrap().success()
    );
    assert!(printed.contains("REFUSED"), "{printed}");
}

/// A disk that is full refuses writes, keeps what it has, and takes writes again when there is
/// room. The limit on the size of a file stands in for the disk: it needs no right to make one.
/// Writes that arrive one by one find out at their own statement, those that are written together
/// when they are committed: then each of them is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_a_fault_and_loses_nothing() {
    if let (Ok(path), Ok(writers)) =
        (std::env::var("COUNTERSIGN_TEST_FULL"), std::env::var("COUNTERSIGN_TEST_WRITERS"))
    {
        return fill_the_disk(&path, writers.parse().unwrap()).await;
    }
    for writers in [1, 40] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("countersign.db");
        let script = "trap '' XFSZ; ulimit -f 2000; exec \"$0\" --exact a_full_disk_is_a_fault_and_loses_nothing --nocapture";
        let mut again = Command::new("sh");
        again.args(["-c", script]).arg(std::env::current_exe().unwrap()).stdin(Stdio::null());
        again
            .env("COUNTERSIGN_TEST_FULL", &path)
            .env("COUNTERSIGN_TEST_WRITERS", writers.to_string());
        let output = again.output().unwrap();
        let printed = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        let acknowledged =
            printed.split_once("ACKNOWLEDGED ").and_then(|(_, rest)| rest.split_once('.'));
        let acknowledged = acknowledged.unwrap_or_else(|| panic!("{printed}")).0;
        let acknowledged: Vec<u32> =
            acknowledged.split(' ').map(|number| number.parse().unwrap()).collect();
        assert!(acknowledged.len() > 20, "{acknowledged:?}");
        let store = SqliteFactors::open(&path).await.unwrap();
        assert_eq!(
            store.count(&acme(), Generation::new(1)).await.unwrap(),
            acknowledged.len() as u64,
            "{writers}"
        );
        for number in acknowledged {
            assert_eq!(
                store.load(&acme(), &user(number)).await.unwrap().record.unwrap(),
                row(number, 3_000)
            );
        }
        assert_eq!(add(&store, 1_000_000, 3_000).await.unwrap(), CommitOutcome::Written);
    }
}

async fn fill_the_disk(path: &str, writers: u32) {
    let store = SqliteFactors::open(path).await.unwrap();
    let writing: Vec<_> = (0..writers)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut written = Vec::new();
                for number in (0..10_000).map(|number| writer * 10_000 + number) {
                    match add(&store, number, 3_000).await {
                        Ok(CommitOutcome::Written) => written.push(number),
                        Ok(CommitOutcome::Conflict) => panic!("nobody else writes"),
                        Err(refused) => {
                            assert_eq!(format!("{refused:?}"), "Full");
                            return (written, number);
                        }
                    }
                }
                panic!("the limit does not bite");
            })
        })
        .collect();
    let (mut acknowledged, mut refused) = (Vec::new(), Vec::new());
    for writer in writing {
        let (written, last) = writer.await.unwrap();
        acknowledged.extend(written);
        refused.push(last);
    }
    // What was acknowledged can be read by the same store, and what was refused is not there.
    for number in &acknowledged {
        assert!(
            store.load(&acme(), &user(*number)).await.unwrap().record.is_some(),
            "{number} was acknowledged"
        );
    }
    for number in &refused {
        assert!(
            store.load(&acme(), &user(*number)).await.unwrap().record.is_none(),
            "{number} was refused"
        );
    }
    // It is the log that can't grow. Emptied, it has room again.
    checkpoint(Path::new(path));
    assert_eq!(add(&store, refused[0], 3_000).await.unwrap(), CommitOutcome::Written);
    acknowledged.push(refused[0]);
    println!(
        "ACKNOWLEDGED {}.",
        acknowledged.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")
    );
}
