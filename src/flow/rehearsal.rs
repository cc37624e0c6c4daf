//! What a change of settings would do, person by person, without doing it (`I-44`).

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::clock::Timestamp;
use crate::contact::{MaskedDestination, Method};
use crate::context::Call;
use crate::error::Error;
use crate::event::EventKind;
use crate::flow::driver::Subject;
use crate::flow::operator::Operator;
use crate::flow::people::is_of;
use crate::flow::settings::Current;
use crate::flow::{Administration, Inner};
use crate::grant::SecondFactor;
use crate::ids::{TenantId, UserId};
use crate::machine::{Foretelling, Foretold};
use crate::policy::Channel;
use crate::reason::{Denied, OperationError, Reason};
use crate::status::FactorStatus;
use crate::store::{Snapshot, StoredRow};
use crate::tenant::TenantSettings;
use crate::user::{User, UserStatus};

/// How many ids are listed of each kind of affected people.
const LISTED: usize = 100;

/// How many people are looked at in one go.
const PAGE: u32 = 500;

/// How many are looked at to make a change. Of a larger tenant a rehearsal says more.
const LOOKED_AT: u64 = 20_000;

/// What a change of settings would do to the people of a tenant, as far as they were looked at.
///
/// It says what their next logins would meet with the right password, or after single sign-on, from
/// a browser that is not trusted. It is the decision that the login itself would make, on the
/// records of this moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "it goes on with `next`, and what it found is to be shown before the change is made"]
#[non_exhaustive]
pub struct Rehearsal {
    /// How many people were looked at who may log in.
    pub people: u64,
    /// Those who come in without a code today, and would be asked for one.
    pub newly_asked: Affected,
    /// Those who are asked for a code today, and would not be.
    pub no_longer_asked: Affected,
    /// Those who would be asked and could not answer, and today can: there is no place to send a
    /// code to by any method that is allowed, and no backup code. Locks make no difference to it:
    /// they end.
    pub locked_out: Affected,
    /// Those whose codes would go by another method than today.
    pub other_method: Affected,
    /// Those whose saved settings would be deleted: method, number, backup code, devices, counters.
    pub settings_deleted: Affected,
    /// How many trusted devices would stop being trusted: deleted, past the shorter lifetime, or
    /// over the number that a user may have.
    pub devices_deleted: u64,
    /// How many backup codes would be deleted.
    pub backup_codes_deleted: u64,
    /// Users whose record can't be read, so that nothing can be foretold.
    pub unreadable: Affected,
    /// Where to go on. `None`: everybody was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<UserId>,
}

/// People who are affected by a change in the same way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Affected {
    /// How many.
    pub count: u64,
    /// The first hundred of them.
    pub first: Vec<UserId>,
}

impl Affected {
    fn add(&mut self, user: &User) {
        self.count = self.count.saturating_add(1);
        if self.first.len() < LISTED {
            self.first.push(user.id.clone());
        }
    }
}

/// What a login would meet now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "expected", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Expected {
    /// The person comes in without a code.
    LetIn {
        /// What stands in for one.
        second_factor: SecondFactor,
    },
    /// A code is sent.
    Asked {
        /// How it travels.
        method: Method,
        /// Where to, masked.
        destination: MaskedDestination,
    },
    /// A code is asked for and none is sent: the backup code lets the person in.
    AskedWithoutCode {
        /// Why none is sent, and until when.
        denied: Denied,
    },
    /// The login is refused, also with the right password.
    Refused {
        /// What the response says.
        denied: Denied,
        /// The event, which says why.
        event: EventKind,
    },
}

/// What a login of one user would meet now, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// What it would meet.
    #[serde(flatten)]
    pub expected: Expected,
    /// Since when, where that is known: the wrong code or password that brought the lock.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub since: Option<OffsetDateTime>,
    /// Until when, where time ends it.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub until: Option<OffsetDateTime>,
    /// What the tenant has decided.
    pub settings: TenantSettings,
    /// The user's second factor at a glance.
    pub status: FactorStatus,
}

impl Administration {
    /// Looks at some more people, and adds what this change of settings would do to them. Nothing
    /// is written, and nobody is notified.
    ///
    /// Begin with [`Rehearsal::default`], and call it with the last answer until
    /// [`Rehearsal::next`] is `None`: each answer is the progress so far, and can be saved. At most
    /// `at_most` people are looked at in one call, 500 by 500.
    ///
    /// # Errors
    ///
    /// See [`Administration`]; also [`Reason::InvalidSettings`] as for the change itself, and
    /// [`Reason::NotFound`] where the application has plugged in no
    /// [`UserDirectory`](crate::user::UserDirectory).
    pub async fn rehearse(
        &self,
        next: &TenantSettings,
        so_far: Rehearsal,
        at_most: u64,
    ) -> Result<Rehearsal, OperationError> {
        let current = self.entitled_settings().await?;
        self.told(self.inner().rehearse(self.call(), &current, next, so_far, at_most).await)
    }
}

impl Operator {
    /// What a change of a tenant's settings would do, as
    /// [`Administration::rehearse`](crate::Administration::rehearse).
    ///
    /// # Errors
    ///
    /// [`OperationError::Denied`] with [`Reason::InvalidSettings`], or [`Reason::NotFound`] where
    /// there is no directory; [`OperationError::Failed`] if a plug-in failed.
    pub async fn rehearse(
        &self,
        tenant: &TenantId,
        next: &TenantSettings,
        so_far: Rehearsal,
        at_most: u64,
    ) -> Result<Rehearsal, OperationError> {
        let inner = self.inner();
        let current = inner.settings(tenant).await?;
        inner.rehearse(Call::without_request(tenant), &current, next, so_far, at_most).await
    }

    /// What a login of this user would meet now with the right password, or after single sign-on,
    /// from a browser that is not trusted: why, since when and until when. `None` if there is no
    /// such user. Nothing is written.
    ///
    /// What depends on where a request comes from is not in it.
    ///
    /// # Errors
    ///
    /// [`Error`] if a plug-in failed.
    pub async fn explain(
        &self,
        tenant: &TenantId,
        user: &UserId,
        channel: Channel,
    ) -> Result<Option<Explanation>, Error> {
        self.inner().explain(Subject { call: Call::without_request(tenant), user }, channel).await
    }
}

impl Inner {
    async fn rehearse(
        &self,
        call: Call<'_>,
        current: &Current,
        next: &TenantSettings,
        mut so_far: Rehearsal,
        at_most: u64,
    ) -> Result<Rehearsal, OperationError> {
        if let Err(error) = self.rules.limits.check_change(&current.settings.decided(), next) {
            return Err(Denied::new(Reason::InvalidSettings(error)).into());
        }
        let now = Timestamp::now(&*self.clock)?;
        let changed = self.settings_row(current, next, now)?;
        let foretelling = Foretelling { rules: &self.rules, policy: &*self.policy, call, now };
        let mut left = at_most.max(1);
        while left > 0 {
            let page = u32::try_from(left).unwrap_or(u32::MAX).min(PAGE);
            let Some(listed) = self.listed(call.tenant, so_far.next.as_ref(), page).await? else {
                return Err(Denied::new(Reason::NotFound).into());
            };
            for (user, before) in listed.rows() {
                let after =
                    Snapshot { settings: Some(changed.clone()), record: before.record.clone() };
                so_far.add(&foretelling, user, &before, &after)?;
            }
            left = left.saturating_sub(page.into());
            so_far.next = listed.next;
            if so_far.next.is_none() {
                break;
            }
        }
        Ok(so_far)
    }

    /// Whether there is anybody whom these settings would lock out. Where nobody can tell, there
    /// may be.
    pub(super) async fn locks_anybody_out(
        &self,
        tenant: &TenantId,
        current: &Current,
        next: &TenantSettings,
    ) -> Result<bool, OperationError> {
        if self.directory.is_none() {
            return Ok(true);
        }
        let call = Call::without_request(tenant);
        let found = self.rehearse(call, current, next, Rehearsal::default(), LOOKED_AT).await?;
        Ok(found.locked_out.count > 0 || found.unreadable.count > 0 || found.next.is_some())
    }

    /// The row that a change would write. No step compares its version: nothing is committed on it.
    fn settings_row(
        &self,
        current: &Current,
        next: &TenantSettings,
        now: Timestamp,
    ) -> Result<StoredRow, Error> {
        let Current { settings, generation, .. } = current;
        let (settings, generation) =
            settings.clone().changed_to(next, *generation, &self.rules.limits, now)?;
        let version = current.version.unwrap_or(crate::ids::Version::from_bytes([0; 16]));
        Ok(StoredRow { version, generation, document: settings.encode()? })
    }

    async fn explain(
        &self,
        subject: Subject<'_>,
        channel: Channel,
    ) -> Result<Option<Explanation>, Error> {
        let loaded = self.load_to_read(subject).await?;
        let Some(user) = &loaded.user else { return Ok(None) };
        let now = Timestamp::now(&*self.clock)?;
        let call = subject.call;
        let foretelling = Foretelling { rules: &self.rules, policy: &*self.policy, call, now };
        let foretold = foretelling.foretell(user, &loaded.snapshot, channel)?;
        let draft = foretelling.open(user, &loaded.snapshot)?;
        let (expected, until) = match foretold {
            Foretold::In(second_factor) => (Expected::LetIn { second_factor }, None),
            Foretold::Asked(Ok(destination)) => {
                let (method, destination) = (destination.method(), destination.masked());
                (Expected::Asked { method, destination }, None)
            }
            Foretold::Asked(Err(denied)) => {
                (Expected::AskedWithoutCode { denied }, denied.retry_at())
            }
            Foretold::Refused(denied, event) => {
                let until = denied.retry_at().or_else(|| draft.password_lock().1);
                (Expected::Refused { denied, event }, until)
            }
        };
        let since = match &expected {
            Expected::LetIn { .. } | Expected::Asked { .. } => None,
            Expected::Refused { event: EventKind::CredentialsRefused { .. }, .. } => {
                draft.password_lock().0
            }
            Expected::AskedWithoutCode { .. } | Expected::Refused { .. } => draft.code_lock(),
        };
        Ok(Some(Explanation {
            expected,
            since,
            until,
            settings: draft.settings().decided(),
            status: draft.status(user),
        }))
    }
}

/// The two ways to log in that a rehearsal looks at.
const BOTH: [Channel; 2] = [Channel::Web, Channel::SingleSignOn];

/// What one login would meet before a change, and after it.
type Pair = (Foretold, Foretold);

impl Rehearsal {
    /// Adds one person.
    fn add(
        &mut self,
        foretelling: &Foretelling<'_>,
        user: &User,
        before: &Snapshot,
        after: &Snapshot,
    ) -> Result<(), Error> {
        if user.status != UserStatus::Active {
            return Ok(());
        }
        self.people = self.people.saturating_add(1);
        let pairs = match foretell_both(foretelling, user, before, after) {
            Ok(pairs) => pairs,
            Err(Error::Corrupt(_) | Error::UnsupportedFormat { .. }) => {
                self.unreadable.add(user);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let any = |what: fn(&Pair) -> bool| pairs.iter().any(what);
        if any(|(before, after)| before.lets_in() && after.asks()) {
            self.newly_asked.add(user);
        }
        if any(|(before, after)| before.asks() && after.lets_in()) {
            self.no_longer_asked.add(user);
        }
        let mut locked_out = false;
        for channel in BOTH {
            locked_out |= foretelling.has_no_way(user, after, channel)?
                && !foretelling.has_no_way(user, before, channel)?;
        }
        if locked_out {
            self.locked_out.add(user);
        }
        if any(
            |(before, after)| matches!((before.method(), after.method()), (Some(a), Some(b)) if a != b),
        ) {
            self.other_method.add(user);
        }
        let record = before.record.as_ref().map(|row| row.generation);
        if is_of(record, before) && !is_of(record, after) {
            self.settings_deleted.add(user);
        }
        let (had, has) = (foretelling.open(user, before)?, foretelling.open(user, after)?);
        self.devices_deleted = self.devices_deleted.saturating_add(had.devices_lost_in(&has));
        let lost = u64::from(had.has_backup_code() && !has.has_backup_code());
        self.backup_codes_deleted = self.backup_codes_deleted.saturating_add(lost);
        Ok(())
    }
}

/// By password, and after single sign-on where that asks anybody.
fn foretell_both(
    foretelling: &Foretelling<'_>,
    user: &User,
    before: &Snapshot,
    after: &Snapshot,
) -> Result<[Pair; 2], Error> {
    let of = |channel| -> Result<Pair, Error> {
        Ok((
            foretelling.foretell(user, before, channel)?,
            foretelling.foretell(user, after, channel)?,
        ))
    };
    let [web, single_sign_on] = BOTH;
    Ok([of(web)?, of(single_sign_on)?])
}

impl Foretold {
    const fn lets_in(&self) -> bool {
        matches!(self, Self::In(_))
    }

    /// Whether the login goes on, or would when a lock ends, with a second factor.
    fn asks(&self) -> bool {
        match self {
            Self::In(_) => false,
            Self::Asked(_) => true,
            Self::Refused(denied, event) => {
                !matches!(event, EventKind::CredentialsRefused { .. })
                    && denied.reason() != Reason::NotInteractive
            }
        }
    }

    fn method(&self) -> Option<Method> {
        match self {
            Self::Asked(Ok(destination)) => Some(destination.method()),
            Self::In(_) | Self::Asked(Err(_)) | Self::Refused(..) => None,
        }
    }
}
