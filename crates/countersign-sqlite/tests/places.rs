//! Whose file it is: files that are not the store's, and files that go away while they are open.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod support;

use std::path::{Path, PathBuf};

use countersign::store::{CommitOutcome, FactorStore};
use countersign_sqlite::{SqliteError, SqliteFactors, SqliteOptions};
use rusqlite::Connection;
use support::{acme, add, row, user};
use tempfile::TempDir;

fn file() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("countersign.db");
    (directory, path)
}

fn existing() -> SqliteOptions {
    SqliteFactors::options().create_if_missing(false)
}

/// The table that a refusal names.
fn missing(refused: Result<SqliteFactors, SqliteError>) -> String {
    match refused {
        Err(SqliteError::MissingTable { table }) => table,
        other => panic!("{other:?}"),
    }
}

fn names(directory: &TempDir) -> Vec<String> {
    let entries = std::fs::read_dir(directory.path()).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

/// A tenant that uses the second factor would be one that does not, in a store that is made by
/// mistake.
#[tokio::test]
async fn an_empty_file_is_no_store_where_none_may_be_made() {
    let (directory, path) = file();
    std::fs::write(&path, "").unwrap();
    assert_eq!(missing(existing().open(&path).await), "countersign_schema");
    assert_eq!(std::fs::read(&path).unwrap(), b"");
    assert_eq!(names(&directory), ["countersign.db"]);
}

/// Neither its tables nor its journal mode are changed, to the byte.
#[tokio::test]
async fn a_file_of_another_application_is_left_as_it_is_where_none_may_be_made() {
    let (directory, path) = file();
    let application = Connection::open(&path).unwrap();
    application
        .execute_batch("CREATE TABLE people (name); INSERT INTO people VALUES ('alice')")
        .unwrap();
    drop(application);
    let before = std::fs::read(&path).unwrap();
    assert_eq!(missing(existing().open(&path).await), "countersign_schema");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(names(&directory), ["countersign.db"]);
}

#[tokio::test]
async fn a_mistyped_prefix_is_no_new_store_where_none_may_be_made() {
    let (_directory, path) = file();
    let store = SqliteFactors::options().table_prefix("two_factor_").open(&path).await.unwrap();
    assert_eq!(
        store.change_settings(&acme(), None, &row(1, 1)).await.unwrap(),
        CommitOutcome::Written
    );
    let tables = || -> i64 {
        let connection = Connection::open(&path).unwrap();
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap()
    };
    let before = tables();
    for prefix in ["two_facter_", "two_factor", "", "countersign_"] {
        let refused = existing().table_prefix(prefix).open(&path).await;
        assert_eq!(missing(refused), format!("{prefix}schema"));
    }
    assert_eq!(tables(), before);
    // As SQLite takes the names of tables, these are the same.
    let same = existing().table_prefix("TWO_FACTOR_").open(&path).await.unwrap();
    assert_eq!(same.settings(&acme()).await.unwrap(), Some(row(1, 1)));
}

/// A store that has lost a table is not completed, whatever the options: what is gone may be what
/// says who uses the second factor.
#[tokio::test]
async fn a_table_that_is_gone_is_never_made_again() {
    for table in ["settings", "records", "charges"] {
        let (_directory, path) = file();
        SqliteFactors::open(&path).await.unwrap().close().await;
        let table = format!("countersign_{table}");
        Connection::open(&path).unwrap().execute_batch(&format!("DROP TABLE {table}")).unwrap();
        for options in [existing(), SqliteFactors::options()] {
            assert_eq!(missing(options.open(&path).await), table);
        }
    }
    // Nor are those of an earlier version, of which one is made when it is migrated.
    let (_directory, path) = file();
    SqliteFactors::open(&path).await.unwrap().close().await;
    let earlier = "DROP TABLE countersign_charges; DROP TABLE countersign_settings; UPDATE countersign_schema SET version = 1";
    Connection::open(&path).unwrap().execute_batch(earlier).unwrap();
    for options in [existing(), SqliteFactors::options()] {
        assert_eq!(missing(options.open(&path).await), "countersign_settings");
    }
}

/// SQLite has names that mean no file. A store under one of them would be forgotten, or be
/// elsewhere.
#[tokio::test]
async fn names_that_mean_no_file_are_refused() {
    for name in [":memory:", "file:countersign.db", "file::memory:?cache=shared"] {
        let refused = SqliteFactors::open(name).await;
        assert!(matches!(refused, Err(SqliteError::CannotOpen)), "{name}: {refused:?}");
        assert!(!Path::new(name).exists());
    }
}

#[cfg(unix)]
mod on_unix {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    /// A new file is its owner's alone, with all that belongs to it. One that was made with other
    /// permissions keeps them.
    #[tokio::test]
    async fn what_is_made_can_be_read_by_its_owner_only() {
        let (directory, path) = file();
        let store = SqliteFactors::open(&path).await.unwrap();
        assert_eq!(add(&store, 1, 10).await.unwrap(), CommitOutcome::Written);
        let all = [
            "countersign.db",
            "countersign.db-shm",
            "countersign.db-turns0",
            "countersign.db-turns1",
        ];
        assert_eq!(names(&directory), [&all[..], &["countersign.db-wal"]].concat());
        for name in names(&directory) {
            assert_eq!(mode(&directory.path().join(&name)), 0o600, "{name}");
        }
        store.backup(directory.path().join("backup.db")).await.unwrap();
        assert_eq!(mode(&directory.path().join("backup.db")), 0o600);

        let (directory, path) = file();
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o660)).unwrap();
        let store = SqliteFactors::open(&path).await.unwrap();
        assert_eq!(add(&store, 1, 10).await.unwrap(), CommitOutcome::Written);
        for name in names(&directory) {
            assert_eq!(mode(&directory.path().join(&name)), 0o660, "{name}");
        }
        // Where the name is a link to a file that does not exist yet.
        let (directory, path) = file();
        std::os::unix::fs::symlink(directory.path().join("elsewhere.db"), &path).unwrap();
        let store = SqliteFactors::open(&path).await.unwrap();
        assert_eq!(add(&store, 1, 10).await.unwrap(), CommitOutcome::Written);
        assert_eq!(mode(&directory.path().join("elsewhere.db")), 0o600);
        assert!(path.is_symlink());
    }

    async fn every_call_is_refused(store: &SqliteFactors, why: &str) {
        let said = support::every_call(store).await;
        assert!(said.iter().all(|said| said == "Moved"), "{why}: {said:?}");
    }

    /// I-39: what is read from a file that is not at its path any more may be old, and what is
    /// written to it may be gone.
    #[tokio::test]
    async fn a_file_that_went_away_is_a_fault_until_it_is_back() {
        for name in ["countersign.db", "countersign.db-wal", "countersign.db-shm"] {
            let (directory, path) = file();
            let store = SqliteFactors::open(&path).await.unwrap();
            assert_eq!(add(&store, 1, 10).await.unwrap(), CommitOutcome::Written);
            let (file, aside) = (directory.path().join(name), directory.path().join("aside"));
            std::fs::rename(&file, &aside).unwrap();
            every_call_is_refused(&store, &format!("{name} was moved")).await;
            // A copy of the same bytes is another file.
            std::fs::copy(&aside, &file).unwrap();
            every_call_is_refused(&store, &format!("{name} was replaced by a copy")).await;
            let refused = store.backup(directory.path().join("backup.db")).await;
            assert!(refused.is_err(), "{name}");
            std::fs::remove_file(&file).unwrap();
            every_call_is_refused(&store, &format!("{name} was deleted")).await;
            std::fs::rename(&aside, &file).unwrap();
            assert!(store.load(&acme(), &user(1)).await.unwrap().record.is_some());
            assert_eq!(support::every_call(&store).await, ["Ok"; 11], "{name} is back");
        }
    }

    /// As with a deployment that leads a link to a directory of its own.
    #[tokio::test]
    async fn a_link_that_leads_elsewhere_is_a_fault() {
        let (directory, path) = file();
        let [first, second] = ["first.db", "second.db"].map(|name| directory.path().join(name));
        for file in [&first, &second] {
            SqliteFactors::open(file).await.unwrap().close().await;
        }
        std::os::unix::fs::symlink(&first, &path).unwrap();
        let store = existing().open(&path).await.unwrap();
        assert_eq!(add(&store, 1, 10).await.unwrap(), CommitOutcome::Written);
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&second, &path).unwrap();
        every_call_is_refused(&store, "the link leads elsewhere").await;
    }

    /// An application that copies the file within its own process ends SQLite's locks. A program
    /// with an SQLite before 3.51 that then opens and closes the file takes itself for the last
    /// one, and deletes the log: what was written into that one later would be gone. Here the test
    /// does what such a program does.
    #[tokio::test]
    async fn a_log_that_others_deleted_is_a_fault_and_loses_nothing() {
        let (directory, path) = file();
        let store = SqliteFactors::open(&path).await.unwrap();
        assert_eq!(add(&store, 1, 10).await.unwrap(), CommitOutcome::Written);
        let program = Connection::open(&path).unwrap();
        let copied: (i64, i64) = program
            .query_row("PRAGMA wal_checkpoint", [], |row| Ok((row.get(1)?, row.get(2)?)))
            .unwrap();
        assert_eq!(copied.0, copied.1);
        drop(program);
        for name in ["countersign.db-wal", "countersign.db-shm"] {
            std::fs::remove_file(directory.path().join(name)).unwrap();
        }
        every_call_is_refused(&store, "the log was deleted").await;
        // SQLite has one index of the log for all handles of a process: while this one is open, a
        // new one is no better.
        let refused = existing().open(&path).await;
        assert!(matches!(refused, Err(SqliteError::Moved)), "{refused:?}");
        store.close().await;
        let anew = existing().open(&path).await.unwrap();
        assert!(anew.load(&acme(), &user(1)).await.unwrap().record.is_some());
        assert_eq!(anew.count(&acme(), countersign::store::Generation::new(1)).await.unwrap(), 1);
        assert_eq!(support::every_call(&anew).await, ["Ok"; 11]);
    }
}
