//! Chains, tables, time budgets and the delivery log, each by itself. Time is tokio's paused clock:
//! nothing here waits.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign::contact::Destination;
use countersign::sender::SendErrorKind::{Permanent, Throttled, Transient, Unknown};
use countersign::sender::{
    CodeSender, DeliveryReport, MessageId, SendError, SendErrorKind, SendStatus,
};
use countersign::{Method, TenantId};
use countersign_delivery::{
    Deadline, DeliveryLog, DeliveryState, Failover, LateOutcome, RouteTable, SenderFailure,
};
use proptest::prelude::*;
use support::*;

const BUDGET: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_chain_goes_on_only_where_the_message_was_surely_not_sent() {
    for first in [Permanent, Throttled { retry_after: None }, Transient] {
        let (a, b) = (Provider::new(Does::Fails(first)), Provider::new(Does::Sends));
        let chain = Failover::new(a.clone()).then(b.clone());
        assert_eq!(outcome(&chain, &code("acme", sms())).await, Ok(SendStatus::Sent), "{first}");
        assert!(chain.notify(&notice(sms())).await.is_ok());
        assert_eq!((a.calls(), b.calls()), (2, 2));
    }
    let (a, b) = (Provider::new(Does::Fails(Unknown)), Provider::new(Does::Sends));
    let chain = Failover::new(a.clone()).then(b.clone());
    assert_eq!(outcome(&chain, &code("acme", sms())).await, Err(Unknown));
    assert!(chain.notify(&notice(sms())).await.is_err());
    assert_eq!(
        (a.calls(), b.calls()),
        (2, 0),
        "a person with two messages is asked for the wrong code"
    );
}

#[tokio::test]
async fn a_chain_that_fails_answers_with_what_leaves_most_hope_and_tells_of_each() {
    let slow_down = Throttled { retry_after: Some(Duration::from_secs(9)) };
    for (kinds, answer, asked) in [
        (vec![Permanent, slow_down], slow_down, 2),
        (vec![slow_down, Permanent], slow_down, 2),
        (vec![Transient, slow_down, Permanent], Transient, 3),
        (vec![Permanent, Permanent], Permanent, 2),
        (vec![Permanent, Unknown, Transient], Unknown, 2),
    ] {
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let mut providers = kinds.iter().map(|kind| Provider::new(Does::Fails(*kind)));
        let first = Failover::new(providers.next().unwrap());
        let chain =
            providers.fold(first, Failover::then).on_failure(move |failure: &SenderFailure<'_>| {
                tell.lock().unwrap().push((failure.position, failure.kind));
            });
        assert_eq!(outcome(&chain, &code("acme", sms())).await, Err(answer), "{kinds:?}");
        let expected: Vec<(usize, SendErrorKind)> =
            kinds.into_iter().enumerate().take(asked).collect();
        assert_eq!(*told.lock().unwrap(), expected);
    }
}

proptest! {
    /// Whatever each provider does: nobody is asked after one that perhaps sent, and no message
    /// goes out twice.
    #[test]
    fn a_chain_never_sends_twice(behaviour in prop::collection::vec(0_u8..5, 1..6)) {
        let does = |number: u8| match number {
            0 => Does::Sends,
            1 => Does::Fails(Unknown),
            2 => Does::Fails(Permanent),
            3 => Does::Fails(Throttled { retry_after: None }),
            _ => Does::Fails(Transient),
        };
        let providers: Vec<Provider> = behaviour.iter().map(|number| Provider::new(does(*number))).collect();
        let mut rest = providers.iter().cloned();
        let chain = Failover::new(rest.next().unwrap());
        let chain = rest.fold(chain, Failover::then);
        let _ = futures_lite::future::block_on(outcome(&chain, &code("acme", sms())));
        let last = behaviour.iter().position(|number| *number < 2).unwrap_or(behaviour.len());
        for (position, provider) in providers.iter().enumerate() {
            prop_assert_eq!(provider.calls(), usize::from(position <= last));
        }
        prop_assert!(providers.iter().map(|provider| provider.codes().len()).sum::<usize>() <= 1);
    }
}

#[tokio::test]
async fn a_table_has_one_sender_for_each_method_and_tenant() {
    let [mail, any, acme] = std::array::from_fn(|_| Provider::new(Does::Sends));
    let table = RouteTable::new();
    assert_eq!(outcome(&table, &code("acme", email())).await, Err(Permanent));
    table.set_default(Method::Email, Deadline::new(mail.clone(), BUDGET));
    table.set_default(Method::Sms, Deadline::new(any.clone(), BUDGET));
    let tenant = TenantId::new("acme").unwrap();
    table.clone().set_for(&tenant, Method::Sms, Deadline::new(acme.clone(), BUDGET));
    for tenant in ["acme", "other"] {
        for to in [email(), sms()] {
            outcome(&table, &code(tenant, to)).await.unwrap();
        }
    }
    assert!(table.notify(&notice(sms())).await.is_ok());
    assert_eq!((mail.calls(), any.calls(), acme.calls()), (2, 1, 2));
    table.forget(&tenant);
    outcome(&table, &code("acme", sms())).await.unwrap();
    assert_eq!((any.calls(), acme.calls()), (2, 2));
}

/// An [`Deadline`], and what it told of late.
fn in_time(provider: &Provider) -> (Deadline, Arc<Mutex<Vec<LateOutcome>>>) {
    let late = Arc::<Mutex<Vec<LateOutcome>>>::default();
    let tell = Arc::clone(&late);
    let sender = Deadline::new(provider.clone(), BUDGET)
        .on_late(move |outcome: &LateOutcome| tell.lock().unwrap().push(outcome.clone()));
    (sender, late)
}

#[tokio::test(start_paused = true)]
async fn a_result_within_the_budget_is_the_answer() {
    let second = Duration::from_secs(1);
    for (does, answer) in [
        (Does::Sends, Ok(SendStatus::Sent)),
        (Does::Fails(Permanent), Err(Permanent)),
        (Does::After(second, Ok(())), Ok(SendStatus::Sent)),
        (Does::After(second, Err(Transient)), Err(Transient)),
        (Does::Panics, Err(Unknown)),
    ] {
        let provider = Provider::new(does);
        let (sender, late) = in_time(&provider);
        assert_eq!(outcome(&sender, &code("acme", sms())).await, answer);
        assert_eq!(sender.notify(&notice(sms())).await.map_err(|error| error.kind()), answer);
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert!(late.lock().unwrap().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_send_is_queued_in_time_and_goes_on() {
    for (does, result) in [
        (Does::After(Duration::from_secs(20), Ok(())), Ok(SendStatus::Sent)),
        (Does::After(Duration::from_secs(20), Err(Permanent)), Err(Permanent)),
        (Does::Never, Err(Unknown)),
    ] {
        let provider = Provider::new(does);
        let (sender, late) = in_time(&provider);
        let started = tokio::time::Instant::now();
        assert_eq!(outcome(&sender, &code("acme", sms())).await, Ok(SendStatus::Queued));
        assert_eq!(started.elapsed(), BUDGET);
        assert!(late.lock().unwrap().is_empty());
        tokio::time::sleep(Duration::from_secs(30)).await;
        let late = late.lock().unwrap();
        assert_eq!(late.iter().map(|outcome| outcome.result).collect::<Vec<_>>(), [result]);
        assert_eq!(late.first().unwrap().code, Some(code("acme", sms()).id()));
        assert_eq!(provider.codes().len(), usize::from(result.is_ok()));
        assert!(
            !format!("{late:?}").contains("836194") && !format!("{late:?}").contains("9012345634")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_code_is_not_tried_for_longer_than_it_lives() {
    let provider = Provider::new(Does::After(Duration::from_secs(25), Ok(())));
    let (sender, late) = in_time(&provider);
    let mut short = code("acme", sms());
    short.valid_for = Duration::from_secs(10);
    assert_eq!(outcome(&sender, &short).await, Ok(SendStatus::Queued));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(late.lock().unwrap().first().unwrap().result, Err(Unknown));
    assert!(provider.codes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_person_who_leaves_does_not_stop_the_send() {
    let provider = Provider::new(Does::After(Duration::from_secs(2), Ok(())));
    let (sender, late) = in_time(&provider);
    let message = code("acme", sms());
    assert!(
        tokio::time::timeout(Duration::from_secs(1), sender.send_code(&message)).await.is_err()
    );
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(provider.codes(), ["836194"]);
    assert_eq!(late.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn there_are_only_so_many_slow_sends() {
    let provider = Provider::new(Does::Never);
    let sender = Deadline::new(provider.clone(), BUDGET)
        .max_concurrent(2)
        .give_up_after(Duration::from_secs(20));
    let message = code("acme", sms());
    for _ in 0..2 {
        assert_eq!(outcome(&sender, &message).await, Ok(SendStatus::Queued));
    }
    assert_eq!(outcome(&sender, &message).await, Err(Throttled { retry_after: None }));
    assert_eq!(provider.calls(), 2, "the refused one was surely not sent");
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(outcome(&sender, &message).await, Ok(SendStatus::Queued));
}

/// What an error tells the operator.
fn causes(error: &SendError) -> Vec<String> {
    code("acme", sms()).causes(error).iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_chain_tells_why_each_of_its_senders_failed() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let failing = |kind, says| Provider::new(Does::Fails(kind)).saying(says);
    let chain = |last: SendErrorKind| {
        let tell = Arc::clone(&tell);
        Failover::new(failing(Permanent, "a says no"))
            .then(failing(Transient, "b is down"))
            .then(failing(last, "c is odd"))
            .on_failure(move |failure: &SenderFailure<'_>| {
                tell.lock().unwrap().push(failure.causes.to_string());
            })
    };
    for (last, order) in [
        (Permanent, ["b is down", "a says no", "c is odd"]),
        (Unknown, ["c is odd", "a says no", "b is down"]),
    ] {
        let chain = chain(last);
        let in_time = Deadline::new(chain, BUDGET);
        let error = in_time.send_code(&code("acme", sms())).await.unwrap_err();
        let texts = causes(&error);
        let said: Vec<&str> = texts
            .iter()
            .map(String::as_str)
            .filter(|text| !text.starts_with("an earlier"))
            .collect();
        assert_eq!(said, order);
        assert_eq!(texts.len(), 5, "and the kind of each earlier one: {texts:?}");
        assert_eq!(
            *std::mem::take(&mut *told.lock().unwrap()),
            ["a says no", "b is down", "c is odd"]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_send_that_is_given_up_or_panics_or_finds_no_room_has_a_cause() {
    let message = code("acme", sms());
    let (sender, late) = in_time(&Provider::new(Does::Never));
    assert_eq!(outcome(&sender, &message).await, Ok(SendStatus::Queued));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(late.lock().unwrap().first().unwrap().causes.to_string(), "no answer within 30s");

    let slow = Provider::new(Does::After(BUDGET * 2, Err(Transient))).saying("twilio answered 500");
    let (sender, late) = in_time(&slow);
    assert_eq!(outcome(&sender, &message).await, Ok(SendStatus::Queued));
    assert_eq!(sender.notify(&notice(sms())).await.unwrap(), SendStatus::Queued);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let told: Vec<_> =
        late.lock().unwrap().iter().map(|late| (late.result, late.causes.to_string())).collect();
    assert_eq!(told, [(); 2].map(|()| (Err(Transient), "twilio answered 500".to_owned())));

    let (sender, _) = in_time(&Provider::new(Does::Panics));
    let error = sender.send_code(&message).await.unwrap_err();
    assert_eq!(causes(&error), ["sender panicked, or the runtime shuts down"]);
    let error = Failover::new(Provider::new(Does::Sends))
        .max_concurrent(0)
        .send_code(&message)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), causes(&error)),
        (Throttled { retry_after: None }, vec!["too many messages are being sent".to_owned()])
    );
    let error = RouteTable::new().send_code(&message).await.unwrap_err();
    assert_eq!(causes(&error), ["no sender for this method"]);
}

/// I-22: what a provider says of the person stays out of what a chain and a late outcome tell.
#[tokio::test(start_paused = true)]
async fn no_cause_of_a_chain_or_a_late_outcome_repeats_a_code_or_a_number() {
    let late = Arc::<Mutex<Vec<String>>>::default();
    let printed = Arc::<Mutex<String>>::default();
    let (tell_late, tell) = (Arc::clone(&late), Arc::clone(&printed));
    let fails = |says| Provider::new(Does::After(BUDGET * 2, Err(Transient))).saying(says);
    let chain = Failover::new(fails("400: 836194 to +81 90-1234-5634"))
        .then(fails("no such number: 090-1234-5634"))
        .on_failure(move |failure: &SenderFailure<'_>| {
            use std::fmt::Write as _;
            writeln!(tell.lock().unwrap(), "{failure:?} {}", failure.causes).unwrap();
        });
    let sender = Deadline::new(chain, BUDGET).on_late(move |outcome: &LateOutcome| {
        tell_late.lock().unwrap().push(format!("{outcome:?} {}", outcome.causes));
    });
    assert_eq!(outcome(&sender, &code("acme", sms())).await, Ok(SendStatus::Queued));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let told = format!("{} {}", printed.lock().unwrap(), late.lock().unwrap().join(" "));
    assert_eq!(told.matches("withheld").count(), 8, "{told}");
    for secret in ["836194", "1234", "5634"] {
        assert!(!told.contains(secret), "{told}");
    }
}

/// Sends so many codes of a tenant at the same moment, and waits until each was handed over.
async fn flood(
    sender: &Arc<impl CodeSender + 'static>,
    tenant: &'static str,
    to: Destination,
    messages: usize,
) {
    for _ in 0..messages {
        let (sender, to) = (Arc::clone(sender), to.clone());
        tokio::spawn(async move { sender.send_code(&code(tenant, to)).await });
    }
    for _ in 0..messages.saturating_mul(4) {
        tokio::task::yield_now().await;
    }
}

/// I-40: a provider that hangs uses up its own route, by default: not the other method's, and not
/// another tenant's.
#[tokio::test(start_paused = true)]
async fn sms_that_hang_hold_up_neither_email_nor_another_tenant() {
    let [hanging, mail, other] = [Does::Never, Does::Sends, Does::Sends].map(Provider::new);
    let tenant = TenantId::new("other").unwrap();
    let routes = RouteTable::new();
    routes.set_default(Method::Email, Deadline::new(mail.clone(), BUDGET));
    routes.set_default(Method::Sms, Deadline::new(hanging.clone(), BUDGET));
    routes.set_for(&tenant, Method::Sms, Deadline::new(other.clone(), BUDGET));
    let routes = Arc::new(routes);
    flood(&routes, "acme", sms(), 1_000).await;
    assert_eq!(hanging.calls(), 512, "as many as there may be");
    assert_eq!(outcome(&*routes, &code("acme", sms())).await, Err(Throttled { retry_after: None }));
    let started = tokio::time::Instant::now();
    assert_eq!(outcome(&*routes, &code("acme", email())).await, Ok(SendStatus::Sent));
    assert_eq!(outcome(&*routes, &code("other", sms())).await, Ok(SendStatus::Sent));
    assert_eq!((started.elapsed(), mail.calls(), other.calls()), (Duration::ZERO, 1, 1));

    // The control: with one bound around everything, email finds no room.
    let around = Arc::new(Deadline::new(RouteTable::clone(&routes), BUDGET));
    tokio::time::sleep(Duration::from_secs(60)).await;
    flood(&around, "acme", sms(), 1_000).await;
    assert_eq!(
        outcome(&*around, &code("acme", email())).await,
        Err(Throttled { retry_after: None })
    );
}

/// I-40: the senders of a chain have a bound each, so that one that hangs leaves room for the next.
#[tokio::test(start_paused = true)]
async fn a_provider_that_hangs_leaves_room_for_the_next_one_of_its_chain() {
    let [a, b, c] = [Does::Never, Does::Never, Does::Sends].map(Provider::new);
    let chain = Failover::new(a.clone()).then(b.clone()).then(c.clone());
    let route = Arc::new(Deadline::new(chain, BUDGET));
    flood(&route, "acme", sms(), 300).await;
    assert_eq!((a.calls(), b.calls(), c.calls()), (128, 128, 44));
    assert_eq!(outcome(&*route, &code("acme", sms())).await, Ok(SendStatus::Sent));
    // Their room is free again when they are given up.
    tokio::time::sleep(Duration::from_secs(60)).await;
    a.now(Does::Sends);
    assert_eq!(outcome(&*route, &code("acme", sms())).await, Ok(SendStatus::Sent));
    assert_eq!((a.calls(), c.calls()), (129, 45));
}

fn id() -> MessageId {
    code("acme", sms()).id()
}

#[tokio::test(start_paused = true)]
async fn the_log_knows_what_became_of_a_code_and_takes_reports() {
    let log = DeliveryLog::new();
    let provider = Provider::new(Does::After(Duration::from_secs(8), Ok(())));
    let sender = Deadline::new(log.track(provider.clone()), BUDGET);
    assert_eq!(log.state(id()), None);
    assert!(
        !log.report(id(), DeliveryReport::Undeliverable),
        "of a code that nobody sent nothing is kept"
    );
    assert_eq!(outcome(&sender, &code("acme", sms())).await, Ok(SendStatus::Queued));
    assert_eq!(log.state(id()), Some(DeliveryState::Pending));
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(log.state(id()), Some(DeliveryState::Sent));
    assert!(log.report(id(), DeliveryReport::Undeliverable));
    assert_eq!(log.state(id()), Some(DeliveryState::Undeliverable));
    assert!(log.state(id()).unwrap().needs_another_way());
    log.report(id(), DeliveryReport::Delivered);
    log.report(id(), DeliveryReport::Undeliverable);
    assert_eq!(log.state(id()), Some(DeliveryState::Delivered), "what arrived stays arrived");
    assert!(!log.state(id()).unwrap().needs_another_way());
}

#[tokio::test(start_paused = true)]
async fn the_log_knows_failures_and_sends_that_were_given_up() {
    for (does, error) in
        [(Does::Fails(Transient), Transient), (Does::Never, Unknown), (Does::Panics, Unknown)]
    {
        let log = DeliveryLog::new();
        let sender = Deadline::new(log.track(Provider::new(does)), BUDGET);
        let _ = outcome(&sender, &code("acme", sms())).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(log.state(id()), Some(DeliveryState::Failed { error }));
        assert!(log.state(id()).unwrap().needs_another_way());
    }
    // A report that overtakes the answer is kept.
    let log = DeliveryLog::new();
    let sender = log.track(Provider::new(Does::After(Duration::from_secs(1), Ok(()))));
    let message = code("acme", sms());
    let report = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        log.report(id(), DeliveryReport::Delivered)
    };
    let (sent, known) = tokio::join!(sender.send_code(&message), report);
    assert!(sent.is_ok() && known);
    assert_eq!(log.state(id()), Some(DeliveryState::Delivered));
}

#[tokio::test]
async fn the_log_keeps_the_latest_codes_only() {
    let log = DeliveryLog::with_capacity(2);
    let sender = log.track(Provider::new(Does::Sends));
    let ids: Vec<MessageId> = ["BBBB", "CCCC", "DDDD"]
        .map(|text| serde_json::from_str(&format!("\"{text}\"")).unwrap())
        .map(|reference| MessageId::new(code("acme", sms()).login, reference))
        .to_vec();
    for id in &ids {
        let mut message = code("acme", sms());
        message.reference = id.reference();
        outcome(&sender, &message).await.unwrap();
    }
    assert_eq!(
        ids.iter().map(|id| log.state(*id).is_some()).collect::<Vec<_>>(),
        [false, true, true]
    );
}
