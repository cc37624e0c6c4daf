#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use countersign::store::{CommitOutcome, ExpectedVersions, Generation, StoredRow, Version};
use countersign::{TenantId, UserId};
use rusqlite::functions::FunctionFlags;

use super::{Answered, Queue, Write, Writer, asked};
use crate::calls::{Commit, Purge, Statements};
use crate::options::{Durability, SqliteOptions};
use crate::schema::{self, patience};

/// Asks the writer for a user's first record.
fn ask_for(queue: &Queue<Write>, user: &str, generation: u32) -> Answered<CommitOutcome> {
    let (version, generation) = (Version::from_bytes([7; 16]), Generation::new(generation));
    let next = StoredRow { version, generation, document: "{}".to_owned() };
    let (tenant, user) = (TenantId::new("acme").unwrap(), UserId::new(user).unwrap());
    let expected = ExpectedVersions { settings: None, record: None };
    let (job, answered) = asked(Commit { tenant, user, expected, next });
    queue.push(Write::Shared(job));
    answered
}

/// I-27: what arrives during a slice of a purge is written before the next slice. The writer runs
/// in this thread, and the file itself says when others arrive, and in which order it was written.
#[test]
fn a_purge_lets_others_in_between_two_slices() {
    let directory = tempfile::tempdir().unwrap();
    let options = SqliteOptions::default().durability(Durability::ProcessCrash);
    patience::set(options.busy_timeout);
    let opened = schema::open(&directory.path().join("countersign.db"), &options).unwrap();
    let host = &opened.connection;
    let queue = Queue::new();
    let others = Arc::new(Mutex::new(Vec::new()));
    let (arriving, arrived) = (Arc::clone(&queue), Arc::clone(&others));
    host.create_scalar_function("others_arrive", 1, FunctionFlags::default(), move |context| {
        let deleted: i64 = context.get(0)?;
        for number in 0..5 {
            arrived.lock().unwrap().push(ask_for(
                &arriving,
                &format!("other-{deleted}-{number}"),
                1,
            ));
        }
        if deleted > 100 {
            arriving.close();
        }
        Ok(true)
    })
    .unwrap();
    host.execute_batch(&format!(
        "CREATE TEMP TABLE written (what TEXT);
        CREATE TEMP TRIGGER inserts AFTER INSERT ON {0}records BEGIN INSERT INTO written VALUES ('+'); END;
        CREATE TEMP TRIGGER deletes AFTER DELETE ON {0}records BEGIN
            INSERT INTO written VALUES ('-');
            SELECT others_arrive(number) FROM (SELECT count(*) AS number FROM written WHERE what = '-')
            WHERE number IN (1, 250);
        END",
        options.prefix
    ))
    .unwrap();
    let (checkpoint, _wanted) = std::sync::mpsc::sync_channel(1);
    let mut writer = Writer::new(
        opened,
        Arc::new(Statements::new(&options.prefix)),
        Arc::clone(&queue),
        checkpoint,
    );
    let first: Vec<_> =
        (0..500).map(|number| ask_for(&queue, &format!("user-{number}"), 0)).collect();
    let (tenant, below) = (TenantId::new("acme").unwrap(), Generation::new(1));
    let (purge, purged) = Write::purge(Purge { tenant, below, at_most: 500 });
    queue.push(purge);

    writer.run();

    assert_eq!(purged.blocking_recv().unwrap().unwrap(), 500);
    let others = std::mem::take(&mut *others.lock().unwrap());
    assert_eq!(others.len(), 10);
    assert!(first.into_iter().chain(others).all(|one| one.blocking_recv().unwrap().is_ok()));
    let all = "SELECT group_concat(what, '') FROM (SELECT what FROM written ORDER BY rowid)";
    let written: String = writer.connection.query_row(all, [], |row| row.get(0)).unwrap();
    let slices = |number: usize| "-".repeat(100 * number);
    let right =
        ["+".repeat(500), slices(1), "+".repeat(5), slices(2), "+".repeat(5), slices(2)].concat();
    assert_eq!(written, right);
}
