//! The budget of notices: the first of each kind in an hour goes, the others are counted, and no
//! change is hidden.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::time::Duration;

use crate::support::*;
use countersign::contact::{Destination, PhoneNumber};
use countersign::event::EventKind;
use countersign::sender::{NoticeKind, NoticeTopic, SendErrorKind};
use countersign::store::FactorStore;
use countersign::{Account, MethodChange, Reason, SavedGrant};
use serde_json::{Value, json};

const HOUR: Duration = Duration::from_secs(60 * 60);

fn held_back(world: &World) -> Vec<NoticeTopic> {
    let held = |kind: EventKind| {
        if let EventKind::NoticeHeldBack { about } = kind { Some(about) } else { None }
    };
    world.events.kinds().into_iter().filter_map(held).collect()
}

fn account(world: &World, grant: &SavedGrant) -> Account {
    world.request().account(grant)
}

/// A world in which a session stays good for changes for a day.
async fn world() -> (World, SavedGrant) {
    let world =
        World::with(|b| b.recent_login(DAY).session_lifetime(DAY).trusted_devices(30 * DAY, 3))
            .await;
    let grant = world.sign_in("alice").await.grant.into_saved();
    world.wait_for_the_spacing();
    world.events.clear();
    (world, grant)
}

fn milliseconds(world: &World) -> Value {
    i64::try_from(world.now().unix_timestamp_nanos() / 1_000_000).unwrap().into()
}

/// I-15, I-38: what is held back is an event, is saved, and is told with the next one: at the hour,
/// to the millisecond.
#[tokio::test]
async fn the_first_of_a_kind_in_an_hour_goes_and_the_next_says_how_many_did_not() {
    let (world, grant) = world().await;
    let sent = milliseconds(&world);
    let _code = account(&world, &grant).new_backup_code().await.unwrap();
    assert_eq!(
        world.record(&world.alice)["notices"],
        json!([{ "about": "backup_code_made", "sent": sent }])
    );
    for _ in 0..2 {
        let _code = account(&world, &grant).new_backup_code().await.unwrap();
    }
    world.clock.advance(HOUR.checked_sub(Duration::from_millis(1)).unwrap());
    let _code = account(&world, &grant).new_backup_code().await.unwrap();
    assert_eq!(world.held_back(), [0]);
    assert_eq!(held_back(&world), [NoticeTopic::BackupCodeMade; 3]);
    let saved = json!([{ "about": "backup_code_made", "sent": sent, "held_back": 3 }]);
    assert_eq!(world.record(&world.alice)["notices"], saved);
    world.clock.advance(Duration::from_millis(1));
    let _code = account(&world, &grant).new_backup_code().await.unwrap();
    assert_eq!(world.held_back(), [0, 3]);
    world.clock.advance(HOUR);
    let _code = account(&world, &grant).new_backup_code().await.unwrap();
    assert_eq!(world.held_back(), [0, 3, 0]);
    assert!(world.told().iter().all(|(_, kind)| *kind == NoticeKind::BackupCodeMade));
}

/// I-15: each kind has a budget of its own.
#[tokio::test]
async fn one_kind_does_not_hold_another_back() {
    let (world, grant) = world().await;
    let backup = account(&world, &grant).new_backup_code().await.unwrap();
    let challenge = world.begin("alice").await;
    let _done = authenticated(world.submit_backup(&challenge.token, backup.expose()).await);
    world.wait_for_the_spacing();
    let _trusted = world.sign_in_and_trust("alice", "laptop").await;
    world.wait_for_the_spacing();
    let _challenge = world.lock_codes("alice").await;
    world.reset_by_operator(&world.alice).await;
    let told: Vec<NoticeTopic> = world.told().iter().map(|(_, kind)| kind.topic()).collect();
    assert_eq!(
        told,
        [
            NoticeTopic::BackupCodeMade,
            NoticeTopic::BackupCodeUsed,
            NoticeTopic::DeviceTrusted,
            NoticeTopic::Locked,
            NoticeTopic::Reset
        ]
    );
    assert_eq!(held_back(&world), []);
}

/// A lock and a suspension are two things: the one does not hide the other.
#[tokio::test]
async fn a_suspension_right_after_a_lock_is_told() {
    let world = World::with(|b| b.suspend_after(10).lockout(MINUTE, MINUTE)).await;
    for _ in 0..2 {
        let _challenge = world.lock_codes("alice").await;
        world.clock.advance(2 * MINUTE);
    }
    let told = world.told();
    assert!(
        matches!(
            told[..],
            [(_, NoticeKind::Locked { until: Some(_) }), (_, NoticeKind::Locked { until: None })]
        ),
        "{told:?}"
    );
}

async fn prove(world: &World, grant: &SavedGrant, number: &str) {
    let setup = account(world, grant).use_sms(&PhoneNumber::new(number).unwrap()).await.unwrap();
    let _method = account(world, grant)
        .confirm_method(&setup.token, &world.last_code().into())
        .await
        .unwrap();
    world.wait_for_the_spacing();
}

/// I-32: a change of where codes go is told at once, whatever was told before, at the address and
/// at the number that it takes them from: each costs a code that was sent, so the send budget
/// bounds them.
#[tokio::test]
async fn a_change_of_method_is_never_held_back() {
    let (world, grant) = world().await;
    prove(&world, &grant, "+819012345634").await;
    prove(&world, &grant, "+15551234567").await;
    let MethodChange::Done(_) = account(&world, &grant).use_email().await.unwrap() else {
        panic!("at once")
    };
    let to: Vec<bool> =
        world.told().iter().map(|(to, _)| matches!(to, Destination::Sms(_))).collect();
    assert_eq!(to, [false, false, true, false, true], "the address, and each earlier number");
    assert_eq!(held_back(&world), []);
    // What is so already is no change.
    for _ in 0..3 {
        let MethodChange::Done(_) = account(&world, &grant).use_email().await.unwrap() else {
            panic!("at once")
        };
    }
    assert_eq!(world.told().len(), 5);
    assert_eq!(held_back(&world), [NoticeTopic::MethodChanged; 3]);
    prove(&world, &grant, "+15551234567").await;
    assert_eq!(world.held_back()[5..], [3]);
    // In any day there are no more of them than codes.
    let mut changes = 0;
    for round in 0..100 {
        let number = PhoneNumber::new(&format!("+8190123456{:02}", round % 100)).unwrap();
        match account(&world, &grant).use_sms(&number).await {
            Ok(setup) => {
                let code = world.last_code().into();
                let _method =
                    account(&world, &grant).confirm_method(&setup.token, &code).await.unwrap();
                changes += 1;
            }
            Err(refused) => assert_eq!(refused.denied().unwrap().reason(), Reason::SendLimit),
        }
        world.wait_for_the_spacing();
    }
    assert!((1..=10).contains(&changes), "{changes} in an hour");
}

/// I-30: each device that is trusted is told: it takes a code that was sent.
#[tokio::test]
async fn no_trusted_device_is_held_back() {
    let (world, _) = world().await;
    for label in ["laptop", "phone", "tablet"] {
        let _done = world.sign_in_and_trust("alice", label).await;
        world.wait_for_the_spacing();
    }
    let of_devices =
        |(_, kind): &(Destination, NoticeKind)| matches!(kind, NoticeKind::DeviceTrusted { .. });
    assert_eq!(world.told().iter().filter(|told| of_devices(told)).count(), 3);
}

/// I-15, I-24: it is charged before it is sent, and a failure gives nothing back.
#[tokio::test]
async fn a_notice_that_failed_stays_charged() {
    let (world, grant) = world().await;
    world.outbox.always(None, Delivered::Failed(SendErrorKind::Transient));
    let _code = account(&world, &grant).new_backup_code().await.unwrap();
    world.outbox.always(None, Delivered::Now);
    let _code = account(&world, &grant).new_backup_code().await.unwrap();
    assert_eq!(world.told(), []);
    assert_eq!(held_back(&world), [NoticeTopic::BackupCodeMade]);
    assert!(world.events.kinds().iter().any(|kind| matches!(kind, EventKind::NoticeFailed { .. })));
}

/// Somebody who can be told nowhere uses up no notice.
#[tokio::test]
async fn without_a_place_nothing_is_charged() {
    let (world, grant) = world().await;
    world.change(&world.alice, |user| user.email = None);
    for _ in 0..2 {
        let _code = account(&world, &grant).new_backup_code().await.unwrap();
    }
    assert_eq!(world.record(&world.alice)["notices"], Value::Null);
    assert_eq!(held_back(&world), []);
}

/// I-08: a clock that was ahead keeps no notice back for longer than an hour.
#[tokio::test]
async fn a_clock_that_was_ahead_holds_no_notice_back() {
    let (world, grant) = world().await;
    let now = world.now();
    world.clock.advance(DAY.checked_sub(HOUR).unwrap());
    let _code = account(&world, &grant).new_backup_code().await.unwrap();
    world.clock.set(now);
    let _code = account(&world, &grant).new_backup_code().await.unwrap();
    assert_eq!(held_back(&world), [NoticeTopic::BackupCodeMade]);
    world.clock.advance(HOUR);
    let _code = account(&world, &grant).new_backup_code().await.unwrap();
    assert_eq!(world.held_back(), [0, 1]);
}

/// I-15: the number is bounded, and forgotten after a month, by the clock or by a sweep alike.
#[tokio::test]
async fn what_was_held_back_is_told_for_a_month() {
    for (later, sweeps, told) in [(29, false, 2), (30, false, 0), (29, true, 2), (30, true, 0)] {
        let (world, grant) = world().await;
        for _ in 0..3 {
            let _code = account(&world, &grant).new_backup_code().await.unwrap();
        }
        // What else keeps the record is used up.
        let mut record = world.record(&world.alice);
        record.as_object_mut().unwrap().remove("backup");
        world.overwrite(&world.alice, &record).await;
        world.clock.advance(DAY * later);
        if sweeps {
            let swept = world.flow.sweep(&world.acme, None, 100).await.unwrap();
            assert_eq!(swept.removed > 0, later == 30);
        }
        let grant = world.sign_in("alice").await.grant;
        let _code = account(&world, &grant).new_backup_code().await.unwrap();
        assert_eq!(world.held_back(), [0, told], "{later} days later, swept: {sweeps}");
        assert!(world.factors.load(&world.acme, &world.alice).await.unwrap().record.is_some());
    }
}
