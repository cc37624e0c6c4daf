//! One sender for each method and tenant.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use async_trait::async_trait;
use countersign::sender::{CodeMessage, CodeSender, Notice, SendError, SendErrorKind, SendStatus};
use countersign::{Method, TenantId};

use crate::Deadline;

/// The table of routes: one for each method, and for each method of a tenant that has its own.
/// Clones share it, and it may be changed while logins are under way.
///
/// A route is a [`Deadline`]: it has a deadline and a bound of its own, so that a provider that
/// hangs holds up neither another method nor another tenant.
#[derive(Clone, Default)]
pub struct RouteTable {
    routes: Arc<RwLock<Routes>>,
}

#[derive(Default)]
struct Routes {
    default: HashMap<Method, Deadline>,
    tenants: HashMap<(TenantId, Method), Deadline>,
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

    /// Sets the route of a method for every tenant that has none of its own.
    pub fn set_default(&self, method: Method, route: Deadline) {
        self.write().default.insert(method, route);
    }

    /// Sets a tenant's own route for a method: another provider, or other words.
    pub fn set_for(&self, tenant: &TenantId, method: Method, route: Deadline) {
        self.write().tenants.insert((tenant.clone(), method), route);
    }

    /// Takes a tenant's own routes away.
    pub fn forget(&self, tenant: &TenantId) {
        self.write().tenants.retain(|(owner, _), _| owner != tenant);
    }

    fn write(&self) -> RwLockWriteGuard<'_, Routes> {
        self.routes.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn route(&self, tenant: &TenantId, method: Method) -> Result<Deadline, SendError> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        let found =
            routes.tenants.get(&(tenant.clone(), method)).or_else(|| routes.default.get(&method));
        found.cloned().ok_or_else(|| SendError::new(SendErrorKind::Permanent).caused_by(NoRoute))
    }
}

#[async_trait]
impl CodeSender for RouteTable {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        let sender = self.route(&message.tenant, message.destination.method())?;
        sender.send_code(message).await
    }

    async fn notify(&self, notice: &Notice) -> Result<SendStatus, SendError> {
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
