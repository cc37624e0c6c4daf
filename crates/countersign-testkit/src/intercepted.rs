//! Something that happens around every call of a plug-in.

use async_trait::async_trait;
use countersign::budget::{Account, Charged, SendBudget};
use countersign::clock::Clock;
use countersign::entropy::Entropy;
use countersign::error::PluginError;
use countersign::password::{Admission, Busy, PasswordAttempt, PasswordCheck, PasswordVerifier};
use countersign::policy::{PolicyContext, Requirement, TwoFactorPolicy};
use countersign::sender::{CodeMessage, CodeSender, Notice, SendError, SendErrorKind, SendStatus};
use countersign::store::{
    CommitOutcome, ExpectedVersions, FactorStore, Generation, Snapshot, Snapshots, StoredRow,
    Version,
};
use countersign::user::{PasswordHash, User, UserDirectory, UserStore};
use countersign::{LoginName, Password, TenantId, UserId};
use time::OffsetDateTime;

/// What happens around each call of an [`Intercepted`] plug-in.
///
/// [`Calls`](crate::Calls) counts and [`Mishaps`](crate::Mishaps) fails. One of your own makes a
/// call wait for another, or does something between a read and the write that rests on it:
///
/// ```
/// use countersign::memory::MemoryFactors;
/// use countersign_testkit::{InjectedError, Intercepted, Interceptor, World};
///
/// /// Other requests run between each read and the write that rests on it.
/// #[derive(Clone)]
/// struct Overlapping;
///
/// impl Interceptor for Overlapping {
///     async fn around<T: Send, E: InjectedError>(
///         &self,
///         method: &'static str,
///         _: Option<T>,
///         call: impl Future<Output = Result<T, E>> + Send,
///     ) -> Result<T, E> {
///         let answer = call.await;
///         if method == "load" {
///             tokio::task::yield_now().await;
///         }
///         answer
///     }
/// }
///
/// let world = World::on(Intercepted::new(MemoryFactors::new(), &Overlapping))?;
/// # futures_lite::future::block_on(world.sign_in("alice"))?;
/// # Ok::<(), countersign::error::PluginError>(())
/// ```
pub trait Interceptor: Send + Sync {
    /// Makes a call, or does not, and answers for it. `method` is the name of the trait's method.
    ///
    /// `conflict` is what a conditional write answers if something came first, and `None` of other
    /// calls.
    fn around<T: Send, E: InjectedError>(
        &self,
        method: &'static str,
        conflict: Option<T>,
        call: impl Future<Output = Result<T, E>> + Send,
    ) -> impl Future<Output = Result<T, E>> + Send;

    /// The same for the calls of clocks, generators and policies, which do not wait. Without a body
    /// of your own it makes the call.
    ///
    /// # Errors
    ///
    /// A [`PluginError`] if the call failed, by itself or on purpose.
    fn around_sync<T>(
        &self,
        method: &'static str,
        call: impl FnOnce() -> Result<T, PluginError>,
    ) -> Result<T, PluginError> {
        let _ = method;
        call()
    }
}

/// An error by which an [`Interceptor`] makes a call fail: that of a plug-in or of a sender.
pub trait InjectedError: Send {
    /// The call has done nothing. A message was surely not sent.
    fn before() -> Self;

    /// The call has done its work, and the answer got lost. A message was perhaps sent.
    fn after() -> Self;
}

impl InjectedError for PluginError {
    fn before() -> Self {
        Self::new("failed on purpose, before doing anything")
    }

    fn after() -> Self {
        Self::new("failed on purpose, after doing everything")
    }
}

impl InjectedError for SendError {
    fn before() -> Self {
        Self::new(SendErrorKind::Transient)
    }

    fn after() -> Self {
        Self::new(SendErrorKind::Unknown)
    }
}

/// A plug-in of any kind, with something that happens around each of its calls.
///
/// [`Counting`](crate::Counting) and [`Failing`](crate::Failing) are such.
#[derive(Clone, Debug)]
pub struct Intercepted<T, I> {
    /// The plug-in.
    pub inner: T,
    /// What happens.
    pub interceptor: I,
}

impl<T, I: Clone> Intercepted<T, I> {
    /// Wraps a plug-in; several may share an interceptor.
    pub fn new(inner: T, interceptor: &I) -> Self {
        Self { inner, interceptor: interceptor.clone() }
    }
}

#[async_trait]
impl<T: FactorStore, I: Interceptor> FactorStore for Intercepted<T, I> {
    async fn load(&self, tenant: &TenantId, user: &UserId) -> Result<Snapshot, PluginError> {
        let call = self.inner.load(tenant, user);
        self.interceptor.around("load", None, call).await
    }

    async fn load_many(
        &self,
        tenant: &TenantId,
        users: &[UserId],
    ) -> Result<Snapshots, PluginError> {
        let call = self.inner.load_many(tenant, users);
        self.interceptor.around("load_many", None, call).await
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        user: &UserId,
        expected: &ExpectedVersions,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        let call = self.inner.commit(tenant, user, expected, next);
        self.interceptor.around("commit", Some(CommitOutcome::Conflict), call).await
    }

    async fn settings(&self, tenant: &TenantId) -> Result<Option<StoredRow>, PluginError> {
        let call = self.inner.settings(tenant);
        self.interceptor.around("settings", None, call).await
    }

    async fn change_settings(
        &self,
        tenant: &TenantId,
        expected: Option<Version>,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        let call = self.inner.change_settings(tenant, expected, next);
        self.interceptor.around("change_settings", Some(CommitOutcome::Conflict), call).await
    }

    async fn purge(
        &self,
        tenant: &TenantId,
        below: Generation,
        at_most: u32,
    ) -> Result<u64, PluginError> {
        let call = self.inner.purge(tenant, below, at_most);
        self.interceptor.around("purge", None, call).await
    }

    async fn count(&self, tenant: &TenantId, below: Generation) -> Result<u64, PluginError> {
        let call = self.inner.count(tenant, below);
        self.interceptor.around("count", None, call).await
    }

    async fn remove(&self, tenant: &TenantId, user: &UserId) -> Result<bool, PluginError> {
        let call = self.inner.remove(tenant, user);
        self.interceptor.around("remove", None, call).await
    }

    async fn remove_if(
        &self,
        tenant: &TenantId,
        user: &UserId,
        version: Version,
    ) -> Result<bool, PluginError> {
        let call = self.inner.remove_if(tenant, user, version);
        self.interceptor.around("remove_if", Some(false), call).await
    }

    async fn users(
        &self,
        tenant: &TenantId,
        generation: Generation,
        after: Option<&UserId>,
        at_most: u32,
    ) -> Result<Vec<UserId>, PluginError> {
        let call = self.inner.users(tenant, generation, after, at_most);
        self.interceptor.around("users", None, call).await
    }
}

#[async_trait]
impl<T: UserStore, I: Interceptor> UserStore for Intercepted<T, I> {
    async fn find_by_login(
        &self,
        tenant: &TenantId,
        name: &LoginName,
    ) -> Result<Option<User>, PluginError> {
        let call = self.inner.find_by_login(tenant, name);
        self.interceptor.around("find_by_login", None, call).await
    }

    async fn find_by_id(
        &self,
        tenant: &TenantId,
        user: &UserId,
    ) -> Result<Option<User>, PluginError> {
        let call = self.inner.find_by_id(tenant, user);
        self.interceptor.around("find_by_id", None, call).await
    }

    async fn replace_password_hash(
        &self,
        tenant: &TenantId,
        user: &UserId,
        current: &PasswordHash,
        next: &PasswordHash,
    ) -> Result<bool, PluginError> {
        let call = self.inner.replace_password_hash(tenant, user, current, next);
        self.interceptor.around("replace_password_hash", Some(false), call).await
    }
}

#[async_trait]
impl<T: UserDirectory, I: Interceptor> UserDirectory for Intercepted<T, I> {
    async fn page(
        &self,
        tenant: &TenantId,
        after: Option<&UserId>,
        at_most: u32,
    ) -> Result<Vec<User>, PluginError> {
        let call = self.inner.page(tenant, after, at_most);
        self.interceptor.around("page", None, call).await
    }

    async fn administrators(&self, tenant: &TenantId) -> Result<Vec<User>, PluginError> {
        let call = self.inner.administrators(tenant);
        self.interceptor.around("administrators", None, call).await
    }
}

#[async_trait]
impl<T: PasswordVerifier, I: Interceptor> PasswordVerifier for Intercepted<T, I> {
    fn admit(&self) -> Result<Admission, Busy> {
        self.inner.admit()
    }

    async fn verify(&self, attempt: &PasswordAttempt<'_>) -> Result<PasswordCheck, PluginError> {
        let call = self.inner.verify(attempt);
        self.interceptor.around("verify", None, call).await
    }

    async fn hash_password(
        &self,
        password: &Password,
    ) -> Result<Option<PasswordHash>, PluginError> {
        let call = self.inner.hash_password(password);
        self.interceptor.around("hash_password", None, call).await
    }
}

#[async_trait]
impl<T: CodeSender, I: Interceptor> CodeSender for Intercepted<T, I> {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        let call = self.inner.send_code(message);
        self.interceptor.around("send_code", None, call).await
    }

    async fn notify(&self, notice: &Notice) -> Result<SendStatus, SendError> {
        let call = self.inner.notify(notice);
        self.interceptor.around("notify", None, call).await
    }
}

#[async_trait]
impl<T: SendBudget, I: Interceptor> SendBudget for Intercepted<T, I> {
    async fn charge(
        &self,
        accounts: &[Account],
        now: OffsetDateTime,
    ) -> Result<Charged, PluginError> {
        let call = self.inner.charge(accounts, now);
        self.interceptor.around("charge", None, call).await
    }
}

impl<T: Clock, I: Interceptor> Clock for Intercepted<T, I> {
    fn now(&self) -> Result<OffsetDateTime, PluginError> {
        self.interceptor.around_sync("now", || self.inner.now())
    }
}

impl<T: Entropy, I: Interceptor> Entropy for Intercepted<T, I> {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), PluginError> {
        self.interceptor.around_sync("fill", || self.inner.fill(bytes))
    }
}

impl<T: TwoFactorPolicy, I: Interceptor> TwoFactorPolicy for Intercepted<T, I> {
    fn decide(&self, context: &PolicyContext<'_>) -> Result<Requirement, PluginError> {
        self.interceptor.around_sync("decide", || self.inner.decide(context))
    }
}
