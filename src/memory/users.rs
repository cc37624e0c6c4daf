//! A [`UserStore`] in memory.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use thiserror::Error;

use crate::error::PluginError;
use crate::ids::{LoginName, TenantId, UserId};
use crate::sync::RwLock;
use crate::user::{PasswordHash, User, UserDirectory, UserStatus, UserStore};

/// Users in this process's memory, for tests and examples. Clones share them. Login names are
/// compared byte by byte.
#[derive(Clone, Debug, Default)]
pub struct MemoryUsers {
    tenants: Arc<RwLock<HashMap<TenantId, Tenant>>>,
}

#[derive(Debug, Default)]
struct Tenant {
    /// In the order of the bytes of their ids.
    by_id: BTreeMap<UserId, User>,
    by_name: HashMap<LoginName, UserId>,
}

/// There is no such user to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no such user")]
pub struct NoSuchUser;

impl MemoryUsers {
    /// Nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a user to their tenant, or replaces the one with the same id, under this login name.
    pub fn insert(&self, name: &LoginName, user: User) {
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        let tenant = tenants.entry(user.tenant.clone()).or_default();
        let id = user.id.clone();
        if tenant.by_id.insert(id.clone(), user).is_some() {
            tenant.by_name.retain(|_, other| *other != id);
        }
        tenant.by_name.insert(name.clone(), id);
    }

    /// Changes a user: another password, a promotion, a disabled account.
    ///
    /// # Errors
    ///
    /// [`NoSuchUser`] if there is none with this id in this tenant.
    pub fn change(
        &self,
        tenant: &TenantId,
        user: &UserId,
        change: impl FnOnce(&mut User),
    ) -> Result<(), NoSuchUser> {
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        change(
            tenants
                .get_mut(tenant)
                .and_then(|tenant| tenant.by_id.get_mut(user))
                .ok_or(NoSuchUser)?,
        );
        Ok(())
    }

    /// Deletes a user, and says whether there was one.
    pub fn remove(&self, tenant: &TenantId, user: &UserId) -> bool {
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        let Some(tenant) = tenants.get_mut(tenant) else { return false };
        tenant.by_name.retain(|_, id| id != user);
        tenant.by_id.remove(user).is_some()
    }

    fn find(&self, tenant: &TenantId, user: impl FnOnce(&Tenant) -> Option<&User>) -> Option<User> {
        self.tenants
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(tenant)
            .and_then(user)
            .cloned()
    }
}

#[async_trait]
impl UserStore for MemoryUsers {
    async fn find_by_login(
        &self,
        tenant: &TenantId,
        name: &LoginName,
    ) -> Result<Option<User>, PluginError> {
        Ok(self.find(tenant, |tenant| tenant.by_id.get(tenant.by_name.get(name)?)))
    }

    async fn find_by_id(
        &self,
        tenant: &TenantId,
        user: &UserId,
    ) -> Result<Option<User>, PluginError> {
        Ok(self.find(tenant, |tenant| tenant.by_id.get(user)))
    }

    async fn replace_password_hash(
        &self,
        tenant: &TenantId,
        user: &UserId,
        current: &PasswordHash,
        next: &PasswordHash,
    ) -> Result<bool, PluginError> {
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        let user = tenants.get_mut(tenant).and_then(|tenant| tenant.by_id.get_mut(user));
        let Some(saved) = user.and_then(|user| user.password_hash.as_mut()) else {
            return Ok(false);
        };
        if saved.expose() != current.expose() {
            return Ok(false);
        }
        *saved = next.clone();
        Ok(true)
    }
}

#[async_trait]
impl UserDirectory for MemoryUsers {
    async fn page(
        &self,
        tenant: &TenantId,
        after: Option<&UserId>,
        at_most: u32,
    ) -> Result<Vec<User>, PluginError> {
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        let Some(tenant) = tenants.get(tenant) else { return Ok(Vec::new()) };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let later = tenant.by_id.range::<UserId, _>((from, Bound::Unbounded));
        Ok(later.take(at_most as usize).map(|(_, user)| user.clone()).collect())
    }

    async fn administrators(&self, tenant: &TenantId) -> Result<Vec<User>, PluginError> {
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        let Some(tenant) = tenants.get(tenant) else { return Ok(Vec::new()) };
        let active = |user: &&User| user.system_administrator && user.status == UserStatus::Active;
        Ok(tenant.by_id.values().filter(active).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// I-04: a name leads to its user and to nobody else, whoever comes, goes or takes another
    /// name.
    #[tokio::test]
    async fn a_name_belongs_to_one_user() {
        let users = MemoryUsers::new();
        let tenant = TenantId::new("acme").unwrap();
        let name = |text: &str| LoginName::new(text).unwrap();
        let user = |id: &str| User::new(tenant.clone(), UserId::new(id).unwrap());
        for id in ["a", "b"] {
            users.insert(&name(id), user(id));
        }
        users.insert(&name("c"), user("a"));
        let found = async |text: &str| {
            let found = users.find_by_login(&tenant, &name(text)).await.unwrap();
            found.map(|user| user.id.as_str().to_owned())
        };
        assert_eq!(
            [found("a").await, found("b").await, found("c").await],
            [None, Some("b".into()), Some("a".into())]
        );
        assert!(users.remove(&tenant, &UserId::new("a").unwrap()));
        assert!(!users.remove(&tenant, &UserId::new("a").unwrap()));
        assert_eq!([found("b").await, found("c").await], [Some("b".into()), None]);
    }
}
