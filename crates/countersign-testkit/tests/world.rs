//! Logging in to the small world: every way in, what is counted, and what a test hears that expects
//! another answer.
#![allow(clippy::panic, clippy::unwrap_used)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use countersign::memory::MemoryFactors;
use countersign::user::UserStore;
use countersign::{
    Channel, Login, LoginStep, Method, OperationError, Reason, Scope, SecondFactor, UserId,
};
use countersign_testkit::{
    Person, PlainPasswords, World, authenticated, challenge, denied, other_code, reason, refusal,
};

const LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

async fn world() -> World {
    let world =
        World::with(MemoryFactors::new(), "acme", |builder| builder.trusted_devices(LIFETIME, 3));
    let world = world.unwrap();
    world.set_scope(Scope::EntireTenant).await.unwrap();
    world
}

#[tokio::test]
async fn every_way_in_is_one_call() {
    let world = world().await;
    world.choose_sms("alice", "+819012345634").await.unwrap();
    let by_sms = world.sign_in("alice").await.unwrap().grant;
    assert_eq!(by_sms.second_factor(), &SecondFactor::Code { method: Method::Sms });

    world.wait_for_the_spacing();
    let backup = world.make_backup_code("alice").await.unwrap();
    let page = challenge(world.begin("alice").await.unwrap());
    let done = authenticated(world.submit_backup(&page.token, &backup).await.unwrap());
    assert_eq!(done.grant.second_factor(), &SecondFactor::BackupCode);

    world.wait_for_the_spacing();
    let trusted = world.sign_in_and_trust("alice", "phone").await.unwrap();
    let (device, password) = (trusted.device_token, Person::PASSWORD.into());
    let login = Login {
        name: "alice",
        password: &password,
        channel: Channel::Web,
        device: device.as_ref(),
    };
    let _done = authenticated(world.request().begin(&login).await.unwrap());
}

#[tokio::test]
async fn what_does_not_let_in_is_an_error_that_says_why() {
    let world = world().await;
    let unknown = world.sign_in("nobody").await.unwrap_err().to_string();
    assert!(unknown.contains("nobody was not let in: Denied"), "{unknown}");
    world.set_scope(Scope::DoNotUse).await.unwrap();
    let exempt = world.sign_in_and_trust("alice", "phone").await.unwrap_err().to_string();
    assert!(exempt.contains("no code was required of alice: Authenticated"), "{exempt}");
    assert!(world.choose_sms("alice", "not a number").await.is_err());
}

#[tokio::test]
async fn a_wrong_code_is_as_long_as_the_right_one_and_never_the_same() {
    let world = world().await;
    let page = challenge(world.begin("alice").await.unwrap());
    assert_eq!(world.wrong_code(), other_code(&world.last_code()));
    let refused = world.submit(&page.token, &world.wrong_code()).await.unwrap();
    assert_eq!((reason(&refused), denied(&refused).attempts_left()), (Reason::WrongCode, Some(4)));
    let _done = authenticated(world.submit(&page.token, &world.last_code()).await.unwrap());
    for (code, other) in [("000000", "000001"), ("12345678", "12345670"), ("", "0")] {
        assert_eq!(other_code(code), other);
    }
}

#[tokio::test]
async fn codes_are_locked_by_as_many_wrong_ones_as_it_takes() {
    let world = world().await;
    let page = world.lock_codes("alice").await.unwrap();
    let late = world.submit(&page.token, &world.last_code()).await.unwrap();
    assert_eq!(reason(&late), Reason::CodesLocked);
    let again = world.lock_codes("alice").await.unwrap_err().to_string();
    assert!(again.contains("alice"), "{again}");
    world.set_scope(Scope::DoNotUse).await.unwrap();
    let exempt = world.lock_codes("alice").await.unwrap_err().to_string();
    assert!(exempt.contains("no code was required of alice: Authenticated"), "{exempt}");
}

/// A second node shares everything but its configuration. Its store is counted where it is wrapped.
#[tokio::test]
async fn another_flow_shares_the_users_the_clock_and_what_was_sent() {
    let store = MemoryFactors::new();
    let mut world = World::on(store.clone()).unwrap();
    world.set_scope(Scope::EntireTenant).await.unwrap();
    world.wait_for_the_spacing();
    let page = challenge(world.begin("alice").await.unwrap());
    assert_eq!(world.calls.of("verify"), 2);
    assert!(world.calls.of("find_by_id") > 0 && world.calls.of("commit") > 0);

    world.flow = world.flow_over(store, |builder| builder.max_wrong_codes(7)).unwrap();
    world.calls.clear();
    let _done = authenticated(world.submit(&page.token, &world.last_code()).await.unwrap());
    assert_eq!(world.calls.all(), ["find_by_id"]);
    let refused = world.flow_over(MemoryFactors::new(), |builder| builder.max_wrong_codes(0));
    assert!(refused.is_err());
}

#[tokio::test]
async fn a_hook_runs_once_before_its_call_and_may_set_the_next() {
    let world = world().await;
    let (users, acme, calls) = (world.users.clone(), world.tenant.clone(), world.calls.clone());
    let bob = UserId::new("bob").unwrap();
    world.calls.before("find_by_id", || panic!("an earlier hook is replaced"));
    world.calls.before("find_by_id", move || {
        calls.before("find_by_id", move || assert!(users.remove(&acme, &bob)));
    });
    world.calls.clear();
    assert!(matches!(world.begin("bob").await.unwrap(), LoginStep::CodeRequired(_)));
    assert_eq!(reason(&world.begin("bob").await.unwrap()), Reason::InvalidCredentials);
    assert!(matches!(world.begin("alice").await.unwrap(), LoginStep::CodeRequired(_)));
    assert!(format!("{:?}", world.calls).contains("find_by_id"));
}

#[tokio::test]
async fn an_outdated_hash_matches_and_is_replaced() {
    let world = world().await;
    let alice = UserId::new("alice").unwrap();
    let outdated = PlainPasswords::outdated(Person::PASSWORD);
    world.users.change(&world.tenant, &alice, |user| user.password_hash = Some(outdated)).unwrap();
    assert!(matches!(world.begin("alice").await.unwrap(), LoginStep::CodeRequired(_)));
    let user = world.users.find_by_id(&world.tenant, &alice).await.unwrap().unwrap();
    assert_eq!(user.password_hash.unwrap().expose(), Person::PASSWORD);
}

/// What the panic of `call` says.
fn panic_of<T>(call: impl FnOnce() -> T) -> String {
    let panic = catch_unwind(AssertUnwindSafe(call)).err().unwrap();
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => (*panic.downcast::<&str>().unwrap()).to_owned(),
    }
}

#[tokio::test]
async fn another_answer_than_expected_is_shown() {
    let world = world().await;
    world.outbox.clear();
    assert_eq!(panic_of(|| world.last_code()), "a code was sent");
    assert_eq!(panic_of(|| world.wrong_code()), "a code was sent");
    let refused = || async { world.begin("nobody").await.unwrap() };
    let step = refused().await;
    assert!(panic_of(|| authenticated(step)).starts_with("the login is complete, not Denied"));
    let step = refused().await;
    assert!(panic_of(|| challenge(step)).starts_with("a code is required, not Denied"));
    let step = world.begin("alice").await.unwrap();
    assert!(panic_of(|| denied(&step)).starts_with("the step is refused, not CodeRequired"));
    assert!(panic_of(|| reason(&step)).starts_with("the step is refused, not CodeRequired"));

    let grant = world.sign_in("bob").await.unwrap().grant;
    let administration = world.request().administration(&grant).await;
    assert_eq!(refusal(administration), Reason::NotFound);
    let done: Result<u8, OperationError> = Ok(7);
    assert_eq!(panic_of(|| refusal(done)), "the operation is refused, not Ok(7)");
}
