//! A [`FactorStore`] in memory.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;

use crate::error::Fault;
use crate::ids::{TenantId, UserId, Version};
use crate::store::{Commit, Expected, FactorStore, Generation, Saved, Snapshot};
use crate::sync::{Mutex, MutexGuard, RwLock};

/// Countersign's saved state in this process's memory. Clones share it.
///
/// Correct under concurrency, and no lock is held across tenants: each has its own, held for one comparison and one write. Nothing
/// survives the process; an application that must remember locks and trusted devices across restarts uses a store with a disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryFactors {
    tenants: Arc<RwLock<HashMap<TenantId, Arc<Mutex<Tenant>>>>>,
}

#[derive(Debug, Default)]
struct Tenant {
    settings: Option<Saved>,
    /// By the bytes of the ids.
    records: BTreeMap<UserId, Saved>,
}

impl MemoryFactors {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many records of this tenant there are, whatever their generation; for tests that look at what is stored.
    pub fn records(&self, tenant: &TenantId) -> usize {
        self.tenant(tenant).map_or(0, |tenant| lock(&tenant).records.len())
    }

    /// One user's record as it is stored, whatever its generation; for tests that look at what is stored.
    pub fn record(&self, tenant: &TenantId, user: &UserId) -> Option<Saved> {
        lock(&*self.tenant(tenant)?).records.get(user).cloned()
    }

    /// Reading makes no tenant: nobody fills the memory by asking.
    fn tenant(&self, id: &TenantId) -> Option<Arc<Mutex<Tenant>>> {
        self.tenants.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn tenant_or_new(&self, id: &TenantId) -> Arc<Mutex<Tenant>> {
        if let Some(tenant) = self.tenant(id) {
            return tenant;
        }
        Arc::clone(self.tenants.write().unwrap_or_else(PoisonError::into_inner).entry(id.clone()).or_default())
    }
}

/// No code that could panic runs while a tenant is locked, so a poisoned lock guards sound data.
fn lock(tenant: &Mutex<Tenant>) -> MutexGuard<'_, Tenant> {
    tenant.lock().unwrap_or_else(PoisonError::into_inner)
}

fn version(saved: Option<&Saved>) -> Option<Version> {
    saved.map(|saved| saved.version)
}

#[async_trait]
impl FactorStore for MemoryFactors {
    async fn load(&self, tenant: &TenantId, user: &UserId) -> Result<Snapshot, Fault> {
        let Some(tenant) = self.tenant(tenant) else { return Ok(Snapshot::default()) };
        let tenant = lock(&tenant);
        Ok(Snapshot { settings: tenant.settings.clone(), record: tenant.records.get(user).cloned() })
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        user: &UserId,
        expected: &Expected,
        next: &Saved,
    ) -> Result<Commit, Fault> {
        let tenant = self.tenant_or_new(tenant);
        let mut tenant = lock(&tenant);
        let found = Expected { settings: version(tenant.settings.as_ref()), record: version(tenant.records.get(user)) };
        if found != *expected {
            return Ok(Commit::Conflict);
        }
        tenant.records.insert(user.clone(), next.clone());
        Ok(Commit::Written)
    }

    async fn settings(&self, tenant: &TenantId) -> Result<Option<Saved>, Fault> {
        Ok(self.tenant(tenant).and_then(|tenant| lock(&tenant).settings.clone()))
    }

    async fn change_settings(
        &self,
        tenant: &TenantId,
        expected: Option<Version>,
        next: &Saved,
    ) -> Result<Commit, Fault> {
        let tenant = self.tenant_or_new(tenant);
        let mut tenant = lock(&tenant);
        if version(tenant.settings.as_ref()) != expected {
            return Ok(Commit::Conflict);
        }
        tenant.settings = Some(next.clone());
        Ok(Commit::Written)
    }

    async fn purge(&self, tenant: &TenantId, below: Generation, at_most: u32) -> Result<u64, Fault> {
        let Some(tenant) = self.tenant(tenant) else { return Ok(0) };
        let mut tenant = lock(&tenant);
        let mut deleted: u32 = 0;
        tenant.records.retain(|_, saved| {
            let goes = saved.generation < below && deleted < at_most;
            deleted = deleted.saturating_add(u32::from(goes));
            !goes
        });
        Ok(u64::from(deleted))
    }

    async fn count(&self, tenant: &TenantId, below: Generation) -> Result<u64, Fault> {
        let Some(tenant) = self.tenant(tenant) else { return Ok(0) };
        let earlier = lock(&tenant).records.values().filter(|saved| saved.generation < below).count();
        Ok(u64::try_from(earlier)?)
    }

    async fn remove(&self, tenant: &TenantId, user: &UserId) -> Result<bool, Fault> {
        Ok(self.tenant(tenant).is_some_and(|tenant| lock(&tenant).records.remove(user).is_some()))
    }

    async fn remove_if(&self, tenant: &TenantId, user: &UserId, expected: Version) -> Result<bool, Fault> {
        let Some(tenant) = self.tenant(tenant) else { return Ok(false) };
        let mut tenant = lock(&tenant);
        let holds = version(tenant.records.get(user)) == Some(expected);
        if holds {
            tenant.records.remove(user);
        }
        Ok(holds)
    }

    async fn users(
        &self,
        tenant: &TenantId,
        generation: Generation,
        after: Option<&UserId>,
        at_most: u32,
    ) -> Result<Vec<UserId>, Fault> {
        let Some(tenant) = self.tenant(tenant) else { return Ok(Vec::new()) };
        let tenant = lock(&tenant);
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let found = tenant.records.range::<UserId, _>((from, Bound::Unbounded));
        let found = found.filter(|(_, saved)| saved.generation == generation).map(|(user, _)| user.clone());
        Ok(found.take(usize::try_from(at_most)?).collect())
    }
}
