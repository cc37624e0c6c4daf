//! The backup code: one, for when no code arrives, replaced by its own use.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unchecked_time_subtraction
)]

use std::time::Duration;

use crate::support::*;
use countersign::Pepper;
use countersign::contact::Destination;
use countersign::event::EventKind;
use countersign::sender::{NoticeKind, NoticeTopic};
use countersign::{Channel, DeliveryStatus, Error, LoginStep, Reason, SecondFactor, TrustDevice};

const WRONG: &str = "0000-0000-0000-0000-0000-0000";

fn pepper(id: &str, byte: u8) -> Pepper {
    Pepper::new(id, vec![byte; 32]).unwrap()
}

/// I-31: it completes a login, and the successor that is shown is the one that works next.
#[tokio::test]
async fn a_backup_code_completes_a_login_and_is_replaced_by_its_successor() {
    let world = World::new().await;
    let first = world.make_backup_code("alice").await;
    world.outbox.clear();
    let challenge = world.begin("alice").await;
    assert!(challenge.alternatives.backup_code);
    let done = authenticated(world.submit_backup(&challenge.token, &first).await);
    assert_eq!(done.grant.second_factor(), &SecondFactor::BackupCode);
    assert_eq!(done.grant.amr(), ["pwd", "otp", "mfa"]);
    assert!(done.device_token.is_none());
    assert!(world.request().revalidate(&done.grant, Channel::Web).await.is_ok());
    let second = done.backup_code.unwrap().expose().to_owned();
    assert_ne!(second, first);
    // The person is told at the registered address.
    let [(Destination::Email(to), NoticeKind::BackupCodeUsed)] = &world.told()[..] else {
        panic!()
    };
    assert_eq!(to.expose(), "alice@example.com");
    // I-05: the login is over, and the code is dead.
    assert_eq!(reason(&world.submit_backup(&challenge.token, &second).await), Reason::LoginOver);
    world.wait_for_the_spacing();
    let challenge = world.begin("alice").await;
    assert_eq!(
        reason(&world.submit_backup(&challenge.token, &first).await),
        Reason::WrongBackupCode
    );
    let third =
        authenticated(world.submit_backup(&challenge.token, &second).await).backup_code.unwrap();
    assert_ne!(third.expose(), second);
}

/// 120 bits in Crockford's alphabet, saved as a tag only (I-21, I-31).
#[tokio::test]
async fn a_backup_code_is_shown_in_groups_and_never_saved_in_clear() {
    let world = World::new().await;
    let code = world.make_backup_code("alice").await;
    let groups: Vec<&str> = code.split('-').collect();
    assert_eq!(groups.len(), 6);
    assert!(groups.iter().all(|group| group.len() == 4));
    assert!(groups.concat().bytes().all(|b| b"0123456789ABCDEFGHJKMNPQRSTVWXYZ".contains(&b)));
    let saved = world.factors.record(&world.acme, &world.alice).unwrap();
    assert!(!saved.document.contains(&code) && !saved.document.contains(&groups.concat()));
}

/// I-32: the code is made only shortly after a login with a fresh second factor.
#[tokio::test]
async fn making_one_needs_a_recent_login_with_a_fresh_second_factor() {
    let world = World::with(|b| b.trusted_devices(30 * DAY, 3)).await;
    let grant = world.sign_in("alice").await.grant;
    world.clock.advance(10 * MINUTE);
    assert_eq!(
        refusal(world.request().account(&grant).new_backup_code().await),
        Reason::ReauthenticationRequired
    );
    assert!(world.record(&world.alice)["backup"].is_null());

    let trusted = world.sign_in_and_trust("alice", "laptop").await;
    world.clock.advance(10 * MINUTE - Duration::from_millis(1));
    let code = world.request().account(&trusted.grant).new_backup_code().await.unwrap();
    let by_device =
        authenticated(world.begin_with_device("alice", &trusted.device_token.unwrap()).await);
    assert_eq!(
        refusal(world.request().account(&by_device.grant).new_backup_code().await),
        Reason::ReauthenticationRequired
    );

    // A backup code is a fresh second factor.
    let challenge = world.begin("alice").await;
    let by_backup = authenticated(world.submit_backup(&challenge.token, code.expose()).await);
    assert!(world.request().account(&by_backup.grant).new_backup_code().await.is_ok());
}

/// I-31: there is one, and its owner is told when it is replaced.
#[tokio::test]
async fn making_another_kills_the_earlier_one_and_tells_the_person() {
    let world = World::new().await;
    let grant = world.sign_in("alice").await.grant;
    let first = world.request().account(&grant).new_backup_code().await.unwrap();
    let second = world.request().account(&grant).new_backup_code().await.unwrap();
    // Whoever makes the first one is notified too: it is a way in. The second within the hour is
    // counted (`I-15`).
    let notices = world.told();
    assert!(
        matches!(&notices[..], [(Destination::Email(_), NoticeKind::BackupCodeMade)]),
        "{notices:?}"
    );
    assert!(
        world
            .events
            .kinds()
            .contains(&EventKind::NoticeHeldBack { about: NoticeTopic::BackupCodeMade })
    );
    world.wait_for_the_spacing();
    let challenge = world.begin("alice").await;
    assert_eq!(
        reason(&world.submit_backup(&challenge.token, first.expose()).await),
        Reason::WrongBackupCode
    );
    let _done = authenticated(world.submit_backup(&challenge.token, second.expose()).await);
}

/// I-14: locked codes leave the way by the backup code, in the login under way and in a new one.
#[tokio::test]
async fn it_works_while_codes_are_locked() {
    let world = World::new().await;
    let code = world.make_backup_code("alice").await;
    let locked = world.lock_codes("alice").await;
    let sends = world.outbox.attempts();
    let done = authenticated(world.submit_backup(&locked.token, &code).await);
    let next = done.backup_code.unwrap();
    // I-10: success with the backup code does not clear what codes have to account for.
    assert_eq!(world.saved_wrong_codes(&world.alice), 5);

    let challenge = world.begin("alice").await;
    assert!(challenge.delivery.sent().is_none());
    let DeliveryStatus::NotMade { denied } = challenge.delivery else { panic!() };
    assert_eq!(denied.reason(), Reason::CodesLocked);
    assert_eq!(challenge.attempts_left, 0);
    assert_eq!(world.outbox.attempts(), sends, "nothing is sent to a locked user");
    let _done = authenticated(world.submit_backup(&challenge.token, next.expose()).await);
}

#[tokio::test]
async fn a_locked_user_without_one_is_refused_at_the_first_step() {
    let world = World::new().await;
    let locked = world.lock_codes("alice").await;
    assert_eq!(reason(&world.submit_backup(&locked.token, WRONG).await), Reason::NoBackupCode);
    assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::CodesLocked);
    let pending = &world.record(&world.alice)["pending"][0];
    assert!(pending["wrong_backup"].is_null(), "nothing was compared, so nothing is charged");
}

/// I-14: wrong backup codes are bounded in each login, and lock nothing else: neither the code of
/// that login nor the right backup code of the next one.
#[tokio::test]
async fn wrong_backup_codes_end_in_their_own_login_and_lock_nothing_else() {
    let world = World::new().await;
    let code = world.make_backup_code("alice").await;
    world.outbox.clear();
    let challenge = world.begin("alice").await;
    let sent = world.last_code();
    for left in [4, 3, 2, 1, 0] {
        let refused = denied(&world.submit_backup(&challenge.token, WRONG).await);
        assert_eq!(
            (refused.reason(), refused.attempts_left()),
            (Reason::WrongBackupCode, Some(left))
        );
        assert_eq!(refused.retry_at(), None);
    }
    let saved = world.row(&world.alice);
    assert_eq!(world.record(&world.alice)["pending"][0]["wrong_backup"], 5);
    assert_eq!(world.saved_wrong_codes(&world.alice), 0);
    // In this login not even the right one is compared any more, and nothing is written.
    let refused = denied(&world.submit_backup(&challenge.token, &code).await);
    assert_eq!((refused.reason(), refused.ends_login()), (Reason::LoginBackupCodeLimit, false));
    assert_eq!(world.row(&world.alice), saved);
    assert!(world.told().is_empty(), "there is no lock to be notified of");
    // The next login takes the right one at that very moment.
    let next = world.begin("alice").await;
    assert!(next.alternatives.backup_code);
    let _done = authenticated(world.submit_backup(&next.token, &code).await);
    // And the code of the first login still works.
    let _done = authenticated(world.submit(&challenge.token, &sent).await);
}

/// I-14: a pending login that was evicted takes no backup code any more, and costs its user
/// nothing: the right one is good for the next login.
#[tokio::test]
async fn an_evicted_login_takes_no_backup_code_and_charges_nothing() {
    let world = World::with(|b| b.pending_logins(2)).await;
    let code = world.make_backup_code("alice").await;
    let evicted = world.begin("alice").await;
    // Its code expires, so it is the one that is evicted when another login needs room.
    world.clock.advance(3 * MINUTE);
    let _ = world.begin("alice").await;
    world.wait_for_the_spacing();
    let _ = world.begin("alice").await;
    let (before, sends) = (world.row(&world.alice), world.outbox.attempts());
    let pending = &world.record(&world.alice)["pending"];
    assert_eq!(pending.as_array().unwrap().len(), 2);
    for typed in [code.as_str(), WRONG, code.as_str()] {
        let refused = denied(&world.submit_backup(&evicted.token, typed).await);
        assert_eq!((refused.reason(), refused.attempts_left()), (Reason::LoginOver, None));
        assert!(refused.ends_login());
    }
    assert_eq!(world.row(&world.alice), before, "nothing is charged, and nothing used up");
    assert_eq!(world.outbox.attempts(), sends);
    world.clock.advance(3 * MINUTE);
    let next = world.begin("alice").await;
    let done = authenticated(world.submit_backup(&next.token, &code).await);
    assert_eq!(done.grant.second_factor(), &SecondFactor::BackupCode);
}

/// I-14, attack 67: an attacker who knows the password tries five wrong backup codes a minute for a
/// day. The owner's right one works at every minute of it, also while codes are locked or
/// suspended.
#[tokio::test]
async fn the_right_backup_code_works_at_every_minute_of_an_attacked_day() {
    let world = World::new().await;
    let mut code = world.make_backup_code("alice").await;
    for minute in 0..24 * 60 {
        world.clock.advance(MINUTE);
        let attacker = world.begin("alice").await;
        for _ in 0..5 {
            let answer = world.submit_backup(&attacker.token, WRONG).await;
            assert_eq!(reason(&answer), Reason::WrongBackupCode, "minute {minute}");
        }
        if attacker.delivery.sent().is_some() {
            let _ = world.submit(&attacker.token, &world.wrong_code()).await;
        }
        let owner = world.begin("alice").await;
        let done = authenticated(world.submit_backup(&owner.token, &code).await);
        code = done.backup_code.unwrap().expose().to_owned();
    }
    assert!(world.saved_wrong_codes(&world.alice) >= 5, "codes were locked in that day");
}

/// I-11: a suspension by wrong codes leaves the backup code alone, which cannot be guessed. It does
/// not lift the suspension.
#[tokio::test]
async fn a_suspended_second_factor_takes_the_backup_code() {
    let world = World::with(|b| b.suspend_after(5)).await;
    let code = world.make_backup_code("alice").await;
    let suspended = world.lock_codes("alice").await;
    let refused = denied(&world.submit(&suspended.token, &world.wrong_code()).await);
    assert_eq!((refused.reason(), refused.ends_login()), (Reason::Suspended, false));
    let done = authenticated(world.submit_backup(&suspended.token, &code).await);
    let code = done.backup_code.unwrap();
    world.clock.advance(365 * DAY);
    let sends = world.outbox.attempts();
    let challenge = world.begin("alice").await;
    let DeliveryStatus::NotMade { denied } = challenge.delivery else { panic!() };
    assert_eq!(denied.reason(), Reason::Suspended);
    assert!(challenge.alternatives.backup_code);
    assert_eq!(world.outbox.attempts(), sends, "nothing is sent to a suspended user");
    let _done = authenticated(world.submit_backup(&challenge.token, code.expose()).await);
    assert_eq!(world.saved_wrong_codes(&world.alice), 5);
    // Without a backup code only a reset helps.
    let _ = world.lock_codes("bob").await;
    assert_eq!(reason(&world.try_begin("bob", PASSWORD).await), Reason::Suspended);
}

#[tokio::test]
async fn it_may_be_typed_as_people_read_it() {
    let world = World::new().await;
    let mut code = world.make_backup_code("alice").await;
    let full_width = |text: &str| -> String {
        text.chars()
            .map(|c| if c == '-' { c } else { char::from_u32(u32::from(c) + 0xFEE0).unwrap() })
            .collect()
    };
    let typings: [&dyn Fn(&str) -> String; 6] = [
        &|text| text.to_lowercase(),
        &|text| text.replace('-', ""),
        &|text| format!("  {}  ", text.replace('-', " ")),
        &|text| text.replace('0', "O").replace('1', "l"),
        &|text| text.replace('0', "o").replace('1', "I"),
        &full_width,
    ];
    for typing in typings {
        world.wait_for_the_spacing();
        let challenge = world.begin("alice").await;
        let done = authenticated(world.submit_backup(&challenge.token, &typing(&code)).await);
        code = done.backup_code.unwrap().expose().to_owned();
        world.clock.advance(DAY);
    }
}

/// I-20, I-40: what can't be a backup code is refused before anything is read, and not counted.
#[tokio::test]
async fn what_has_not_the_form_of_one_is_not_counted() {
    let world = World::new().await;
    let code = world.make_backup_code("alice").await;
    let challenge = world.begin("alice").await;
    world.calls.clear();
    let long = "A".repeat(1 << 20);
    for typed in
        ["", "-", "0000", &code[1..], &format!("{code}0"), &code.replace('-', "*"), &long, "１２３"]
    {
        let refused = reason(&world.submit_backup(&challenge.token, typed).await);
        assert!(matches!(refused, Reason::InvalidInput(_)), "{typed:.10}");
    }
    assert_eq!(world.calls.all(), Vec::<&str>::new());
    let _done = authenticated(world.submit_backup(&challenge.token, &code).await);
}

/// I-21: under a pepper; the saved value names it.
#[tokio::test]
async fn a_pepper_can_be_replaced_while_codes_are_out() {
    let mut world = World::with(|b| b.pepper(pepper("k1", 1))).await;
    let first = world.make_backup_code("alice").await;
    assert_eq!(world.record(&world.alice)["backup"]["pepper"], "k1");

    world.restarted(|b| b.pepper(pepper("k2", 2)).previous_pepper(pepper("k1", 1)));
    let challenge = world.begin("alice").await;
    let done = authenticated(world.submit_backup(&challenge.token, &first).await);
    assert_eq!(
        world.record(&world.alice)["backup"]["pepper"],
        "k2",
        "the successor is saved under the new one"
    );

    world.restarted(|b| b.pepper(pepper("k2", 2)));
    world.wait_for_the_spacing();
    let challenge = world.begin("alice").await;
    let _done = authenticated(
        world.submit_backup(&challenge.token, done.backup_code.unwrap().expose()).await,
    );
}

#[tokio::test]
async fn a_code_from_before_the_first_pepper_stays_usable() {
    let mut world = World::new().await;
    let first = world.make_backup_code("alice").await;
    assert!(world.record(&world.alice)["backup"]["pepper"].is_null());
    world.restarted(|b| b.pepper(pepper("k1", 1)));
    let challenge = world.begin("alice").await;
    let _done = authenticated(world.submit_backup(&challenge.token, &first).await);
    assert_eq!(world.record(&world.alice)["backup"]["pepper"], "k1");
}

/// I-23: without its pepper a code can't be compared. That is a fault: nothing is charged and
/// nothing used up.
#[tokio::test]
async fn a_missing_pepper_is_a_fault_and_changes_nothing() {
    let mut world = World::with(|b| b.pepper(pepper("k1", 1))).await;
    let code = world.make_backup_code("alice").await;
    for id in [None, Some("k2")] {
        world.restarted(|b| match id {
            Some(id) => b.pepper(pepper(id, 1)),
            None => b,
        });
        let challenge = world.begin("alice").await;
        let before = world.factors.record(&world.acme, &world.alice);
        for typed in [code.as_str(), WRONG] {
            let answer = world.request().submit_backup_code(&challenge.token, &typed.into()).await;
            assert!(matches!(answer, Err(Error::UnknownPepper)));
        }
        assert_eq!(world.factors.record(&world.acme, &world.alice), before);
        world.wait_for_the_spacing();
    }
    world.restarted(|b| b.pepper(pepper("k1", 9)));
    let challenge = world.begin("alice").await;
    assert_eq!(
        reason(&world.submit_backup(&challenge.token, &code).await),
        Reason::WrongBackupCode
    );
    world.restarted(|b| b.pepper(pepper("k1", 1)));
    let _done = authenticated(world.submit_backup(&challenge.token, &code).await);
}

#[tokio::test]
async fn an_application_can_switch_backup_codes_off() {
    let mut world = World::new().await;
    let code = world.make_backup_code("alice").await;
    world.restarted(|b| b.backup_codes(false));
    let challenge = world.begin("alice").await;
    assert!(!challenge.alternatives.backup_code);
    world.calls.clear();
    assert_eq!(reason(&world.submit_backup(&challenge.token, &code).await), Reason::BackupCodesOff);
    assert_eq!(world.calls.all(), Vec::<&str>::new());
    let grant = authenticated(world.submit(&challenge.token, &world.last_code()).await).grant;
    assert_eq!(
        refusal(world.request().account(&grant).new_backup_code().await),
        Reason::BackupCodesOff
    );
    world.wait_for_the_spacing();
    let _ = world.lock_codes("alice").await;
    assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::CodesLocked);
}

/// I-03, I-04: bound to tenant, user and record.
#[tokio::test]
async fn it_is_no_backup_code_of_another_tenant_user_or_record() {
    let world = World::new().await;
    world.other_uses_it_too().await;
    let code = world.make_backup_code("alice").await;
    let bobs = world.make_backup_code("bob").await;
    let challenge = world.begin("bob").await;
    assert_eq!(
        reason(&world.submit_backup(&challenge.token, &code).await),
        Reason::WrongBackupCode
    );
    // The same user id in the other tenant.
    let LoginStep::CodeRequired(elsewhere) = world.begin_in_other("alice", None).await else {
        panic!()
    };
    let answer = world
        .request_for(&world.other)
        .submit_backup_code(&elsewhere.token, &code.as_str().into())
        .await
        .unwrap();
    assert_eq!(reason(&answer), Reason::NoBackupCode);
    // Nor does a token of one tenant serve in the other.
    assert_eq!(reason(&world.submit_backup(&elsewhere.token, &code).await), Reason::LoginOver);
    // Somebody with access to the database copies what is saved of it into another record.
    let mut record = world.record(&world.bob);
    record["backup"] = world.record(&world.alice)["backup"].clone();
    world.overwrite(&world.bob, &record.to_string()).await;
    for typed in [&code, &bobs] {
        assert_eq!(
            reason(&world.submit_backup(&challenge.token, typed).await),
            Reason::WrongBackupCode
        );
    }
    // I-26: a reset makes another record.
    let saved = world.record(&world.alice)["backup"].clone();
    world.reset(&world.alice).await;
    let challenge = world.begin("alice").await;
    assert_eq!(reason(&world.submit_backup(&challenge.token, &code).await), Reason::NoBackupCode);
    let mut record = world.record(&world.alice);
    record["backup"] = saved;
    world.overwrite(&world.alice, &record.to_string()).await;
    assert_eq!(
        reason(&world.submit_backup(&challenge.token, &code).await),
        Reason::WrongBackupCode
    );
}

/// I-01: it replaces the code, never the password.
#[tokio::test]
async fn it_needs_a_login_whose_password_was_right_and_still_is() {
    let world = World::new().await;
    let code = world.make_backup_code("alice").await;
    assert_eq!(reason(&world.submit_backup(&"csp1.AAAA".into(), &code).await), Reason::LoginOver);
    let challenge = world.begin("alice").await;
    world.change(&world.alice, |user| {
        user.password_hash = Some(countersign::user::PasswordHash::new("another"));
    });
    assert_eq!(reason(&world.submit_backup(&challenge.token, &code).await), Reason::LoginOver);
    assert!(
        !world.record(&world.alice)["backup"].is_null(),
        "it outlives the password change, unused"
    );
    let challenge = crate::support::challenge(world.try_begin("alice", "another").await);
    let _done = authenticated(world.submit_backup(&challenge.token, &code).await);

    let challenge = crate::support::challenge(world.try_begin("alice", "another").await);
    world.change(&world.alice, |user| user.status = countersign::user::UserStatus::Disabled);
    assert_eq!(reason(&world.submit_backup(&challenge.token, &code).await), Reason::LoginOver);
}

/// I-10: a wrong code and a wrong backup code are charged apart, and neither clears the other.
#[tokio::test]
async fn each_kind_of_secret_is_charged_apart() {
    let world = World::new().await;
    let code = world.make_backup_code("alice").await;
    let challenge = world.begin("alice").await;
    let sent = world.last_code();
    let _ = world.submit(&challenge.token, &other_code(&sent)).await;
    let _ = world.submit_backup(&challenge.token, WRONG).await;
    let pending = world.record(&world.alice)["pending"][0].clone();
    assert_eq!(
        (world.streak(&world.alice, "code_failures"), &pending["wrong_backup"]),
        (1, &1.into())
    );
    let _done = authenticated(world.submit_backup(&challenge.token, &code).await);
    assert_eq!(world.streak(&world.alice, "code_failures"), 1);
}

/// I-15: a user without any destination comes in by the backup code.
#[tokio::test]
async fn it_helps_a_user_who_has_no_address_any_more() {
    let world = World::new().await;
    let code = world.make_backup_code("alice").await;
    world.change(&world.alice, |user| user.email = None);
    let challenge = world.begin("alice").await;
    let DeliveryStatus::NotMade { denied } = challenge.delivery else { panic!() };
    assert_eq!(denied.reason(), Reason::NoDestination);
    let _done = authenticated(world.submit_backup(&challenge.token, &code).await);
    world.change(&world.bob, |user| user.email = None);
    assert_eq!(reason(&world.try_begin("bob", PASSWORD).await), Reason::NoDestination);
}

/// I-30: a device is trusted only after a fresh code.
#[tokio::test]
async fn it_registers_no_trusted_device() {
    let world = World::with(|b| b.trusted_devices(30 * DAY, 3)).await;
    let code = world.make_backup_code("alice").await;
    let challenge = world.begin("alice").await;
    let answer = world
        .request()
        .submit_code(&challenge.token, &code.as_str().into(), TrustDevice::Named("laptop"))
        .await
        .unwrap();
    assert!(matches!(reason(&answer), Reason::InvalidInput(_)), "a backup code is no code");
    let done = authenticated(world.submit_backup(&challenge.token, &code).await);
    assert!(done.device_token.is_none());
    assert!(world.record(&world.alice)["devices"].is_null());
    assert_eq!(done.grant.channel(), Channel::Web);
}
