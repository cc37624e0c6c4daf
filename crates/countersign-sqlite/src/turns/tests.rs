#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

use std::cell::Cell;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rusqlite::params;
use tempfile::TempDir;
use test_servers::processes::CHILD;

use super::rooms::{Room, Rooms};
use super::{STILL, Turns};
use crate::options::{Durability, SqliteOptions};
use crate::schema::{self, Opened, patience};
use crate::store::SqliteFactors;

/// A file of one test's own, at which any number of handles take turns.
fn file() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("countersign.db");
    std::fs::write(&path, "").unwrap();
    (directory, path)
}

/// What a handle of the schedule below is about to do.
#[derive(Clone, Copy)]
enum Step {
    Enter,
    Wait(Room),
    Write(Room),
}

/// Runs handles in an order that chance and a preference decide, and answers the most commits of
/// others between the moment at which a handle came and its own commit.
fn most_overtaken(handles: usize, seed: u64, fair: bool) -> u32 {
    let (_directory, path) = file();
    let rooms: Vec<_> = (0..handles).map(|_| Rooms::at(&path).unwrap()).collect();
    let mut random = StdRng::seed_from_u64(seed);
    let mut next = vec![Step::Enter; handles];
    let mut overtaken = vec![None; handles];
    let (mut holder, mut most, mut commits) = (None, 0, 0);
    while commits < 600 {
        // Half of the time it is one of two that never sleep, as on two processors.
        let eager = handles.min(2);
        let one = if random.random() {
            random.random_range(0..eager)
        } else {
            random.random_range(0..handles)
        };
        next[one] = match next[one] {
            Step::Enter => {
                overtaken[one] = Some(0);
                Step::Wait(rooms[one].enter().unwrap())
            }
            // SQLite's lock is taken by whoever finds it free.
            Step::Wait(room) if holder.is_none() && (!fair || rooms[one].may_go(room).unwrap()) => {
                holder = Some(one);
                Step::Write(room)
            }
            Step::Write(room) => {
                (holder, commits) = (None, commits + 1);
                most = most.max(overtaken[one].take().unwrap());
                overtaken.iter_mut().flatten().for_each(|times| *times += 1);
                rooms[one].leave(room).unwrap();
                Step::Enter
            }
            waiting @ Step::Wait(_) => waiting,
        };
    }
    most
}

/// Of `n` handles none is overtaken more than `2(n - 1)` times, whatever the order of their steps.
#[test]
fn a_handle_is_overtaken_at_most_twice_by_each_other() {
    for handles in 2..6 {
        let bound = u32::try_from(2 * (handles - 1)).unwrap();
        let most = (0..40).map(|seed| most_overtaken(handles, seed, true)).max().unwrap();
        assert!(most <= bound, "{handles} handles: {most}");
        assert!(most > 0, "nobody met anybody");
        // The same orders without the rooms: the schedule is one that overtakes.
        let without = (0..40).map(|seed| most_overtaken(handles, seed, false)).max().unwrap();
        assert!(without > bound, "{handles} handles: {without}");
    }
}

/// A handle that looked which room is open, and steps in after the rooms have changed places, would
/// be among those who write next: it goes to the other room.
#[test]
fn a_handle_that_comes_too_late_goes_to_the_other_room() {
    let (_directory, path) = file();
    let [early, late] = [(); 2].map(|()| Rooms::at(&path).unwrap());
    let changed = Cell::new(false);
    let entered = late.enter_after(|| {
        if !changed.replace(true) {
            let room = early.enter().unwrap();
            assert_eq!(room, Room::A);
            assert!(early.may_go(room).unwrap());
        }
    });
    assert_eq!(entered.unwrap(), Room::B);
    assert!(!late.may_go(Room::B).unwrap(), "the early one has not written");
    early.leave(Room::A).unwrap();
    assert!(late.may_go(Room::B).unwrap());
}

/// A process that ends leaves nobody in a room.
#[test]
fn a_handle_that_ends_holds_up_nobody() {
    let (_directory, path) = file();
    let [ends, waits] = [(); 2].map(|()| Rooms::at(&path).unwrap());
    let room = ends.enter().unwrap();
    assert!(ends.may_go(room).unwrap());
    let room = waits.enter().unwrap();
    assert!(!waits.may_go(room).unwrap());
    drop(ends);
    assert!(waits.may_go(room).unwrap());
}

/// A process that was stopped while it had its turn, and does not write, is passed by. One that
/// writes is waited for, for half of the time-out; the other half is for SQLite's lock.
#[test]
fn a_handle_that_does_nothing_is_passed_by() {
    let (_directory, path) = file();
    let [stopped, waits] = [(); 2].map(|()| Turns::at(&path).unwrap());
    patience::set(Duration::from_secs(60));
    let turn = {
        let _patience = patience::shared();
        stopped.wait(|| false)
    };
    {
        let (_patience, started) = (patience::shared(), Instant::now());
        let turn = waits.wait(|| true);
        assert!(turn.0.is_none() && started.elapsed() >= STILL, "half of the time-out was used up");
    }
    {
        // It is not waited for again immediately, however long the machine was busy with something
        // else.
        assert!(waits.ignored_until.get().is_some());
        waits.ignored_until.set(Instant::now().checked_add(Duration::from_secs(3_600)));
        let (_patience, looked) = (patience::shared(), Cell::new(false));
        let turn = waits.wait(|| looked.replace(true));
        assert!(turn.0.is_none() && !looked.get());
    }
    let waits = Turns::at(&path).unwrap();
    patience::set(Duration::from_millis(400));
    let (_patience, started) = (patience::shared(), Instant::now());
    drop(waits.wait(|| false));
    assert!(started.elapsed() >= Duration::from_millis(200), "{:?}", started.elapsed());
    drop(turn);
}

const PROCESSES: usize = 4;

/// Each process goes on until all of them have made so many, and until two of them have met. One of
/// many runs needs fewer.
fn commits() -> u32 {
    if std::env::var("COUNTERSIGN_STRESS_RUN").is_ok() { 25 } else { 150 }
}

/// A commit that does not wait for the disk: only whose turn it is counts here.
fn options() -> SqliteOptions {
    SqliteFactors::options().durability(Durability::ProcessCrash)
}

/// One of the processes: commits without a pause, and says of each commit how many there were when
/// it had come, and how many with it.
fn write_without_a_pause(number: &str, path: &str) {
    patience::set(Duration::from_secs(600));
    let Opened { connection, turns, .. } = schema::open(path.as_ref(), &options()).unwrap();
    println!("READY");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let mut times = Vec::new();
    let ask = |what: &str| {
        connection
            .query_row(&format!("SELECT {what} FROM commits"), [], |row| row.get::<_, u32>(0))
            .unwrap()
    };
    while ask("min(number)") < commits() || ask("max(overtaken)") == 0 {
        let _patience = patience::shared();
        let room = turns.rooms.enter().unwrap();
        let came = ask("sum(number)");
        let turn = turns.wait_in(room, || false).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        connection
            .execute("UPDATE commits SET number = number + 1 WHERE process = ?1", [number])
            .unwrap();
        let done = ask("sum(number)");
        let overtaken = "UPDATE commits SET overtaken = max(overtaken, ?2) WHERE process = ?1";
        connection.execute(overtaken, params![number, done - came - 1]).unwrap();
        connection.execute_batch("COMMIT").unwrap();
        times.push((came, done));
        drop(turn);
    }
    for (came, done) in times {
        println!("COMMIT {came} {done}");
    }
}

/// Four processes on one file beside a processor load: however they are scheduled, each writes
/// after at most six commits of the others.
#[test]
fn each_of_four_processes_gets_its_turn_under_load() {
    if let (Ok(number), Ok(path)) = (std::env::var(CHILD), std::env::var("STORE")) {
        return write_without_a_pause(&number, &path);
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("countersign.db");
    let Opened { connection, .. } = schema::open(&path, &options()).unwrap();
    connection
        .execute_batch("CREATE TABLE commits (process TEXT, number INTEGER, overtaken INTEGER)")
        .unwrap();
    for number in 0..PROCESSES {
        connection.execute("INSERT INTO commits VALUES (?1, 0, 0)", [number.to_string()]).unwrap();
    }
    let _load = [(); 2]
        .map(|()| Load(Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap()));
    let mut children: Vec<_> = (0..PROCESSES)
        .map(|number| {
            let mut child = Command::new(std::env::current_exe().unwrap());
            child.args([
                "--exact",
                "turns::tests::each_of_four_processes_gets_its_turn_under_load",
                "--nocapture",
            ]);
            child.env(CHILD, number.to_string()).env("STORE", &path);
            let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
            (child, stdin, BufReader::new(stdout).lines())
        })
        .collect();
    for (.., lines) in &mut children {
        while !lines.next().unwrap().unwrap().contains("READY") {}
    }
    for (_, stdin, _) in &mut children {
        stdin.write_all(b"GO\n").unwrap();
    }
    let mut overtaken = Vec::new();
    for (child, _, lines) in &mut children {
        for line in lines {
            let line = line.unwrap();
            let Some((came, done)) =
                line.split_once("COMMIT ").and_then(|(_, times)| times.split_once(' '))
            else {
                continue;
            };
            // Its own is the last of these.
            overtaken.push(done.parse::<usize>().unwrap() - came.parse::<usize>().unwrap() - 1);
        }
        assert!(child.wait().unwrap().success());
    }
    overtaken.sort_unstable();
    let number: i64 =
        connection.query_row("SELECT sum(number) FROM commits", [], |row| row.get(0)).unwrap();
    let number = usize::try_from(number).unwrap();
    assert_eq!(number, overtaken.len());
    let (median, most) = (overtaken[number / 2], overtaken[number - 1]);
    println!("{number} commits: median {median}, most {most}");
    assert!(number >= PROCESSES * commits() as usize && most > 0, "they have met");
    assert!(most <= 2 * (PROCESSES - 1), "{most} of {number}");
}

/// A process that only uses up time, until it is dropped.
struct Load(Child);

impl Drop for Load {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}
