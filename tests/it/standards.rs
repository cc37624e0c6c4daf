//! What docs/standards.md answers and no other test shows.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::sync::Arc;

use crate::support::*;
use countersign::contact::{Destination, PhoneNumber};
use countersign::password::Argon2id;
use countersign::sender::NoticeKind;
use countersign::user::PasswordHash;
use countersign::{LoginStep, Method, Reason, ResendTo};
use futures_lite::future::block_on;
use proptest::prelude::*;

/// NIST SP 800-63B-4, 3.1.1.2-2; ASVS 6.2.9.
#[tokio::test]
async fn a_password_of_64_characters_of_four_bytes_works() {
    let verifier =
        Arc::new(Argon2id::builder().memory_kib(12 * 1024).iterations(3).build().unwrap());
    let password = "🐎🔋📎✈".repeat(16);
    assert_eq!(password.chars().count(), 64);
    let hash = verifier.hash(&password.as_str().into()).await.unwrap();
    let world = World::off_with(|b| b.password_verifier(verifier));
    world.change(&world.alice, |user| user.password_hash = Some(hash));
    let _ = authenticated(world.try_begin("alice", &password).await);
    let shorter: String = password.chars().take(63).collect();
    assert_eq!(reason(&world.try_begin("alice", &shorter).await), Reason::InvalidCredentials);
}

/// NIST SP 800-63B-4, 3.1.1.2-9: nothing is cut, folded or skipped.
#[tokio::test]
async fn a_change_of_any_byte_is_another_password() {
    let verifier =
        Arc::new(Argon2id::builder().memory_kib(12 * 1024).iterations(3).build().unwrap());
    let password = "The quick brown fox jumps over 13 lazy dogs, twice: once back..!";
    let hash = verifier.hash(&password.into()).await.unwrap();
    let world = World::off_with(|b| b.password_verifier(verifier).wrong_passwords(100));
    world.change(&world.alice, |user| user.password_hash = Some(hash));
    for at in 0..password.len() {
        let mut other = password.to_owned().into_bytes();
        other[at] ^= 0x20;
        let other = String::from_utf8(other).unwrap();
        assert_eq!(
            reason(&world.try_begin("alice", &other).await),
            Reason::InvalidCredentials,
            "{other}"
        );
    }
    let _ = authenticated(world.try_begin("alice", password).await);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// NIST SP 800-63B-4, 3.1.1.2-5; ASVS 6.2.5.
    #[test]
    fn no_rule_of_composition_refuses_a_password(password in "(?s).{1,80}") {
        let step = block_on(async {
            let world = World::off();
            world.change(&world.alice, |user| user.password_hash = Some(PasswordHash::new(password.as_str())));
            world.try_begin("alice", &password).await
        });
        prop_assert!(matches!(step, LoginStep::Authenticated(_)));
    }
}

/// I-11, NIST SP 800-63B-4, 3.2.2: a hundred wrong codes in a row, and then neither the right one
/// nor ten years help.
#[tokio::test]
async fn after_a_hundred_wrong_codes_ten_years_do_not_help() {
    let world =
        World::with(|b| b.suspend_after(100).rolling_wrong_code_limit(71).refills_per_month(0))
            .await;
    let mut wrong = 0;
    while wrong < 100 {
        world.clock.advance(DAY);
        let LoginStep::CodeRequired(challenge) = world.try_begin("alice", PASSWORD).await else {
            continue;
        };
        for _ in 0..5 {
            let step = world.submit(&challenge.token, &world.wrong_code()).await;
            wrong += u64::from(reason(&step) == Reason::WrongCode);
            assert_eq!(world.saved_wrong_codes(&world.alice), wrong);
        }
        if wrong == 95 {
            // A login that holds the right code when the last of the hundred is entered.
            world.clock.advance(2 * DAY);
            let pending = world.begin("alice").await;
            let right = world.last_code();
            world.wait_for_the_spacing();
            let other = world.begin("alice").await;
            for _ in 0..5 {
                let _ = world.submit(&other.token, &world.wrong_code()).await;
                wrong += 1;
            }
            assert_eq!(reason(&world.submit(&pending.token, &right).await), Reason::Suspended);
            let again = world.request().resend(&pending.token, ResendTo::Same).await.unwrap();
            assert_eq!(reason(&again), Reason::Suspended);
        }
    }
    world.clock.advance(3_652 * DAY);
    assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::Suspended);
    assert_eq!(world.saved_wrong_codes(&world.alice), 100);
}

/// NIST SP 800-63B-4, 4.1: by a channel that does not depend on what was added.
#[tokio::test]
async fn a_change_of_number_is_told_at_the_earlier_places() {
    let world = World::new().await;
    world.choose_sms("alice", "+819012345634").await;
    world.outbox.clear();
    world.choose_sms("alice", "+819087654321").await;
    let told: Vec<(Destination, NoticeKind)> = world.told();
    let earlier = Destination::Sms(PhoneNumber::new("+819012345634").unwrap());
    let registered = person(&world.acme, "alice").email.map(Destination::Email).unwrap();
    let change = NoticeKind::MethodChanged { to: Method::Sms };
    assert_eq!(told, [(registered, change.clone()), (earlier, change)]);
}
