//! More first steps than passwords can be checked: the queue is bounded, and being refused says
//! nothing of anybody.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use crate::support::faults::{FaultPoint, Faulty, When, poll_then_drop};
use crate::support::*;
use async_trait::async_trait;
use countersign::error::PluginError;
use countersign::event::EventKind;
use countersign::password::{
    Admission, Argon2id, Busy, PasswordAttempt, PasswordCheck, PasswordVerifier,
};
use countersign::user::{PasswordHash, UserStatus};
use countersign::{
    Channel, LoginName, LoginStep, Password, PreverifiedLogin, Reason, RequestContext,
};

const WAIT: Duration = Duration::from_millis(700);

/// Plain passwords with so many places, which are counted.
#[derive(Clone)]
struct Places {
    free: Arc<AtomicUsize>,
}

struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Places {
    fn new(free: usize) -> Self {
        Self { free: Arc::new(AtomicUsize::new(free)) }
    }

    fn free(&self) -> usize {
        self.free.load(SeqCst)
    }
}

#[async_trait]
impl PasswordVerifier for Places {
    fn admit(&self) -> Result<Admission, Busy> {
        match self.free.fetch_update(SeqCst, SeqCst, |free| free.checked_sub(1)) {
            Ok(_) => Ok(Admission::holding(Place(Arc::clone(&self.free)))),
            Err(_) => Err(Busy::new(WAIT)),
        }
    }

    async fn verify(&self, attempt: &PasswordAttempt<'_>) -> Result<PasswordCheck, PluginError> {
        PlainPasswords.verify(attempt).await
    }

    async fn hash_password(
        &self,
        password: &Password,
    ) -> Result<Option<PasswordHash>, PluginError> {
        PlainPasswords.hash_password(password).await
    }
}

fn outdated() -> PasswordHash {
    PlainPasswords::outdated(PASSWORD)
}

/// I-17, I-38, I-40, attack 68: everyone who finds the queue full gets the same answer, whatever
/// name and password they gave, before anything is looked up. Nothing is charged, saved or sent,
/// and it is one event.
#[tokio::test]
async fn a_full_queue_says_nothing_of_anybody() {
    let places = Places::new(1);
    let checks = Calls::new();
    let verifier = Counting::new(places.clone(), &checks);
    let world = World::with(|builder| builder.password_verifier(verifier)).await;
    world.change(&world.bob, |user| user.status = UserStatus::Disabled);
    world.users.insert(&LoginName::new("old").unwrap(), {
        let mut user = person(&world.acme, "old");
        user.password_hash = Some(outdated());
        user
    });
    for _ in 0..10 {
        let _ = world.try_begin("root", "wrong").await;
    }
    let taken = places.admit().unwrap();
    checks.clear();
    let before =
        (world.factors.records(&world.acme), world.row(&world.alice), world.row(&world.root));
    let tries = [
        ("acme", "alice", PASSWORD),
        ("acme", "alice", "wrong"),
        ("acme", "bob", PASSWORD),
        ("acme", "root", PASSWORD),
        ("acme", "old", PASSWORD),
        ("acme", "nobody", PASSWORD),
        ("nowhere", "alice", PASSWORD),
    ];
    for (at, name, password) in tries {
        world.calls.clear();
        world.events.clear();
        let step = world.begin_as(&tenant(at), name, password, Channel::Web, None).await.unwrap();
        let denied = denied(&step);
        assert_eq!(
            (denied.reason(), denied.retry_at()),
            (Reason::Busy, Some(world.now() + WAIT)),
            "{name}"
        );
        assert_eq!(denied.attempts_left(), None);
        assert!(denied.ends_login(), "none was begun");
        assert!(
            world.calls.all().is_empty() && checks.all().is_empty(),
            "{name}: {:?}",
            world.calls.all()
        );
        let event = world.only_event();
        assert_eq!(event.kind, EventKind::StepRefused { login: None, reason: "busy".into() });
        assert_eq!((event.user, event.tenant), (None, tenant(at)));
    }
    assert_eq!(
        (world.factors.records(&world.acme), world.row(&world.alice), world.row(&world.root)),
        before
    );
    assert_eq!(world.outbox.attempts(), 0);
    // Control: with a place, the same tries are looked up, and are told apart by their events.
    drop(taken);
    for (at, name, password) in tries {
        world.calls.clear();
        let step = world.begin_as(&tenant(at), name, password, Channel::Web, None).await.unwrap();
        assert!(step.denied().is_none_or(|denied| denied.reason() != Reason::Busy));
        assert_eq!(world.calls.all()[0], "find_by_login");
    }
}

/// I-40: what can't be a name or a password needs no place, and neither does a login whose password
/// is vouched for.
#[tokio::test]
async fn who_needs_no_hash_needs_no_place() {
    let places = Places::new(1);
    let world = World::with(|builder| builder.password_verifier(places.clone())).await;
    let _taken = places.admit().unwrap();
    for (name, password) in [("", PASSWORD), ("alice", "")] {
        assert!(
            matches!(reason(&world.try_begin(name, password).await), Reason::InvalidInput(_)),
            "{name:?}"
        );
    }
    let vouched = PreverifiedLogin { user: &world.alice, channel: Channel::Web, device: None };
    let step = world.request().begin_with_preverified_password(&vouched).await.unwrap();
    let _ = authenticated(world.submit(&challenge(step).token, &world.last_code()).await);
    assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::Busy, "control");
}

/// I-40: a place is taken before the look-up and given back after the last hash of the step,
/// whatever becomes of it.
#[tokio::test]
async fn a_place_is_held_until_the_last_hash_and_no_longer() {
    let places = Places::new(1);
    let checks = Calls::new();
    let verifier = Counting::new(places.clone(), &checks);
    let world = World::with(|builder| builder.password_verifier(verifier)).await;
    world.change(&world.alice, |user| user.password_hash = Some(outdated()));
    let held = Arc::new(std::sync::Mutex::new(Vec::new()));
    let note = |name: &'static str| {
        let (held, places) = (Arc::clone(&held), places.clone());
        move || held.lock().unwrap().push((name, places.free()))
    };
    world.calls.before("find_by_login", note("find_by_login"));
    checks.before("verify", note("verify"));
    checks.before("hash_password", note("hash_password"));
    world.calls.before("commit", note("commit"));
    assert!(matches!(world.try_begin("alice", PASSWORD).await, LoginStep::CodeRequired(_)));
    let expected = [("find_by_login", 0), ("verify", 0), ("hash_password", 0), ("commit", 1)];
    assert_eq!(*held.lock().unwrap(), expected, "free places before each call");

    // A wrong password, a fault of each plug-in, and a caller that hangs up at each of its waits.
    let _ = world.try_begin("alice", "wrong").await;
    assert_eq!(places.free(), 1);
    let point = FaultPoint::default();
    let users = Faulty::new(world.users.clone(), &point);
    let verifier = Faulty::new(places.clone(), &point);
    let flow = countersign::LoginFlow::builder(users, world.factors.clone(), world.outbox.clone())
        .clock(world.clock.clone())
        .password_verifier(verifier)
        .build()
        .unwrap();
    let password = PASSWORD.into();
    let login = countersign::Login {
        name: "alice",
        password: &password,
        channel: Channel::Web,
        device: None,
    };
    for number in 1..=3 {
        point.arm(number, When::Before);
        assert!(
            flow.request(&world.acme, &RequestContext::new()).begin(&login).await.is_err(),
            "{number}"
        );
        assert_eq!(places.free(), 1);
    }
    point.wait_at_each_call();
    let mut dropped = 0;
    for polls in 1..20 {
        dropped += usize::from(
            poll_then_drop(polls, flow.request(&world.acme, &RequestContext::new()).begin(&login))
                .is_none(),
        );
        assert_eq!(places.free(), 1, "after {polls} polls");
    }
    assert!(dropped >= 4, "{dropped}");
}

/// The default verifier's own queue: a place is one of those that wait or hash.
#[tokio::test]
async fn the_default_verifier_refuses_whoever_its_queue_has_no_place_for() {
    let verifier = Arc::new(Argon2id::builder().max_concurrent(1).queue(1).build().unwrap());
    let world = World::with(|builder| builder.password_verifier(PlainPasswords)).await;
    let flow = countersign::LoginFlow::builder(
        world.users.clone(),
        world.factors.clone(),
        world.outbox.clone(),
    )
    .clock(world.clock.clone())
    .password_verifier(Arc::clone(&verifier))
    .build()
    .unwrap();
    let begin = async || {
        let password = PASSWORD.into();
        let login = countersign::Login {
            name: "nobody",
            password: &password,
            channel: Channel::Web,
            device: None,
        };
        let step = flow.request(&world.acme, &RequestContext::new()).begin(&login).await.unwrap();
        (reason(&step), denied(&step).retry_at())
    };
    let (one, two) = (verifier.admit().unwrap(), verifier.admit().unwrap());
    let (refused, retry_at) = begin().await;
    assert_eq!(refused, Reason::Busy);
    assert!(retry_at.is_some_and(|at| at > world.now()), "{retry_at:?}");
    drop(one);
    assert_eq!(begin().await, (Reason::InvalidCredentials, None));
    assert_eq!(begin().await, (Reason::InvalidCredentials, None), "the place was given back");
    drop(two);
}
