//! Countersign's own saved state: one record per user, one settings document per tenant, one
//! conditional write.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::PluginError;
use crate::ids::{TenantId, UserId};

pub use crate::ids::Version;

/// Where countersign saves what it knows of users and tenants.
///
/// # What a store is
///
/// Two tables. One has a row for each tenant whose settings were ever saved: `(tenant) -> version,
/// generation, document`. The other has a row for each user who has a record: `(tenant,
/// user) -> version, generation, document`. Documents are opaque JSON texts of at most
/// [`MAX_DOCUMENT`] bytes. Versions are compared for equality, generations by size, tenants and
/// users byte by byte. A store reads no clock and never interprets a document.
///
/// # Contract, and what a breach costs (`I-39`)
///
/// - **Atomic conditions.** [`commit`](Self::commit) and [`change_settings`](Self::change_settings)
///   compare and write as one step. Of any number of concurrent calls with the same expectation
///   exactly one writes. *A breach lets guesses through uncounted (`I-09`) and codes work twice
///   (`I-05`).*
/// - **No stale reads.** [`load`](Self::load) sees every write that was acknowledged before it
///   began. *A breach makes logins fail, since the conditional write then conflicts; together with
///   non-atomic conditions it revives used codes.* A lagging replica is not a store.
/// - **Its own commit.** What was acknowledged stays, whatever becomes of a transaction of the
///   application. *A breach forgets wrong guesses.*
/// - **Every call is within one tenant** (`I-04`). *A breach mixes the users of two customers.*
/// - **Cancellation.** A dropped future has written everything of its call or nothing. Which one
///   need not be known. Only a dropped [`purge`](Self::purge) may have deleted a part of its batch.
/// - **Faults.** When it is not known whether a write happened, answer an error, never
///   [`CommitOutcome::Written`]. *A breach completes logins that were not charged.*
#[async_trait]
pub trait FactorStore: Send + Sync {
    /// Reads a tenant's settings and one user's record in a single step: both as of the same
    /// instant.
    ///
    /// A tenant without settings, or a user without a record, is `None`, not an error. The record
    /// is returned whatever its generation.
    async fn load(&self, tenant: &TenantId, user: &UserId) -> Result<Snapshot, PluginError>;

    /// Reads a tenant's settings and the records of many of its users, at most 1,000 of them: for
    /// pages that show everybody and for rehearsals, never for a login.
    ///
    /// The records come in the order of `users`, one for each, `None` for a user without one. Each
    /// is one that [`load`](Self::load) could have answered during the call; they need not be as of
    /// the same instant. *A breach shows one user's settings as another's; it lets nobody in.*
    async fn load_many(
        &self,
        tenant: &TenantId,
        users: &[UserId],
    ) -> Result<Snapshots, PluginError>;

    /// Writes a user's record if nothing that the decision rests on has changed.
    ///
    /// Writes `next` only if the tenant's settings have the version `expected.settings` *and* the
    /// user's record has the version `expected.record` (`None`: there is no such row). Otherwise
    /// changes nothing and answers [`CommitOutcome::Conflict`].
    ///
    /// The core gives every write a version that was never used. A store need not check that: it
    /// compares with `expected` alone, and writes `next` also where it carries the version that is
    /// there.
    ///
    /// The condition on the settings is what makes switching off final (`I-27`): once
    /// `change_settings` has returned, no commit that expects the earlier settings may write.
    async fn commit(
        &self,
        tenant: &TenantId,
        user: &UserId,
        expected: &ExpectedVersions,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError>;

    /// Reads a tenant's settings. `None` if none were ever saved.
    async fn settings(&self, tenant: &TenantId) -> Result<Option<StoredRow>, PluginError>;

    /// Writes a tenant's settings only if their version is `expected` (`None`: there are none);
    /// otherwise changes nothing and answers [`CommitOutcome::Conflict`]. A tenant's settings are
    /// never deleted. As in [`commit`](Self::commit), `next` may carry the version that is there.
    async fn change_settings(
        &self,
        tenant: &TenantId,
        expected: Option<Version>,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError>;

    /// Deletes at most `at_most` records of this tenant whose generation is lower than `below`, and
    /// answers how many it deleted.
    ///
    /// Resumable: an answer of less than `at_most` means that none was left at some instant during
    /// the call. Other tenants, and records of `below` or later, are never touched.
    ///
    /// A batch need not be one transaction, and should not be a long one: others wait for it. So a
    /// future that is dropped, or answers an error, may have deleted a part of its batch, which
    /// nobody counts. Each record is deleted as a whole or not at all.
    async fn purge(
        &self,
        tenant: &TenantId,
        below: Generation,
        at_most: u32,
    ) -> Result<u64, PluginError>;

    /// How many records of this tenant have a generation lower than `below`. May take as long as
    /// counting them takes: it is asked by an administrator's page and at the end of a purge, never
    /// by a login.
    async fn count(&self, tenant: &TenantId, below: Generation) -> Result<u64, PluginError>;

    /// Deletes one user's record, and says whether there was one. A step that loaded it before
    /// can't commit any more.
    async fn remove(&self, tenant: &TenantId, user: &UserId) -> Result<bool, PluginError>;

    /// Deletes one user's record only if it still has this version, and says whether it did.
    /// Compares and deletes as one step, as [`commit`](Self::commit) compares and writes.
    ///
    /// *A breach deletes what was committed between the look and the deletion: a wrong guess that
    /// was charged (`I-09`, `I-10`), a device, a backup code.*
    async fn remove_if(
        &self,
        tenant: &TenantId,
        user: &UserId,
        version: Version,
    ) -> Result<bool, PluginError>;

    /// The users of this tenant whose record has exactly this generation: at most `at_most`, in the
    /// order of the bytes of their ids, from the first one after `after` on. `after` need not have
    /// a record (any more).
    ///
    /// For jobs that go over everybody page by page, never asked by a login. A user whose record
    /// has this generation from before the first page until after the last is listed exactly once;
    /// one whose record comes or goes meanwhile may be listed or not. An answer of less than
    /// `at_most` is the last page. Ids are read back with [`UserId::read_back`]. *A breach keeps
    /// records that should go; it lets nobody in.*
    async fn users(
        &self,
        tenant: &TenantId,
        generation: Generation,
        after: Option<&UserId>,
        at_most: u32,
    ) -> Result<Vec<UserId>, PluginError>;
}

#[async_trait]
impl<T: FactorStore + ?Sized> FactorStore for Arc<T> {
    async fn load(&self, tenant: &TenantId, user: &UserId) -> Result<Snapshot, PluginError> {
        (**self).load(tenant, user).await
    }

    async fn load_many(
        &self,
        tenant: &TenantId,
        users: &[UserId],
    ) -> Result<Snapshots, PluginError> {
        (**self).load_many(tenant, users).await
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        user: &UserId,
        expected: &ExpectedVersions,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        (**self).commit(tenant, user, expected, next).await
    }

    async fn settings(&self, tenant: &TenantId) -> Result<Option<StoredRow>, PluginError> {
        (**self).settings(tenant).await
    }

    async fn change_settings(
        &self,
        tenant: &TenantId,
        expected: Option<Version>,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        (**self).change_settings(tenant, expected, next).await
    }

    async fn purge(
        &self,
        tenant: &TenantId,
        below: Generation,
        at_most: u32,
    ) -> Result<u64, PluginError> {
        (**self).purge(tenant, below, at_most).await
    }

    async fn count(&self, tenant: &TenantId, below: Generation) -> Result<u64, PluginError> {
        (**self).count(tenant, below).await
    }

    async fn remove(&self, tenant: &TenantId, user: &UserId) -> Result<bool, PluginError> {
        (**self).remove(tenant, user).await
    }

    async fn remove_if(
        &self,
        tenant: &TenantId,
        user: &UserId,
        version: Version,
    ) -> Result<bool, PluginError> {
        (**self).remove_if(tenant, user, version).await
    }

    async fn users(
        &self,
        tenant: &TenantId,
        generation: Generation,
        after: Option<&UserId>,
        at_most: u32,
    ) -> Result<Vec<UserId>, PluginError> {
        (**self).users(tenant, generation, after, at_most).await
    }
}

/// The most bytes that a saved document has. The core writes far smaller ones; a larger one is
/// refused as damaged (`I-37`).
pub const MAX_DOCUMENT: usize = 32 * 1024;

/// Rises each time a tenant's scope goes to [`Scope::DoNotUse`](crate::Scope::DoNotUse). A record
/// of an earlier generation counts as absent.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Generation(u32);

impl Generation {
    /// The generation with this number, for stores that read one back. The first is 0.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number, for stores that keep it.
    pub const fn number(self) -> u32 {
        self.0
    }

    pub(crate) fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

/// What one [`FactorStore::load`] read.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The tenant's settings, if any were ever saved.
    pub settings: Option<StoredRow>,
    /// The user's record, if there is one.
    pub record: Option<StoredRow>,
}

/// What one [`FactorStore::load_many`] read.
#[derive(Clone, Debug, Default)]
pub struct Snapshots {
    /// The tenant's settings, if any were ever saved.
    pub settings: Option<StoredRow>,
    /// The record of each user that was asked for, in that order.
    pub records: Vec<Option<StoredRow>>,
}

/// A saved row: a user's record or a tenant's settings.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredRow {
    /// The version that the next conditional write must expect.
    pub version: Version,
    /// A record's generation is that of the settings it was written under; a tenant's settings
    /// carry the current one.
    pub generation: Generation,
    /// An opaque JSON text of at most [`MAX_DOCUMENT`] bytes. It holds hashes, counters and, where
    /// SMS was chosen, a phone number.
    pub document: String,
}

impl fmt::Debug for StoredRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredRow")
            .field("version", &self.version)
            .field("generation", &self.generation)
            .field("document", &format_args!("{} bytes, redacted", self.document.len()))
            .finish()
    }
}

/// What a commit rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpectedVersions {
    /// The version of the tenant's settings, or `None` if none were ever saved.
    pub settings: Option<Version>,
    /// The version of the user's record, or `None` if there is no row.
    pub record: Option<Version>,
}

/// How a conditional write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "after a `Conflict` nothing was written"]
pub enum CommitOutcome {
    /// It is written, and stays.
    Written,
    /// Something it rests on has changed; nothing was written.
    Conflict,
}
