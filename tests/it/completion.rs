//! Completion: a login ends by how things are then, and its token is good for that login and
//! nothing else.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use crate::support::interject::Interject;
use crate::support::steps::flow_over;
use crate::support::*;
use countersign::contact::PhoneNumber;
use countersign::event::EventKind;
use countersign::grant::Staleness;
use countersign::user::{PasswordHash, UserStatus};
use countersign::{
    Channel, Code, DeliveryStatus, DeviceToken, LoginStep, Method, PendingToken, Reason,
    RequestContext, ResendTo, Scope, SecondFactor, SetupToken, TrustDevice,
};
use futures_lite::future::block_on;

type Change = fn(&mut countersign::user::User);

const ENDINGS: [(&str, Change); 4] = [
    ("disabled", |user| user.status = UserStatus::Disabled),
    ("another password", |user| user.password_hash = Some(PasswordHash::new("another"))),
    ("no password", |user| user.password_hash = None),
    ("another stamp", |user| user.security_stamp = Some("2".into())),
];

/// Every later step of a login answers that it is over.
async fn assert_over(world: &World, token: &PendingToken, code: &str, backup: &str, what: &str) {
    for _ in 0..2 {
        assert_eq!(reason(&world.submit(token, code).await), Reason::LoginOver, "{what}");
        assert_eq!(reason(&world.submit_backup(token, backup).await), Reason::LoginOver, "{what}");
        let resent = world.request().resend(token, ResendTo::Same).await.unwrap();
        assert_eq!(reason(&resent), Reason::LoginOver, "{what}");
        world.request().cancel(token).await.unwrap();
    }
}

/// I-25: whoever is disabled, gone, or has another password than at the first step begins anew.
#[tokio::test]
async fn a_change_to_the_user_ends_a_login_under_way() {
    for (what, change) in ENDINGS {
        let world = World::new().await;
        let backup = world.make_backup_code("alice").await;
        let challenge = world.begin("alice").await;
        let code = world.last_code();
        world.change(&world.alice, change);
        world.wait_for_the_spacing();
        let sent = world.outbox.attempts();
        assert_over(&world, &challenge.token, &code, &backup, what).await;
        assert_eq!(world.outbox.attempts(), sent);
        let record = world.record(&world.alice);
        assert_eq!(record["pending"], serde_json::Value::Null, "{what}");
        assert!(record["backup"].is_object(), "the backup code was not used up");
        assert_eq!(world.saved_wrong_codes(&world.alice), 0);
    }
}

/// I-25: the step that is taken first finds it, whichever it is.
#[tokio::test]
async fn every_later_step_looks_at_the_user_as_of_now() {
    for step in 0..4 {
        for (what, change) in ENDINGS {
            let world = World::new().await;
            let backup = world.make_backup_code("alice").await;
            let challenge = world.begin("alice").await;
            world.wait_for_the_spacing();
            world.change(&world.alice, change);
            let answer = match step {
                0 => world.submit(&challenge.token, &world.last_code()).await,
                1 => world.submit_backup(&challenge.token, &backup).await,
                2 => world.request().resend(&challenge.token, ResendTo::Same).await.unwrap(),
                _ => world.submit(&challenge.token, &world.wrong_code()).await,
            };
            assert_eq!(reason(&answer), Reason::LoginOver, "{what}");
            // Undoing the change does not bring the login back.
            let restored = person(&world.acme, "alice");
            world.change(&world.alice, |user| *user = restored);
            let again = world.submit(&challenge.token, &world.last_code()).await;
            assert_eq!(reason(&again), Reason::LoginOver, "{what}");
        }
    }
}

#[tokio::test]
async fn a_user_who_is_removed_does_not_complete_a_login() {
    let world = World::new().await;
    let backup = world.make_backup_code("alice").await;
    let challenge = world.begin("alice").await;
    let code = world.last_code();
    assert!(world.users.remove(&world.acme, &world.alice));
    assert_over(&world, &challenge.token, &code, &backup, "removed").await;
}

/// I-26: a reset ends the logins under way, even one that has been read already.
#[tokio::test]
async fn a_reset_ends_a_login_under_way() {
    let world = World::new().await;
    let challenge = world.begin("alice").await;
    let code = world.last_code();
    world.reset_by_operator(&world.alice).await;
    assert_over(&world, &challenge.token, &code, "0123-4567-89AB-CDEF-GHJK-MNPQ", "reset").await;
    assert_eq!(world.saved_of(&world.alice), ["notices", "resets"], "nothing comes back");

    let world = World::new().await;
    let challenge = world.begin("alice").await;
    let (flow, acme, alice) = (world.flow.clone(), world.acme.clone(), world.alice.clone());
    world.calls.before("commit", move || {
        let _ = block_on(flow.operator("in between").unwrap().reset(&acme, &alice)).unwrap();
    });
    let late = world.submit(&challenge.token, &world.last_code()).await;
    assert_eq!(reason(&late), Reason::LoginOver);
    assert_eq!(world.saved_of(&world.alice), ["notices", "resets"]);
}

/// I-27, I-28: what a change of scope does to a login that has its code already, in every
/// direction.
#[tokio::test]
async fn a_change_of_scope_applies_to_logins_under_way() {
    use Scope::{DoNotUse, EntireTenant, SystemAdministratorsOnly};
    for (from, through, goes_on) in [
        (EntireTenant, vec![SystemAdministratorsOnly], true),
        (EntireTenant, vec![SystemAdministratorsOnly, EntireTenant], true),
        (SystemAdministratorsOnly, vec![EntireTenant], true),
        (EntireTenant, vec![DoNotUse], false),
        (SystemAdministratorsOnly, vec![DoNotUse], false),
        (EntireTenant, vec![DoNotUse, EntireTenant], false),
        (SystemAdministratorsOnly, vec![DoNotUse, SystemAdministratorsOnly], false),
    ] {
        let world = World::off();
        let second = |user: &mut countersign::user::User| user.system_administrator = true;
        world.change(&world.alice, second);
        let off = world.root_grant().await;
        world.request().administration(&off).await.unwrap().set_scope(from).await.unwrap();
        let challenge = world.begin("alice").await;
        let code = world.last_code();
        for scope in through.clone() {
            world.set_scope(scope).await;
            world.wait_for_the_spacing();
        }
        let step = world.submit(&challenge.token, &code).await;
        let expected = (!goes_on).then_some(Reason::LoginOver);
        assert_eq!(
            step.denied().map(countersign::Denied::reason),
            expected,
            "{from:?} {through:?}"
        );
        if let LoginStep::Authenticated(done) = step {
            assert_eq!(done.grant.second_factor(), &SecondFactor::Code { method: Method::Email });
            assert!(world.request().revalidate(&done.grant, Channel::Web).await.is_ok());
        }
    }
}

/// I-28: a promotion asks for the code that was not needed before; a demotion in between does not
/// stop a login that has one.
#[tokio::test]
async fn a_promotion_counts_from_the_moment_it_is_made() {
    let world = World::off();
    world.set_scope(Scope::SystemAdministratorsOnly).await;
    world.wait_for_the_spacing();
    let plain = authenticated(world.try_begin("alice", PASSWORD).await).grant;
    world.change(&world.alice, |user| user.system_administrator = true);
    let validity = world.request().revalidate(&plain, Channel::Web).await.unwrap_err();
    assert_eq!(validity.staleness(), Some(Staleness::SecondFactorRequired));
    assert!(world.request().administration(&plain).await.is_err(), "and it administers nothing");
    let challenge = world.begin("alice").await;
    world.change(&world.alice, |user| user.system_administrator = false);
    let done = authenticated(world.submit(&challenge.token, &world.last_code()).await);
    assert!(done.grant.has_second_factor());
}

/// I-28: a first step that meets a stricter scope between its reading and its writing decides
/// again.
#[tokio::test]
async fn a_scope_that_changes_during_the_first_step_is_seen() {
    let world = World::off();
    // One wrong password, so that the right one has something to write.
    let _ = world.try_begin("alice", "wrong").await;
    let grant = world.root_grant().await;
    let (flow, acme) = (world.flow.clone(), world.acme.clone());
    world.calls.before("commit", move || {
        let change = async {
            flow.request(&acme, &RequestContext::new())
                .administration(&grant)
                .await
                .unwrap()
                .set_scope(Scope::EntireTenant)
                .await
        };
        assert_eq!(block_on(change).unwrap(), Scope::DoNotUse);
    });
    assert!(matches!(world.try_begin("alice", PASSWORD).await, LoginStep::CodeRequired(_)));
}

/// I-02, attack 12: a token of one kind is nothing where another is asked for.
#[tokio::test]
async fn a_token_serves_its_own_purpose_only() {
    let world = World::with(|builder| builder.trusted_devices(30 * DAY, 3)).await;
    let trusted = world.sign_in_and_trust("alice", "laptop").await;
    let device = trusted.device_token.unwrap();
    world.wait_for_the_spacing();
    let number = PhoneNumber::new("+15551234567").unwrap();
    let setup = world.request().account(&trusted.grant).use_sms(&number).await.unwrap();
    let setup_code = world.last_code();
    world.wait_for_the_spacing();
    let challenge = world.begin("alice").await;
    let code = world.last_code();
    let before = world.row(&world.alice);
    for (foreign, typed) in [(device.expose(), &code), (setup.token.expose(), &setup_code)] {
        let disguised = [
            foreign.to_owned(),
            format!("csp1.{}", &foreign[5..]),
            format!("{}{}", &challenge.token.expose()[..5], &foreign[5..]),
        ];
        for token in disguised {
            assert_eq!(
                reason(&world.submit(&token.as_str().into(), typed).await),
                Reason::LoginOver
            );
        }
    }
    for foreign in [challenge.token.expose(), device.expose()] {
        for token in [foreign.to_owned(), format!("css1.{}", &foreign[5..])] {
            let account = world.request().account(&trusted.grant);
            let refused = account
                .confirm_method(&SetupToken::new(token), &Code::new(&code))
                .await
                .unwrap_err();
            assert_eq!(refused.denied().unwrap().reason(), Reason::SetupOver);
        }
    }
    assert_eq!(world.row(&world.alice), before);
    for foreign in [challenge.token.expose(), setup.token.expose()] {
        for token in [
            foreign.to_owned(),
            format!("csd1.{}", &foreign[5..]),
            format!("csd1.{}", &foreign[5..48]),
        ] {
            let step = world.begin_with_device("alice", &DeviceToken::new(token)).await;
            assert!(matches!(step, LoginStep::CodeRequired(_)));
        }
    }
    // And each still serves its own.
    assert!(matches!(world.begin_with_device("alice", &device).await, LoginStep::Authenticated(_)));
    let _ = authenticated(world.submit(&challenge.token, &code).await);
}

/// I-02, I-03: a token that was cut, altered, or brought to another tenant gets the answer of a
/// login that is over, and changes nothing.
#[tokio::test]
async fn a_damaged_token_is_a_login_that_is_over() {
    let world = World::new().await;
    world.set_other_scope(Scope::EntireTenant).await;
    let challenge = world.begin("alice").await;
    let _ = world.begin_in(&world.other, "alice").await;
    let code = world.outbox.codes()[0].code.clone();
    let rows =
        |world: &World| (world.row(&world.alice), world.factors.record(&world.other, &world.alice));
    let before = rows(&world);
    let good = challenge.token.expose().to_owned();
    let mut damaged: Vec<String> = (0..good.len()).map(|end| good[..end].to_owned()).collect();
    damaged.extend((1..good.len()).map(|start| good[start..].to_owned()));
    for at in 0..good.len() {
        for other in *b"A9_-z.=" {
            let mut bytes = good.clone().into_bytes();
            if std::mem::replace(&mut bytes[at], other) != other {
                damaged.push(String::from_utf8(bytes).unwrap());
            }
        }
        for flipped in [1, 2, 4] {
            let mut bytes = good.clone().into_bytes();
            bytes[at] ^= flipped;
            damaged.push(String::from_utf8(bytes).unwrap());
        }
    }
    damaged.extend([
        format!("{good}A"),
        format!("{good}="),
        format!("{good}\n"),
        format!(" {good}"),
        "x".repeat(1 << 16),
    ]);
    for token in damaged {
        assert_ne!(token, good);
        let token = PendingToken::new(token);
        let step = world.submit(&token, &code).await;
        let refused = denied(&step);
        assert_eq!(
            (refused.reason(), refused.retry_at(), refused.attempts_left()),
            (Reason::LoginOver, None, None)
        );
        assert_eq!(
            reason(&world.submit_backup(&token, "0123-4567-89AB-CDEF-GHJK-MNPQ").await),
            Reason::LoginOver
        );
        let resent = world.request().resend(&token, ResendTo::Same).await.unwrap();
        assert_eq!(reason(&resent), Reason::LoginOver);
        world.request().cancel(&token).await.unwrap();
    }
    for elsewhere in [&world.other, &tenant("nowhere")] {
        let step = world
            .request_for(elsewhere)
            .submit_code(&challenge.token, &Code::new(&code), TrustDevice::No)
            .await
            .unwrap();
        assert_eq!(reason(&step), Reason::LoginOver);
        let step =
            world.request_for(elsewhere).resend(&challenge.token, ResendTo::Same).await.unwrap();
        assert_eq!(reason(&step), Reason::LoginOver);
        world.request_for(elsewhere).cancel(&challenge.token).await.unwrap();
    }
    assert_eq!(rows(&world), before);
    let _ = authenticated(world.submit(&challenge.token, &code).await);
}

/// I-36: a grant says how each factor was satisfied, and the token is dead afterwards, for every
/// step.
#[tokio::test]
async fn a_grant_says_how_it_came_about_and_leaves_a_dead_token() {
    let world = World::with(|builder| builder.trusted_devices(30 * DAY, 3)).await;
    let trusted = world.sign_in_and_trust("alice", "laptop").await;
    assert_eq!(trusted.grant.amr(), ["pwd", "otp", "mfa"]);
    assert_eq!(trusted.grant.at(), world.now());
    let by_device =
        authenticated(world.begin_with_device("alice", &trusted.device_token.unwrap()).await);
    assert!(matches!(by_device.grant.second_factor(), SecondFactor::TrustedDevice { .. }));
    assert_eq!(by_device.grant.amr(), ["pwd"]);
    assert!(by_device.grant.is_beyond_password() && !by_device.grant.has_second_factor());
    let backup = world.request().account(&trusted.grant).new_backup_code().await.unwrap();

    let challenge = world.begin("alice").await;
    let by_backup = authenticated(world.submit_backup(&challenge.token, backup.expose()).await);
    assert_eq!(by_backup.grant.second_factor(), &SecondFactor::BackupCode);
    assert_eq!(by_backup.grant.amr(), ["pwd", "otp", "mfa"]);
    assert_eq!(by_backup.grant.login(), challenge.login);
    let successor = by_backup.backup_code.unwrap();
    world.wait_for_the_spacing();
    assert_over(&world, &challenge.token, "123456", successor.expose(), "completed").await;

    world.choose_sms("alice", "+15551234567").await;
    let by_sms = world.sign_in("alice").await;
    assert_eq!(by_sms.grant.amr(), ["pwd", "otp", "sms", "mfa"]);
    assert_eq!(by_sms.grant.second_factor(), &SecondFactor::Code { method: Method::Sms });
}

/// I-02, I-05: whatever else is decided on a login while its code completes it, the login stays
/// over: nothing of the other step is saved, and nobody is let in twice.
#[tokio::test]
async fn no_step_revives_a_login_that_is_completed_meanwhile() {
    for step in ["wrong code", "wrong backup code", "resend", "cancel", "right code"] {
        let world = World::new().await;
        let _backup = world.make_backup_code("alice").await;
        let challenge = world.begin("alice").await;
        let code = world.last_code();
        world.wait_for_the_spacing();
        let (token, right) = (PendingToken::new(challenge.token.expose()), Code::new(&*code));
        let other = world.request();
        let store = Interject::over(&world);
        let slow = flow_over(&world, store.clone(), |builder| builder)
            .request(&world.acme, &RequestContext::new());
        store.interceptor.once("before commit", move || async move {
            let _ =
                authenticated(other.submit_code(&token, &right, TrustDevice::No).await.unwrap());
        });
        let sent = world.outbox.attempts();
        let token = &challenge.token;
        let answer = match step {
            "wrong code" => {
                slow.submit_code(token, &world.wrong_code().as_str().into(), TrustDevice::No).await
            }
            "wrong backup code" => {
                let wrong = "0000-0000-0000-0000-0000-0000".into();
                slow.submit_backup_code(token, &wrong).await
            }
            "resend" => slow.resend(token, ResendTo::Same).await,
            "right code" => slow.submit_code(token, &code.as_str().into(), TrustDevice::No).await,
            _ => {
                slow.cancel(token).await.unwrap();
                slow.resend(token, ResendTo::Same).await
            }
        };
        assert_eq!(reason(&answer.unwrap()), Reason::LoginOver, "{step}");
        assert!(store.interceptor.is_done(), "{step}");
        assert_eq!(world.outbox.attempts(), sent, "{step}");
        let record = world.record(&world.alice);
        assert_eq!(record["pending"], serde_json::Value::Null, "{step}");
        assert_eq!(world.saved_wrong_codes(&world.alice), 0, "{step}");
        let completed = world.events.kinds().into_iter();
        let completed = completed.filter(|kind| {
            matches!(kind, EventKind::LoginCompleted { login, .. }
                if *login == challenge.login)
        });
        assert_eq!(completed.count(), 1, "{step}");
    }
}

/// I-10, I-13: a later step that is refused without a comparison writes nothing at all.
#[tokio::test]
async fn a_later_step_that_compares_nothing_leaves_the_row_as_it_is() {
    let world = World::new().await;
    let locked = world.lock_codes("alice").await.token;
    let row = || world.factors.record(&world.acme, &world.alice).unwrap();
    let before = row();
    world.calls.clear();
    for _ in 0..3 {
        let refused = world.submit(&locked, &world.wrong_code()).await;
        assert_eq!(reason(&refused), Reason::CodesLocked);
        let refused = world.request().resend(&locked, ResendTo::Same).await.unwrap();
        assert_eq!(reason(&refused), Reason::CodesLocked);
        let refused = world.submit_backup(&locked, "0000-0000-0000-0000-0000-0000").await;
        assert_eq!(reason(&refused), Reason::NoBackupCode);
        let page = challenge(world.request().challenge(&locked).await.unwrap());
        assert!(matches!(page.delivery, DeliveryStatus::NotMade { .. }));
    }
    assert_eq!(world.calls.all().iter().filter(|call| **call == "commit").count(), 0);
    assert_eq!(row(), before);
}
