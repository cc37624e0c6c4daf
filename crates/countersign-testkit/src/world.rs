//! A small world to log in to, on any store.

use std::sync::{Arc, Mutex, PoisonError};

use countersign::clock::ManualClock;
use countersign::error::PluginError;
use countersign::event::{Event, EventKind, EventSink};
use countersign::memory::MemoryUsers;
use countersign::store::FactorStore;
use countersign::user::UserStore;
use countersign::{
    Authenticated, Channel, Code, Error, Login, LoginFlow, LoginFlowBuilder, LoginName, LoginStep,
    PendingToken, RequestContext, Scope, TenantId, TrustDevice,
};
use time::OffsetDateTime;

use crate::{Outbox, Person, PlainPasswords, TenantSetup};

/// One tenant, by default with an administrator `root` and the users `alice` and `bob`, on a store
/// of your choice, with a clock that is moved by hand.
///
/// Everything is public: a test reaches for what it needs.
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
    /// The tenant.
    pub tenant: TenantId,
}

impl World {
    /// With the default configuration.
    ///
    /// # Errors
    ///
    /// A [`PluginError`] if the configuration is refused.
    pub fn on(factors: impl FactorStore + 'static) -> Result<Self, PluginError> {
        Self::with(factors, "acme", |builder| builder)
    }

    /// With a tenant of this name and a configuration of its own.
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

    /// With a tenant and people of its own. More tenants [`join`](TenantSetup::join) its
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
        let (outbox, events) = (Outbox::new(), Events::new());
        let clock = ManualClock::new(OffsetDateTime::from_unix_timestamp(1_800_000_000)?);
        let builder = LoginFlow::builder(users.clone(), factors, outbox.clone())
            .clock(clock.clone())
            .password_verifier(PlainPasswords)
            .events(events.clone());
        Ok(Self { flow: configure(builder).build()?, users, outbox, clock, events, tenant })
    }

    /// Sets the tenant's scope, as `root`.
    ///
    /// # Errors
    ///
    /// A [`PluginError`] if it was refused or failed.
    pub async fn set_scope(&self, scope: Scope) -> Result<(), PluginError> {
        let grant = self.sign_in("root").await?.grant;
        self.flow
            .request(grant.tenant(), &RequestContext::new())
            .administration(&grant)
            .await?
            .set_scope(scope)
            .await?;
        Ok(())
    }

    /// The first step, by a user of the tenant with the right password.
    ///
    /// # Errors
    ///
    /// An [`Error`] if a plug-in failed.
    pub async fn begin(&self, name: &str) -> Result<LoginStep, Error> {
        let name = LoginName::new(name).map_err(|_| Error::Contended)?;
        self.flow
            .request(&self.tenant, &RequestContext::new())
            .begin(&Login {
                name: name.as_str(),
                password: &Person::PASSWORD.into(),
                channel: Channel::Web,
                device: None,
            })
            .await
    }

    /// The second step.
    ///
    /// # Errors
    ///
    /// An [`Error`] if a plug-in failed.
    pub async fn submit(&self, token: &PendingToken, code: &str) -> Result<LoginStep, Error> {
        self.flow
            .request(&self.tenant, &RequestContext::new())
            .submit_code(token, &Code::new(code), TrustDevice::No)
            .await
    }

    /// A whole login, with the code that was sent if one is required.
    ///
    /// # Errors
    ///
    /// A [`PluginError`] if the login was refused or failed.
    pub async fn sign_in(&self, name: &str) -> Result<Authenticated, PluginError> {
        let challenge = match self.begin(name).await? {
            LoginStep::Authenticated(authenticated) => return Ok(authenticated),
            LoginStep::CodeRequired(challenge) => challenge,
            LoginStep::Denied(denied) => {
                return Err(PluginError::new(format!("{name} was refused: {denied}")));
            }
        };
        let user = self.users.find_by_login(&self.tenant, &LoginName::new(name)?).await?;
        let sent = user.and_then(|user| self.outbox.last_code_of(&self.tenant, &user.id));
        let sent = sent.ok_or_else(|| PluginError::new(format!("no code was sent to {name}")))?;
        match self.submit(&challenge.token, &sent.code).await? {
            LoginStep::Authenticated(authenticated) => Ok(authenticated),
            step => Err(PluginError::new(format!("{name} was not let in: {step:?}"))),
        }
    }
}

/// Keeps every event. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Events(Arc<Mutex<Vec<Event>>>);

impl Events {
    /// None yet.
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
