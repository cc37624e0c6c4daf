//! Plug-ins whose calls are counted, and before which something can happen.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use countersign::error::PluginError;
use countersign::password::{Admission, Busy, PasswordAttempt, PasswordCheck, PasswordVerifier};
use countersign::store::{
    CommitOutcome, ExpectedVersions, FactorStore, Generation, Snapshot, StoredRow, Version,
};
use countersign::user::{PasswordHash, User, UserStore};
use countersign::{LoginName, Password, TenantId, UserId};

type Hook = Box<dyn FnOnce() + Send>;

/// How often each plug-in was called, and what happens at its next call.
#[derive(Clone, Default)]
pub struct Calls {
    made: Arc<Mutex<Vec<&'static str>>>,
    hooks: Arc<Mutex<HashMap<&'static str, Hook>>>,
}

impl Calls {
    /// This happens once, just before the next call of that name.
    pub fn before(&self, call: &'static str, hook: impl FnOnce() + Send + 'static) {
        self.hooks.lock().unwrap().insert(call, Box::new(hook));
    }

    /// Notes a call that is about to be made.
    pub fn note(&self, call: &'static str) {
        self.made.lock().unwrap().push(call);
        let hook = self.hooks.lock().unwrap().remove(call);
        if let Some(hook) = hook {
            hook();
        }
    }

    /// All calls in order.
    pub fn all(&self) -> Vec<&'static str> {
        self.made.lock().unwrap().clone()
    }

    pub fn of(&self, call: &str) -> usize {
        self.made.lock().unwrap().iter().filter(|made| **made == call).count()
    }

    pub fn clear(&self) {
        self.made.lock().unwrap().clear();
    }

    /// The calls since the last time, in alphabetical order: two that run at the same time have
    /// none.
    pub fn take_sorted(&self) -> Vec<&'static str> {
        let mut calls = std::mem::take(&mut *self.made.lock().unwrap());
        calls.sort_unstable();
        calls
    }
}

/// A plug-in whose calls are noted.
#[derive(Clone)]
pub struct Counting<T> {
    pub inner: T,
    pub calls: Calls,
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
