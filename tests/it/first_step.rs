//! The first step: the same answer and the same work for everybody who may not come in.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::time::Duration;

use crate::support::*;
use countersign::Pepper;
use countersign::error::PluginError;
use countersign::event::{CredentialsCause, EventKind};
use countersign::grant::Staleness;
use countersign::policy::{Exemption, PolicyContext, Requirement, TwoFactorPolicy};
use countersign::status::LockState;
use countersign::user::{PasswordHash, User, UserStatus};
use countersign::{Channel, LoginName, LoginStep, PreverifiedLogin, Reason, Scope, SecondFactor};

const WRONG: &str = "wrong horse";

/// One way not to come in, and what the event says of it.
struct Way {
    tenant: &'static str,
    name: &'static str,
    password: &'static str,
    cause: CredentialsCause,
}

const fn way(name: &'static str, password: &'static str, cause: CredentialsCause) -> Way {
    Way { tenant: "acme", name, password, cause }
}

/// Users in every state in which nobody comes in.
async fn populate(world: &World) {
    let change = |name: &str, change: &dyn Fn(&mut countersign::user::User)| {
        let mut user = person(&world.acme, name);
        change(&mut user);
        world.users.insert(&LoginName::new(name).unwrap(), user);
    };
    let outdated = || Some(PlainPasswords::outdated(PASSWORD));
    change("disabled", &|user| user.status = UserStatus::Disabled);
    change("locked", &|_| {});
    change("no-hash", &|user| user.password_hash = None);
    change("old", &|user| user.password_hash = outdated());
    change("old-disabled", &|user| {
        (user.password_hash, user.status) = (outdated(), UserStatus::Disabled);
    });
    change("old-locked", &|user| user.password_hash = outdated());
    Person::named("stranger").join(&world.users, &world.other).unwrap();
    for name in ["locked", "old-locked", "locked-nobody"] {
        for _ in 0..10 {
            assert_eq!(reason(&world.try_begin(name, WRONG).await), Reason::InvalidCredentials);
        }
    }
}

/// I-17: whoever is not let in gets one answer for one sequence of calls with one hash; only the
/// event knows why.
#[tokio::test]
async fn nobody_learns_why_a_name_and_a_password_do_not_fit() {
    use CredentialsCause::{Disabled, PasswordLocked, UnknownUser, WrongPassword};
    let ways = [
        way("nobody", PASSWORD, UnknownUser),
        way("nobody", WRONG, UnknownUser),
        way("locked-nobody", PASSWORD, PasswordLocked),
        way("alice", WRONG, WrongPassword),
        way("root", WRONG, WrongPassword),
        way("disabled", PASSWORD, Disabled),
        way("disabled", WRONG, WrongPassword),
        way("locked", PASSWORD, PasswordLocked),
        way("locked", WRONG, PasswordLocked),
        way("no-hash", PASSWORD, WrongPassword),
        way("old", WRONG, WrongPassword),
        way("old-disabled", PASSWORD, Disabled),
        way("old-locked", PASSWORD, PasswordLocked),
        way("stranger", PASSWORD, UnknownUser),
        Way { tenant: "nowhere", name: "alice", password: PASSWORD, cause: UnknownUser },
    ];
    for scope in [Scope::DoNotUse, Scope::EntireTenant, Scope::SystemAdministratorsOnly] {
        let world = World::off();
        if scope != Scope::DoNotUse {
            world.set_scope(scope).await;
        }
        populate(&world).await;
        let mut answers = Vec::new();
        for Way { tenant: at, name, password, cause } in &ways {
            world.calls.clear();
            world.events.clear();
            world.outbox.clear();
            let step =
                world.begin_as(&tenant(at), name, password, Channel::Web, None).await.unwrap();
            assert_eq!(
                world.calls.all(),
                ["find_by_login", "verify", "find_by_id", "load", "commit"],
                "{name} {cause:?}"
            );
            let event = world.only_event();
            let EventKind::CredentialsRefused { cause: told, .. } = event.kind else {
                panic!("{event:?}")
            };
            assert_eq!(told, *cause, "{name}");
            let known = *at == "acme" && !name.contains("nobody") && *name != "stranger";
            assert_eq!(event.user, known.then(|| user_id(name)), "an unknown name is not repeated");
            assert_eq!(world.outbox.attempts(), 0);
            answers.push(denied(&step));
        }
        assert_eq!(answers[0].reason(), Reason::InvalidCredentials);
        assert_eq!(answers[0].retry_at(), None);
        assert_eq!(answers[0].attempts_left(), None);
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    }
}

/// I-17, I-40: strangers' guesses fill at most 256 records of a tenant.
#[tokio::test]
async fn unknown_names_share_a_bounded_number_of_records() {
    let world = World::off();
    for number in 0..3000 {
        assert_eq!(
            reason(&world.try_begin(&format!("name{number}"), WRONG).await),
            Reason::InvalidCredentials
        );
    }
    let records = world.factors.records(&world.acme);
    assert_eq!(records, 256, "and they are spread over all of them");
    assert_eq!(world.factors.records(&world.other), 0);
}

/// I-17: with a pepper, an unknown name is locked in every process that shares it, as a user is.
#[tokio::test]
async fn under_a_pepper_an_unknown_name_is_counted_in_one_place_by_all_processes() {
    let mut world = World::off();
    let mut processes = 0;
    let mut try_in_a_new_process = async |key: Option<u8>| {
        processes += 1;
        world.restarted(|builder| {
            let builder = builder.entropy(SeededEntropy::new(processes));
            match key {
                Some(byte) => builder.pepper(Pepper::new("k1", vec![byte; 32]).unwrap()),
                None => builder,
            }
        });
        world.events.clear();
        let _ = world.try_begin("nobody", WRONG).await;
        let EventKind::CredentialsRefused { cause, .. } = world.only_event().kind else { panic!() };
        (cause, world.factors.records(&world.acme))
    };
    for _ in 0..10 {
        assert_eq!(try_in_a_new_process(Some(1)).await, (CredentialsCause::UnknownUser, 1));
    }
    assert_eq!(try_in_a_new_process(Some(1)).await, (CredentialsCause::PasswordLocked, 1));
    // Another key, or one of the process's own, spreads the names in another way.
    assert_eq!(try_in_a_new_process(Some(2)).await, (CredentialsCause::UnknownUser, 2));
    assert_eq!(try_in_a_new_process(None).await, (CredentialsCause::UnknownUser, 3));
    assert_eq!(try_in_a_new_process(None).await, (CredentialsCause::UnknownUser, 4));
}

/// I-17: an unknown name locks, unlocks and costs like a user's.
#[tokio::test]
async fn an_unknown_name_behaves_like_a_users_over_time() {
    let world = World::new().await;
    let mut courses = Vec::new();
    for name in ["nobody", "alice"] {
        let mut course = Vec::new();
        let start = world.now();
        for _ in 0..150 {
            world.calls.clear();
            world.events.clear();
            let step = world.try_begin(name, WRONG).await;
            let EventKind::CredentialsRefused { cause, locked_until } = world.only_event().kind
            else {
                panic!()
            };
            let lock = locked_until.map(|until| until - start);
            course.push((
                denied(&step),
                world.calls.all(),
                cause == CredentialsCause::PasswordLocked,
                lock,
            ));
            world.clock.advance(Duration::from_secs(7));
        }
        courses.push(course);
        world.clock.set(start);
    }
    assert!(courses[0].iter().any(|(_, _, locked, _)| *locked));
    assert_eq!(courses[0], courses[1]);
}

/// I-18: what is known of the second factor shows after the right password only, whatever state it
/// is in.
#[tokio::test]
async fn the_second_factor_shows_after_the_right_password_only() {
    let world = World::with(|builder| builder.pending_logins(2)).await;
    let _ = world.begin("alice").await;
    world.wait_for_the_spacing();
    let challenge = world.begin("alice").await;
    assert_eq!(challenge.delivery.sent().unwrap().destination.as_str(), "a***@example.com");
    assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::TooManyLogins);
    assert_eq!(reason(&world.try_begin("alice", WRONG).await), Reason::InvalidCredentials);
    world.fail_codes(&challenge.token, 5).await.denied().unwrap();
    assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::CodesLocked);
    let refused = world.try_begin("alice", WRONG).await;
    assert_eq!(denied(&refused), denied(&world.try_begin("nobody", WRONG).await));
    assert_eq!(world.outbox.attempts(), 2);
}

/// I-40, I-06: a full house makes room at the moment that it names, when the oldest code ends, and
/// not before.
#[tokio::test]
async fn a_login_makes_room_when_its_code_ends() {
    let world = World::with(|builder| builder.pending_logins(2)).await;
    let started = world.now();
    let first = world.begin("alice").await;
    world.wait_for_the_spacing();
    let _ = world.begin("alice").await;
    let ends = started + 3 * MINUTE;
    world.clock.set(ends - Duration::from_millis(1));
    assert_eq!(denied(&world.try_begin("alice", PASSWORD).await).retry_at(), Some(ends));
    world.clock.set(ends);
    let _ = world.begin("alice").await;
    assert_eq!(reason(&world.submit(&first.token, "000000").await), Reason::LoginOver);
}

/// I-13, attack 38: whoever hammers at a password delays its owner by no more than the longest
/// lock.
#[tokio::test]
async fn after_ten_thousand_wrong_passwords_the_owner_gets_in_within_the_longest_lock() {
    let world = World::new().await;
    for _ in 0..10_000 {
        assert_eq!(reason(&world.try_begin("alice", WRONG).await), Reason::InvalidCredentials);
        world.clock.advance(Duration::from_secs(1));
    }
    world.clock.advance(15 * MINUTE);
    let grant = world.sign_in("alice").await.grant;
    assert_eq!(grant.user(), &world.alice);
    assert_eq!(world.record(&world.alice)["password"]["failures"], serde_json::Value::Null);
    assert_eq!(world.record(&world.alice)["code_failures"], serde_json::Value::Null);
}

/// I-13: each password lock is twice as long as the one before, up to the longest, and trying does
/// not prolong it.
#[tokio::test]
async fn password_locks_double_up_to_the_longest_and_trying_does_not_prolong_them() {
    let world = World::new().await;
    let millisecond = Duration::from_millis(1);
    for (nth, minutes) in [1_u32, 2, 4, 8, 15, 15].into_iter().enumerate() {
        world.events.clear();
        for _ in 0..10 {
            let _ = world.try_begin("alice", WRONG).await;
        }
        let until = world.now() + MINUTE * minutes;
        let locks: Vec<_> = world.events.kinds();
        let EventKind::CredentialsRefused { locked_until: Some(told), .. } = &locks[9] else {
            panic!("{locks:?}")
        };
        assert_eq!(*told, until, "lock {nth}");
        world.clock.set(until - millisecond);
        let before = world.record(&world.alice)["password"].clone();
        for password in [WRONG, PASSWORD, WRONG] {
            assert_eq!(
                reason(&world.try_begin("alice", password).await),
                Reason::InvalidCredentials
            );
        }
        assert_eq!(
            world.record(&world.alice)["password"],
            before,
            "nothing is charged while it lasts"
        );
        world.clock.advance(millisecond);
    }
    assert!(
        matches!(world.try_begin("alice", PASSWORD).await, LoginStep::CodeRequired(_)),
        "it ends at its end"
    );
}

/// I-13: passwords and codes have budgets of their own, in both directions.
#[tokio::test]
async fn passwords_and_codes_do_not_touch_each_others_counters() {
    let world = World::new().await;
    let challenge = world.begin("alice").await;
    world.fail_codes(&challenge.token, 3).await.denied().unwrap();
    let codes = world.record(&world.alice)["code_failures"].clone();
    assert_eq!(codes["streak"], 3);
    assert_eq!(world.record(&world.alice)["password"]["failures"], serde_json::Value::Null);

    for _ in 0..9 {
        let _ = world.try_begin("alice", WRONG).await;
    }
    assert_eq!(world.record(&world.alice)["password"]["failures"]["streak"], 9);
    assert_eq!(world.record(&world.alice)["code_failures"], codes);

    let _ = world.begin("alice").await;
    assert_eq!(world.record(&world.alice)["password"]["failures"], serde_json::Value::Null);
    assert_eq!(
        world.record(&world.alice)["code_failures"],
        codes,
        "a right password clears no wrong code"
    );
    // The code lock is out of reach of whoever does not have the password.
    for _ in 0..100 {
        let _ = world.try_begin("bob", WRONG).await;
        world.clock.advance(20 * MINUTE);
    }
    assert_eq!(world.record(&world.bob)["code_failures"], serde_json::Value::Null);
}

/// I-13: what is guessed at an earlier password says nothing of a new one. The owner whose password
/// was reset comes in at once, and guesses at the new one are counted from zero.
#[tokio::test]
async fn a_new_password_is_not_locked_by_guesses_at_the_earlier_one() {
    type Change = fn(&mut User);
    let another_hash: (&str, Change) =
        ("the new one", |user| user.password_hash = Some(PasswordHash::new("the new one")));
    let another_stamp: (&str, Change) = (PASSWORD, |user| user.security_stamp = Some("2".into()));
    for (password, change) in [another_hash, another_stamp] {
        let world = World::new().await;
        for _ in 0..10 {
            let _ = world.try_begin("alice", WRONG).await;
        }
        assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::InvalidCredentials);
        world.change(&world.alice, change);
        let seen = world.flow.operator("T-1").unwrap().status(&world.acme, &world.alice).await;
        assert_eq!(seen.unwrap().unwrap().passwords, LockState::Open, "the page says so, too");
        assert!(matches!(world.try_begin("alice", password).await, LoginStep::CodeRequired(_)));
        assert_eq!(world.record(&world.alice)["password"]["failures"], serde_json::Value::Null);
    }
}

/// I-16, I-17: a wrong password under a new hash is the first of a new row, by the same calls; the
/// tenth of them locks, and then the new password is refused as well.
#[tokio::test]
async fn guesses_at_a_new_password_count_from_zero_and_lock_again() {
    let world = World::new().await;
    let session = world.sign_in("alice").await;
    for _ in 0..10 {
        let _ = world.try_begin("alice", WRONG).await;
    }
    world.change(&world.alice, |user| user.password_hash = Some(PasswordHash::new("the new one")));
    for row in 1..=10 {
        world.calls.clear();
        world.events.clear();
        assert_eq!(reason(&world.try_begin("alice", WRONG).await), Reason::InvalidCredentials);
        assert_eq!(world.calls.all(), ["find_by_login", "verify", "find_by_id", "load", "commit"]);
        let locked = Some(world.now() + MINUTE).filter(|_| row == 10);
        let event = EventKind::CredentialsRefused {
            cause: CredentialsCause::WrongPassword,
            locked_until: locked,
        };
        assert_eq!(world.only_event().kind, event);
        assert_eq!(world.record(&world.alice)["password"]["failures"]["streak"], row);
    }
    assert_eq!(reason(&world.try_begin("alice", "the new one").await), Reason::InvalidCredentials);
    // What hung on the earlier password is over, also where only wrong ones came since.
    let stale = world.request().revalidate(&session.grant, Channel::Web).await.unwrap_err();
    assert_eq!(stale.staleness(), Some(Staleness::PasswordChanged));
}

/// I-10: the same password under another hash is the same password, and its lock stays.
#[tokio::test]
async fn a_rehash_of_the_same_password_leaves_its_lock() {
    let world = World::new().await;
    let outdated = || Some(PlainPasswords::outdated(PASSWORD));
    world.change(&world.alice, |user| user.password_hash = outdated());
    let _ = world.sign_in("alice").await;
    assert_eq!(world.events.kinds()[1], EventKind::PasswordRehashed { saved: true });
    for _ in 0..10 {
        let _ = world.try_begin("alice", WRONG).await;
    }
    for hash in [outdated(), Some(PasswordHash::new(PASSWORD)), outdated()] {
        world.change(&world.alice, |user| user.password_hash = hash.clone());
        let before = world.row(&world.alice);
        assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::InvalidCredentials);
        assert_eq!(world.row(&world.alice), before, "the lock stands, and nothing is written");
    }
}

/// I-35: single sign-on, partners and programs come in without a code, under a reason that the
/// grant names, and change nothing.
#[tokio::test]
async fn logins_that_are_not_interactive_are_exempt_by_name_and_leave_everything_as_it_is() {
    let world = World::new().await;
    world.choose_sms("alice", "+15551234567").await;
    world.make_backup_code("alice").await;
    for scope in [Scope::EntireTenant, Scope::SystemAdministratorsOnly] {
        world.set_scope(scope).await;
        world.wait_for_the_spacing();
        let before = world.row(&world.alice);
        for (channel, exemption) in [
            (Channel::SingleSignOn, Exemption::SingleSignOn),
            (Channel::ExemptIntegration, Exemption::Integration),
            (Channel::ExemptApi, Exemption::Api),
        ] {
            world.calls.clear();
            world.outbox.clear();
            let step = world.begin_as(&world.acme, "alice", PASSWORD, channel, None).await.unwrap();
            let grant = authenticated(step).grant;
            assert_eq!(grant.second_factor(), &SecondFactor::Exempt { exemption });
            assert_eq!(grant.channel(), channel);
            // I-43: what comes through single sign-on claims no password.
            let pwd: &[&str] = if channel == Channel::SingleSignOn { &[] } else { &["pwd"] };
            assert_eq!(grant.amr(), pwd);
            assert!(!grant.has_second_factor());
            assert_eq!(world.calls.all(), ["find_by_login", "verify", "find_by_id", "load"]);
            assert_eq!(world.outbox.attempts(), 0);
        }
        assert_eq!(world.row(&world.alice), before);
    }
}

/// I-16: every channel counts in the same counter and meets the same lock.
#[tokio::test]
async fn all_channels_share_the_password_lock() {
    let world = World::new().await;
    let channels = [
        Channel::Web,
        Channel::Mobile,
        Channel::SingleSignOn,
        Channel::ExemptIntegration,
        Channel::ExemptApi,
    ];
    for channel in channels.into_iter().chain(channels) {
        let step = world.begin_as(&world.acme, "alice", WRONG, channel, None).await.unwrap();
        assert_eq!(reason(&step), Reason::InvalidCredentials);
    }
    for channel in channels {
        let step = world.begin_as(&world.acme, "alice", PASSWORD, channel, None).await.unwrap();
        assert_eq!(reason(&step), Reason::InvalidCredentials, "{channel:?}");
    }
    // The entry point for passwords that the application vouches for is no way around.
    let vouched = PreverifiedLogin { user: &world.alice, channel: Channel::Web, device: None };
    world.events.clear();
    assert_eq!(
        reason(&world.request().begin_with_preverified_password(&vouched).await.unwrap()),
        Reason::InvalidCredentials
    );
    let EventKind::CredentialsRefused { cause, .. } = world.only_event().kind else { panic!() };
    assert_eq!(cause, CredentialsCause::PasswordLocked);
    world.clock.advance(MINUTE);
    let step = world.request().begin_with_preverified_password(&vouched).await.unwrap();
    let _ = authenticated(world.submit(&challenge(step).token, &world.last_code()).await);
}

/// I-17: the vouched entry point refuses strangers and disabled users in the same words.
#[tokio::test]
async fn a_vouched_password_of_nobody_or_of_a_disabled_user_lets_nobody_in() {
    let world = World::new().await;
    world.change(&world.bob, |user| user.status = UserStatus::Disabled);
    let mut answers = Vec::new();
    for user in ["nobody", "bob", "stranger"] {
        world.calls.clear();
        let user = user_id(user);
        let vouched = PreverifiedLogin { user: &user, channel: Channel::Web, device: None };
        answers.push(denied(
            &world.request().begin_with_preverified_password(&vouched).await.unwrap(),
        ));
        assert_eq!(world.calls.all(), ["find_by_id", "find_by_id", "load", "commit"]);
    }
    assert_eq!(answers[0].reason(), Reason::InvalidCredentials);
    assert!(answers.iter().all(|answer| *answer == answers[0]));
}

/// Requires the second factor of everybody, programs too.
struct Always;

impl TwoFactorPolicy for Always {
    fn decide(&self, _: &PolicyContext<'_>) -> Result<Requirement, PluginError> {
        Ok(Requirement::Required)
    }
}

/// I-35: where nobody is there to type a code, a required code is a refusal, after the right
/// password only.
#[tokio::test]
async fn a_program_that_would_need_a_code_is_refused() {
    for channel in [Channel::SingleSignOn, Channel::ExemptIntegration, Channel::ExemptApi] {
        let world = World::off_with(|builder| builder.policy(Always));
        let step = world.begin_as(&world.acme, "alice", PASSWORD, channel, None).await.unwrap();
        assert_eq!(reason(&step), Reason::NotInteractive);
        assert_eq!(
            world.only_event().kind,
            EventKind::LoginRefused { reason: "not_interactive".into() }
        );
        assert_eq!(world.calls.all(), ["find_by_login", "verify", "find_by_id", "load"]);
        let step = world.begin_as(&world.acme, "alice", WRONG, channel, None).await.unwrap();
        assert_eq!(reason(&step), Reason::InvalidCredentials);
        assert_eq!(world.outbox.attempts(), 0);
    }
}
