//! Limits on sending across users.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use countersign::budget::{Account, Charged, Limit, SendBudget};
use countersign::clock::{Clock, ManualClock};
use countersign::contact::{Destination, EmailAddress, PhoneNumber};
use countersign::error::PluginError;
use countersign::memory::MemoryBudget;
use countersign::memory::{MemoryFactors, MemoryUsers};
use countersign::sender::{CodeSender, SendError, SendErrorKind, SendStatus};
use countersign::{
    Code, DeliveryStatus, LoginFlow, LoginStep, Method, RequestContext, ResendTo, Scope, UserId,
};
use countersign_delivery::{BadPrefix, Budgeted, LimitKind, SendLimits, SendRefusal};
use countersign_testkit::{
    Delivered, Events, Outbox, Person, PlainPasswords, SeededEntropy, TenantSetup, authenticated,
    challenge,
};
use proptest::prelude::*;
use support::{code, notice};
use time::OffsetDateTime;

const HOUR: Duration = Duration::from_secs(3600);

fn start() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
}

fn sms(number: &str) -> Destination {
    Destination::Sms(PhoneNumber::new(number).unwrap())
}

fn email(address: &str) -> Destination {
    Destination::Email(EmailAddress::new(address).unwrap())
}

/// A budgeted outbox, the clock of its periods, and what it refused.
struct Rig {
    sender: Budgeted<Outbox>,
    outbox: Outbox,
    clock: ManualClock,
    refusals: Arc<Mutex<Vec<SendRefusal>>>,
}

fn rig(limits: SendLimits) -> Rig {
    let (outbox, clock, refusals) =
        (Outbox::default(), ManualClock::new(start()), Arc::<Mutex<Vec<SendRefusal>>>::default());
    let seen = Arc::clone(&refusals);
    let sender = Budgeted::new(outbox.clone(), MemoryBudget::new(), limits)
        .clock(clock.clone())
        .observer(move |refusal: &SendRefusal| seen.lock().unwrap().push(refusal.clone()));
    Rig { sender, outbox, clock, refusals }
}

impl Rig {
    async fn send(&self, tenant: &str, to: &Destination) -> Result<SendStatus, SendErrorKind> {
        self.sender.send_code(&code(tenant, to.clone())).await.map_err(|error| error.kind())
    }

    #[track_caller]
    fn refused_by(&self) -> Vec<LimitKind> {
        self.refusals.lock().unwrap().iter().map(|refusal| refusal.limit).collect()
    }
}

#[track_caller]
fn retry_after(result: Result<SendStatus, SendErrorKind>) -> Duration {
    match result {
        Err(SendErrorKind::Throttled { retry_after: Some(after) }) => after,
        other => panic!("throttled, not {other:?}"),
    }
}

#[tokio::test]
async fn a_destination_gets_so_many_messages_whoever_asks() {
    let rig = rig(SendLimits::new().per_destination([Limit::new(3, HOUR)]));
    let (victim, other) = (sms("+819012345634"), sms("+819012345635"));
    for tenant in ["acme", "other", "acme"] {
        assert_eq!(rig.send(tenant, &victim).await, Ok(SendStatus::Sent));
    }
    let wait = retry_after(rig.send("third", &victim).await);
    assert!(wait > Duration::ZERO && wait <= HOUR + Duration::from_secs(60), "{wait:?}");
    assert_eq!(rig.send("third", &other).await, Ok(SendStatus::Sent));
    assert_eq!(rig.outbox.attempts(), 4, "the sender was not asked for the refused one");
    rig.clock.advance(wait);
    assert_eq!(rig.send("acme", &victim).await, Ok(SendStatus::Sent));
    assert_eq!(rig.refused_by(), [LimitKind::Destination]);
}

#[tokio::test]
async fn a_tenant_and_a_country_have_limits_of_their_own() {
    let limits =
        SendLimits::new().per_tenant(Limit::new(4, HOUR)).per_calling_code(Limit::new(2, HOUR));
    let rig = rig(limits);
    for number in ["+819012345630", "+819012345631"] {
        rig.send("acme", &sms(number)).await.unwrap();
    }
    retry_after(rig.send("acme", &sms("+819012345632")).await);
    // Another country, and email, are not concerned; the tenant is.
    rig.send("acme", &sms("+15551234567")).await.unwrap();
    rig.send("acme", &email("a@example.com")).await.unwrap();
    retry_after(rig.send("acme", &email("b@example.com")).await);
    rig.send("other", &email("b@example.com")).await.unwrap();
    assert_eq!(rig.refused_by(), [LimitKind::CallingCode, LimitKind::Tenant]);
    let refusals = rig.refusals.lock().unwrap();
    assert_eq!(refusals[0].calling_code.as_deref(), Some("81"));
    assert_eq!((refusals[1].method, refusals[1].calling_code.as_deref()), (Method::Email, None));
    let printed = format!("{refusals:?} {}", serde_json::to_string(&*refusals).unwrap());
    assert!(!printed.contains("9012345632") && !printed.contains("b@example.com"), "{printed}");
}

#[tokio::test]
async fn numbers_of_other_countries_are_never_sent_to() {
    let rig = rig(SendLimits::new()
        .allow_calling_codes(&["81", "1"])
        .unwrap()
        .deny_prefixes(&["1876", "8190999"])
        .unwrap());
    for number in ["+819012345634", "+15551234567"] {
        assert_eq!(rig.send("acme", &sms(number)).await, Ok(SendStatus::Sent), "{number}");
    }
    for number in ["+447700900000", "+18765551234", "+819099912345", "+821012345678"] {
        assert_eq!(rig.send("acme", &sms(number)).await, Err(SendErrorKind::Permanent), "{number}");
    }
    assert_eq!(rig.send("acme", &email("a@example.com")).await, Ok(SendStatus::Sent));
    assert_eq!(rig.outbox.attempts(), 3);
    assert_eq!(rig.refused_by(), [LimitKind::Prefix; 4]);
    for bad in ["", "+81", "081", "12345678", "8l", "８１"] {
        assert_eq!(SendLimits::new().allow_calling_codes(&[bad]).unwrap_err(), BadPrefix, "{bad}");
    }
}

#[tokio::test]
async fn asking_for_codes_does_not_keep_a_person_from_being_told() {
    let rig = rig(SendLimits::new()
        .per_destination([Limit::new(1, HOUR)])
        .per_tenant(Limit::new(1, HOUR)));
    let to = sms("+819012345634");
    rig.send("acme", &to).await.unwrap();
    retry_after(rig.send("acme", &to).await);
    assert!(rig.sender.notify(&notice(to.clone())).await.is_ok());
    assert!(rig.sender.notify(&notice(to)).await.is_err(), "notices are limited too");
}

/// I-15, I-24.
#[tokio::test]
async fn a_message_is_charged_before_it_is_sent_and_not_given_back() {
    let rig = rig(SendLimits::new().per_destination([Limit::new(1, HOUR)]));
    rig.outbox.script([Delivered::Failed(SendErrorKind::Transient)]);
    assert_eq!(rig.send("acme", &sms("+819012345634")).await, Err(SendErrorKind::Transient));
    retry_after(rig.send("acme", &sms("+819012345634")).await);
    assert_eq!(rig.outbox.attempts(), 1);
}

/// I-15, attack 71.
#[tokio::test]
async fn all_spellings_of_a_destination_share_its_limits() {
    let rig = rig(SendLimits::new().per_destination([Limit::new(1, HOUR)]));
    for (spellings, others) in [
        (
            ["+447911123456", "+4407911123456", "+44007911123456"].map(sms).to_vec(),
            // Another number, and zeros that count.
            ["+447911123457", "+39612345678", "+390612345678"].map(sms).to_vec(),
        ),
        (["+5215512345678", "+525512345678"].map(sms).to_vec(), vec![sms("+525512345679")]),
        (
            [
                "alice@example.com",
                "Alice@Example.Com",
                "alice+x@example.com",
                "ALICE+y+z@example.com",
            ]
            .map(email)
            .to_vec(),
            ["a.lice@example.com", "alice@mail.example.com", "alice-x@example.com"]
                .map(email)
                .to_vec(),
        ),
    ] {
        let (first, rest) = spellings.split_first().unwrap();
        assert_eq!(rig.send("acme", first).await, Ok(SendStatus::Sent));
        for spelling in rest {
            retry_after(rig.send("acme", spelling).await);
        }
        for other in &others {
            assert_eq!(rig.send("acme", other).await, Ok(SendStatus::Sent), "{other:?}");
        }
    }
    // What is sent goes where it is addressed to.
    assert_eq!(rig.send("acme", &email("Bob+home@example.com")).await, Ok(SendStatus::Sent));
    assert_eq!(rig.outbox.last_code().unwrap().to, email("Bob+home@example.com"));
}

/// I-15, attack 71: a domain and its ASCII form are one, in any case. Each spelling is tried after
/// each other one.
#[tokio::test]
async fn all_spellings_of_a_domain_share_its_limits() {
    let spellings = [
        "user@bücher.example",
        "User@BÜCHER.Example",
        "user@xn--bcher-kva.example",
        "user@XN--BCHER-KVA.EXAMPLE",
        "user+x@xn--Bcher-Kva.example",
    ];
    for first in spellings {
        for second in spellings {
            let rig = rig(SendLimits::new().per_destination([Limit::new(1, HOUR)]));
            assert_eq!(rig.send("acme", &email(first)).await, Ok(SendStatus::Sent));
            retry_after(rig.send("acme", &email(second)).await);
            assert_eq!(
                (rig.outbox.attempts(), rig.refused_by()),
                (1, vec![LimitKind::Destination]),
                "{first} {second}"
            );
            assert_eq!(
                rig.outbox.last_code().unwrap().to,
                email(first),
                "it goes to the spelling that it is addressed to"
            );
            // Other mailboxes: another name, another domain, and one that only looks alike.
            for other in ["other@bücher.example", "user@bucher.example", "user@xn--bcher-kva.test"]
            {
                assert_eq!(rig.send("acme", &email(other)).await, Ok(SendStatus::Sent), "{other}");
            }
        }
    }
    // Spellings that IDNA would map to one of these have no key, since they are no addresses.
    for refused in [
        "user@bu\u{308}cher.example",
        "user@bücher．example",
        "user@bücher。example",
        "user@ｂücher.example",
    ] {
        assert!(EmailAddress::new(refused).is_err(), "{refused}");
    }
}

/// I-15: a zero in a number does not get around the prefixes.
#[tokio::test]
async fn a_number_in_another_spelling_begins_as_it_does_in_its_own() {
    let limits = SendLimits::new()
        .allow_calling_codes(&["1", "447"])
        .unwrap()
        .deny_prefixes(&["1876"])
        .unwrap();
    let rig = rig(limits);
    for number in
        ["+18765550123", "+108765550123", "+118765550123", "+442079460000", "+4402079460000"]
    {
        assert_eq!(rig.send("acme", &sms(number)).await, Err(SendErrorKind::Permanent), "{number}");
    }
    for number in ["+12025550123", "+447911123456", "+4407911123456"] {
        assert_eq!(rig.send("acme", &sms(number)).await, Ok(SendStatus::Sent), "{number}");
    }
}

struct Broken;

#[async_trait]
impl SendBudget for Broken {
    async fn charge(&self, _: &[Account], _: OffsetDateTime) -> Result<Charged, PluginError> {
        Err(PluginError::new("no connection"))
    }
}

struct NoClock;

impl Clock for NoClock {
    fn now(&self) -> Result<OffsetDateTime, PluginError> {
        Err(PluginError::new("no time"))
    }
}

/// What an error tells the operator.
fn causes(error: &SendError) -> Vec<String> {
    code("acme", sms("+819012345634")).causes(error).iter().map(str::to_owned).collect()
}

/// I-23.
#[tokio::test]
async fn a_budget_that_fails_sends_nothing_uncounted() {
    let outbox = Outbox::default();
    let sender = Budgeted::new(outbox.clone(), Broken, SendLimits::new());
    let refused: SendError =
        sender.send_code(&code("acme", sms("+819012345634"))).await.unwrap_err();
    assert_eq!((refused.kind(), outbox.attempts()), (SendErrorKind::Transient, 0));
    assert_eq!(causes(&refused), ["send budget failed", "no connection"]);
    let sender =
        Budgeted::new(outbox.clone(), MemoryBudget::new(), SendLimits::new()).clock(NoClock);
    let refused = sender.send_code(&code("acme", sms("+819012345634"))).await.unwrap_err();
    assert_eq!((refused.kind(), outbox.attempts()), (SendErrorKind::Transient, 0));
    assert_eq!(causes(&refused), ["clock of the send budget failed", "no time"]);
    // A full one too.
    let sender = Budgeted::new(outbox.clone(), MemoryBudget::with_accounts(3), SendLimits::new());
    sender.send_code(&code("acme", sms("+819012345634"))).await.unwrap();
    let refused = sender.send_code(&code("acme", sms("+819012345635"))).await.unwrap_err();
    assert_eq!((refused.kind(), outbox.attempts()), (SendErrorKind::Transient, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_burst_gets_more_than_the_limit() {
    let budget = MemoryBudget::new();
    let accounts = |position: usize| {
        let limits = SendLimits::new()
            .per_destination([Limit::new(1000, HOUR)])
            .per_tenant(Limit::new(5, HOUR));
        let outbox = Outbox::default();
        let sender = Budgeted::new(outbox, budget.clone(), limits).clock(ManualClock::new(start()));
        async move {
            sender.send_code(&code("acme", sms(&format!("+8190123456{position:02}")))).await.is_ok()
        }
    };
    let barrier = Arc::new(tokio::sync::Barrier::new(64));
    let tasks: Vec<_> = (0..64)
        .map(|position| {
            let (send, barrier) = (accounts(position), Arc::clone(&barrier));
            tokio::spawn(async move {
                barrier.wait().await;
                send.await
            })
        })
        .collect();
    let mut sent = 0;
    for task in tasks {
        sent += usize::from(task.await.unwrap());
    }
    assert_eq!(sent, 5);
    assert_eq!(
        budget.accounts(),
        6,
        "a refused message is charged on no account: five destinations and the tenant"
    );
}

proptest! {
    /// In no span of the period are there more than the limit, and after a quiet period there is
    /// always one.
    #[test]
    fn a_period_is_never_overdrawn(
        steps in prop::collection::vec(0_u64..400, 1..120),
        most in 1_u32..6,
        seconds in 1_u64..120,
    ) {
        let per = Duration::from_secs(seconds);
        let (rig, mut sent, mut now) = (rig(SendLimits::new().per_destination([Limit::new(most, per)])), Vec::new(), Duration::ZERO);
        let to = sms("+819012345634");
        for step in steps {
            let step = Duration::from_millis(step * seconds);
            rig.clock.advance(step);
            now += step;
            if futures_lite::future::block_on(rig.send("acme", &to)).is_ok() {
                sent.push(now);
            }
        }
        for (position, first) in sent.iter().enumerate() {
            let within = sent[position..].iter().filter(|at| **at < *first + per).count();
            prop_assert!(within <= most as usize, "{within} from {first:?}: {sent:?}");
        }
        rig.clock.advance(per * 2);
        prop_assert!(futures_lite::future::block_on(rig.send("acme", &to)).is_ok());
    }
}

#[tokio::test]
async fn a_clock_that_goes_back_gives_nothing_away() {
    let rig = rig(SendLimits::new().per_destination([Limit::new(2, HOUR)]));
    let to = sms("+819012345634");
    rig.send("acme", &to).await.unwrap();
    rig.clock.set(start() - HOUR * 10);
    rig.send("acme", &to).await.unwrap();
    retry_after(rig.send("acme", &to).await);
    rig.clock.set(OffsetDateTime::UNIX_EPOCH - HOUR);
    retry_after(rig.send("acme", &to).await);
}

/// Attack 35: a person with a password has chosen an expensive number. No message goes there, and
/// the login goes on by email.
#[tokio::test]
async fn a_login_goes_on_by_email_where_the_number_is_not_sent_to() {
    let (users, factors, outbox, events) =
        (MemoryUsers::new(), MemoryFactors::new(), Outbox::default(), Events::default());
    let acme = TenantSetup::named("acme")
        .person(Person::named("root").administrator())
        .person(Person::named("alice"))
        .join(&users)
        .unwrap();
    let clock = ManualClock::new(start());
    let flow = |limits: SendLimits| {
        let sender =
            Budgeted::new(outbox.clone(), MemoryBudget::new(), limits).clock(clock.clone());
        LoginFlow::builder(users.clone(), factors.clone(), sender)
            .clock(clock.clone())
            .entropy(SeededEntropy::new(7))
            .password_verifier(PlainPasswords)
            .events(events.clone())
            .fall_back_to_email(false)
            .build()
            .unwrap()
    };
    let open = flow(SendLimits::new());
    let begin = async |flow: &LoginFlow, name: &'static str| -> LoginStep {
        let (tenant, password) = (&acme, &Person::PASSWORD.into());
        let login =
            countersign::Login { name, password, channel: countersign::Channel::Web, device: None };
        flow.request(tenant, &RequestContext::new()).begin(&login).await.unwrap()
    };
    open.operator("test").unwrap().set_scope(&acme, Scope::EntireTenant).await.unwrap();
    let submit = async |flow: &LoginFlow, token: &countersign::PendingToken| {
        let code = Code::new(outbox.last_code().unwrap().code);
        authenticated(
            flow.request(&acme, &RequestContext::new())
                .submit_code(token, &code, countersign::TrustDevice::No)
                .await
                .unwrap(),
        )
    };
    let first = challenge(begin(&open, "alice").await);
    let grant = submit(&open, &first.token).await.grant;
    clock.advance(Duration::from_secs(60));
    let number = PhoneNumber::new("+8835100123456").unwrap();
    let setup = open
        .request(grant.tenant(), &RequestContext::new())
        .account(&grant)
        .use_sms(&number)
        .await
        .unwrap();
    open.request(grant.tenant(), &RequestContext::new())
        .account(&grant)
        .confirm_method(&setup.token, &Code::new(outbox.last_code().unwrap().code))
        .await
        .unwrap();
    clock.advance(Duration::from_secs(60));

    let strict = flow(SendLimits::new().allow_calling_codes(&["81"]).unwrap());
    outbox.clear();
    events.clear();
    let stuck = challenge(begin(&strict, "alice").await);
    let told = events.all().iter().map(ToString::to_string).collect::<String>();
    assert!(told.contains("numbers with this prefix are not sent to"), "{told}");
    assert!(matches!(
        stuck.delivery,
        DeliveryStatus::Failed { error: SendErrorKind::Permanent, .. }
    ));
    assert_eq!(outbox.attempts(), 0);
    clock.advance(Duration::from_secs(60));
    let by_email = challenge(
        strict
            .request(&acme, &RequestContext::new())
            .resend(&stuck.token, ResendTo::Email)
            .await
            .unwrap(),
    );
    assert!(matches!(by_email.delivery, DeliveryStatus::Sent(_)));
    let _ = submit(&strict, &by_email.token).await;
    assert_eq!(outbox.last_code().unwrap().user, UserId::new("alice").unwrap());
}
