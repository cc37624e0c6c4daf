//! Whether a session's grant still holds: every way to lose it, and what does not end it.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::time::Duration;

use crate::support::faults::{FaultPoint, When, faulty_flow};
use crate::support::*;
use countersign::grant::Staleness;
use countersign::policy::StandardPolicy;
use countersign::user::{PasswordHash, UserStatus};
use countersign::{
    Authenticated, Channel, Error, RequestContext, RevalidateError, SavedGrant, Scope,
};

/// What a grant is worth now; asking costs one look-up and one load, and changes nothing.
async fn standing(world: &World, grant: &SavedGrant) -> Option<Staleness> {
    let before = (world.row(&world.alice), world.factors.records(&world.acme));
    world.calls.clear();
    let validity = world
        .flow
        .request(grant.tenant(), &RequestContext::new())
        .revalidate(grant, grant.channel())
        .await;
    // Before it says that the password was changed, it reads both again.
    let twice =
        matches!(&validity, Err(error) if error.staleness() == Some(Staleness::PasswordChanged));
    let calls = world.calls.take_sorted();
    assert!(
        calls == ["find_by_id", "load"]
            || twice && calls == ["find_by_id", "find_by_id", "load", "load"],
        "{calls:?}"
    );
    assert_eq!((world.row(&world.alice), world.factors.records(&world.acme)), before);
    match validity {
        Ok(again) => {
            assert_eq!(*again, *grant);
            None
        }
        Err(error) => Some(error.staleness().unwrap()),
    }
}

async fn with_devices() -> World {
    World::with(|builder| builder.trusted_devices(30 * DAY, 3)).await
}

/// A session that came in with a trusted device, and the login that registered it.
async fn trusted(world: &World) -> (SavedGrant, Authenticated) {
    let registered = world.sign_in_and_trust("alice", "laptop").await;
    world.wait_for_the_spacing();
    let by_device =
        world.begin_with_device("alice", registered.device_token.as_ref().unwrap()).await;
    (authenticated(by_device).grant.into_saved(), registered)
}

#[tokio::test]
async fn a_user_who_is_disabled_or_gone_has_no_session() {
    let world = World::new().await;
    let grant = world.sign_in("alice").await.grant;
    assert_eq!(standing(&world, &grant).await, None);
    world.change(&world.alice, |user| user.status = UserStatus::Disabled);
    assert_eq!(standing(&world, &grant).await, Some(Staleness::UserInactive));
    world.change(&world.alice, |user| user.status = UserStatus::Active);
    assert_eq!(standing(&world, &grant).await, None);
    world.users.remove(&world.acme, &world.alice);
    assert_eq!(standing(&world, &grant).await, Some(Staleness::UserInactive));
}

/// I-25: sessions of an earlier password end, whatever let them in.
#[tokio::test]
async fn a_changed_password_or_stamp_ends_every_session() {
    let changes: [fn(&mut countersign::user::User); 3] = [
        |user| user.password_hash = Some(PasswordHash::new("another")),
        |user| user.password_hash = None,
        |user| user.security_stamp = Some(String::new()),
    ];
    for change in changes {
        let world = with_devices().await;
        let (by_device, by_code) = trusted(&world).await;
        let api =
            world.begin_as(&world.acme, "alice", PASSWORD, Channel::ExemptApi, None).await.unwrap();
        let by_api = authenticated(api).grant;
        world.change(&world.alice, change);
        for grant in [&by_device, &by_code.grant, &by_api] {
            assert_eq!(standing(&world, grant).await, Some(Staleness::PasswordChanged));
        }
    }
}

/// I-26, I-27: after a reset, and after off and on, everybody begins anew.
#[tokio::test]
async fn a_reset_and_switching_off_and_on_end_sessions_with_a_second_factor() {
    let world = with_devices().await;
    let (by_device, by_code) = trusted(&world).await;
    world.reset_by_operator(&world.alice).await;
    for grant in [&by_device, &by_code.grant] {
        assert_eq!(standing(&world, grant).await, Some(Staleness::Reset));
    }
    let anew = world.sign_in("alice").await.grant;
    assert_eq!(standing(&world, &anew).await, None);
    assert_eq!(
        standing(&world, &by_code.grant).await,
        Some(Staleness::Reset),
        "another record is no way back"
    );

    world.set_scope(Scope::DoNotUse).await;
    assert_eq!(
        standing(&world, &anew).await,
        None,
        "where none is needed, the one it had does no harm"
    );
    assert_eq!(standing(&world, &by_device).await, None);
    world.set_scope(Scope::EntireTenant).await;
    assert_eq!(standing(&world, &anew).await, Some(Staleness::Reset));
}

/// I-28: whoever came in without a second factor goes when one is required of them.
#[tokio::test]
async fn a_session_without_a_second_factor_ends_when_one_is_required() {
    let world = World::off();
    let plain = authenticated(world.try_begin("alice", PASSWORD).await).grant;
    let api =
        world.begin_as(&world.acme, "alice", PASSWORD, Channel::ExemptApi, None).await.unwrap();
    let api = authenticated(api).grant;
    world.set_scope(Scope::SystemAdministratorsOnly).await;
    assert_eq!(standing(&world, &plain).await, None);
    world.change(&world.alice, |user| user.system_administrator = true);
    assert_eq!(standing(&world, &plain).await, Some(Staleness::SecondFactorRequired));
    world.change(&world.alice, |user| user.system_administrator = false);
    world.wait_for_the_spacing();
    world.set_scope(Scope::EntireTenant).await;
    assert_eq!(standing(&world, &plain).await, Some(Staleness::SecondFactorRequired));
    assert_eq!(
        standing(&world, &api).await,
        None,
        "a program's session stays exempt by its channel"
    );
    // A record that the user gets meanwhile makes no second factor of what had none.
    let _ = world.sign_in("alice").await;
    assert_eq!(standing(&world, &plain).await, Some(Staleness::SecondFactorRequired));
    world.wait_for_the_spacing();
    world.set_scope(Scope::DoNotUse).await;
    assert_eq!(standing(&world, &plain).await, None);
}

/// I-30: a session lasts no longer than the trust in the device that it came in with.
#[tokio::test]
async fn a_session_of_a_trusted_device_ends_with_the_device() {
    let world = with_devices().await;
    let (by_device, by_code) = trusted(&world).await;
    let devices = world.request().account(&by_code.grant).status().await.unwrap().devices;
    world.request().account(&by_code.grant).revoke_device(devices[0].id).await.unwrap();
    assert_eq!(standing(&world, &by_device).await, Some(Staleness::DeviceRevoked));
    assert_eq!(
        standing(&world, &by_code.grant).await,
        None,
        "the login that registered it had a code of its own"
    );

    let world = with_devices().await;
    let (by_device, by_code) = trusted(&world).await;
    assert_eq!(world.request().account(&by_code.grant).revoke_devices().await.unwrap(), 1);
    assert_eq!(standing(&world, &by_device).await, Some(Staleness::DeviceRevoked));

    let world = with_devices().await;
    let (by_device, _) = trusted(&world).await;
    world.choose_sms("alice", "+15551234567").await;
    assert_eq!(
        standing(&world, &by_device).await,
        Some(Staleness::DeviceRevoked),
        "another method, no devices"
    );

    let world = with_devices().await;
    let registered = world.now();
    let (by_device, _) = trusted(&world).await;
    world.clock.set(registered + 30 * DAY - Duration::from_millis(1));
    assert_eq!(standing(&world, &by_device).await, None);
    world.clock.set(registered + 30 * DAY);
    assert_eq!(
        standing(&world, &by_device).await,
        Some(Staleness::DeviceRevoked),
        "its trust has run out"
    );
}

/// I-08: a grant from the future is none; a few seconds are the difference between two clocks.
#[tokio::test]
async fn a_grant_from_the_future_does_not_hold() {
    for (record, channel) in [(true, Channel::Web), (false, Channel::ExemptApi)] {
        let world = World::new().await;
        let grant = if record {
            world.sign_in("alice").await.grant
        } else {
            authenticated(
                world.begin_as(&world.acme, "alice", PASSWORD, channel, None).await.unwrap(),
            )
            .grant
        };
        let made = world.now();
        world.clock.set(made - Duration::from_secs(30));
        assert_eq!(standing(&world, &grant).await, None);
        world.clock.set(made - Duration::from_millis(30_001));
        assert_eq!(standing(&world, &grant).await, Some(Staleness::ClockMoved));
        world.clock.set(made);
        assert_eq!(standing(&world, &grant).await, None);
    }
}

/// What belongs to other logins, or to other secrets, does not end a session.
#[tokio::test]
async fn a_session_outlives_what_does_not_concern_it() {
    let world = with_devices().await;
    let grant = world.sign_in_and_trust("alice", "laptop").await.grant.into_saved();
    let _ = world.request().account(&grant).new_backup_code().await.unwrap();
    world.wait_for_the_spacing();
    let challenge = world.begin("alice").await;
    world.fail_codes(&challenge.token, 5).await.denied().unwrap();
    for _ in 0..10 {
        let _ = world.try_begin("alice", "wrong").await;
    }
    world.change(&world.alice, |user| {
        user.email = person(&world.acme, "bob").email;
        user.roles = vec!["auditor".into()];
    });
    assert_eq!(standing(&world, &grant).await, None);
    world.clock.advance(29 * DAY);
    assert_eq!(
        standing(&world, &grant).await,
        None,
        "how long a session lasts is the application's to say"
    );
}

/// The same password under a better hash is no change; see `rehash.rs` for what else survives one.
#[tokio::test]
async fn a_session_outlives_a_rehash() {
    for scope in [Scope::DoNotUse, Scope::EntireTenant] {
        let world = World::off();
        if scope != Scope::DoNotUse {
            world.set_scope(scope).await;
        }
        let outdated = PlainPasswords::outdated(PASSWORD);
        world.change(&world.alice, |user| user.password_hash = Some(outdated));
        let api =
            world.begin_as(&world.acme, "bob", PASSWORD, Channel::ExemptApi, None).await.unwrap();
        let unrelated = authenticated(api).grant;
        let rehashing = world.sign_in("alice").await.grant;
        world.wait_for_the_spacing();
        assert_eq!(world.calls.of("replace_password_hash"), 1);
        assert_eq!(standing(&world, &rehashing).await, None);
        let later = world.sign_in("alice").await.grant;
        assert_eq!(standing(&world, &rehashing).await, None);
        assert_eq!(standing(&world, &later).await, None);
        assert_eq!(standing(&world, &unrelated).await, None);
    }
}

/// A grant survives the session store, and one that was altered there is no other user's.
#[tokio::test]
async fn a_saved_grant_reads_back_and_can_not_be_turned_into_anothers() {
    let world = with_devices().await;
    world.set_other_scope(Scope::EntireTenant).await;
    let (by_device, by_code) = trusted(&world).await;
    let _ = world.sign_in("bob").await;
    for grant in [&by_device, &*by_code.grant] {
        let text = serde_json::to_string(grant).unwrap();
        let back: SavedGrant = serde_json::from_str(&text).unwrap();
        assert_eq!(&back, grant);
        assert_eq!(standing(&world, &back).await, None);
        for (member, value) in
            [("user", "bob"), ("tenant", "other"), ("epoch", "AAAAAAAAAAAAAAAAAAAAAA")]
        {
            let mut altered: serde_json::Value = serde_json::from_str(&text).unwrap();
            altered[member] = value.into();
            let altered: SavedGrant = serde_json::from_value(altered).unwrap();
            assert_eq!(
                standing(&world, &altered).await,
                Some(Staleness::PasswordChanged),
                "{member}"
            );
        }
        let mut unbound: serde_json::Value = serde_json::from_str(&text).unwrap();
        unbound.as_object_mut().unwrap().remove("record");
        let unbound: SavedGrant = serde_json::from_value(unbound).unwrap();
        assert_eq!(standing(&world, &unbound).await, Some(Staleness::Reset));
    }
}

/// What a host writes in front of each page of a session, with as little as it can.
async fn page(world: &World, session: &SavedGrant) -> Result<&'static str, RevalidateError> {
    let _grant = world.request().revalidate(session, Channel::Web).await?;
    Ok("the page")
}

/// I-25: a guard that looks at nothing but `?` keeps out every session that does not hold.
#[tokio::test]
async fn a_guard_that_only_asks_keeps_stale_sessions_out() {
    let world = World::new().await;
    let session = world.sign_in("alice").await.grant.into_saved();
    assert_eq!(page(&world, &session).await.unwrap(), "the page");
    world.change(&world.alice, |user| user.status = UserStatus::Disabled);
    let refused = page(&world, &session).await.unwrap_err();
    assert_eq!(refused.staleness(), Some(Staleness::UserInactive));
    assert_eq!(refused.to_string(), "session is stale: user_inactive");
    world.change(&world.alice, |user| user.status = UserStatus::Active);
    assert!(page(&world, &session).await.is_ok(), "what ended nothing but the user's account");
}

/// A fault is no staleness: the session is kept, the request is refused, and the cause is there.
#[tokio::test]
async fn a_fault_while_asking_refuses_the_request_and_says_that_it_is_none_of_the_sessions() {
    let world = World::new().await;
    let session = world.sign_in("alice").await.grant.into_saved();
    let point = FaultPoint::default();
    let flow = faulty_flow(&world, &point, StandardPolicy, |builder| builder);
    for call in 1..=2 {
        point.arm(call, When::Before);
        let refused = flow
            .request(&world.acme, &RequestContext::new())
            .revalidate(&session, Channel::Web)
            .await
            .unwrap_err();
        assert_eq!(refused.staleness(), None);
        let RevalidateError::Failed(Error::FactorStore { .. } | Error::UserStore { .. }) = &refused
        else {
            panic!("{refused:?}")
        };
        assert!(std::error::Error::source(&refused).is_some());
    }
    assert!(page(&world, &session).await.is_ok());
}

#[test]
fn the_code_of_a_staleness_is_its_serialised_form() {
    for staleness in [
        Staleness::OtherTenant,
        Staleness::UserInactive,
        Staleness::PasswordChanged,
        Staleness::Reset,
        Staleness::SecondFactorRequired,
        Staleness::DeviceRevoked,
        Staleness::ClockMoved,
    ] {
        assert_eq!(serde_json::to_value(staleness).unwrap(), staleness.code());
        assert_eq!(staleness.to_string(), staleness.code());
    }
}

/// I-35, attack 70: the channel is the request's. A session of a program that needed no second
/// factor is no session of a person at a browser.
#[tokio::test]
async fn a_programs_session_does_not_hold_on_the_web() {
    let world = World::new().await;
    for exempt in [Channel::ExemptApi, Channel::ExemptIntegration, Channel::SingleSignOn] {
        let step = world.begin_as(&world.acme, "alice", PASSWORD, exempt, None).await.unwrap();
        let grant = authenticated(step).grant;
        assert!(world.request().revalidate(&grant, exempt).await.is_ok(), "{exempt:?}");
        for interactive in [Channel::Web, Channel::Mobile] {
            let standing = world.request().revalidate(&grant, interactive).await;
            let Err(RevalidateError::Stale(Staleness::SecondFactorRequired)) = standing else {
                panic!("{exempt:?} on {interactive:?}: {standing:?}")
            };
        }
        let refused = world.request().account(&grant).status().await;
        // After single sign-on it is a person, who needs no second factor there.
        let expected = if exempt == Channel::SingleSignOn {
            countersign::Reason::NotInUse
        } else {
            countersign::Reason::SessionStale
        };
        assert_eq!(refusal(refused), expected);
    }
    // A login with a code holds on every channel.
    let grant = world.sign_in("alice").await.grant;
    for channel in [Channel::Web, Channel::Mobile, Channel::ExemptApi] {
        assert!(world.request().revalidate(&grant, channel).await.is_ok(), "{channel:?}");
    }
}

/// A session ends with the lifetime that was set for sessions, to the millisecond.
#[tokio::test]
async fn a_session_ends_with_its_lifetime() {
    let world = World::with(|b| b.session_lifetime(DAY)).await;
    let grant = world.sign_in("alice").await.grant;
    world.clock.advance(Duration::from_millis(86_399_999));
    assert!(world.request().revalidate(&grant, Channel::Web).await.is_ok());
    world.clock.advance(Duration::from_millis(1));
    let ended = world.request().revalidate(&grant, Channel::Web).await;
    assert!(matches!(ended, Err(RevalidateError::Stale(Staleness::Expired))), "{ended:?}");
    let refused = world.request().account(&grant).status().await;
    assert_eq!(refusal(refused), countersign::Reason::SessionStale);
}

/// I-08: nodes whose clocks are apart by no more than the tolerance agree about a session.
#[tokio::test]
async fn clocks_of_nodes_may_be_apart_by_the_tolerance() {
    for (tolerance, holds, ends) in [(None, 30, 31), (Some(0), 0, 1), (Some(60), 60, 61)] {
        let world = World::with(|b| match tolerance {
            Some(seconds) => b.clock_tolerance(Duration::from_secs(seconds)),
            None => b,
        })
        .await;
        let grant = world.sign_in("alice").await.grant;
        let now = world.now();
        for (behind, expected) in [(holds, true), (ends, false)] {
            world.clock.set(now - Duration::from_secs(behind));
            let standing = world.request().revalidate(&grant, Channel::Web).await;
            assert_eq!(
                standing.is_ok(),
                expected,
                "{behind} s behind under {tolerance:?}: {standing:?}"
            );
        }
    }
}
