//! Bad input is refused by name, before anything is read, counted or saved.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use crate::support::*;
use countersign::Pepper;
use countersign::contact::{EmailAddress, PhoneNumber};
use countersign::event::EventKind;
use countersign::input::{Field, InvalidInput, Problem};
use countersign::user::Language;
use countersign::{
    BackupCode, Channel, Code, LoginName, LoginStep, Reason, ResendTo, SetupToken, TenantId,
    TrustDevice, UserId,
};

/// What must not get into a key, a header, a message or a log, in the middle of a value.
const FORBIDDEN: [char; 16] = [
    '\0', '\t', '\n', '\r', '\u{1b}', '\u{7f}', '\u{85}', '\u{9b}', '\u{61c}', '\u{200e}',
    '\u{200f}', '\u{2028}', '\u{2029}', '\u{202e}', '\u{2066}', '\u{feff}',
];

#[track_caller]
fn refused<T>(outcome: Result<T, InvalidInput>, field: Field, problem: Problem, what: &str) {
    let Some(invalid) = outcome.err() else { panic!("{field} {what:?} is accepted") };
    assert_eq!((invalid.field(), invalid.problem()), (field, problem), "{what:?}");
    let said = format!("{invalid} {invalid:?} {}", Reason::InvalidInput(invalid));
    assert!(what.len() < 3 || !said.contains(what), "it does not repeat what was given");
}

/// A kind of text, how it is made, and how long it may be.
type Kind = (Field, usize, fn(&str) -> Result<(), InvalidInput>);

const TEXTS: [Kind; 4] = [
    (Field::TenantId, 128, |text| TenantId::new(text).map(drop)),
    (Field::UserId, 128, |text| UserId::new(text).map(drop)),
    (Field::LoginName, 256, |text| LoginName::new(text).map(drop)),
    (Field::Language, 35, |text| Language::new(text).map(drop)),
];

/// I-33, I-40: ids and names are printable text of bounded length.
#[test]
fn ids_and_names_are_bounded_printable_text() {
    for (field, most, make) in TEXTS {
        refused(make(""), field, Problem::Empty, "");
        make(&"x".repeat(most)).unwrap();
        for length in [most + 1, 1 << 20] {
            refused(make(&"x".repeat(length)), field, Problem::TooLong(most), "xxx");
        }
        for c in FORBIDDEN {
            for text in [format!("ab{c}cd"), format!("{c}abcd"), format!("abcd{c}")] {
                refused(make(&text), field, Problem::ForbiddenCharacter, &text);
            }
        }
    }
    for text in ["~phantom~000", "~phantom~", "~phantom~x"] {
        refused(UserId::new(text), Field::UserId, Problem::Reserved, text);
        assert!(serde_json::from_value::<UserId>(text.into()).is_err());
    }
    for text in ["ja_JP", "日本語", "en US"] {
        refused(Language::new(text), Field::Language, Problem::Malformed, text);
    }
    // The length is in bytes, and what is not ASCII is welcome.
    LoginName::new(&"花".repeat(85)).unwrap();
    refused(LoginName::new(&"花".repeat(86)), Field::LoginName, Problem::TooLong(256), "花花花");
    assert!(
        serde_json::from_value::<TenantId>("a\nb".into()).is_err(),
        "reading back is no way around"
    );
}

/// I-33: an address or a number that could break out of a header, or is not canonical, is none.
#[test]
fn numbers_and_addresses_are_canonical() {
    refused(PhoneNumber::new(""), Field::PhoneNumber, Problem::Empty, "");
    refused(PhoneNumber::new(&"+1".repeat(9)), Field::PhoneNumber, Problem::TooLong(16), "+1+1+1");
    refused(EmailAddress::new(""), Field::EmailAddress, Problem::Empty, "");
    let long = format!("{}@{}", "a".repeat(64), "b.".repeat(95) + "b");
    refused(EmailAddress::new(&long), Field::EmailAddress, Problem::TooLong(254), &long);
    for c in FORBIDDEN {
        let number = format!("+1555{c}1234");
        refused(
            PhoneNumber::new(&number),
            Field::PhoneNumber,
            Problem::ForbiddenCharacter,
            &number,
        );
        for address in [
            format!("a{c}b@example.com"),
            format!("ab@exam{c}ple.com"),
            format!("ab@example.com{c}"),
        ] {
            refused(
                EmailAddress::new(&address),
                Field::EmailAddress,
                Problem::ForbiddenCharacter,
                &address,
            );
        }
    }
    for number in [
        "15551234567",
        "+0155512345",
        "+1 555 123 4567",
        "+1-555-1234567",
        "+155512",
        "+1555123456x",
        "00155512345",
    ] {
        refused(PhoneNumber::new(number), Field::PhoneNumber, Problem::Malformed, number);
    }
    for address in [
        "alice",
        "@example.com",
        "alice@",
        "a@b@c.com",
        "a b@example.com",
        "\"a\"@example.com",
        "a@example.com,b@c.com",
        "<a@example.com>",
        "a@[127.0.0.1]",
        "a@example..com",
    ] {
        refused(EmailAddress::new(address), Field::EmailAddress, Problem::Malformed, address);
    }
}

#[test]
fn a_pepper_has_a_short_name_and_a_long_key() {
    for (id, length) in
        [("", 32), ("k 1", 32), ("k\n", 32), ("123456789", 32), ("k1", 0), ("k1", 31), ("k1", 65)]
    {
        refused(Pepper::new(id, vec![7; length]), Field::Pepper, Problem::Malformed, "?");
    }
    assert_eq!(Pepper::new("k-1_", vec![7; 64]).unwrap().id(), "k-1_");
}

/// Asserts that a step was refused for this input, with one event, no call and nothing written.
#[track_caller]
fn assert_untouched(world: &World, step: &LoginStep, field: Field, problem: Problem) {
    let refused = denied(step);
    let Reason::InvalidInput(invalid) = refused.reason() else { panic!("{refused:?}") };
    assert_eq!((invalid.field(), invalid.problem()), (field, problem));
    assert_eq!((refused.retry_at(), refused.attempts_left()), (None, None));
    assert!(world.calls.all().is_empty(), "{:?}", world.calls.all());
    let event = world.only_event();
    assert_eq!(event.kind, EventKind::StepRefused { login: None, reason: field.code().into() });
    assert_eq!((event.tenant.as_str(), event.user), ("acme", None));
}

/// I-37, I-40, attack 48: a first step with a name or password that can't be one costs nothing and
/// counts nothing.
#[tokio::test]
async fn a_first_step_with_bad_input_is_refused_unread() {
    let world = World::new().await;
    let long = "x".repeat(257);
    let mut names = vec![(String::new(), Problem::Empty), (long, Problem::TooLong(256))];
    names.extend(FORBIDDEN.map(|c| (format!("ali{c}ce"), Problem::ForbiddenCharacter)));
    names.push(("alice\r\nBcc: mallory@example.com".into(), Problem::ForbiddenCharacter));
    for (name, problem) in names {
        assert_untouched(
            &world,
            &world.try_begin(&name, PASSWORD).await,
            Field::LoginName,
            problem,
        );
    }
    let megabyte = "x".repeat(1 << 20);
    for (password, problem) in [
        ("", Problem::Empty),
        (&megabyte[..4097], Problem::TooLong(4096)),
        (&megabyte, Problem::TooLong(4096)),
    ] {
        assert_untouched(
            &world,
            &world.try_begin("alice", password).await,
            Field::Password,
            problem,
        );
    }
    assert_eq!(world.row(&world.alice), None);
}

/// A password may hold any character, up to 4,096 bytes, and all of it counts.
#[tokio::test]
async fn a_password_may_hold_anything_and_all_of_it_counts() {
    for password in [" ", "\0", "\n\n", "a\0b", "\u{202e}ret", "пароль", "🐎🔋", &"x".repeat(4096)]
    {
        let world = World::off();
        world.change(&world.alice, |user| {
            user.password_hash = Some(countersign::user::PasswordHash::new(password));
        });
        assert!(
            matches!(world.try_begin("alice", password).await, LoginStep::Authenticated(_)),
            "{password:?}"
        );
        if password.len() < 4096 {
            for near in [format!("{password} "), format!(" {password}"), format!("{password}\0")] {
                assert_eq!(
                    reason(&world.try_begin("alice", &near).await),
                    Reason::InvalidCredentials,
                    "{near:?}"
                );
            }
        }
        assert_eq!(
            reason(&world.try_begin("alice", &"x".repeat(4095)).await),
            Reason::InvalidCredentials
        );
    }
}

/// I-20: later steps with what can't be a code, a backup code or a label.
#[tokio::test]
async fn a_later_step_with_bad_input_is_refused_unread() {
    let world = World::with(|builder| builder.trusted_devices(30 * DAY, 3)).await;
    let challenge = world.begin("alice").await;
    let code = Code::new(world.last_code());
    let before = world.row(&world.alice);
    world.events.clear();
    world.calls.clear();
    let long = "1".repeat(513);
    for (typed, problem) in [
        ("", Problem::Empty),
        (&long[..], Problem::TooLong(512)),
        ("12345", Problem::Malformed),
        ("12345\0", Problem::Malformed),
    ] {
        assert_untouched(
            &world,
            &world.submit(&challenge.token, typed).await,
            Field::Code,
            problem,
        );
    }
    for (typed, problem) in [
        ("", Problem::Empty),
        (&long[..], Problem::TooLong(512)),
        ("0123-4567", Problem::Malformed),
        ("0123-4567-89AB-CDEF-GHJK-MNPU", Problem::Malformed),
        ("0123-4567-89AB-CDEF-GHJK-MNP\n", Problem::Malformed),
    ] {
        assert_untouched(
            &world,
            &world.submit_backup(&challenge.token, typed).await,
            Field::BackupCode,
            problem,
        );
    }
    assert_eq!(world.row(&world.alice), before);
    let _ = authenticated(world.submit(&challenge.token, code.expose()).await);
}

/// I-02: what is no token is refused unread as a login that is over.
#[tokio::test]
async fn what_is_no_token_is_refused_unread() {
    let world = World::new().await;
    let long = format!("csp1.{}", "A".repeat(1 << 20));
    for text in ["", "csp1.", "csp1.AAAA", "csp2.AAAA", "alice", "\0", "é", &long] {
        for step in 0..4 {
            let token = text.into();
            world.calls.clear();
            world.events.clear();
            let refused = match step {
                0 => world.submit(&token, "123456").await,
                1 => world.submit_backup(&token, "0123-4567-89AB-CDEF-GHJK-MNPQ").await,
                2 => world.request().resend(&token, ResendTo::Same).await.unwrap(),
                _ => {
                    world.request().cancel(&token).await.unwrap();
                    let expected =
                        EventKind::StepRefused { login: None, reason: "login_over".into() };
                    assert_eq!(world.only_event().kind, expected);
                    assert!(world.calls.all().is_empty());
                    continue;
                }
            };
            assert_eq!(reason(&refused), Reason::LoginOver);
            assert!(world.calls.all().is_empty());
            let expected = EventKind::StepRefused { login: None, reason: "login_over".into() };
            assert_eq!(world.only_event().kind, expected);
        }
    }
}

/// The same on the account page: one event, nothing read.
#[tokio::test]
async fn the_account_page_refuses_bad_input_unread() {
    let world = World::new().await;
    let grant = world.sign_in("alice").await.grant;
    let before = world.row(&world.alice);
    for (token, code, expected) in [
        ("css1.AAAA", "123456", "setup_over"),
        ("", "123456", "setup_over"),
        ("", "12345", "invalid_code"),
        ("", "", "invalid_code"),
    ] {
        world.calls.clear();
        world.events.clear();
        let confirmed = world
            .request()
            .account(&grant)
            .confirm_method(&SetupToken::new(token), &Code::new(code))
            .await;
        assert_eq!(confirmed.unwrap_err().denied().unwrap().reason().code(), expected);
        assert!(world.calls.all().is_empty());
        assert_eq!(world.only_event().kind, EventKind::AccountRefused { reason: expected.into() });
    }
    assert_eq!(world.row(&world.alice), before);
}

/// I-33: an operator's reason reaches the audit log, so an auditor sees all of it. It is measured
/// in characters.
#[tokio::test]
async fn an_operators_reason_is_bounded_visible_text() {
    let world = World::new().await;
    let operator = |reason: &str| world.flow.operator(reason).map(drop);
    refused(operator(""), Field::OperatorReason, Problem::Empty, "");
    for blank in [" ", "\u{3000}"] {
        refused(operator(blank), Field::OperatorReason, Problem::Empty, blank);
    }
    for letter in ["x", "花", "\u{20000}"] {
        operator(&letter.repeat(200)).unwrap();
        for length in [201, 1 << 20] {
            let text = letter.repeat(length);
            refused(operator(&text), Field::OperatorReason, Problem::TooManyCharacters(200), &text);
        }
    }
    let invisible = [
        '\u{200b}',
        '\u{ad}',
        '\u{3164}',
        '\u{e0041}',
        '\u{fdd0}',
        '\u{e000}',
        '\u{fffd}',
        '\u{2800}',
    ];
    for c in FORBIDDEN.into_iter().chain(invisible) {
        let text = format!("ticket{c}1");
        refused(operator(&text), Field::OperatorReason, Problem::ForbiddenCharacter, &text);
    }
    assert!(world.events.all().is_empty() && world.calls.all().is_empty());
}

/// Switched-off features refuse before they look at what was typed.
#[tokio::test]
async fn what_is_switched_off_is_refused_unread() {
    let world = World::with(|builder| builder.backup_codes(false)).await;
    let challenge = world.begin("alice").await;
    let code = Code::new(world.last_code());
    let before = world.row(&world.alice);
    world.calls.clear();
    let backup = BackupCode::new("0123-4567-89AB-CDEF-GHJK-MNPQ");
    let step = world.request().submit_backup_code(&challenge.token, &backup).await.unwrap();
    assert_eq!(reason(&step), Reason::BackupCodesOff);
    let trust = TrustDevice::Named("laptop");
    assert!(!world.flow.offers_trusted_devices());
    let step = world.request().submit_code(&challenge.token, &code, trust).await.unwrap();
    assert_eq!(reason(&step), Reason::TrustedDevicesOff);
    assert!(world.calls.all().is_empty());
    assert_eq!(world.row(&world.alice), before);
    let step = world.begin_as(&world.acme, "alice", "wrong", Channel::Web, None).await.unwrap();
    assert_eq!(reason(&step), Reason::InvalidCredentials);
}
