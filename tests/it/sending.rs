//! Delivery: what a sender's answer leads to, where messages go, and how many logins wait at once.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::interject::Interject;
use crate::support::wiring::Answering;
use crate::support::*;
use async_trait::async_trait;
use countersign::contact::Destination;
use countersign::error::PluginError;
use countersign::event::{Causes, EventKind};
use countersign::memory::MemoryUsers;
use countersign::sender::{
    CodeMessage, CodeSender, Notice, NoticeKind, Purpose, SendError, SendErrorKind, SendStatus,
};
use countersign::user::{PasswordHash, User, UserStore};
use countersign::{
    Challenge, Channel, DeliveryStatus, LoginName, Method, PendingToken, Reason, ResendTo,
    SecondFactor, TenantId, UserId,
};
use countersign_testkit::Intercepted;
use time::{OffsetDateTime, UtcOffset};

const NUMBER: &str = "+15551234567";

fn kinds_that_surely_failed() -> [SendErrorKind; 4] {
    [
        SendErrorKind::Permanent,
        SendErrorKind::Transient,
        SendErrorKind::Throttled { retry_after: None },
        SendErrorKind::Throttled { retry_after: Some(MINUTE) },
    ]
}

/// I-15, I-24: an SMS that surely was not sent goes to the email address at once, and costs two
/// sends.
#[tokio::test]
async fn where_configured_a_failed_sms_falls_back_to_email() {
    for kind in kinds_that_surely_failed() {
        let world = World::with(|builder| builder.fall_back_to_email(true)).await;
        world.choose_sms("alice", NUMBER).await;
        let (attempts, sends) = (world.outbox.attempts(), world.charged_sends(&world.alice));
        world.outbox.always(Some(Method::Sms), Delivered::Failed(kind));
        world.events.clear();
        let challenge = world.begin("alice").await;
        assert!(matches!(challenge.delivery, DeliveryStatus::Sent(_)));
        assert_eq!(challenge.delivery.sent().unwrap().method, Method::Email);
        assert_eq!(challenge.alternatives.sms.as_ref().unwrap().as_str(), "+1 *** **67");
        assert_eq!(world.outbox.attempts() - attempts, 2);
        assert_eq!(world.charged_sends(&world.alice) - sends, 2);
        let login = challenge.login;
        let told = [
            EventKind::CodeRequired { login, channel: Channel::Web, method: Some(Method::Sms) },
            EventKind::DeliveryFailed {
                login,
                method: Method::Sms,
                error: kind,
                causes: Causes::default(),
            },
            EventKind::CodeResent { login, method: Method::Email },
        ];
        assert_eq!(world.events.kinds(), told);
        let done = authenticated(world.submit(&challenge.token, &world.last_code()).await);
        assert_eq!(done.grant.second_factor(), &SecondFactor::Code { method: Method::Email });
        assert_eq!(
            world.request().account(&done.grant).status().await.unwrap().method,
            Method::Sms
        );
    }
}

/// I-06: an SMS that fails late takes nothing from a code that was sent since.
#[tokio::test]
async fn an_sms_that_fails_after_another_code_was_sent_does_not_fall_back() {
    let mut world = World::with(|builder| builder.fall_back_to_email(true)).await;
    world.choose_sms("alice", NUMBER).await;
    let (other, late) = (world.request(), Interject::default());
    let sender = Intercepted::new(world.outbox.clone(), &late);
    let (users, factors) = (world.users.clone(), world.factors.clone());
    world.rewire(users, factors, sender, |builder| builder.fall_back_to_email(true));
    let begun = world.begin("alice").await;
    world.wait_for_the_spacing();
    let token = PendingToken::new(begun.token.expose());
    let (clock, outbox) = (world.clock.clone(), world.outbox.clone());
    late.once("before send_code", move || async move {
        clock.advance(MINUTE);
        let _ = challenge(other.resend(&token, ResendTo::Same).await.unwrap());
        outbox.always(Some(Method::Sms), Delivered::Failed(SendErrorKind::Permanent));
    });
    let attempts = world.outbox.attempts();
    let step = world.request().resend(&begun.token, ResendTo::Same).await.unwrap();
    assert!(late.is_done());
    assert_eq!(failure(&challenge(step).delivery), SendErrorKind::Permanent);
    assert_eq!(world.outbox.attempts() - attempts, 2, "none by email");
    let done = authenticated(world.submit(&begun.token, &world.last_code()).await);
    assert_eq!(done.grant.second_factor(), &SecondFactor::Code { method: Method::Sms });
}

/// A message that was perhaps sent is not sent twice.
#[tokio::test]
async fn a_send_of_which_nobody_knows_does_not_fall_back() {
    let world = World::with(|builder| builder.fall_back_to_email(true)).await;
    world.choose_sms("alice", NUMBER).await;
    let attempts = world.outbox.attempts();
    world.outbox.always(Some(Method::Sms), Delivered::Failed(SendErrorKind::Unknown));
    let challenge = world.begin("alice").await;
    assert!(
        matches!(&challenge.delivery, DeliveryStatus::PerhapsSent(code) if code.method == Method::Sms)
    );
    assert!(challenge.alternatives.email.is_some());
    assert_eq!(world.outbox.attempts() - attempts, 1);
}

/// I-24: without the fallback the login goes on by the person's choice.
#[tokio::test]
async fn a_failed_send_is_told_and_leaves_the_login_open() {
    for kind in kinds_that_surely_failed().into_iter().chain([SendErrorKind::Unknown]) {
        let world = World::new().await;
        world.choose_sms("alice", NUMBER).await;
        let attempts = world.outbox.attempts();
        world.outbox.always(Some(Method::Sms), Delivered::Failed(kind));
        world.events.clear();
        let challenge = world.begin("alice").await;
        assert_eq!(failure(&challenge.delivery), kind);
        assert_eq!(world.outbox.attempts() - attempts, 1);
        let (login, causes) = (challenge.login, Causes::default());
        let failed = EventKind::DeliveryFailed { login, method: Method::Sms, error: kind, causes };
        assert_eq!(world.events.kinds()[1], failed);
        world.wait_for_the_spacing();
        let step = world.request().resend(&challenge.token, ResendTo::Email).await.unwrap();
        assert!(matches!(crate::support::challenge(step).delivery, DeliveryStatus::Sent(_)));
        let _ = authenticated(world.submit(&challenge.token, &world.last_code()).await);
    }
}

/// I-24: no page can say "a code was sent" unless one was: what it would say is not there.
#[tokio::test]
async fn what_a_page_says_of_a_code_is_there_only_if_one_was_sent() {
    let shown = |challenge: &Challenge| {
        let page = serde_json::to_value(challenge).unwrap();
        assert!(page.get("code").is_none(), "{page}");
        let delivery = page["delivery"].as_object().unwrap();
        let fields: Vec<_> = delivery.keys().cloned().collect();
        (delivery["state"].as_str().unwrap().to_owned(), fields.join(" "))
    };
    for kind in kinds_that_surely_failed() {
        let world = World::new().await;
        world.outbox.always(None, Delivered::Failed(kind));
        let challenge = world.begin("alice").await;
        assert_eq!(challenge.delivery.sent(), None, "{kind:?}");
        assert_eq!(failure(&challenge.delivery), kind);
        assert_eq!(shown(&challenge), ("failed".into(), "destination error method state".into()));
    }
    let world = World::new().await;
    world.outbox.always(None, Delivered::Failed(SendErrorKind::Unknown));
    let challenge = world.begin("alice").await;
    assert_eq!(challenge.delivery.sent(), None);
    assert_eq!(
        shown(&challenge),
        ("perhaps_sent".into(), "destination expires_at method reference state".into())
    );
    let _second = world.begin("alice").await;
    let early = world.begin("alice").await;
    assert_eq!(early.delivery.sent(), None);
    assert_eq!(shown(&early), ("not_made".into(), "denied state".into()));
    world.outbox.always(None, Delivered::Now);
    world.wait_for_the_spacing();
    let challenge = world.begin("alice").await;
    let code = challenge.delivery.sent().unwrap();
    assert_eq!(
        (code.destination.as_str(), code.reference),
        ("a***@example.com", world.outbox.last_code().unwrap().reference)
    );
    assert_eq!(
        shown(&challenge),
        ("sent".into(), "destination expires_at method reference state".into())
    );
}

/// The fallback has the limits of a resend, and is one step, not a loop.
#[tokio::test]
async fn the_fallback_stays_within_the_budget_and_is_tried_once() {
    let capped = World::with(|builder| builder.fall_back_to_email(true).sends_per_login(1)).await;
    capped.choose_sms("alice", NUMBER).await;
    let attempts = capped.outbox.attempts();
    capped.outbox.always(Some(Method::Sms), Delivered::Failed(SendErrorKind::Permanent));
    let challenge = capped.begin("alice").await;
    assert_eq!(failure(&challenge.delivery), SendErrorKind::Permanent);
    assert!(matches!(challenge.delivery, DeliveryStatus::Failed { method: Method::Sms, .. }));
    assert_eq!(capped.outbox.attempts() - attempts, 1);

    let failing = World::with(|builder| builder.fall_back_to_email(true)).await;
    failing.choose_sms("alice", NUMBER).await;
    let (attempts, sends) = (failing.outbox.attempts(), failing.charged_sends(&failing.alice));
    failing.outbox.always(None, Delivered::Failed(SendErrorKind::Transient));
    let challenge = failing.begin("alice").await;
    assert_eq!(failure(&challenge.delivery), SendErrorKind::Transient);
    assert_eq!(failing.outbox.attempts() - attempts, 2);
    assert_eq!(failing.charged_sends(&failing.alice) - sends, 2);

    let unreachable = World::with(|builder| builder.fall_back_to_email(true)).await;
    unreachable.choose_sms("alice", NUMBER).await;
    unreachable.change(&unreachable.alice, |user| user.email = None);
    let attempts = unreachable.outbox.attempts();
    unreachable.outbox.always(Some(Method::Sms), Delivered::Failed(SendErrorKind::Permanent));
    let challenge = unreachable.begin("alice").await;
    assert_eq!(failure(&challenge.delivery), SendErrorKind::Permanent);
    assert_eq!(unreachable.outbox.attempts() - attempts, 1);
}

/// I-15: the fallback counts within the hour like any other send, to the millisecond. Only the
/// spacing is not asked of it.
#[tokio::test]
async fn the_fallback_stays_within_the_hour() {
    for (before_the_end, sends) in [(Duration::from_millis(1), 1), (Duration::ZERO, 2)] {
        let world = World::with(|builder| {
            builder.fall_back_to_email(true).sends_per_login(3).sends_per_hour(3)
        })
        .await;
        let first = world.now();
        // Two sends: to log in, and to prove the number.
        world.choose_sms("alice", NUMBER).await;
        let attempts = world.outbox.attempts();
        world.outbox.always(Some(Method::Sms), Delivered::Failed(SendErrorKind::Permanent));
        world.clock.set(first + 60 * MINUTE - before_the_end);
        let challenge = world.begin("alice").await;
        assert_eq!(challenge.delivery.sent().is_some(), sends == 2);
        assert_eq!(world.outbox.attempts() - attempts, sends);
        assert_eq!(world.charged_sends(&world.alice), 2 + sends);
    }
}

/// I-15: whoever asks again and again where SMS fails gets no more sends for one login than without
/// the fallback.
#[tokio::test]
async fn resends_that_fall_back_stay_within_the_login() {
    let world = World::with(|builder| builder.fall_back_to_email(true)).await;
    world.choose_sms("alice", NUMBER).await;
    let (attempts, sends) = (world.outbox.attempts(), world.charged_sends(&world.alice));
    world.outbox.always(Some(Method::Sms), Delivered::Failed(SendErrorKind::Permanent));
    let challenge = world.begin("alice").await;
    for _ in 0..10 {
        world.wait_for_the_spacing();
        let _ = world.request().resend(&challenge.token, ResendTo::Sms).await.unwrap();
    }
    assert_eq!(
        (world.outbox.attempts() - attempts, world.charged_sends(&world.alice) - sends),
        (5, 5)
    );
}

/// I-06: the code of the SMS that failed is dead once another went by email.
#[tokio::test]
async fn after_a_fallback_only_the_code_in_the_email_counts() {
    let mut world = World::new().await;
    world.choose_sms("alice", NUMBER).await;
    let sender = Answering::with(|message| match message.destination.method() {
        Method::Sms => Err(SendError::new(SendErrorKind::Transient)),
        Method::Email => Ok(SendStatus::Sent),
    });
    let handed = sender.handed.clone();
    world.rewire(world.users.clone(), world.factors.clone(), sender, |builder| {
        builder.fall_back_to_email(true)
    });
    let challenge = world.begin("alice").await;
    let [by_sms, by_email] = &handed.codes()[..] else { panic!("{:?}", handed.codes()) };
    assert_eq!(challenge.delivery.sent().unwrap().reference, by_email.reference);
    assert_eq!(reason(&world.submit(&challenge.token, &by_sms.code).await), Reason::WrongCode);
    let _ = authenticated(world.submit(&challenge.token, &by_email.code).await);
}

#[tokio::test]
async fn a_queued_message_is_told_as_queued() {
    let world = World::new().await;
    world.outbox.always(None, Delivered::Queued);
    let challenge = world.begin("alice").await;
    assert!(matches!(challenge.delivery, DeliveryStatus::Queued(_)));
    assert!(matches!(world.only_event().kind, EventKind::CodeRequired { .. }));
    let _ = authenticated(world.submit(&challenge.token, &world.last_code()).await);
}

/// I-33: a message says what it is for, whom it is for and how long it counts, and has nothing in
/// it that could break a header.
#[tokio::test]
async fn a_message_carries_what_a_sender_needs() {
    let mut world = World::new().await;
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&lines);
    let sender = Answering::with(move |message| {
        let text = [
            message.tenant.as_str(),
            message.user.as_str(),
            message.code.expose(),
            message.reference.as_str(),
        ];
        kept.lock().unwrap().extend(text.map(str::to_owned));
        assert_eq!(message.purpose, Purpose::Login);
        assert_eq!(message.valid_for, 3 * MINUTE);
        Ok(SendStatus::Sent)
    });
    world.rewire(world.users.clone(), world.factors.clone(), sender, |builder| builder);
    let challenge = world.begin("alice").await;
    let lines = lines.lock().unwrap().clone();
    assert_eq!(lines[..2], ["acme", "alice"]);
    assert_eq!(lines[3], challenge.delivery.sent().unwrap().reference.as_str());
    assert!(lines.iter().all(|line| line.chars().all(|c| c.is_ascii_alphanumeric())));
    assert_eq!(challenge.delivery.sent().unwrap().expires_at, world.now() + 3 * MINUTE);
}

/// I-06, I-40: four logins wait at once; while their codes live a fifth is refused, and then the
/// oldest idle one gives way.
#[tokio::test]
async fn a_fifth_login_waits_until_one_of_four_is_idle() {
    let world = World::new().await;
    let mut windows = Vec::new();
    for _ in 0..4 {
        windows.push((world.begin("alice").await.token, world.last_code()));
        world.wait_for_the_spacing();
    }
    let first_code_ends = world.now() + MINUTE;
    let before = world.row(&world.alice);
    world.events.clear();
    let refused = denied(&world.try_begin("alice", PASSWORD).await);
    assert_eq!(
        (refused.reason(), refused.retry_at()),
        (Reason::TooManyLogins, Some(first_code_ends))
    );
    assert_eq!(
        world.only_event().kind,
        EventKind::LoginRefused { reason: "too_many_logins".into() }
    );
    assert_eq!(world.outbox.attempts(), 4);
    assert_eq!(world.row(&world.alice), before);

    world.clock.set(first_code_ends - Duration::from_millis(1));
    assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::TooManyLogins);
    world.clock.set(first_code_ends);
    let fifth = world.begin("alice").await;
    assert_eq!(world.record(&world.alice)["pending"].as_array().unwrap().len(), 4);
    assert_eq!(reason(&world.submit(&windows[0].0, &windows[0].1).await), Reason::LoginOver);
    let _ = authenticated(world.submit(&fifth.token, &world.last_code()).await);
    for (token, code) in &windows[1..] {
        let _ = authenticated(world.submit(token, code).await);
    }
}

#[tokio::test]
async fn a_login_that_is_given_up_frees_its_place_and_its_code() {
    let world = World::with(|builder| builder.pending_logins(2)).await;
    let _ = world.begin("alice").await;
    world.wait_for_the_spacing();
    let challenge = world.begin("alice").await;
    let code = world.last_code();
    world.wait_for_the_spacing();
    assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::TooManyLogins);
    world.events.clear();
    world.request().cancel(&challenge.token).await.unwrap();
    assert_eq!(world.only_event().kind, EventKind::LoginCancelled { login: challenge.login });
    assert_eq!(reason(&world.submit(&challenge.token, &code).await), Reason::LoginOver);
    let before = world.row(&world.alice);
    world.request().cancel(&challenge.token).await.unwrap();
    assert_eq!(world.row(&world.alice), before, "giving up twice changes nothing");
    let _ = world.sign_in("alice").await;
}

/// Finds users by a folded name, as databases with a lenient collation do.
struct Folding(MemoryUsers);

#[async_trait]
impl UserStore for Folding {
    async fn find_by_login(
        &self,
        tenant: &TenantId,
        name: &LoginName,
    ) -> Result<Option<User>, PluginError> {
        let folded: String = name.as_str().to_lowercase().replace('ı', "i").replace('а', "a");
        self.0.find_by_login(tenant, &LoginName::new(&folded)?).await
    }

    async fn find_by_id(
        &self,
        tenant: &TenantId,
        user: &UserId,
    ) -> Result<Option<User>, PluginError> {
        self.0.find_by_id(tenant, user).await
    }

    async fn replace_password_hash(
        &self,
        tenant: &TenantId,
        user: &UserId,
        current: &PasswordHash,
        next: &PasswordHash,
    ) -> Result<bool, PluginError> {
        self.0.replace_password_hash(tenant, user, current, next).await
    }
}

/// I-33, attack 32: whatever name finds a user, the code goes to the address that is saved.
#[tokio::test]
async fn a_look_alike_name_gets_no_code_of_its_own() {
    let mut world = World::new().await;
    world.rewire(
        Folding(world.users.clone()),
        world.factors.clone(),
        world.outbox.clone(),
        |builder| builder,
    );
    for name in ["alice", "ALICE", "alıce", "аlice"] {
        let step =
            world.begin_as(&world.acme, name, PASSWORD, Channel::Mobile, None).await.unwrap();
        let challenge = crate::support::challenge(step);
        assert_eq!(
            world.outbox.last_code().unwrap().to,
            Destination::Email(person(&world.acme, "alice").email.unwrap())
        );
        assert_eq!(world.outbox.last_code().unwrap().user, world.alice);
        let done = authenticated(world.submit(&challenge.token, &world.last_code()).await);
        assert_eq!(done.grant.user(), &world.alice);
        world.wait_for_the_spacing();
    }
}

/// Whoever can be reached nowhere and has no backup code is refused, after the right password, and
/// nothing is saved.
#[tokio::test]
async fn a_user_without_any_destination_is_refused_by_name() {
    let world = World::new().await;
    world.change(&world.alice, |user| user.email = None);
    assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::NoDestination);
    assert_eq!(reason(&world.try_begin("alice", "wrong").await), Reason::InvalidCredentials);
    assert_eq!(world.outbox.attempts(), 0);
}

/// Keeps the times of what it is given, and the code.
#[derive(Clone, Default)]
struct Times(Arc<Mutex<Vec<OffsetDateTime>>>, Arc<Mutex<String>>);

#[async_trait]
impl CodeSender for Times {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        self.0.lock().unwrap().push(message.expires_at);
        message.code.expose().clone_into(&mut self.1.lock().unwrap());
        Ok(SendStatus::Sent)
    }

    async fn notify(&self, notice: &Notice) -> Result<SendStatus, SendError> {
        self.0.lock().unwrap().push(notice.at);
        if let NoticeKind::Locked { until } = notice.kind {
            self.0.lock().unwrap().extend(until);
        }
        Ok(SendStatus::Sent)
    }
}

/// A message has its times by the user's clock; what is decided and what is told to the host stays
/// in UTC.
#[tokio::test]
async fn a_message_has_its_times_by_the_users_clock() {
    let japan = UtcOffset::from_hms(9, 0, 0).unwrap();
    for (known, offset) in [(Some(japan), japan), (None, UtcOffset::UTC)] {
        let mut world = World::new().await;
        let times = Times::default();
        world.rewire(world.users.clone(), world.factors.clone(), times.clone(), |builder| builder);
        world.change(&world.alice, |user| user.utc_offset = known);
        world.events.clear();
        let page = world.begin("alice").await;
        let begun = world.now();
        for _ in 0..5 {
            let wrong = other_code(&times.1.lock().unwrap());
            let _ = world.submit(&page.token, &wrong).await;
        }
        let times = times.0.lock().unwrap().clone();
        let [expires, at, until] = times[..] else {
            panic!("a code, and a notice of the lock: {times:?}")
        };
        assert!([expires, at, until].iter().all(|time| time.offset() == offset), "{times:?}");
        assert_eq!((expires, at), (begun + 3 * MINUTE, begun), "the same moments as ever");
        assert!(world.events.all().iter().all(|event| event.at.offset() == UtcOffset::UTC));
        let locked = world.events.all().iter().find_map(|event| match event.kind {
            EventKind::SecretWrong { locked_until, .. } => locked_until,
            _ => None,
        });
        assert_eq!(
            (locked, locked.map(OffsetDateTime::offset)),
            (Some(until), Some(UtcOffset::UTC))
        );
    }
}
