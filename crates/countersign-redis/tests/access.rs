//! Addresses, users and passwords that a server does not take, and the rights that the store needs.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use countersign::budget::{Account, Limit, SendBudget};
use countersign::error::PluginError;
use countersign::store::{CommitOutcome, ExpectedVersions, FactorStore, Generation};
use countersign_redis::{Credentials, RedisError, RedisFactors};
use redis::aio::MultiplexedConnection;
use support::calls::{CALLS, call, client, every_call, ids, options, row, server};
use support::nodes;
use test_servers::servers::Server;
use time::OffsetDateTime;
use tokio::io::AsyncWriteExt;

/// What the README says that the store's user needs: to run, and to make the store.
const RUNS: &str = "+evalsha +script|load +info +get +hget +hmget +hset +hdel +hgetall +hincrby +del +unlink \
    +zadd +zcount +zrange +zrem";
const MAKES: &str = "+msetnx";
const MAKES_ON_A_CLUSTER: &str = "+setnx";
const NEEDS_ON_A_CLUSTER: &str = "+cluster|slots";

fn named(refused: Result<RedisFactors, RedisError>) -> String {
    let error = refused.unwrap_err();
    assert!(!format!("{error:?} {error}").contains("secret"), "{error:?}");
    format!("{error:?}").split(' ').next().unwrap().to_owned()
}

async fn acl(client: &mut MultiplexedConnection, rules: &str) {
    let rules: Vec<_> = rules.split_whitespace().collect();
    redis::cmd("ACL").arg("SETUSER").arg(&rules).exec_async(client).await.unwrap();
}

fn said<T>(answer: Result<T, PluginError>) -> String {
    answer.map_or_else(|fault| format!("{fault:?}"), |_| "Ok".to_owned())
}

fn address(server: &Server, rest: &str) -> String {
    format!("redis://{rest}127.0.0.1:{}", server.port())
}

/// What is wrong has a name, which is not that nothing answers.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_refuses_is_named() {
    let Some(server) = server(&["--appendonly", "yes", "--requirepass", "secret"]) else { return };
    let connect = async |rest: &str, end: &str| {
        named(
            options()
                .initialise_if_empty()
                .connect(&format!("{}{end}", address(&server, rest)))
                .await,
        )
    };
    assert_eq!(connect(":secret-2@", "").await, "WrongCredentials");
    assert_eq!(connect("nobody:secret@", "").await, "WrongCredentials");
    assert_eq!(connect("", "").await, "WrongCredentials");
    assert_eq!(connect(":secret@", "/16").await, "Configuration(\"the");
    assert_eq!(connect("", "/secret").await, "Configuration(\"an");
    options().initialise_if_empty().connect(&address(&server, ":secret@")).await.unwrap();
    let refused = options().connect(&format!("{}/16", address(&server, ":secret@"))).await;
    assert!(
        matches!(refused, Err(RedisError::Configuration(why)) if why.contains("database")),
        "{refused:?}"
    );
    // Nothing listens there.
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    assert_eq!(
        named(options().connect(&format!("redis://:secret@127.0.0.1:{free}")).await),
        "Unavailable"
    );
    assert_eq!(named(options().connect("redis://:secret@cache.example.com").await), "NotEncrypted");
    assert_eq!(
        named(options().connect_cluster(&["redis://:secret@127.0.0.1"]).await),
        "NotEncrypted"
    );
    assert_eq!(
        named(options().connect_sentinel(&["redis://:secret@127.0.0.1"], "main").await),
        "NotEncrypted"
    );
}

/// A port on which something else answers.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_redis_is_named() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            client.write_all(b"220 mail.example.com ESMTP\r\n").await.unwrap();
            tokio::spawn(async move {
                let _open = client;
                tokio::time::sleep(Duration::from_secs(60)).await;
            });
        }
    });
    assert_eq!(named(options().connect(&format!("redis://127.0.0.1:{port}")).await), "Protocol");
}

/// A user with the rights that the README names can do all that the store does, and each of them is
/// needed.
#[tokio::test(flavor = "multi_thread")]
async fn the_rights_of_the_readme_are_enough_and_none_is_too_many() {
    let readme = include_str!("../README.md");
    for (rules, what) in [
        (RUNS, "what runs"),
        (MAKES, "what makes it"),
        (NEEDS_ON_A_CLUSTER, "a cluster"),
        (MAKES_ON_A_CLUSTER, "what makes it"),
    ] {
        for rule in rules.split_whitespace() {
            assert!(readme.contains(rule), "{what} needs {rule}, and the README does not say so");
        }
    }
    let Some(server) = server(&["--appendonly", "yes"]) else { return };
    let mut client = client(&server).await;
    let url = address(&server, "countersign:secret@");
    let user =
        |rules: &str| format!("countersign reset on >secret resetchannels ~countersign:* {rules}");
    let everything = async |store: &RedisFactors| {
        let mut all = Vec::new();
        for _ in 0..2 {
            let (others, writes) = every_call(store).await;
            all.extend(others.into_iter().chain(writes));
        }
        let (acme, alice) = ids();
        let expecting = |record| ExpectedVersions { settings: Some(row(1).version), record };
        all.push(said(store.commit(&acme, &alice, &expecting(None), &row(1)).await));
        all.push(said(store.users(&acme, Generation::new(0), None, 5).await));
        all.push(said(
            store.commit(&acme, &alice, &expecting(Some(row(1).version)), &row(2)).await,
        ));
        all.push(said(store.remove_if(&acme, &alice, row(2).version).await));
        all.push(said(store.commit(&acme, &alice, &expecting(None), &row(1)).await));
        all.push(said(store.purge(&acme, Generation::new(1), 100).await));
        // Slots that are over beside one that counts, and accounts that are over as a whole.
        for (key, seconds) in [("a", 0), ("b", 0), ("a", 50), ("a", 70), ("c", 900)] {
            let account = Account::new(key, Limit::new(5, Duration::from_secs(60)));
            let now = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(seconds);
            all.push(said(store.budget().charge(&[account], now).await));
        }
        all
    };
    // The user that runs the application can't make a store.
    acl(&mut client, &user(RUNS)).await;
    assert_eq!(named(options().initialise_if_empty().connect(&url).await), "NotPermitted");
    acl(&mut client, &user(&format!("{RUNS} {MAKES}"))).await;
    options().initialise_if_empty().connect(&url).await.unwrap();
    acl(&mut client, &user(RUNS)).await;
    let store = options().connect(&url).await.unwrap();
    let said = everything(&store).await;
    assert!(said.iter().all(|said| said == "Ok"), "{said:?}");
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut client).await.unwrap();
    assert!(keys.iter().all(|key| key.starts_with("countersign:")), "{keys:?}");

    for left_out in RUNS.split_whitespace() {
        redis::cmd("FLUSHALL").exec_async(&mut client).await.unwrap();
        redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut client).await.unwrap();
        acl(&mut client, &user("+@all")).await;
        options().initialise_if_empty().connect(&url).await.unwrap();
        let fewer: Vec<_> = RUNS.split_whitespace().filter(|rule| *rule != left_out).collect();
        acl(&mut client, &user(&fewer.join(" "))).await;
        let refused = match options().connect(&url).await {
            Err(RedisError::NotPermitted) => 1,
            Err(error) => panic!("{left_out}: {error:?}"),
            Ok(store) => everything(&store)
                .await
                .iter()
                .filter(|said| said.starts_with("NotPermitted"))
                .count(),
        };
        assert!(refused > 0, "{left_out} is not needed");
    }
}

/// E4's kind: a wrong prefix, or a wrong database of the right server, is no new store, and nothing
/// is written there.
#[tokio::test(flavor = "multi_thread")]
async fn a_mistyped_prefix_or_database_is_no_new_store() {
    let Some(server) = server(&["--appendonly", "yes"]) else { return };
    let store = options().initialise_if_empty().connect(server.url()).await.unwrap();
    let (acme, _) = ids();
    assert_eq!(store.change_settings(&acme, None, &row(1)).await.unwrap(), CommitOutcome::Written);
    let mut client = client(&server).await;
    let keys = async |client: &mut MultiplexedConnection| -> String {
        redis::cmd("INFO").arg("keyspace").query_async(client).await.unwrap()
    };
    let before = keys(&mut client).await;
    for prefix in ["countersing", "countersign:", "Countersign"] {
        assert_eq!(
            named(options().key_prefix(prefix).connect(server.url()).await),
            "Empty",
            "{prefix}"
        );
    }
    assert_eq!(named(options().connect(&format!("{}1", server.url())).await), "Empty");
    assert_eq!(keys(&mut client).await, before);
}

/// A user of the server whose password changes.
struct Rotating {
    client: MultiplexedConnection,
    password: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
}

impl Rotating {
    async fn of(server: &Server) -> Self {
        let mut rotating =
            Self { client: client(server).await, password: Arc::default(), asked: Arc::default() };
        rotating.change("secret-0").await;
        rotating
    }

    /// A new password, and the end of the connections that were made with the earlier one.
    async fn change(&mut self, password: &str) {
        password.clone_into(&mut self.password.lock().unwrap());
        acl(&mut self.client, &format!("countersign reset on >{password} ~* +@all")).await;
        let _ended: u32 = redis::cmd("CLIENT")
            .arg(&["KILL", "USER", "countersign"])
            .query_async(&mut self.client)
            .await
            .unwrap();
    }

    fn answer(
        &self,
    ) -> impl Fn() -> std::future::Ready<Result<Credentials, PluginError>> + Send + Sync + 'static
    {
        let (password, asked) = (Arc::clone(&self.password), Arc::clone(&self.asked));
        move || {
            asked.fetch_add(1, Ordering::SeqCst);
            std::future::ready(Ok(Credentials::new(
                "countersign",
                password.lock().unwrap().clone(),
            )))
        }
    }
}

async fn works_again(store: &RedisFactors, allowed: &[&str]) {
    let started = Instant::now();
    loop {
        let said = call(store, 0).await;
        if said == "Ok" {
            return;
        }
        assert!(allowed.iter().any(|allowed| said.starts_with(allowed)), "{said}");
        assert!(started.elapsed() < Duration::from_secs(20), "{said}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_changes_is_asked_for_at_each_connection() {
    let Some(server) = server(&["--appendonly", "yes"]) else { return };
    let mut rotating = Rotating::of(&server).await;
    let options = options().initialise_if_empty();
    let store = options.clone().credentials(rotating.answer()).connect(server.url()).await.unwrap();
    // An address with a password is one that does not change.
    let stuck = options.connect(&address(&server, "countersign:secret-0@")).await.unwrap();
    assert_eq!(rotating.asked.load(Ordering::SeqCst), 1);
    for number in 1..4 {
        rotating.change(&format!("secret-{number}")).await;
        works_again(&store, &["Unavailable"]).await;
        assert_eq!(
            rotating.asked.load(Ordering::SeqCst),
            number + 1,
            "one connection for all calls"
        );
        for number in 0..CALLS {
            assert_eq!(call(&store, number).await, "Ok");
        }
    }
    let started = Instant::now();
    while call(&stuck, 0).await != "WrongCredentials" {
        assert!(started.elapsed() < Duration::from_secs(20));
    }
    // One that was asked for too early is asked for again.
    let real =
        std::mem::replace(&mut *rotating.password.lock().unwrap(), "secret-of-tomorrow".to_owned());
    let _ended: u32 = redis::cmd("CLIENT")
        .arg(&["KILL", "USER", "countersign"])
        .query_async(&mut rotating.client)
        .await
        .unwrap();
    let started = Instant::now();
    while call(&store, 0).await != "WrongCredentials" {
        assert!(started.elapsed() < Duration::from_secs(20));
    }
    *rotating.password.lock().unwrap() = real;
    works_again(&store, &["Unavailable", "WrongCredentials"]).await;
}

/// What does not answer, or not in time, is named; and no connection is made without.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_do_not_come_are_named() {
    let Some(server) = server(&["--appendonly", "yes"]) else { return };
    let failing = options()
        .credentials(|| async { Err::<Credentials, _>(PluginError::new("the vault is sealed")) });
    let refused = failing.connect(server.url()).await;
    let Err(RedisError::NoCredentials { source }) = refused else { panic!("{refused:?}") };
    assert_eq!(source.to_string(), "the vault is sealed");
    let silent =
        options().connect_timeout(Duration::from_millis(200)).credentials(std::future::pending);
    assert_eq!(named(silent.connect(server.url()).await), "NoCredentials");
    let known = Credentials::new("countersign", "secret");
    assert_eq!(format!("{known:?}"), "Credentials { user: Some(\"countersign\"), .. }");
    assert!(
        !format!("{:?}", options().credentials(|| async { Ok(Credentials::password("secret")) }))
            .contains("secret")
    );
}

/// The password of the server's default user, which has no name.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_alone_is_the_default_users() {
    let Some(server) = server(&["--appendonly", "yes", "--requirepass", "secret"]) else { return };
    let options = || options().initialise_if_empty();
    options()
        .credentials(|| async { Ok(Credentials::password("secret")) })
        .connect(server.url())
        .await
        .unwrap();
    let wrong = options().credentials(|| async { Ok(Credentials::password("secret-2")) });
    assert_eq!(named(wrong.connect(server.url()).await), "WrongCredentials");
}

/// Each node's connection asks. The user needs the right to ask for the slots.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_asks_for_the_password_too() {
    let Some(nodes) = nodes::start().unwrap() else { return };
    let mut rotating = Vec::new();
    for node in &nodes {
        rotating.push(Rotating::of(node).await);
    }
    let addresses: Vec<_> = nodes.iter().map(Server::url).collect();
    let options =
        options().initialise_if_empty().dangerously_unencrypted().credentials(rotating[0].answer());
    let store = options.connect_cluster(&addresses).await.unwrap();
    assert_eq!(call(&store, 0).await, "Ok");
    let minimal =
        format!("countersign reset on >secret-1 ~countersign:* {RUNS} {NEEDS_ON_A_CLUSTER}");
    for node in &mut rotating {
        node.change("secret-1").await;
        acl(&mut node.client, &minimal).await;
    }
    "secret-1".clone_into(&mut rotating[0].password.lock().unwrap());
    let started = Instant::now();
    let mut said = Vec::new();
    while said.len() < CALLS || said.iter().any(|said| said != "Ok") {
        assert!(started.elapsed() < Duration::from_secs(30), "{said:?}");
        said.clear();
        for number in 0..CALLS {
            said.push(call(&store, number).await);
        }
    }
}
