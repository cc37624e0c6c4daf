//! Who may change a tenant's setting, reset and unlock its users: the administrator's page. The
//! operator's handle, which asks for no right: `operator.rs`. Which login is recent enough:
//! `machine/access.rs`.

use crate::clock::Timestamp;
use crate::context::Call;
use crate::error::Error;
use crate::event::{Actor, EventKind, ResetOutcome};
use crate::flow::driver::{ATTEMPTS, Plan, Subject};
use crate::flow::settings::{Changed, Current, LockOuts, Reading, SettingsDecision, ShownSettings};
use crate::flow::{Inner, PurgeProgress, RequestFlow};
use crate::grant::SavedGrant;
use crate::ids::{SettingsVersion, TenantId, UserId};
use crate::machine::{Damage, Decision, Draft, Kept, Refill, Settings, Write, as_an_administrator};
use crate::policy::{Requirement, Scope};
use crate::reason::{Denied, OperationError, Reason};
use crate::status::FactorStatus;
use crate::tenant::TenantSettings;
use crate::user::User;

/// What a system administrator may do in their own tenant, and nowhere else: there is no way to
/// name another tenant through it (`I-34`).
///
/// At each call the acting user must be active in the tenant, hold its built-in
/// system-administrator role, and have a grant that holds: with a second factor, where the policy
/// requires one of them for an interactive login. Everybody and everything else is
/// [`Reason::NotFound`]; ask [`RequestFlow::revalidate`] first to tell a stale session from a
/// missing right.
///
/// # What weakens somebody needs a recent login
///
/// [`reset`](Self::reset), [`unlock`](Self::unlock), and a
/// [change of settings](Self::change_settings) that protects anybody less, such as a scope that
/// asks fewer people for a second factor, need a login within the window of
/// [`recent_login`](crate::LoginFlowBuilder::recent_login) (10 minutes by default), in which a code
/// or a backup code was verified. A trusted device is not enough. With any other login they answer
/// [`Reason::ReauthenticationRequired`], so that a stolen or forgotten session can't take anybody's
/// protection away.
///
/// Where the policy exempts the acting user there is no second factor to ask them for: in a tenant
/// that does not use it, or under a policy of your own that lets administrators in with the
/// password alone. Their login must be recent all the same.
///
/// # Errors
///
/// Every method answers [`OperationError::Denied`] with a reason, or [`OperationError::Failed`] if
/// a plug-in failed.
///
/// # Cancel safety
///
/// A dropped future has made its change or left everything as it was.
#[derive(Debug)]
pub struct Administration {
    request: RequestFlow,
    grant: SavedGrant,
}

/// How often a reset is decided before it removes the record. Far more often than any other step,
/// so that an attacker's steps cannot outrun it: each of them costs a password hash.
const RESET_ATTEMPTS: usize = 256;

/// What the acting user was found entitled to, and the settings of that moment.
struct Entitled {
    current: Current,
    at: Timestamp,
    /// Whether this login is recent and strong enough to weaken somebody's protection.
    may_weaken: bool,
    /// Whether the change that was asked for protects anybody less.
    weakens: bool,
    /// Whether the acting user could not log in any more after the change that was asked for.
    locked_out: bool,
}

impl RequestFlow {
    /// The administrator's page of the tenant, for the user whose session holds this grant.
    ///
    /// # Errors
    ///
    /// See [`Administration`].
    pub async fn administration(
        &self,
        grant: &(impl AsRef<SavedGrant> + ?Sized),
    ) -> Result<Administration, OperationError> {
        let administration =
            Administration { request: self.clone(), grant: grant.as_ref().clone() };
        administration.entitled().await?;
        Ok(administration)
    }
}

impl Administration {
    /// The tenant that all of this is about.
    pub const fn tenant(&self) -> &TenantId {
        self.request.tenant()
    }

    /// Who needs the second factor in this tenant.
    ///
    /// # Errors
    ///
    /// See [`Administration`].
    pub async fn scope(&self) -> Result<Scope, OperationError> {
        Ok(self.entitled().await?.current.settings.scope)
    }

    /// What the tenant has decided, with the version to hand back with a change.
    ///
    /// # Errors
    ///
    /// See [`Administration`].
    pub async fn settings(&self) -> Result<ShownSettings, OperationError> {
        Ok(ShownSettings::of(self.tenant(), &self.entitled().await?.current)?)
    }

    /// Changes the tenant's settings, if they still are the ones that were shown. It applies to
    /// logins under way (`I-28`), and answers what was decided before.
    ///
    /// [`Scope::DoNotUse`] immediately makes everything invalid that was saved for the tenant's
    /// users, unless the tenant's administrators are still asked after single sign-on;
    /// [`LoginFlow::purge`](crate::LoginFlow::purge) then deletes it (`I-27`). Switching on again
    /// starts everybody from nothing. Trusted devices and backup codes that are switched off do not
    /// come back when they are switched on again, and forbidding a method ends all trusted devices,
    /// which may rest on it. Saving the current settings changes nothing.
    ///
    /// If the new settings ask the acting user for a second factor, and their login had none, their
    /// session is stale afterwards: send them to the login.
    ///
    /// The other administrators are notified where a
    /// [`UserDirectory`](crate::user::UserDirectory) is plugged in: at once of a change that
    /// protects anybody less, and of others at most once an hour.
    ///
    /// # Errors
    ///
    /// See [`Administration`]; also
    /// - [`Reason::SettingsChanged`] if another change came first: show the settings again;
    /// - [`Reason::InvalidSettings`] if a number is more lenient than the application allows. A
    ///   change of the scope alone is accepted even if numbers saved earlier are too lenient by
    ///   now; the application's bounds still apply to them;
    /// - [`Reason::ReauthenticationRequired`] if it protects anybody less, or ends trusted devices
    ///   or backup codes, and the acting user's login is not recent and fresh. From fewest to most
    ///   people: [`Scope::DoNotUse`], [`Scope::SystemAdministratorsOnly`], [`Scope::EntireTenant`];
    ///   a scope under which the policy no longer asks the acting user counts as asking fewer,
    ///   wherever it stands in that order;
    /// - [`Reason::NoDestination`] if the acting user would need a code that can go nowhere;
    /// - [`Reason::WouldLockOut`] if it forbids a method or backup codes, and people would be left
    ///   without any way to get a code; also if there are too many people to look at here.
    pub async fn change_settings(
        &self,
        shown: SettingsVersion,
        next: &TenantSettings,
        lock_outs: LockOuts,
    ) -> Result<TenantSettings, OperationError> {
        let asked = Asked { shown, next };
        let (inner, call) = (self.inner(), self.request.call());
        if lock_outs == LockOuts::Refuse {
            self.locks_nobody_out(&asked).await?;
        }
        let read = || -> Reading<'_, _> { Box::pin(self.entitled_to_change(&asked)) };
        let changed = inner
            .change_settings(call, read, |current, at| {
                let before = current.settings.decided();
                if before == *next {
                    return Ok(SettingsDecision {
                        outcome: Changed::nothing(before),
                        change: None,
                    });
                }
                inner.change_to(current, next, self.actor(), at)
            })
            .await?;
        inner.notify_administrators(call, &changed, Some(self.grant.user())).await;
        Ok(changed.before)
    }

    /// Clears everything that is saved for one user's second factor, ends their logins under way,
    /// and notifies them (`I-26`). The answer says whether their budgets were refilled.
    ///
    /// The user sets up again at the next login. Nobody resets themselves: [`Reason::OwnAccount`].
    ///
    /// The first two resets in any 30 days also give the user all wrong codes and all messages
    /// again ([`refills_per_month`](crate::LoginFlowBuilder::refills_per_month)). From the third on
    /// the count of wrong codes in 30 days and of messages in a day stays, and nothing else: an
    /// administrator who knows a colleague's password must not get guesses without end out of
    /// resets. Show the administrator
    /// [`ResetOutcome::BudgetsKept`]: a user who has used the budgets up can't log in with a code
    /// before they have room again.
    ///
    /// # Errors
    ///
    /// See [`Administration`]; [`Reason::ReauthenticationRequired`] without a recent login.
    pub async fn reset(&self, user: &UserId) -> Result<ResetOutcome, OperationError> {
        self.entitled_over(user).await?;
        self.inner().reset(self.request.about(user), Refill::Counted, self.actor()).await
    }

    /// Lifts the locks of one user that time would lift. Failure counters stay (`I-10`); where they
    /// have suspended the second factor or used up the rolling budget, it answers
    /// [`Reason::ResetRequired`].
    ///
    /// # Errors
    ///
    /// See [`Administration`]; [`Reason::ReauthenticationRequired`] without a recent login.
    pub async fn unlock(&self, user: &UserId) -> Result<(), OperationError> {
        self.entitled_over(user).await?;
        self.inner().unlock(self.request.about(user), self.actor()).await
    }

    /// One user's second factor at a glance.
    ///
    /// # Errors
    ///
    /// See [`Administration`].
    pub async fn status(&self, user: &UserId) -> Result<FactorStatus, OperationError> {
        let at = self.entitled().await?.at;
        match self.inner().status(self.request.about(user)).await? {
            Some(overview) => Ok(overview),
            None => Err(self.refuse(Reason::NotFound, at)),
        }
    }

    /// How far the deletion is that the last switching off began. `None`: the tenant never switched
    /// off.
    ///
    /// # Errors
    ///
    /// See [`Administration`].
    pub async fn purge_progress(&self) -> Result<Option<PurgeProgress>, OperationError> {
        let current = self.entitled().await?.current;
        Ok(self.inner().purge_progress(self.tenant(), &current).await?)
    }

    /// The number of users whose saved settings [`Scope::DoNotUse`] would delete, to show before
    /// asking for confirmation. Deletions that are already under way are not counted.
    ///
    /// # Errors
    ///
    /// See [`Administration`].
    pub async fn saved_users(&self) -> Result<u64, OperationError> {
        let current = self.entitled().await?.current;
        Ok(self.inner().saved_users(self.tenant(), current.generation).await?)
    }

    /// Whether the acting user may weaken the protection of this user of the tenant.
    async fn entitled_over(&self, user: &UserId) -> Result<(), OperationError> {
        let Entitled { at, may_weaken, .. } = self.entitled().await?;
        if user == self.grant.user() {
            return Err(self.refuse(Reason::OwnAccount, at));
        }
        if !may_weaken {
            return Err(self.refuse(Reason::ReauthenticationRequired, at));
        }
        if self.inner().load_user(self.tenant(), user).await?.is_none() {
            return Err(self.refuse(Reason::NotFound, at));
        }
        Ok(())
    }

    /// The time at which the acting user was found entitled.
    pub(super) async fn entitled_at(&self) -> Result<Timestamp, OperationError> {
        Ok(self.entitled().await?.at)
    }

    /// The settings of that time.
    pub(super) async fn entitled_settings(&self) -> Result<Current, OperationError> {
        Ok(self.entitled().await?.current)
    }

    /// The same result. A refusal has its event (`I-38`).
    pub(super) fn told<T>(&self, result: Result<T, OperationError>) -> Result<T, OperationError> {
        if let (Err(OperationError::Denied(denied)), Ok(at)) =
            (&result, Timestamp::now(&*self.inner().clock))
        {
            let _ = self.refuse(denied.reason(), at);
        }
        result
    }

    pub(super) const fn call(&self) -> Call<'_> {
        self.request.call()
    }

    async fn entitled(&self) -> Result<Entitled, OperationError> {
        self.entitled_to(None).await
    }

    /// The settings as they are, if the acting user may make this change.
    async fn entitled_to_change(
        &self,
        asked: &Asked<'_>,
    ) -> Result<(Current, Timestamp), OperationError> {
        let Entitled { current, at, may_weaken, weakens, locked_out } =
            self.entitled_to(Some(asked.next)).await?;
        let before = current.settings.decided();
        let shown = current.settings.shown_version(self.tenant(), current.generation)?;
        if asked.shown != shown {
            return Err(self.refuse(Reason::SettingsChanged, at));
        }
        // Settings that are in force already change nothing for anybody.
        if before == *asked.next {
            return Ok((current, at));
        }
        if let Err(error) = self.inner().rules.limits.check_change(&before, asked.next) {
            return Err(self.refuse(Reason::InvalidSettings(error), at));
        }
        // What ends something that people have is as grave as what weakens.
        let ends = Settings::ends(&before, asked.next);
        if (weakens || ends.devices || ends.backup_codes) && !may_weaken {
            return Err(self.refuse(Reason::ReauthenticationRequired, at));
        }
        if locked_out {
            return Err(self.refuse(Reason::NoDestination, at));
        }
        Ok((Current { weakens, ..current }, at))
    }

    /// Refuses a change that would leave people without any way to get a code. It takes its time,
    /// so that the right to make the change is looked at again after it.
    async fn locks_nobody_out(&self, asked: &Asked<'_>) -> Result<(), OperationError> {
        let (current, at) = self.entitled_to_change(asked).await?;
        let before = current.settings.decided();
        let forbids = before.methods.exceed(asked.next.methods);
        let backup_codes = Settings::ends(&before, asked.next).backup_codes;
        if (forbids || backup_codes)
            && self.inner().locks_anybody_out(self.tenant(), &current, asked.next).await?
        {
            return Err(self.refuse(Reason::WouldLockOut, at));
        }
        Ok(())
    }

    /// Holds the acting user against the tenant as it is now.
    async fn entitled_to(&self, next: Option<&TenantSettings>) -> Result<Entitled, OperationError> {
        let inner = self.inner();
        let subject = self.request.about(self.grant.user());
        let loaded = inner.load_to_read(subject).await?;
        let draft = inner.open(subject, &loaded)?;
        let channels = as_an_administrator(self.grant.channel());
        let standing =
            draft.standing(&*inner.policy, loaded.user.as_ref(), &self.grant, channels)?;
        let administrator = loaded.user.as_ref().filter(|user| user.system_administrator);
        let (Ok(requirement), Some(user), true) =
            (standing, administrator, self.grant.tenant() == self.tenant())
        else {
            return Err(self.refuse(Reason::NotFound, draft.now()));
        };
        let required = requirement == Requirement::Required;
        let (weakens, locked_out) = match next {
            Some(next) => {
                let before = draft.settings().decided();
                let limits = &inner.rules.limits;
                let still_required =
                    draft.would_be_required(&*inner.policy, user, next, channels)?;
                let weakens =
                    Settings::weakens(&before, next, limits) || (required && !still_required);
                let out = draft.is_out_of_reach(user, &limits.narrowed(next));
                (weakens, still_required && out)
            }
            None => (false, false),
        };
        Ok(Entitled {
            at: draft.now(),
            may_weaken: draft.may_weaken(&self.grant, &requirement),
            weakens,
            locked_out,
            current: Current {
                settings: draft.settings().clone(),
                version: draft.settings_version(),
                generation: draft.generation(),
                weakens: false,
            },
        })
    }

    fn refuse(&self, reason: Reason, at: Timestamp) -> OperationError {
        let event =
            EventKind::AdministrationRefused { by: self.actor(), reason: reason.code().into() };
        self.inner().emit(self.request.call(), None, at, event);
        Denied::new(reason).into()
    }

    fn actor(&self) -> Actor {
        let (tenant, user) = (self.grant.tenant(), self.grant.user().clone());
        if tenant == self.tenant() {
            Actor::Administrator { user }
        } else {
            Actor::OtherTenant { tenant: tenant.clone(), user }
        }
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.request.inner
    }
}

/// A change that an administrator asks for.
struct Asked<'a> {
    shown: SettingsVersion,
    next: &'a TenantSettings,
}

/// What administrators and the operator have in common.
impl Inner {
    /// Puts a fresh record in the place of the one there is, on the condition that it still is that
    /// one: every step that was decided on it fails, so nothing of it comes back (`I-26`).
    ///
    /// A reset is not given up for others: where all of many tries met somebody else's write, it
    /// removes the record, which nothing can prevent, and then saves what a reset may have to keep.
    /// If even that fails, the event says that the budgets were refilled beyond their number.
    pub(super) async fn reset(
        &self,
        subject: Subject<'_>,
        refill: Refill,
        by: Actor,
    ) -> Result<ResetOutcome, OperationError> {
        let Subject { call, user } = subject;
        let plan =
            |attempts| Plan { damage: Damage::CountsAsAbsent, attempts, ..Plan::new(subject) };
        let mut seen = None;
        let reset = |draft: &mut Draft<'_>, known: Option<&User>, removed: Option<&Kept>| {
            let Some(known) = known else {
                let outcome = ResetOutcome::Refilled;
                let event = EventKind::UserReset { by: by.clone(), outcome };
                return Ok(Decision::new(outcome, event).written_as(Write::Remove));
            };
            draft.reset(known, refill, removed, by.clone())
        };
        let attempted = self.step_by(plan(RESET_ATTEMPTS), |draft, known| {
            seen = Some(draft.kept());
            reset(draft, known, None)
        });
        match attempted.await {
            Err(Error::Contended) => {}
            done => return Ok(done?.outcome),
        }
        self.factors.remove(call.tenant, user).await.map_err(Error::factor_store)?;
        let attempted =
            self.step_by(plan(ATTEMPTS), |draft, known| reset(draft, known, seen.as_ref()));
        match attempted.await {
            Err(Error::Contended) => {}
            done => return Ok(done?.outcome),
        }
        let outcome = ResetOutcome::RefilledBeyond;
        let at = Timestamp::now(&*self.clock)?;
        self.emit(call, Some(user), at, EventKind::UserReset { by, outcome });
        Ok(outcome)
    }

    pub(super) async fn unlock(
        &self,
        subject: Subject<'_>,
        by: Actor,
    ) -> Result<(), OperationError> {
        let committed = self
            .step(subject, |draft, known| {
                let refused = |reason: Reason| EventKind::AdministrationRefused {
                    by: by.clone(),
                    reason: reason.code().into(),
                };
                if known.is_none() {
                    return Ok(Decision::new(
                        Err(Denied::new(Reason::NotFound)),
                        refused(Reason::NotFound),
                    ));
                }
                let unlocked = draft.unlock();
                // What could be lifted is, even if that is not enough.
                let event = match &unlocked {
                    Err(denied) if !draft.edited() => refused(denied.reason()),
                    Ok(()) | Err(_) => EventKind::UserUnlocked { by: by.clone() },
                };
                Ok(Decision::new(unlocked, event))
            })
            .await?;
        Ok(committed.outcome?)
    }

    /// `None`: there is no such user.
    pub(super) async fn status(&self, subject: Subject<'_>) -> Result<Option<FactorStatus>, Error> {
        let loaded = self.load_to_read(subject).await?;
        let draft = self.open(subject, &loaded)?;
        Ok(loaded.user.as_ref().map(|user| draft.status(user)))
    }
}
