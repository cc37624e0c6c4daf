//! Deletion of records that hold nothing worth keeping: a resumable job that the host runs now and
//! then.

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::clock::Timestamp;
use crate::context::Call;
use crate::error::Error;
use crate::event::EventKind;
use crate::flow::driver::Subject;
use crate::flow::{Inner, LoginFlow};
use crate::ids::{TenantId, UserId};
use crate::machine::{Retention, worth};

/// The largest batch.
const LARGEST_BATCH: u32 = 5_000;

/// What one batch of a sweep found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "the sweep goes on with `next`, and records that can not be read are an alarm"]
#[non_exhaustive]
pub struct SweepProgress {
    /// How many records were looked at.
    pub looked_at: u64,
    /// How many of them were deleted.
    pub removed: u64,
    /// How many could not be read. They are left as they are, and every step of their users fails:
    /// worth an alarm.
    pub unreadable: u64,
    /// Where to go on. `None`: everybody was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<SweepCursor>,
}

/// Where a sweep goes on. It can be saved; it is good for the tenant that it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct SweepCursor(UserId);

impl<'de> Deserialize<'de> for SweepCursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        UserId::read_back(&text).map(Self).map_err(de::Error::custom)
    }
}

impl LoginFlow {
    /// Looks at the saved records of one batch of a tenant's users, and deletes those that hold
    /// nothing worth keeping: its user is afterwards decided on as before. At most
    /// `at_most` records, and never more than 5,000. Call it with the [`SweepProgress::next`] of
    /// the last call until that is `None`; it can be stopped and resumed at any point, and run on
    /// several nodes concurrently.
    ///
    /// A record is kept for a number that codes go to, a backup code, trusted devices, logins under
    /// way, failures in a row, running locks, a suspension, failures, sends, notices and resets
    /// that still count in a budget, and for hashes of the same password that it knows. Records of
    /// earlier generations are left to [`purge`](Self::purge).
    ///
    /// A record is kept for [`session_lifetime`](crate::LoginFlowBuilder::session_lifetime) after
    /// it was last written, because the grants of sessions are bound to it. What `revalidate` takes
    /// for a session that can still live, and what a sweep keeps for one, is the same time.
    ///
    /// Cost: one [`FactorStore::users`](crate::store::FactorStore::users), and for each record one
    /// load, and one conditional deletion if it goes. No lock is held over any of it.
    ///
    /// # Errors
    ///
    /// [`Error`] if the store or the clock fails, or the tenant's settings can't be read. What was
    /// deleted stays deleted; call again with the same cursor.
    ///
    /// # Cancel safety
    ///
    /// A dropped future has deleted a part of its batch, each record with a condition on what it
    /// was decided from (`I-09`, `I-10`); call again.
    pub async fn sweep(
        &self,
        tenant: &TenantId,
        after: Option<&SweepCursor>,
        at_most: u32,
    ) -> Result<SweepProgress, Error> {
        let inner = &*self.inner;
        let call = Call::without_request(tenant);
        let at_most = at_most.clamp(1, LARGEST_BATCH);
        let at = Timestamp::now(&*inner.clock)?;
        let generation = inner.settings(tenant).await?.generation;
        let after = after.map(|SweepCursor(user)| user);
        let users = inner
            .factors
            .users(tenant, generation, after, at_most)
            .await
            .map_err(Error::factor_store)?;
        let mut progress = SweepProgress::default();
        let mut failed = None;
        for user in &users {
            progress.looked_at = progress.looked_at.saturating_add(1);
            match inner.sweep_one(Subject { call, user }, at).await {
                Ok(Swept::Removed) => progress.removed = progress.removed.saturating_add(1),
                Ok(Swept::Unreadable) => {
                    progress.unreadable = progress.unreadable.saturating_add(1);
                }
                Ok(Swept::Kept) => {}
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        // What was deleted before something failed has its event too.
        if progress.removed > 0 {
            inner.emit(call, None, at, EventKind::RecordsSwept { removed: progress.removed });
        }
        if let Some(error) = failed {
            return Err(error);
        }
        if u64::from(at_most) <= progress.looked_at {
            progress.next = users.into_iter().next_back().map(SweepCursor);
        }
        Ok(progress)
    }
}

/// The outcome for one record.
enum Swept {
    Kept,
    Removed,
    Unreadable,
}

impl Inner {
    /// Decides on the record as it is now, and deletes it only if it still is.
    async fn sweep_one(&self, subject: Subject<'_>, at: Timestamp) -> Result<Swept, Error> {
        let snapshot = self.load_record(subject).await?;
        match worth(&self.rules, &snapshot, at, self.rules.limits.session_lifetime) {
            Retention::Nothing(version) => {
                let removed =
                    self.factors.remove_if(subject.call.tenant, subject.user, version).await;
                // Written meanwhile: then it is worth something again.
                Ok(if removed.map_err(Error::factor_store)? { Swept::Removed } else { Swept::Kept })
            }
            Retention::Something | Retention::Absent => Ok(Swept::Kept),
            Retention::Unreadable => Ok(Swept::Unreadable),
        }
    }
}
