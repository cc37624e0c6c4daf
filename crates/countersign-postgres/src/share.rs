//! The part of the pool that one tenant, or the budget, may use concurrently.
//!
//! Whatever waits for a lock keeps its connection while it waits. Without a bound, those that wait
//! for one record would take the whole pool, and nobody else would get a connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign::TenantId;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Whose part of the pool a call uses.
#[derive(Clone, Copy)]
pub(crate) enum Whose<'a> {
    /// Nobody's: it waits for no lock.
    Anybody,
    /// A tenant's.
    Of(&'a TenantId),
    /// The budget's.
    Budget,
}

/// How many connections tenants and the budget use concurrently, and who waits for one.
pub(crate) struct Shares {
    each: usize,
    tenants: Mutex<HashMap<TenantId, Arc<Semaphore>>>,
    budget: Arc<Semaphore>,
}

/// A place in such a part, for as long as it is kept.
pub(crate) enum Place {
    /// None is needed.
    Free,
    /// In a tenant's part.
    Tenants { _place: InTenants },
    /// In the budget's part.
    Budgets { _permit: OwnedSemaphorePermit },
}

impl Shares {
    /// Half of the pool for each tenant, and a quarter for the budget: at least one connection.
    pub(crate) fn of(connections: usize) -> Arc<Self> {
        let (half, quarter) = (connections.div_euclid(2).max(1), connections.div_euclid(4).max(1));
        Arc::new(Self {
            each: half,
            tenants: Mutex::default(),
            budget: Arc::new(Semaphore::new(quarter)),
        })
    }

    /// Waits for a place. First come, first served.
    pub(crate) async fn place(self: &Arc<Self>, whose: Whose<'_>) -> Result<Place, AcquireError> {
        Ok(match whose {
            Whose::Anybody => Place::Free,
            Whose::Of(tenant) => {
                let mut place = self.queue(tenant);
                if let Some(semaphore) = &place.semaphore {
                    place.permit = Some(Arc::clone(semaphore).acquire_owned().await?);
                }
                Place::Tenants { _place: place }
            }
            Whose::Budget => {
                Place::Budgets { _permit: Arc::clone(&self.budget).acquire_owned().await? }
            }
        })
    }

    fn queue(self: &Arc<Self>, tenant: &TenantId) -> InTenants {
        let mut tenants = self.tenants();
        let semaphore = match tenants.get(tenant) {
            Some(semaphore) => Arc::clone(semaphore),
            None => Arc::clone(
                tenants
                    .entry(tenant.clone())
                    .or_insert_with(|| Arc::new(Semaphore::new(self.each))),
            ),
        };
        drop(tenants);
        InTenants {
            shares: Arc::clone(self),
            tenant: tenant.clone(),
            semaphore: Some(semaphore),
            permit: None,
        }
    }

    fn tenants(&self) -> MutexGuard<'_, HashMap<TenantId, Arc<Semaphore>>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in a tenant's part, or in the queue for one. Nothing is remembered of a tenant of which
/// there is neither (`I-40`).
pub(crate) struct InTenants {
    shares: Arc<Shares>,
    tenant: TenantId,
    semaphore: Option<Arc<Semaphore>>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Drop for InTenants {
    fn drop(&mut self) {
        let mut tenants = self.shares.tenants();
        self.permit = None;
        self.semaphore = None;
        // Nobody gets hold of it without the lock that is held here.
        if tenants.get(&self.tenant).is_some_and(|semaphore| Arc::strong_count(semaphore) == 1) {
            tenants.remove(&self.tenant);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// I-40: whoever waited and gave up, and whoever had a place, leaves nothing.
    #[tokio::test]
    async fn nothing_is_remembered_of_a_tenant_whom_nobody_waits_for() {
        let shares = Shares::of(4);
        let (acme, globex) = (TenantId::new("acme").unwrap(), TenantId::new("globex").unwrap());
        let both = (
            shares.place(Whose::Of(&acme)).await.unwrap(),
            shares.place(Whose::Of(&acme)).await.unwrap(),
        );
        let mut third = Box::pin(shares.place(Whose::Of(&acme)));
        assert!(
            std::future::Future::poll(
                third.as_mut(),
                &mut std::task::Context::from_waker(std::task::Waker::noop())
            )
            .is_pending()
        );
        // Another tenant is not in that queue, and neither is the budget.
        let other = shares.place(Whose::Of(&globex)).await.unwrap();
        let budget = shares.place(Whose::Budget).await.unwrap();
        assert_eq!(shares.tenants().len(), 2);
        drop((third, other, budget));
        assert_eq!(shares.tenants().len(), 1);
        drop(both);
        assert_eq!(shares.tenants().len(), 0);
    }
}
