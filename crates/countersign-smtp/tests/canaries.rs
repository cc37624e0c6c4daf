//! What servers say never reaches an error: only codes do.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::sync::{Arc, Mutex};

use countersign::event::{Event, EventKind, EventSink};
use countersign::memory::{MemoryFactors, MemoryUsers};
use countersign::sender::{CodeSender, SendError, SendErrorKind};
use countersign::user::User;
use countersign::{
    Channel, LockOuts, LoginFlow, LoginName, LoginStep, PreverifiedLogin, RequestContext, Scope,
    TenantId, UserId,
};
use countersign_smtp::{Phase, SmtpPassword};
use support::loopback::{Loopback, Mode, build};
use support::play::{Act, At, Play, Step, say};
use support::*;

/// All that a text of a server could repeat or bring along.
fn planted() -> String {
    format!("{CANARY} <{ALICE}> {CODE} app hunter2 aHVudGVyMg== AGFwcABodW50ZXIy")
}

/// Each place of a conversation that a server's text can come from, and the phase that an error
/// there has.
const PLACES: [(Step, bool, Phase); 12] = [
    (Step::Greeting, false, Phase::Connection),
    (Step::Ehlo, false, Phase::Connection),
    (Step::StartTls, false, Phase::Connection),
    (Step::Ehlo, true, Phase::Connection),
    (Step::Auth(0), true, Phase::Authentication),
    (Step::Auth(1), true, Phase::Authentication),
    (Step::Auth(2), true, Phase::Authentication),
    (Step::Mail, true, Phase::Sender),
    (Step::Rcpt, true, Phase::Recipient),
    (Step::Data, true, Phase::Data),
    (Step::Dot, true, Phase::Text),
    (Step::Reset, true, Phase::Connection),
];

/// A server that says the planted words wherever it says anything, and this at one place.
async fn server(step: Step, encrypted: bool, act: Act) -> Loopback {
    let play = Play::new(move |at: At| {
        if (at.step, at.encrypted) == (step, encrypted) {
            return Some(act.clone());
        }
        let (code, words) = (polite(at.step)?, planted());
        Some(say(format!("{code}-{words}\r\n{code} {words}\r\n")))
    });
    let words = planted();
    let extensions =
        format!("250-{words}\r\n250-{CANARY}\r\n250-AUTH {CANARY} LOGIN\r\n250 {CODE}\r\n");
    Loopback::start(play.extensions(extensions), Mode::StartTls).await
}

const fn polite(step: Step) -> Option<u16> {
    Some(match step {
        Step::Greeting | Step::StartTls => 220,
        Step::Auth(2) => 235,
        Step::Auth(_) => 334,
        Step::Data => 354,
        Step::Reset | Step::Mail | Step::Rcpt | Step::Dot => 250,
        // The list of extensions has the words in it.
        Step::Ehlo => return None,
    })
}

/// I-22: `failure` looks at everything that prints, along the chain of sources.
#[tokio::test]
async fn no_word_of_a_server_is_in_an_error() {
    let words = planted();
    let acts = [
        say(format!("550 5.7.133 {words}\r\n")),
        say(format!("550-{words}\r\n550-{CANARY}\r\n550 {words}\r\n")),
        say(format!("450 {CANARY}.5.1.1 {words}\r\n")),
        say([b"550 \xff".as_slice(), words.as_bytes(), b"\xfe\r\n"].concat()),
        say(format!("{words}\r\n")),
        say(format!("299-{words}\r\n550 {words}\r\n")),
        Act::SayAndClose(format!("550 {words}").into_bytes()),
        Act::Endless(words.clone().into_bytes()),
        Act::Endless(format!("550-{words}\r\n").into_bytes()),
    ];
    for (step, encrypted, phase) in PLACES {
        // An error at RSET is about the connection, and no error of a message.
        for act in acts.iter().filter(|_| step != Step::Reset) {
            let server = server(step, encrypted, act.clone()).await;
            let sender = build(server.builder().credentials("app", SmtpPassword::new("hunter2")));
            let failed = sender.send_code(&code_to(ALICE, "en")).await.unwrap_err();
            assert_eq!(failure(&failed).phase(), phase, "{step:?} {act:?}");
            assert!(!format!("{sender:?}").contains("hunter2"));
        }
    }
}

/// The control: the same look finds each of them in an error that repeats what the server said.
#[test]
fn a_repeated_word_would_be_found() {
    #[derive(Debug, thiserror::Error)]
    #[error("smtp server answered {0}")]
    struct Repeats(String);

    for secret in [CODE, ALICE, "hunter2", CANARY] {
        let error =
            SendError::new(SendErrorKind::Permanent).caused_by(Repeats(format!("550 {secret}")));
        assert!(all_that_prints(&error).contains(secret));
        assert!(
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| failure(&error))).is_err()
        );
    }
}

/// The control: the operator still learns where it stopped, the codes, and how the connection
/// broke.
#[tokio::test]
async fn what_an_operator_needs_is_in_an_error() {
    let words = planted();
    for (act, shown) in [
        (
            say(format!("550 5.7.133 {words}\r\n")),
            "smtp server answered 550 5.7.133 (phase: recipient)",
        ),
        (say(format!("450 {words}\r\n")), "smtp server answered 450 (phase: recipient)"),
        (
            say(format!("{words}\r\n")),
            "smtp server answered with something that is not smtp (phase: recipient)",
        ),
        (say(format!("334 {words}\r\n")), "smtp server answered out of turn (phase: recipient)"),
        (Act::Close, "smtp connection failed: unexpected end of file (phase: recipient)"),
        (
            Act::Endless(words.clone().into_bytes()),
            "smtp server's answer is too long (phase: recipient)",
        ),
    ] {
        let server = server(Step::Rcpt, true, act).await;
        let sender = build(server.builder().credentials("app", SmtpPassword::new("hunter2")));
        let failed = sender.send_code(&code_to(ALICE, "en")).await.unwrap_err();
        assert_eq!(failure(&failed).to_string(), shown);
    }
}

/// Nor is it needed: with the same words everywhere and no refusal, both messages are taken.
#[tokio::test]
async fn a_talkative_server_takes_messages() {
    let server = server(Step::Greeting, true, Act::Close).await;
    let sender = build(server.builder().credentials("app", SmtpPassword::new("hunter2")));
    for _ in 0..2 {
        sender.send_code(&code_to(ALICE, "en")).await.unwrap();
    }
    let heard = server.play.heard();
    assert_eq!((heard.text_on(), heard.count("RSET")), (vec![0, 0], 1));
    let login: Vec<&str> =
        heard.commands.iter().map(|(_, command)| command.as_str()).skip(3).take(3).collect();
    assert_eq!(login, ["AUTH LOGIN", "YXBw", "aHVudGVyMg=="]);
}

/// Keeps the events.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Event>>>);

impl EventSink for Kept {
    fn emit(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

/// C3: from the server's answer to the operator's log, through the whole flow (I-22).
#[tokio::test]
async fn an_operator_sees_the_cause_in_the_event() {
    let server = server(Step::Rcpt, true, say(format!("550 5.1.1 {}\r\n", planted()))).await;
    let sender = build(server.builder().credentials("app", SmtpPassword::new("hunter2")));
    let (users, tenant, events) =
        (MemoryUsers::new(), TenantId::new("acme").unwrap(), Kept::default());
    for name in ["root", "alice"] {
        let mut user = User::new(tenant.clone(), UserId::new(name).unwrap());
        user.email = Some(email(ALICE));
        user.system_administrator = name == "root";
        users.insert(&LoginName::new(name).unwrap(), user);
    }
    let flow = LoginFlow::builder(users, MemoryFactors::new(), sender)
        .events(events.clone())
        .build()
        .unwrap();
    let begin = async |name: &str| {
        let user = UserId::new(name).unwrap();
        let login = PreverifiedLogin { user: &user, channel: Channel::Web, device: None };
        flow.request(&tenant, &RequestContext::new())
            .begin_with_preverified_password(&login)
            .await
            .unwrap()
    };
    let LoginStep::Authenticated(root) = begin("root").await else { panic!("root is let in") };
    let administration = flow
        .request(root.grant.tenant(), &RequestContext::new())
        .administration(&root.grant)
        .await
        .unwrap();
    let shown = administration.settings().await.unwrap();
    let mut next = shown.settings;
    next.scope = Scope::EntireTenant;
    administration.change_settings(shown.version, &next, LockOuts::Accept).await.unwrap();
    assert!(matches!(begin("alice").await, LoginStep::CodeRequired(_)));

    let events = events.0.lock().unwrap();
    let failed = events.iter().find_map(|event| match &event.kind {
        EventKind::DeliveryFailed { error, causes, .. } => {
            Some((event, *error, causes.to_string()))
        }
        _ => None,
    });
    let (event, error, causes) = failed.unwrap();
    assert_eq!(error, SendErrorKind::Permanent);
    assert_eq!(causes, "smtp server answered 550 5.1.1 (phase: recipient)");
    let printed = format!("{event} {event:?} {}", serde_json::to_string(event).unwrap());
    for secret in [CODE, ALICE, "hunter2", "aHVudGVyMg", CANARY] {
        assert!(!printed.contains(secret), "{printed}");
    }
}
