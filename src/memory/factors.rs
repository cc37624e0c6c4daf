//! A [`FactorStore`] in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;

use crate::error::PluginError;
use crate::ids::{TenantId, UserId, Version};
use crate::store::{
    CommitOutcome, ExpectedVersions, FactorStore, Generation, Snapshot, Snapshots, StoredRow,
};
use crate::sync::{Mutex, MutexGuard, RwLock};

/// Countersign's saved state in this process's memory. Clones share it.
///
/// Correct under concurrency, and no lock is held across tenants: each has its own, held for one
/// comparison and one write, or for a batch of a purge (some 2 ms for 5,000 of a million records).
/// Nothing survives the process; an application that must remember locks and trusted devices across
/// restarts uses a store with a disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryFactors {
    tenants: Arc<RwLock<HashMap<TenantId, Arc<Mutex<Tenant>>>>>,
}

#[derive(Debug, Default)]
struct Tenant {
    settings: Option<StoredRow>,
    records: BTreeMap<UserId, StoredRow>,
    /// Whose records there are of each generation, by the bytes of the ids: what a purge deletes, a
    /// page counts and a sweep lists is found without looking at anything else.
    generations: BTreeMap<Generation, BTreeSet<UserId>>,
}

impl Tenant {
    fn insert(&mut self, user: &UserId, next: StoredRow) {
        let generation = next.generation;
        let before = self.records.insert(user.clone(), next).map(|before| before.generation);
        if before != Some(generation) {
            self.generations.entry(generation).or_default().insert(user.clone());
            self.unlist(user, before);
        }
    }

    fn remove(&mut self, user: &UserId) -> Option<StoredRow> {
        let before = self.records.remove(user);
        self.unlist(user, before.as_ref().map(|before| before.generation));
        before
    }

    fn unlist(&mut self, user: &UserId, generation: Option<Generation>) {
        let Some(generation) = generation else { return };
        let Some(users) = self.generations.get_mut(&generation) else { return };
        users.remove(user);
        if users.is_empty() {
            self.generations.remove(&generation);
        }
    }

    /// Some user whose record is of an earlier generation.
    fn any_below(&self, below: Generation) -> Option<UserId> {
        self.generations.range(..below).next()?.1.first().cloned()
    }
}

impl MemoryFactors {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many records of this tenant there are, whatever their generation; for tests that look at
    /// what is stored.
    pub fn records(&self, tenant: &TenantId) -> usize {
        self.tenant(tenant).map_or(0, |tenant| lock(&tenant).records.len())
    }

    /// One user's record as it is stored, whatever its generation; for tests that look at what is
    /// stored.
    pub fn record(&self, tenant: &TenantId, user: &UserId) -> Option<StoredRow> {
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
        Arc::clone(
            self.tenants
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(id.clone())
                .or_default(),
        )
    }
}

/// No code that could panic runs while a tenant is locked, so a poisoned lock guards sound data.
fn lock(tenant: &Mutex<Tenant>) -> MutexGuard<'_, Tenant> {
    tenant.lock().unwrap_or_else(PoisonError::into_inner)
}

fn version(saved: Option<&StoredRow>) -> Option<Version> {
    saved.map(|saved| saved.version)
}

#[async_trait]
impl FactorStore for MemoryFactors {
    async fn load(&self, tenant: &TenantId, user: &UserId) -> Result<Snapshot, PluginError> {
        let Some(tenant) = self.tenant(tenant) else { return Ok(Snapshot::default()) };
        let tenant = lock(&tenant);
        Ok(Snapshot {
            settings: tenant.settings.clone(),
            record: tenant.records.get(user).cloned(),
        })
    }

    async fn load_many(
        &self,
        tenant: &TenantId,
        users: &[UserId],
    ) -> Result<Snapshots, PluginError> {
        let Some(tenant) = self.tenant(tenant) else {
            return Ok(Snapshots { settings: None, records: vec![None; users.len()] });
        };
        let tenant = lock(&tenant);
        Ok(Snapshots {
            settings: tenant.settings.clone(),
            records: users.iter().map(|user| tenant.records.get(user).cloned()).collect(),
        })
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        user: &UserId,
        expected: &ExpectedVersions,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        let tenant = self.tenant_or_new(tenant);
        let mut tenant = lock(&tenant);
        let found = ExpectedVersions {
            settings: version(tenant.settings.as_ref()),
            record: version(tenant.records.get(user)),
        };
        if found != *expected {
            return Ok(CommitOutcome::Conflict);
        }
        tenant.insert(user, next.clone());
        Ok(CommitOutcome::Written)
    }

    async fn settings(&self, tenant: &TenantId) -> Result<Option<StoredRow>, PluginError> {
        Ok(self.tenant(tenant).and_then(|tenant| lock(&tenant).settings.clone()))
    }

    async fn change_settings(
        &self,
        tenant: &TenantId,
        expected: Option<Version>,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        let tenant = self.tenant_or_new(tenant);
        let mut tenant = lock(&tenant);
        if version(tenant.settings.as_ref()) != expected {
            return Ok(CommitOutcome::Conflict);
        }
        tenant.settings = Some(next.clone());
        Ok(CommitOutcome::Written)
    }

    async fn purge(
        &self,
        tenant: &TenantId,
        below: Generation,
        at_most: u32,
    ) -> Result<u64, PluginError> {
        let Some(tenant) = self.tenant(tenant) else { return Ok(0) };
        let mut deleted = Vec::new();
        let mut tenant = lock(&tenant);
        while u64::try_from(deleted.len())? < u64::from(at_most)
            && let Some(user) = tenant.any_below(below)
        {
            deleted.extend(tenant.remove(&user));
        }
        // Their memory goes back to the system when nobody waits any more.
        drop(tenant);
        Ok(u64::try_from(deleted.len())?)
    }

    async fn count(&self, tenant: &TenantId, below: Generation) -> Result<u64, PluginError> {
        let Some(tenant) = self.tenant(tenant) else { return Ok(0) };
        let earlier: usize =
            lock(&tenant).generations.range(..below).map(|(_, users)| users.len()).sum();
        Ok(u64::try_from(earlier)?)
    }

    async fn remove(&self, tenant: &TenantId, user: &UserId) -> Result<bool, PluginError> {
        Ok(self.tenant(tenant).is_some_and(|tenant| lock(&tenant).remove(user).is_some()))
    }

    async fn remove_if(
        &self,
        tenant: &TenantId,
        user: &UserId,
        expected: Version,
    ) -> Result<bool, PluginError> {
        let Some(tenant) = self.tenant(tenant) else { return Ok(false) };
        let mut tenant = lock(&tenant);
        let holds = version(tenant.records.get(user)) == Some(expected);
        if holds {
            tenant.remove(user);
        }
        Ok(holds)
    }

    async fn users(
        &self,
        tenant: &TenantId,
        generation: Generation,
        after: Option<&UserId>,
        at_most: u32,
    ) -> Result<Vec<UserId>, PluginError> {
        let Some(tenant) = self.tenant(tenant) else { return Ok(Vec::new()) };
        let tenant = lock(&tenant);
        let Some(users) = tenant.generations.get(&generation) else { return Ok(Vec::new()) };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let found = users.range::<UserId, _>((from, Bound::Unbounded)).cloned();
        Ok(found.take(usize::try_from(at_most)?).collect())
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// Whatever is written, deleted and purged, the generations list exactly the records that there
    /// are.
    #[test]
    fn the_generations_list_the_records() {
        let mut random = StdRng::seed_from_u64(7);
        let store = MemoryFactors::new();
        let acme = TenantId::new("acme").unwrap();
        let mut seen = [0_u32; 4];
        for step in 0..4_000_u32 {
            let user = UserId::new(&format!("user-{}", random.random_range(0..30))).unwrap();
            let generation = Generation::new(random.random_range(0..4));
            let found = store.record(&acme, &user).map(|record| record.version);
            let did = random.random_range(0..4);
            seen[did] += 1;
            match did {
                0 | 1 => {
                    let mut version = [0; 16];
                    version[..4].copy_from_slice(&step.to_be_bytes());
                    let next = StoredRow {
                        version: Version::from_bytes(version),
                        generation,
                        document: "{}".to_owned(),
                    };
                    let expected = ExpectedVersions { settings: None, record: found };
                    assert_eq!(
                        block_on(store.commit(&acme, &user, &expected, &next)).unwrap(),
                        CommitOutcome::Written
                    );
                }
                2 if step % 2 == 0 => {
                    assert_eq!(block_on(store.remove(&acme, &user)).unwrap(), found.is_some());
                }
                2 => {
                    let version = found.unwrap_or(Version::from_bytes([0xFF; 16]));
                    assert_eq!(
                        block_on(store.remove_if(&acme, &user, version)).unwrap(),
                        found.is_some()
                    );
                }
                _ => {
                    let earlier = block_on(store.count(&acme, generation)).unwrap();
                    assert_eq!(
                        block_on(store.purge(&acme, generation, 2)).unwrap(),
                        earlier.min(2)
                    );
                }
            }
            let tenant = store.tenant_or_new(&acme);
            let tenant = lock(&tenant);
            let listed: Vec<_> = tenant
                .generations
                .iter()
                .flat_map(|(own, users)| users.iter().map(|user| (user, *own)))
                .collect();
            assert!(tenant.generations.values().all(|users| !users.is_empty()));
            assert_eq!(listed.len(), tenant.records.len());
            assert!(listed.iter().all(|(user, own)| tenant.records[*user].generation == *own));
        }
        assert!(seen.iter().all(|times| *times > 500), "{seen:?}");
    }
}
