//! What the steps that a tenant's settings brought cost: every call, in order.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use crate::support::steps::flow_over;
use crate::support::*;
use countersign::administration::LockOuts;
use countersign::tenant::{Methods, SingleSignOn};
use countersign::{Administration, Channel, Method, Rehearsal, ResendTo, Scope, TenantSettings};

/// An administrator is found entitled by these calls.
const ENTITLED: [&str; 2] = ["find_by_id", "load"];

/// A world whose list of users is counted, too.
async fn stage() -> (World, Administration) {
    let mut world = World::new().await;
    let factors = Counting::new(world.factors.clone(), &world.calls);
    let directory = Counting::new(world.users.clone(), &world.calls);
    world.flow = flow_over(&world, factors, |b| b.directory(directory));
    let grant = world.root_grant().await;
    let desk = world.request().administration(&grant).await.unwrap();
    world.calls.clear();
    (world, desk)
}

fn taken(world: &World) -> Vec<&'static str> {
    let calls = world.calls.all();
    world.calls.clear();
    calls
}

/// The calls of one change.
async fn calls_of(
    world: &World,
    desk: &Administration,
    lock_outs: LockOuts,
    edit: impl FnOnce(&mut TenantSettings),
) -> Vec<&'static str> {
    let shown = desk.settings().await.unwrap();
    let mut next = shown.settings;
    edit(&mut next);
    world.calls.clear();
    desk.change_settings(shown.version, &next, lock_outs).await.unwrap();
    taken(world)
}

/// A change reads once, writes once, and asks once who is to be notified. Where nobody has looked
/// at whom it locks out, it reads once more before that, and then, if it may lock people out, looks
/// at them: two calls for each page.
#[tokio::test]
async fn a_change_of_settings_reads_once_and_writes_once() {
    let (world, desk) = stage().await;
    desk.settings().await.unwrap();
    assert_eq!(taken(&world), ENTITLED);
    let written = [&ENTITLED[..], &["change_settings", "administrators"]].concat();
    for (lock_outs, switch, looks) in [
        (LockOuts::Accept, SingleSignOn::SystemAdministrators, &[][..]),
        (LockOuts::Refuse, SingleSignOn::Exempt, &ENTITLED[..]),
    ] {
        let calls = calls_of(&world, &desk, lock_outs, |settings| settings.single_sign_on = switch);
        assert_eq!(calls.await, [looks, &written].concat(), "{lock_outs:?}");
    }
    let accepted =
        calls_of(&world, &desk, LockOuts::Accept, |settings| settings.backup_codes = false);
    assert_eq!(accepted.await, written);
    let looked_at = calls_of(&world, &desk, LockOuts::Refuse, |settings| {
        settings.methods = Methods::only(Method::Email);
    });
    assert_eq!(looked_at.await, [&ENTITLED[..], &["page", "load_many"], &written].concat());
    // What holds already is not written again.
    let nothing = calls_of(&world, &desk, LockOuts::Refuse, |_| {});
    assert_eq!(nothing.await, ENTITLED.repeat(2));
    // A scope alone, as before.
    let scope = calls_of(&world, &desk, LockOuts::Accept, |settings| {
        settings.scope = Scope::SystemAdministratorsOnly;
    });
    assert_eq!(scope.await, written);
}

/// A refused change writes nothing and looks at nobody.
#[tokio::test]
async fn a_refused_change_only_reads() {
    let (world, desk) = stage().await;
    let shown = desk.settings().await.unwrap();
    world.change_settings(|settings| settings.backup_codes = false).await;
    for lock_outs in [LockOuts::Accept, LockOuts::Refuse] {
        world.calls.clear();
        let refused = desk.change_settings(shown.version, &shown.settings, lock_outs).await;
        assert!(refused.unwrap_err().denied().is_some());
        assert_eq!(taken(&world), ENTITLED);
    }
}

/// A rehearsal reads each page of 500 people in two calls, whether one person is affected or all.
#[tokio::test]
async fn a_rehearsal_reads_page_by_page() {
    let (world, desk) = stage().await;
    for number in 0..1_200 {
        let name = format!("user-{number:04}");
        world
            .users
            .insert(&countersign::LoginName::new(&name).unwrap(), person(&world.acme, &name));
    }
    let mut next = desk.settings().await.unwrap().settings;
    next.scope = Scope::DoNotUse;
    world.calls.clear();
    let found = desk.rehearse(&next, Rehearsal::default(), 10_000).await.unwrap();
    assert_eq!((found.people, found.no_longer_asked.count), (1_203, 1_203));
    assert_eq!(taken(&world), [&ENTITLED[..], &["page", "load_many"].repeat(3)].concat());
    let found = desk.rehearse(&next, Rehearsal::default(), 10).await.unwrap();
    assert_eq!(found.people, 10);
    assert_eq!(taken(&world), [&ENTITLED[..], &["page", "load_many"]].concat());
    let operator = world.flow.operator("test").unwrap();
    let _found = operator.rehearse(&world.acme, &next, Rehearsal::default(), 10).await.unwrap();
    assert_eq!(taken(&world), ["settings", "page", "load_many"]);
}

#[tokio::test]
async fn a_page_of_people_is_two_calls() {
    let (world, desk) = stage().await;
    let page = desk.people(None, 2).await.unwrap();
    assert_eq!(page.people.len(), 2);
    assert_eq!(taken(&world), [&ENTITLED[..], &["page", "load_many"]].concat());
}

#[tokio::test]
async fn an_explanation_is_one_look_up_and_one_load() {
    let (world, _) = stage().await;
    let operator = world.flow.operator("test").unwrap();
    for channel in [Channel::Web, Channel::SingleSignOn] {
        operator.explain(&world.acme, &world.alice, channel).await.unwrap();
        assert_eq!(world.calls.take_sorted(), ["find_by_id", "load"]);
    }
}

/// After single sign-on nothing is hashed and no name is looked up; who is exempt costs no write.
#[tokio::test]
async fn a_first_step_after_single_sign_on_is_a_look_up_a_load_and_a_commit() {
    let (world, _) = stage().await;
    world
        .change_settings(|settings| settings.single_sign_on = SingleSignOn::SystemAdministrators)
        .await;
    world.wait_for_the_spacing();
    world.calls.clear();
    let _pending =
        challenge(world.request().begin_after_single_sign_on(&world.root).await.unwrap());
    assert_eq!(world.calls.take_sorted(), ["commit", "find_by_id", "load"]);
    let _done =
        authenticated(world.request().begin_after_single_sign_on(&world.alice).await.unwrap());
    assert_eq!(world.calls.take_sorted(), ["find_by_id", "load"]);
}

/// The later steps of a login after single sign-on cost what they cost after a password.
#[tokio::test]
async fn the_later_steps_cost_the_same_after_single_sign_on() {
    let (world, _) = stage().await;
    world
        .change_settings(|settings| settings.single_sign_on = SingleSignOn::SystemAdministrators)
        .await;
    let mut costs = Vec::new();
    for by_password in [true, false] {
        world.wait_for_the_spacing();
        let pending = if by_password {
            world.begin("root").await
        } else {
            challenge(world.request().begin_after_single_sign_on(&world.root).await.unwrap())
        };
        world.wait_for_the_spacing();
        world.calls.clear();
        let again = challenge(world.resend_to(&pending.token, ResendTo::Same).await);
        let resend = world.calls.take_sorted();
        let _ = world.submit(&again.token, &world.wrong_code()).await;
        let wrong = world.calls.take_sorted();
        let _done = authenticated(world.submit(&again.token, &world.last_code()).await);
        costs.push([resend, wrong, world.calls.take_sorted()]);
    }
    assert_eq!(costs[0], costs[1]);
    for step in &costs[0] {
        assert_eq!(step[..], ["commit", "find_by_id", "load"]);
    }
}
