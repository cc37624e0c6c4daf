//! Stores and a policy with one fault each: what a story must show.

use crate::support::wrapped::Wraps;
use async_trait::async_trait;
use countersign::error::PluginError;
use countersign::memory::MemoryFactors;
use countersign::policy::{PolicyContext, Requirement, StandardPolicy, TwoFactorPolicy};
use countersign::store::{
    CommitOutcome, ExpectedVersions, FactorStore, Generation, Snapshot, StoredRow,
};
use countersign::{Scope, TenantId, UserId};

/// Everything as it is.
pub const SOUND: u8 = 0;
/// A reset writes what was there before.
pub const RESET_KEEPS: u8 = 1;
/// Wrong codes are not saved.
pub const COUNT_LOST: u8 = 2;
/// A record of any generation is handed out as a current one.
pub const GENERATION_IGNORED: u8 = 3;
/// Administrators are taken for employees.
pub const ROLE_IGNORED: u8 = 4;

pub struct Faulty<const FAULT: u8>(pub MemoryFactors);

#[async_trait]
impl<const FAULT: u8> Wraps for Faulty<FAULT> {
    type Inner = MemoryFactors;

    fn inner(&self) -> &MemoryFactors {
        &self.0
    }

    async fn load(&self, tenant: &TenantId, user: &UserId) -> Result<Snapshot, PluginError> {
        let mut snapshot = self.0.load(tenant, user).await?;
        if let (GENERATION_IGNORED, Some(record), Some(settings)) =
            (FAULT, &mut snapshot.record, &snapshot.settings)
        {
            record.generation = settings.generation;
        }
        Ok(snapshot)
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        user: &UserId,
        expected: &ExpectedVersions,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        let mut next = next.clone();
        if FAULT == RESET_KEEPS && user.as_str() != "root" {
            let before = self.0.load(tenant, user).await?.record;
            let id = |document: &str| -> Result<serde_json::Value, PluginError> {
                Ok(serde_json::from_str::<serde_json::Value>(document)?["id"].clone())
            };
            if let Some(before) = before.filter(|before| before.generation == next.generation)
                && id(&before.document)? != id(&next.document)?
            {
                next.document = before.document;
            }
        }
        if FAULT == COUNT_LOST {
            let mut record: serde_json::Value = serde_json::from_str(&next.document)?;
            record.as_object_mut().unwrap().remove("code_failures");
            next.document = record.to_string();
        }
        self.0.commit(tenant, user, expected, &next).await
    }

    async fn purge(
        &self,
        tenant: &TenantId,
        below: Generation,
        at_most: u32,
    ) -> Result<u64, PluginError> {
        if FAULT == GENERATION_IGNORED { Ok(0) } else { self.0.purge(tenant, below, at_most).await }
    }

    async fn count(&self, tenant: &TenantId, below: Generation) -> Result<u64, PluginError> {
        if FAULT == GENERATION_IGNORED { Ok(0) } else { self.0.count(tenant, below).await }
    }
}

pub struct FaultyPolicy<const FAULT: u8>;

impl<const FAULT: u8> TwoFactorPolicy for FaultyPolicy<FAULT> {
    fn decide(&self, context: &PolicyContext<'_>) -> Result<Requirement, PluginError> {
        if FAULT == ROLE_IGNORED && context.scope == Scope::SystemAdministratorsOnly {
            let mut employee = context.user.clone();
            employee.system_administrator = false;
            return StandardPolicy.decide(
                &PolicyContext::new(context.tenant, context.scope, &employee, context.channel)
                    .with_single_sign_on(context.single_sign_on),
            );
        }
        StandardPolicy.decide(context)
    }
}
