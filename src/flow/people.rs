//! Everybody of a tenant, page by page: who may see it is decided in `administration.rs`.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::context::Call;
use crate::error::{Error, PluginError};
use crate::flow::{Administration, Inner};
use crate::ids::{TenantId, UserId};
use crate::machine::Foretelling;
use crate::reason::{Denied, OperationError, Reason};
use crate::status::FactorStatus;
use crate::store::{Generation, Snapshot, Snapshots};
use crate::user::{User, UserStatus};

/// The most users of one page.
const LARGEST_PAGE: u32 = 1_000;

/// One page of a tenant's people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PeoplePage {
    /// The people, in the order of the bytes of their ids.
    pub people: Vec<Person>,
    /// Where the next page starts. `None`: this is the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<UserId>,
}

/// One user of a tenant, and their second factor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Person {
    /// Who.
    pub user: UserId,
    /// Whether this user may log in.
    pub active: bool,
    /// Whether this user has the built-in system-administrator role.
    pub system_administrator: bool,
    /// Whether anything is saved for this user's second factor.
    pub known: bool,
    /// The second factor at a glance. `None`: what is saved cannot be read, which a reset mends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<FactorStatus>,
}

impl Administration {
    /// The tenant's people with their second factors, page by page: at most `at_most` users from
    /// the first one after `after` on, and never more than 1,000.
    ///
    /// Cost: one page of the [`UserDirectory`](crate::user::UserDirectory) and one
    /// [`FactorStore::load_many`](crate::store::FactorStore::load_many).
    ///
    /// # Errors
    ///
    /// See [`Administration`]; [`Reason::NotFound`] where the application has plugged in no
    /// directory.
    pub async fn people(
        &self,
        after: Option<&UserId>,
        at_most: u32,
    ) -> Result<PeoplePage, OperationError> {
        let at = self.entitled_at().await?;
        match self.inner().people(self.call(), after, at_most, at).await? {
            Some(page) => Ok(page),
            None => self.told(Err(Denied::new(Reason::NotFound).into())),
        }
    }
}

impl Inner {
    /// `None`: there is no directory.
    async fn people(
        &self,
        call: Call<'_>,
        after: Option<&UserId>,
        at_most: u32,
        now: Timestamp,
    ) -> Result<Option<PeoplePage>, Error> {
        let Some(listed) = self.listed(call.tenant, after, at_most).await? else { return Ok(None) };
        let foretelling = Foretelling { rules: &self.rules, policy: &*self.policy, call, now };
        let people = listed.rows().map(|(user, snapshot)| Person {
            user: user.id.clone(),
            active: user.status == UserStatus::Active,
            system_administrator: user.system_administrator,
            known: is_of(snapshot.record.as_ref().map(|row| row.generation), &snapshot),
            status: foretelling.open(user, &snapshot).ok().map(|draft| draft.status(user)),
        });
        Ok(Some(PeoplePage { people: people.collect(), next: listed.next.clone() }))
    }

    /// One page of the application's users, with what is saved of them. `None`: there is no
    /// directory.
    pub(super) async fn listed(
        &self,
        tenant: &TenantId,
        after: Option<&UserId>,
        at_most: u32,
    ) -> Result<Option<Listed>, Error> {
        let Some(directory) = &self.directory else { return Ok(None) };
        let at_most = at_most.clamp(1, LARGEST_PAGE);
        let users = directory.page(tenant, after, at_most).await.map_err(Error::user_store)?;
        if users.len() > at_most as usize || users.iter().any(|user| user.tenant != *tenant) {
            let error = PluginError::new("the directory answered what it was not asked for");
            return Err(Error::user_store(error));
        }
        let in_order = after.into_iter().chain(users.iter().map(|user| &user.id));
        if !in_order.is_sorted_by(|earlier, later| earlier < later) {
            let error = PluginError::new("the directory's users are not in the order of their ids");
            return Err(Error::user_store(error));
        }
        let ids: Vec<UserId> = users.iter().map(|user| user.id.clone()).collect();
        let snapshots = self.factors.load_many(tenant, &ids).await.map_err(Error::factor_store)?;
        self.require_known(snapshots.settings.as_ref())?;
        if snapshots.records.len() != users.len() {
            let error = PluginError::new("the store answered another number of records");
            return Err(Error::factor_store(error));
        }
        let full = users.len() == at_most as usize;
        let next = ids.into_iter().next_back().filter(|_| full);
        Ok(Some(Listed { users, snapshots, next }))
    }
}

/// One page of users, and what is saved of them.
pub(super) struct Listed {
    users: Vec<User>,
    pub(super) snapshots: Snapshots,
    pub(super) next: Option<UserId>,
}

impl Listed {
    /// Each user with what one load of them would have answered.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&User, Snapshot)> {
        self.users.iter().zip(&self.snapshots.records).map(|(user, record)| {
            let settings = self.snapshots.settings.clone();
            (user, Snapshot { settings, record: record.clone() })
        })
    }
}

/// Whether a record is of the generation that its tenant is in.
pub(super) fn is_of(record: Option<Generation>, snapshot: &Snapshot) -> bool {
    let generation = snapshot.settings.as_ref().map(|row| row.generation).unwrap_or_default();
    record == Some(generation)
}
