//! Physical deletion after a tenant has switched off: a resumable job that the host runs.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::clock::Timestamp;
use crate::context::Call;
use crate::error::Error;
use crate::event::EventKind;
use crate::flow::settings::{Current, Reading, SettingsChange, SettingsDecision};
use crate::flow::{Inner, LoginFlow};
use crate::ids::TenantId;
use crate::machine::Clearing;
use crate::store::Generation;

/// The largest batch: what a store deletes without holding up others for long.
const LARGEST_BATCH: u32 = 5_000;

/// How far the deletion is that a tenant's last switching off began.
///
/// None of what is still there is of any use: it became invalid when the scope changed (`I-27`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "where it is not finished, records are left that no purge has deleted"]
#[non_exhaustive]
pub struct PurgeProgress {
    /// When the tenant switched off.
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    /// How many records were deleted since.
    pub deleted: u64,
    /// How many are left. `None`: not counted, because a full batch was deleted and more may
    /// follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining: Option<u64>,
    /// When none was left.
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub finished_at: Option<OffsetDateTime>,
}

impl LoginFlow {
    /// Deletes one batch of what a tenant's switching off has made invalid: at most `at_most`
    /// records, and never more than 5,000. Call it until [`PurgeProgress::finished_at`] is set; it
    /// can be stopped and resumed at any point, and run on several nodes concurrently.
    ///
    /// Each batch is noted in the tenant's settings, so that steps of its users that are under way
    /// at that moment decide once more. Where [`PurgeProgress::remaining`] is not counted,
    /// [`Operator::purge_progress`](crate::operator::Operator::purge_progress) counts it.
    ///
    /// `None`: the tenant never switched off.
    ///
    /// # Errors
    ///
    /// [`Error`] if the store or the clock fails. What was deleted stays deleted.
    ///
    /// # Cancel safety
    ///
    /// A dropped future has deleted its batch or not; call again. [`PurgeProgress::deleted`] may
    /// then be too low.
    pub async fn purge(
        &self,
        tenant: &TenantId,
        at_most: u32,
    ) -> Result<Option<PurgeProgress>, Error> {
        let inner = &*self.inner;
        let at_most = at_most.clamp(1, LARGEST_BATCH);
        let current = inner.settings(tenant).await?;
        let Some(clearing) = &current.settings.clearing else { return Ok(None) };
        if clearing.finished.is_some() {
            return Ok(Some(progress(clearing, Some(0))));
        }
        let generation = current.generation;
        let deleted =
            inner.factors.purge(tenant, generation, at_most).await.map_err(Error::factor_store)?;
        let remaining = if deleted < u64::from(at_most) {
            Some(inner.remaining(tenant, generation).await?)
        } else {
            None
        };
        inner.note_batch(tenant, generation, deleted, remaining).await
    }
}

impl Inner {
    /// Adds a batch to the tenant's settings, and notes the end when nothing was left.
    async fn note_batch(
        &self,
        tenant: &TenantId,
        generation: Generation,
        deleted: u64,
        remaining: Option<u64>,
    ) -> Result<Option<PurgeProgress>, Error> {
        let read = || -> Reading<'_, _> {
            Box::pin(async { Ok((self.settings(tenant).await?, Timestamp::now(&*self.clock)?)) })
        };
        self.change_settings(Call::without_request(tenant), read, |current, at| {
            let Current { mut settings, generation: now_in, .. } = current;
            let Some(clearing) = settings.clearing.as_mut() else {
                return Ok(SettingsDecision { outcome: None, change: None });
            };
            // Switched off once more since: this batch belongs to a deletion that is over.
            if now_in != generation {
                let outcome = Some(progress(clearing, None));
                return Ok(SettingsDecision { outcome, change: None });
            }
            clearing.deleted = clearing.deleted.saturating_add(deleted);
            let ends_here = remaining == Some(0) && clearing.finished.is_none();
            if ends_here {
                clearing.finished = Some(at);
            }
            let outcome = Some(progress(clearing, remaining));
            let event = ends_here.then_some(EventKind::PurgeFinished);
            let change = Some(SettingsChange { settings, generation, event });
            Ok(SettingsDecision { outcome, change })
        })
        .await
    }

    /// For a page: counts what is left.
    pub(super) async fn purge_progress(
        &self,
        tenant: &TenantId,
        current: &Current,
    ) -> Result<Option<PurgeProgress>, Error> {
        let Some(clearing) = &current.settings.clearing else { return Ok(None) };
        let remaining = if clearing.finished.is_some() {
            0
        } else {
            self.remaining(tenant, current.generation).await?
        };
        Ok(Some(progress(clearing, Some(remaining))))
    }

    /// How many users have a record of this generation, which is the one that is in force.
    pub(super) async fn saved_users(
        &self,
        tenant: &TenantId,
        generation: Generation,
    ) -> Result<u64, Error> {
        // A tenant in the last generation cannot switch off any more.
        let Some(next) = generation.next() else { return Ok(0) };
        let earlier = self.remaining(tenant, generation).await?;
        Ok(self.remaining(tenant, next).await?.saturating_sub(earlier))
    }

    async fn remaining(&self, tenant: &TenantId, below: Generation) -> Result<u64, Error> {
        self.factors.count(tenant, below).await.map_err(Error::factor_store)
    }
}

fn progress(clearing: &Clearing, remaining: Option<u64>) -> PurgeProgress {
    PurgeProgress {
        started_at: clearing.started.to_time(),
        deleted: clearing.deleted,
        remaining: if clearing.finished.is_some() { Some(0) } else { remaining },
        finished_at: clearing.finished.map(Timestamp::to_time),
    }
}
