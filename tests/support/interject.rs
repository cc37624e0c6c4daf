//! A store in whose calls a test can put something in between: what another node does at that very
//! moment.

use std::future::Future;
use std::pin::Pin;

use super::*;

type Hook = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// Runs a hook once, before or after the next call of one name.
#[derive(Clone)]
pub struct Interject {
    inner: MemoryFactors,
    hook: Arc<Mutex<Option<(&'static str, Hook)>>>,
}

impl Interject {
    pub fn over(world: &World) -> Self {
        Self { inner: world.factors.clone(), hook: Arc::default() }
    }

    /// `point` is `before commit`, `after purge` and so on.
    pub fn once<F: Future<Output = ()> + Send + 'static>(
        &self,
        point: &'static str,
        hook: impl FnOnce() -> F + Send + 'static,
    ) {
        *self.hook.lock().unwrap() = Some((point, Box::new(move || Box::pin(hook()))));
    }

    /// Whether the hook has run.
    pub fn is_done(&self) -> bool {
        self.hook.lock().unwrap().is_none()
    }

    async fn at(&self, point: &str) {
        let hook = {
            let mut armed = self.hook.lock().unwrap();
            match &*armed {
                Some((at, _)) if *at == point => armed.take(),
                _ => None,
            }
        };
        if let Some((_, hook)) = hook {
            hook().await;
        }
    }
}

#[async_trait]
impl FactorStore for Interject {
    async fn load(&self, tenant: &TenantId, user: &UserId) -> Result<Snapshot, PluginError> {
        self.at("before load").await;
        let snapshot = self.inner.load(tenant, user).await;
        self.at("after load").await;
        snapshot
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        user: &UserId,
        expected: &ExpectedVersions,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        self.at("before commit").await;
        let committed = self.inner.commit(tenant, user, expected, next).await;
        self.at("after commit").await;
        committed
    }

    async fn settings(&self, tenant: &TenantId) -> Result<Option<StoredRow>, PluginError> {
        self.inner.settings(tenant).await
    }

    async fn change_settings(
        &self,
        tenant: &TenantId,
        expected: Option<Version>,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        self.at("before change_settings").await;
        let changed = self.inner.change_settings(tenant, expected, next).await;
        self.at("after change_settings").await;
        changed
    }

    async fn purge(
        &self,
        tenant: &TenantId,
        below: Generation,
        at_most: u32,
    ) -> Result<u64, PluginError> {
        self.at("before purge").await;
        let purged = self.inner.purge(tenant, below, at_most).await;
        self.at("after purge").await;
        purged
    }

    async fn count(&self, tenant: &TenantId, below: Generation) -> Result<u64, PluginError> {
        self.at("before count").await;
        self.inner.count(tenant, below).await
    }

    async fn remove(&self, tenant: &TenantId, user: &UserId) -> Result<bool, PluginError> {
        self.at("before remove").await;
        let removed = self.inner.remove(tenant, user).await;
        self.at("after remove").await;
        removed
    }

    async fn remove_if(
        &self,
        tenant: &TenantId,
        user: &UserId,
        version: Version,
    ) -> Result<bool, PluginError> {
        self.at("before remove_if").await;
        let removed = self.inner.remove_if(tenant, user, version).await;
        self.at("after remove_if").await;
        removed
    }

    async fn users(
        &self,
        tenant: &TenantId,
        generation: Generation,
        after: Option<&UserId>,
        at_most: u32,
    ) -> Result<Vec<UserId>, PluginError> {
        self.inner.users(tenant, generation, after, at_most).await
    }
}
