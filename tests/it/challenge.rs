//! The page of a pending login, read again (I-46).
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::time::Duration;

use crate::support::*;
use countersign::{
    Challenge, DeliveryStatus, LoginStep, Method, PendingToken, Reason, ResendTo, TenantId,
};

async fn read(world: &World, tenant: &TenantId, token: &PendingToken) -> LoginStep {
    world.request_for(tenant).challenge(token).await.unwrap()
}

async fn shown(world: &World, token: &PendingToken) -> Box<Challenge> {
    challenge(read(world, &world.acme, token).await)
}

/// What both pages show, without what a page says of the delivery.
fn page(challenge: &Challenge) -> serde_json::Value {
    let mut page = serde_json::to_value(challenge).unwrap();
    page.as_object_mut().unwrap().remove("delivery");
    page["token"] = challenge.token.expose().into();
    page
}

/// I-46: a thousand looks charge nothing, prolong nothing, send nothing, and show what the page
/// had.
#[tokio::test]
async fn reading_a_challenge_changes_nothing() {
    let world = World::new().await;
    let first = world.begin("alice").await;
    let code = world.last_code();
    let (row, sent, events) =
        (world.row(&world.alice), world.outbox.attempts(), world.events.all().len());
    world.calls.clear();
    for _ in 0..1_000 {
        let again = shown(&world, &first.token).await;
        assert_eq!(page(&again), page(&first));
        let DeliveryStatus::MadeEarlier(earlier) = &again.delivery else { panic!("{again:?}") };
        assert_eq!(Some(earlier), first.delivery.sent());
        assert_eq!(again.delivery.sent(), None, "whether it arrived is not known here");
    }
    let calls = world.calls.take_sorted();
    assert_eq!(calls.iter().filter(|call| **call == "load").count(), 1_000, "{calls:?}");
    assert!(calls.iter().all(|call| ["load", "find_by_id"].contains(call)), "{calls:?}");
    assert_eq!(world.row(&world.alice), row);
    assert_eq!((world.outbox.attempts(), world.events.all().len()), (sent, events));
    // Control: another code changes the row, and the page.
    world.wait_for_the_spacing();
    let resent = world.request().resend(&first.token, ResendTo::Same).await.unwrap();
    assert_ne!(world.row(&world.alice), row);
    assert_ne!(page(&challenge(resent)), page(&first));
    // It was the one code of this login until then.
    assert_eq!(reason(&world.submit(&first.token, &code).await), Reason::WrongCode);
}

/// It shows the present: fewer tries, a code that has run out, another number.
#[tokio::test]
async fn a_challenge_is_shown_as_it_is_now() {
    let world = World::with(|b| b.code_ttl(Duration::from_secs(180))).await;
    world.choose_sms("alice", "+819012345634").await;
    world.wait_for_the_spacing();
    let first = world.begin("alice").await;
    let wrong = world.wrong_code();
    assert_eq!(reason(&world.submit(&first.token, &wrong).await), Reason::WrongCode);
    let again = shown(&world, &first.token).await;
    assert_eq!(again.attempts_left, first.attempts_left - 1);
    let DeliveryStatus::MadeEarlier(code) = &again.delivery else { panic!("{again:?}") };
    assert_eq!((code.method, code.destination.as_str()), (Method::Sms, "+81 *** **34"));
    assert!(again.alternatives.email.is_some() && again.alternatives.sms.is_none());

    world.clock.advance(Duration::from_secs(180));
    let again = shown(&world, &first.token).await;
    let DeliveryStatus::NotMade { denied } = again.delivery else { panic!("{again:?}") };
    assert_eq!(denied.reason(), Reason::NoLiveCode);
    assert_eq!(again.login_expires_at, first.login_expires_at);
    assert!(again.alternatives.email.is_some() && again.alternatives.sms.is_some());
    // However often it was read, the login ends when it would have.
    world.clock.advance(Duration::from_secs(10 * 60 - 180));
    assert_eq!(reason(&read(&world, &world.acme, &first.token).await), Reason::LoginOver);
}

/// I-46: nothing is shown of a login that is over, of another tenant's, or of nobody's; nothing is
/// written or sent, and no event says so.
#[tokio::test]
async fn what_is_no_pending_login_shows_nothing() {
    let world = World::new().await;
    let (first, other) = (world.begin("alice").await, world.begin("bob").await);
    world.request().cancel(&other.token).await.unwrap();
    let done = world.begin("root").await;
    drop(authenticated(world.submit(&done.token, &world.last_code()).await));
    let (row, events) = (world.row(&world.alice), world.events.all().len());
    let nobody = PendingToken::new("x");
    let acme = &world.acme;
    for (tenant, token) in
        [(&world.other, &first.token), (acme, &other.token), (acme, &done.token), (acme, &nobody)]
    {
        assert_eq!(reason(&read(&world, tenant, token).await), Reason::LoginOver);
    }
    world.change(&world.alice, |user| user.status = countersign::user::UserStatus::Disabled);
    assert_eq!(reason(&read(&world, acme, &first.token).await), Reason::LoginOver);
    assert_eq!(world.row(&world.alice), row, "what a step would delete is left to a step");
    assert_eq!(world.events.all().len(), events);
}

/// Another node, or the same one after a restart, shows the same page.
#[tokio::test]
async fn another_node_shows_the_same_page() {
    let mut world = World::new().await;
    let first = world.begin("alice").await;
    world.restarted(|b| b);
    let again = shown(&world, &first.token).await;
    assert_eq!(page(&again), page(&first));
    drop(authenticated(world.submit(&again.token, &world.last_code()).await));
}

/// A page that is read again after a failed send does not say that a code was sent.
#[tokio::test]
async fn a_failed_send_is_not_shown_as_sent() {
    let world = World::new().await;
    world.outbox.always(None, Delivered::Failed(countersign::sender::SendErrorKind::Transient));
    let first = world.begin("alice").await;
    assert!(matches!(first.delivery, DeliveryStatus::Failed { .. }));
    let again = shown(&world, &first.token).await;
    assert!(matches!(again.delivery, DeliveryStatus::MadeEarlier(_)), "{again:?}");
    assert_eq!(again.delivery.sent(), None);
    assert_eq!(serde_json::to_value(&again).unwrap()["delivery"]["state"], "made_earlier");
}
