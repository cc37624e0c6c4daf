//! Canaries through every step of every page, every fault, damaged records and panics: no secret is
//! in anything that prints.
//!
//! The core writes no traces: it depends on no tracing or logging crate, so there is nothing of
//! that kind to look at.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

#[path = "redaction/stage.rs"]
mod stage;
mod support;

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use countersign::Pepper;
use countersign::contact::{EmailAddress, PhoneNumber};
use countersign::error::PluginError;
use countersign::event::Event;
use countersign::password::PasswordAttempt;
use countersign::policy::StandardPolicy;
use countersign::sender::{CodeMessage, CodeSender, Notice, NoticeKind, SendError, SendStatus};
use countersign::store::FactorStore;
use countersign::user::{PasswordHash, User, UserStore};
use countersign::{
    BackupCode, Channel, Code, Error, Login, LoginFlow, LoginFlowBuilder, LoginName, LoginStep,
    MethodChange, OperationError, Password, PendingToken, PreverifiedLogin, RequestContext,
    ResendTo, SavedGrant, Scope, SetupToken, TrustDevice,
};
use countersign_testkit::InjectedError as _;
use futures_lite::FutureExt;
use serde_json::Value;
use stage::{Came, OPERATIONS, Seen, begin, stage, stage_after};
use support::faults::{FaultPoint, When, faulty_flow};
use support::leaks::{Leaks, hex};
use support::*;

const CANARY: &str = "canary-password-5f1c";
const STAMP: &str = "canary-stamp-2b90";
const ADDRESS: &str = "canary.alice@example.com";
const NUMBER: &str = "+819012345634";
/// What somebody types where something else belongs.
const TYPED: &str = "canary-typed-e1d7";
const OTHER_NUMBER: &str = "+819087654321";

fn pepper() -> Pepper {
    Pepper::new("k1", b"canary-pepper-canary-pepper-0001".to_vec()).unwrap()
}

/// Ten digits: a code does not turn up by chance.
fn configured(builder: LoginFlowBuilder) -> LoginFlowBuilder {
    builder.trusted_devices(30 * DAY, 3).pepper(pepper()).code_digits(10)
}

/// The control of all of these: a scan that is given a leak finds it, whatever form it has.
#[test]
fn a_leak_is_found_in_every_form() {
    let secret = "canary+p/ssword?5f1c~x";
    let (raw, hex): (&[u8], String) = (secret.as_bytes(), hex(secret.as_bytes()));
    let base64 = <base64ct::Base64 as base64ct::Encoding>::encode_string;
    let base64url = <base64ct::Base64UrlUnpadded as base64ct::Encoding>::encode_string;
    for (form, leak) in [
        ("raw", format!("password={secret};")),
        ("upper case", secret.to_uppercase()),
        ("JSON", serde_json::to_string(secret).unwrap()),
        ("hex", hex.clone()),
        ("upper-case hex", hex.to_uppercase()),
        ("base64", base64(raw)),
        ("base64url", base64url(raw)),
        ("base64 of more", base64(&[b"user:", raw, b"!"].concat())),
        ("base64 of more, moved", base64(&[b"user=:", raw, b"!"].concat())),
        ("base64url of more", base64url(&[b"to:", raw, b"!"].concat())),
        ("basic authentication", base64(&[b"alice:", raw].concat())),
        ("percent", "canary%2Bp%2Fssword%3F5f1c~x".to_owned()),
        ("percent, lower case", "canary%2bp%2fssword%3f5f1c~x".to_owned()),
        (
            "all percent",
            hex.to_uppercase()
                .as_bytes()
                .chunks(2)
                .flat_map(|two| ['%', two[0].into(), two[1].into()])
                .collect(),
        ),
        ("bytes by Debug", format!("{raw:?}")),
        ("bytes by serde", serde_json::to_string(raw).unwrap()),
    ] {
        let mut leaks = Leaks::default();
        leaks.secret(secret);
        leaks.printed("x".repeat(200));
        leaks.assert_none();
        leaks.printed(format!("before {leak} after"));
        assert!(!leaks.found().is_empty(), "{form}: {leak}");
    }
    for (secret, printed) in
        [("csp1.AbCdEfGh", "AbCdEfGh"), ("0123-4567-89AB", "0123456789ab"), (NUMBER, NUMBER)]
    {
        let mut leaks = Leaks::default();
        leaks.secret(secret);
        leaks.printed(printed);
        assert!(!leaks.found().is_empty(), "{secret}");
    }
}

/// I-22, attack 42: answers, pages, grants, events and notices of every operation, each on a fresh
/// stage and each known to come to what it is for.
#[tokio::test]
async fn no_step_of_any_page_prints_a_secret() {
    let (mut events, mut notices) = (BTreeSet::new(), BTreeSet::new());
    for (operation, comes_to) in OPERATIONS {
        let mut stage = stage().await;
        let flow = stage.world.flow.clone();
        stage.seen.leaks.debug(&flow);
        stage.seen.leaks.debug(&pepper());
        stage.seen.leaks.debug(&LoginFlow::builder(
            stage.world.users.clone(),
            stage.world.factors.clone(),
            stage.world.outbox.clone(),
        ));
        let before = stage.seen.leaks.extent();
        assert_eq!(stage.operate(operation, &flow).await, comes_to, "{operation}");
        assert!(stage.seen.leaks.extent() > before, "{operation} printed something");
        let name = |event: &Event| {
            serde_json::to_value(&event.kind).unwrap()["event"].as_str().unwrap().to_owned()
        };
        events.extend(stage.world.events.all().iter().map(name));
        let name =
            |kind: &NoticeKind| format!("{kind:?}").split_whitespace().next().unwrap().to_owned();
        notices.extend(stage.world.told().iter().map(|(_, kind)| name(kind)));
        stage.assert_nothing_leaked();
    }
    // All there are, but for a code or a notice that could not be sent or was held back, and a
    // refusal after the right password.
    let seen: Vec<&str> = events.iter().map(String::as_str).collect();
    assert_eq!(
        seen,
        [
            "account_refused",
            "administration_refused",
            "backup_code_made",
            "code_required",
            "code_resent",
            "credentials_refused",
            "device_revoked",
            "devices_revoked",
            "login_cancelled",
            "login_completed",
            "method_changed",
            "password_confirmed",
            "password_rehashed",
            "purge_finished",
            "records_swept",
            "scope_changed",
            "secret_wrong",
            "setup_started",
            "step_refused",
            "user_forgotten",
            "user_reset",
            "user_unlocked",
        ]
    );
    let seen: Vec<&str> = notices.iter().map(String::as_str).collect();
    assert_eq!(
        seen,
        ["BackupCodeMade", "BackupCodeUsed", "DeviceTrusted", "MethodChanged", "Reset"]
    );
}

/// I-22: what plug-ins are given prints no secret either.
#[tokio::test]
async fn what_plug_ins_are_given_prints_no_secret() {
    /// Prints what it is to send.
    #[derive(Clone, Default)]
    struct Printing(Arc<Mutex<(Leaks, usize)>>);

    #[async_trait]
    impl CodeSender for Printing {
        async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
            let mut seen = self.0.lock().unwrap();
            seen.0.debug(message);
            seen.0.debug(&message.duplicate());
            seen.0.secret(message.code.expose());
            seen.1 += 1;
            Ok(SendStatus::Queued)
        }

        async fn notify(&self, notice: &Notice) -> Result<SendStatus, SendError> {
            let mut seen = self.0.lock().unwrap();
            seen.0.debug(notice);
            seen.1 += 1;
            Ok(SendStatus::Queued)
        }
    }

    let mut stage = stage().await;
    let printing = Printing::default();
    printing.0.lock().unwrap().0.secret(ADDRESS);
    printing.0.lock().unwrap().0.secret(NUMBER);
    let world = &mut stage.world;
    world.rewire(world.users.clone(), world.factors.clone(), printing.clone(), configured);
    let _ = begin(&world.flow, world, CANARY, None).await.unwrap();
    world.wait_for_the_spacing();
    let account = world.flow.request(&world.acme, &RequestContext::new()).account(&stage.grant);
    let _setup = account.use_sms(&PhoneNumber::new(OTHER_NUMBER).unwrap()).await.unwrap();
    let _reset =
        world.flow.operator("test").unwrap().reset(&world.acme, &world.alice).await.unwrap();
    {
        let seen = printing.0.lock().unwrap();
        assert_eq!(seen.1, 4, "two codes, and a notice in two places");
        seen.0.assert_none();
    }
    let world = &stage.world;
    let (name, password) = (LoginName::new("alice").unwrap(), Password::new(CANARY));
    let user: Option<User> = world.users.find_by_id(&world.acme, &world.alice).await.unwrap();
    let leaks = &mut stage.seen.leaks;
    leaks.debug(&user);
    leaks.debug(&PasswordAttempt::new(&world.acme, &name, user.as_ref(), &password));
    leaks.debug(&Login { name: CANARY, password: &password, channel: Channel::Web, device: None });
    leaks.debug(&(&world.users, &world.factors));
    leaks.debug(&world.factors.load(&world.acme, &world.alice).await.unwrap());
    // What is refused is not repeated.
    for input in [CANARY.repeat(400), format!("{CANARY}\n"), String::new()] {
        leaks.debug(&LoginName::new(&input));
        leaks.debug(&PhoneNumber::new(&input));
        leaks.debug(&EmailAddress::new(&input));
        leaks.debug(&Pepper::new(&input, Vec::new()));
    }
    stage.assert_nothing_leaked();
}

/// I-22: each call of each plug-in failing in turn, before or after its effect, in every operation,
/// each time on a fresh stage: the error and all of its chain.
#[tokio::test]
async fn no_fault_prints_a_secret() {
    let mut faults = 0;
    for (operation, comes_to) in OPERATIONS {
        let mut seen = Seen::default();
        for when in [When::Before, When::After] {
            for number in 1.. {
                let mut stage = stage_after(seen).await;
                let point = FaultPoint::default();
                let flow = faulty_flow(&stage.world, &point, StandardPolicy, configured);
                point.arm(number, when);
                let came = stage.operate(operation, &flow).await;
                seen = stage.look();
                if point.calls().len() < number {
                    assert_eq!(came, comes_to, "{operation}: nothing failed");
                    break;
                }
                faults += usize::from(came == Came::Fault);
            }
        }
        seen.leaks.assert_none();
    }
    assert!(faults > 300, "{faults}");
}

/// A plug-in's own words are in the source of the error, where a host expects them, and in no
/// `Display` and no event.
#[tokio::test]
async fn a_plug_ins_words_stay_in_the_source() {
    let mut stage = stage().await;
    let point = FaultPoint::default();
    let flow = faulty_flow(&stage.world, &point, StandardPolicy, configured);
    point.arm(1, When::Before);
    let error = begin(&flow, &stage.world, CANARY, None).await.unwrap_err();
    assert_eq!(error.to_string(), "user store failed");
    let words = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(words, PluginError::before().to_string());
    stage.seen.secret(&words);
    for event in stage.world.events.all() {
        stage.seen.leaks.value(&event);
    }
    stage.seen.leaks.printed(error.to_string());
    stage.seen.leaks.assert_none();
}

/// I-22, I-37: a record in which a value is a secret in the wrong place, or that is cut short, is
/// told by its kind only.
#[tokio::test]
async fn no_damaged_record_prints_what_it_holds() {
    let mut stage = stage().await;
    let sound = stage.world.record(&stage.world.alice);
    let text = sound.to_string();
    let mut documents: Vec<String> =
        (0..text.len()).step_by(23).map(|end| text[..end].to_owned()).collect();
    let fields: Vec<String> = sound.as_object().unwrap().keys().cloned().collect();
    for field in fields {
        for value in
            [Value::from(CANARY), serde_json::json!([CANARY]), serde_json::json!({ CANARY: STAMP })]
        {
            let mut damaged = sound.clone();
            damaged[&field] = value;
            documents.push(damaged.to_string());
        }
    }
    let mut unknown = sound;
    unknown[CANARY] = NUMBER.into();
    documents.push(unknown.to_string());
    let flow = stage.world.flow.clone();
    let mut refused = 0;
    for document in documents {
        stage.world.overwrite(&stage.world.alice, &document).await;
        let answer = begin(&flow, &stage.world, CANARY, None).await;
        refused += usize::from(answer.is_err());
        stage.note_step(&answer);
        for operation in ["overview", "operator looks", "operator unlocks"] {
            stage.operate(operation, &flow).await;
        }
    }
    assert!(refused > 60, "{refused}");
    stage.assert_nothing_leaked();
}

/// I-22, I-37: each call of each plug-in panicking in turn, in every operation, each time on a
/// fresh stage. It takes its own step with it and nothing else; what is printed of it has no
/// secret, and the next step works.
#[tokio::test]
async fn no_panic_of_a_plug_in_prints_a_secret() {
    let printed = Arc::new(Mutex::new(String::new()));
    let hook = Arc::clone(&printed);
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        hook.lock().unwrap().extend([info.to_string(), format!("{info:?}\n")]);
        if !info.to_string().contains("a plug-in is broken") {
            others(info);
        }
    }));
    let mut panics = 0;
    for (operation, comes_to) in OPERATIONS {
        let mut seen = Seen::default();
        for number in 1.. {
            let mut stage = stage_after(seen).await;
            let point = FaultPoint::default();
            let flow = faulty_flow(&stage.world, &point, StandardPolicy, configured);
            point.panic_at(number);
            let stepped = AssertUnwindSafe(stage.operate(operation, &flow)).catch_unwind().await;
            let reached = point.calls().len() >= number;
            point.disarm();
            if let Err(payload) = &stepped {
                stage.seen.leaks.debug(&payload.downcast_ref::<&str>());
                stage.seen.leaks.debug(&payload.downcast_ref::<String>());
                panics += 1;
            }
            stage.seen.leaks.printed(std::mem::take(&mut *printed.lock().unwrap()));
            assert!(begin(&flow, &stage.world, CANARY, None).await.is_ok(), "nothing is poisoned");
            seen = stage.look();
            if !reached {
                assert_eq!(stepped.unwrap(), comes_to, "{operation}: nothing panicked");
                break;
            }
            assert!(stepped.is_err(), "{operation}: call {number}");
        }
        seen.leaks.assert_none();
    }
    let _ = std::panic::take_hook();
    assert!(panics > 200, "{panics}");
}
