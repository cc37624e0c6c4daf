//! Canaries through every step of every page, every fault, damaged records and panics: no secret is in anything that prints.
//!
//! The core writes no traces: it depends on no tracing or logging crate, so there is nothing of that kind to look at.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod support;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use countersign::{
    Accepted, BackupCode, Channel, Code, CodeMessage, CodeSender, EmailAddress, Error, FactorStore, Login, LoginFlow,
    LoginFlowBuilder, LoginName, LoginStep, MethodChange, Notice, Password, PasswordAttempt, PasswordHash,
    PendingToken, Pepper, PhoneNumber, ResendTo, SavedGrant, Scope, SendError, SetupToken, StandardPolicy, TrustDevice,
    User, UserStore, VouchedLogin,
};
use futures_lite::FutureExt;
use serde_json::Value;
use support::faults::{FaultPoint, When, faulty_flow};
use support::leaks::{Leaks, hex};
use support::*;

const CANARY: &str = "canary-password-5f1c";
const STAMP: &str = "canary-stamp-2b90";
const ADDRESS: &str = "canary.alice@example.com";
const NUMBER: &str = "+819012345634";
const OTHER_NUMBER: &str = "+819087654321";

fn pepper() -> Pepper {
    Pepper::new("k1", b"canary-pepper-canary-pepper-0001".to_vec()).unwrap()
}

/// Ten digits: a code does not turn up by chance.
fn configured(builder: LoginFlowBuilder) -> LoginFlowBuilder {
    builder.trusted_devices(30 * DAY, 3).pepper(pepper()).code_digits(10)
}

/// Alice with every kind of secret, each of them noted.
struct Stage {
    world: World,
    leaks: Leaks,
    token: String,
    code: String,
    backup: String,
    device: String,
    grant: SavedGrant,
    root: SavedGrant,
    setup_token: String,
    setup_code: String,
}

async fn stage() -> Stage {
    let world = World::with(configured).await;
    let mut leaks = Leaks::default();
    world.change(&world.alice, |user| {
        user.password_hash = Some(PasswordHash::new(CANARY));
        user.security_stamp = Some(STAMP.into());
        user.email = Some(EmailAddress::new(ADDRESS).unwrap());
    });
    for secret in [CANARY, STAMP, ADDRESS, NUMBER, OTHER_NUMBER, "canary-pepper-canary-pepper-0001"] {
        leaks.secret(secret);
    }
    let first = challenge(begin(&world.flow, &world, CANARY, None).await.unwrap());
    let trust = TrustDevice::Named("laptop");
    let code = world.outbox.last_code().into();
    let done = authenticated(world.flow.submit_code(&world.acme, &first.token, &code, trust).await.unwrap());
    leaks.value(&first);
    leaks.debug(&done);
    leaks.secret(first.token.expose());
    world.wait_for_the_spacing();
    let account = world.flow.account(&world.acme, &done.grant);
    let sms = account.use_sms(&PhoneNumber::new(NUMBER).unwrap()).await.unwrap();
    let _sms = account.confirm_method(&sms.token, &world.outbox.last_code().into()).await.unwrap();
    leaks.secret(sms.token.expose());
    world.clock.advance(MINUTE);
    let second = challenge(begin(&world.flow, &world, CANARY, None).await.unwrap());
    let code = world.outbox.last_code().into();
    let done = authenticated(world.flow.submit_code(&world.acme, &second.token, &code, trust).await.unwrap());
    let device = done.device_token.as_ref().unwrap().expose().to_owned();
    leaks.debug(&done);
    let account = world.flow.account(&world.acme, &done.grant);
    let backup = account.new_backup_code().await.unwrap();
    leaks.debug(&backup);
    world.wait_for_the_spacing();
    let setup = account.use_sms(&PhoneNumber::new(OTHER_NUMBER).unwrap()).await.unwrap();
    let setup_code = world.outbox.last_code();
    leaks.value(&setup);
    world.wait_for_the_spacing();
    let pending = challenge(begin(&world.flow, &world, CANARY, None).await.unwrap());
    let code = world.outbox.last_code();
    leaks.value(&pending);
    for secret in [second.token.expose(), &device, backup.expose(), setup.token.expose(), pending.token.expose()] {
        leaks.secret(secret);
    }
    let root = world.root_grant().await;
    world.wait_for_the_spacing();
    Stage {
        token: pending.token.expose().to_owned(),
        backup: backup.expose().to_owned(),
        setup_token: setup.token.expose().to_owned(),
        grant: done.grant.into_saved(),
        world,
        leaks,
        code,
        device,
        root,
        setup_code,
    }
}

async fn begin(flow: &LoginFlow, world: &World, password: &str, device: Option<&str>) -> Result<LoginStep, Error> {
    let (password, device) = (Password::new(password), device.map(countersign::DeviceToken::new));
    let login = Login {
        tenant: &world.acme,
        name: "alice",
        password: &password,
        channel: Channel::Web,
        device: device.as_ref(),
    };
    flow.begin(&login).await
}

const OPERATIONS: usize = 29;

impl Stage {
    fn note<T: std::fmt::Debug, E: std::error::Error + 'static>(&mut self, answer: &Result<T, E>) {
        self.leaks.debug(answer);
        if let Err(error) = answer {
            self.leaks.error(error);
        }
    }

    /// What a step of a login came to. What it hands out is a secret from here on.
    fn note_step(&mut self, answer: &Result<LoginStep, Error>) {
        self.note(answer);
        match answer {
            Ok(LoginStep::CodeRequired(challenge)) => {
                self.leaks.secret(challenge.token.expose());
                self.leaks.value(challenge);
            }
            Ok(LoginStep::Authenticated(done)) => {
                self.leaks.value(&*done.grant);
                if let Some(device) = &done.device_token {
                    self.leaks.secret(device.expose());
                }
                if let Some(backup) = &done.backup_code {
                    self.leaks.secret(backup.expose());
                }
            }
            Ok(LoginStep::Denied(denied)) => {
                self.leaks.printed(format!("{denied} {}", serde_json::to_string(denied).unwrap()));
            }
            Err(_) => {}
        }
    }

    /// One operation of any page, by number, over this flow.
    #[allow(clippy::too_many_lines, reason = "one arm for each operation")]
    async fn operate(&mut self, operation: usize, flow: &LoginFlow) {
        let (acme, alice) = (self.world.acme.clone(), self.world.alice.clone());
        let (token, code) = (PendingToken::new(&*self.token), Code::new(&*self.code));
        let (grant, root) = (self.grant.clone(), self.root.clone());
        let account = flow.account(&acme, &grant);
        let wrong = "9".repeat(10);
        match operation {
            0 => self.note_step(&begin(flow, &self.world, CANARY, None).await),
            1 => self.note_step(&begin(flow, &self.world, "canary-password-wrong", None).await),
            2 => self.note_step(&begin(flow, &self.world, CANARY, Some(&self.device)).await),
            3 => {
                let login = VouchedLogin { tenant: &acme, user: &alice, channel: Channel::Mobile, device: None };
                self.note_step(&flow.begin_with_vouched_password(&login).await);
            }
            4 => self.note_step(&flow.submit_code(&acme, &token, &wrong.into(), TrustDevice::No).await),
            5 => self.note_step(&flow.submit_code(&acme, &token, &"canary-code".into(), TrustDevice::No).await),
            6 => self.note_step(&flow.resend(&acme, &token, ResendTo::Same).await),
            7 => self.note_step(&flow.resend(&acme, &token, ResendTo::Email).await),
            8 => {
                let wrong = BackupCode::new("0000-0000-0000-0000-0000-0000");
                self.note_step(&flow.submit_backup_code(&acme, &token, &wrong).await);
            }
            9 => self.note(&flow.revalidate(&acme, &grant).await),
            10 => {
                let overview = account.overview().await;
                self.note(&overview);
                if let Ok(overview) = &overview {
                    self.leaks.value(overview);
                }
            }
            11 => {
                let setup = account.use_sms(&PhoneNumber::new(OTHER_NUMBER).unwrap()).await;
                self.note(&setup);
                if let Ok(setup) = setup {
                    self.leaks.value(&setup);
                    self.leaks.secret(setup.token.expose());
                }
            }
            12 => self.note(&account.confirm_method(&SetupToken::new(&*self.setup_token), &wrong.into()).await),
            13 => {
                let proof = Code::new(&*self.setup_code);
                self.note(&account.confirm_method(&SetupToken::new(&*self.setup_token), &proof).await);
            }
            14 => {
                let change = account.use_email().await;
                self.note(&change);
                if let Ok(MethodChange::Prove(setup)) = change {
                    self.leaks.secret(setup.token.expose());
                }
            }
            15 => {
                let backup = account.new_backup_code().await;
                self.note(&backup);
                if let Ok(backup) = &backup {
                    self.leaks.secret(backup.expose());
                }
            }
            16 => self.note(&account.revoke_device("AQEBAQEBAQEBAQEBAQEBAQ".parse().unwrap()).await),
            17 => self.note(&account.revoke_devices().await),
            18 => {
                let page = flow.administration(&acme, &root).await;
                self.note(&page);
                let Ok(page) = page else { return };
                self.note(&page.scope().await);
                self.note(&page.status(&alice).await);
                self.note(&page.purge_progress().await);
            }
            19 => {
                if let Ok(page) = flow.administration(&acme, &root).await {
                    self.note(&page.unlock(&alice).await);
                }
            }
            20 => {
                if let Ok(page) = flow.administration(&acme, &root).await {
                    self.note(&page.set_scope(Scope::SystemAdministratorsOnly).await);
                    self.note(&page.set_scope(Scope::EntireTenant).await);
                }
            }
            21 => {
                let operator = flow.operator("ticket 17");
                self.note(&operator);
                let Ok(operator) = operator else { return };
                self.note(&operator.status(&acme, &alice).await);
                self.note(&operator.unlock(&acme, &alice).await);
                self.note(&operator.scope(&acme).await);
            }
            22 => self.note_step(&flow.submit_code(&acme, &token, &code, TrustDevice::Named("phone")).await),
            23 => self.note_step(&flow.submit_backup_code(&acme, &token, &BackupCode::new(&*self.backup)).await),
            24 => self.note(&flow.cancel(&acme, &token).await),
            25 => {
                if let Ok(page) = flow.administration(&acme, &root).await {
                    self.note(&page.reset(&alice).await);
                }
            }
            26 => self.note(&flow.operator("ticket 18").unwrap().forget(&acme, &alice).await),
            27 => self.note(&flow.operator("ticket 19").unwrap().set_scope(&acme, Scope::DoNotUse).await),
            _ => self.note(&flow.purge(&acme, 100).await),
        }
    }

    /// What is seen beside the answers, and whether any secret is in it.
    #[track_caller]
    fn assert_nothing_leaked(&mut self) {
        for sent in self.world.outbox.codes() {
            self.leaks.secret(sent.code);
        }
        for event in self.world.events.all() {
            self.leaks.value(&event);
            self.leaks.printed(event.to_string());
        }
        self.leaks.debug(&self.world.outbox.notices());
        self.leaks.assert_none();
    }
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
            hex.to_uppercase().as_bytes().chunks(2).flat_map(|two| ['%', two[0].into(), two[1].into()]).collect(),
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
    for (secret, printed) in [("csp1.AbCdEfGh", "AbCdEfGh"), ("0123-4567-89AB", "0123456789ab"), (NUMBER, NUMBER)] {
        let mut leaks = Leaks::default();
        leaks.secret(secret);
        leaks.printed(printed);
        assert!(!leaks.found().is_empty(), "{secret}");
    }
}

/// I-22, attack 42: answers, pages, grants, events and notices of every operation.
#[tokio::test]
async fn no_step_of_any_page_prints_a_secret() {
    let mut stage = stage().await;
    let flow = stage.world.flow.clone();
    stage.leaks.debug(&flow);
    stage.leaks.debug(&pepper());
    stage.leaks.debug(&LoginFlow::builder(
        stage.world.users.clone(),
        stage.world.factors.clone(),
        stage.world.outbox.clone(),
    ));
    for operation in 0..OPERATIONS {
        stage.operate(operation, &flow).await;
        stage.world.wait_for_the_spacing();
    }
    assert!(stage.leaks.extent() > 20_000);
    stage.assert_nothing_leaked();
}

/// I-22: what plug-ins are given prints no secret either.
#[tokio::test]
async fn what_plug_ins_are_given_prints_no_secret() {
    /// Prints what it is to send.
    #[derive(Clone, Default)]
    struct Printing(Arc<Mutex<(Leaks, usize)>>);

    #[async_trait]
    impl CodeSender for Printing {
        async fn send_code(&self, message: &CodeMessage) -> Result<Accepted, SendError> {
            let mut seen = self.0.lock().unwrap();
            seen.0.debug(message);
            seen.0.debug(&message.duplicate());
            seen.0.secret(message.code.expose());
            seen.1 += 1;
            Ok(Accepted::Queued)
        }

        async fn notify(&self, notice: &Notice) -> Result<Accepted, SendError> {
            let mut seen = self.0.lock().unwrap();
            seen.0.debug(notice);
            seen.1 += 1;
            Ok(Accepted::Queued)
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
    let account = world.flow.account(&world.acme, &stage.grant);
    let _setup = account.use_sms(&PhoneNumber::new(OTHER_NUMBER).unwrap()).await.unwrap();
    let _backup = account.new_backup_code().await.unwrap();
    {
        let seen = printing.0.lock().unwrap();
        assert_eq!(seen.1, 3, "two codes and a notice");
        seen.0.assert_none();
    }
    let world = &stage.world;
    let (name, password) = (LoginName::new("alice").unwrap(), Password::new(CANARY));
    let user: Option<User> = world.users.find_by_id(&world.acme, &world.alice).await.unwrap();
    let leaks = &mut stage.leaks;
    leaks.debug(&user);
    leaks.debug(&PasswordAttempt::new(&world.acme, &name, user.as_ref(), &password));
    leaks.debug(&Login { tenant: &world.acme, name: CANARY, password: &password, channel: Channel::Web, device: None });
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

/// I-22: each call of each plug-in failing in turn, in every operation: the error and all of its chain.
#[tokio::test]
async fn no_fault_prints_a_secret() {
    let mut faults = 0;
    for operation in 0..OPERATIONS {
        let mut stage = stage().await;
        let point = FaultPoint::default();
        let flow = faulty_flow(&stage.world, &point, StandardPolicy, configured);
        for number in 1..=14 {
            for when in [When::Before, When::After] {
                point.arm(number, when);
                stage.operate(operation, &flow).await;
                stage.world.clock.advance(std::time::Duration::from_secs(1));
            }
            if point.calls().len() < number {
                break;
            }
            faults += 1;
        }
        stage.assert_nothing_leaked();
    }
    assert!(faults > 100, "{faults}");
}

/// A plug-in's own words are in the source of the error, where a host expects them, and in no `Display` and no event.
#[tokio::test]
async fn a_plug_ins_words_stay_in_the_source() {
    let mut stage = stage().await;
    let point = FaultPoint::default();
    let flow = faulty_flow(&stage.world, &point, StandardPolicy, configured);
    point.arm(1, When::Before);
    let error = begin(&flow, &stage.world, CANARY, None).await.unwrap_err();
    assert_eq!(error.to_string(), "user store failed");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "broken before");
    stage.leaks.secret("broken before");
    for event in stage.world.events.all() {
        stage.leaks.value(&event);
    }
    stage.leaks.printed(error.to_string());
    stage.leaks.assert_none();
}

/// I-22, I-37: a record in which a value is a secret in the wrong place, or that is cut short, is told by its kind only.
#[tokio::test]
async fn no_damaged_record_prints_what_it_holds() {
    let mut stage = stage().await;
    let sound = stage.world.record(&stage.world.alice);
    let text = sound.to_string();
    let mut documents: Vec<String> = (0..text.len()).step_by(23).map(|end| text[..end].to_owned()).collect();
    let fields: Vec<String> = sound.as_object().unwrap().keys().cloned().collect();
    for field in fields {
        for value in [Value::from(CANARY), serde_json::json!([CANARY]), serde_json::json!({ CANARY: STAMP })] {
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
        stage.operate(10, &flow).await;
        stage.operate(21, &flow).await;
    }
    assert!(refused > 60, "{refused}");
    stage.assert_nothing_leaked();
}

/// I-22, I-37: a plug-in that panics takes its own step with it and nothing else; what is printed of it has no secret, and the next step works.
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
    for operation in [0, 2, 6, 11, 15, 18, 22, 23, 25] {
        let mut stage = stage().await;
        let point = FaultPoint::default();
        let flow = faulty_flow(&stage.world, &point, StandardPolicy, configured);
        for number in 1..=10 {
            point.panic_at(number);
            let stepped = AssertUnwindSafe(stage.operate(operation, &flow)).catch_unwind().await;
            if let Err(payload) = stepped {
                stage.leaks.debug(&payload.downcast_ref::<&str>());
                stage.leaks.debug(&payload.downcast_ref::<String>());
                panics += 1;
            }
            point.disarm();
            stage.world.clock.advance(MINUTE);
        }
        stage.leaks.printed(printed.lock().unwrap().as_str());
        stage.assert_nothing_leaked();
        assert!(begin(&flow, &stage.world, CANARY, None).await.is_ok(), "nothing is poisoned");
    }
    let _ = std::panic::take_hook();
    assert!(panics > 40, "{panics}");
}
