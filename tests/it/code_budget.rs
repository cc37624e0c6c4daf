//! Wrong codes: how they are counted, what they lock, and what does not help against it.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::time::Duration;

use crate::support::steps::flow_over;
use crate::support::*;
use countersign::event::{EventKind, SecretKind};
use countersign::sender::NoticeKind;
use countersign::status::LockState;
use countersign::{Code, Error, PendingToken, Reason, RequestContext, ResendTo, TrustDevice};
use countersign_testkit::{Failing, InjectedFault, Mishaps};

const MILLISECOND: Duration = Duration::from_millis(1);

/// I-10, attacks 2, 3 and 15: nothing but a right code clears the count: not sending again, not
/// another login, not a restart.
#[tokio::test]
async fn a_wrong_code_is_counted_and_stays_counted() {
    let mut world = World::new().await;
    let challenge = world.begin("alice").await;
    world.fail_codes(&challenge.token, 1).await.denied().unwrap();
    assert_eq!(denied(&world.fail_codes(&challenge.token, 1).await).attempts_left(), Some(3));
    assert_eq!(world.saved_wrong_codes(&world.alice), 2);

    world.wait_for_the_spacing();
    let again = crate::support::challenge(
        world.request().resend(&challenge.token, ResendTo::Same).await.unwrap(),
    );
    assert_eq!(again.attempts_left, 3);
    assert_eq!(world.saved_wrong_codes(&world.alice), 2);
    world.fail_codes(&challenge.token, 1).await.denied().unwrap();
    assert_eq!(world.saved_wrong_codes(&world.alice), 3);

    world.wait_for_the_spacing();
    let another = world.begin("alice").await;
    assert_eq!(another.attempts_left, 2);
    assert_eq!(world.saved_wrong_codes(&world.alice), 3);
    world.restarted(|builder| builder);
    let refused = denied(&world.fail_codes(&another.token, 1).await);
    assert_eq!((refused.reason(), refused.attempts_left()), (Reason::WrongCode, Some(1)));
    assert_eq!(world.saved_wrong_codes(&world.alice), 4);
    // A login that is given up takes nothing with it, and neither does time.
    world.request().cancel(&another.token).await.unwrap();
    world.clock.advance(DAY);
    assert_eq!(world.begin("alice").await.attempts_left, 1);
    assert_eq!(world.saved_wrong_codes(&world.alice), 4);
    assert_eq!(world.factors.record(&world.acme, &world.bob), None, "and nobody else is charged");
}

/// I-10: another method or another address is no fresh start.
#[tokio::test]
async fn wrong_codes_stay_counted_through_a_change_of_address_and_method() {
    let world = World::new().await;
    world.choose_sms("alice", "+15551234567").await;
    let challenge = world.begin("alice").await;
    world.fail_codes(&challenge.token, 2).await.denied().unwrap();
    world.wait_for_the_spacing();
    let _ = crate::support::challenge(
        world.request().resend(&challenge.token, ResendTo::Email).await.unwrap(),
    );
    world.change(&world.alice, |user| user.email = person(&world.acme, "bob").email);
    let challenge = world.begin("alice").await;
    world.fail_codes(&challenge.token, 1).await.denied().unwrap();
    assert_eq!(world.saved_wrong_codes(&world.alice), 3);
}

/// I-09: after so many wrong codes, in however many logins, nothing is compared until the lock
/// ends, and it ends exactly then.
#[tokio::test]
async fn wrong_codes_lock_the_user_over_all_logins_until_the_exact_end() {
    let world = World::with(|builder| builder.lockout(MINUTE, 4 * MINUTE)).await;
    let first = world.begin("alice").await;
    world.wait_for_the_spacing();
    let second = world.begin("alice").await;
    let code = world.last_code();
    world.fail_codes(&first.token, 3).await.denied().unwrap();
    world.events.clear();
    let last = denied(&world.fail_codes(&second.token, 2).await);
    let until = world.now() + MINUTE;
    assert_eq!(
        (last.reason(), last.attempts_left(), last.retry_at()),
        (Reason::WrongCode, Some(0), Some(until))
    );
    let told = world.events.kinds();
    let locked = EventKind::SecretWrong {
        login: second.login,
        secret: SecretKind::Code,
        locked_until: Some(until),
        suspended: false,
    };
    assert_eq!(told[1], locked);
    assert_eq!(told.len(), 2);
    assert_eq!(world.told().last().unwrap().1, NoticeKind::Locked { until: Some(until) });

    let before = world.row(&world.alice);
    for wait in [Duration::ZERO, Duration::from_millis(59_999)] {
        world.clock.advance(wait);
        for (token, code) in [
            (&first.token, &world.wrong_code()),
            (&second.token, &world.wrong_code()),
            (&second.token, &code),
        ] {
            let refused = denied(&world.submit(token, code).await);
            assert_eq!((refused.reason(), refused.retry_at()), (Reason::CodesLocked, Some(until)));
        }
        assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::CodesLocked);
    }
    assert_eq!(
        world.row(&world.alice),
        before,
        "a locked user is not charged, and the right code is not used up"
    );
    world.clock.advance(MILLISECOND);
    let _ = authenticated(world.submit(&second.token, &code).await);
    assert_eq!(world.saved_wrong_codes(&world.alice), 0);
}

/// Each lock is twice as long as the one before, up to the longest.
#[tokio::test]
async fn code_locks_double_up_to_the_longest() {
    let world = World::with(|builder| {
        builder
            .code_digits(8)
            .max_wrong_codes(2)
            .lockout(MINUTE, 4 * MINUTE)
            .rolling_wrong_code_limit(100)
            .suspend_after(100)
    })
    .await;
    for minutes in [1_u32, 2, 4, 4, 4] {
        let challenge = world.begin("alice").await;
        let _ = world.submit(&challenge.token, "00000000").await;
        let until = denied(&world.submit(&challenge.token, "00000000").await).retry_at().unwrap();
        assert_eq!(until, world.now() + MINUTE * minutes);
        world.clock.set(until - MILLISECOND);
        assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::CodesLocked);
        world.clock.set(until);
    }
    assert_eq!(world.saved_wrong_codes(&world.alice), 10);
}

/// One login takes so many wrong codes and no more, even if the lock ends before the login does.
#[tokio::test]
async fn a_login_that_used_up_its_guesses_gets_no_more_after_the_lock() {
    let world = World::with(|builder| builder.lockout(MINUTE, MINUTE)).await;
    let challenge = world.begin("alice").await;
    let code = world.last_code();
    assert_eq!(reason(&world.fail_codes(&challenge.token, 5).await), Reason::WrongCode);
    world.clock.advance(MINUTE);
    assert_eq!(reason(&world.submit(&challenge.token, &code).await), Reason::NoLiveCode);
    let resent = world.request().resend(&challenge.token, ResendTo::Same).await.unwrap();
    assert_eq!(reason(&resent), Reason::LoginSendLimit);
    assert_eq!(world.outbox.attempts(), 1);
    let _ = world.sign_in("alice").await;
}

/// I-11: after so many wrong codes in a row neither waiting nor unlocking helps, only a reset.
#[tokio::test]
async fn a_suspended_second_factor_is_not_revived_by_waiting() {
    let world =
        World::with(|builder| builder.max_wrong_codes(3).suspend_after(6).lockout(MINUTE, MINUTE))
            .await;
    let first = world.begin("alice").await;
    world.fail_codes(&first.token, 3).await.denied().unwrap();
    world.clock.advance(MINUTE);
    let second = world.begin("alice").await;
    let code = world.last_code();
    world.events.clear();
    let last = denied(&world.fail_codes(&second.token, 3).await);
    assert_eq!((last.attempts_left(), last.retry_at()), (Some(0), None));
    let EventKind::SecretWrong { suspended: true, .. } = world.events.kinds()[2] else { panic!() };
    assert_eq!(world.told().last().unwrap().1, NoticeKind::Locked { until: None });

    assert_eq!(reason(&world.submit(&second.token, &code).await), Reason::Suspended);
    let sent = world.outbox.attempts();
    for _ in 0..20 {
        assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::Suspended);
        world.clock.advance(365 * DAY);
    }
    assert_eq!(world.outbox.attempts(), sent);
    assert_eq!(world.saved_wrong_codes(&world.alice), 6);
    let operator = world.flow.operator("ticket 1").unwrap();
    let refused = operator.unlock(&world.acme, &world.alice).await.unwrap_err();
    assert_eq!(refused.denied().unwrap().reason(), Reason::ResetRequired);
    let status = operator.status(&world.acme, &world.alice).await.unwrap().unwrap();
    assert_eq!(status.codes, LockState::Suspended);
    world.reset_by_operator(&world.alice).await;
    let _ = world.sign_in("alice").await;
}

/// I-12: whoever guesses a little each day and lets the owner's logins clear the row still runs out
/// of guesses.
#[tokio::test]
async fn success_clears_the_row_of_failures_and_not_the_rolling_budget() {
    let world = World::new().await;
    let start = world.now();
    for day in 1..=20 {
        let challenge = world.begin("alice").await;
        let code = world.last_code();
        let wrong = denied(&world.fail_codes(&challenge.token, 1).await);
        if day == 20 {
            assert_eq!(
                (wrong.attempts_left(), wrong.retry_at()),
                (Some(0), Some(start + 30 * DAY))
            );
            assert_eq!(reason(&world.submit(&challenge.token, &code).await), Reason::CodesLocked);
            break;
        }
        let _ = authenticated(world.submit(&challenge.token, &code).await);
        assert_eq!(world.saved_wrong_codes(&world.alice), 0);
        world.clock.advance(DAY);
    }
    assert_eq!(world.record(&world.alice)["code_failures"]["recent"].as_array().unwrap().len(), 20);
    let reopens = start + 30 * DAY;
    world.clock.set(reopens - MILLISECOND);
    let refused = denied(&world.try_begin("alice", PASSWORD).await);
    assert_eq!((refused.reason(), refused.retry_at()), (Reason::CodesLocked, Some(reopens)));
    world.clock.set(reopens);
    let challenge = world.begin("alice").await;
    assert_eq!(challenge.attempts_left, 1, "one guess has left the window");
    let _ = authenticated(world.submit(&challenge.token, &world.last_code()).await);
}

/// I-12, I-40: a record holds what still counts and nothing else: no count of nothing, and no
/// failure whose window is over to the millisecond.
#[tokio::test]
async fn what_counts_no_more_is_not_saved() {
    let world = World::new().await;
    let challenge = world.begin("alice").await;
    let code = world.last_code();
    world.fail_codes(&challenge.token, 1).await.denied().unwrap();
    let failed = world.now();
    let _ = authenticated(world.submit(&challenge.token, &code).await);
    let saved = &world.record(&world.alice)["code_failures"];
    assert_eq!(saved.as_object().unwrap().keys().collect::<Vec<_>>(), ["recent"]);
    world.clock.set(failed + 30 * DAY);
    let challenge = world.begin("alice").await;
    world.fail_codes(&challenge.token, 1).await.denied().unwrap();
    assert_eq!(world.record(&world.alice)["code_failures"]["recent"].as_array().unwrap().len(), 1);
}

/// I-09: a comparison whose charge was not saved is a comparison of which nobody hears.
#[tokio::test]
async fn no_result_leaves_before_its_charge_is_saved() {
    let mut world = World::new().await;
    let mishaps = Mishaps::new();
    world.flow = flow_over(&world, Failing::new(world.factors.clone(), &mishaps), |b| b);
    let challenge = world.begin("alice").await;
    let code = world.last_code();
    let (before, wrong) = (world.row(&world.alice), world.wrong_code());
    for fault in [InjectedFault::Conflict, InjectedFault::Before] {
        // A step that meets a conflict tries again: it meets one each time.
        mishaps.always((fault == InjectedFault::Conflict).then_some(fault));
        world.events.clear();
        for typed in [&code, &wrong] {
            mishaps.next_of("commit", fault);
            let typed = Code::new(typed.as_str());
            let request = world.request();
            let submitted = request.submit_code(&challenge.token, &typed, TrustDevice::No);
            match submitted.await.unwrap_err() {
                Error::Contended => assert_eq!(fault, InjectedFault::Conflict),
                Error::FactorStore { .. } => assert_eq!(fault, InjectedFault::Before),
                error => panic!("{error:?}"),
            }
        }
        assert!(world.events.all().is_empty());
        assert_eq!(world.row(&world.alice), before);
    }
    let _ = authenticated(world.submit(&challenge.token, &code).await);
}

/// I-05, I-09: of two steps that decide on the same record, the second decides again on what the
/// first left.
#[tokio::test]
async fn the_slower_of_two_right_codes_finds_the_login_over() {
    let world = World::new().await;
    let challenge = world.begin("alice").await;
    let code = world.last_code();
    let (flow, acme) = (world.flow.clone(), world.acme.clone());
    let (token, typed) = (PendingToken::new(challenge.token.expose()), Code::new(&code));
    let (sent, faster) = std::sync::mpsc::channel();
    world.calls.before("commit", move || {
        let request = flow.request(&acme, &RequestContext::new());
        let submitted = request.submit_code(&token, &typed, TrustDevice::No);
        sent.send(futures_lite::future::block_on(submitted).unwrap()).unwrap();
    });
    assert_eq!(reason(&world.submit(&challenge.token, &code).await), Reason::LoginOver);
    let _ = authenticated(faster.recv().unwrap());
}
