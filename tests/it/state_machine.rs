//! Stories of up to sixty acts, played by a [`LoginFlow`](countersign::LoginFlow) over the store in
//! memory and by plain maps: both must answer alike and end up alike. A failure shrinks to the
//! shortest story that shows it.
//!
//! `COUNTERSIGN_STORIES=n` plays n stories instead of the ordinary number.
#![allow(missing_docs, unreachable_pub)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod faulty;
mod reference;
mod stories;
mod swept;
mod words;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use countersign::contact::PhoneNumber;
use countersign::event::ResetOutcome;
use countersign::user::UserStatus;
use countersign::{
    Channel, Code, DeviceToken, LoginFlowBuilder, LoginStep, Method, MethodChange, PendingToken,
    Reason, RequestContext, ResendTo, SavedGrant, Scope, SecondFactor, SetupChallenge, SetupToken,
    TenantId, TrustDevice, UserId,
};
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use tokio::runtime::{Builder, Runtime};

use crate::support::wrapped::Wrapped;
use crate::support::*;
use faulty::{
    COUNT_LOST, Faulty, FaultyPolicy, GENERATION_IGNORED, RESET_KEEPS, ROLE_IGNORED, SOUND,
};
use rand::TryRng;
use rand::rngs::SysRng;
use reference::{
    Act, Answer, Door, EVERYBODY, How, Person, Reference, Tenant, To, Typed, Who, Why,
};
use stories::Stories;
use words::{channel, gate, or_denied, password_of, why};

/// A login in flight, as its browser has it.
struct Held {
    who: Who,
    token: PendingToken,
    code: Option<String>,
    earlier: Option<String>,
}

struct System<const FAULT: u8> {
    runtime: Runtime,
    world: World,
    logins: Vec<Held>,
    sessions: Vec<SavedGrant>,
    devices: Vec<DeviceToken>,
    proofs: Vec<(SetupToken, String)>,
    /// Whose backup code it is, and the code.
    backups: Vec<(Who, String)>,
}

impl<const FAULT: u8> System<FAULT> {
    fn new() -> Self {
        // Longer than any story: the reference knows no end of a session by its age.
        Self::with_sessions(400 * DAY)
    }

    fn with_sessions(lifetime: Duration) -> Self {
        let runtime = Builder::new_current_thread().build().unwrap();
        let numbers = |builder: LoginFlowBuilder| {
            builder
                .max_wrong_codes(reference::WRONG_CODES)
                .suspend_after(reference::SUSPEND)
                .rolling_wrong_code_limit(reference::PER_MONTH)
                .refills_per_month(reference::REFILLS)
                .lockout(Duration::from_secs(reference::LOCK), DAY)
                .wrong_passwords(reference::WRONG_PASSWORDS)
                .password_lock(MINUTE, 15 * MINUTE)
                .pending_logins(2)
                .sends_per_login(reference::SENDS_PER_LOGIN)
                .sends_per_hour(3)
                .sends_per_day(4)
                .trusted_devices(DAY, 2)
                .session_lifetime(lifetime)
                .policy(FaultyPolicy::<FAULT>)
        };
        let mut world = World::off_with(numbers);
        world.flow =
            steps::flow_over(&world, Wrapped(Faulty::<FAULT>(world.factors.clone())), numbers);
        let system = Self {
            runtime,
            world,
            logins: Vec::new(),
            sessions: Vec::new(),
            devices: Vec::new(),
            proofs: Vec::new(),
            backups: Vec::new(),
        };
        system.runtime.block_on(system.set_scope(Tenant::Acme, Scope::EntireTenant));
        system
    }

    fn ids(&self, (tenant, person): Who) -> (&TenantId, &UserId) {
        let tenant = match tenant {
            Tenant::Acme => &self.world.acme,
            Tenant::Other => &self.world.other,
        };
        (tenant, if person == Person::Alice { &self.world.alice } else { &self.world.bob })
    }

    /// What was sent last. The administrator's own codes come in between, and are used up at once.
    fn last_code(&self) -> String {
        self.world.last_code()
    }

    async fn act(&mut self, act: &Act, state: &Reference) -> Answer {
        let flow = self.world.flow.clone();
        match *act {
            Act::Begin { who, door, right, device } => {
                let password = if right { password_of(state, who) } else { "wrong".to_owned() };
                let (tenant, user) = self.ids(who);
                let device = device.map(|device| &self.devices[device]);
                let step = self
                    .world
                    .begin_as(tenant, user.as_str(), &password, channel(door), device)
                    .await
                    .unwrap();
                self.answered(who, None, step)
            }
            Act::Unknown(tenant) => {
                let (tenant, _) = self.ids((tenant, Person::Alice));
                let step = self
                    .world
                    .begin_as(tenant, "nobody", PASSWORD, Channel::Web, None)
                    .await
                    .unwrap();
                self.answered(EVERYBODY[0], None, step)
            }
            Act::Code { login, typed, trust } => {
                let held = &self.logins[login];
                let newest = held.code.clone().unwrap_or_else(|| "000000".into());
                let code = match typed {
                    Typed::Right => newest,
                    Typed::Earlier => held.earlier.clone().unwrap(),
                    Typed::Wrong => {
                        format!("{:06}", (newest.parse::<u32>().unwrap() + 1) % 1_000_000)
                    }
                };
                let trust = if trust { TrustDevice::Named("laptop") } else { TrustDevice::No };
                let step = flow
                    .request(self.ids(held.who).0, &RequestContext::new())
                    .submit_code(&held.token, &Code::new(code), trust)
                    .await
                    .unwrap();
                self.answered(held.who, Some(login), step)
            }
            Act::Astray { login } => {
                let held = &self.logins[login];
                let elsewhere =
                    if held.who.0 == Tenant::Acme { Tenant::Other } else { Tenant::Acme };
                let code = Code::new(held.code.clone().unwrap_or_else(|| "000000".into()));
                let tenant = self.ids((elsewhere, held.who.1)).0;
                let step = flow
                    .request(tenant, &RequestContext::new())
                    .submit_code(&held.token, &code, TrustDevice::No)
                    .await
                    .unwrap();
                self.answered(held.who, Some(login), step)
            }
            Act::Resend { login, to } => {
                let held = &self.logins[login];
                let to = match to {
                    To::Same => ResendTo::Same,
                    To::Email => ResendTo::Email,
                    To::Sms => ResendTo::Sms,
                };
                let step = flow
                    .request(self.ids(held.who).0, &RequestContext::new())
                    .resend(&held.token, to)
                    .await
                    .unwrap();
                self.answered(held.who, Some(login), step)
            }
            Act::Backup { login, typed } => {
                let held = &self.logins[login];
                let mut own = self
                    .backups
                    .iter()
                    .rev()
                    .filter(|(who, _)| *who == held.who)
                    .map(|(_, code)| code);
                let code = match typed {
                    Typed::Right => own.next().unwrap().clone(),
                    Typed::Earlier => {
                        own.nth(1).map_or_else(|| self.backups[0].1.clone(), Clone::clone)
                    }
                    Typed::Wrong => "0000-0000-0000-0000-0000-0000".to_owned(),
                };
                let tenant = self.ids(held.who).0;
                let step = flow
                    .request(tenant, &RequestContext::new())
                    .submit_backup_code(&held.token, &code.as_str().into())
                    .await
                    .unwrap();
                self.answered(held.who, Some(login), step)
            }
            Act::Cancel { login } => {
                let held = &self.logins[login];
                flow.request(self.ids(held.who).0, &RequestContext::new())
                    .cancel(&held.token)
                    .await
                    .unwrap();
                Answer::Done
            }
            _ => self.act_inside(act, state).await,
        }
    }

    /// What somebody does in a session, and what administrators and the host do.
    async fn act_inside(&mut self, act: &Act, state: &Reference) -> Answer {
        let flow = self.world.flow.clone();
        let tenant = match *act {
            Act::NewBackup { session }
            | Act::UseSms { session }
            | Act::UseEmail { session }
            | Act::Confirm { session, .. }
            | Act::RevokeDevices { session }
            | Act::Revalidate { session } => self.sessions[session].tenant().clone(),
            _ => self.world.acme.clone(),
        };
        match *act {
            Act::NewBackup { session } => {
                let made = flow
                    .request(&tenant, &RequestContext::new())
                    .account(&self.sessions[session])
                    .new_backup_code()
                    .await;
                let who = self.who(session);
                or_denied(made.map(|code| {
                    self.backups.push((who, code.expose().to_owned()));
                    Answer::Done
                }))
            }
            Act::UseSms { session } => {
                let number = PhoneNumber::new("+819012345634").unwrap();
                let started = flow
                    .request(&tenant, &RequestContext::new())
                    .account(&self.sessions[session])
                    .use_sms(&number)
                    .await;
                or_denied(started.map(|challenge| self.proving(challenge)))
            }
            Act::UseEmail { session } => {
                let started = flow
                    .request(&tenant, &RequestContext::new())
                    .account(&self.sessions[session])
                    .use_email()
                    .await;
                or_denied(started.map(|started| match started {
                    MethodChange::Done(method) => Answer::Changed(method),
                    MethodChange::Prove(challenge) => self.proving(challenge),
                }))
            }
            Act::Confirm { session, proof, right } => {
                let (token, code) = &self.proofs[proof];
                let code = if right {
                    code.clone()
                } else {
                    format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000)
                };
                let confirmed = flow
                    .request(&tenant, &RequestContext::new())
                    .account(&self.sessions[session])
                    .confirm_method(token, &Code::new(code))
                    .await;
                or_denied(confirmed.map(Answer::Changed))
            }
            Act::RevokeDevices { session } => or_denied(
                flow.request(&tenant, &RequestContext::new())
                    .account(&self.sessions[session])
                    .revoke_devices()
                    .await
                    .map(|_| Answer::Done),
            ),
            Act::Revalidate { session } => {
                match flow
                    .request(&tenant, &RequestContext::new())
                    .revalidate(&self.sessions[session], self.sessions[session].channel())
                    .await
                {
                    Ok(_) => Answer::Valid,
                    Err(error) => Answer::Stale(error.staleness().unwrap()),
                }
            }
            Act::SetScope(tenant, scope) => {
                self.set_scope(tenant, scope).await;
                Answer::Done
            }
            Act::Reset(who) => {
                let (tenant, user) = self.ids(who);
                let outcome = flow.operator("story").unwrap().reset(tenant, user).await.unwrap();
                Answer::Reset { refilled: outcome == ResetOutcome::Refilled }
            }
            Act::Unlock(who) => {
                let (tenant, user) = self.ids(who);
                or_denied(
                    flow.operator("story")
                        .unwrap()
                        .unlock(tenant, user)
                        .await
                        .map(|()| Answer::Done),
                )
            }
            Act::Promote(who) | Act::Disable(who) | Act::ChangePassword(who) => {
                let (tenant, user) = self.ids(who);
                let host = &state.hosts[&who];
                let changed = self.world.users.change(tenant, user, |user| {
                    user.system_administrator = host.administrator;
                    user.status =
                        if host.active { UserStatus::Active } else { UserStatus::Disabled };
                    user.password_hash =
                        Some(countersign::user::PasswordHash::new(password_of(state, who)));
                });
                changed.unwrap();
                Answer::Nothing
            }
            Act::Wait(seconds) => {
                self.world.clock.advance(Duration::from_secs(seconds));
                Answer::Nothing
            }
            _ => unreachable!("a step of a login"),
        }
    }

    fn who(&self, session: usize) -> Who {
        let grant = &self.sessions[session];
        let tenant = if *grant.tenant() == self.world.acme { Tenant::Acme } else { Tenant::Other };
        (tenant, if *grant.user() == self.world.alice { Person::Alice } else { Person::Bob })
    }

    fn proving(&mut self, challenge: SetupChallenge) -> Answer {
        let method = challenge.delivery.sent().unwrap().method;
        self.proofs.push((challenge.token, self.last_code()));
        Answer::Proving(method)
    }

    /// Keeps what a browser would keep, and says what a person would see.
    fn answered(&mut self, who: Who, login: Option<usize>, step: LoginStep) -> Answer {
        match step {
            LoginStep::Denied(denied) => match denied.attempts_left() {
                Some(left) => Answer::Wrong(denied.reason(), left),
                None => Answer::Denied(denied.reason()),
            },
            LoginStep::CodeRequired(challenge) => {
                let sent = challenge.delivery.sent().map(|code| code.method);
                let code = sent.map(|_| self.last_code());
                if let Some(login) = login {
                    let held = &mut self.logins[login];
                    held.earlier = std::mem::replace(&mut held.code, code).or(held.earlier.take());
                    held.token = challenge.token;
                } else {
                    self.logins.push(Held { who, token: challenge.token, code, earlier: None });
                }
                Answer::Asked { sent, left: challenge.attempts_left }
            }
            LoginStep::Authenticated(authenticated) => {
                let how = match authenticated.grant.second_factor() {
                    SecondFactor::Code { method } => How::Code(*method),
                    SecondFactor::BackupCode => How::BackupCode,
                    SecondFactor::TrustedDevice { .. } => How::Device,
                    SecondFactor::Exempt { exemption } => How::Exempt(why(exemption)),
                    basis => panic!("{basis:?} is no way in"),
                };
                self.devices.extend(authenticated.device_token);
                self.backups
                    .extend(authenticated.backup_code.map(|code| (who, code.expose().to_owned())));
                self.sessions.push(authenticated.grant.into_saved());
                assert_eq!(self.who(self.sessions.len() - 1), who, "I-03");
                Answer::In(how)
            }
        }
    }

    /// As the tenant's administrator, who begins from nothing each time. What switching off has
    /// left behind is deleted at once.
    async fn set_scope(&self, tenant: Tenant, scope: Scope) {
        let flow = &self.world.flow;
        let (tenant, root) = (self.ids((tenant, Person::Alice)).0, &self.world.root);
        let _ = flow.operator("story").unwrap().reset_and_refill(tenant, root).await.unwrap();
        let mut step =
            self.world.begin_as(tenant, "root", PASSWORD, Channel::Web, None).await.unwrap();
        if let LoginStep::CodeRequired(challenge) = &step {
            let code = Code::new(self.last_code());
            step = flow
                .request(tenant, &RequestContext::new())
                .submit_code(&challenge.token, &code, TrustDevice::No)
                .await
                .unwrap();
        }
        let grant = authenticated(step).grant;
        let before = flow
            .request(tenant, &RequestContext::new())
            .administration(&grant)
            .await
            .unwrap()
            .set_scope(scope)
            .await
            .unwrap();
        if scope == Scope::DoNotUse && before != scope {
            while flow.purge(tenant, 1).await.unwrap().unwrap().finished_at.is_none() {}
            assert_eq!(self.world.factors.records(tenant), 0, "I-27");
        }
    }
}

impl<const FAULT: u8> StateMachineTest for System<FAULT> {
    type SystemUnderTest = Self;
    type Reference = Stories;

    fn init_test(_: &Reference) -> Self {
        Self::new()
    }

    fn apply(mut system: Self, state: &Reference, act: Act) -> Self {
        system.world.clock.advance(Duration::from_secs(1));
        let runtime = Builder::new_current_thread().build().unwrap();
        let answer = runtime.block_on(system.act(&act, state));
        assert_eq!(answer, state.answer, "{act:?}");
        system
    }

    /// What an administrator sees of everybody is what the maps say, and exactly so many codes went
    /// out.
    fn check_invariants(system: &Self, state: &Reference) {
        let mut state = state.clone();
        let flow = &system.world.flow;
        for who in EVERYBODY {
            state.expire(who);
            let (tenant, user) = system.ids(who);
            let operator = flow.operator("story").unwrap();
            let seen = system.runtime.block_on(operator.status(tenant, user)).unwrap().unwrap();
            let factor = state.factors.get(&who).cloned().unwrap_or_default();
            assert_eq!(
                seen.method,
                if factor.sms { Method::Sms } else { Method::Email },
                "{who:?}"
            );
            let devices = if state.same_password(who) { factor.devices.len() } else { 0 };
            assert_eq!(seen.devices.len(), devices, "{who:?}");
            assert_eq!(seen.backup_code_made_at.is_some(), factor.backup.is_some(), "{who:?}");
            assert_eq!([gate(&seen.passwords), gate(&seen.codes)], state.gates(who), "{who:?}");
        }
        let sent = system
            .world
            .outbox
            .codes()
            .iter()
            .filter(|sent| sent.user != system.world.root)
            .count();
        assert_eq!(sent, state.sent, "I-15");
    }
}

/// From `COUNTERSIGN_SEED`: a number, or `random` to explore. An ordinary run plays the same
/// stories each time, so that one commit has one result.
fn runner(stories: u32) -> TestRunner {
    let seed: u64 = match std::env::var("COUNTERSIGN_SEED").as_deref() {
        Err(_) => 1,
        Ok("random") => SysRng.try_next_u64().unwrap(),
        Ok(seed) => seed.parse().unwrap(),
    };
    println!("COUNTERSIGN_SEED={seed}");
    let bytes: Vec<u8> = seed.to_le_bytes().repeat(4);
    let config = Config { cases: stories, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// Plays stories until both sides differ. The shortest story that shows it, if they do.
fn play<const FAULT: u8>(
    stories: u32,
    met: &Mutex<BTreeMap<String, u32>>,
) -> Result<(), TestError<Vec<Act>>> {
    let mut runner = runner(stories);
    let played = runner.run(&Stories::sequential_strategy(10..60), |(start, acts, seen)| {
        let mut state = start.clone();
        for act in &acts {
            state.act(act);
            let name = format!("{:?}", state.answer);
            *met.lock().unwrap().entry(name).or_default() += 1;
        }
        System::<FAULT>::test_sequential(Config::default(), start, acts, seen);
        Ok(())
    });
    played.map_err(|error| match error {
        TestError::Abort(reason) => TestError::Abort(reason),
        TestError::Fail(reason, (_, acts, _)) => TestError::Fail(reason, acts),
    })
}

#[test]
fn the_flow_answers_as_the_behaviour_table_says() {
    let stories =
        std::env::var("COUNTERSIGN_STORIES").map_or(512, |number| number.parse().unwrap());
    let met = Mutex::default();
    if let Err(error) = play::<SOUND>(stories, &met) {
        panic!("{error}");
    }
    let met = met.into_inner().unwrap();
    for (answer, times) in &met {
        println!("{times:6} {answer}");
    }
    // Agreement about nothing shows nothing.
    for answer in [
        "In(Code(Email))",
        "In(BackupCode)",
        "In(Device)",
        "In(Exempt(ScopeOff))",
        "In(Exempt(NotAdministrator))",
        "In(Exempt(NotInteractive(SingleSignOn)))",
        "In(Exempt(NotInteractive(Integration)))",
        "In(Exempt(NotInteractive(Api)))",
        "Wrong(WrongCode, 0)",
        "Wrong(WrongBackupCode, 1)",
        "Denied(CodesLocked)",
        "Denied(InvalidCredentials)",
        "Denied(LoginOver)",
        "Denied(NoLiveCode)",
        "Denied(SendLimit)",
        "Denied(SessionStale)",
        "Denied(Suspended)",
        "Denied(ResetRequired)",
        "Denied(TooManyLogins)",
        "Changed(Sms)",
        "Stale(DeviceRevoked)",
        "Stale(Reset)",
        "Reset { refilled: true }",
        "Reset { refilled: false }",
        "Stale(SecondFactorRequired)",
    ] {
        assert!(met.contains_key(answer) || stories < 512, "no story came to {answer}");
    }
}

/// The shortest story that tells a fault from what is right.
fn told<const FAULT: u8>() -> Vec<Act> {
    match play::<FAULT>(4096, &Mutex::default()) {
        Err(TestError::Fail(_, acts)) => acts,
        other => panic!("no story shows the fault: {other:?}"),
    }
}

#[test]
fn faults_make_short_stories() {
    for (fault, story) in [
        ("a reset that keeps", told::<RESET_KEEPS>()),
        ("a lost count", told::<COUNT_LOST>()),
        ("an ignored generation", told::<GENERATION_IGNORED>()),
        ("an ignored role", told::<ROLE_IGNORED>()),
    ] {
        println!("{fault}, {} acts: {story:?}", story.len());
        // That the fault is found is `told`'s to say. Shrinking drops acts one at a time and does
        // not find the shortest story for every seed: a third of the longest story is what a reader
        // can still follow.
        assert!(story.len() <= 20, "{fault}: {story:?}");
    }
}

/// What a person who gets it all right meets, so that the table itself is tested: not only that
/// both sides agree.
#[test]
fn the_reference_lets_people_in() {
    let alice = EVERYBODY[0];
    let mut state = Reference::new();
    let mut play = |act: Act| {
        assert!(state.possible(&act));
        state.act(&act);
        state.answer.clone()
    };
    let begin = Act::Begin { who: alice, door: Door::Web, right: true, device: None };
    assert_eq!(play(begin.clone()), Answer::Asked { sent: Some(Method::Email), left: 2 });
    let right = Act::Code { login: 0, typed: Typed::Right, trust: true };
    assert_eq!(play(right.clone()), Answer::In(How::Code(Method::Email)));
    assert_eq!(play(right), Answer::Denied(Reason::LoginOver));
    assert_eq!(
        play(Act::Begin { who: alice, door: Door::Mobile, right: true, device: Some(0) }),
        Answer::In(How::Device)
    );
    let by_api = Act::Begin { who: alice, door: Door::Api, right: true, device: None };
    assert_eq!(play(by_api), Answer::In(How::Exempt(Why::NotInteractive(Door::Api))));
    play(Act::SetScope(Tenant::Acme, Scope::DoNotUse));
    assert_eq!(play(begin), Answer::In(How::Exempt(Why::ScopeOff)));
}
