//! Every plug-in broken or slow at every call, and every future dropped at every point: nobody is
//! let in, no counter sinks, and trying again works.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use crate::support::faults::{FaultPoint, When, faulty_flow, poll_then_drop};
use crate::support::operations::{
    Came, Does, OPERATIONS, Stage, counters, operate, stage, subject,
};
use crate::support::*;
use countersign::event::EventKind;
use countersign::policy::StandardPolicy;
use countersign::sender::SendErrorKind;
use countersign::store::{FactorStore, Generation};
use countersign::{
    Channel, Error, LoginStep, MethodChange, RequestContext, ResendTo, Scope, TrustDevice,
};

/// Calls whose failure is no fault of the step: delivery and notices are data, and the earlier hash
/// still serves.
const HARMLESS: [&str; 4] = ["send_code", "notify", "hash_password", "replace_password_hash"];

/// What each operation comes to where nothing is broken.
async fn outcomes() -> Vec<Came> {
    let mut outcomes = Vec::new();
    for number in 0..OPERATIONS.len() {
        outcomes.push(operate(&stage().await, number).await);
    }
    outcomes
}

/// I-23, I-24, attack 13.
#[tokio::test]
async fn a_broken_plug_in_lets_nobody_in_and_lowers_no_counter() {
    let outcomes = outcomes().await;
    for (number, (operation, does)) in OPERATIONS.iter().enumerate() {
        for when in [When::Before, When::After] {
            for call in 1.. {
                let stage = stage().await;
                let before = counters(&stage.world);
                stage.point.arm(call, when);
                let came = operate(&stage, number).await;
                let calls = stage.point.calls();
                if calls.len() < call {
                    break;
                }
                let (earlier, failed) = (&calls[..call - 1], calls[call - 1]);
                let about = format!("{operation}: {failed} fails {when:?} its effect, call {call}");
                // What a reset does after it, it does not answer for; nor does a login for the
                // second half of a fallback.
                let stands = *does == Does::Resets
                    && ["remove", "commit"].iter().any(|done| earlier.contains(done))
                    || *does == Does::FallsBack && earlier.contains(&"send_code");
                // A change of settings that was written although the store said otherwise is found
                // out, so that its event is not missing.
                let found_out = failed == "change_settings" && when == When::After;
                if found_out {
                    let told = stage.world.events.kinds();
                    let last = told.last();
                    if *operation == "purge" {
                        assert_eq!(last, Some(&EventKind::PurgeFinished), "{about}");
                    } else {
                        let changed = matches!(last, Some(EventKind::ScopeChanged { .. }));
                        assert!(changed, "{about}: {told:?}");
                    }
                }
                let harmless = HARMLESS.contains(&failed) && *operation != "hash a password";
                let goes_on = harmless || stands || found_out;
                assert_eq!(came, if goes_on { outcomes[number] } else { Came::Fault }, "{about}");
                assert_retry_is_possible(&stage, number, &before, when, failed, &about).await;
            }
        }
    }
}

/// I-07, I-23: a plug-in that answers after four minutes, at every call. Nobody is let in whom the
/// same step would not have let in, a code is dead if its time was over when the clock was read, no
/// counter sinks, and the person goes on.
#[tokio::test]
async fn a_slow_plug_in_lets_nobody_in_and_lowers_no_counter() {
    let outcomes = outcomes().await;
    let mut late = 0;
    for (number, (operation, does)) in OPERATIONS.iter().enumerate() {
        for call in 1.. {
            let stage = stage().await;
            let before = counters(&stage.world);
            stage.point.delay(call, stage.world.clock.clone(), 4 * MINUTE);
            let came = operate(&stage, number).await;
            let calls = stage.point.calls();
            if calls.len() < call {
                break;
            }
            let about = format!("{operation}: {} takes four minutes, call {call}", calls[call - 1]);
            assert_ne!(came, Came::Fault, "{about}");
            assert!(came != Came::Grant || outcomes[number] == Came::Grant, "{about}");
            if operation.starts_with("submit the right code") {
                let read = calls.iter().position(|call| *call == "now").unwrap();
                assert_eq!(came == Came::Grant, call > read + 1, "{about}");
                late += usize::from(came != Came::Grant);
            }
            let call = if matches!(does, Does::Nothing) { "none" } else { "commit" };
            assert_retry_is_possible(&stage, number, &before, When::After, call, &about).await;
        }
    }
    assert!(late > 2, "a code expired while a step waited");
}

async fn assert_retry_is_possible(
    stage: &Stage,
    number: usize,
    before: &[u64],
    when: When,
    call: &str,
    about: &str,
) {
    let (world, does, name) = (&stage.world, OPERATIONS[number].1, subject(number));
    let after = counters(world);
    let saved =
        (call == "commit" || call == "remove") && when == When::After || HARMLESS.contains(&call);
    let clears = matches!(does, Does::Clears | Does::LetsInAndClears);
    let cleared = clears && saved || matches!(does, Does::Resets | Does::SwitchesOff);
    if !cleared {
        assert!(
            after.iter().zip(before).all(|(after, before)| after >= before),
            "{about}: {before:?} {after:?}"
        );
    }
    stage.point.disarm();
    world.outbox.always(None, Delivered::Now);
    world.clock.advance(MINUTE);
    if does == Does::SwitchesOff {
        return assert_off_or_untouched(world, before, &after, about).await;
    }
    // The person can go on: with what they have, or with the password again.
    let again = match world.try_begin(name, PASSWORD).await {
        // The scope may be changed by now, to one that exempts her.
        LoginStep::Authenticated(_) if does == Does::ChangesTheScope => return,
        step => challenge(step),
    };
    assert!(again.delivery.sent().is_some(), "{about}: a code is sent");
    let _grant = authenticated(world.submit(&again.token, &world.last_code()).await);
}

/// I-27: either it is off, and what was saved counts no more and can be deleted to the last record;
/// or nothing has happened.
async fn assert_off_or_untouched(world: &World, before: &[u64], after: &[u64], about: &str) {
    let operator = world.flow.operator("look").unwrap();
    if operator.scope(&world.acme).await.unwrap() != Scope::DoNotUse {
        assert_eq!(before, after, "{about}");
        let _open = challenge(world.try_begin("alice", PASSWORD).await);
        return;
    }
    let _exempt = authenticated(world.try_begin("alice", PASSWORD).await);
    while world.flow.purge(&world.acme, 100).await.unwrap().unwrap().finished_at.is_none() {}
    assert_eq!(
        FactorStore::count(&world.factors, &world.acme, Generation::new(1)).await.unwrap(),
        0,
        "{about}"
    );
    assert!(world.row(&world.alice).is_none() && world.row(&world.bob).is_none(), "{about}");
}

/// Negative control: without a fault each step comes to what it is for.
#[tokio::test]
async fn without_a_fault_each_step_does_its_work() {
    for (came, (operation, does)) in outcomes().await.into_iter().zip(OPERATIONS) {
        let lets_in = matches!(does, Does::LetsIn | Does::LetsInAndClears);
        assert_eq!(came == Came::Grant, lets_in, "{operation}");
        assert!(!matches!(came, Came::Fault | Came::Refused), "{operation}");
    }
}

/// Attack 13 for the one decision that lets people in with a password: a policy that can't decide.
#[tokio::test]
async fn a_policy_that_fails_exempts_nobody() {
    for channel in [
        Channel::Web,
        Channel::Mobile,
        Channel::ExemptApi,
        Channel::SingleSignOn,
        Channel::ExemptIntegration,
    ] {
        let world = World::off();
        let point = FaultPoint::default();
        let flow = faulty_flow(&world, &point, StandardPolicy, |b| b);
        point.disarm();
        let password = PASSWORD.into();
        let login =
            countersign::Login { name: "alice", password: &password, channel, device: None };
        let _granted = authenticated(
            flow.request(&world.acme, &RequestContext::new()).begin(&login).await.unwrap(),
        );
        let decides = point.calls().iter().position(|call| *call == "decide").unwrap() + 1;
        for when in [When::Before, When::After] {
            point.arm(decides, when);
            assert!(matches!(
                flow.request(&world.acme, &RequestContext::new()).begin(&login).await,
                Err(Error::Policy { .. })
            ));
        }
    }
}

/// I-24: a failed delivery is data, stays charged, and does not stand in the way.
#[tokio::test]
async fn a_failed_delivery_is_charged_and_can_be_repeated() {
    for kind in [
        SendErrorKind::Permanent,
        SendErrorKind::Transient,
        SendErrorKind::Unknown,
        SendErrorKind::Throttled { retry_after: None },
    ] {
        let world = World::new().await;
        world.outbox.always(None, Delivered::Failed(kind));
        let challenge = world.begin("alice").await;
        assert_eq!(failure(&challenge.delivery), kind);
        assert_eq!(world.charged_sends(&world.alice), 1);
        world.outbox.always(None, Delivered::Now);
        world.wait_for_the_spacing();
        let again = world.request().resend(&challenge.token, ResendTo::Same).await.unwrap();
        assert!(matches!(again, LoginStep::CodeRequired(_)));
        assert_eq!(world.charged_sends(&world.alice), 2);
        let _done = authenticated(world.submit(&challenge.token, &world.last_code()).await);
    }
}

/// Cancel safety: a future that is dropped at any point has let nobody in, lowered no counter, and
/// the person goes on.
#[tokio::test]
async fn a_step_can_be_dropped_at_every_point() {
    for (number, (operation, _)) in OPERATIONS.iter().enumerate() {
        for polls in 0.. {
            let stage = stage().await;
            let before = counters(&stage.world);
            stage.point.wait_at_each_call();
            let finished = poll_then_drop(polls, operate(&stage, number)).is_some();
            let about = format!("{operation}, dropped after {polls} polls");
            let committed =
                stage.point.calls().iter().any(|call| matches!(*call, "commit" | "remove"));
            let call = if committed { "commit" } else { "none" };
            assert_retry_is_possible(&stage, number, &before, When::After, call, &about).await;
            if finished {
                break;
            }
        }
    }
}

/// The same login goes on after its own step was dropped: with its code before the commit, or with
/// another one.
#[tokio::test]
async fn a_login_goes_on_after_a_dropped_resend() {
    for polls in 0.. {
        let stage = stage().await;
        stage.point.wait_at_each_call();
        let token = stage.token.as_str().into();
        let dropped = poll_then_drop(
            polls,
            stage
                .broken
                .request(&stage.world.acme, &RequestContext::new())
                .resend(&token, ResendTo::Same),
        );
        let world = &stage.world;
        world.wait_for_the_spacing();
        let again = world.request().resend(&token, ResendTo::Same).await.unwrap();
        assert!(matches!(again, LoginStep::CodeRequired(_)));
        let _done = authenticated(world.submit(&token, &world.last_code()).await);
        if dropped.is_some() {
            break;
        }
    }
}

/// A wrong guess that was dropped before its commit was not compared as far as anybody can know;
/// after it, it is charged (I-09).
#[tokio::test]
async fn a_dropped_guess_is_charged_or_was_not_made() {
    let mut seen = [false, false];
    for polls in 0.. {
        let stage = stage().await;
        stage.point.wait_at_each_call();
        let (token, typed) = (stage.token.as_str().into(), other_code(&stage.code).into());
        let request = stage.broken.request(&stage.world.acme, &RequestContext::new());
        let guess = request.submit_code(&token, &typed, TrustDevice::No);
        let answer = poll_then_drop(polls, guess);
        let charged = stage.world.saved_wrong_codes(&stage.world.alice) == 2;
        seen[usize::from(charged)] = true;
        if answer.is_some() {
            assert!(charged);
            break;
        }
    }
    assert_eq!(seen, [true, true]);
}

/// I-19: no randomness, no code and no send.
#[tokio::test]
async fn a_broken_generator_makes_no_code() {
    for operation in [0, 3, 9] {
        let whole = stage().await;
        assert_ne!(operate(&whole, operation).await, Came::Fault);
        let draws: Vec<usize> = (1..)
            .zip(whole.point.calls())
            .filter(|(_, call)| *call == "fill")
            .map(|(n, _)| n)
            .collect();
        assert!(!draws.is_empty());
        for call in draws {
            let stage = stage().await;
            let sends = stage.world.outbox.attempts();
            stage.point.arm(call, When::Before);
            assert_eq!(operate(&stage, operation).await, Came::Fault);
            assert_eq!(stage.point.calls().last(), Some(&"fill"));
            assert_eq!(stage.world.outbox.attempts(), sends);
        }
    }
}

/// Going back to email at once is one commit as well: dropped or broken, the method is the one or
/// the other.
#[tokio::test]
async fn a_change_of_method_happens_or_does_not() {
    for call in 1.. {
        let world = World::new().await;
        world.choose_sms("alice", "+819012345634").await;
        let challenge = world.begin("alice").await;
        world.wait_for_the_spacing();
        let _ = world.request().resend(&challenge.token, ResendTo::Email).await.unwrap();
        let grant = authenticated(world.submit(&challenge.token, &world.last_code()).await).grant;
        let point = FaultPoint::default();
        let flow = faulty_flow(&world, &point, StandardPolicy, |b| b);
        point.arm(call, When::After);
        let answer =
            flow.request(&world.acme, &RequestContext::new()).account(&grant).use_email().await;
        let calls = point.calls();
        if calls.len() < call {
            assert!(matches!(answer, Ok(MethodChange::Done(_))));
            break;
        }
        let changed = world.record(&world.alice)["sms"].is_null();
        assert_eq!(changed, calls[..call].contains(&"commit"), "{}", calls[call - 1]);
        assert_eq!(answer.is_ok(), calls[call - 1] == "notify");
    }
}
