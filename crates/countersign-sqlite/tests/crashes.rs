//! SIGKILL in the middle of a storm of logins, many times (I-05, I-09).
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use countersign::{Challenge, LoginStep, PendingToken, Reason, Scope};
use countersign_sqlite::SqliteFactors;
use countersign_testkit::{Person, World, authenticated, challenge, denied, other_code, reason};
use test_servers::processes::CHILD;

/// Many; or a few, where the test is one of many runs (`scripts/stress`).
fn crashes() -> u64 {
    if std::env::var("COUNTERSIGN_STRESS_RUN").is_ok() { 3 } else { 25 }
}

const WRITERS: usize = 8;

async fn world(path: &str) -> World {
    // However slow the disk is, nobody is told to come back later.
    let patient = SqliteFactors::options().busy_timeout(Duration::from_secs(600));
    World::on(patient.open(path).await.unwrap()).unwrap()
}

/// The process that is killed: logs people in without end, and says of each step what came of it
/// once it has the answer.
async fn storm(path: &str, crash: &str) {
    let world = Arc::new(world(path).await);
    // Whatever the moment of the crash is, these wrong codes were counted before it, and nothing
    // came after.
    drop(try_wrong_codes(&world, &format!("crash{crash}-gives-up")).await);
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (world, crash) = (Arc::clone(&world), crash.to_owned());
            tokio::spawn(async move {
                for number in 0.. {
                    let name = format!("crash{crash}-writer{writer}-{number}");
                    log_in(&world, &name).await;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
}

/// Begins a login, and tries two wrong codes. Answers the login and its right code.
async fn try_wrong_codes(world: &World, name: &str) -> (Box<Challenge>, String) {
    let user = Person::named(name).join(&world.users, &world.tenant).unwrap();
    let challenge = challenge(world.begin(name).await.unwrap());
    let code = world.outbox.last_code_of(&world.tenant, &user).unwrap().code;
    let (token, wrong) = (challenge.token.expose(), other_code(&code));
    for _ in 0..2 {
        let refused = denied(&world.submit(&challenge.token, &wrong).await.unwrap());
        println!("WRONG {name} {} {token} {code}", refused.attempts_left().unwrap());
    }
    (challenge, code)
}

async fn log_in(world: &World, name: &str) {
    let (challenge, code) = try_wrong_codes(world, name).await;
    let _done = authenticated(world.submit(&challenge.token, &code).await.unwrap());
    println!("ACCEPTED {name} 0 {} {code}", challenge.token.expose());
}

/// How many records there are, all of which can be read.
async fn read_all(world: &World) -> u64 {
    let (mut after, mut records) = (None, 0);
    loop {
        let batch = world.flow.sweep(&world.tenant, after.as_ref(), 5_000).await.unwrap();
        assert_eq!((batch.unreadable, batch.removed), (0, 0));
        records += batch.looked_at;
        after = batch.next;
        if after.is_none() {
            return records;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_acknowledged_is_forgotten_when_the_process_is_killed() {
    if let (Ok(crash), Ok(path)) = (std::env::var(CHILD), std::env::var("STORE")) {
        return storm(&path, &crash).await;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("countersign.db").display().to_string();
    world(&path).await.set_scope(Scope::EntireTenant).await.unwrap();
    let (mut accepted, mut wrong, mut records) = (0, 0, 0);
    let mut used: Vec<[String; 3]> = Vec::new();
    for crash in 0..crashes() {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args([
            "--exact",
            "nothing_that_was_acknowledged_is_forgotten_when_the_process_is_killed",
            "--nocapture",
        ]);
        child
            .env(CHILD, crash.to_string())
            .env("STORE", &path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = child.spawn().unwrap();
        let mut pipe = BufReader::new(child.stdout.take().unwrap());
        let (accepted_one, accepts) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            let mut read = 0;
            while pipe.read_line(&mut text).unwrap() > 0 {
                if text[read..].starts_with("ACCEPTED") {
                    // Nobody counts them any more once it was killed.
                    let _counted = accepted_one.send(());
                }
                read = text.len();
            }
            text
        });
        // In the middle of it, however long that takes to come about, and at any moment of a step.
        for _ in 0..2 + crash % 4 {
            accepts.recv_timeout(Duration::from_secs(60)).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(crash * 7 % 20)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let printed = reader.join().unwrap();

        let world = world(&path).await;
        let connection = rusqlite::Connection::open(&path).unwrap();
        let integrity: String =
            connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(integrity, "ok");
        // Every record can be read, also of those who got no answer.
        records = read_all(&world).await;
        // A line that was cut in the middle says nothing.
        let lines = printed.lines().take(printed.matches('\n').count());
        let steps: Vec<Vec<&str>> = lines
            .map(|line| line.split(' ').collect())
            .filter(|step: &Vec<_>| step.len() == 5)
            .collect();
        for (index, step) in steps.iter().enumerate() {
            let [kind, name, left, token, code] = step[..] else { continue };
            let later = steps[index + 1..].iter().any(|later| later[1] == name);
            let token = PendingToken::new(token);
            match kind {
                "ACCEPTED" => {
                    Person::named(name).join(&world.users, &world.tenant).unwrap();
                    // A code that was accepted before the crash does not work again.
                    let again = world.submit(&token, code).await.unwrap();
                    assert_eq!(reason(&again), Reason::LoginOver);
                    used.push([name, step[3], code].map(str::to_owned));
                    accepted += 1;
                }
                "WRONG" if !later => {
                    Person::named(name).join(&world.users, &world.tenant).unwrap();
                    let left: u32 = left.parse().unwrap();
                    match world.submit(&token, &other_code(code)).await.unwrap() {
                        // Perhaps the right code was accepted, and the answer did not get out.
                        LoginStep::Denied(denied) if denied.reason() == Reason::LoginOver => {}
                        LoginStep::Denied(denied) => {
                            let now = denied.attempts_left().unwrap();
                            assert!(
                                now < left,
                                "{left} tries were left before the crash, and {now} after one more"
                            );
                            wrong += 1;
                        }
                        step => panic!("a wrong code is refused, not {step:?}"),
                    }
                }
                _ => {}
            }
        }
    }
    // Nor does a crash bring back what was used before an earlier one.
    let world = world(&path).await;
    for [name, token, code] in &used {
        Person::named(name).join(&world.users, &world.tenant).unwrap();
        let again = world.submit(&PendingToken::new(token.as_str()), code).await.unwrap();
        assert_eq!(reason(&again), Reason::LoginOver, "{name}");
    }
    assert!(records > used.len() as u64, "{records} records of {} people", used.len());
    println!("{} crashes, {accepted} accepted codes and {wrong} counters looked at", crashes());
    assert!(accepted >= 2 * crashes() && wrong >= crashes(), "{accepted} {wrong}");
}
