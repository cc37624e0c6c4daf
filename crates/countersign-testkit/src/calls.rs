//! Wrappers that count the calls of a plug-in.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use countersign::budget::{Account, Charged, SendBudget};
use countersign::error::PluginError;
use countersign::password::{Admission, Busy, PasswordAttempt, PasswordCheck, PasswordVerifier};
use countersign::sender::{CodeMessage, CodeSender, Notice, SendError, SendStatus};
use countersign::store::{
    CommitOutcome, ExpectedVersions, FactorStore, Generation, Snapshot, StoredRow, Version,
};
use countersign::user::{PasswordHash, User, UserStore};
use countersign::{LoginName, Password, TenantId, UserId};
use time::OffsetDateTime;

type Hook = Box<dyn FnOnce() + Send>;

/// The calls that were made, in order. Clones share them.
#[derive(Clone, Default)]
pub struct Calls(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    made: Vec<&'static str>,
    hooks: HashMap<&'static str, Hook>,
}

impl Calls {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// All of them, in the order in which they began.
    pub fn all(&self) -> Vec<&'static str> {
        self.state().made.clone()
    }

    /// How often a method was called, by its name.
    pub fn of(&self, method: &str) -> usize {
        self.state().made.iter().filter(|made| **made == method).count()
    }

    /// The calls since the last time, in alphabetical order: two that run at the same time have no
    /// other.
    #[must_use]
    pub fn take_sorted(&self) -> Vec<&'static str> {
        let mut calls = std::mem::take(&mut self.state().made);
        calls.sort_unstable();
        calls
    }

    /// Forgets the calls. Hooks stay.
    pub fn clear(&self) {
        self.state().made.clear();
    }

    /// Runs a hook once, just before the next call of a method: what another node or request does
    /// in between. It replaces the method's earlier hook.
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// use countersign::LoginStep;
    /// use countersign::memory::MemoryFactors;
    /// use countersign_testkit::World;
    ///
    /// let world = World::on(MemoryFactors::new())?;
    /// let (users, tenant) = (world.users.clone(), world.tenant.clone());
    /// let alice = countersign::UserId::new("alice")?;
    /// // The user is deleted while the password is hashed.
    /// world.calls.before("verify", move || drop(users.remove(&tenant, &alice)));
    /// assert!(matches!(world.begin("alice").await?, LoginStep::Denied(_)));
    /// # Ok::<(), countersign::error::PluginError>(())
    /// # }).unwrap();
    /// ```
    pub fn before(&self, method: &'static str, hook: impl FnOnce() + Send + 'static) {
        self.state().hooks.insert(method, Box::new(hook));
    }

    /// Notes a call that is about to be made, and runs its hook: for a wrapper of your own.
    pub fn note(&self, method: &'static str) {
        let hook = {
            let mut state = self.state();
            state.made.push(method);
            state.hooks.remove(method)
        };
        // It may set the next hook.
        if let Some(hook) = hook {
            hook();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Calls").field(&self.state().made).finish()
    }
}

/// A plug-in whose calls are counted.
#[derive(Clone, Debug)]
pub struct Counting<T> {
    inner: T,
    calls: Calls,
}

impl<T> Counting<T> {
    /// Wraps a plug-in; several may count into the same [`Calls`].
    pub fn new(inner: T, calls: &Calls) -> Self {
        Self { inner, calls: calls.clone() }
    }
}

#[async_trait]
impl<T: FactorStore> FactorStore for Counting<T> {
    async fn load(&self, tenant: &TenantId, user: &UserId) -> Result<Snapshot, PluginError> {
        self.calls.note("load");
        self.inner.load(tenant, user).await
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        user: &UserId,
        expected: &ExpectedVersions,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        self.calls.note("commit");
        self.inner.commit(tenant, user, expected, next).await
    }

    async fn settings(&self, tenant: &TenantId) -> Result<Option<StoredRow>, PluginError> {
        self.calls.note("settings");
        self.inner.settings(tenant).await
    }

    async fn change_settings(
        &self,
        tenant: &TenantId,
        expected: Option<Version>,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        self.calls.note("change_settings");
        self.inner.change_settings(tenant, expected, next).await
    }

    async fn purge(
        &self,
        tenant: &TenantId,
        below: Generation,
        at_most: u32,
    ) -> Result<u64, PluginError> {
        self.calls.note("purge");
        self.inner.purge(tenant, below, at_most).await
    }

    async fn count(&self, tenant: &TenantId, below: Generation) -> Result<u64, PluginError> {
        self.calls.note("count");
        self.inner.count(tenant, below).await
    }

    async fn remove(&self, tenant: &TenantId, user: &UserId) -> Result<bool, PluginError> {
        self.calls.note("remove");
        self.inner.remove(tenant, user).await
    }

    async fn remove_if(
        &self,
        tenant: &TenantId,
        user: &UserId,
        version: Version,
    ) -> Result<bool, PluginError> {
        self.calls.note("remove_if");
        self.inner.remove_if(tenant, user, version).await
    }

    async fn users(
        &self,
        tenant: &TenantId,
        generation: Generation,
        after: Option<&UserId>,
        at_most: u32,
    ) -> Result<Vec<UserId>, PluginError> {
        self.calls.note("users");
        self.inner.users(tenant, generation, after, at_most).await
    }
}

#[async_trait]
impl<T: UserStore> UserStore for Counting<T> {
    async fn find_by_login(
        &self,
        tenant: &TenantId,
        name: &LoginName,
    ) -> Result<Option<User>, PluginError> {
        self.calls.note("find_by_login");
        self.inner.find_by_login(tenant, name).await
    }

    async fn find_by_id(
        &self,
        tenant: &TenantId,
        user: &UserId,
    ) -> Result<Option<User>, PluginError> {
        self.calls.note("find_by_id");
        self.inner.find_by_id(tenant, user).await
    }

    async fn replace_password_hash(
        &self,
        tenant: &TenantId,
        user: &UserId,
        current: &PasswordHash,
        next: &PasswordHash,
    ) -> Result<bool, PluginError> {
        self.calls.note("replace_password_hash");
        self.inner.replace_password_hash(tenant, user, current, next).await
    }
}

#[async_trait]
impl<T: PasswordVerifier> PasswordVerifier for Counting<T> {
    fn admit(&self) -> Result<Admission, Busy> {
        self.inner.admit()
    }

    async fn verify(&self, attempt: &PasswordAttempt<'_>) -> Result<PasswordCheck, PluginError> {
        self.calls.note("verify");
        self.inner.verify(attempt).await
    }

    async fn hash_password(
        &self,
        password: &Password,
    ) -> Result<Option<PasswordHash>, PluginError> {
        self.calls.note("hash_password");
        self.inner.hash_password(password).await
    }
}

#[async_trait]
impl<T: CodeSender> CodeSender for Counting<T> {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        self.calls.note("send_code");
        self.inner.send_code(message).await
    }

    async fn notify(&self, notice: &Notice) -> Result<SendStatus, SendError> {
        self.calls.note("notify");
        self.inner.notify(notice).await
    }
}

#[async_trait]
impl<T: SendBudget> SendBudget for Counting<T> {
    async fn charge(
        &self,
        accounts: &[Account],
        now: OffsetDateTime,
    ) -> Result<Charged, PluginError> {
        self.calls.note("charge");
        self.inner.charge(accounts, now).await
    }
}
