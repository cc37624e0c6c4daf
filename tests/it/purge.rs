//! Physical deletion after switching off: in batches, resumable, of the earlier generations and
//! nothing else.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use crate::support::faults::{FaultPoint, When, faulty_flow, poll_then_drop};
use crate::support::interject::Interject;
use crate::support::steps::flow_over;
use crate::support::*;
use countersign::event::EventKind;
use countersign::operator::PurgeProgress;
use countersign::policy::StandardPolicy;
use countersign::store::{
    CommitOutcome, ExpectedVersions, FactorStore, Generation, StoredRow, Version,
};
use countersign::{LoginFlow, RequestContext, Scope, TenantId};

/// A tenant that was just switched off, with so many records of the time before.
async fn switched_off(records: usize) -> World {
    let world = World::new().await;
    for number in 1..records {
        let name = format!("user{number}");
        Person::named(&name).join(&world.users, &world.acme).unwrap();
        let _ = world.begin(&name).await;
    }
    world.set_scope(Scope::DoNotUse).await;
    assert_eq!(world.factors.records(&world.acme), records);
    world.events.clear();
    world.calls.clear();
    world
}

async fn purge(world: &World, at_most: u32) -> PurgeProgress {
    world.flow.purge(&world.acme, at_most).await.unwrap().unwrap()
}

fn numbers(progress: &PurgeProgress) -> (u64, Option<u64>, bool) {
    (progress.deleted, progress.remaining, progress.finished_at.is_some())
}

fn finished_events(world: &World) -> usize {
    world.events.kinds().iter().filter(|kind| **kind == EventKind::PurgeFinished).count()
}

#[tokio::test]
async fn there_is_nothing_to_purge_before_the_first_switching_off() {
    let world = World::off();
    assert!(world.flow.purge(&world.acme, 10).await.unwrap().is_none());
    let world = World::new().await;
    let _ = world.begin("alice").await;
    assert!(world.flow.purge(&world.acme, 10).await.unwrap().is_none());
    assert_eq!(world.factors.records(&world.acme), 1);
    assert!(world.flow.purge(&TenantId::new("unknown").unwrap(), 10).await.unwrap().is_none());
}

#[tokio::test]
async fn it_goes_in_batches_and_says_how_far_it_is() {
    let world = switched_off(5).await;
    let at = countersign::clock::Clock::now(&world.clock).unwrap();
    let root = world.root_grant().await;
    let administration = world.request().administration(&root).await.unwrap();
    let shown = administration.purge_progress().await.unwrap().unwrap();
    assert_eq!((numbers(&shown), shown.started_at), ((0, Some(5), false), at));
    let operator = world.flow.operator("job").unwrap();
    assert_eq!(operator.purge_progress(&world.acme).await.unwrap(), Some(shown));
    assert_eq!(operator.purge_progress(&world.other).await.unwrap(), None);
    for (at_most, expected) in
        [(2, (2, None, false)), (2, (4, None, false)), (2, (5, Some(0), true))]
    {
        world.clock.advance(MINUTE);
        let progress = purge(&world, at_most).await;
        assert_eq!(numbers(&progress), expected);
        let shown = administration.purge_progress().await.unwrap().unwrap();
        assert_eq!(
            (shown.deleted, shown.remaining),
            (progress.deleted, Some(5 - progress.deleted))
        );
        assert_eq!(shown.finished_at, progress.finished_at);
    }
    let shown = purge(&world, 2).await;
    assert_eq!((shown.started_at, shown.finished_at), (at, Some(at + 3 * MINUTE)));
    assert_eq!(finished_events(&world), 1);
    // Once it is finished it does nothing any more.
    world.calls.clear();
    let _ = purge(&world, 2).await;
    assert_eq!((world.calls.of("purge"), world.calls.of("change_settings")), (0, 0));
    let json = serde_json::to_string(&shown).unwrap();
    assert_eq!(serde_json::from_str::<PurgeProgress>(&json).unwrap(), shown);
}

/// What a page says that switching off would delete is what it then deletes.
#[tokio::test]
async fn saved_users_are_those_that_switching_off_deletes() {
    let world = switched_off(3).await;
    let root = world.root_grant().await;
    let administration = world.request().administration(&root).await.unwrap();
    let saved = async || administration.saved_users().await.unwrap();
    // Those of the time before are on their way out, and not counted again.
    assert_eq!((saved().await, world.factors.records(&world.acme)), (0, 3));
    world.set_scope(Scope::EntireTenant).await;
    let root = world.root_grant().await;
    let administration = world.request().administration(&root).await.unwrap();
    let saved = async || administration.saved_users().await.unwrap();
    let of_root = saved().await;
    let _ = world.begin("alice").await;
    assert_eq!(saved().await, of_root + 1);
    world.set_scope(Scope::DoNotUse).await;
    let progress = world.flow.operator("page").unwrap().purge_progress(&world.acme).await;
    // Two of the three of before have not logged in again, and go with them.
    let remaining = progress.unwrap().unwrap().remaining.unwrap();
    assert_eq!(remaining, of_root + 1 + 2);
}

/// A batch that is exactly full does not say that nothing is left.
#[tokio::test]
async fn it_is_finished_only_when_none_was_left() {
    let world = switched_off(4).await;
    assert_eq!(numbers(&purge(&world, 4).await), (4, None, false));
    assert_eq!(numbers(&purge(&world, 4).await), (4, Some(0), true));

    // A row of the earlier generation that appears after the batch.
    let world = switched_off(2).await;
    let store = Interject::over(&world);
    let (factors, tenant) = (world.factors.clone(), world.acme.clone());
    store.interceptor.once("before count", move || late_row(factors, tenant));
    let flow = flow_over(&world, store.clone(), |b| b);
    let progress = flow.purge(&world.acme, 10).await.unwrap().unwrap();
    assert_eq!(numbers(&progress), (2, Some(1), false));
    assert_eq!(numbers(&purge(&world, 10).await), (3, Some(0), true));
}

async fn late_row(factors: countersign::memory::MemoryFactors, tenant: TenantId) {
    let settings = factors.settings(&tenant).await.unwrap().map(|saved| saved.version);
    let saved = StoredRow {
        version: Version::from_bytes([9; 16]),
        generation: Generation::new(0),
        document: String::from("{}"),
    };
    let expected = ExpectedVersions { settings, record: None };
    assert_eq!(
        factors.commit(&tenant, &user_id("late"), &expected, &saved).await.unwrap(),
        CommitOutcome::Written
    );
}

/// The same for a sweep.
#[tokio::test]
async fn a_batch_has_at_least_one_and_at_most_five_thousand_records() {
    let world = World::new().await;
    let _ = world.begin("alice").await;
    let next = world.row(&world.alice).unwrap();
    let settings = world.factors.settings(&world.acme).await.unwrap().map(|saved| saved.version);
    let expected = ExpectedVersions { settings, record: None };
    for number in 1..=5_000 {
        let user = user_id(&format!("user{number}"));
        assert_eq!(
            world.factors.commit(&world.acme, &user, &expected, &next).await.unwrap(),
            CommitOutcome::Written
        );
    }
    for (at_most, looked_at) in [(0, 1), (u32::MAX, 5_000)] {
        let swept = world.flow.sweep(&world.acme, None, at_most).await.unwrap();
        assert_eq!((swept.looked_at, swept.next.is_some()), (looked_at, true));
    }
    world.set_scope(Scope::DoNotUse).await;
    assert_eq!(world.factors.records(&world.acme), 5_002);
    assert_eq!(numbers(&purge(&world, 0).await), (1, None, false));
    assert_eq!(numbers(&purge(&world, u32::MAX).await), (5_001, None, false));
    assert_eq!(numbers(&purge(&world, u32::MAX).await), (5_002, Some(0), true));
}

/// I-27: what was saved since is not touched, and neither are other tenants.
#[tokio::test]
async fn it_deletes_no_record_of_this_generation_or_of_another_tenant() {
    let world = switched_off(4).await;
    world.other_uses_it_too().await;
    world.begin_in_other("alice", None).await.denied();
    world.set_scope(Scope::EntireTenant).await;
    world.make_backup_code("alice").await;
    let kept = world.factors.record(&world.acme, &world.alice).unwrap();
    let elsewhere = world.factors.record(&world.other, &world.alice).unwrap();
    while purge(&world, 1).await.finished_at.is_none() {}
    assert_eq!(world.factors.record(&world.acme, &world.alice), Some(kept));
    assert_eq!(world.factors.record(&world.other, &world.alice), Some(elsewhere));
    assert_eq!(world.factors.count(&world.acme, Generation::new(1)).await.unwrap(), 0);
}

/// I-27: two nodes purge at the same moment: every record goes, is counted, and the end is noted
/// once.
#[tokio::test]
async fn two_purges_at_once_count_what_both_have_deleted() {
    for point in [
        "before purge",
        "after purge",
        "before count",
        "before change_settings",
        "after change_settings",
    ] {
        let world = switched_off(6).await;
        let store = Interject::over(&world);
        let (plain, tenant) = (world.flow.clone(), world.acme.clone());
        let flow = flow_over(&world, store.clone(), |b| b);
        store.interceptor.once(point, move || async move {
            let _progress = plain.purge(&tenant, 2).await.unwrap();
        });
        let mut calls = 0;
        loop {
            let progress = flow.purge(&world.acme, 3).await.unwrap().unwrap();
            calls += 1;
            if progress.finished_at.is_some() {
                assert_eq!(numbers(&progress), (6, Some(0), true), "{point}");
                break;
            }
            assert!(calls < 10, "{point}");
        }
        assert!(store.interceptor.is_done());
        assert_eq!(
            (world.factors.records(&world.acme), finished_events(&world)),
            (0, 1),
            "{point}"
        );
    }
}

#[tokio::test]
async fn the_end_is_noted_once_when_two_purges_see_it() {
    for point in ["after purge", "before count", "before change_settings"] {
        let world = switched_off(3).await;
        let store = Interject::over(&world);
        let (plain, tenant) = (world.flow.clone(), world.acme.clone());
        let flow = flow_over(&world, store.clone(), |b| b);
        store.interceptor.once(point, move || async move {
            let _progress = plain.purge(&tenant, 100).await.unwrap();
        });
        let progress = flow.purge(&world.acme, 100).await.unwrap().unwrap();
        assert_eq!(numbers(&progress), (3, Some(0), true), "{point}");
        assert_eq!(finished_events(&world), 1, "{point}");
    }
}

/// Switching on in the middle of a purge is not undone by it, and the purge goes on.
#[tokio::test]
async fn a_purge_does_not_undo_a_change_of_scope() {
    let world = switched_off(4).await;
    let root = world.root_grant().await;
    let store = Interject::over(&world);
    let plain = world.flow.clone();
    let flow = flow_over(&world, store.clone(), |b| b);
    store.interceptor.once("after purge", move || on_again(plain, root));
    let progress = flow.purge(&world.acme, 2).await.unwrap().unwrap();
    assert_eq!(numbers(&progress), (2, None, false));
    let _ = world.begin("alice").await;
    assert_eq!(numbers(&purge(&world, 100).await), (4, Some(0), true));
}

async fn on_again(flow: LoginFlow, root: countersign::SavedGrant) {
    flow.request(root.tenant(), &RequestContext::new())
        .administration(&root)
        .await
        .unwrap()
        .set_scope(Scope::EntireTenant)
        .await
        .unwrap();
}

/// And a change of scope does not undo what a purge has noted.
#[tokio::test]
async fn a_change_of_scope_does_not_undo_the_progress_of_a_purge() {
    let world = switched_off(4).await;
    let root = world.root_grant().await;
    let store = Interject::over(&world);
    let (plain, tenant) = (world.flow.clone(), world.acme.clone());
    let flow = flow_over(&world, store.clone(), |b| b);
    store.interceptor.once("before change_settings", move || async move {
        let _progress = plain.purge(&tenant, 100).await.unwrap();
    });
    flow.request(&world.acme, &RequestContext::new())
        .administration(&root)
        .await
        .unwrap()
        .set_scope(Scope::EntireTenant)
        .await
        .unwrap();
    assert_eq!(numbers(&purge(&world, 100).await), (4, Some(0), true));
    assert_eq!(finished_events(&world), 1);
}

/// Wherever a node stops, the next call goes on (I-27).
#[tokio::test]
async fn it_can_be_stopped_at_every_call_and_resumed() {
    for when in [When::Before, When::After] {
        for number in 1.. {
            let world = switched_off(4).await;
            let point = FaultPoint::default();
            let flow = faulty_flow(&world, &point, StandardPolicy, |b| b);
            point.arm(number, when);
            let broken = flow.purge(&world.acme, 100).await;
            if point.calls().len() < number {
                break;
            }
            let calls = point.calls();
            // A note that was written although the store said otherwise is found out.
            let found_out = calls[number - 1] == "change_settings" && when == When::After;
            assert_eq!(broken.is_ok(), found_out, "{when:?} {number} {calls:?}");
            point.disarm();
            let progress = flow.purge(&world.acme, 100).await.unwrap().unwrap();
            assert_eq!(finished_events(&world), 1, "{when:?} {number}");
            assert!(
                progress.finished_at.is_some()
                    && progress.remaining == Some(0)
                    && progress.deleted <= 4
            );
            assert_eq!(world.factors.records(&world.acme), 0);
        }
    }
}

#[tokio::test]
async fn it_can_be_dropped_at_every_point_and_resumed() {
    for polls in 0.. {
        let world = switched_off(4).await;
        let point = FaultPoint::default();
        let flow = faulty_flow(&world, &point, StandardPolicy, |b| b);
        point.wait_at_each_call();
        let done = poll_then_drop(polls, flow.purge(&world.acme, 100)).is_some();
        point.disarm();
        let progress = flow.purge(&world.acme, 100).await.unwrap().unwrap();
        assert!(progress.finished_at.is_some() && progress.deleted <= 4);
        assert_eq!(world.factors.records(&world.acme), 0);
        if done {
            break;
        }
    }
}
