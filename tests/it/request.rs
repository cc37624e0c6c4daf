//! Where a request comes from: what learns of it, and that no record does.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::{Arc, Mutex};

use crate::support::operations::{OPERATIONS, operate, stage};
use crate::support::*;
use countersign::contact::EmailAddress;
use countersign::error::PluginError;
use countersign::event::{Event, EventKind};
use countersign::grant::Staleness;
use countersign::policy::{PolicyContext, RequestPolicy, Restriction};
use countersign::sender::NoticeKind;
use countersign::store::{FactorStore, Generation, StoredRow};
use countersign::{Channel, Login, Password, Reason, RequestContext, RevalidateError, TrustDevice};

/// Notes where each request came from, and asks everybody for a code who is not at the office.
#[derive(Clone, Default)]
struct Office(Arc<Mutex<Vec<RequestContext>>>);

impl RequestPolicy for Office {
    fn restrict(
        &self,
        _: &PolicyContext<'_>,
        request: &RequestContext,
    ) -> Result<Restriction, PluginError> {
        self.0.lock().unwrap().push(request.clone());
        let inside = request.client_address() == Some([203, 0, 113, 77].into());
        Ok(if inside { Restriction::None } else { Restriction::RequireSecondFactor })
    }
}

fn login(password: &Password) -> Login<'_> {
    Login { name: "alice", password, channel: Channel::Web, device: None }
}

/// What was sent of each kind since the last time, and where that says it came from.
fn notices(world: &World) -> Vec<(NoticeKind, RequestContext)> {
    let notices = world.outbox.notices().into_iter().map(|sent| (sent.kind, sent.from)).collect();
    world.outbox.clear();
    notices
}

/// A policy that knows the office lets people in there, and asks for a code elsewhere: at the
/// login, and of the session that was begun at the office.
#[tokio::test]
async fn a_policy_sees_where_each_request_comes_from() {
    let policy = Office::default();
    let world = World::off_with(|b| b.request_policy(policy.clone()));
    let office = world.flow.request(&world.acme, &context());
    let elsewhere =
        world.flow.request(&world.acme, &RequestContext::new().with_user_agent("Firefox/145.0"));
    let done = authenticated(office.begin(&login(&PASSWORD.into())).await.unwrap());
    assert_eq!(policy.0.lock().unwrap().last(), Some(&context()));
    let _ = challenge(elsewhere.begin(&login(&PASSWORD.into())).await.unwrap());
    assert_eq!(policy.0.lock().unwrap().last(), Some(elsewhere.context()));
    assert!(office.revalidate(&done.grant, Channel::Web).await.is_ok());
    assert_eq!(policy.0.lock().unwrap().last(), Some(&context()));
    assert!(matches!(
        elsewhere.revalidate(&done.grant, Channel::Web).await,
        Err(RevalidateError::Stale(Staleness::SecondFactorRequired))
    ));
    // What is not known is taken for the worst.
    let _ = challenge(world.try_begin("alice", PASSWORD).await);
    // The pages ask the policy too.
    policy.0.lock().unwrap().clear();
    let _ = elsewhere.account(&done.grant).status().await.unwrap_err();
    let _ = elsewhere.administration(&done.grant).await.unwrap_err();
    let expected = [elsewhere.context().clone(), elsewhere.context().clone()];
    assert_eq!(policy.0.lock().unwrap()[..], expected);
}

/// Every event of a step says where the step came from. An operator's and a job's say nothing.
#[tokio::test]
async fn events_say_where_a_request_came_from() {
    for (number, (operation, _)) in OPERATIONS.iter().enumerate() {
        let stage = stage().await;
        stage.world.events.clear();
        operate(&stage, number).await;
        let of_the_host = |kind: &EventKind| {
            serde_json::to_value(kind).unwrap()["by"]["kind"] == "operator"
                || matches!(kind, EventKind::PurgeFinished | EventKind::RecordsSwept { .. })
        };
        for event in stage.world.events.all() {
            let expected = if of_the_host(&event.kind) { RequestContext::new() } else { context() };
            assert_eq!(event.request, expected, "{operation}: {event}");
        }
    }
}

#[tokio::test]
async fn an_event_prints_and_saves_where_it_came_from() {
    let world = World::new().await;
    let request = world.flow.request(&world.acme, &context());
    let _ = request.begin(&login(&"wrong".into())).await.unwrap();
    let event = world.events.all().pop().unwrap();
    let printed = r#"request={"client_address":"203.0.113.77","user_agent":"CanaryBrowser/1.0","request_id":"canary-request-id"} {"event":"#;
    assert!(event.to_string().contains(printed), "{event}");
    let saved = serde_json::to_string(&event).unwrap();
    assert_eq!(serde_json::from_str::<Event>(&saved).unwrap(), event);
    // An empty context is left out.
    let _ = world.try_begin("alice", "wrong").await;
    let event = world.events.all().pop().unwrap();
    assert!(!event.to_string().contains("request="), "{event}");
    assert!(!serde_json::to_string(&event).unwrap().contains("request\":"));
}

/// A notice says where the owner's own change was made, but not where an administrator works, and
/// not where the owner was when a change of address came up.
#[tokio::test]
async fn notices_say_where_the_request_came_from_that_did_it() {
    let world = World::with(|b| b.trusted_devices(30 * DAY, 3)).await;
    let request = world.flow.request(&world.acme, &context());
    let pending = challenge(request.begin(&login(&PASSWORD.into())).await.unwrap());
    let code = world.last_code().as_str().into();
    let trust = TrustDevice::Named("laptop");
    let done = authenticated(request.submit_code(&pending.token, &code, trust).await.unwrap());
    let account = request.account(&done.grant);
    let _shown = account.new_backup_code().await.unwrap();
    let sent = notices(&world);
    assert!(matches!(
        &sent[..],
        [(NoticeKind::DeviceTrusted { .. }, one), (NoticeKind::BackupCodeMade, other)]
            if *one == context() && *other == context()
    ));

    world.wait_for_the_spacing();
    let pending = challenge(request.begin(&login(&PASSWORD.into())).await.unwrap());
    let wrong = world.wrong_code().as_str().into();
    while world.told().is_empty() {
        let step = request.submit_code(&pending.token, &wrong, TrustDevice::No).await.unwrap();
        assert_eq!(reason(&step), Reason::WrongCode);
    }
    let sent = notices(&world);
    assert!(matches!(&sent[..], [(NoticeKind::Locked { .. }, one)] if *one == context()));
    world.clock.advance(DAY);

    let root = world.root_grant().await;
    world.outbox.clear();
    world.change(&world.alice, |user| {
        user.email = Some(EmailAddress::new("alice@example.org").unwrap());
    });
    let _ = challenge(request.begin(&login(&PASSWORD.into())).await.unwrap());
    let administration = request.administration(&root).await.unwrap();
    let _outcome = administration.reset(&world.alice).await.unwrap();
    let sent = notices(&world);
    assert!(matches!(
        &sent[..],
        [(NoticeKind::AddressChanged, one), (NoticeKind::Reset, other)]
            if one.is_empty() && other.is_empty()
    ));
}

/// Everything that is saved, as text.
async fn saved(world: &World) -> String {
    let mut all = String::new();
    let mut add = |row: Option<StoredRow>| {
        let document = row.map(|row| row.document).unwrap_or_default();
        all.push_str(&document);
    };
    for tenant in [&world.acme, &world.other] {
        let settings = world.factors.settings(tenant).await.unwrap();
        let now = settings.as_ref().map(|row| row.generation).unwrap_or_default();
        add(settings);
        for generation in [Generation::default(), now] {
            let users = world.factors.users(tenant, generation, None, 1000).await.unwrap();
            for user in &users {
                add(world.factors.record(tenant, user));
            }
        }
    }
    all
}

/// I-45: after every operation from a request of which everything is known, no record and no
/// settings hold any of it.
#[tokio::test]
async fn no_record_holds_where_a_request_came_from() {
    for (number, (operation, _)) in OPERATIONS.iter().enumerate() {
        let stage = stage().await;
        operate(&stage, number).await;
        let saved = saved(&stage.world).await;
        for canary in CONTEXT_CANARIES {
            assert!(!saved.contains(canary), "{operation}: {canary}");
        }
        let grant = serde_json::to_string(&stage.grant).unwrap();
        assert!(CONTEXT_CANARIES.iter().all(|canary| !grant.contains(canary)));
    }
    // Control: what is saved on purpose is found.
    let world = World::with(|b| b.trusted_devices(30 * DAY, 3)).await;
    let _ = world.sign_in_and_trust("alice", CONTEXT_CANARIES[1]).await;
    assert!(saved(&world).await.contains(CONTEXT_CANARIES[1]));
}

/// I-45, I-40: whatever a client sends refuses no login, and is cut.
#[tokio::test]
async fn no_context_fails_a_step() {
    let world = World::new().await;
    for text in ["", "\0\r\n", "\u{202e}\u{200b}", &"x".repeat(1 << 20)] {
        let context = RequestContext::new().with_user_agent(text).with_request_id(text);
        let request = world.flow.request(&world.acme, &context);
        world.wait_for_the_spacing();
        let pending = challenge(request.begin(&login(&PASSWORD.into())).await.unwrap());
        let code = world.last_code().as_str().into();
        let step = request.submit_code(&pending.token, &code, TrustDevice::No).await.unwrap();
        let _ = authenticated(step);
        let event = world.events.all().pop().unwrap();
        assert!(serde_json::to_string(&event).unwrap().len() < 1_000);
    }
}
