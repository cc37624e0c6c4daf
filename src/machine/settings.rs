//! Everything that is saved about one tenant, and what a change of it does. Who may change it:
//! `flow/administration.rs`, and without a right `flow/operator.rs`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::error::{Document, Error};
use crate::limits::Limits;
use crate::machine::record::decode;
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
    /// When the other administrators were last notified of a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    notified: Option<Timestamp>,
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

/// Within this time after a notice of a change no other one goes.
const HOUR: Duration = Duration::from_secs(60 * 60);

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
    pub(crate) fn shown_version(&self, generation: Generation) -> Result<SettingsVersion, Error> {
        let decided =
            serde_json::to_vec(&self.decided()).map_err(|_| Error::Corrupt(Document::Settings))?;
        let parts: [&[u8]; 2] = [&generation.number().to_be_bytes(), &decided];
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
        let (before, after) = (limits.narrowed(&self.decided()), limits.narrowed(next));
        // The scope goes off, or single sign-on was the last that asked anybody.
        let switches_off = scope == Scope::DoNotUse
            && (self.scope != Scope::DoNotUse
                || (self.single_sign_on != SingleSignOn::Exempt
                    && single_sign_on == SingleSignOn::Exempt));
        // Clocks of nodes differ: what another one has just made is from before, too.
        let from = now.plus(limits.clock_tolerance);
        let devices_end = before.devices.is_some()
            && (after.devices.is_none() || before.methods.exceed(after.methods));
        // Once all that it ended have run out, it says nothing.
        let lifetime = limits.devices.map_or(Duration::MAX, |devices| devices.lifetime);
        let devices_from = self.devices_from.filter(|from| now < from.plus(lifetime));
        let backup_codes_end = before.backup_enabled && !after.backup_enabled;
        let next = Self {
            format: self.format,
            scope,
            clearing: self.clearing,
            single_sign_on,
            lockout,
            methods,
            trusted_devices,
            backup_codes_off: !backup_codes,
            devices_from: if devices_end { Some(from) } else { devices_from },
            backup_codes_from: if backup_codes_end { Some(from) } else { self.backup_codes_from },
            notified: self.notified.filter(|sent| now < sent.plus(HOUR)),
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

    /// Whether the other administrators are notified of a change of this moment, which is noted. A
    /// change that weakens somebody's protection is `urgent`.
    pub(crate) fn charge_notice(&mut self, now: Timestamp, urgent: bool) -> bool {
        let open = self.notified.is_none_or(|sent| sent.plus(HOUR) <= now);
        if open || urgent {
            self.notified = Some(now);
        }
        open || urgent
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
