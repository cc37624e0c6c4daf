//! Trusted devices: what stands in for a code, for how long, and everything that ends it.
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
use countersign::contact::{Destination, EmailAddress};
use countersign::grant::Staleness;
use countersign::sender::NoticeKind;
use countersign::user::{PasswordHash, UserStatus};
use countersign::{
    Channel, DeviceToken, LoginStep, PreverifiedLogin, Reason, Scope, SecondFactor, TrustDevice,
};

const LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

async fn world() -> World {
    World::with(|b| b.trusted_devices(LIFETIME, 3)).await
}

/// Registers a device for alice and lets the spacing pass.
async fn device(world: &World, label: &str) -> DeviceToken {
    let token = world.sign_in_and_trust("alice", label).await.device_token.unwrap();
    world.wait_for_the_spacing();
    token
}

async fn is_skipped(world: &World, device: &DeviceToken) -> bool {
    matches!(world.begin_with_device("alice", device).await, LoginStep::Authenticated(_))
}

fn saved_devices(world: &World) -> usize {
    world.record(&world.alice)["devices"].as_array().map_or(0, Vec::len)
}

/// I-29: nobody is offered what the application has not switched on.
#[tokio::test]
async fn the_feature_is_off_until_it_is_switched_on() {
    let world = World::new().await;
    let challenge = world.begin("alice").await;
    let code = world.last_code();
    let typed = code.as_str().into();
    let asked =
        world.request().submit_code(&challenge.token, &typed, TrustDevice::Named("laptop")).await;
    assert_eq!(reason(&asked.unwrap()), Reason::TrustedDevicesOff);
    assert_eq!(saved_devices(&world), 0);
    // The code was not looked at, and serves without the wish.
    let done = authenticated(world.submit(&challenge.token, &code).await);
    assert!(done.device_token.is_none());
}

#[tokio::test]
async fn a_trusted_device_skips_the_code_and_nothing_else() {
    let world = world().await;
    assert!(world.flow.offers_trusted_devices());
    let registered = world.sign_in_and_trust("alice", "Office laptop").await;
    assert_eq!(registered.grant.amr(), ["pwd", "otp", "mfa"]);
    let token = registered.device_token.unwrap();
    let [(_, NoticeKind::DeviceTrusted { label, .. })] = &world.told()[..] else { panic!() };
    assert_eq!(label.as_str(), "Office laptop");
    // I-21: saved as a tag.
    let saved = world.factors.record(&world.acme, &world.alice).unwrap();
    assert!(!saved.document.contains(token.expose().trim_start_matches("csd1.")));

    world.clock.advance(DAY);
    let sends = world.outbox.attempts();
    let done = authenticated(world.begin_with_device("alice", &token).await);
    let overview = world.request().account(&done.grant).status().await.unwrap();
    let [listed] = &overview.devices[..] else { panic!() };
    assert_eq!(done.grant.second_factor(), &SecondFactor::TrustedDevice { device: listed.id });
    assert_eq!(done.grant.amr(), ["pwd"], "it is no authentication of its own");
    assert_eq!(listed.label.as_str(), "Office laptop");
    assert_eq!(listed.last_used_at - listed.registered_at, DAY);
    assert_eq!(listed.expires_at - listed.registered_at, LIFETIME);
    assert_eq!(world.outbox.attempts(), sends, "no code was sent");
    assert!(world.request().revalidate(&done.grant, Channel::Web).await.is_ok());
    // I-29: it replaces only the code.
    let wrong =
        world.begin_as(&world.acme, "alice", "wrong", Channel::Web, Some(&token)).await.unwrap();
    assert_eq!(reason(&wrong), Reason::InvalidCredentials);
}

/// I-29: bound to user and tenant.
#[tokio::test]
async fn it_is_no_device_of_another_user_or_tenant() {
    let world = world().await;
    world.other_uses_it_too().await;
    let token = device(&world, "laptop").await;
    assert!(matches!(world.begin_with_device("bob", &token).await, LoginStep::CodeRequired(_)));
    assert!(matches!(
        world.begin_in_other("alice", Some(&token)).await,
        LoginStep::CodeRequired(_)
    ));
    assert!(is_skipped(&world, &token).await);
    // What is saved of it does not serve in another record either.
    let mut record = world.record(&world.bob);
    record["devices"] = world.record(&world.alice)["devices"].clone();
    world.overwrite(&world.bob, &record.to_string()).await;
    world.wait_for_the_spacing();
    assert!(matches!(world.begin_with_device("bob", &token).await, LoginStep::CodeRequired(_)));
}

/// I-02: what is no device token is ignored, whatever it looks like.
#[tokio::test]
async fn what_is_no_device_token_leads_to_a_code() {
    let world = world().await;
    let token = device(&world, "laptop").await;
    let text = token.expose();
    let pending = world.begin("alice").await.token.expose().to_owned();
    let others = [
        String::new(),
        text[..text.len() - 1].to_owned(),
        format!("{text}A"),
        text.replacen("csd1", "csp1", 1),
        pending.replacen("csp1", "csd1", 1),
        "csd1.".to_owned(),
        "\0".repeat(1 << 20),
    ];
    for other in others {
        let step = world.begin_with_device("alice", &other.into()).await;
        assert!(!matches!(step, LoginStep::Authenticated(_)));
        world.clock.advance(10 * MINUTE);
    }
}

/// I-29: an absolute end, which use does not move.
#[tokio::test]
async fn its_trust_ends_at_its_time_however_often_it_is_used() {
    let world = world().await;
    let token = world.sign_in_and_trust("alice", "laptop").await.device_token.unwrap();
    for _ in 0..29 {
        world.clock.advance(DAY);
        assert!(is_skipped(&world, &token).await);
    }
    world.clock.advance(DAY - Duration::from_millis(1));
    assert!(is_skipped(&world, &token).await);
    world.clock.advance(Duration::from_millis(1));
    assert!(!is_skipped(&world, &token).await);
    assert_eq!(saved_devices(&world), 0, "it is forgotten at the next write");
}

/// I-29: the list ends with the trust, to the millisecond.
#[tokio::test]
async fn a_device_is_listed_until_its_trust_ends() {
    // As long as it was when the device was registered, or shortened since.
    for lifetime in [30 * DAY, 10 * DAY] {
        let mut world = world().await;
        let _ = device(&world, "laptop").await;
        world.restarted(|b| b.trusted_devices(lifetime, 3));
        let operator = world.flow.operator("look").unwrap();
        let listed =
            || async { operator.status(&world.acme, &world.alice).await.unwrap().unwrap().devices };
        let [device] = &listed().await[..] else { panic!() };
        assert_eq!(device.expires_at - device.registered_at, lifetime);
        world.clock.set(device.expires_at - Duration::from_millis(1));
        assert_eq!(listed().await.len(), 1);
        world.clock.set(device.expires_at);
        assert!(listed().await.is_empty());
    }
}

/// A lifetime that the application has shortened since holds for devices that were registered
/// before, and the list says so.
#[tokio::test]
async fn a_shorter_configured_lifetime_holds_for_devices_that_were_there_before() {
    let mut world = world().await;
    let token = device(&world, "laptop").await;
    world.restarted(|b| b.trusted_devices(10 * DAY, 3));
    world.clock.advance(10 * DAY - 31 * MINUTE);
    let grant = authenticated(world.begin_with_device("alice", &token).await).grant;
    let [listed] = &world.request().account(&grant).status().await.unwrap().devices[..] else {
        panic!()
    };
    assert_eq!(listed.expires_at - listed.registered_at, 10 * DAY);
    world.clock.advance(31 * MINUTE);
    assert_eq!(
        world.request().revalidate(&grant, Channel::Web).await.unwrap_err().staleness(),
        Some(Staleness::DeviceRevoked)
    );
    assert!(!is_skipped(&world, &token).await);
    world.wait_for_the_spacing();
    let grant = world.sign_in("alice").await.grant;
    assert!(world.request().account(&grant).status().await.unwrap().devices.is_empty());
}

#[tokio::test]
async fn switching_the_feature_off_ends_the_trust_of_every_device() {
    let mut world = world().await;
    let token = device(&world, "laptop").await;
    let session = authenticated(world.begin_with_device("alice", &token).await).grant;
    world.restarted(|b| b);
    assert_eq!(
        world.request().revalidate(&session, Channel::Web).await.unwrap_err().staleness(),
        Some(Staleness::DeviceRevoked)
    );
    let LoginStep::CodeRequired(challenge) = world.begin_with_device("alice", &token).await else {
        panic!()
    };
    let grant = authenticated(world.submit(&challenge.token, &world.last_code()).await).grant;
    assert!(world.request().account(&grant).status().await.unwrap().devices.is_empty());
}

/// I-30.
#[tokio::test]
async fn a_password_change_ends_it() {
    let world = world().await;
    let token = device(&world, "laptop").await;
    let session = authenticated(world.begin_with_device("alice", &token).await).grant;
    world.change(&world.alice, |user| user.password_hash = Some(PasswordHash::new("another")));
    assert_eq!(
        world.request().revalidate(&session, Channel::Web).await.unwrap_err().staleness(),
        Some(Staleness::PasswordChanged)
    );
    let status = world
        .flow
        .operator("look")
        .unwrap()
        .status(&world.acme, &world.alice)
        .await
        .unwrap()
        .unwrap();
    assert!(status.devices.is_empty(), "it is not listed, even before the next login");
    let step =
        world.begin_as(&world.acme, "alice", "another", Channel::Web, Some(&token)).await.unwrap();
    assert!(matches!(step, LoginStep::CodeRequired(_)));
    assert_eq!(saved_devices(&world), 0);
    // Going back to the earlier password does not bring it back.
    world.change(&world.alice, |user| user.password_hash = Some(PasswordHash::new(PASSWORD)));
    assert!(!is_skipped(&world, &token).await);
}

/// I-30: the application's own word for "everything of this user ends".
#[tokio::test]
async fn another_security_stamp_ends_it() {
    let world = world().await;
    let token = device(&world, "laptop").await;
    world.change(&world.alice, |user| user.security_stamp = Some(String::new()));
    assert!(!is_skipped(&world, &token).await);
    world.wait_for_the_spacing();
    let token = device(&world, "laptop").await;
    assert!(is_skipped(&world, &token).await);
    world.change(&world.alice, |user| user.security_stamp = Some("2".into()));
    assert!(!is_skipped(&world, &token).await);
}

/// I-26, I-30.
#[tokio::test]
async fn an_administrators_reset_ends_it() {
    let world = world().await;
    let token = device(&world, "laptop").await;
    let saved = world.record(&world.alice)["devices"].clone();
    world.reset(&world.alice).await;
    assert!(!is_skipped(&world, &token).await);
    // Not even what was saved of it serves in the new record.
    let mut record = world.record(&world.alice);
    record["devices"] = saved;
    world.overwrite(&world.alice, &record.to_string()).await;
    world.wait_for_the_spacing();
    assert!(!is_skipped(&world, &token).await);
}

/// I-30.
#[tokio::test]
async fn a_change_of_method_ends_it_in_both_directions() {
    let world = world().await;
    let token = device(&world, "laptop").await;
    world.choose_sms("alice", "+819012345634").await;
    assert!(!is_skipped(&world, &token).await);
    world.wait_for_the_spacing();
    let token = device(&world, "laptop").await;
    assert!(is_skipped(&world, &token).await);
    let challenge = world.begin("alice").await;
    world.wait_for_the_spacing();
    let sent =
        world.request().resend(&challenge.token, countersign::ResendTo::Email).await.unwrap();
    assert!(matches!(sent, LoginStep::CodeRequired(_)));
    let grant = authenticated(world.submit(&challenge.token, &world.last_code()).await).grant;
    let _done = world.request().account(&grant).use_email().await.unwrap();
    assert!(!is_skipped(&world, &token).await);
}

/// I-27, I-30.
#[tokio::test]
async fn switching_the_scope_off_ends_it_and_switching_on_again_does_not_bring_it_back() {
    let world = world().await;
    let token = device(&world, "laptop").await;
    world.set_scope(Scope::DoNotUse).await;
    let done = authenticated(world.begin_with_device("alice", &token).await);
    assert!(
        matches!(done.grant.second_factor(), SecondFactor::Exempt { .. }),
        "it is not even looked at"
    );
    world.set_scope(Scope::EntireTenant).await;
    assert!(!is_skipped(&world, &token).await);
}

/// I-30: whoever was seen disabled is asked for a code after they are enabled again.
#[tokio::test]
async fn a_user_who_was_seen_disabled_has_no_trusted_device_any_more() {
    let world = world().await;
    let token = device(&world, "laptop").await;
    world.change(&world.alice, |user| user.status = UserStatus::Disabled);
    assert_eq!(reason(&world.begin_with_device("alice", &token).await), Reason::InvalidCredentials);
    assert_eq!(saved_devices(&world), 0);
    world.change(&world.alice, |user| user.status = UserStatus::Active);
    assert!(!is_skipped(&world, &token).await);
    // Seen at a later step as well.
    world.wait_for_the_spacing();
    let token = device(&world, "laptop").await;
    let challenge = world.begin("alice").await;
    world.change(&world.alice, |user| user.status = UserStatus::Disabled);
    assert_eq!(reason(&world.submit(&challenge.token, "000000").await), Reason::LoginOver);
    world.change(&world.alice, |user| user.status = UserStatus::Active);
    assert!(!is_skipped(&world, &token).await);
}

#[tokio::test]
async fn its_owner_revokes_one_or_all() {
    let world = world().await;
    let (first, second) = (device(&world, "first").await, device(&world, "second").await);
    let session = authenticated(world.begin_with_device("alice", &first).await).grant;
    let grant = world.sign_in("alice").await.grant;
    let account = world.request().account(&grant);
    let listed = account.status().await.unwrap().devices;
    assert_eq!(
        listed.iter().map(|device| device.label.as_str()).collect::<Vec<_>>(),
        ["first", "second"]
    );
    account.revoke_device(listed[0].id).await.unwrap();
    assert_eq!(refusal(account.revoke_device(listed[0].id).await), Reason::NotFound);
    assert_eq!(
        world.request().revalidate(&session, Channel::Web).await.unwrap_err().staleness(),
        Some(Staleness::DeviceRevoked)
    );
    world.wait_for_the_spacing();
    assert!(!is_skipped(&world, &first).await);
    assert!(is_skipped(&world, &second).await);
    assert_eq!(account.revoke_devices().await.unwrap(), 1);
    let before = world.calls.of("commit");
    assert_eq!(account.revoke_devices().await.unwrap(), 0);
    assert_eq!(world.calls.of("commit"), before, "nothing to write");
    assert!(!is_skipped(&world, &second).await);
}

/// I-40: the list is bounded, and the least recently used goes.
#[tokio::test]
async fn a_full_list_gives_up_the_device_that_was_not_used_for_longest() {
    let world = world().await;
    let first = device(&world, "first").await;
    let second = device(&world, "second").await;
    let third = device(&world, "third").await;
    assert!(is_skipped(&world, &first).await, "now the second is the one not used for longest");
    world.clock.advance(MINUTE);
    let fourth = device(&world, "fourth").await;
    assert_eq!(saved_devices(&world), 3);
    for (token, kept) in [(&first, true), (&second, false), (&third, true), (&fourth, true)] {
        assert_eq!(is_skipped(&world, token).await, kept);
        world.wait_for_the_spacing();
    }
}

/// I-14: the owner's own device is not hit by somebody else's guesses.
#[tokio::test]
async fn it_works_while_codes_are_locked() {
    let world = world().await;
    let token = device(&world, "laptop").await;
    let _ = world.lock_codes("alice").await;
    assert!(is_skipped(&world, &token).await);
    assert_eq!(world.saved_wrong_codes(&world.alice), 5, "and clears nothing");
}

/// I-08: a clock that went back leaves no device that was registered later than now.
#[tokio::test]
async fn a_clock_that_goes_back_ends_the_trust_of_devices_from_the_future() {
    let world = world().await;
    let earlier = device(&world, "earlier").await;
    world.clock.advance(60 * MINUTE);
    let later = device(&world, "later").await;
    let now = countersign::clock::Clock::now(&world.clock).unwrap();
    world.clock.set(now - 30 * MINUTE);
    assert!(!is_skipped(&world, &later).await);
    assert!(is_skipped(&world, &earlier).await);
    world.clock.set(now);
    assert!(!is_skipped(&world, &later).await);
}

/// I-33, I-40: a right code lets its owner in whatever the device is called; what is saved, and
/// told, is the visible part of it, cut.
#[tokio::test]
async fn no_name_of_a_device_fails_a_right_code() {
    let (japanese, megabyte) = ("花子の新しい電話".repeat(8), "x".repeat(1 << 20));
    for (typed, saved) in [
        ("Office laptop", "Office laptop"),
        (&japanese[..], &japanese[..]),
        (" a\nb\u{202E} c ", "a b c"),
        ("la\u{200B}p\u{AD}top", "laptop"),
        (&megabyte, &megabyte[..64]),
        ("", "unnamed"),
        (" \u{3164}\u{E0041}\u{FFFF}", "unnamed"),
    ] {
        let world = world().await;
        let done = world.sign_in_and_trust("alice", typed).await;
        assert!(done.device_token.is_some());
        assert_eq!(world.record(&world.alice)["devices"][0]["label"], saved);
        let notices = world.told();
        let [notice] = &notices[..] else { panic!("{notices:?}") };
        let NoticeKind::DeviceTrusted { label, .. } = &notice.1 else { panic!("{notice:?}") };
        assert_eq!((label.as_str(), label.is_unnamed()), (saved, saved == "unnamed"));
    }
}

/// I-30: only a fresh code makes a device a trusted one.
#[tokio::test]
async fn a_wrong_code_registers_nothing() {
    let world = world().await;
    let challenge = world.begin("alice").await;
    let wrong = world.wrong_code().into();
    let step =
        world.request().submit_code(&challenge.token, &wrong, TrustDevice::Named("laptop")).await;
    assert_eq!(reason(&step.unwrap()), Reason::WrongCode);
    assert_eq!(saved_devices(&world), 0);
    assert_eq!(world.told().len(), 0);
}

/// I-16, I-13: strangers who know only the name lock passwords of that name, and the owner's
/// trusted device comes in all the same. What it gets wrong is counted apart.
#[tokio::test]
async fn strangers_do_not_lock_out_a_trusted_device() {
    let world = world().await;
    let token = device(&world, "laptop").await;
    let streaks = || {
        let password = world.record(&world.alice)["password"].clone();
        ["failures", "device_failures"]
            .map(|budget| password[budget]["streak"].as_u64().unwrap_or(0))
    };
    let with = async |password: &str, device: Option<&DeviceToken>| {
        world.begin_as(&world.acme, "alice", password, Channel::Web, device).await.unwrap()
    };
    for _ in 0..10 {
        assert_eq!(reason(&with("wrong", None).await), Reason::InvalidCredentials);
    }
    assert_eq!(
        reason(&with(PASSWORD, None).await),
        Reason::InvalidCredentials,
        "passwords are locked"
    );
    assert_eq!(streaks(), [10, 0]);
    world.calls.clear();
    let _done = authenticated(with(PASSWORD, Some(&token)).await);
    assert_eq!(world.calls.all(), ["find_by_login", "verify", "find_by_id", "load", "commit"]);
    assert_eq!(streaks(), [10, 0], "the strangers' count stays");

    // The device's own budget: ten, then locked, whatever the strangers do.
    for wrong in 1..=10 {
        assert_eq!(reason(&with("wrong", Some(&token)).await), Reason::InvalidCredentials);
        assert_eq!(streaks(), [10, wrong]);
    }
    assert_eq!(reason(&with(PASSWORD, Some(&token)).await), Reason::InvalidCredentials);
    world.clock.advance(MINUTE);
    let _done = authenticated(with(PASSWORD, Some(&token)).await);
    assert_eq!(streaks(), [10, 0], "a right password clears the count that it belongs to");
    assert!(matches!(with(PASSWORD, None).await, LoginStep::CodeRequired(_)));
}

/// I-16, I-29: only the token of a device that is trusted now has a budget of its own.
#[tokio::test]
async fn a_token_that_is_not_trusted_is_counted_as_a_strangers() {
    let world = world().await;
    let bobs = world.sign_in_and_trust("bob", "laptop").await.device_token.unwrap();
    let revoked = world.sign_in_and_trust("alice", "old").await;
    world.request().account(&revoked.grant).revoke_devices().await.unwrap();
    let pending = world.begin("alice").await.token.expose().replacen("csp1", "csd1", 1);
    let tokens = [bobs, revoked.device_token.unwrap(), pending.into(), "csd1.AAAA".into()];
    for (number, token) in tokens.iter().enumerate() {
        let step =
            world.begin_as(&world.acme, "alice", "wrong", Channel::Web, Some(token)).await.unwrap();
        assert_eq!(reason(&step), Reason::InvalidCredentials);
        let password = world.record(&world.alice)["password"].clone();
        assert_eq!(password["failures"]["streak"], number + 1);
        assert!(password["device_failures"].is_null());
    }
}

/// I-11: a suspension keeps guessers out, and a device cannot be guessed.
#[tokio::test]
async fn a_suspended_user_comes_in_by_a_trusted_device() {
    let world = World::with(|b| b.trusted_devices(LIFETIME, 3).suspend_after(5)).await;
    let token = device(&world, "laptop").await;
    let _ = world.lock_codes("alice").await;
    assert_eq!(reason(&world.try_begin("alice", PASSWORD).await), Reason::Suspended);
    assert!(is_skipped(&world, &token).await);
    assert_eq!(world.saved_wrong_codes(&world.alice), 5);
}

/// I-30, attack 72: another registered address ends trusted devices and logins under way, and the
/// earlier place is notified. Another spelling of the same address ends nothing.
#[tokio::test]
async fn a_changed_address_ends_devices_and_logins_and_notifies_the_earlier_place() {
    let address = |text: &str| Some(EmailAddress::new(text).unwrap());
    let world = world().await;
    let token = device(&world, "laptop").await;
    assert_eq!(world.record(&world.alice)["address"], "alice@example.com");
    world.change(&world.alice, |user| user.email = address("Alice@Example.COM"));
    assert!(is_skipped(&world, &token).await, "another spelling");

    let by_device = authenticated(world.begin_with_device("alice", &token).await).grant;
    let by_code = world.sign_in("alice").await.grant;
    world.wait_for_the_spacing();
    let under_way = world.begin("alice").await;
    let code = world.last_code();
    world.outbox.clear();
    world.change(&world.alice, |user| user.email = address("mallory@example.net"));
    // A session that came in by the device ends with it. One that gave a code does not.
    assert!(world.request().revalidate(&by_device, Channel::Web).await.is_err());
    assert!(world.request().revalidate(&by_code, Channel::Web).await.is_ok());
    assert_eq!(reason(&world.submit(&under_way.token, &code).await), Reason::LoginOver);
    let operator = world.flow.operator("look").unwrap();
    assert!(operator.status(&world.acme, &world.alice).await.unwrap().unwrap().devices.is_empty());
    world.wait_for_the_spacing();
    assert!(matches!(world.begin_with_device("alice", &token).await, LoginStep::CodeRequired(_)));
    let [(Destination::Email(to), NoticeKind::AddressChanged)] = &world.told()[..] else {
        panic!("{:?}", world.told())
    };
    assert_eq!(to.expose(), "Alice@Example.COM");
    assert_eq!(world.record(&world.alice)["address"], "mallory@example.net");
    assert_eq!(saved_devices(&world), 0);
    // Once is enough, and the device stays dead when the change is undone.
    world.outbox.clear();
    world.wait_for_the_spacing();
    let _ = world.begin("alice").await;
    assert!(world.told().is_empty());
    world.change(&world.alice, |user| user.email = address("alice@example.com"));
    assert!(!is_skipped(&world, &token).await);
}

/// I-30: nothing would end the device of a user with neither password hash nor security stamp when
/// their password changes elsewhere. The login completes without one.
#[tokio::test]
async fn a_user_without_an_epoch_gets_no_trusted_device() {
    let world = world().await;
    for (stamp, trusted) in [(None, false), (Some("1"), true)] {
        world.change(&world.alice, |user| {
            user.password_hash = None;
            user.security_stamp = stamp.map(str::to_owned);
        });
        let login = PreverifiedLogin { user: &world.alice, channel: Channel::Web, device: None };
        let challenge = crate::support::challenge(
            world.request().begin_with_preverified_password(&login).await.unwrap(),
        );
        let code = world.last_code().into();
        let named = TrustDevice::Named("laptop");
        let done = world.request().submit_code(&challenge.token, &code, named).await.unwrap();
        assert_eq!(authenticated(done).device_token.is_some(), trusted, "{stamp:?}");
        assert_eq!(saved_devices(&world), usize::from(trusted), "{stamp:?}");
        world.wait_for_the_spacing();
    }
}

/// A browser that registers again takes its own earlier place, and what is dropped at the cap is
/// said.
#[tokio::test]
async fn the_same_browser_replaces_its_own_entry_and_a_drop_is_said() {
    let world = world().await;
    let first = device(&world, "laptop").await;
    let again = async |name: &str, token: &DeviceToken| {
        let challenge = world.begin("alice").await;
        let code = world.last_code().into();
        let trust = TrustDevice::Again { name, token };
        let done = world.request().submit_code(&challenge.token, &code, trust).await.unwrap();
        world.wait_for_the_spacing();
        authenticated(done).device_token.unwrap()
    };
    let second = again("laptop", &first).await;
    assert_eq!(saved_devices(&world), 1);
    assert!(!is_skipped(&world, &first).await, "the earlier token is dead");
    world.wait_for_the_spacing();
    assert!(is_skipped(&world, &second).await);
    // A token of somebody else replaces nothing.
    let bobs = world.sign_in_and_trust("bob", "phone").await.device_token.unwrap();
    let _third = again("phone", &bobs).await;
    let _fourth = device(&world, "tablet").await;
    assert_eq!(saved_devices(&world), 3);
    world.outbox.clear();
    world.clock.advance(MINUTE);
    assert!(is_skipped(&world, &second).await);
    let _fifth = device(&world, "television").await;
    assert_eq!(saved_devices(&world), 3);
    let [(_, NoticeKind::DeviceTrusted { dropped: Some(dropped), .. })] = &world.told()[..] else {
        panic!("{:?}", world.told())
    };
    assert_eq!(dropped.as_str(), "phone", "the one that was not used for longest");
    assert!(is_skipped(&world, &second).await);
}
