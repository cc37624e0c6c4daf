//! Any list of actions against a flow: nobody is let in but by what lets them in, and budgets hold.

use std::collections::BTreeMap;
use std::time::Duration;

use arbitrary::Arbitrary;
use countersign::memory::MemoryFactors;
use countersign::{RequestContext, BackupCode, Channel, Code, DeviceToken, Error, Grant, Login, LoginStep, MethodChange, PendingToken, Reason, OperationError, LockOuts, Rehearsal, ResendTo, SavedGrant, Scope, SecondFactor, SetupToken, TenantSettings, TrustDevice, UserId};
use countersign::clock::Clock as _;
use countersign::contact::PhoneNumber;
use countersign::tenant::{Lockout, SingleSignOn, TrustedDevices};
use countersign::user::{PasswordHash, UserStatus};
use countersign_testkit::{Person, SeededEntropy, World};
use futures_lite::future::block_on;
use time::OffsetDateTime;

/// Wrong codes in any 30 days: the default.
const ROLLING: usize = 20;
const WINDOW: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Who acts or is acted on.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    Root,
    Alice,
    Bob,
}

/// A code to enter.
#[derive(Arbitrary, Clone, Debug)]
pub enum Typed {
    /// The newest that was sent for the login.
    Newest,
    /// One that was sent to somebody at some time.
    Earlier(u8),
    Number(u32),
    Text(String),
}

/// One step by somebody.
#[derive(Arbitrary, Clone, Debug)]
pub enum Action {
    Begin { who: Who, right: bool, channel: u8, device: Option<u8> },
    Submit { login: u8, typed: Typed, trust: bool },
    SubmitBackup { login: u8, who: Who },
    Resend { login: u8, to: u8 },
    Cancel { login: u8 },
    Wait { seconds: u32 },
    StepBack { seconds: u16 },
    NewBackupCode { who: Who },
    UseSms { who: Who, number: u8 },
    UseEmail { who: Who },
    Confirm { who: Who, typed: Typed },
    RevokeDevices { who: Who },
    SetScope { by: Who, scope: u8 },
    Reset { by: Who, user: Who },
    Unlock { by: Who, user: Who },
    OperatorResets { user: Who },
    Purge,
    Promote { who: Who, administrator: bool },
    Disable { who: Who, disabled: bool },
    ChangePassword { who: Who },
    SingleSignOn { who: Who },
    ChangeSettings { by: Who, what: u8, wrong_codes: u8 },
    Rehearse { by: Who, what: u8 },
}

/// The settings with this changed.
fn changed(now: &TenantSettings, what: u8, wrong_codes: u8) -> TenantSettings {
    let mut next = *now;
    match what % 6 {
        0 => next.methods.sms = !next.methods.sms,
        1 => next.methods.email = !next.methods.email,
        2 => next.backup_codes = !next.backup_codes,
        3 => {
            next.trusted_devices = match next.trusted_devices {
                TrustedDevices::Off => TrustedDevices::AsApplication,
                _ => TrustedDevices::Off,
            };
        }
        4 => {
            next.single_sign_on = match next.single_sign_on {
                SingleSignOn::Exempt => SingleSignOn::SystemAdministrators,
                SingleSignOn::SystemAdministrators => SingleSignOn::Exempt,
            };
        }
        _ => {
            let first = Duration::from_secs(600);
            next.lockout = Some(Lockout { wrong_codes: wrong_codes.into(), first, longest: first });
        }
    }
    next
}

struct Play {
    world: World,
    logins: Vec<(Who, String)>,
    devices: Vec<(Who, String)>,
    backups: BTreeMap<Who, String>,
    grants: BTreeMap<Who, SavedGrant>,
    setups: BTreeMap<Who, String>,
    /// When wrong codes were learned of, since the counters were last cleared by a reset.
    learned: BTreeMap<Who, Vec<OffsetDateTime>>,
    /// Codes that let somebody in: none does so again, unless another of the same digits was sent
    /// since.
    used: Vec<(String, String)>,
    passwords: u32,
}

/// Plays the list. A flow whose plug-ins are sound answers every step, and breaks no promise.
pub fn play(actions: &[Action]) {
    let world = World::with(MemoryFactors::new(), "acme", |b| {
        b.entropy(SeededEntropy::new(3)).trusted_devices(Duration::from_secs(7 * 86_400), 2)
    })
    .unwrap();
    let mut world = world;
    let users = world.users.clone();
    world.flow = world
        .flow_over(MemoryFactors::new(), |b| {
            b.entropy(SeededEntropy::new(3))
                .trusted_devices(Duration::from_secs(7 * 86_400), 2)
                .directory(users)
        })
        .unwrap();
    let mut play = Play {
        world,
        logins: Vec::new(),
        devices: Vec::new(),
        backups: BTreeMap::new(),
        grants: BTreeMap::new(),
        setups: BTreeMap::new(),
        learned: BTreeMap::new(),
        used: Vec::new(),
        passwords: 0,
    };
    block_on(async {
        play.world.set_scope(Scope::EntireTenant).await.unwrap();
        for action in actions.iter().take(200) {
            play.act(action).await;
        }
    });
}

impl Play {
    async fn act(&mut self, action: &Action) {
        match action {
            Action::Begin { who, right, channel, device } => self.begin(*who, *right, *channel, *device).await,
            Action::Submit { login, typed, trust } => self.submit(*login, typed, *trust).await,
            Action::SubmitBackup { login, who } => self.submit_backup(*login, *who).await,
            Action::Resend { login, to } => self.resend(*login, *to).await,
            Action::Cancel { login } => {
                let Some((_, token)) = self.login(*login) else { return };
                self.world.flow.request(&self.world.tenant, &RequestContext::new()).cancel(&PendingToken::new(token)).await.unwrap();
            }
            Action::Wait { seconds } => self.world.clock.advance(Duration::from_secs(u64::from(seconds % 5_000_000))),
            Action::StepBack { seconds } => {
                let now = self.world.clock.now().unwrap();
                self.world.clock.set(now - Duration::from_secs(u64::from(*seconds)));
            }
            Action::Promote { who, administrator } => {
                self.change(*who, |user| user.system_administrator = *administrator)
            }
            Action::Disable { who, disabled } => {
                let status = if *disabled { UserStatus::Disabled } else { UserStatus::Active };
                self.change(*who, |user| user.status = status);
            }
            Action::ChangePassword { who } => {
                // To another and back: what rested on the first is over.
                self.passwords += 1;
                let hash = PasswordHash::new(format!("{} {}", Person::PASSWORD, self.passwords));
                self.change(*who, |user| user.password_hash = Some(hash));
            }
            Action::SingleSignOn { who } => self.single_sign_on(*who).await,
            other => self.manage(other).await,
        }
    }

    async fn settings(&self) -> TenantSettings {
        let operator = self.world.flow.operator("T-1").unwrap();
        operator.settings(&self.world.tenant).await.unwrap().settings
    }

    /// `I-43`: it claims no password, and hands out no device token.
    async fn single_sign_on(&mut self, who: Who) {
        let required = self.settings().await.single_sign_on == SingleSignOn::SystemAdministrators
            && self.user(who).system_administrator;
        let request = self.world.flow.request(&self.world.tenant, &RequestContext::new());
        match request.begin_after_single_sign_on(&id(who)).await.unwrap() {
            LoginStep::Authenticated(done) => {
                assert!(!required && self.user(who).status == UserStatus::Active, "I-35: {who:?}");
                assert!(done.grant.amr().is_empty() && done.device_token.is_none(), "I-43");
            }
            LoginStep::CodeRequired(challenge) => {
                assert!(required && !challenge.trust_device, "I-43: {who:?}");
                self.logins.push((who, challenge.token.expose().to_owned()));
            }
            LoginStep::Denied(_) => {}
        }
    }

    async fn begin(&mut self, who: Who, right: bool, channel: u8, device: Option<u8>) {
        let channel = [Channel::Web, Channel::Mobile, Channel::SingleSignOn, Channel::ExemptIntegration, Channel::ExemptApi]
            [usize::from(channel % 5)];
        let device = device.and_then(|nth| pick(&self.devices, nth));
        let saved = self.user(who).password_hash.unwrap();
        let password = if right { saved.expose() } else { "wrong" }.into();
        let token = device.as_ref().map(|(_, token)| DeviceToken::new(token.as_str()));
        let name = name(who);
        let login = Login { name, password: &password, channel, device: token.as_ref() };
        match self.world.flow.request(&self.world.tenant, &RequestContext::new()).begin(&login).await.unwrap() {
            LoginStep::Authenticated(done) => {
                assert!(right && self.user(who).status == UserStatus::Active);
                let exempt = !self.needs_a_code(who).await || !matches!(channel, Channel::Web | Channel::Mobile);
                let by_device = device.is_some_and(|(owner, _)| owner == who);
                assert!(exempt || by_device, "I-01: {who:?} {channel:?}");
                self.grants.insert(who, done.grant.into_saved());
            }
            LoginStep::CodeRequired(challenge) => {
                assert!(right, "I-18");
                self.logins.push((who, challenge.token.expose().to_owned()));
            }
            LoginStep::Denied(_) => {}
        }
    }

    async fn submit(&mut self, login: u8, typed: &Typed, trust: bool) {
        let Some((who, token)) = self.login(login) else { return };
        let typed = self.typed(who, typed);
        let trust = if trust { TrustDevice::Named("device") } else { TrustDevice::No };
        let (flow, tenant) = (&self.world.flow, &self.world.tenant);
        let step =
            flow.request(tenant, &RequestContext::new()).submit_code(&PendingToken::new(token.as_str()), &Code::new(typed.as_str()), trust).await;
        match step.unwrap() {
            LoginStep::Authenticated(done) => {
                let sent = self.world.outbox.codes();
                assert!(sent.iter().any(|sent| sent.user == id(who) && digits(&typed) == sent.code), "I-01: {typed}");
                let used = (token, digits(&typed));
                assert!(!self.used.contains(&used), "I-05");
                self.used.push(used);
                assert_eq!(self.user(who).status, UserStatus::Active, "I-25");
                let sso = done.grant.channel() == Channel::SingleSignOn;
                assert!(sso != done.grant.amr().contains(&"pwd"), "I-43");
                assert!(!sso || done.device_token.is_none(), "I-43");
                if let SecondFactor::Code { method } = done.grant.second_factor() {
                    assert!(self.settings().await.methods.allow(*method), "I-50");
                }
                if let Some(device) = &done.device_token {
                    self.devices.push((who, device.expose().to_owned()));
                }
                self.granted(who, done.grant);
            }
            LoginStep::Denied(denied) if denied.reason() == Reason::WrongCode => self.charge(who),
            LoginStep::Denied(_) => {}
            LoginStep::CodeRequired(_) => panic!("a code is no reason for another"),
        }
    }

    /// `I-09`, `I-12`: no more wrong codes are learned of than the budget has.
    fn charge(&mut self, who: Who) {
        let now = self.world.clock.now().unwrap();
        let learned = self.learned.entry(who).or_default();
        // A clock that was ahead for a moment ends the budget's days for good: SECURITY.md says so.
        learned.retain(|at| now < *at + WINDOW);
        learned.push(now);
        assert!(learned.len() <= ROLLING, "I-12: {who:?} {}", learned.len());
    }

    async fn submit_backup(&mut self, login: u8, whose: Who) {
        let (Some((who, token)), Some(code)) = (self.login(login), self.backups.get(&whose).cloned()) else { return };
        let (flow, tenant) = (&self.world.flow, &self.world.tenant);
        let step = flow.request(tenant, &RequestContext::new()).submit_backup_code(&PendingToken::new(token), &BackupCode::new(code.as_str())).await;
        if let LoginStep::Authenticated(done) = step.unwrap() {
            assert_eq!(who, whose, "I-31");
            let next = done.backup_code.as_ref().expect("the successor is shown").expose().to_owned();
            assert_ne!(next, code, "I-31");
            self.backups.insert(who, next);
            self.granted(who, done.grant);
        }
    }

    async fn resend(&mut self, login: u8, to: u8) {
        let Some((_, token)) = self.login(login) else { return };
        let to = [ResendTo::Same, ResendTo::Email, ResendTo::Sms][usize::from(to % 3)];
        let before = self.world.outbox.attempts();
        let step = self.world.flow.request(&self.world.tenant, &RequestContext::new()).resend(&PendingToken::new(token), to).await.unwrap();
        let sent = self.world.outbox.attempts() - before;
        assert_eq!(sent, usize::from(matches!(step, LoginStep::CodeRequired(_))), "I-15");
        assert!(!matches!(step, LoginStep::Authenticated(_)));
    }

    /// The account page's, the administrator's and the operator's steps.
    async fn manage(&mut self, action: &Action) {
        let (flow, tenant) = (self.world.flow.clone(), self.world.tenant.clone());
        let request = flow.request(&tenant, &RequestContext::new());
        match action {
            Action::NewBackupCode { who } => {
                let Some(grant) = self.grants.get(who) else { return };
                if let Some(code) = answered(request.account(grant).new_backup_code().await) {
                    self.backups.insert(*who, code.expose().to_owned());
                }
            }
            Action::UseSms { who, number } => {
                let Some(grant) = self.grants.get(who) else { return };
                let number = PhoneNumber::new(&format!("+8190123456{:02}", number % 100)).unwrap();
                if let Some(setup) = answered(request.account(grant).use_sms(&number).await) {
                    self.setups.insert(*who, setup.token.expose().to_owned());
                }
            }
            Action::UseEmail { who } => {
                let Some(grant) = self.grants.get(who) else { return };
                if let Some(MethodChange::Prove(setup)) = answered(request.account(grant).use_email().await) {
                    self.setups.insert(*who, setup.token.expose().to_owned());
                }
            }
            Action::Confirm { who, typed } => {
                let (Some(grant), Some(token)) = (self.grants.get(who), self.setups.get(who)) else { return };
                let typed = self.typed(*who, typed);
                let (token, code) = (SetupToken::new(token.as_str()), Code::new(typed.as_str()));
                let _ = answered(request.account(grant).confirm_method(&token, &code).await);
            }
            Action::RevokeDevices { who } => {
                let Some(grant) = self.grants.get(who) else { return };
                if answered(request.account(grant).revoke_devices().await).is_some() {
                    self.devices.retain(|(owner, _)| owner != who);
                }
            }
            Action::SetScope { by, scope } => {
                let scope =
                    [Scope::DoNotUse, Scope::EntireTenant, Scope::SystemAdministratorsOnly][usize::from(scope % 3)];
                let Some(administration) = self.administration(&flow, *by).await else { return };
                let Some(shown) = answered(administration.settings().await) else { return };
                let mut next = shown.settings;
                next.scope = scope;
                let changed = administration.change_settings(shown.version, &next, LockOuts::Accept).await;
                if answered(changed).is_some() && scope == Scope::DoNotUse {
                    // I-27: everything is gone.
                    self.learned.clear();
                    self.backups.clear();
                    self.devices.clear();
                }
            }
            Action::ChangeSettings { by, what, wrong_codes } => {
                let Some(administration) = self.administration(&flow, *by).await else { return };
                let Some(shown) = answered(administration.settings().await) else { return };
                let next = changed(&shown.settings, *what, *wrong_codes);
                let changed =
                    administration.change_settings(shown.version, &next, LockOuts::Accept).await;
                if answered(changed).is_some() {
                    let lockout = next.lockout.is_none_or(|lockout| (3..=10).contains(&lockout.wrong_codes));
                    assert!(lockout && !next.methods.is_empty(), "I-42: {next:?}");
                    if !next.backup_codes {
                        self.backups.clear();
                    }
                    if next.scope == Scope::DoNotUse && next.single_sign_on == SingleSignOn::Exempt {
                        self.learned.clear();
                    }
                }
            }
            Action::Rehearse { by, what } => {
                let Some(administration) = self.administration(&flow, *by).await else { return };
                let Some(shown) = answered(administration.settings().await) else { return };
                let next = changed(&shown.settings, *what, 5);
                let found = administration.rehearse(&next, Rehearsal::default(), 10).await;
                assert!(answered(found).is_none_or(|found| found.people <= 3));
                assert_eq!(self.settings().await, shown.settings, "I-44");
            }
            Action::Reset { by, user } => {
                let Some(administration) = self.administration(&flow, *by).await else { return };
                if answered(administration.reset(&id(*user)).await).is_some() {
                    assert_ne!(by, user, "I-34");
                    self.cleared(*user);
                }
            }
            Action::Unlock { by, user } => {
                let Some(administration) = self.administration(&flow, *by).await else { return };
                if answered(administration.unlock(&id(*user)).await).is_some() {
                    self.learned.remove(user);
                }
            }
            Action::OperatorResets { user } => {
                let _ = flow.operator("T-1").unwrap().reset(&tenant, &id(*user)).await.unwrap();
                self.cleared(*user);
            }
            _ => {
                let _ = flow.purge(&tenant, 100).await.unwrap();
            }
        }
    }

    /// `I-26`: nothing of before a reset is of use, and the next guesses begin anew.
    fn cleared(&mut self, who: Who) {
        self.learned.remove(&who);
        self.backups.remove(&who);
        self.devices.retain(|(owner, _)| *owner != who);
        self.logins.retain(|(owner, _)| *owner != who);
    }

    async fn administration(
        &self,
        flow: &countersign::LoginFlow,
        by: Who,
    ) -> Option<countersign::Administration> {
        let administration = answered(flow.request(&self.world.tenant, &RequestContext::new()).administration(self.grants.get(&by)?).await)?;
        let user = self.user(by);
        assert!(user.system_administrator && user.status == UserStatus::Active, "I-34: {by:?}");
        Some(administration)
    }

    fn granted(&mut self, who: Who, grant: Grant) {
        assert_eq!(*grant.user(), id(who), "I-03");
        self.grants.insert(who, grant.into_saved());
    }

    async fn needs_a_code(&self, who: Who) -> bool {
        match self.world.flow.operator("T-1").unwrap().scope(&self.world.tenant).await.unwrap() {
            Scope::DoNotUse => false,
            Scope::SystemAdministratorsOnly => self.user(who).system_administrator,
            _ => true,
        }
    }

    fn login(&self, nth: u8) -> Option<(Who, String)> {
        pick(&self.logins, nth)
    }

    fn typed(&self, who: Who, typed: &Typed) -> String {
        let sent = self.world.outbox.codes();
        match typed {
            Typed::Newest => {
                sent.iter().rfind(|sent| sent.user == id(who)).map_or_else(String::new, |sent| sent.code.clone())
            }
            Typed::Earlier(nth) => pick(&sent, *nth).map_or_else(String::new, |sent| sent.code),
            Typed::Number(number) => format!("{:06}", number % 1_000_000),
            Typed::Text(text) => text.clone(),
        }
    }

    fn user(&self, who: Who) -> countersign::user::User {
        use countersign::user::UserStore as _;
        block_on(self.world.users.find_by_id(&self.world.tenant, &id(who))).unwrap().unwrap()
    }

    fn change(&self, who: Who, change: impl FnOnce(&mut countersign::user::User)) {
        self.world.users.change(&self.world.tenant, &id(who), change).unwrap();
    }
}

/// The answer, if it is none of the refusals. A fault is a finding: nothing here is broken.
fn answered<T>(answer: Result<T, OperationError>) -> Option<T> {
    match answer {
        Ok(answer) => Some(answer),
        Err(OperationError::Denied(_)) => None,
        Err(OperationError::Failed(fault)) => panic!("{}", shown(&fault)),
    }
}

fn shown(fault: &Error) -> String {
    format!("{fault}: {fault:?}")
}

fn pick<T: Clone>(all: &[T], nth: u8) -> Option<T> {
    all.get(usize::from(nth).checked_rem(all.len())?).cloned()
}

fn name(who: Who) -> &'static str {
    match who {
        Who::Root => "root",
        Who::Alice => "alice",
        Who::Bob => "bob",
    }
}

fn id(who: Who) -> UserId {
    UserId::new(name(who)).unwrap()
}

fn digits(typed: &str) -> String {
    typed.chars().filter_map(crate::digit).collect()
}
