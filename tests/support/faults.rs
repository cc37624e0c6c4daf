//! Plug-ins that break at a chosen call, and that wait at each call so that a future can be dropped
//! there.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use super::*;
use countersign::clock::Clock;
use countersign::policy::{PolicyContext, Requirement, TwoFactorPolicy};

/// Whether a call that fails has had its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Before,
    After,
}

/// Shared by all plug-ins of one flow: counts their calls, and fails one of them.
#[derive(Clone, Default)]
pub struct FaultPoint(Arc<Mutex<Plan>>);

#[derive(Default)]
struct Plan {
    calls: Vec<&'static str>,
    fail: Option<(usize, When)>,
    panic: Option<usize>,
    delay: Option<(usize, ManualClock, Duration)>,
    waits: bool,
}

impl FaultPoint {
    /// The call with this number, from 1 on, fails; the numbers start anew.
    pub fn arm(&self, number: usize, when: When) {
        *self.0.lock().unwrap() = Plan { fail: Some((number, when)), ..Plan::default() };
    }

    /// The call with this number, from 1 on, takes so long before it has its effect.
    pub fn delay(&self, number: usize, clock: ManualClock, time: Duration) {
        *self.0.lock().unwrap() = Plan { delay: Some((number, clock, time)), ..Plan::default() };
    }

    /// The call with this number, from 1 on, panics.
    pub fn panic_at(&self, number: usize) {
        *self.0.lock().unwrap() = Plan { panic: Some(number), ..Plan::default() };
    }

    /// Nothing fails; the calls are counted anew.
    pub fn disarm(&self) {
        *self.0.lock().unwrap() = Plan::default();
    }

    /// Nothing fails, and each call waits twice: before and after its effect.
    pub fn wait_at_each_call(&self) {
        *self.0.lock().unwrap() = Plan { waits: true, ..Plan::default() };
    }

    /// The calls since then.
    pub fn calls(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().calls.clone()
    }

    fn enter(&self, call: &'static str) -> Option<When> {
        let mut plan = self.0.lock().unwrap();
        plan.calls.push(call);
        let number = plan.calls.len();
        let panics = plan.panic == Some(number);
        let fail = plan.fail;
        if let Some((_, clock, time)) =
            plan.delay.as_ref().filter(|(delayed, ..)| *delayed == number)
        {
            clock.advance(*time);
        }
        drop(plan);
        assert!(!panics, "a plug-in is broken");
        fail.filter(|(fails, _)| *fails == number).map(|(_, when)| when)
    }

    async fn around<T>(
        &self,
        name: &'static str,
        call: impl Future<Output = Result<T, PluginError>>,
    ) -> Result<T, PluginError> {
        let fails = self.enter(name);
        self.wait().await;
        if fails == Some(When::Before) {
            return Err(PluginError::new("broken before"));
        }
        let answer = call.await;
        self.wait().await;
        if fails == Some(When::After) { Err(PluginError::new("broken after")) } else { answer }
    }

    async fn wait(&self) {
        if self.0.lock().unwrap().waits {
            Once(false).await;
        }
    }

    fn sync<T>(
        &self,
        name: &'static str,
        call: impl FnOnce() -> Result<T, PluginError>,
    ) -> Result<T, PluginError> {
        match self.enter(name) {
            Some(When::Before) => Err(PluginError::new("broken before")),
            Some(When::After) => call().and(Err(PluginError::new("broken after"))),
            None => call(),
        }
    }

    async fn send<T>(
        &self,
        name: &'static str,
        call: impl Future<Output = Result<T, SendError>>,
    ) -> Result<T, SendError> {
        let fails = self.enter(name);
        self.wait().await;
        if fails == Some(When::Before) {
            return Err(SendError::new(SendErrorKind::Transient));
        }
        let answer = call.await;
        self.wait().await;
        if fails == Some(When::After) {
            Err(SendError::new(SendErrorKind::Unknown))
        } else {
            answer
        }
    }
}

/// Waits for one poll.
struct Once(bool);

impl Future for Once {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Polls at most so many times, then drops. `None`: it was dropped.
pub fn poll_then_drop<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..polls {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return Some(value);
        }
    }
    None
}

/// A plug-in that breaks where the fault point says.
#[derive(Clone)]
pub struct Faulty<T> {
    pub inner: T,
    pub point: FaultPoint,
}

/// The world's flow with every plug-in under one fault point.
pub fn faulty_flow(
    world: &World,
    point: &FaultPoint,
    policy: impl TwoFactorPolicy + 'static,
    configure: impl FnOnce(LoginFlowBuilder) -> LoginFlowBuilder,
) -> LoginFlow {
    let point = point.clone();
    let builder = LoginFlow::builder(
        Faulty { inner: world.users.clone(), point: point.clone() },
        Faulty { inner: world.factors.clone(), point: point.clone() },
        Faulty { inner: world.outbox.clone(), point: point.clone() },
    )
    .clock(Faulty { inner: world.clock.clone(), point: point.clone() })
    .entropy(Faulty { inner: Arc::new(SeededEntropy::new(13)), point: point.clone() })
    .password_verifier(Faulty { inner: PlainPasswords, point: point.clone() })
    .policy(Faulty { inner: policy, point })
    .events(world.events.clone());
    configure(builder).build().unwrap()
}

impl<T: Clock> Clock for Faulty<T> {
    fn now(&self) -> Result<time::OffsetDateTime, PluginError> {
        self.point.sync("now", || self.inner.now())
    }
}

impl<T: Entropy> Entropy for Faulty<T> {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), PluginError> {
        self.point.sync("fill", || self.inner.fill(bytes))
    }
}

impl<T: TwoFactorPolicy> TwoFactorPolicy for Faulty<T> {
    fn decide(&self, context: &PolicyContext<'_>) -> Result<Requirement, PluginError> {
        self.point.sync("decide", || self.inner.decide(context))
    }
}

#[async_trait]
impl<T: PasswordVerifier> PasswordVerifier for Faulty<T> {
    fn admit(&self) -> Result<Admission, Busy> {
        self.inner.admit()
    }

    async fn verify(&self, attempt: &PasswordAttempt<'_>) -> Result<PasswordCheck, PluginError> {
        self.point.around("verify", self.inner.verify(attempt)).await
    }

    async fn hash_password(
        &self,
        password: &Password,
    ) -> Result<Option<PasswordHash>, PluginError> {
        self.point.around("hash_password", self.inner.hash_password(password)).await
    }
}

#[async_trait]
impl<T: CodeSender> CodeSender for Faulty<T> {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        self.point.send("send_code", self.inner.send_code(message)).await
    }

    async fn notify(&self, notice: &Notice) -> Result<SendStatus, SendError> {
        self.point.send("notify", self.inner.notify(notice)).await
    }
}

#[async_trait]
impl<T: UserStore> UserStore for Faulty<T> {
    async fn find_by_login(
        &self,
        tenant: &TenantId,
        name: &LoginName,
    ) -> Result<Option<User>, PluginError> {
        self.point.around("find_by_login", self.inner.find_by_login(tenant, name)).await
    }

    async fn find_by_id(
        &self,
        tenant: &TenantId,
        user: &UserId,
    ) -> Result<Option<User>, PluginError> {
        self.point.around("find_by_id", self.inner.find_by_id(tenant, user)).await
    }

    async fn replace_password_hash(
        &self,
        tenant: &TenantId,
        user: &UserId,
        current: &PasswordHash,
        next: &PasswordHash,
    ) -> Result<bool, PluginError> {
        self.point
            .around(
                "replace_password_hash",
                self.inner.replace_password_hash(tenant, user, current, next),
            )
            .await
    }
}

#[async_trait]
impl<T: FactorStore> FactorStore for Faulty<T> {
    async fn load(&self, tenant: &TenantId, user: &UserId) -> Result<Snapshot, PluginError> {
        self.point.around("load", self.inner.load(tenant, user)).await
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        user: &UserId,
        expected: &ExpectedVersions,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        self.point.around("commit", self.inner.commit(tenant, user, expected, next)).await
    }

    async fn settings(&self, tenant: &TenantId) -> Result<Option<StoredRow>, PluginError> {
        self.point.around("settings", self.inner.settings(tenant)).await
    }

    async fn change_settings(
        &self,
        tenant: &TenantId,
        expected: Option<Version>,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        self.point
            .around("change_settings", self.inner.change_settings(tenant, expected, next))
            .await
    }

    async fn purge(
        &self,
        tenant: &TenantId,
        below: Generation,
        at_most: u32,
    ) -> Result<u64, PluginError> {
        self.point.around("purge", self.inner.purge(tenant, below, at_most)).await
    }

    async fn count(&self, tenant: &TenantId, below: Generation) -> Result<u64, PluginError> {
        self.point.around("count", self.inner.count(tenant, below)).await
    }

    async fn remove(&self, tenant: &TenantId, user: &UserId) -> Result<bool, PluginError> {
        self.point.around("remove", self.inner.remove(tenant, user)).await
    }

    async fn remove_if(
        &self,
        tenant: &TenantId,
        user: &UserId,
        version: Version,
    ) -> Result<bool, PluginError> {
        self.point.around("remove_if", self.inner.remove_if(tenant, user, version)).await
    }

    async fn users(
        &self,
        tenant: &TenantId,
        generation: Generation,
        after: Option<&UserId>,
        at_most: u32,
    ) -> Result<Vec<UserId>, PluginError> {
        self.point.around("users", self.inner.users(tenant, generation, after, at_most)).await
    }
}
