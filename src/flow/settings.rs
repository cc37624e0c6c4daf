//! One tenant's settings: how they are read, and the loop of every change. Who may change them:
//! `administration.rs`, and without a right `operator.rs`.

use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::contact::Destination;
use crate::context::Call;
use crate::entropy::Draw;
use crate::error::Error;
use crate::event::{Actor, EventKind};
use crate::flow::Inner;
use crate::flow::driver::{ATTEMPTS, Subject};
use crate::ids::{SettingsVersion, TenantId, UserId, Version};
use crate::limits::{DeviceLimits, Limits, SHORTEST_TRUST};
use crate::machine::{OutgoingNotice, Settings};
use crate::sender::{NoticeKind, NoticeTopic, SendError, SendErrorKind};
use crate::store::{CommitOutcome, Generation, StoredRow};
use crate::tenant::{Lockout, Methods, TenantSettings, TrustedDevices};
use crate::user::UserStatus;

/// A tenant's settings as they were read.
pub(super) struct Current {
    pub(super) settings: Settings,
    /// `None`: the tenant has none, and these are the default ones.
    pub(super) version: Option<Version>,
    pub(super) generation: Generation,
    /// Whether the requested change protects anybody less, or exempts the administrator who makes
    /// it. Only [`Administration`](super::Administration) knows the latter.
    pub(super) weakens: bool,
}

/// A read of a tenant's settings, and its time.
pub(super) type Reading<'a, E> =
    Pin<Box<dyn Future<Output = Result<(Current, Timestamp), E>> + Send + 'a>>;

/// What was decided on a tenant's settings.
pub(super) struct SettingsDecision<T> {
    pub(super) outcome: T,
    /// `None`: they stay as they are.
    pub(super) change: Option<SettingsChange>,
}

/// What a tenant's settings become.
pub(super) struct SettingsChange {
    pub(super) settings: Settings,
    pub(super) generation: Generation,
    /// The event, once it is written.
    pub(super) event: Option<EventKind>,
}

impl Inner {
    /// The loop of every change of a tenant's settings: read, decide, write if they are still what
    /// was read, and only then tell.
    pub(super) async fn change_settings<'a, T, E: From<Error>>(
        &'a self,
        call: Call<'a>,
        read: impl Fn() -> Reading<'a, E>,
        decide: impl Fn(Current, Timestamp) -> Result<SettingsDecision<T>, Error>,
    ) -> Result<T, E> {
        for _ in 0..ATTEMPTS {
            let (current, at) = read().await?;
            let version = current.version;
            let SettingsDecision { outcome, change } = decide(current, at)?;
            let Some(SettingsChange { settings, generation, event }) = change else {
                return Ok(outcome);
            };
            if self.write_settings(call.tenant, version, &settings, generation).await? {
                if let Some(event) = event {
                    self.emit(call, None, at, event);
                }
                return Ok(outcome);
            }
        }
        Err(Error::Contended.into())
    }

    /// Says whether they were still what was read.
    async fn write_settings(
        &self,
        tenant: &TenantId,
        expected: Option<Version>,
        settings: &Settings,
        generation: Generation,
    ) -> Result<bool, Error> {
        // A version of its own for every write: two changes must not undo each other.
        let version = Version::from_random(Draw::new(&*self.entropy).bytes()?);
        let next = StoredRow { version, generation, document: settings.encode()? };
        match self.factors.change_settings(tenant, expected, &next).await {
            Ok(outcome) => Ok(outcome == CommitOutcome::Written),
            // Perhaps it is written all the same. If it still stands, this is the change, and its
            // event must not be missing.
            Err(error) => match self.factors.settings(tenant).await {
                Ok(Some(saved)) if saved.version == next.version => Ok(true),
                _ => Err(Error::factor_store(error)),
            },
        }
    }

    /// The settings of a tenant, which must have some where the flow requires it.
    pub(super) async fn settings(&self, tenant: &TenantId) -> Result<Current, Error> {
        let saved = self.saved_settings(tenant).await?;
        self.require_known(saved.as_ref())?;
        self.current(saved.as_ref())
    }

    /// The same, whether or not it must have some: for the call that sets tenants up.
    pub(super) async fn settings_if_any(&self, tenant: &TenantId) -> Result<Current, Error> {
        let saved = self.saved_settings(tenant).await?;
        self.current(saved.as_ref())
    }

    async fn saved_settings(&self, tenant: &TenantId) -> Result<Option<StoredRow>, Error> {
        self.factors.settings(tenant).await.map_err(Error::factor_store)
    }

    /// A tenant without saved settings has the default ones.
    fn current(&self, saved: Option<&StoredRow>) -> Result<Current, Error> {
        Ok(Current {
            settings: Settings::read(saved, self.rules.reads)?,
            version: saved.map(|saved| saved.version),
            generation: saved.map(|saved| saved.generation).unwrap_or_default(),
            weakens: false,
        })
    }

    /// What a change makes of a tenant's settings. A tenant that has none gets some, also the
    /// default ones.
    pub(super) fn change_to(
        &self,
        current: Current,
        next: &TenantSettings,
        by: Actor,
        at: Timestamp,
    ) -> Result<SettingsDecision<Changed>, Error> {
        let Current { settings, version, generation, weakens } = current;
        let before = settings.decided();
        let weakens = weakens || Settings::weakens(&before, next, &self.rules.limits);
        if before == *next && version.is_some() {
            return Ok(SettingsDecision { outcome: Changed::nothing(before), change: None });
        }
        let event = if before == *next {
            // The first settings of a tenant, which say what held without any: nothing ends by
            // them.
            EventKind::TenantSetUp { by }
        } else if (TenantSettings { scope: next.scope, ..before }) == *next {
            EventKind::ScopeChanged { from: before.scope, to: next.scope, by }
        } else {
            EventKind::SettingsChanged { from: before, to: *next, weakens, by }
        };
        let (mut settings, generation) =
            settings.changed_to(next, generation, &self.rules.limits, at)?;
        let tell = self.directory.is_some() && before != *next;
        let ends = Settings::ends(&before, next);
        let urgent = weakens || ends.devices || ends.backup_codes;
        let notice = tell
            .then(|| NoticeOfChange { weakens, held_back: !settings.charge_notice(at, urgent) });
        let change = SettingsChange { settings, generation, event: Some(event) };
        Ok(SettingsDecision { outcome: Changed { before, notice }, change: Some(change) })
    }

    /// Notifies the administrators of a tenant, but for the one who made the change. A failure, or
    /// more administrators than are notified, is an event and does not affect the change.
    pub(super) async fn notify_administrators(
        &self,
        call: Call<'_>,
        changed: &Changed,
        by: Option<&UserId>,
    ) {
        let (Some(directory), Some(notice)) = (&self.directory, changed.notice) else { return };
        let NoticeOfChange { weakens, held_back } = notice;
        let Ok(at) = Timestamp::now(&*self.clock) else { return };
        if held_back {
            let about = NoticeTopic::SettingsChanged;
            return self.emit(call, None, at, EventKind::NoticeHeldBack { about });
        }
        let administrators = match directory.administrators(call.tenant).await {
            Ok(administrators) => administrators,
            Err(error) => {
                let error = SendError::new(SendErrorKind::Transient).caused_by(error);
                let causes = error.causes(None, None);
                let failed = EventKind::NoticeFailed { error: error.kind(), causes };
                self.emit(call, None, at, failed);
                return;
            }
        };
        let told = administrators.into_iter().filter_map(|user| {
            let told = user.tenant == *call.tenant
                && user.system_administrator
                && user.status == UserStatus::Active
                && Some(&user.id) != by;
            Some((user.email.clone().filter(|_| told)?, user))
        });
        for (earlier, (email, user)) in told.enumerate() {
            if earlier == MOST_TOLD {
                let about = NoticeTopic::SettingsChanged;
                return self.emit(call, None, at, EventKind::NoticeHeldBack { about });
            }
            let notice = OutgoingNotice {
                destination: Destination::Email(email),
                kind: NoticeKind::SettingsChanged { weakens },
                held_back: 0,
            };
            self.notify(Subject { call, user: &user.id }, &user, notice, at).await;
        }
    }
}

/// The most administrators that are notified of one change.
const MOST_TOLD: usize = 20;

/// What a change of settings has done.
pub(super) struct Changed {
    /// What held before.
    pub(super) before: TenantSettings,
    /// What the other administrators are notified of.
    notice: Option<NoticeOfChange>,
}

/// A notice to the other administrators.
#[derive(Clone, Copy)]
struct NoticeOfChange {
    weakens: bool,
    /// It does not go, because others went not long ago.
    held_back: bool,
}

impl Changed {
    pub(super) const fn nothing(before: TenantSettings) -> Self {
        Self { before, notice: None }
    }
}

/// A tenant's settings, as they are shown to somebody who may change them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ShownSettings {
    /// The settings.
    pub settings: TenantSettings,
    /// To hand back with a change: it is made only if these still are the settings.
    pub version: SettingsVersion,
}

impl ShownSettings {
    pub(super) fn of(tenant: &TenantId, current: &Current) -> Result<Self, Error> {
        let Current { settings, generation, .. } = current;
        let version = settings.shown_version(tenant, *generation)?;
        Ok(Self { settings: settings.decided(), version })
    }
}

/// What to do with a change that would lock people out: they have no destination for a code by any
/// method that is still allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockOuts {
    /// Refuse it, also where nobody can tell because no
    /// [`UserDirectory`](crate::user::UserDirectory) is plugged in.
    #[default]
    Refuse,
    /// Make it: somebody has looked at who it is.
    Accept,
}

/// Between which values a tenant's settings are accepted: what the application allows (`I-42`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SettingsBounds {
    /// What holds where a tenant chooses no lockout of its own.
    pub lockout: Lockout,
    /// The fewest wrong codes that lock.
    pub least_wrong_codes: u32,
    /// The most wrong codes before a lock.
    pub most_wrong_codes: u32,
    /// The shortest lock, in seconds.
    #[serde(rename = "shortest_lock_seconds", with = "crate::tenant::seconds")]
    pub shortest_lock: Duration,
    /// How short the longest lock may be, in seconds: at least the first one.
    #[serde(rename = "least_longest_lock_seconds", with = "crate::tenant::seconds")]
    pub least_longest_lock: Duration,
    /// The longest lock, in seconds.
    #[serde(rename = "longest_lock_seconds", with = "crate::tenant::seconds")]
    pub longest_lock: Duration,
    /// The methods that the application offers.
    pub methods: Methods,
    /// For how long and how many: the most that a tenant may allow. As
    /// [`TrustedDevices::Off`] where the application does not offer trusted devices.
    pub trusted_devices: TrustedDevices,
    /// The shortest time for which a tenant may have a device trusted, in seconds.
    #[serde(rename = "shortest_trust_seconds", with = "crate::tenant::seconds")]
    pub shortest_trust: Duration,
    /// Whether the application offers backup codes.
    pub backup_codes: bool,
}

impl SettingsBounds {
    pub(super) fn of(limits: &Limits) -> Self {
        let (least_wrong_codes, most_wrong_codes) = limits.tenant.wrong_codes;
        let (shortest_lock, longest_lock) = limits.tenant.lock;
        Self {
            lockout: Lockout {
                wrong_codes: limits.codes.lock_after,
                first: limits.codes.lock,
                longest: limits.codes.lock_at_most,
            },
            least_wrong_codes,
            most_wrong_codes,
            shortest_lock,
            least_longest_lock: limits.tenant.least_longest,
            longest_lock,
            methods: limits.methods,
            trusted_devices: match limits.devices {
                None => TrustedDevices::Off,
                Some(DeviceLimits { lifetime, per_user }) => TrustedDevices::AtMost {
                    lifetime,
                    per_user: u32::try_from(per_user).unwrap_or(u32::MAX),
                },
            },
            shortest_trust: SHORTEST_TRUST,
            backup_codes: limits.backup_enabled,
        }
    }
}
