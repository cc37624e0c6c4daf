//! Answers that come twice, or not at all, so that the next call gets another's.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod support;

use std::time::{Duration, Instant};

use countersign::UserId;
use countersign::store::{CommitOutcome, ExpectedVersions, FactorStore};
use countersign_redis::RedisFactors;
use support::calls::{CALLS, call, ids, options, row, server};
use support::mixer::{Flaw, Mixer};
use support::nodes;
use test_servers::servers::Server;

/// A connection younger than this is kept, see the store.
const YOUNG: Duration = Duration::from_millis(150);

/// A store with a mixer before its server, which knows all scripts: each call is one answer.
async fn behind(flaw: Flaw) -> Option<(Server, Mixer, RedisFactors)> {
    let server = server(&["--appendonly", "yes"])?;
    let mixer = Mixer::before(server.port(), flaw).await;
    // A call whose answer is lost ends by it.
    let store = options().response_timeout(Duration::from_secs(10)).initialise_if_empty();
    let store = store.connect(&mixer.url).await.unwrap();
    for number in 0..CALLS {
        assert_eq!(call(&store, number).await, "Ok");
    }
    let (acme, nobody) = (ids().0, UserId::new("nobody").unwrap());
    assert!(store.remove(&acme, &nobody).await.unwrap());
    tokio::time::sleep(YOUNG).await;
    Some((server, mixer, store))
}

/// Waits until the store has another connection, on which calls work.
async fn works_again(store: &RedisFactors) {
    let (acme, alice) = ids();
    let started = Instant::now();
    while let Err(fault) = store.load(&acme, &alice).await {
        assert!(
            ["MixedUp", "Unavailable"].iter().any(|name| format!("{fault:?}").starts_with(name)),
            "{fault:?}"
        );
        assert!(started.elapsed() < Duration::from_secs(60), "{fault:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(YOUNG).await;
}

/// I-09: a commit that gets the answer of the one before is no commit, whatever that was.
#[tokio::test(flavor = "multi_thread")]
async fn the_answer_of_another_commit_is_a_fault() {
    let Some((_server, mixer, store)) = behind(Flaw::Repeats).await else { return };
    let (acme, alice) = ids();
    let commit = async |record, next| {
        let expected = ExpectedVersions { settings: Some(row(1).version), record };
        store
            .commit(&acme, &alice, &expected, &row(next))
            .await
            .map_err(|fault| format!("{fault:?}"))
    };
    assert_eq!(commit(None, 1).await, Ok(CommitOutcome::Written));
    mixer.flaw(1);
    assert_eq!(commit(Some(row(1).version), 2).await, Ok(CommitOutcome::Written));
    assert_eq!(mixer.flaws_left(), 0);
    // The answer that comes is that of the commit before: written. This one is refused by the
    // server.
    assert_eq!(commit(Some(row(1).version), 3).await, Err("MixedUp".to_owned()));
    works_again(&store).await;
    assert_eq!(store.load(&acme, &alice).await.unwrap().record, Some(row(2)));
    // And a conflict that is another's is none.
    mixer.flaw(1);
    assert_eq!(commit(None, 4).await, Ok(CommitOutcome::Conflict));
    assert_eq!(commit(Some(row(2).version), 5).await, Err("MixedUp".to_owned()));
    works_again(&store).await;
    assert_eq!(
        store.load(&acme, &alice).await.unwrap().record,
        Some(row(5)),
        "it was written, and nobody was told so"
    );
}

/// I-04: nobody is answered with the record of somebody else.
#[tokio::test(flavor = "multi_thread")]
async fn the_record_of_another_user_is_a_fault() {
    let Some((_server, mixer, store)) = behind(Flaw::Repeats).await else { return };
    let (acme, alice) = ids();
    let none = ExpectedVersions { settings: Some(row(1).version), record: None };
    assert_eq!(store.commit(&acme, &alice, &none, &row(1)).await.unwrap(), CommitOutcome::Written);
    mixer.flaw(1);
    assert_eq!(store.load(&acme, &alice).await.unwrap().record, Some(row(1)));
    let bob = UserId::new("bob").unwrap();
    let said = store.load(&acme, &bob).await;
    assert_eq!(
        said.map(|found| found.record).map_err(|fault| format!("{fault:?}")),
        Err("MixedUp".to_owned())
    );
}

/// Whichever call it is, and whichever call the answer is of.
#[tokio::test(flavor = "multi_thread")]
async fn no_call_takes_the_answer_of_another() {
    let Some((_server, mixer, store)) = behind(Flaw::Repeats).await else { return };
    for before in 0..CALLS {
        // The same call again, and another one.
        for after in [before, (before * 3 + 1) % CALLS] {
            mixer.flaw(1);
            assert_eq!(call(&store, before).await, "Ok");
            assert_eq!(mixer.flaws_left(), 0);
            assert_eq!(call(&store, after).await, "MixedUp", "{before}, {after}");
            works_again(&store).await;
        }
    }
}

/// Where an answer is lost, the next one comes in its place.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_the_place_of_a_lost_one_is_a_fault() {
    let Some((_server, mixer, store)) = behind(Flaw::Loses).await else { return };
    let (acme, alice) = ids();
    let none = ExpectedVersions { settings: Some(row(1).version), record: None };
    assert_eq!(store.commit(&acme, &alice, &none, &row(1)).await.unwrap(), CommitOutcome::Written);
    mixer.flaw(1);
    let bob = UserId::new("bob").unwrap();
    let first = {
        let (store, acme) = (store.clone(), acme.clone());
        tokio::spawn(async move { store.commit(&acme, &bob, &none, &row(1)).await })
    };
    while mixer.flaws_left() > 0 {
        tokio::task::yield_now().await;
    }
    // The first commit waits for the answer that is lost. This one is refused, and its answer goes
    // to the first.
    let second = store.commit(&acme, &alice, &none, &row(2)).await;
    let first = first.await.unwrap();
    assert_eq!(format!("{:?}", first.unwrap_err()), "MixedUp");
    assert!(
        format!("{:?}", second.unwrap_err()).starts_with("Unavailable"),
        "its own answer was taken by the first"
    );
    works_again(&store).await;
}

/// The same on a cluster, whose connections are the driver's own: all of them are made anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_mixes_up_answers_is_connected_to_again() {
    let Some(nodes) = nodes::start().unwrap() else { return };
    // The node that has the tenant says that it is where the mixer is.
    let (acme, alice) = ids();
    let plain = options().initialise_if_empty().dangerously_unencrypted();
    let addresses: Vec<_> = nodes.iter().map(Server::url).collect();
    plain.connect_cluster(&addresses).await.unwrap();
    let keys = "countersign:{*}:m";
    assert!(nodes.iter().all(|node| !nodes::command(node, &["KEYS", keys]).unwrap().is_empty()));
    let mut mixers = Vec::new();
    for node in &nodes {
        let mixer = Mixer::before(node.port(), Flaw::Repeats).await;
        let port = mixer.url.trim_end_matches('/').rsplit_once(':').unwrap().1;
        nodes::command(node, &["CONFIG", "SET", "cluster-announce-port", port]).unwrap();
        mixers.push(mixer);
    }
    let seeds: Vec<_> = mixers.iter().map(|mixer| mixer.url.as_str()).collect();
    let started = Instant::now();
    // The nodes tell each other where they are.
    while !nodes.iter().all(|node| {
        let known = nodes::command(node, &["CLUSTER", "NODES"]).unwrap();
        seeds.iter().all(|seed| {
            known.contains(&seed.trim_start_matches("redis://").trim_end_matches('/').to_owned())
        })
    }) {
        assert!(started.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let store = options().dangerously_unencrypted().connect_cluster(&seeds).await.unwrap();
    assert!(store.load(&acme, &alice).await.is_ok());
    tokio::time::sleep(YOUNG).await;
    for _ in 0..3 {
        for mixer in &mixers {
            mixer.flaw(1);
        }
        assert!(store.load(&acme, &alice).await.is_ok());
        for mixer in &mixers {
            mixer.flaw(0);
        }
        assert_eq!(format!("{:?}", store.load(&acme, &alice).await.unwrap_err()), "MixedUp");
        works_again(&store).await;
    }
}
