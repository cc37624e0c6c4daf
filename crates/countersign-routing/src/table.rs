//! One sender for each method and tenant.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use async_trait::async_trait;
use countersign::{Accepted, CodeMessage, CodeSender, Method, Notice, SendError, SendErrorKind, TenantId};

/// The table of routes. Clones share it, and it may be changed while logins are under way.
#[derive(Clone, Default)]
pub struct RouteTable {
    routes: Arc<RwLock<Routes>>,
}

#[derive(Default)]
struct Routes {
    default: HashMap<Method, Arc<dyn CodeSender>>,
    tenants: HashMap<(TenantId, Method), Arc<dyn CodeSender>>,
}

/// The source of the error where there is no route.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("no sender for this method")]
struct NoRoute;

impl RouteTable {
    /// A table without routes.
    pub fn new() -> Self {
        Self::default()
    }

    /// The sender for a method of every tenant that has none of its own.
    pub fn set_default(&self, method: Method, sender: impl CodeSender + 'static) {
        self.write().default.insert(method, Arc::new(sender));
    }

    /// A tenant's own sender for a method: another provider, or other words.
    pub fn set_for(&self, tenant: &TenantId, method: Method, sender: impl CodeSender + 'static) {
        self.write().tenants.insert((tenant.clone(), method), Arc::new(sender));
    }

    /// Takes a tenant's own senders away.
    pub fn forget(&self, tenant: &TenantId) {
        self.write().tenants.retain(|(owner, _), _| owner != tenant);
    }

    fn write(&self) -> RwLockWriteGuard<'_, Routes> {
        self.routes.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn route(&self, tenant: &TenantId, method: Method) -> Result<Arc<dyn CodeSender>, SendError> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        let found = routes.tenants.get(&(tenant.clone(), method)).or_else(|| routes.default.get(&method));
        found.cloned().ok_or_else(|| SendError::new(SendErrorKind::Permanent).caused_by(NoRoute))
    }
}

#[async_trait]
impl CodeSender for RouteTable {
    async fn send_code(&self, message: &CodeMessage) -> Result<Accepted, SendError> {
        let sender = self.route(&message.tenant, message.destination.method())?;
        sender.send_code(message).await
    }

    async fn notify(&self, notice: &Notice) -> Result<Accepted, SendError> {
        let sender = self.route(&notice.tenant, notice.destination.method())?;
        sender.notify(notice).await
    }
}

impl fmt::Debug for RouteTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_set().entries(routes.default.keys()).entries(routes.tenants.keys()).finish()
    }
}
