//! Logins whose SMS provider is slow, down or throttling: the step answers in time, is charged
//! once, and the person goes on by email.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign::budget::Limit;
use countersign::clock::ManualClock;
use countersign::contact::PhoneNumber;
use countersign::memory::MemoryBudget;
use countersign::memory::{MemoryFactors, MemoryUsers};
use countersign::sender::{DeliveryReport, MessageId, SendErrorKind};
use countersign::{
    Challenge, Channel, Code, DeliveryStatus, Login, LoginFlow, LoginStep, Method, RequestContext,
    ResendTo, Scope, TenantId, TrustDevice,
};
use countersign_delivery::{Budgeted, SendLimits, SendRefusal};
use countersign_delivery::{Deadline, DeliveryLog, DeliveryState, Failover, RouteTable};
use countersign_testkit::{
    Person, PlainPasswords, SeededEntropy, TenantSetup, authenticated, challenge,
};
use support::{Does, Provider};

const BUDGET: Duration = Duration::from_secs(5);
const MINUTE: Duration = Duration::from_secs(60);

/// `alice` of `acme` gets her codes by SMS: through A, and where A surely did not send, through B.
struct Rig {
    flow: LoginFlow,
    acme: TenantId,
    clock: ManualClock,
    mail: Provider,
    a: Provider,
    b: Provider,
    log: DeliveryLog,
    refusals: Arc<Mutex<Vec<SendRefusal>>>,
}

impl Rig {
    async fn new(limits: SendLimits, fall_back: bool) -> Self {
        let users = MemoryUsers::new();
        let acme = TenantSetup::named("acme")
            .person(Person::named("root").administrator())
            .person(Person::named("alice"))
            .join(&users)
            .unwrap();
        let clock =
            ManualClock::new(time::OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap());
        let [mail, a, b] = std::array::from_fn(|_| Provider::new(Does::Sends));
        let routes = RouteTable::new();
        let log = DeliveryLog::new();
        let chain = Failover::new(a.clone()).then(b.clone());
        routes.set_default(Method::Email, Deadline::new(log.track(mail.clone()), BUDGET));
        routes.set_default(Method::Sms, Deadline::new(log.track(chain), BUDGET));
        let refusals = Arc::<Mutex<Vec<SendRefusal>>>::default();
        let seen = Arc::clone(&refusals);
        let sender = Budgeted::new(routes, MemoryBudget::new(), limits)
            .clock(clock.clone())
            .observer(move |refusal: &SendRefusal| seen.lock().unwrap().push(refusal.clone()));
        let flow = LoginFlow::builder(users, MemoryFactors::new(), sender)
            .clock(clock.clone())
            .entropy(SeededEntropy::new(7))
            .password_verifier(PlainPasswords)
            .fall_back_to_email(fall_back)
            .build()
            .unwrap();
        let rig = Self { flow, acme, clock, mail, a, b, log, refusals };
        let operator = rig.flow.operator("test").unwrap();
        operator.set_scope(&rig.acme, Scope::EntireTenant).await.unwrap();
        let first = challenge(rig.begin("alice").await);
        let grant = authenticated(rig.submit(&first, &rig.mail).await).grant;
        rig.clock.advance(MINUTE);
        let setup = rig
            .flow
            .request(grant.tenant(), &RequestContext::new())
            .account(&grant)
            .use_sms(&PhoneNumber::new("+819012345634").unwrap())
            .await
            .unwrap();
        rig.flow
            .request(grant.tenant(), &RequestContext::new())
            .account(&grant)
            .confirm_method(&setup.token, &Code::new(rig.a.codes().pop().unwrap()))
            .await
            .unwrap();
        rig.clock.advance(Duration::from_secs(24 * 60 * 60));
        rig
    }

    async fn begin(&self, name: &str) -> LoginStep {
        let (tenant, password) = (&self.acme, &Person::PASSWORD.into());
        self.flow
            .request(tenant, &RequestContext::new())
            .begin(&Login { name, password, channel: Channel::Web, device: None })
            .await
            .unwrap()
    }

    /// The last code that this provider sent.
    async fn submit(&self, challenge: &Challenge, from: &Provider) -> LoginStep {
        let code = Code::new(from.codes().pop().unwrap());
        self.flow
            .request(&self.acme, &RequestContext::new())
            .submit_code(&challenge.token, &code, TrustDevice::No)
            .await
            .unwrap()
    }

    async fn by_email(&self, challenge: &Challenge) {
        self.clock.advance(MINUTE);
        let again = self
            .flow
            .request(&self.acme, &RequestContext::new())
            .resend(&challenge.token, ResendTo::Email)
            .await
            .unwrap();
        let LoginStep::CodeRequired(again) = again else { panic!("{again:?}") };
        assert!(matches!(again.delivery, DeliveryStatus::Sent(_)));
        let _ = authenticated(self.submit(&again, &self.mail).await);
    }
}

fn id(challenge: &Challenge) -> MessageId {
    MessageId::new(challenge.login, challenge.delivery.sent().unwrap().reference)
}

#[tokio::test(start_paused = true)]
async fn a_slow_provider_does_not_hold_a_login_and_its_code_still_works() {
    let rig = Rig::new(SendLimits::new(), true).await;
    rig.a.now(Does::After(Duration::from_secs(12), Ok(())));
    let started = tokio::time::Instant::now();
    let page = challenge(rig.begin("alice").await);
    assert!(matches!(page.delivery, DeliveryStatus::Queued(_)));
    assert_eq!(started.elapsed(), BUDGET);
    assert!(page.alternatives.email.is_some());
    assert_eq!(rig.log.state(id(&page)), Some(DeliveryState::Pending));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(rig.log.state(id(&page)), Some(DeliveryState::Sent));
    let _ = authenticated(rig.submit(&page, &rig.a).await);
    assert_eq!(rig.b.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_never_answers_leaves_the_way_by_email() {
    let rig = Rig::new(SendLimits::new(), true).await;
    rig.a.now(Does::Never);
    let page = challenge(rig.begin("alice").await);
    assert!(matches!(page.delivery, DeliveryStatus::Queued(_)));
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert!(rig.log.state(id(&page)).unwrap().needs_another_way());
    assert_eq!(rig.b.calls(), 0, "it was perhaps sent");
    rig.by_email(&page).await;
}

#[tokio::test(start_paused = true)]
async fn a_report_that_it_will_not_arrive_offers_the_way_by_email() {
    let rig = Rig::new(SendLimits::new(), true).await;
    let page = challenge(rig.begin("alice").await);
    assert!(matches!(page.delivery, DeliveryStatus::Sent(_)));
    assert_eq!(rig.log.state(id(&page)), Some(DeliveryState::Sent));
    // As it comes back from the provider: a text.
    assert!(rig.log.report(id(&page).to_string().parse().unwrap(), DeliveryReport::Undeliverable));
    assert!(rig.log.state(id(&page)).unwrap().needs_another_way());
    rig.by_email(&page).await;
}

#[tokio::test(start_paused = true)]
async fn the_next_provider_helps_where_the_first_one_is_down_and_the_person_notices_nothing() {
    let rig = Rig::new(SendLimits::new(), true).await;
    for kind in [
        SendErrorKind::Transient,
        SendErrorKind::Throttled { retry_after: None },
        SendErrorKind::Permanent,
    ] {
        rig.a.now(Does::Fails(kind));
        let page = challenge(rig.begin("alice").await);
        assert!(matches!(page.delivery, DeliveryStatus::Sent(_)));
        let _ = authenticated(rig.submit(&page, &rig.b).await);
        rig.clock.advance(MINUTE * 10);
    }
}

/// I-24.
#[tokio::test(start_paused = true)]
async fn a_perhaps_sent_code_is_not_sent_again_by_itself() {
    let rig = Rig::new(SendLimits::new(), true).await;
    let mails = rig.mail.calls();
    rig.a.now(Does::Fails(SendErrorKind::Unknown));
    let page = challenge(rig.begin("alice").await);
    assert!(matches!(page.delivery, DeliveryStatus::PerhapsSent(_)));
    assert_eq!((rig.b.calls(), rig.mail.calls()), (0, mails));
    rig.by_email(&page).await;
}

#[tokio::test(start_paused = true)]
async fn with_both_providers_down_the_code_goes_by_email_where_the_application_allows() {
    for fall_back in [true, false] {
        let rig = Rig::new(SendLimits::new(), fall_back).await;
        rig.a.now(Does::Fails(SendErrorKind::Permanent));
        rig.b.now(Does::Fails(SendErrorKind::Transient));
        let page = challenge(rig.begin("alice").await);
        if fall_back {
            assert!(
                matches!(&page.delivery, DeliveryStatus::Sent(code) if code.method == Method::Email)
            );
            let _ = authenticated(rig.submit(&page, &rig.mail).await);
        } else {
            assert!(matches!(
                page.delivery,
                DeliveryStatus::Failed { error: SendErrorKind::Transient, .. }
            ));
            rig.by_email(&page).await;
        }
    }
}

/// I-15.
#[tokio::test(start_paused = true)]
async fn a_message_is_charged_once_whichever_provider_sends_it() {
    // The setup of the rig takes one of the four by SMS.
    let limit = Limit::new(4, Duration::from_secs(7 * 24 * 60 * 60));
    let rig = Rig::new(
        SendLimits::new().per_destination([Limit::new(100, MINUTE)]).per_calling_code(limit),
        false,
    )
    .await;
    rig.a.now(Does::Fails(SendErrorKind::Transient));
    for _ in 0..3 {
        let page = challenge(rig.begin("alice").await);
        assert!(matches!(page.delivery, DeliveryStatus::Sent(_)));
        let _ = authenticated(rig.submit(&page, &rig.b).await);
        rig.clock.advance(MINUTE * 10);
    }
    let (a, b) = (rig.a.calls(), rig.b.calls());
    let page = challenge(rig.begin("alice").await);
    assert!(matches!(
        page.delivery,
        DeliveryStatus::Failed { error: SendErrorKind::Throttled { retry_after: Some(_) }, .. }
    ));
    assert_eq!((rig.a.calls(), rig.b.calls()), (a, b), "nobody was asked");
    assert_eq!(rig.refusals.lock().unwrap().len(), 1);
    rig.by_email(&page).await;
}
