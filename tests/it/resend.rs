//! Sending again: when, how often, where to, and what it does not change.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::time::Duration;

use crate::support::wiring::Answering;
use crate::support::*;
use countersign::contact::{Destination, PhoneNumber};
use countersign::event::EventKind;
use countersign::sender::SendErrorKind;
use countersign::{
    DeliveryStatus, LoginStep, Method, PendingToken, Reason, ResendTo, SecondFactor,
};

const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(60 * 60);
const NUMBER: &str = "+15551234567";

async fn resend(world: &World, token: &PendingToken, to: ResendTo) -> LoginStep {
    world.request().resend(token, to).await.unwrap()
}

fn email(world: &World) -> Destination {
    assert_eq!(world.acme.as_str(), "acme");
    Destination::Email(person(&tenant("acme"), "alice").email.unwrap())
}

/// I-15: between two codes of one login lies the spacing, to the millisecond. Over all logins, a
/// user gets at most two codes within it.
#[tokio::test]
async fn another_code_waits_for_the_spacing() {
    let world = World::new().await;
    let challenge = world.begin("alice").await;
    let opens = world.now() + Duration::from_secs(30);
    assert_eq!(challenge.resend_at, Some(opens));
    let before = world.row(&world.alice);
    for wait in [Duration::ZERO, Duration::from_millis(29_999)] {
        world.clock.advance(wait);
        world.events.clear();
        let refused = denied(&resend(&world, &challenge.token, ResendTo::Same).await);
        assert_eq!((refused.reason(), refused.retry_at()), (Reason::SendLimit, Some(opens)));
        let expected =
            EventKind::StepRefused { login: Some(challenge.login), reason: "send_limit".into() };
        assert_eq!(world.only_event().kind, expected);
    }
    assert_eq!(world.row(&world.alice), before);
    // A second login (a double click, another browser) gets its own code, and both pages work.
    let second = world.begin("alice").await;
    assert!(matches!(second.delivery, DeliveryStatus::Sent(_)));
    let early = world.begin("alice").await;
    let DeliveryStatus::NotMade { denied } = early.delivery else { panic!("{:?}", early.delivery) };
    assert_eq!((denied.reason(), denied.retry_at()), (Reason::SendLimit, Some(opens)));
    assert!(early.delivery.sent().is_none());
    assert_eq!(world.outbox.attempts(), 2);
    world.clock.advance(MILLISECOND);
    // The login that got no code at first gets one now.
    let sent = challenge_of(resend(&world, &early.token, ResendTo::Same).await);
    assert!(matches!(sent.delivery, DeliveryStatus::Sent(_)));
    assert_eq!(world.outbox.attempts(), 3);
    let _ = authenticated(world.submit(&early.token, &world.last_code()).await);
}

/// I-15: two first steps within a second get a code each, and each page's code works, whichever is
/// typed first.
#[tokio::test]
async fn two_logins_at_once_have_a_code_each_and_both_work() {
    for order in [[0, 1], [1, 0]] {
        let world = World::new().await;
        let mut pages = Vec::new();
        for _ in 0..2 {
            let page = world.begin("alice").await;
            assert!(matches!(page.delivery, DeliveryStatus::Sent(_)));
            pages.push((page.token, world.last_code()));
            world.clock.advance(Duration::from_secs(1));
        }
        assert_eq!(world.outbox.attempts(), 2);
        for at in order {
            let (token, code) = &pages[at];
            let _ = authenticated(world.submit(token, code).await);
        }
    }
}

fn challenge_of(step: LoginStep) -> Box<countersign::Challenge> {
    crate::support::challenge(step)
}

/// I-10, I-15: one login gets so many codes; the deadline and the guesses stay what they were.
#[tokio::test]
async fn a_login_gets_five_codes_and_not_a_minute_more() {
    let world = World::new().await;
    let challenge = world.begin("alice").await;
    let deadline = challenge.login_expires_at;
    assert_eq!(deadline, world.now() + 10 * MINUTE);
    world.fail_codes(&challenge.token, 2).await.denied().unwrap();
    for nth in 2..=5 {
        world.clock.advance(MINUTE);
        let again = challenge_of(resend(&world, &challenge.token, ResendTo::Same).await);
        assert_eq!(again.login_expires_at, deadline);
        assert_eq!(again.login, challenge.login);
        assert_eq!(again.attempts_left, 3);
        assert_eq!(again.token.expose(), challenge.token.expose());
        assert_eq!(
            again.delivery.sent().unwrap().reference,
            world.outbox.last_code().unwrap().reference
        );
        assert_eq!(again.resend_at.is_none(), nth == 5, "the page knows that there is no sixth");
    }
    world.clock.advance(MINUTE);
    assert_eq!(
        reason(&resend(&world, &challenge.token, ResendTo::Same).await),
        Reason::LoginSendLimit
    );
    assert_eq!(
        reason(&resend(&world, &challenge.token, ResendTo::Email).await),
        Reason::LoginSendLimit
    );
    assert_eq!((world.outbox.attempts(), world.charged_sends(&world.alice)), (5, 5));
    let _ = authenticated(world.submit(&challenge.token, &world.last_code()).await);
}

/// The login ends at its deadline, however fresh its code is.
#[tokio::test]
async fn a_fresh_code_does_not_outlive_the_login() {
    for (wait, over) in [(Duration::from_millis(59_999), false), (MINUTE, true)] {
        let world = World::new().await;
        let challenge = world.begin("alice").await;
        world.clock.advance(9 * MINUTE);
        let _ = challenge_of(resend(&world, &challenge.token, ResendTo::Same).await);
        world.clock.advance(wait);
        let step = world.submit(&challenge.token, &world.last_code()).await;
        assert_eq!(
            step.denied().map(countersign::Denied::reason),
            over.then_some(Reason::LoginOver)
        );
    }
}

/// I-15, attack 35: the caps of an hour and of a day hold over all logins of a user.
#[tokio::test]
async fn the_caps_of_hour_and_day_survive_new_logins() {
    let world = World::new().await;
    let start = world.now();
    let mut challenge = world.begin("alice").await;
    for nth in 1..10 {
        world.clock.advance(MINUTE);
        challenge = if nth % 3 == 0 {
            world.begin("alice").await
        } else {
            challenge_of(resend(&world, &challenge.token, ResendTo::Same).await)
        };
        assert!(matches!(challenge.delivery, DeliveryStatus::Sent(_)), "{nth}");
    }
    assert_eq!(world.outbox.attempts(), 10);
    world.clock.set(start + HOUR - MILLISECOND);
    let waiting = world.begin("alice").await;
    let DeliveryStatus::NotMade { denied } = waiting.delivery else {
        panic!("{:?}", waiting.delivery)
    };
    assert_eq!(denied.retry_at(), Some(start + HOUR));
    assert_eq!(waiting.resend_at, Some(start + HOUR));
    assert_eq!(reason(&resend(&world, &waiting.token, ResendTo::Same).await), Reason::SendLimit);
    world.clock.advance(MILLISECOND);
    let _ = challenge_of(resend(&world, &waiting.token, ResendTo::Same).await);
    // Ten more make twenty; then it is over for the day.
    while world.outbox.attempts() < 20 {
        world.clock.advance(10 * MINUTE);
        assert!(matches!(world.begin("alice").await.delivery, DeliveryStatus::Sent(_)));
    }
    world.clock.set(start + DAY - MILLISECOND);
    assert!(matches!(world.begin("alice").await.delivery, DeliveryStatus::NotMade { .. }));
    assert_eq!(world.outbox.attempts(), 20);
    world.clock.advance(MILLISECOND);
    assert!(matches!(world.begin("alice").await.delivery, DeliveryStatus::Sent(_)));
    assert_eq!(world.outbox.last_code().unwrap().to, email(&world));
    assert!(
        matches!(world.begin("bob").await.delivery, DeliveryStatus::Sent(_)),
        "a budget is one user's"
    );
}

/// I-15, I-24: the send is saved before the sender is called, and stays saved when it fails.
#[tokio::test]
async fn a_send_is_charged_before_it_is_made_and_never_refunded() {
    let mut world = World::new().await;
    let (factors, acme, alice) = (world.factors.clone(), world.acme.clone(), world.alice.clone());
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let at_the_sender = std::sync::Arc::clone(&seen);
    let sender = Answering::with(move |_| {
        let document = factors.record(&acme, &alice).unwrap().document;
        let record: serde_json::Value = serde_json::from_str(&document).unwrap();
        at_the_sender.lock().unwrap().push(record["sends"].as_array().unwrap().len());
        Err(countersign::sender::SendError::new(SendErrorKind::Permanent))
    });
    world.rewire(world.users.clone(), world.factors.clone(), sender.clone(), |builder| builder);
    let challenge = world.begin("alice").await;
    for _ in 1..5 {
        world.wait_for_the_spacing();
        let again = challenge_of(resend(&world, &challenge.token, ResendTo::Same).await);
        assert_eq!(failure(&again.delivery), SendErrorKind::Permanent);
    }
    assert_eq!(*seen.lock().unwrap(), [1, 2, 3, 4, 5]);
    assert_eq!(world.charged_sends(&world.alice), 5);
    world.wait_for_the_spacing();
    assert_eq!(
        reason(&resend(&world, &challenge.token, ResendTo::Same).await),
        Reason::LoginSendLimit
    );
}

/// I-15, attack 36: a locked user gets no code, by whatever way one is asked for.
#[tokio::test]
async fn nothing_is_sent_while_codes_are_locked() {
    let world = World::new().await;
    world.choose_sms("alice", NUMBER).await;
    let challenge = world.begin("alice").await;
    world.fail_codes(&challenge.token, 5).await.denied().unwrap();
    let (sent, before) = (world.outbox.attempts(), world.row(&world.alice));
    world.clock.advance(5 * MINUTE);
    for to in [ResendTo::Same, ResendTo::Email, ResendTo::Sms] {
        assert_eq!(reason(&resend(&world, &challenge.token, to).await), Reason::CodesLocked);
    }
    assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::CodesLocked);
    assert_eq!(world.outbox.attempts(), sent);
    assert_eq!(world.row(&world.alice), before);
}

/// I-15: without the right password there is nothing that makes the sender move.
#[tokio::test]
async fn nothing_is_sent_without_a_right_password() {
    let world = World::new().await;
    for name in ["alice", "nobody"] {
        let _ = world.try_begin(name, "wrong").await;
    }
    for token in ["", "csp1.", "alice"] {
        assert_eq!(reason(&resend(&world, &token.into(), ResendTo::Same).await), Reason::LoginOver);
    }
    // Nor for a login that is over.
    let cancelled = world.begin("bob").await;
    world.request().cancel(&cancelled.token).await.unwrap();
    world.wait_for_the_spacing();
    assert_eq!(reason(&resend(&world, &cancelled.token, ResendTo::Same).await), Reason::LoginOver);
    let done = world.begin("bob").await;
    let _ = authenticated(world.submit(&done.token, &world.last_code()).await);
    world.wait_for_the_spacing();
    assert_eq!(reason(&resend(&world, &done.token, ResendTo::Same).await), Reason::LoginOver);
    assert_eq!(world.outbox.attempts(), 2);
}

/// The way out when an SMS does not arrive: to the email address, for this login only.
#[tokio::test]
async fn a_code_can_go_to_the_email_address_for_this_login() {
    let world = World::new().await;
    world.choose_sms("alice", NUMBER).await;
    let challenge = world.begin("alice").await;
    let by_sms = world.outbox.last_code().unwrap();
    assert_eq!(by_sms.to, Destination::Sms(PhoneNumber::new(NUMBER).unwrap()));
    assert_eq!(challenge.alternatives.email.as_ref().unwrap().as_str(), "a***@example.com");
    assert_eq!(challenge.alternatives.sms, None, "it went there already");
    world.wait_for_the_spacing();
    let again = challenge_of(resend(&world, &challenge.token, ResendTo::Email).await);
    assert_eq!(world.outbox.last_code().unwrap().to, email(&world));
    assert_eq!(again.delivery.sent().unwrap().method, Method::Email);
    assert_eq!(again.alternatives.sms.as_ref().unwrap().as_str(), "+1 *** **67");
    assert_eq!(reason(&world.submit(&challenge.token, &by_sms.code).await), Reason::WrongCode);
    // "The same" is now the address.
    world.wait_for_the_spacing();
    let _ = challenge_of(resend(&world, &challenge.token, ResendTo::Same).await);
    assert_eq!(world.outbox.last_code().unwrap().to, email(&world));
    let done = authenticated(world.submit(&challenge.token, &world.last_code()).await);
    assert_eq!(done.grant.second_factor(), &SecondFactor::Code { method: Method::Email });
    assert_eq!(world.request().account(&done.grant).status().await.unwrap().method, Method::Sms);
    world.wait_for_the_spacing();
    let _ = world.begin("alice").await;
    assert_eq!(world.outbox.last_code().unwrap().to, by_sms.to, "the next login goes by SMS again");
}

/// I-32: no code goes to a number that is not proved.
#[tokio::test]
async fn a_code_goes_to_a_proved_number_only() {
    let world = World::new().await;
    let grant = world.sign_in("alice").await.grant;
    world.wait_for_the_spacing();
    let _setup =
        world.request().account(&grant).use_sms(&PhoneNumber::new(NUMBER).unwrap()).await.unwrap();
    world.wait_for_the_spacing();
    let challenge = world.begin("alice").await;
    assert_eq!(challenge.alternatives.sms, None);
    world.wait_for_the_spacing();
    let sent = world.outbox.attempts();
    assert_eq!(
        reason(&resend(&world, &challenge.token, ResendTo::Sms).await),
        Reason::NoPhoneNumber
    );
    // A registered address that went away ends the login (I-30).
    world.change(&world.alice, |user| user.email = None);
    assert_eq!(reason(&resend(&world, &challenge.token, ResendTo::Email).await), Reason::LoginOver);
    assert_eq!(world.outbox.attempts(), sent);
}

/// A page offers no code that would be refused: a login without guesses gets none, also once its
/// user is unlocked.
#[tokio::test]
async fn a_login_without_guesses_is_offered_no_other_code() {
    let world = World::new().await;
    let root = world.root_grant().await;
    let token = world.lock_codes("alice").await.token;
    world.request().administration(&root).await.unwrap().unlock(&world.alice).await.unwrap();
    let page = challenge(world.request().challenge(&token).await.unwrap());
    assert_eq!((page.attempts_left, page.resend_at), (0, None));
    assert_eq!((page.alternatives.email, page.alternatives.sms), (None, None));
    let step = world.request().resend(&token, ResendTo::Same).await.unwrap();
    assert_eq!(reason(&step), Reason::LoginSendLimit);
    // The next login has as many guesses as any other.
    world.wait_for_the_spacing();
    let page = world.begin("alice").await;
    assert!(page.attempts_left > 0 && page.resend_at.is_some());
}
