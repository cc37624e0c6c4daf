//! A store around another, of which a test says only what it does differently.

use super::*;

/// What a wrapper does. Each call goes on to the inner store unless it is written otherwise.
#[async_trait]
pub trait Wraps: Send + Sync {
    type Inner: FactorStore;

    fn inner(&self) -> &Self::Inner;

    async fn load(&self, tenant: &TenantId, user: &UserId) -> Result<Snapshot, PluginError> {
        self.inner().load(tenant, user).await
    }

    async fn load_many(
        &self,
        tenant: &TenantId,
        users: &[UserId],
    ) -> Result<Snapshots, PluginError> {
        self.inner().load_many(tenant, users).await
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        user: &UserId,
        expected: &ExpectedVersions,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        self.inner().commit(tenant, user, expected, next).await
    }

    async fn purge(
        &self,
        tenant: &TenantId,
        below: Generation,
        at_most: u32,
    ) -> Result<u64, PluginError> {
        self.inner().purge(tenant, below, at_most).await
    }

    async fn count(&self, tenant: &TenantId, below: Generation) -> Result<u64, PluginError> {
        self.inner().count(tenant, below).await
    }

    async fn remove(&self, tenant: &TenantId, user: &UserId) -> Result<bool, PluginError> {
        self.inner().remove(tenant, user).await
    }

    async fn remove_if(
        &self,
        tenant: &TenantId,
        user: &UserId,
        version: Version,
    ) -> Result<bool, PluginError> {
        self.inner().remove_if(tenant, user, version).await
    }
}

/// The wrapper as a store.
#[derive(Clone)]
pub struct Wrapped<T>(pub T);

#[async_trait]
impl<T: Wraps> FactorStore for Wrapped<T> {
    async fn load(&self, tenant: &TenantId, user: &UserId) -> Result<Snapshot, PluginError> {
        self.0.load(tenant, user).await
    }

    async fn load_many(
        &self,
        tenant: &TenantId,
        users: &[UserId],
    ) -> Result<Snapshots, PluginError> {
        self.0.load_many(tenant, users).await
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        user: &UserId,
        expected: &ExpectedVersions,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        self.0.commit(tenant, user, expected, next).await
    }

    async fn settings(&self, tenant: &TenantId) -> Result<Option<StoredRow>, PluginError> {
        self.0.inner().settings(tenant).await
    }

    async fn change_settings(
        &self,
        tenant: &TenantId,
        expected: Option<Version>,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        self.0.inner().change_settings(tenant, expected, next).await
    }

    async fn purge(
        &self,
        tenant: &TenantId,
        below: Generation,
        at_most: u32,
    ) -> Result<u64, PluginError> {
        self.0.purge(tenant, below, at_most).await
    }

    async fn count(&self, tenant: &TenantId, below: Generation) -> Result<u64, PluginError> {
        self.0.count(tenant, below).await
    }

    async fn remove(&self, tenant: &TenantId, user: &UserId) -> Result<bool, PluginError> {
        self.0.remove(tenant, user).await
    }

    async fn remove_if(
        &self,
        tenant: &TenantId,
        user: &UserId,
        version: Version,
    ) -> Result<bool, PluginError> {
        self.0.remove_if(tenant, user, version).await
    }

    async fn users(
        &self,
        tenant: &TenantId,
        generation: Generation,
        after: Option<&UserId>,
        at_most: u32,
    ) -> Result<Vec<UserId>, PluginError> {
        self.0.inner().users(tenant, generation, after, at_most).await
    }
}
