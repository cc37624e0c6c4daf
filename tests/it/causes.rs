//! The operator sees why a delivery failed, and no code, address or secret with it.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::support::leaks::Leaks;
use crate::support::*;
use async_trait::async_trait;
use countersign::Method;
use countersign::contact::{Destination, EmailAddress, PhoneNumber};
use countersign::event::{Causes, Event, EventKind};
use countersign::sender::{CodeMessage, CodeSender, Notice, SendError, SendErrorKind, SendStatus};
use proptest::prelude::*;

const NUMBER: &str = "+819012345634";
const ADDRESS: &str = "canary.alice@example.com";
const API_KEY: &str = "a8f5f167f44f4964e6c998dee827110c";
/// An innocent text beside each planted one: the chain goes on where a text is withheld.
const MARKER: &str = "connection reset by peer";

/// An error that says this, because of the next one.
#[derive(Debug)]
struct Says(String, Option<Box<Says>>);

impl fmt::Display for Says {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Says {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_deref().map(|next| next as &(dyn Error + 'static))
    }
}

fn chain(texts: &[&str]) -> Says {
    let mut texts = texts.iter().rev();
    let last = Says((*texts.next().unwrap()).to_owned(), None);
    texts.fold(last, |inner, text| Says((*text).to_owned(), Some(Box::new(inner))))
}

/// An error whose chain never ends.
#[derive(Debug)]
struct Endless;

impl fmt::Display for Endless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for _ in 0..1_000_000 {
            f.write_str("\n\0\u{202e}\u{200b}and so on: ")?;
        }
        Ok(())
    }
}

impl Error for Endless {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&Endless)
    }
}

type Blame = dyn Fn(&Destination, &str) -> SendError + Send + Sync;

/// Sends nothing, and says why: what it knows is the destination and, of a code, the code.
#[derive(Clone)]
struct Blaming(Arc<Blame>);

impl Blaming {
    fn with(blame: impl Fn(&Destination, &str) -> SendError + Send + Sync + 'static) -> Self {
        Self(Arc::new(blame))
    }
}

#[async_trait]
impl CodeSender for Blaming {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        Err((self.0)(&message.destination, message.code.expose()))
    }

    async fn notify(&self, notice: &Notice) -> Result<SendStatus, SendError> {
        Err((self.0)(&notice.destination, "000000"))
    }
}

/// Everything that fails after this fails so: a code and a notice by SMS and by email.
async fn events_of(blaming: Blaming) -> Vec<Event> {
    let mut world = World::new().await;
    world.change(&world.alice, |user| user.email = Some(EmailAddress::new(ADDRESS).unwrap()));
    world.choose_sms("alice", NUMBER).await;
    let alice = world.sign_in("alice").await.grant;
    let root = world.root_grant().await;
    world.wait_for_the_spacing();
    world.events.clear();
    let (users, factors) = (world.users.clone(), world.factors.clone());
    world.rewire(users, factors, blaming, |builder| builder.fall_back_to_email(true));
    let _page = world.begin("alice").await;
    world.wait_for_the_spacing();
    let other = PhoneNumber::new("+15551234567").unwrap();
    let _setup = world.request().account(&alice).use_sms(&other).await.unwrap();
    let _backup = world.request().account(&alice).new_backup_code().await.unwrap();
    let _ = world.request().administration(&root).await.unwrap().reset(&world.alice).await.unwrap();
    let failed = |event: &Event| {
        matches!(event.kind, EventKind::DeliveryFailed { .. } | EventKind::NoticeFailed { .. })
    };
    world.events.all().into_iter().filter(failed).collect()
}

fn causes(event: &Event) -> &Causes {
    match &event.kind {
        EventKind::DeliveryFailed { causes, .. } | EventKind::NoticeFailed { causes, .. } => causes,
        kind => panic!("{kind:?}"),
    }
}

/// What happened, to whom it could not be sent, and how it failed.
fn facts(event: &Event) -> (&'static str, Option<Method>, SendErrorKind) {
    match &event.kind {
        EventKind::DeliveryFailed { method, error, .. } => ("code", Some(*method), *error),
        EventKind::NoticeFailed { error, .. } => ("notice", None, *error),
        kind => panic!("{kind:?}"),
    }
}

#[tokio::test]
async fn the_operator_sees_why_each_code_and_each_notice_failed() {
    let texts =
        ["twilio did not answer", "client error (Connect)", "Connection refused (os error 111)"];
    let blaming = Blaming::with(move |_, _| {
        SendError::new(SendErrorKind::Transient).caused_by(chain(&texts))
    });
    let events = events_of(blaming).await;
    let expected = [
        ("code", Some(Method::Sms)),
        ("code", Some(Method::Email)),
        ("code", Some(Method::Sms)),
        ("notice", None),
        ("notice", None),
        ("notice", None),
    ];
    let happened: Vec<_> = events.iter().map(facts).collect();
    assert_eq!(happened, expected.map(|(what, method)| (what, method, SendErrorKind::Transient)));
    for event in &events {
        assert_eq!(causes(event).iter().collect::<Vec<_>>(), texts);
        assert!(event.to_string().contains(texts[2]), "{event}");
        assert_eq!(causes(event).to_string(), texts.join(": "));
    }
    let silent = events_of(Blaming::with(|_, _| SendError::new(SendErrorKind::Permanent))).await;
    assert!(silent.len() == 6 && silent.iter().all(|event| causes(event).is_empty()));
    assert!(silent.iter().all(|event| !event.to_string().contains("causes")));
}

/// A text with something after each of its characters.
fn spaced(text: &str, after: &str) -> String {
    text.chars().flat_map(|c| [c.to_string(), after.to_owned()]).collect()
}

/// What a careless sender may put into an error, by name.
type Planting = (&'static str, fn(&Destination, &str) -> String);

fn plantings() -> Vec<Planting> {
    fn to(destination: &Destination) -> String {
        match destination {
            Destination::Sms(number) => number.expose().to_owned(),
            Destination::Email(address) => address.expose().to_owned(),
        }
    }
    fn percent(text: &str) -> String {
        text.bytes()
            .map(
                |b| {
                    if b.is_ascii_alphanumeric() {
                        char::from(b).into()
                    } else {
                        format!("%{b:02X}")
                    }
                },
            )
            .collect()
    }
    vec![
        ("code", |_, code| format!("bad request: {code} is your code")),
        ("code in groups", |_, code| format!("bad request: {} {}", &code[..3], &code[3..])),
        ("code with hyphens", |_, code| spaced(code, "-")),
        ("code in full width", |_, code| {
            code.chars().map(|c| char::from_u32(u32::from(c) + 0xFEE0).unwrap()).collect()
        }),
        ("code with invisible characters", |_, code| spaced(code, "\u{200b}")),
        ("destination", |to_, _| format!("550 5.1.1 <{}>: user unknown", to(to_))),
        ("destination in upper case", |to_, _| to(to_).to_uppercase()),
        ("destination escaped", |to_, _| format!("POST /send?to={}&x=1", percent(&to(to_)))),
        ("end of the number", |to_, _| match to_ {
            Destination::Sms(number) => {
                let digits = &number.expose()[number.expose().len() - 8..];
                format!("invalid: 0{}-{}", &digits[..4], &digits[4..])
            }
            Destination::Email(_) => to(to_),
        }),
        ("local part", |to_, _| match to_ {
            Destination::Email(address) => {
                format!("no mailbox '{}' here", address.expose().split('@').next().unwrap())
            }
            Destination::Sms(_) => to(to_),
        }),
        ("key", |_, _| format!("authentication failed for key {API_KEY}")),
        ("key in a header", |_, _| {
            format!("header basic=\"{}\"", "cGFzc3dvcmQ6aHVudGVyMg==".repeat(2))
        }),
        ("secret in a URL", |_, _| {
            "error for url (https://api.example/sms?api_secret=hunter2x)".to_owned()
        }),
        ("password in a URL", |_, _| {
            "error for url (https://me:hunter2x@api.example/sms)".to_owned()
        }),
    ]
}

/// I-22: canaries in every text of a chain, behind innocent ones, before them, and in what other
/// senders said.
#[tokio::test]
async fn no_cause_repeats_a_code_a_destination_or_a_secret() {
    for (name, planted) in plantings() {
        for place in 0..3 {
            let codes = Arc::new(std::sync::Mutex::new(Vec::new()));
            let (kept, printed) =
                (Arc::clone(&codes), Arc::new(std::sync::Mutex::new(Leaks::default())));
            let error_printed = Arc::clone(&printed);
            let events = events_of(Blaming::with(move |to, code| {
                kept.lock().unwrap().push(code.to_owned());
                let text = planted(to, code);
                let transient = || SendError::new(SendErrorKind::Transient);
                let error = match place {
                    0 => transient().caused_by(chain(&[&text, MARKER])),
                    1 => transient().caused_by(chain(&["answered 400 (21211)", &text, MARKER])),
                    _ => transient()
                        .caused_by(chain(&[MARKER]))
                        .after([transient().caused_by(chain(&[&text]))]),
                };
                let general = name.contains("key") || name.contains("URL") || text.contains('@');
                if general {
                    // Where nothing is known of the message.
                    error_printed.lock().unwrap().debug(&error);
                }
                error_printed.lock().unwrap().printed(error.to_string());
                error
            }))
            .await;
            assert_eq!(events.len(), 6, "{name}");
            let mut leaks = printed.lock().unwrap().clone();
            for event in &events {
                leaks.value(event);
                leaks.value(causes(event));
                leaks.printed(format!("{event} {}", causes(event)));
                let told: Vec<&str> = causes(event).iter().collect();
                assert!(told.contains(&MARKER), "{name}: {told:?}");
                // A notice has no code: what stands in its place is no secret.
                let secret = !name.starts_with("code")
                    || matches!(event.kind, EventKind::DeliveryFailed { .. });
                assert_eq!(
                    told.iter().any(|text| text.starts_with("(withheld")),
                    secret,
                    "{name}: {told:?}"
                );
            }
            for code in codes.lock().unwrap().iter().filter(|code| *code != "000000") {
                leaks.secret(code.as_str());
                leaks.secret(format!("{} {}", &code[..3], &code[3..]));
                leaks.secret(spaced(code, "-"));
            }
            for secret in [
                NUMBER,
                "9012345634",
                "1234-5634",
                ADDRESS,
                "canary.alice",
                API_KEY,
                "hunter2x",
                "cGFzc3dvcmQ",
            ] {
                leaks.secret(secret);
            }
            leaks.assert_none();
        }
    }
}

/// I-22: the control of the test above. What it plants is found where an event shows it.
#[tokio::test]
async fn what_is_planted_is_found_where_it_is_shown() {
    let number = Destination::Sms(PhoneNumber::new(NUMBER).unwrap());
    let address = Destination::Email(EmailAddress::new(ADDRESS).unwrap());
    for (name, planted) in plantings() {
        for to in [&number, &address] {
            let shown = planted(to, "836194");
            let seen: String = shown.chars().filter(|c| *c != '\u{200b}').collect();
            let secrets = [
                "836194",
                "836 194",
                "8-3-6-",
                "８３６",
                "9012345634",
                "1234-5634",
                "canary.alice",
                "canary%2ealice",
                "5f167",
                "hunter2",
                "cGFz",
            ];
            let seen = seen.to_lowercase();
            assert!(
                secrets.iter().any(|secret| seen.contains(&secret.to_lowercase())),
                "{name}: {shown}"
            );
        }
    }
}

/// I-40: an error as long as it likes costs no more than a few lines.
#[tokio::test]
async fn causes_are_a_few_short_printable_lines_whatever_an_error_prints() {
    let endless = |_: &Destination, _: &str| {
        SendError::new(SendErrorKind::Unknown)
            .caused_by(Endless)
            .after([SendError::new(SendErrorKind::Transient).caused_by(Endless)])
    };
    let long: Vec<String> = (0..40).map(|n| format!("cause {n} {}", "x".repeat(n * 10))).collect();
    let many = move |_: &Destination, _: &str| {
        let texts: Vec<&str> = long.iter().map(String::as_str).collect();
        SendError::new(SendErrorKind::Unknown).caused_by(chain(&texts))
    };
    for blaming in [Blaming::with(endless), Blaming::with(many)] {
        for event in events_of(blaming).await {
            let told: Vec<&str> = causes(&event).iter().collect();
            assert!((1..=12).contains(&told.len()), "{told:?}");
            assert!(told.iter().all(|text| text.chars().count() <= 160), "{told:?}");
            let line = event.to_string();
            assert!(
                !line.chars().any(|c| c.is_control() || matches!(c, '\u{202e}' | '\u{200b}')),
                "{line:?}"
            );
        }
    }
}

/// A failure of a chain of senders tells of each of them, the one that is answered first.
#[tokio::test]
async fn the_failures_of_senders_that_were_tried_first_are_told() {
    let fails = |kind, text| SendError::new(kind).caused_by(chain(&[text]));
    let error = fails(SendErrorKind::Transient, "vonage did not answer").after([
        fails(SendErrorKind::Permanent, "twilio answered 401 (20003)")
            .after([fails(SendErrorKind::Transient, "sns is down")]),
        SendError::new(SendErrorKind::Throttled { retry_after: None }),
    ]);
    assert_eq!(error.earlier().len(), 3);
    let printed = format!("{error:?}");
    let order = [
        "vonage did not",
        "(transient)",
        "sns is down",
        "(permanent)",
        "twilio answered 401 (20003)",
        "(throttled)",
    ];
    let places: Vec<usize> = order
        .iter()
        .map(|text| printed.find(text).unwrap_or_else(|| panic!("{text}: {printed}")))
        .collect();
    assert!(places.is_sorted(), "{printed}");
    assert_eq!(error.to_string(), "delivery failed (transient)");
}

proptest! {
    /// I-38: whatever a log holds, it is read within the bounds, and read again as it was.
    #[test]
    fn causes_read_back_as_they_were(texts in prop::collection::vec("\\PC{0,30}|[ -~]{0,400}|.{0,200}", 0..20)) {
        let causes: Causes = serde_json::from_value(serde_json::json!(texts)).unwrap();
        prop_assert!(causes.iter().count() <= 12);
        for text in causes.iter() {
            prop_assert!(text.chars().count() <= 160 && !text.chars().any(char::is_control), "{text:?}");
        }
        let again: Causes = serde_json::from_str(&serde_json::to_string(&causes).unwrap()).unwrap();
        prop_assert_eq!(again, causes);
    }
}
