//! A small world to log in to, on any store.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use countersign::clock::ManualClock;
use countersign::contact::{Destination, PhoneNumber};
use countersign::error::PluginError;
use countersign::event::{Event, EventKind, EventSink};
use countersign::memory::MemoryUsers;
use countersign::store::FactorStore;
use countersign::{
    Authenticated, Challenge, Channel, Code, Error, LockOuts, Login, LoginFlow, LoginFlowBuilder,
    LoginStep, PendingToken, Reason, RequestContext, RequestFlow, Scope, TenantId, TrustDevice,
};
use time::OffsetDateTime;

use crate::{Calls, Counting, Outbox, Person, PlainPasswords, SentCode, TenantSetup};

/// One tenant, by default with an administrator `root` and the users `alice` and `bob`, on a store
/// of your choice, with a clock that is moved by hand.
///
/// Everything is public: a test reaches for what it needs. Asynchronous steps answer with a
/// `Result`, so that a failure is unwrapped, and shown, at the test's own line.
///
/// ```
/// # futures_lite::future::block_on(async {
/// use countersign::memory::MemoryFactors;
/// use countersign::{Reason, Scope};
/// use countersign_testkit::{World, authenticated, challenge, reason};
///
/// let world = World::on(MemoryFactors::new())?;
/// world.set_scope(Scope::EntireTenant).await?;
/// let challenge = challenge(world.begin("alice").await?);
/// let refused = world.submit(&challenge.token, &world.wrong_code()).await?;
/// assert_eq!(reason(&refused), Reason::WrongCode);
/// let done = authenticated(world.submit(&challenge.token, &world.last_code()).await?);
/// assert_eq!(done.grant.user().as_str(), "alice");
/// # Ok::<(), countersign::error::PluginError>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct World {
    /// The flow.
    pub flow: LoginFlow,
    /// The application's users.
    pub users: MemoryUsers,
    /// What was sent to them.
    pub outbox: Outbox,
    /// The time.
    pub clock: ManualClock,
    /// What was logged.
    pub events: Events,
    /// The calls of the store, the users and the password check. The sender's are counted by
    /// [`Outbox::attempts`].
    pub calls: Calls,
    /// The tenant.
    pub tenant: TenantId,
}

impl World {
    /// A world on this store, with the default configuration.
    ///
    /// # Errors
    ///
    /// A [`PluginError`] if the configuration is refused.
    pub fn on(factors: impl FactorStore + 'static) -> Result<Self, PluginError> {
        Self::with(factors, "acme", |builder| builder)
    }

    /// A world with a tenant of this name and a configuration of its own.
    ///
    /// # Errors
    ///
    /// A [`PluginError`] if the configuration or the tenant's name is refused.
    pub fn with(
        factors: impl FactorStore + 'static,
        tenant: &str,
        configure: impl FnOnce(LoginFlowBuilder) -> LoginFlowBuilder,
    ) -> Result<Self, PluginError> {
        let (root, alice, bob) =
            (Person::named("root").administrator(), Person::named("alice"), Person::named("bob"));
        Self::of(
            factors,
            TenantSetup::named(tenant).person(root).person(alice).person(bob),
            configure,
        )
    }

    /// A world with a tenant and people of its own. More tenants [`join`](TenantSetup::join) its
    /// [`users`](Self::users).
    ///
    /// # Errors
    ///
    /// A [`PluginError`] if the configuration or something of the tenant is refused.
    pub fn of(
        factors: impl FactorStore + 'static,
        tenancy: TenantSetup,
        configure: impl FnOnce(LoginFlowBuilder) -> LoginFlowBuilder,
    ) -> Result<Self, PluginError> {
        let users = MemoryUsers::new();
        let tenant = tenancy.join(&users)?;
        let (outbox, events, calls) = (Outbox::new(), Events::new(), Calls::new());
        let clock = ManualClock::new(OffsetDateTime::from_unix_timestamp(1_800_000_000)?);
        let factors = Counting::new(factors, &calls);
        let builder = builder(&users, factors, &outbox, &clock, &events, &calls);
        Ok(Self { flow: configure(builder).build()?, users, outbox, clock, events, calls, tenant })
    }

    /// Another flow over the same users, outbox, clock and events: a second node, or the
    /// application after a restart with another store or configuration.
    ///
    /// The calls of its store are not counted, unless you wrap it in [`Counting`].
    ///
    /// # Errors
    ///
    /// A [`PluginError`] if the configuration is refused.
    pub fn flow_over(
        &self,
        factors: impl FactorStore + 'static,
        configure: impl FnOnce(LoginFlowBuilder) -> LoginFlowBuilder,
    ) -> Result<LoginFlow, PluginError> {
        let Self { users, outbox, clock, events, calls, .. } = self;
        let builder = builder(users, factors, outbox, clock, events, calls);
        Ok(configure(builder).build()?)
    }

    /// A request of the tenant, with nothing known about the client.
    pub fn request(&self) -> RequestFlow {
        self.flow.request(&self.tenant, &RequestContext::new())
    }

    /// Sets the tenant's scope, as `root`.
    ///
    /// # Errors
    ///
    /// A [`PluginError`] if it was refused or failed.
    pub async fn set_scope(&self, scope: Scope) -> Result<(), PluginError> {
        let grant = self.sign_in("root").await?.grant;
        let administration = self.request().administration(&grant).await?;
        let shown = self.flow.operator("test kit")?.settings(&self.tenant).await?;
        let mut next = shown.settings;
        next.scope = scope;
        administration.change_settings(shown.version, &next, LockOuts::Accept).await?;
        Ok(())
    }

    /// The first step, by a user of the tenant with the right password.
    ///
    /// # Errors
    ///
    /// An [`Error`] if a plug-in failed.
    pub async fn begin(&self, name: &str) -> Result<LoginStep, Error> {
        let (password, channel) = (&Person::PASSWORD.into(), Channel::Web);
        self.request().begin(&Login { name, password, channel, device: None }).await
    }

    /// The second step, with a code that was sent.
    ///
    /// # Errors
    ///
    /// An [`Error`] if a plug-in failed.
    pub async fn submit(&self, token: &PendingToken, code: &str) -> Result<LoginStep, Error> {
        self.request().submit_code(token, &code.into(), TrustDevice::No).await
    }

    /// The second step, with a backup code.
    ///
    /// # Errors
    ///
    /// An [`Error`] if a plug-in failed.
    pub async fn submit_backup(
        &self,
        token: &PendingToken,
        code: &str,
    ) -> Result<LoginStep, Error> {
        self.request().submit_backup_code(token, &code.into()).await
    }

    /// A whole login, with the code that was sent if one is required.
    ///
    /// # Errors
    ///
    /// A [`PluginError`] if the login was refused or failed.
    pub async fn sign_in(&self, name: &str) -> Result<Authenticated, PluginError> {
        match self.begin(name).await? {
            LoginStep::CodeRequired(challenge) => {
                self.finish(name, &challenge, TrustDevice::No).await
            }
            step => let_in(name, step),
        }
    }

    /// A whole login with the code that was sent, at a device that needs none the next time: the
    /// answer has its token. Trusted devices must be on
    /// ([`LoginFlowBuilder::trusted_devices`]).
    ///
    /// # Errors
    ///
    /// A [`PluginError`] if the login was refused or failed, or needed no code.
    pub async fn sign_in_and_trust(
        &self,
        name: &str,
        device: &str,
    ) -> Result<Authenticated, PluginError> {
        match self.begin(name).await? {
            LoginStep::CodeRequired(challenge) => {
                self.finish(name, &challenge, TrustDevice::Named(device)).await
            }
            step => Err(no_code_required(name, &step)),
        }
    }

    async fn finish(
        &self,
        name: &str,
        challenge: &Challenge,
        trust: TrustDevice<'_>,
    ) -> Result<Authenticated, PluginError> {
        let code = self.code(name, |sent| sent.login == challenge.login)?;
        let_in(name, self.request().submit_code(&challenge.token, &code, trust).await?)
    }

    /// Signs in, and makes SMS to this number the user's method: the number is proved with the code
    /// that arrives there. It [waits](Self::wait_for_the_spacing) twice, so that another code may
    /// be sent directly.
    ///
    /// # Errors
    ///
    /// A [`PluginError`] if a step was refused or failed.
    pub async fn choose_sms(&self, name: &str, number: &str) -> Result<(), PluginError> {
        let account = self.request().account(&self.sign_in(name).await?.grant);
        self.wait_for_the_spacing();
        let number = PhoneNumber::new(number)?;
        let setup = account.use_sms(&number).await?;
        let code = self.code(name, |sent| sent.to == Destination::Sms(number.clone()))?;
        account.confirm_method(&setup.token, &code).await?;
        self.wait_for_the_spacing();
        Ok(())
    }

    /// Signs in and makes a backup code. It [waits](Self::wait_for_the_spacing) once, so that
    /// another code may be sent directly.
    ///
    /// # Errors
    ///
    /// A [`PluginError`] if a step was refused or failed.
    pub async fn make_backup_code(&self, name: &str) -> Result<String, PluginError> {
        let account = self.request().account(&self.sign_in(name).await?.grant);
        self.wait_for_the_spacing();
        Ok(account.new_backup_code().await?.expose().to_owned())
    }

    /// Enters wrong codes until the user's codes are locked, and answers with the login. It stays
    /// pending, and its right code is refused during the lockout.
    ///
    /// # Errors
    ///
    /// A [`PluginError`] if a step failed or no code was required.
    pub async fn lock_codes(&self, name: &str) -> Result<Box<Challenge>, PluginError> {
        let challenge = match self.begin(name).await? {
            LoginStep::CodeRequired(challenge) => challenge,
            step => return Err(no_code_required(name, &step)),
        };
        let wrong = self.code(name, |sent| sent.login == challenge.login)?;
        let wrong = other_code(wrong.expose());
        for _ in 0..challenge.attempts_left {
            match self.submit(&challenge.token, &wrong).await? {
                LoginStep::Denied(denied) if denied.reason() == Reason::WrongCode => {}
                step => return Err(PluginError::new(format!("a wrong code came to {step:?}"))),
            }
        }
        Ok(challenge)
    }

    /// The code that was sent last, to anyone.
    ///
    /// # Panics
    ///
    /// If none arrived since the outbox was cleared.
    #[track_caller]
    #[expect(clippy::panic, reason = "a test calls it, and fails by it")]
    pub fn last_code(&self) -> String {
        match self.outbox.last_code() {
            Some(sent) => sent.code,
            None => panic!("a code was sent"),
        }
    }

    /// A code that is not the one that was sent last.
    ///
    /// # Panics
    ///
    /// If none arrived since the outbox was cleared.
    #[track_caller]
    pub fn wrong_code(&self) -> String {
        other_code(&self.last_code())
    }

    /// Lets time pass until another code may be sent: the 30 seconds that are the default of
    /// [`LoginFlowBuilder::send_spacing`].
    pub fn wait_for_the_spacing(&self) {
        self.clock.advance(Duration::from_secs(30));
    }

    /// The newest of the codes that were sent for this.
    fn code(
        &self,
        name: &str,
        is_for: impl FnMut(&&SentCode) -> bool,
    ) -> Result<Code, PluginError> {
        let codes = self.outbox.codes();
        let sent = codes.iter().rev().find(is_for);
        let sent = sent.ok_or_else(|| PluginError::new(format!("no code was sent to {name}")))?;
        Ok(Code::new(sent.code.as_str()))
    }
}

fn builder(
    users: &MemoryUsers,
    factors: impl FactorStore + 'static,
    outbox: &Outbox,
    clock: &ManualClock,
    events: &Events,
    calls: &Calls,
) -> LoginFlowBuilder {
    LoginFlow::builder(Counting::new(users.clone(), calls), factors, outbox.clone())
        .clock(clock.clone())
        .password_verifier(Counting::new(PlainPasswords, calls))
        .events(events.clone())
}

fn no_code_required(name: &str, step: &LoginStep) -> PluginError {
    PluginError::new(format!("no code was required of {name}: {step:?}"))
}

fn let_in(name: &str, step: LoginStep) -> Result<Authenticated, PluginError> {
    match step {
        LoginStep::Authenticated(authenticated) => Ok(authenticated),
        step => Err(PluginError::new(format!("{name} was not let in: {step:?}"))),
    }
}

/// Another code than this one, of the same length.
///
/// ```
/// assert_eq!(countersign_testkit::other_code("123456"), "123450");
/// ```
pub fn other_code(code: &str) -> String {
    let mut other = code.to_owned();
    let last = other.pop();
    other.push(if last == Some('0') { '1' } else { '0' });
    other
}

/// Keeps every event. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Events(Arc<Mutex<Vec<Event>>>);

impl Events {
    /// A sink that has received nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// All of them, the oldest first.
    pub fn all(&self) -> Vec<Event> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What they are about, the oldest first.
    pub fn kinds(&self) -> Vec<EventKind> {
        self.all().into_iter().map(|event| event.kind).collect()
    }

    /// Forgets them.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl EventSink for Events {
    fn emit(&self, event: &Event) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
    }
}
