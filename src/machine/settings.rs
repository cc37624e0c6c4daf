//! Everything that is saved about one tenant, and what a change of it does. Who may change it:
//! `flow/administration.rs`, and without a right `flow/operator.rs`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::error::{Document, Error};
use crate::ids::TenantId;
use crate::limits::{LONGEST_TRUST, Limits};
use crate::machine::record::{Record, decode};
use crate::policy::Scope;
use crate::store::{Generation, StoredRow};
use crate::tag::sha256_tag;
use crate::tenant::{
    Lockout, Methods, SettingsVersion, SingleSignOn, TenantSettings, TrustedDevices,
};

/// What a document needs that says no more than a scope, and what was said before there was more.
const SCOPE_ONLY: u32 = 1;
/// What one needs that says anything else.
const SETTINGS: u32 = 2;

/// A tenant's settings, as they are saved: in the lowest format that can express them, so that
/// nodes of an earlier version read all that they understand (`I-41`).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    format: u32,
    pub(crate) scope: Scope,
    /// The deletion that the last switching off began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) clearing: Option<Clearing>,
    // From here on, format 2.
    #[serde(default, skip_serializing_if = "is_default")]
    single_sign_on: SingleSignOn,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lockout: Option<Lockout>,
    #[serde(default, skip_serializing_if = "is_default")]
    methods: Methods,
    #[serde(default, skip_serializing_if = "is_default")]
    trusted_devices: TrustedDevices,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    backup_codes_off: bool,
    /// Trusted devices from before do not count any more: they were switched off, or a method was
    /// forbidden by whose codes they may have been registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) devices_from: Option<Timestamp>,
    /// Backup codes from before do not count any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) backup_codes_from: Option<Timestamp>,
    /// When the other administrators were notified of changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    notified: Option<Notified>,
}

/// Notices of changes within an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Notified {
    /// When the first went.
    since: Timestamp,
    sent: u32,
}

impl Notified {
    /// Whether it still counts. One of the future, which a clock that went back shows, does not.
    fn counts(self, now: Timestamp) -> bool {
        now.is_within(self.since, HOUR)
    }
}

/// What a change ends for everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) devices: bool,
    pub(crate) backup_codes: bool,
}

/// From when on things of a kind count again that a change of this moment ends: later than all that
/// could have been made by now, although clocks of nodes differ, and later than at any end before.
fn later(earlier: Option<Timestamp>, now: Timestamp, limits: &Limits) -> Timestamp {
    now.plus(limits.clock_tolerance).max(earlier.map_or(now, Timestamp::next))
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Clearing {
    pub(crate) started: Timestamp,
    /// How many records were deleted so far.
    #[serde(default)]
    pub(crate) deleted: u64,
    /// When nothing of an earlier generation was left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) finished: Option<Timestamp>,
}

/// Within this time after a notice of a change no other one goes, unless it is urgent.
const HOUR: Duration = Duration::from_secs(60 * 60);

/// So many urgent ones go in that time, and no more: each reaches all administrators.
const MOST_NOTICES: u32 = 5;

impl Settings {
    /// What the tenant has decided.
    pub(crate) const fn decided(&self) -> TenantSettings {
        TenantSettings {
            scope: self.scope,
            single_sign_on: self.single_sign_on,
            lockout: self.lockout,
            methods: self.methods,
            trusted_devices: self.trusted_devices,
            backup_codes: !self.backup_codes_off,
        }
    }

    /// Names what an administrator was shown: the settings, within their generation. What a purge
    /// notes beside them makes no difference.
    pub(crate) fn shown_version(
        &self,
        tenant: &TenantId,
        generation: Generation,
    ) -> Result<SettingsVersion, Error> {
        let decided =
            serde_json::to_vec(&self.decided()).map_err(|_| Error::Corrupt(Document::Settings))?;
        let generation = generation.number().to_be_bytes();
        let parts: [&[u8]; 3] = [tenant.as_str().as_bytes(), &generation, &decided];
        let tag = sha256_tag(&[], b"countersign/1/settings-version", &parts);
        let mut half = [0; 16];
        half.iter_mut().zip(tag).for_each(|(to, from)| *to = from);
        Ok(SettingsVersion::from_random(half))
    }

    /// The lowest format that can express it.
    fn format(&self) -> u32 {
        let Self {
            format: _,
            scope: _,
            clearing: _,
            single_sign_on,
            lockout,
            methods,
            trusted_devices,
            backup_codes_off,
            devices_from,
            backup_codes_from,
            notified,
        } = self;
        let scope_only = is_default(single_sign_on)
            && lockout.is_none()
            && is_default(methods)
            && is_default(trusted_devices)
            && !backup_codes_off
            && devices_from.is_none()
            && backup_codes_from.is_none()
            && notified.is_none();
        if scope_only { SCOPE_ONLY } else { SETTINGS }
    }

    pub(crate) fn encode(&self) -> Result<String, Error> {
        let saved = Self { format: self.format(), ..self.clone() };
        serde_json::to_string(&saved).map_err(|_| Error::Corrupt(Document::Settings))
    }

    /// The settings and the generation after a change. Switching off begins a new generation, so
    /// that nothing that was saved counts any more, and starts its deletion (`I-27`).
    ///
    /// `limits`: the application's.
    pub(crate) fn changed_to(
        self,
        next: &TenantSettings,
        generation: Generation,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<(Self, Generation), Error> {
        let TenantSettings {
            scope,
            single_sign_on,
            lockout,
            methods,
            trusted_devices,
            backup_codes,
        } = *next;
        // The scope goes off, or single sign-on was the last that asked anybody.
        let switches_off = scope == Scope::DoNotUse
            && (self.scope != Scope::DoNotUse
                || (self.single_sign_on != SingleSignOn::Exempt
                    && single_sign_on == SingleSignOn::Exempt));
        let ends = Self::ends(&self.decided(), next);
        // A device whose trust was cut short does not come back with a longer one.
        let shorter = limits.narrowed(&self.decided()).devices.map(|devices| devices.lifetime);
        let cut_short = shorter.filter(|shorter| {
            limits.narrowed(next).devices.is_some_and(|devices| *shorter < devices.lifetime)
        });
        let devices_from = if ends.devices {
            Some(later(self.devices_from, now, limits))
        } else {
            // Once all that it ended have run out, it says nothing.
            let running = self.devices_from.filter(|from| now < from.plus(LONGEST_TRUST));
            running.max(cut_short.map(|shorter| now.minus(shorter)))
        };
        let backup_codes_from = if ends.backup_codes {
            Some(later(self.backup_codes_from, now, limits))
        } else {
            self.backup_codes_from
        };
        let next = Self {
            format: self.format,
            scope,
            clearing: self.clearing,
            single_sign_on,
            lockout,
            methods,
            trusted_devices,
            backup_codes_off: !backup_codes,
            devices_from,
            backup_codes_from,
            notified: self.notified.filter(|notified| notified.counts(now)),
        };
        if !switches_off {
            return Ok((next, generation));
        }
        let generation = generation.next().ok_or(Error::Corrupt(Document::Settings))?;
        let clearing = Some(Clearing { started: now, deleted: 0, finished: None });
        // Nothing is left that could be from before.
        Ok((Self { clearing, devices_from: None, backup_codes_from: None, ..next }, generation))
    }

    /// Whether a change protects anybody less: it asks fewer people, or leaves an attacker more.
    /// `limits`: the application's.
    pub(crate) fn weakens(from: &TenantSettings, to: &TenantSettings, limits: &Limits) -> bool {
        to.scope.asks_fewer_than(from.scope)
            || (from.single_sign_on == SingleSignOn::SystemAdministrators
                && to.single_sign_on == SingleSignOn::Exempt)
            || limits.narrowed(to).are_weaker_than(&limits.narrowed(from))
    }

    /// Takes what a change of these settings has ended out of a record.
    pub(crate) fn forget_ended(&self, record: &mut Record) {
        let Self { devices_from, backup_codes_from, .. } = self;
        let is_later = |from: &Option<Timestamp>, made| from.is_none_or(|from| from < made);
        record.devices.retain(|device| is_later(devices_from, device.registered));
        record.backup.take_if(|backup| !is_later(backup_codes_from, backup.made));
    }

    /// What a change ends, by the tenant's own decisions: the application may offer again tomorrow
    /// what it does not offer today. Any device may rest on a code by a method that is forbidden.
    pub(crate) fn ends(from: &TenantSettings, to: &TenantSettings) -> Ends {
        let off = |settings: &TenantSettings| settings.trusted_devices == TrustedDevices::Off;
        Ends {
            devices: (off(to) && !off(from)) || from.methods.exceed(to.methods),
            backup_codes: from.backup_codes && !to.backup_codes,
        }
    }

    /// Whether the other administrators are notified of a change of this moment, which is noted.
    /// One that weakens somebody's protection, or ends what people have, is `urgent`.
    pub(crate) fn charge_notice(&mut self, now: Timestamp, urgent: bool) -> bool {
        let earlier = self.notified.filter(|notified| notified.counts(now));
        let sent = earlier.map_or(0, |notified| notified.sent);
        let goes = sent == 0 || (urgent && sent < MOST_NOTICES);
        if goes {
            let since = earlier.map_or(now, |notified| notified.since);
            self.notified = Some(Notified { since, sent: sent.saturating_add(1) });
        }
        goes
    }

    /// A tenant without saved settings has the default ones. `readable`: the newest format that
    /// this node reads.
    pub(crate) fn read(saved: Option<&StoredRow>, readable: u32) -> Result<Self, Error> {
        let Some(saved) = saved else { return Ok(Self::default()) };
        let settings: Self =
            decode(Document::Settings, readable, &saved.document, |settings: &Self| {
                settings.format
            })?;
        if settings.format < settings.format() {
            return Err(Error::Corrupt(Document::Settings));
        }
        Ok(settings)
    }
}
