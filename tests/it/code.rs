//! One code: how long it lives, what it is bound to, how it may be typed, and that it works once.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::time::Duration;

use crate::support::*;
use countersign::contact::{EmailAddress, PhoneNumber};
use countersign::input::{Field, Problem};
use countersign::sender::Purpose;
use countersign::{Code, DeviceToken, LoginStep, Reason, Scope, SetupToken, TrustDevice};

const MILLISECOND: Duration = Duration::from_millis(1);

/// I-07: `issued <= now < issued + ttl`, for the least, the default and the longest time to live.
#[tokio::test]
async fn a_code_lives_until_its_time_and_not_a_millisecond_longer() {
    for seconds in [30, 180, 600] {
        let ttl = Duration::from_secs(seconds);
        let world = World::with(|builder| builder.code_ttl(ttl).login_ttl(20 * MINUTE)).await;
        let challenge = world.begin("alice").await;
        assert_eq!(challenge.delivery.sent().unwrap().expires_at, world.now() + ttl);
        let code = world.last_code();
        world.clock.advance(ttl);
        assert_eq!(reason(&world.submit(&challenge.token, &code).await), Reason::NoLiveCode);
        // That it has expired is noted once (I-08); after that nothing changes.
        let before = world.row(&world.alice);
        assert_eq!(reason(&world.submit(&challenge.token, &code).await), Reason::NoLiveCode);
        assert_eq!(world.saved_wrong_codes(&world.alice), 0);
        assert_eq!(
            reason(&world.submit(&challenge.token, &world.wrong_code()).await),
            Reason::NoLiveCode
        );
        assert_eq!(world.row(&world.alice), before, "what is not compared is not counted");

        let challenge = world.begin("alice").await;
        world.clock.set(world.now() + ttl - MILLISECOND);
        let _ = authenticated(world.submit(&challenge.token, &world.last_code()).await);
    }
}

/// I-05: a code and its token succeed once.
#[tokio::test]
async fn a_code_works_once() {
    let world = World::new().await;
    let challenge = world.begin("alice").await;
    let code = world.last_code();
    let _ = authenticated(world.submit(&challenge.token, &code).await);
    assert_eq!(reason(&world.submit(&challenge.token, &code).await), Reason::LoginOver);
    // Nor does it serve the next login, whether that one has a code of its own or waits for the
    // spacing.
    let next = world.begin("alice").await;
    assert_eq!(reason(&world.submit(&next.token, &code).await), Reason::WrongCode);
    assert_eq!(world.saved_wrong_codes(&world.alice), 1);
    let waiting = world.begin("alice").await;
    assert_eq!(reason(&world.submit(&waiting.token, &code).await), Reason::NoLiveCode);
}

/// I-06, attack 8: the newest code of a login is the only one.
#[tokio::test]
async fn the_code_before_a_resend_is_a_wrong_code() {
    let world = World::new().await;
    let challenge = world.begin("alice").await;
    let first = world.last_code();
    world.wait_for_the_spacing();
    let again = crate::support::challenge(
        world.request().resend(&challenge.token, countersign::ResendTo::Same).await.unwrap(),
    );
    let second = world.last_code();
    assert_ne!(
        challenge.delivery.sent().unwrap().reference,
        again.delivery.sent().unwrap().reference
    );
    assert_eq!(reason(&world.submit(&challenge.token, &first).await), Reason::WrongCode);
    assert_eq!(world.saved_wrong_codes(&world.alice), 1);
    let _ = authenticated(world.submit(&again.token, &second).await);
}

/// I-06: a login in a second window leaves the first its code, in whichever order they end.
#[tokio::test]
async fn a_second_window_keeps_its_own_code() {
    for first_ends_first in [true, false] {
        let world = World::new().await;
        let mut windows = Vec::new();
        for _ in 0..2 {
            let challenge = world.begin("alice").await;
            windows.push((challenge.token, world.last_code()));
            world.wait_for_the_spacing();
        }
        assert_eq!(reason(&world.submit(&windows[0].0, &windows[1].1).await), Reason::WrongCode);
        if !first_ends_first {
            windows.reverse();
        }
        for (token, code) in &windows {
            let _ = authenticated(world.submit(token, code).await);
        }
    }
}

/// I-03, attacks 7 and 10: of all codes that are live at once, each fits its own login and nothing
/// else.
#[tokio::test]
async fn a_code_of_another_login_user_tenant_or_purpose_fits_nowhere() {
    let long = 10 * MINUTE;
    let world =
        World::with(|builder| builder.max_wrong_codes(20).code_ttl(long).login_ttl(2 * long)).await;
    world.set_other_scope(Scope::EntireTenant).await;
    let grant = world.sign_in("alice").await.grant;
    world.wait_for_the_spacing();
    let setup = world
        .request()
        .account(&grant)
        .use_sms(&PhoneNumber::new("+15551234567").unwrap())
        .await
        .unwrap();
    let setup_code = world.outbox.last_code().unwrap();
    assert_eq!(setup_code.purpose, Purpose::MethodSetup);
    world.wait_for_the_spacing();

    let mut logins = Vec::new();
    for (tenant, name) in [
        (&world.acme, "alice"),
        (&world.acme, "alice"),
        (&world.acme, "bob"),
        (&world.other, "alice"),
    ] {
        let token = world.begin_in(tenant, name).await.token;
        let sent = world.outbox.last_code().unwrap();
        assert_eq!((sent.purpose, &sent.tenant), (Purpose::Login, tenant));
        logins.push((tenant, token, sent.code));
        world.wait_for_the_spacing();
    }
    for (i, (tenant, token, _)) in logins.iter().enumerate() {
        let others =
            logins.iter().enumerate().filter(|(j, _)| i != *j).map(|(_, (_, _, code))| code);
        for code in others.chain([&setup_code.code]) {
            let step = world
                .request_for(tenant)
                .submit_code(token, &Code::new(code), TrustDevice::No)
                .await
                .unwrap();
            assert_eq!(reason(&step), Reason::WrongCode);
        }
    }
    for (_, _, code) in &logins {
        let refused = world
            .request()
            .account(&grant)
            .confirm_method(&setup.token, &Code::new(code))
            .await
            .unwrap_err();
        assert_eq!(refused.denied().unwrap().reason(), Reason::WrongCode);
    }
    // A token is of its own tenant, and nothing is counted where it is not.
    let bystander = world.factors.record(&world.other, &world.alice);
    for (_, token, code) in &logins[..2] {
        let step = world
            .request_for(&world.other)
            .submit_code(token, &Code::new(code), TrustDevice::No)
            .await
            .unwrap();
        assert_eq!(reason(&step), Reason::LoginOver);
    }
    assert_eq!(world.factors.record(&world.other, &world.alice), bystander);
    // Each still works where it belongs.
    for (tenant, token, code) in &logins {
        let step = world
            .request_for(tenant)
            .submit_code(token, &Code::new(code), TrustDevice::No)
            .await
            .unwrap();
        assert!(matches!(step, LoginStep::Authenticated(_)));
    }
}

/// I-03: a code is bound to the record and the login it was made for, even if somebody moves it
/// inside the database.
#[tokio::test]
async fn a_code_moved_to_another_record_or_login_is_wrong() {
    let world = World::new().await;
    let _ = world.begin("bob").await;
    let challenge = world.begin("alice").await;
    let code = world.last_code();
    let genuine = world.record(&world.alice);
    let of_bob = world.record(&world.bob);
    let mut other_record = genuine.clone();
    other_record["id"] = of_bob["id"].clone();
    let mut other_login = genuine.clone();
    other_login["pending"][0]["login"] = of_bob["pending"][0]["login"].clone();
    let mut other_code = genuine.clone();
    other_code["pending"][0]["code"] = of_bob["pending"][0]["code"].clone();
    for moved in [other_record, other_login, other_code] {
        world.overwrite(&world.alice, &moved).await;
        assert_eq!(reason(&world.submit(&challenge.token, &code).await), Reason::WrongCode);
    }
    world.overwrite(&world.alice, &genuine).await;
    let _ = authenticated(world.submit(&challenge.token, &code).await);
}

/// I-03, I-04: a record that is moved to the same user id of another tenant takes no login with it.
#[tokio::test]
async fn a_record_moved_to_another_tenant_holds_no_login() {
    let world = World::new().await;
    world.set_other_scope(Scope::EntireTenant).await;
    let _ = world.begin_in(&world.other, "alice").await;
    let challenge = world.begin("alice").await;
    let code = Code::new(world.last_code());
    world.overwrite_in(&world.other, &world.alice, &world.record(&world.alice)).await;
    let moved = world.factors.record(&world.other, &world.alice);
    let step = world
        .request_for(&world.other)
        .submit_code(&challenge.token, &code, TrustDevice::No)
        .await
        .unwrap();
    assert_eq!(reason(&step), Reason::LoginOver);
    assert_eq!(
        world.factors.record(&world.other, &world.alice),
        moved,
        "the token does not even find it"
    );
    let _ = authenticated(world.submit(&challenge.token, code.expose()).await);
}

/// I-03, I-30, I-33: the code that went to the earlier address does not complete a login after the
/// address has changed: the login is over.
#[tokio::test]
async fn a_code_is_dead_once_the_address_it_went_to_is_not_the_users() {
    let world = World::new().await;
    let challenge = world.begin("alice").await;
    let code = world.last_code();
    world.change(&world.alice, |user| {
        user.email = Some(EmailAddress::new("alice@elsewhere.example").unwrap());
    });
    assert_eq!(reason(&world.submit(&challenge.token, &code).await), Reason::LoginOver);
    assert_eq!(world.saved_wrong_codes(&world.alice), 0);
    world.change(&world.alice, |user| {
        user.email = Some(EmailAddress::new("alice@example.com").unwrap());
    });
    assert_eq!(reason(&world.submit(&challenge.token, &code).await), Reason::LoginOver);
}

/// I-20: what people type for six digits is understood.
#[tokio::test]
async fn a_code_may_be_typed_as_people_type_it() {
    type Typed = fn(&str) -> String;
    let forms: [Typed; 6] = [
        |code| format!(" {} {} ", &code[..3], &code[3..]),
        |code| format!("{}-{}", &code[..3], &code[3..]),
        |code| code.chars().flat_map(|c| [c, ' ']).collect(),
        |code| {
            code.chars().map(|c| char::from_u32(u32::from(c) - 0x30 + 0xFF10).unwrap()).collect()
        },
        |code| format!("{}\u{3000}{}", &code[..3], &code[3..]),
        |code| format!("{}\u{2013}{}", &code[..2], &code[2..]),
    ];
    let world = World::new().await;
    for form in forms {
        let challenge = world.begin("alice").await;
        let _ = authenticated(world.submit(&challenge.token, &form(&world.last_code())).await);
        world.wait_for_the_spacing();
    }
}

/// I-20, attack 45: what can't be a code costs nothing: no guess, no store, no user look-up.
#[tokio::test]
async fn what_can_not_be_a_code_is_refused_before_anything_is_read() {
    let world = World::new().await;
    let challenge = world.begin("alice").await;
    let code = world.last_code();
    let before = world.row(&world.alice);
    let arabic: String =
        code.chars().map(|c| char::from_u32(u32::from(c) - 0x30 + 0x0660).unwrap()).collect();
    let mathematical: String =
        code.chars().map(|c| char::from_u32(u32::from(c) - 0x30 + 0x1D7CE).unwrap()).collect();
    let (megabyte, padded) = ("1".repeat(1 << 20), format!("{code}{}", " ".repeat(600)));
    let odd = [
        "",
        " ",
        "---",
        &code[..5],
        &format!("{code}0"),
        &format!("0{code}"),
        &format!("{code}\0"),
        &format!("+{}", &code[1..]),
        &format!("{}.", &code[..5]),
        "0x1234",
        "12e456",
        &arabic,
        &mathematical,
        &format!("{}²", &code[..5]),
        &megabyte,
        &padded,
        "' OR 1=1",
    ];
    for typed in odd {
        world.calls.clear();
        world.events.clear();
        let step = world.submit(&challenge.token, typed).await;
        let Reason::InvalidInput(input) = reason(&step) else { panic!("{step:?}") };
        assert_eq!(input.field(), Field::Code);
        let expected = match typed.len() {
            0 => Problem::Empty,
            513.. => Problem::TooLong(512),
            _ => Problem::Malformed,
        };
        assert_eq!(input.problem(), expected);
        assert!(world.calls.all().is_empty());
        world.only_event();
    }
    assert_eq!(world.row(&world.alice), before);
    let _ = authenticated(world.submit(&challenge.token, &code).await);
}

/// I-19, I-20: codes of eight and of ten digits.
#[tokio::test]
async fn longer_codes_are_made_and_taken_at_their_length_only() {
    for digits in [8_u8, 10] {
        let world = World::with(|builder| builder.code_digits(u32::from(digits))).await;
        let challenge = world.begin("alice").await;
        assert_eq!(challenge.digits, digits);
        let code = world.last_code();
        assert_eq!(code.len(), usize::from(digits));
        assert!(matches!(
            reason(&world.submit(&challenge.token, &code[..6]).await),
            Reason::InvalidInput(_)
        ));
        assert!(matches!(
            reason(&world.submit(&challenge.token, &format!("{code}0")).await),
            Reason::InvalidInput(_)
        ));
        assert_eq!(world.saved_wrong_codes(&world.alice), 0);
        let typed = format!("{} {}", &code[..4], &code[4..]);
        let _ = authenticated(world.submit(&challenge.token, &typed).await);
    }
}

/// I-02, I-03: the code of a login is nothing without that login's token.
#[tokio::test]
async fn a_right_code_without_its_token_is_nothing() {
    let world = World::new().await;
    let challenge = world.begin("alice").await;
    let code = world.last_code();
    let before = world.row(&world.alice);
    let login = challenge.login.to_string();
    for token in ["", "alice", &login, &format!("csp1.{login}")] {
        assert_eq!(reason(&world.submit(&token.into(), &code).await), Reason::LoginOver);
    }
    let confirmed = world.sign_in("root").await.grant;
    let _ = world
        .request()
        .account(&confirmed)
        .confirm_method(&SetupToken::new(challenge.token.expose()), &Code::new(&code))
        .await;
    assert!(matches!(
        world.begin_with_device("bob", &DeviceToken::new(challenge.token.expose())).await,
        LoginStep::CodeRequired(_)
    ));
    assert_eq!(world.row(&world.alice), before);
}
