//! What the core's tests share beside the public test kit: a world with two tenants, what is saved
//! of it, all operations, and plug-ins that break or interfere.
#![allow(dead_code, missing_docs, unreachable_pub)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing
)]
#![allow(clippy::missing_panics_doc, clippy::missing_errors_doc)]

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use countersign::clock::ManualClock;
use countersign::contact::{Destination, PhoneNumber};
use countersign::error::PluginError;
use countersign::event::Event;
use countersign::memory::MemoryFactors;
use countersign::sender::{
    CodeMessage, CodeSender, Notice, NoticeKind, SendError, SendErrorKind, SendStatus,
};
use countersign::store::{
    CommitOutcome, ExpectedVersions, FactorStore, Generation, Snapshot, Snapshots, StoredRow,
    Version,
};
use countersign::user::{User, UserStore};
use countersign::{
    Administration, Authenticated, Challenge, Channel, Code, DeliveryStatus, DeviceToken, Error,
    LockOuts, Login, LoginFlow, LoginFlowBuilder, LoginName, LoginStep, Method, OperationError,
    PendingToken, Reason, RequestContext, RequestFlow, ResendTo, SavedGrant, Scope, TenantId,
    TenantSettings, TrustDevice, UserId,
};
#[allow(unused_imports)]
pub use countersign_testkit::{
    Calls, Counting, Delivered, Events, Outbox, Person, PlainPasswords, SeededEntropy,
    authenticated, challenge, denied, other_code, reason, refusal,
};

pub const PASSWORD: &str = Person::PASSWORD;
/// Lets tenants choose from a wide range of lockouts.
pub const fn any_lockout(builder: LoginFlowBuilder) -> LoginFlowBuilder {
    builder.tenant_lockout(3..=10, Duration::from_secs(300)..=DAY)
}

pub const MINUTE: Duration = Duration::from_secs(60);
pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The test kit's world on a store in memory, with a second tenant that has the same user ids:
/// `root` (built-in system administrator), `alice` and `bob`, all with [`PASSWORD`].
///
/// Its steps are the kit's, for tests in which no plug-in fails: they answer what the kit's answer,
/// without the `Result`.
pub struct World {
    kit: countersign_testkit::World,
    pub factors: MemoryFactors,
    pub acme: TenantId,
    pub other: TenantId,
    pub root: UserId,
    pub alice: UserId,
    pub bob: UserId,
}

impl Deref for World {
    type Target = countersign_testkit::World;

    fn deref(&self) -> &Self::Target {
        &self.kit
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.kit
    }
}

/// What no record may hold (I-45).
pub const CONTEXT_CANARIES: [&str; 3] = ["203.0.113.77", "CanaryBrowser/1.0", "canary-request-id"];

/// A context with all its parts.
pub fn context() -> RequestContext {
    let [address, user_agent, id] = CONTEXT_CANARIES;
    RequestContext::new()
        .with_client_address(address.parse().unwrap())
        .with_user_agent(user_agent)
        .with_request_id(id)
}

impl World {
    pub fn request_for(&self, tenant: &TenantId) -> RequestFlow {
        self.flow.request(tenant, &RequestContext::new())
    }

    /// Everybody in `acme` needs the second factor; `other` does not use it.
    pub async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    /// The same, with a configuration of its own.
    pub async fn with(configure: impl FnOnce(LoginFlowBuilder) -> LoginFlowBuilder) -> Self {
        let world = Self::off_with(configure);
        world.set_scope(Scope::EntireTenant).await;
        world.forget_the_preparation();
        world
    }

    /// Its tenants may choose lockouts that are more lenient than the application's.
    pub async fn lenient() -> Self {
        Self::with(any_lockout).await
    }

    /// Nobody needs the second factor yet.
    pub fn off() -> Self {
        Self::off_with(|builder| builder)
    }

    pub fn off_with(configure: impl FnOnce(LoginFlowBuilder) -> LoginFlowBuilder) -> Self {
        let factors = MemoryFactors::new();
        let kit = countersign_testkit::World::with(factors.clone(), "acme", |builder| {
            configure(builder.entropy(SeededEntropy::new(7)))
        })
        .unwrap();
        let (acme, other) = (tenant("acme"), tenant("other"));
        let [root, alice, bob] = ["root", "alice", "bob"].map(|name| {
            kit.users.insert(&LoginName::new(name).unwrap(), person(&other, name));
            user_id(name)
        });
        Self { kit, factors, acme, other, root, alice, bob }
    }

    /// The same as [`new`](Self::new), with the list of its users.
    pub async fn with_directory() -> Self {
        Self::with_directory_and(|builder| builder).await
    }

    pub async fn with_directory_and(
        configure: impl FnOnce(LoginFlowBuilder) -> LoginFlowBuilder,
    ) -> Self {
        let mut world = Self::new().await;
        let (users, store) =
            (world.users.clone(), Counting::new(world.factors.clone(), &world.calls));
        world.kit.flow =
            world.flow_over(store, |builder| configure(builder.directory(users))).unwrap();
        world
    }

    /// The saved settings of a tenant.
    pub fn settings_row(&self, tenant: &TenantId) -> Option<StoredRow> {
        futures_lite::future::block_on(self.factors.settings(tenant)).unwrap()
    }

    /// Saves this document as the settings of a tenant.
    pub fn plant_settings(&self, tenant: &TenantId, document: &str) {
        let found = self.settings_row(tenant);
        let generation = found.as_ref().map(|row| row.generation).unwrap_or_default();
        let version = Version::from_bytes([9; 16]);
        let row = StoredRow { version, generation, document: document.to_owned() };
        let expected = found.map(|row| row.version);
        let written =
            futures_lite::future::block_on(self.factors.change_settings(tenant, expected, &row));
        assert_eq!(written.unwrap(), CommitOutcome::Written);
    }

    /// Asks for another code.
    pub async fn resend_to(&self, token: &PendingToken, to: ResendTo) -> LoginStep {
        self.request().resend(token, to).await.unwrap()
    }

    /// The settings of `acme` with these changes, as the operator makes them.
    pub async fn change_settings(
        &self,
        change: impl FnOnce(&mut TenantSettings),
    ) -> TenantSettings {
        let operator = self.flow.operator("test").unwrap();
        let shown = operator.settings(&self.acme).await.unwrap();
        let mut settings = shown.settings;
        change(&mut settings);
        operator.change_settings(&self.acme, shown.version, &settings).await.unwrap();
        settings
    }

    fn forget_the_preparation(&self) {
        self.outbox.clear();
        self.events.clear();
        self.calls.clear();
        self.clock.advance(DAY);
    }

    /// Signs `root` of `acme` in, with whatever is needed for it.
    pub async fn root_grant(&self) -> SavedGrant {
        self.sign_in("root").await.grant.into_saved()
    }

    pub async fn set_scope(&self, scope: Scope) {
        self.kit.set_scope(scope).await.unwrap();
    }

    pub async fn try_begin(&self, name: &str, password: &str) -> LoginStep {
        self.begin_as(&self.acme, name, password, Channel::Web, None).await.unwrap()
    }

    pub async fn begin_as(
        &self,
        tenant: &TenantId,
        name: &str,
        password: &str,
        channel: Channel,
        device: Option<&DeviceToken>,
    ) -> Result<LoginStep, Error> {
        self.request_for(tenant)
            .begin(&Login { name, password: &password.into(), channel, device })
            .await
    }

    /// The first step with the right password, where a code is then required.
    pub async fn begin(&self, name: &str) -> Box<Challenge> {
        challenge(self.kit.begin(name).await.unwrap())
    }

    pub async fn begin_with_device(&self, name: &str, device: &DeviceToken) -> LoginStep {
        self.begin_as(&self.acme, name, PASSWORD, Channel::Web, Some(device)).await.unwrap()
    }

    pub async fn submit(&self, token: &PendingToken, code: &str) -> LoginStep {
        self.kit.submit(token, code).await.unwrap()
    }

    pub async fn submit_backup(&self, token: &PendingToken, code: &str) -> LoginStep {
        self.kit.submit_backup(token, code).await.unwrap()
    }

    pub async fn sign_in(&self, name: &str) -> Authenticated {
        self.kit.sign_in(name).await.unwrap()
    }

    pub async fn sign_in_and_trust(&self, name: &str, device: &str) -> Authenticated {
        self.kit.sign_in_and_trust(name, device).await.unwrap()
    }

    pub async fn choose_sms(&self, name: &str, number: &str) {
        self.kit.choose_sms(name, number).await.unwrap();
    }

    pub async fn make_backup_code(&self, name: &str) -> String {
        self.kit.make_backup_code(name).await.unwrap()
    }

    /// The notices that arrived, and where.
    pub fn told(&self) -> Vec<(Destination, NoticeKind)> {
        self.outbox.notices().into_iter().map(|sent| (sent.to, sent.kind)).collect()
    }

    /// How many notices each of them says that were held back before it.
    pub fn held_back(&self) -> Vec<u32> {
        self.outbox.notices().iter().map(|sent| sent.held_back).collect()
    }

    /// The saved record of a user of `acme`, as JSON.
    pub fn record(&self, user: &UserId) -> serde_json::Value {
        let saved = self.factors.record(&self.acme, user).expect("a record is saved");
        serde_json::from_str(&saved.document).unwrap()
    }

    /// How many wrong codes in a row are saved for a user of `acme`.
    pub fn saved_wrong_codes(&self, user: &UserId) -> u64 {
        self.streak(user, "code_failures")
    }
}

/// The administrator's page of `acme`, for `root`, who has just signed in.
pub async fn desk(world: &World) -> Administration {
    let grant = world.root_grant().await;
    world.request().administration(&grant).await.unwrap()
}

/// A change of the scope alone, on the settings of this moment. It answers the one before.
pub trait SetScope {
    async fn set_scope(&self, scope: Scope) -> Result<Scope, OperationError>;
}

impl SetScope for Administration {
    async fn set_scope(&self, scope: Scope) -> Result<Scope, OperationError> {
        let shown = self.settings().await?;
        let mut next = shown.settings;
        next.scope = scope;
        Ok(self.change_settings(shown.version, &next, LockOuts::Accept).await?.scope)
    }
}

pub fn tenant(id: &str) -> TenantId {
    TenantId::new(id).unwrap()
}

pub fn user_id(id: &str) -> UserId {
    UserId::new(id).unwrap()
}

/// A user as the world has them: `root` is the administrator.
pub fn person(tenant: &TenantId, name: &str) -> User {
    let person = Person::named(name);
    let person = if name == "root" { person.administrator() } else { person };
    person.build(tenant).unwrap()
}

/// How the delivery failed. A code that was perhaps sent failed with [`SendErrorKind::Unknown`].
#[track_caller]
pub fn failure(delivery: &DeliveryStatus) -> SendErrorKind {
    match delivery {
        DeliveryStatus::Failed { error, .. } => *error,
        DeliveryStatus::PerhapsSent(_) => SendErrorKind::Unknown,
        delivery => panic!("the delivery failed, not {delivery:?}"),
    }
}

pub mod entries;
pub mod faults;
pub mod interject;
pub mod leaks;
pub mod operations;
pub mod steps;
pub mod wiring;
pub mod wrapped;
