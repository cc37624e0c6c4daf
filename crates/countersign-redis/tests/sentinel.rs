//! A service that sentinels watch over.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod support;

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use countersign::store::{CommitOutcome, ExpectedVersions, FactorStore, StoredRow};
use countersign_redis::{RedisError, RedisFactors, RedisOptions};
use redis::aio::MultiplexedConnection;
use support::calls::{CALLS, call, client, client_at, ids, row, server};
use support::nodes;
use tempfile::TempDir;
use test_servers::servers::Server;

/// A sentinel of its own for one test, with a user that may only ask where the server is.
struct Sentinel {
    process: Child,
    port: u16,
    _directory: TempDir,
}

impl Sentinel {
    async fn of(master: &Server) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let file = directory.path().join("sentinel.conf");
        let settings = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nlogfile log\nuser asks on >secret +sentinel|get-master-addr-by-name\n\
             sentinel monitor main 127.0.0.1 {} 1\nsentinel down-after-milliseconds main 60000\n",
            directory.path().display(),
            master.port(),
        );
        std::fs::write(&file, settings).unwrap();
        let mut command = Command::new("redis-server");
        let process = command
            .arg(&file)
            .arg("--sentinel")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let sentinel = Self { process, port, _directory: directory };
        let started = Instant::now();
        while redis::Client::open(sentinel.operator()).unwrap().get_connection().is_err() {
            assert!(started.elapsed() < Duration::from_secs(30), "the sentinel does not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        sentinel
    }

    fn operator(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    fn url(&self) -> String {
        format!("redis://asks:secret@127.0.0.1:{}/", self.port)
    }

    async fn client(&self) -> MultiplexedConnection {
        client_at(&self.operator()).await.unwrap()
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn options() -> RedisOptions {
    support::calls::options().initialise_if_empty().dangerously_unencrypted()
}

/// A port on which nobody listens.
fn nobody() -> String {
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    format!("redis://127.0.0.1:{port}/")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_whose_sentinels_do_not_know_it_is_refused() {
    let Some(master) = server(&["--appendonly", "yes"]) else { return };
    let sentinel = Sentinel::of(&master).await;
    let (url, nobody) = (sentinel.url(), nobody());
    let refused = options().connect_sentinel(&[&nobody, &url], "mian").await;
    assert!(
        matches!(refused, Err(RedisError::Configuration(why)) if why.contains("service")),
        "{refused:?}"
    );
    let refused = options().connect_sentinel(&[&nobody], "main").await;
    assert!(matches!(refused, Err(RedisError::Unavailable { .. })), "{refused:?}");
    let refused = options().connect_sentinel(&[], "main").await;
    assert!(matches!(refused, Err(RedisError::Configuration(_))), "{refused:?}");
    let wrong = url.replace("secret", "secret-2");
    let refused = options().connect_sentinel(&[&wrong], "main").await;
    assert!(matches!(refused, Err(RedisError::WrongCredentials)), "{refused:?}");
    options().connect_sentinel(&[&nobody, &url], "main").await.unwrap();
}

/// What the server itself has.
async fn record_on(server: &Server) -> Option<StoredRow> {
    let (acme, alice) = ids();
    options().connect(server.url()).await.ok()?.load(&acme, &alice).await.ok()?.record
}

/// I-39: after a failover the store goes on at the new master, and never answers from the old one
/// meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_followed_from_one_server_to_the_next() {
    let (Some(one), Some(two)) = (
        server(&["--appendonly", "yes", "--repl-diskless-sync-delay", "0"]),
        server(&["--appendonly", "yes", "--repl-diskless-sync-delay", "0"]),
    ) else {
        return;
    };
    let mut replica = client(&two).await;
    redis::cmd("REPLICAOF")
        .arg("127.0.0.1")
        .arg(one.port())
        .exec_async(&mut replica)
        .await
        .unwrap();
    let sentinel = Sentinel::of(&one).await;
    let mut operator = sentinel.client().await;
    redis::cmd("SENTINEL")
        .arg(&["DEBUG", "INFO-PERIOD", "200"])
        .exec_async(&mut operator)
        .await
        .unwrap();
    let started = Instant::now();
    loop {
        let state: String =
            redis::cmd("INFO").arg("sentinel").query_async(&mut operator).await.unwrap();
        if state.contains("status=ok") && state.contains("slaves=1") {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{state}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (url, nobody) = (sentinel.url(), nobody());
    let store = options().connect_sentinel(&[&nobody, &url], "main").await.unwrap();
    let stays = options().connect(one.url()).await.unwrap();
    let (acme, alice) = ids();
    assert_eq!(store.change_settings(&acme, None, &row(1)).await.unwrap(), CommitOutcome::Written);
    let none = ExpectedVersions { settings: Some(row(1).version), record: None };
    assert_eq!(store.commit(&acme, &alice, &none, &row(1)).await.unwrap(), CommitOutcome::Written);
    let mut master = client(&one).await;
    // It waits for what came over the same connection.
    redis::cmd("SET").arg(&["written", "all"]).exec_async(&mut master).await.unwrap();
    let reached: u32 = redis::cmd("WAIT").arg(&[1, 20_000]).query_async(&mut master).await.unwrap();
    assert_eq!(reached, 1);

    // It promotes a replica that it has asked lately.
    let started = Instant::now();
    while redis::cmd("SENTINEL").arg(&["FAILOVER", "main"]).exec_async(&mut operator).await.is_err()
    {
        assert!(started.elapsed() < Duration::from_secs(60), "it finds no replica");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let started = Instant::now();
    let record = |number| ExpectedVersions {
        settings: Some(row(1).version),
        record: Some(row(number).version),
    };
    // Until the sentinel names the new one the old one is the master, and commits are made there.
    let mut written = 1;
    loop {
        // The failover ends the connections of others.
        let role = nodes::command(&two, &["INFO", "replication"]).unwrap();
        match store.commit(&acme, &alice, &record(written), &row(written + 1)).await {
            Ok(CommitOutcome::Written) => {
                written += 1;
                // A master gets nothing from the old one: the store itself has written it there.
                if role.contains("role:master") && record_on(&two).await == Some(row(written)) {
                    break;
                }
            }
            // What the old master had acknowledged last may not have reached the new one.
            Ok(CommitOutcome::Conflict) => {
                written =
                    store.load(&acme, &alice).await.unwrap().record.unwrap().version.as_bytes()[0];
            }
            Err(fault) => {
                let said = format!("{fault:?}");
                assert!(
                    ["ReadOnly", "Unavailable", "Refused"]
                        .iter()
                        .any(|name| said.starts_with(name)),
                    "{said}"
                );
            }
        }
        assert!(written < 200 && started.elapsed() < Duration::from_secs(60), "{written}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for number in 0..CALLS {
        assert_eq!(call(&store, number).await, "Ok");
    }
    // One that has the address stays where it is, and is refused there once the old master is a
    // replica.
    let started = Instant::now();
    while call(&stays, 0).await != "ReadOnly" {
        assert!(started.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // A node that starts now finds the new master at once.
    let later: RedisFactors = options().connect_sentinel(&[&url], "main").await.unwrap();
    assert_eq!(call(&later, 0).await, "Ok");
}
