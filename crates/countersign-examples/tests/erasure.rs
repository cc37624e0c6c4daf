//! Switching off, purging and sweeping through the flow, on each store, with logins at the same
//! time.
#![allow(clippy::arithmetic_side_effects, clippy::panic, clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use countersign::{Scope, UserId};
use countersign_examples::store_at;
use countersign_testkit::{Person, TenantSetup, World};
use test_servers::servers;

const PEOPLE: u64 = 40;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn name(number: u64) -> String {
    format!("person-{number}")
}

/// I-27: two nodes purge while half of the people log in anew. Afterwards nothing of the time
/// before is left, and everything of the time since is there; a sweep, when none of it matters any
/// more, deletes that too.
async fn erase(address: &str) {
    let store = store_at(address).await.unwrap();
    let mut tenancy = TenantSetup::named(format!("erasure-{}", std::process::id()));
    for number in 0..PEOPLE {
        tenancy = tenancy.person(Person::named(name(number)));
    }
    let world = Arc::new(World::of(Arc::clone(&store), tenancy, |builder| builder).unwrap());
    let (tenant, operator) = (&world.tenant, world.flow.operator("test").unwrap());
    operator.set_scope(tenant, Scope::EntireTenant).await.unwrap();
    for number in 0..PEOPLE {
        let _ = world.sign_in(&name(number)).await.unwrap();
    }
    operator.set_scope(tenant, Scope::DoNotUse).await.unwrap();
    let progress = operator.purge_progress(tenant).await.unwrap().unwrap();
    assert_eq!(
        (progress.deleted, progress.remaining, progress.finished_at),
        (0, Some(PEOPLE), None)
    );
    operator.set_scope(tenant, Scope::EntireTenant).await.unwrap();
    world.clock.advance(Duration::from_secs(60));

    let mut at_once = tokio::task::JoinSet::new();
    for number in 0..PEOPLE / 2 {
        let world = Arc::clone(&world);
        at_once.spawn(async move { drop(world.sign_in(&name(number)).await.unwrap()) });
    }
    for _node in 0..2 {
        let world = Arc::clone(&world);
        at_once.spawn(async move {
            while world.flow.purge(&world.tenant, 7).await.unwrap().unwrap().finished_at.is_none() {
            }
        });
    }
    while let Some(done) = at_once.join_next().await {
        done.unwrap();
    }

    let progress = operator.purge_progress(tenant).await.unwrap().unwrap();
    assert_eq!(progress.remaining, Some(0));
    assert!((PEOPLE / 2..=PEOPLE).contains(&progress.deleted), "{progress:?}");
    let generation = store.settings(tenant).await.unwrap().unwrap().generation;
    assert_eq!(store.count(tenant, generation).await.unwrap(), 0);
    for number in 0..PEOPLE {
        let record = store.load(tenant, &UserId::new(&name(number)).unwrap()).await.unwrap().record;
        assert_eq!(
            record.map(|record| record.generation),
            (number < PEOPLE / 2).then_some(generation),
            "{number}"
        );
    }

    // The longest of what counts in a budget is a month.
    for (later, removed) in [(DAY, 0), (60 * DAY, PEOPLE / 2)] {
        world.clock.advance(later);
        let (mut after, mut looked_at, mut gone) = (None, 0, 0);
        loop {
            let batch = world.flow.sweep(tenant, after.as_ref(), 7).await.unwrap();
            assert_eq!(batch.unreadable, 0);
            (looked_at, gone, after) =
                (looked_at + batch.looked_at, gone + batch.removed, batch.next);
            if after.is_none() {
                break;
            }
        }
        assert_eq!((looked_at, gone), (PEOPLE / 2, removed));
    }
    assert_eq!(store.users(tenant, generation, None, 10).await.unwrap(), []);
    // Whoever comes after that begins anew.
    let _ = world.sign_in(&name(0)).await.unwrap();
    assert!(operator.forget(tenant, &UserId::new(&name(0)).unwrap()).await.unwrap());
    assert_eq!(store.users(tenant, generation, None, 10).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn memory() {
    erase("memory:").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite() {
    let directory = tempfile::tempdir().unwrap();
    erase(&format!("sqlite:{}", directory.path().join("countersign.db").display())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres() {
    if let Some(url) = servers::postgres_url().unwrap() {
        erase(&url).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis() {
    if let Some(url) = servers::redis_url().unwrap() {
        erase(&url).await;
    }
}
