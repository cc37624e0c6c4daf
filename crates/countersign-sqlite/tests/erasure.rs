//! What is left of a record in the bytes of the files once it is purged.
#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;

use countersign::store::{
    CommitOutcome, ExpectedVersions, FactorStore, Generation, StoredRow, Version,
};
use countersign::{TenantId, UserId};
use countersign_sqlite::SqliteFactors;
use rusqlite::Connection;

/// In how many places the marker stands, in the file and in its log.
fn traces(path: &Path) -> [usize; 2] {
    ["", "-wal"].map(|ending| {
        let bytes = std::fs::read(format!("{}{ending}", path.display())).unwrap_or_default();
        bytes.windows(9).filter(|bytes| bytes == b"TELL-TALE").count()
    })
}

/// The store's own checkpoints may be at work.
fn checkpoint(path: &Path) {
    let connection = Connection::open(path).unwrap();
    let emptied = (0..2_000).any(|_| {
        std::thread::sleep(Duration::from_millis(5));
        let busy: i64 =
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap();
        busy == 0
    });
    assert!(emptied);
}

#[tokio::test]
async fn nothing_is_left_of_purged_records_once_the_log_is_emptied() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("countersign.db");
    let store = SqliteFactors::open(&path).await.unwrap();
    let acme = TenantId::new("acme").unwrap();
    for number in 0..300_u32 {
        // Some fill a page of their own, and some share one.
        let document =
            format!("\"TELL-TALE{}\"", "x".repeat(usize::try_from(number * 37 % 5_000).unwrap()));
        let version = Version::from_bytes([7; 16]);
        let next = StoredRow { version, generation: Generation::new(0), document };
        let user = UserId::new(&format!("TELL-TALE-{number}")).unwrap();
        let nothing = ExpectedVersions { settings: None, record: None };
        assert_eq!(
            store.commit(&acme, &user, &nothing, &next).await.unwrap(),
            CommitOutcome::Written
        );
    }
    checkpoint(&path);
    let [in_file, in_log] = traces(&path);
    assert!(in_file >= 600 && in_log == 0, "{in_file} {in_log}");

    assert_eq!(store.purge(&acme, Generation::new(1), 1_000).await.unwrap(), 300);
    checkpoint(&path);
    assert_eq!(traces(&path), [0, 0]);
    assert!(store.users(&acme, Generation::new(0), None, 10).await.unwrap().is_empty());
}
