//! What the tests share: a world with two tenants, a clock that is moved by hand, seeded
//! randomness, and plug-ins that count.
#![allow(dead_code, unused_imports, missing_docs, unreachable_pub)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing
)]
#![allow(clippy::missing_panics_doc, clippy::missing_errors_doc)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use countersign::clock::ManualClock;
use countersign::contact::{Destination, EmailAddress, PhoneNumber};
use countersign::entropy::Entropy;
use countersign::error::PluginError;
use countersign::event::{Event, EventKind, EventSink};
use countersign::memory::{MemoryFactors, MemoryUsers};
use countersign::password::{Admission, Busy, PasswordAttempt, PasswordCheck, PasswordVerifier};
use countersign::sender::{
    CodeMessage, CodeSender, Notice, NoticeKind, Purpose, SendError, SendErrorKind, SendStatus,
};
use countersign::store::{
    CommitOutcome, ExpectedVersions, FactorStore, Generation, Snapshot, StoredRow, Version,
};
use countersign::user::{PasswordHash, User, UserStore};
use countersign::{
    Authenticated, Challenge, Channel, Code, DeliveryStatus, Denied, DeviceToken, Error, Login,
    LoginFlow, LoginFlowBuilder, LoginName, LoginStep, Method, MethodChange, Password,
    PendingToken, Reason, RequestContext, RequestFlow, ResendTo, SavedGrant, Scope, TenantId,
    TrustDevice, UserId,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

pub use counting::{Calls, Counting};
pub use outbox::{Outbox, SentCode};

pub const PASSWORD: &str = "correct horse battery staple";
pub const MINUTE: Duration = Duration::from_secs(60);
pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Two tenants with the same user ids: `root` (built-in system administrator), `alice` and `bob`,
/// all with [`PASSWORD`].
pub struct World {
    pub flow: LoginFlow,
    pub factors: MemoryFactors,
    pub users: MemoryUsers,
    pub outbox: Outbox,
    pub clock: ManualClock,
    pub events: Events,
    pub calls: Calls,
    pub acme: TenantId,
    pub other: TenantId,
    pub root: UserId,
    pub alice: UserId,
    pub bob: UserId,
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
    /// A request for `acme`, with an empty context.
    pub fn request(&self) -> RequestFlow {
        self.request_for(&self.acme)
    }

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

    /// Nobody needs the second factor yet.
    pub fn off() -> Self {
        Self::off_with(|builder| builder)
    }

    pub fn off_with(configure: impl FnOnce(LoginFlowBuilder) -> LoginFlowBuilder) -> Self {
        let (acme, other) = (tenant("acme"), tenant("other"));
        let users = MemoryUsers::new();
        for tenant in [&acme, &other] {
            for name in ["root", "alice", "bob"] {
                users.insert(&LoginName::new(name).unwrap(), person(tenant, name));
            }
        }
        let factors = MemoryFactors::new();
        let (outbox, events, calls) = (Outbox::default(), Events::default(), Calls::default());
        let clock =
            ManualClock::new(time::OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap());
        let builder = LoginFlow::builder(
            Counting { inner: users.clone(), calls: calls.clone() },
            Counting { inner: factors.clone(), calls: calls.clone() },
            outbox.clone(),
        )
        .clock(clock.clone())
        .entropy(SeededEntropy::new(7))
        .password_verifier(Counting { inner: PlainPasswords, calls: calls.clone() })
        .events(events.clone());
        let flow = configure(builder).build().unwrap();
        let (root, alice, bob) = (user_id("root"), user_id("alice"), user_id("bob"));
        Self { flow, factors, users, outbox, clock, events, calls, acme, other, root, alice, bob }
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
        let grant = self.root_grant().await;
        self.request().administration(&grant).await.unwrap().set_scope(scope).await.unwrap();
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
        match self.try_begin(name, PASSWORD).await {
            LoginStep::CodeRequired(challenge) => challenge,
            step => panic!("a code is required, not {step:?}"),
        }
    }

    pub async fn begin_with_device(&self, name: &str, device: &DeviceToken) -> LoginStep {
        self.begin_as(&self.acme, name, PASSWORD, Channel::Web, Some(device)).await.unwrap()
    }

    pub async fn submit(&self, token: &PendingToken, code: &str) -> LoginStep {
        self.request().submit_code(token, &code.into(), TrustDevice::No).await.unwrap()
    }

    pub async fn submit_backup(&self, token: &PendingToken, code: &str) -> LoginStep {
        self.request().submit_backup_code(token, &code.into()).await.unwrap()
    }

    /// A whole login: with the code that was sent, if one is required.
    pub async fn sign_in(&self, name: &str) -> Authenticated {
        match self.try_begin(name, PASSWORD).await {
            LoginStep::Authenticated(authenticated) => authenticated,
            LoginStep::CodeRequired(challenge) => {
                authenticated(self.submit(&challenge.token, &self.outbox.last_code()).await)
            }
            LoginStep::Denied(denied) => panic!("{name} is let in, not refused: {denied}"),
        }
    }

    /// A whole login with a code that makes this device a trusted one.
    pub async fn sign_in_and_trust(&self, name: &str, label: &str) -> Authenticated {
        let challenge = self.begin(name).await;
        let code = Code::new(self.outbox.last_code());
        authenticated(
            self.request()
                .submit_code(&challenge.token, &code, TrustDevice::Named(label))
                .await
                .unwrap(),
        )
    }

    /// Lets time pass until another code may be sent.
    pub fn wait_for_the_spacing(&self) {
        self.clock.advance(Duration::from_secs(30));
    }

    /// Signs in and gives the user a proved number.
    pub async fn choose_sms(&self, name: &str, number: &str) {
        let grant = self.sign_in(name).await.grant;
        self.wait_for_the_spacing();
        let setup = self
            .request()
            .account(&grant)
            .use_sms(&PhoneNumber::new(number).unwrap())
            .await
            .unwrap();
        let code = Code::new(self.outbox.last_code());
        assert_eq!(
            self.request().account(&grant).confirm_method(&setup.token, &code).await.unwrap(),
            Method::Sms
        );
        self.wait_for_the_spacing();
    }

    /// Signs in and makes a backup code.
    pub async fn make_backup_code(&self, name: &str) -> String {
        let grant = self.sign_in(name).await.grant;
        self.wait_for_the_spacing();
        self.request().account(&grant).new_backup_code().await.unwrap().expose().to_owned()
    }

    /// The saved record of a user of `acme`, as JSON.
    pub fn record(&self, user: &UserId) -> serde_json::Value {
        let saved = self.factors.record(&self.acme, user).expect("a record is saved");
        serde_json::from_str(&saved.document).unwrap()
    }

    /// How many wrong codes in a row are saved for a user of `acme`.
    pub fn saved_wrong_codes(&self, user: &UserId) -> u64 {
        self.record(user)["code_failures"]["streak"].as_u64().unwrap_or(0)
    }

    /// A code that is certainly not the one that was sent last.
    pub fn wrong_code(&self) -> String {
        let right: u32 = self.outbox.last_code().parse().unwrap();
        format!("{:06}", (right + 1) % 1_000_000)
    }
}

pub fn tenant(id: &str) -> TenantId {
    TenantId::new(id).unwrap()
}

pub fn user_id(id: &str) -> UserId {
    UserId::new(id).unwrap()
}

pub fn person(tenant: &TenantId, name: &str) -> User {
    let mut user = User::new(tenant.clone(), user_id(name));
    user.email = Some(EmailAddress::new(&format!("{name}@example.com")).unwrap());
    user.password_hash = Some(PasswordHash::new(PASSWORD));
    user.system_administrator = name == "root";
    user
}

#[track_caller]
pub fn authenticated(step: LoginStep) -> Authenticated {
    match step {
        LoginStep::Authenticated(authenticated) => authenticated,
        step => panic!("the login is complete, not {step:?}"),
    }
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

#[track_caller]
pub fn challenge(step: LoginStep) -> Box<Challenge> {
    match step {
        LoginStep::CodeRequired(challenge) => challenge,
        step => panic!("a code is required, not {step:?}"),
    }
}

#[track_caller]
pub fn denied(step: &LoginStep) -> Denied {
    match step {
        LoginStep::Denied(denied) => *denied,
        step => panic!("the step is refused, not {step:?}"),
    }
}

#[track_caller]
pub fn reason(step: &LoginStep) -> Reason {
    denied(step).reason()
}

/// Compares the password with the saved "hash" as it is: for tests that are not about hashing.
#[derive(Clone, Copy)]
pub struct PlainPasswords;

#[async_trait]
impl PasswordVerifier for PlainPasswords {
    fn admit(&self) -> Result<Admission, Busy> {
        Ok(Admission::unbounded())
    }

    async fn verify(&self, attempt: &PasswordAttempt<'_>) -> Result<PasswordCheck, PluginError> {
        let saved = attempt
            .user
            .and_then(|user| user.password_hash.as_ref())
            .map(|hash| hash.expose().to_owned());
        Ok(match saved {
            Some(saved) if saved == attempt.password.expose() => PasswordCheck::Match,
            Some(saved) if saved.strip_prefix("outdated:") == Some(attempt.password.expose()) => {
                PasswordCheck::MatchNeedsRehash
            }
            _ => PasswordCheck::Mismatch,
        })
    }

    async fn hash_password(
        &self,
        password: &Password,
    ) -> Result<Option<PasswordHash>, PluginError> {
        Ok(Some(PasswordHash::new(password.expose())))
    }
}

/// Randomness from a seed.
pub struct SeededEntropy(Mutex<StdRng>);

impl SeededEntropy {
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), PluginError> {
        self.0.lock().unwrap().fill_bytes(bytes);
        Ok(())
    }
}

/// Keeps every event.
#[derive(Clone, Default)]
pub struct Events(Arc<Mutex<Vec<Event>>>);

impl Events {
    pub fn all(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }

    pub fn kinds(&self) -> Vec<EventKind> {
        self.all().into_iter().map(|event| event.kind).collect()
    }

    pub fn clear(&self) {
        self.0.lock().unwrap().clear();
    }
}

impl EventSink for Events {
    fn emit(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

pub mod counting;
pub mod entries;
pub mod faults;
pub mod interject;
pub mod leaks;
pub mod operations;
pub mod outbox;
pub mod steps;
pub mod wiring;
pub mod wrapped;
