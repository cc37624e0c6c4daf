//! What depends on where a request comes from, and on the destination of a code: both can only be
//! stricter than the tenant's settings.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::sync::Mutex;

use crate::support::*;
use async_trait::async_trait;
use countersign::error::PluginError;
use countersign::event::EventKind;
use countersign::grant::Staleness;
use countersign::policy::{PolicyContext, RequestPolicy, Restriction};
use countersign::sender::{PlannedSend, Purpose, SendCheck, SendErrorKind, SendVerdict};
use countersign::{
    Channel, Error, Login, LoginStep, Method, Reason, RequestContext, RequestFlow, ResendTo, Scope,
    TrustDevice,
};

/// Restricts whatever comes from this user agent, and nothing else.
#[derive(Clone, Copy)]
struct From(&'static str, Restriction);

impl RequestPolicy for From {
    fn restrict(
        &self,
        _: &PolicyContext<'_>,
        request: &RequestContext,
    ) -> Result<Restriction, PluginError> {
        Ok(if request.user_agent() == Some(self.0) { self.1 } else { Restriction::None })
    }
}

const ABROAD: &str = "Abroad/1.0";

fn abroad(world: &World) -> RequestFlow {
    world.flow.request(&world.acme, &RequestContext::new().with_user_agent(ABROAD))
}

async fn world(restriction: Restriction) -> World {
    World::with(|b| b.trusted_devices(30 * DAY, 3).request_policy(From(ABROAD, restriction))).await
}

async fn begin(flow: &RequestFlow, channel: Channel) -> LoginStep {
    let password = PASSWORD.into();
    flow.begin(&Login { name: "alice", password: &password, channel, device: None }).await.unwrap()
}

/// Every restriction asks for more, whatever the tenant's settings say: none lets anybody in.
#[tokio::test]
async fn a_request_policy_is_only_ever_stricter() {
    let met = |step: LoginStep| match step {
        LoginStep::Authenticated(_) => 0,
        LoginStep::CodeRequired(_) => 1,
        LoginStep::Denied(_) => 2,
    };
    for scope in [Scope::DoNotUse, Scope::SystemAdministratorsOnly, Scope::EntireTenant] {
        let mut strictness = Vec::new();
        for restriction in [
            Restriction::None,
            Restriction::IgnoreTrustedDevices,
            Restriction::RequireSecondFactor,
            Restriction::Refuse,
        ] {
            let world = world(restriction).await;
            world.set_scope(scope).await;
            let without = met(begin(&world.request(), Channel::Web).await);
            world.wait_for_the_spacing();
            let with = met(begin(&abroad(&world), Channel::Web).await);
            assert!(without <= with, "{scope:?} {restriction:?}");
            strictness.push(with);
        }
        assert!(strictness.is_sorted() && strictness[3] == 2, "{scope:?}: {strictness:?}");
    }
}

/// A trusted device stands in for a code in the office, and not outside; its session neither.
#[tokio::test]
async fn trusted_devices_are_ignored_where_the_policy_says_so() {
    let world = world(Restriction::IgnoreTrustedDevices).await;
    let device = world.sign_in_and_trust("alice", "laptop").await.device_token.unwrap();
    let LoginStep::Authenticated(inside) = world.begin_with_device("alice", &device).await else {
        panic!("trusted inside")
    };
    let grant = inside.grant;
    let outside = abroad(&world);
    assert!(world.request().revalidate(&grant, Channel::Web).await.is_ok());
    let stale = outside.revalidate(&grant, Channel::Web).await.unwrap_err();
    assert_eq!(stale.staleness(), Some(Staleness::SecondFactorRequired));
    world.wait_for_the_spacing();
    let login = Login {
        name: "alice",
        password: &PASSWORD.into(),
        channel: Channel::Web,
        device: Some(&device),
    };
    let pending = challenge(outside.begin(&login).await.unwrap());
    let code = world.last_code().as_str().into();
    let step = outside.submit_code(&pending.token, &code, TrustDevice::No).await.unwrap();
    // A session with a code holds there.
    let done = authenticated(step);
    assert!(outside.revalidate(&done.grant, Channel::Web).await.is_ok());
}

/// I-25: what is refused is refused at every step of a login and in every session, without a
/// comparison; what was begun elsewhere goes on there.
#[tokio::test]
async fn a_refused_request_gets_nowhere() {
    let world = world(Restriction::Refuse).await;
    let backup = world.make_backup_code("alice").await;
    world.wait_for_the_spacing();
    let pending = challenge(begin(&world.request(), Channel::Web).await);
    let code: countersign::Code = world.last_code().as_str().into();
    let outside = abroad(&world);
    world.wait_for_the_spacing();
    let row = world.row(&world.alice);
    let sends = world.outbox.attempts();
    world.events.clear();
    for step in [
        begin(&outside, Channel::Web).await,
        outside.submit_code(&pending.token, &code, TrustDevice::No).await.unwrap(),
        outside.submit_backup_code(&pending.token, &backup.as_str().into()).await.unwrap(),
        outside.resend(&pending.token, ResendTo::Same).await.unwrap(),
    ] {
        assert_eq!(reason(&step), Reason::RequestRefused);
    }
    assert_eq!((world.row(&world.alice), world.outbox.attempts()), (row, sends));
    assert_eq!(reason(&outside.challenge(&pending.token).await.unwrap()), Reason::RequestRefused);
    let refused: Vec<_> = world.events.kinds().iter().map(EventKind::name).collect();
    assert_eq!(refused, ["login_refused", "step_refused", "step_refused", "step_refused"]);
    // A wrong password is answered as everywhere: the place tells nothing of it.
    let password = "wrong".into();
    let login = Login { name: "alice", password: &password, channel: Channel::Web, device: None };
    assert_eq!(reason(&outside.begin(&login).await.unwrap()), Reason::InvalidCredentials);
    let done = authenticated(world.submit(&pending.token, code.expose()).await);
    let stale = outside.revalidate(&done.grant, Channel::Web).await.unwrap_err();
    assert_eq!(stale.staleness(), Some(Staleness::RequestRefused));
    assert_eq!(refusal(outside.account(&done.grant).status().await), Reason::SessionStale);
    // A person's session is one by a program's route, too.
    let stale = outside.revalidate(&done.grant, Channel::ExemptApi).await.unwrap_err();
    assert_eq!(stale.staleness(), Some(Staleness::RequestRefused));
    assert!(world.request().revalidate(&done.grant, Channel::Web).await.is_ok());
    // Programs come from servers: they are not asked about.
    assert!(matches!(begin(&outside, Channel::ExemptApi).await, LoginStep::Authenticated(_)));
}

/// I-23: a policy that fails lets nobody in, and no session pass.
#[tokio::test]
async fn a_request_policy_that_fails_fails_closed() {
    struct Fails;
    impl RequestPolicy for Fails {
        fn restrict(
            &self,
            _: &PolicyContext<'_>,
            _: &RequestContext,
        ) -> Result<Restriction, PluginError> {
            Err(PluginError::new("no list of countries"))
        }
    }
    let world = World::new().await;
    let done = world.sign_in("alice").await;
    let flow = world.flow_over(world.factors.clone(), |b| b.request_policy(Fails)).unwrap();
    let request = flow.request(&world.acme, &RequestContext::new());
    world.wait_for_the_spacing();
    let password = PASSWORD.into();
    let login = Login { name: "alice", password: &password, channel: Channel::Web, device: None };
    assert!(matches!(request.begin(&login).await, Err(Error::Policy { .. })));
    assert!(request.revalidate(&done.grant, Channel::Web).await.is_err());
}

/// What a check was asked, and what it answers: a refusal of numbers, or a fault.
#[derive(Clone, Default)]
struct Carrier {
    asked: std::sync::Arc<Mutex<Vec<(Purpose, Method, bool)>>>,
    broken: bool,
}

#[async_trait]
impl SendCheck for Carrier {
    async fn check(&self, send: &PlannedSend<'_>) -> Result<SendVerdict, PluginError> {
        let known = !send.request.is_empty();
        self.asked.lock().unwrap().push((send.purpose, send.destination.method(), known));
        if self.broken {
            return Err(PluginError::new("the carrier does not answer"));
        }
        Ok(match send.destination.method() {
            Method::Sms => SendVerdict::Refuse { risk: "sim_swapped".into() },
            Method::Email => SendVerdict::Allow,
        })
    }
}

/// I-15: a code that the check refuses is not sent, stays charged, and the page offers the other
/// way; the event names the risk, and the person does not see it.
#[tokio::test]
async fn a_risky_destination_gets_no_code() {
    let world = World::new().await;
    world.choose_sms("alice", "+819012345634").await;
    world.wait_for_the_spacing();
    let carrier = Carrier::default();
    let flow = world.flow_over(world.factors.clone(), |b| b.send_check(carrier.clone())).unwrap();
    let request = flow.request(&world.acme, &context());
    world.events.clear();
    world.outbox.clear();
    let charged = world.charged_sends(&world.alice);
    let pending = challenge(begin(&request, Channel::Web).await);
    assert_eq!(failure(&pending.delivery), SendErrorKind::Permanent);
    assert_eq!(world.outbox.attempts(), 0);
    assert_eq!(world.charged_sends(&world.alice), charged + 1);
    assert!(pending.alternatives.email.is_some());
    let json = serde_json::to_string(&pending).unwrap();
    assert!(!json.contains("sim_swapped"));
    let kinds = world.events.kinds();
    assert!(matches!(
        &kinds[..],
        [
            EventKind::CodeRequired { .. },
            EventKind::DeliveryRefused { method: Method::Sms, risk, .. }
        ] if risk == "sim_swapped"
    ));
    world.wait_for_the_spacing();
    let step = request.resend(&pending.token, ResendTo::Email).await.unwrap();
    assert_eq!(challenge(step).delivery.sent().unwrap().method, Method::Email);
    let asked = carrier.asked.lock().unwrap().clone();
    assert_eq!(asked, [(Purpose::Login, Method::Sms, true), (Purpose::Login, Method::Email, true)]);
}

/// The automatic fallback goes by email after a refusal, as after any other failure; and a number
/// that is refused is not proved.
#[tokio::test]
async fn a_refused_number_falls_back_and_is_not_proved() {
    let world = World::new().await;
    world.choose_sms("alice", "+819012345634").await;
    world.wait_for_the_spacing();
    let carrier = Carrier::default();
    let flow = world
        .flow_over(world.factors.clone(), |b| {
            b.send_check(carrier.clone()).fall_back_to_email(true)
        })
        .unwrap();
    let request = flow.request(&world.acme, &context());
    let pending = challenge(begin(&request, Channel::Web).await);
    assert_eq!(pending.delivery.sent().unwrap().method, Method::Email);
    let code = world.last_code().as_str().into();
    let step = request.submit_code(&pending.token, &code, TrustDevice::No).await.unwrap();
    let grant = authenticated(step).grant;
    world.wait_for_the_spacing();
    let number = countersign::contact::PhoneNumber::new("+819087654321").unwrap();
    let setup = request.account(&grant).use_sms(&number).await.unwrap();
    assert_eq!(failure(&setup.delivery), SendErrorKind::Permanent);
    assert_eq!(carrier.asked.lock().unwrap().last().unwrap().0, Purpose::MethodSetup);
}

/// I-23: a check that fails is a refusal, and its cause is in the event.
#[tokio::test]
async fn a_check_that_fails_sends_nothing() {
    let world = World::new().await;
    let carrier = Carrier { broken: true, ..Carrier::default() };
    let flow = world.flow_over(world.factors.clone(), |b| b.send_check(carrier)).unwrap();
    let request = flow.request(&world.acme, &RequestContext::new());
    world.events.clear();
    let pending = challenge(begin(&request, Channel::Web).await);
    assert_eq!(failure(&pending.delivery), SendErrorKind::Permanent);
    assert_eq!(world.outbox.attempts(), 0);
    let kinds = world.events.kinds();
    let [_, EventKind::DeliveryFailed { causes, .. }] = &kinds[..] else { panic!("{kinds:?}") };
    assert!(causes.to_string().contains("the carrier does not answer"), "{causes}");
}
