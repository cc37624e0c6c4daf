//! The host's own break-glass handle.

use crate::clock::Timestamp;
use crate::context::Call;
use crate::error::Error;
use crate::event::{Actor, EventKind, ResetOutcome};
use crate::flow::driver::Subject;
use crate::flow::settings::{Changed, Current, Reading, ShownSettings};
use crate::flow::{Inner, LoginFlow, PurgeProgress};
use crate::ids::{SettingsVersion, TenantId, UserId};
use crate::input::{Field, InvalidInput, visible};
use crate::machine::Refill;
use crate::policy::Scope;
use crate::reason::{Denied, OperationError, Reason};
use crate::status::FactorStatus;
use crate::tenant::TenantSettings;

/// For a support tool or a command line of the host: a tenant whose only administrator is locked
/// out, a user who is to be forgotten.
///
/// It asks nobody for a right; it is not reachable from a login, and must not be made reachable.
/// Every change is an event that carries the reason.
///
/// # Errors and cancel safety
///
/// As [`Administration`](crate::Administration).
#[derive(Debug)]
pub struct Operator {
    flow: LoginFlow,
    reason: String,
}

impl LoginFlow {
    /// The break-glass handle, for this reason: 1 to 200 visible characters and spaces, such as a
    /// ticket number.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`] if the reason is blank, longer, or holds a character that a reader cannot
    /// see.
    pub fn operator(&self, reason: &str) -> Result<Operator, InvalidInput> {
        visible(Field::OperatorReason, reason, 200)?;
        Ok(Operator { flow: self.clone(), reason: reason.trim().to_owned() })
    }
}

impl Operator {
    /// Clears everything that is saved for one user's second factor, as
    /// [`Administration::reset`](crate::Administration::reset), within the same number of refills.
    /// Of a user who does not exist, in this tenant or because no such tenant exists, it deletes
    /// what there is, and saves nothing; the event and the answer are those of any reset.
    ///
    /// # Errors
    ///
    /// [`OperationError::Failed`] if a plug-in failed, and nothing is deleted; so also with
    /// [`Error::UnknownTenant`] where the tenant must be known and is not, and where the users
    /// table finds the user under another spelling of the tenant or the id.
    pub async fn reset(
        &self,
        tenant: &TenantId,
        user: &UserId,
    ) -> Result<ResetOutcome, OperationError> {
        self.flow.inner.reset(about(tenant, user), Refill::Counted, self.actor()).await
    }

    /// The same, and refills the budgets of wrong codes and of messages however often that was done
    /// before.
    ///
    /// For a user who was reset so often that the budgets are kept ([`ResetOutcome::BudgetsKept`])
    /// and who can't wait. **Each use gives an attacker who knows the user's password another round
    /// of guesses**, beyond what the builder's arithmetic allows for; the event says
    /// [`ResetOutcome::RefilledBeyond`]. It counts as a refill, so an administrator's next reset in
    /// the same 30 days keeps the budgets.
    ///
    /// # Errors
    ///
    /// [`OperationError::Failed`] if a plug-in failed.
    pub async fn reset_and_refill(
        &self,
        tenant: &TenantId,
        user: &UserId,
    ) -> Result<ResetOutcome, OperationError> {
        self.flow.inner.reset(about(tenant, user), Refill::Beyond, self.actor()).await
    }

    /// Lifts one user's locks, as [`Administration::unlock`](crate::Administration::unlock).
    ///
    /// # Errors
    ///
    /// [`OperationError::Denied`] if there is no such user or only a reset helps;
    /// [`OperationError::Failed`] if a plug-in failed.
    pub async fn unlock(&self, tenant: &TenantId, user: &UserId) -> Result<(), OperationError> {
        self.flow.inner.unlock(about(tenant, user), self.actor()).await
    }

    /// One user's second factor at a glance. `None` if there is no such user.
    ///
    /// # Errors
    ///
    /// [`Error`] if a plug-in failed.
    pub async fn status(
        &self,
        tenant: &TenantId,
        user: &UserId,
    ) -> Result<Option<FactorStatus>, Error> {
        self.flow.inner.status(about(tenant, user)).await
    }

    /// Deletes what is saved of a user whom the application has deleted, and says whether there was
    /// anything. Nobody is notified.
    ///
    /// It looks nobody up and reads no settings, so it works for a user and a tenant that are gone,
    /// and in a tenant that was never set up: `false`, and the event. It deletes what is saved
    /// under exactly these ids, byte by byte, and never settings.
    ///
    /// Delete the user first. A step that has read them just before, and is about to write, can
    /// still save a record. It lets nobody in; call this again after the longest login
    /// (`login_ttl`) to have that gone too.
    ///
    /// # Errors
    ///
    /// [`Error`] if the store or the clock failed.
    pub async fn forget(&self, tenant: &TenantId, user: &UserId) -> Result<bool, Error> {
        let inner = &self.flow.inner;
        let at = Timestamp::now(&*inner.clock)?;
        let existed = inner.factors.remove(tenant, user).await.map_err(Error::factor_store)?;
        let call = Call::without_request(tenant);
        inner.emit(call, Some(user), at, EventKind::UserForgotten { by: self.actor() });
        Ok(existed)
    }

    /// Who needs the second factor in a tenant.
    ///
    /// # Errors
    ///
    /// [`Error`] if the store failed.
    pub async fn scope(&self, tenant: &TenantId) -> Result<Scope, Error> {
        Ok(self.flow.inner.settings(tenant).await?.settings.scope)
    }

    /// Sets the scope of a tenant without the version of its settings, for a command that sets
    /// tenants up. Returns the scope before. All other settings stay.
    ///
    /// **It also sets a tenant up**: where no settings are saved for this tenant, it saves them,
    /// also if the scope is [`Scope::DoNotUse`]. Nothing is deleted by that, and no session or
    /// login ends; the event is [`EventKind::TenantSetUp`]. From then on the tenant is known
    /// ([`require_known_tenants`](crate::LoginFlowBuilder::require_known_tenants)), and stays so
    /// when it switches off. No administrator of a tenant that must be known and is not can do this
    /// from inside.
    ///
    /// Nothing tells whether the tenant exists in the application: take its id from the
    /// application's own table, byte for byte. Settings under another spelling are another
    /// tenant's.
    ///
    /// # Errors
    ///
    /// [`Error`] if a plug-in failed.
    pub async fn set_scope(&self, tenant: &TenantId, scope: Scope) -> Result<Scope, Error> {
        let read = || -> Reading<'_, Error> { Box::pin(self.current(tenant)) };
        Ok(self.change(tenant, Next::Scope(scope), read).await?.before.scope)
    }

    /// What a tenant has decided, with the version to hand back with a change.
    ///
    /// # Errors
    ///
    /// [`Error`] if the store failed.
    pub async fn settings(&self, tenant: &TenantId) -> Result<ShownSettings, Error> {
        ShownSettings::of(tenant, &self.flow.inner.settings(tenant).await?)
    }

    /// Changes a tenant's settings, if they still are the ones that were shown, and answers what
    /// was decided before, as
    /// [`Administration::change_settings`](crate::Administration::change_settings). Nobody is asked
    /// whether it locks people out; [`rehearse`](Self::rehearse) says so.
    ///
    /// # Errors
    ///
    /// [`OperationError::Denied`] with [`Reason::SettingsChanged`] if another change came first, or
    /// [`Reason::InvalidSettings`] if a number is more lenient than the application allows;
    /// [`OperationError::Failed`] if a plug-in failed.
    pub async fn change_settings(
        &self,
        tenant: &TenantId,
        shown: SettingsVersion,
        next: &TenantSettings,
    ) -> Result<TenantSettings, OperationError> {
        let inner = &self.flow.inner;
        let read = || -> Reading<'_, OperationError> {
            Box::pin(async {
                let current = inner.settings(tenant).await?;
                let at = Timestamp::now(&*inner.clock)?;
                let refuse = |reason: Reason| {
                    let refused = EventKind::AdministrationRefused {
                        by: self.actor(),
                        reason: reason.code().into(),
                    };
                    inner.emit(Call::without_request(tenant), None, at, refused);
                    Err(Denied::new(reason).into())
                };
                if current.settings.shown_version(tenant, current.generation)? != shown {
                    return refuse(Reason::SettingsChanged);
                }
                match inner.rules.limits.check_change(&current.settings.decided(), next) {
                    Ok(()) => Ok((current, at)),
                    Err(error) => refuse(Reason::InvalidSettings(error)),
                }
            })
        };
        Ok(self.change(tenant, Next::All(next), read).await?.before)
    }

    async fn current(&self, tenant: &TenantId) -> Result<(Current, Timestamp), Error> {
        let inner = &self.flow.inner;
        Ok((inner.settings_if_any(tenant).await?, Timestamp::now(&*inner.clock)?))
    }

    async fn change<'a, E: From<Error>>(
        &'a self,
        tenant: &'a TenantId,
        next: Next<'_>,
        read: impl Fn() -> Reading<'a, E>,
    ) -> Result<Changed, E> {
        let inner = &self.flow.inner;
        let call = Call::without_request(tenant);
        let changed = inner
            .change_settings(call, read, |current, at| {
                let before = current.settings.decided();
                let next = next.after(&before);
                inner.change_to(current, &next, self.actor(), at)
            })
            .await?;
        inner.notify_administrators(call, &changed, None).await;
        Ok(changed)
    }

    /// How far the deletion is that a tenant's last switching off began, with what is left counted.
    /// `None`: the tenant never switched off.
    ///
    /// # Errors
    ///
    /// [`Error`] if the store failed.
    pub async fn purge_progress(&self, tenant: &TenantId) -> Result<Option<PurgeProgress>, Error> {
        let current = self.flow.inner.settings(tenant).await?;
        self.flow.inner.purge_progress(tenant, &current).await
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.flow.inner
    }

    fn actor(&self) -> Actor {
        Actor::Operator { reason: self.reason.clone() }
    }
}

/// What becomes of the settings.
#[derive(Clone, Copy)]
enum Next<'a> {
    /// The scope alone changes.
    Scope(Scope),
    All(&'a TenantSettings),
}

impl Next<'_> {
    const fn after(&self, before: &TenantSettings) -> TenantSettings {
        match self {
            Self::Scope(scope) => TenantSettings { scope: *scope, ..*before },
            Self::All(settings) => **settings,
        }
    }
}

fn about<'a>(tenant: &'a TenantId, user: &'a UserId) -> Subject<'a> {
    Subject { call: Call::without_request(tenant), user }
}
