//! A wrapper that makes a plug-in fail on purpose.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use countersign::budget::{Account, Charged, SendBudget};
use countersign::error::PluginError;
use countersign::password::{Admission, Busy, PasswordAttempt, PasswordCheck, PasswordVerifier};
use countersign::store::{
    CommitOutcome, ExpectedVersions, FactorStore, Generation, Snapshot, StoredRow, Version,
};
use countersign::user::{PasswordHash, User, UserStore};
use countersign::{LoginName, Password, TenantId, UserId};
use time::OffsetDateTime;

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InjectedFault {
    /// Nothing: it works.
    None,
    /// It fails and has done nothing.
    Before,
    /// It has done its work, and fails all the same: the answer got lost on the way back.
    After,
    /// It takes this long, on tokio's clock, and then works.
    Late(Duration),
    /// It never does anything and never answers.
    HangsBefore,
    /// It does its work and never answers.
    HangsAfter,
    /// A conditional write says that something came first, and writes nothing. Other calls work.
    Conflict,
}

/// Which mishaps come next. Clones share the list.
#[derive(Clone, Debug, Default)]
pub struct Mishaps(Arc<Mutex<Plan>>);

#[derive(Debug, Default)]
struct Plan {
    next: VecDeque<(Option<&'static str>, InjectedFault)>,
    always: Option<InjectedFault>,
}

impl Mishaps {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one for the next call, whichever it is.
    pub fn next(&self, mishap: InjectedFault) {
        self.plan().next.push_back((None, mishap));
    }

    /// Adds one for the next call of a method, by its name.
    pub fn next_of(&self, method: &'static str, mishap: InjectedFault) {
        self.plan().next.push_back((Some(method), mishap));
    }

    /// What happens to every call for which nothing is planned. `None`: nothing.
    pub fn always(&self, mishap: Option<InjectedFault>) {
        self.plan().always = mishap;
    }

    fn plan(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, method: &'static str) -> InjectedFault {
        let mut plan = self.plan();
        let planned = plan.next.iter().position(|(of, _)| of.is_none_or(|of| of == method));
        match planned.and_then(|index| plan.next.remove(index)) {
            Some((_, mishap)) => mishap,
            None => plan.always.unwrap_or(InjectedFault::None),
        }
    }

    async fn around<T>(
        &self,
        method: &'static str,
        conflict: Option<T>,
        call: impl Future<Output = Result<T, PluginError>>,
    ) -> Result<T, PluginError> {
        match (self.of(method), conflict) {
            (InjectedFault::Before, _) => {
                Err(PluginError::new("failed on purpose, before doing anything"))
            }
            (InjectedFault::HangsBefore, _) => std::future::pending().await,
            (InjectedFault::Late(by), _) => {
                tokio::time::sleep(by).await;
                call.await
            }
            (InjectedFault::After, _) => {
                let _done = call.await?;
                Err(PluginError::new("failed on purpose, after doing everything"))
            }
            (InjectedFault::HangsAfter, _) => {
                let _done = call.await?;
                std::future::pending().await
            }
            (InjectedFault::Conflict, Some(conflict)) => Ok(conflict),
            (InjectedFault::None | InjectedFault::Conflict, _) => call.await,
        }
    }
}

/// A plug-in that fails as planned: users, saved state, passwords, or the budget of messages. For a
/// sender see [`Outbox::script`](crate::Outbox::script).
#[derive(Clone, Debug)]
pub struct Failing<T> {
    inner: T,
    mishaps: Mishaps,
}

impl<T> Failing<T> {
    /// Wraps a plug-in; several may follow the same [`Mishaps`].
    pub fn new(inner: T, mishaps: &Mishaps) -> Self {
        Self { inner, mishaps: mishaps.clone() }
    }
}

#[async_trait]
impl<T: FactorStore> FactorStore for Failing<T> {
    async fn load(&self, tenant: &TenantId, user: &UserId) -> Result<Snapshot, PluginError> {
        self.mishaps.around("load", None, self.inner.load(tenant, user)).await
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        user: &UserId,
        expected: &ExpectedVersions,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        let call = self.inner.commit(tenant, user, expected, next);
        self.mishaps.around("commit", Some(CommitOutcome::Conflict), call).await
    }

    async fn settings(&self, tenant: &TenantId) -> Result<Option<StoredRow>, PluginError> {
        self.mishaps.around("settings", None, self.inner.settings(tenant)).await
    }

    async fn change_settings(
        &self,
        tenant: &TenantId,
        expected: Option<Version>,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        let call = self.inner.change_settings(tenant, expected, next);
        self.mishaps.around("change_settings", Some(CommitOutcome::Conflict), call).await
    }

    async fn purge(
        &self,
        tenant: &TenantId,
        below: Generation,
        at_most: u32,
    ) -> Result<u64, PluginError> {
        self.mishaps.around("purge", None, self.inner.purge(tenant, below, at_most)).await
    }

    async fn count(&self, tenant: &TenantId, below: Generation) -> Result<u64, PluginError> {
        self.mishaps.around("count", None, self.inner.count(tenant, below)).await
    }

    async fn remove(&self, tenant: &TenantId, user: &UserId) -> Result<bool, PluginError> {
        self.mishaps.around("remove", None, self.inner.remove(tenant, user)).await
    }

    async fn remove_if(
        &self,
        tenant: &TenantId,
        user: &UserId,
        version: Version,
    ) -> Result<bool, PluginError> {
        let call = self.inner.remove_if(tenant, user, version);
        self.mishaps.around("remove_if", Some(false), call).await
    }

    async fn users(
        &self,
        tenant: &TenantId,
        generation: Generation,
        after: Option<&UserId>,
        at_most: u32,
    ) -> Result<Vec<UserId>, PluginError> {
        self.mishaps
            .around("users", None, self.inner.users(tenant, generation, after, at_most))
            .await
    }
}

#[async_trait]
impl<T: UserStore> UserStore for Failing<T> {
    async fn find_by_login(
        &self,
        tenant: &TenantId,
        name: &LoginName,
    ) -> Result<Option<User>, PluginError> {
        self.mishaps.around("find_by_login", None, self.inner.find_by_login(tenant, name)).await
    }

    async fn find_by_id(
        &self,
        tenant: &TenantId,
        user: &UserId,
    ) -> Result<Option<User>, PluginError> {
        self.mishaps.around("find_by_id", None, self.inner.find_by_id(tenant, user)).await
    }

    async fn replace_password_hash(
        &self,
        tenant: &TenantId,
        user: &UserId,
        current: &PasswordHash,
        next: &PasswordHash,
    ) -> Result<bool, PluginError> {
        let call = self.inner.replace_password_hash(tenant, user, current, next);
        self.mishaps.around("replace_password_hash", Some(false), call).await
    }
}

#[async_trait]
impl<T: PasswordVerifier> PasswordVerifier for Failing<T> {
    fn admit(&self) -> Result<Admission, Busy> {
        self.inner.admit()
    }

    async fn verify(&self, attempt: &PasswordAttempt<'_>) -> Result<PasswordCheck, PluginError> {
        self.mishaps.around("verify", None, self.inner.verify(attempt)).await
    }

    async fn hash_password(
        &self,
        password: &Password,
    ) -> Result<Option<PasswordHash>, PluginError> {
        self.mishaps.around("hash_password", None, self.inner.hash_password(password)).await
    }
}

#[async_trait]
impl<T: SendBudget> SendBudget for Failing<T> {
    async fn charge(
        &self,
        accounts: &[Account],
        now: OffsetDateTime,
    ) -> Result<Charged, PluginError> {
        self.mishaps.around("charge", None, self.inner.charge(accounts, now)).await
    }
}
