//! Changes of a tenant's settings, from an administrator's page too, and rehearsals of them.

use std::sync::Arc;
use std::time::Duration;

use super::bounds::is_within;
use super::drive::settings_of;
use super::ledger::{Claim, Ledger, Mark};
use super::scenario::Scenario;
use super::step::{Effect, Password, Presented, Step, is_exempt};
use super::tamper::Fault;
use super::world::{Person, Row, Subject, Tenant, World, timestamp};
use crate::contact::{Destination, Method};
use crate::context::Call;
use crate::ids::{SettingsVersion, Version};
use crate::machine::{Foretelling, Foretold, READS, Settings};
use crate::policy::{Channel, Scope, SingleSignOn, StandardPolicy};
use crate::reason::Denied;
use crate::store::{Generation, StoredRow};
use crate::tenant::{Lockout, Methods, TenantSettings, TrustedDevices};

use super::stand_ins::{DEVICE_LIFETIME, DEVICES, LOCK, LONGEST_LOCK, TENANT_WRONG_CODES};

/// What of the settings changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Change {
    Scope(Scope),
    Sms(bool),
    Devices(bool),
    BackupCodes(bool),
    SingleSignOn(bool),
    /// A lockout and a trust that are stricter than the application's.
    Stricter,
    /// More than the application allows.
    TooLax(Lax),
}

/// In which number a change goes beyond what the application allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Lax {
    WrongCodes,
    NoWrongCode,
    ShortLock,
    /// The longest lock is shorter than the first one.
    ShortLongest,
    LongLock,
    NoMethod,
    /// Allows only a method that an application may not offer.
    SmsAlone,
    LongTrust,
    MoreDevices,
}

impl Lax {
    /// What no tenant of an application with the ordinary numbers may save.
    pub(super) const ALL: [Self; 8] = [
        Self::WrongCodes,
        Self::NoWrongCode,
        Self::ShortLock,
        Self::ShortLongest,
        Self::LongLock,
        Self::NoMethod,
        Self::LongTrust,
        Self::MoreDevices,
    ];

    /// What no tenant may save where the application offers email alone, and no trusted devices.
    pub(super) const NOT_OFFERED: [Self; 4] =
        [Self::NoMethod, Self::SmsAlone, Self::LongTrust, Self::MoreDevices];

    fn of(self, next: &mut TenantSettings) {
        let lockout = |wrong_codes, first, longest| Some(Lockout { wrong_codes, first, longest });
        let second = Duration::from_secs(1);
        let most = TENANT_WRONG_CODES;
        match self {
            Self::WrongCodes => next.lockout = lockout(most + 1, LOCK, LOCK),
            Self::NoWrongCode => next.lockout = lockout(0, LOCK, LOCK),
            Self::ShortLock => {
                next.lockout = lockout(most, LOCK.checked_sub(second).unwrap(), LOCK);
            }
            Self::ShortLongest => next.lockout = lockout(most, 2 * LOCK, LOCK),
            Self::LongLock => next.lockout = lockout(most, LOCK, LONGEST_LOCK + second),
            Self::NoMethod => next.methods = Methods { email: false, sms: false },
            Self::SmsAlone => next.methods = Methods::only(Method::Sms),
            Self::LongTrust => {
                let lifetime = DEVICE_LIFETIME + second;
                next.trusted_devices = TrustedDevices::AtMost { lifetime, per_user: DEVICES };
            }
            Self::MoreDevices => {
                let (lifetime, per_user) = (DEVICE_LIFETIME, DEVICES + 1);
                next.trusted_devices = TrustedDevices::AtMost { lifetime, per_user };
            }
        }
    }
}

impl Change {
    pub(super) fn of(self, now: &TenantSettings) -> TenantSettings {
        let mut next = *now;
        match self {
            Self::Scope(scope) => next.scope = scope,
            Self::Sms(on) => next.methods.sms = on,
            Self::Devices(on) => {
                next.trusted_devices =
                    if on { TrustedDevices::AsApplication } else { TrustedDevices::Off };
            }
            Self::BackupCodes(on) => next.backup_codes = on,
            Self::SingleSignOn(on) => {
                next.single_sign_on =
                    if on { SingleSignOn::SystemAdministrators } else { SingleSignOn::Exempt };
            }
            Self::Stricter => {
                let (first, longest) = (2 * LOCK, 4 * LOCK);
                next.lockout = Some(Lockout { wrong_codes: 1, first, longest });
                next.trusted_devices =
                    TrustedDevices::AtMost { lifetime: DEVICE_LIFETIME / 2, per_user: 1 };
            }
            Self::TooLax(lax) => lax.of(&mut next),
        }
        next
    }
}

/// An administrator's page, with the settings as they were when it was loaded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Page {
    tenant: Tenant,
    settings: TenantSettings,
    version: SettingsVersion,
    /// How often the tenant had switched off by then.
    offs: u8,
}

/// A page that was saved with a change, decided and not written yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Saving {
    page: Arc<Page>,
    change: Change,
    next: Next,
}

/// What a change writes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Next {
    settings: TenantSettings,
    document: String,
    generation: Generation,
    /// Whether it begins a new generation.
    raises: bool,
    /// The row that it was decided on.
    expected: Option<Version>,
}

impl Scenario {
    /// As an administrator changes the settings, whatever they are at that moment.
    pub(super) fn set(&self, world: &mut World, tenant: Tenant, change: Change) {
        let next = change.of(&world.decided(tenant));
        if let Some(next) = self.decide_change(world, tenant, &next) {
            self.write_settings(world, tenant, &next);
        }
    }

    /// An administrator's page shows the settings of a tenant.
    pub(super) fn show(&self, world: &mut World, tenant: Tenant) {
        let settings = settings_of(world, tenant);
        let version =
            settings.shown_version(self.names.tenant(tenant), world.generation(tenant)).unwrap();
        let offs = world.offs(tenant);
        world.page = Some(Arc::new(Page { tenant, settings: settings.decided(), version, offs }));
    }

    /// Whether the page in front of the administrator would change anything.
    pub(super) fn may_save(world: &World, change: Change) -> bool {
        world.page.as_ref().is_some_and(|page| change.of(&page.settings) != page.settings)
    }

    /// The administrator saves the page, and nothing comes between decision and write.
    pub(super) fn save(&self, world: &mut World, change: Change) {
        self.hold_save(world, change);
        self.settle_save(world);
    }

    /// The same, up to the write.
    pub(super) fn hold_save(&self, world: &mut World, change: Change) {
        let Some(page) = world.page.clone() else { return };
        if !self.still_shown(world, &page) {
            return self.saw(Mark::NoLongerShown);
        }
        let next = self.decide_change(world, page.tenant, &change.of(&page.settings));
        world.saving = next.map(|next| Arc::new(Saving { page, change, next }));
    }

    /// The write. Where another one came first, the settings are not those that were shown any
    /// more, and deciding again would refuse the change.
    pub(super) fn settle_save(&self, world: &mut World) {
        let Some(saving) = world.saving.take() else { return };
        let Saving { page, change, next } = &*saving;
        let now = world.settings.get(&page.tenant).map(|row| row.0.version);
        if now != next.expected && self.fault != Fault::SettingsUnconditional {
            return self.saw(Mark::SettingsConflict);
        }
        self.saw(Mark::SavedAsShown);
        // The saved settings must be those in force plus this administrator's change: whatever
        // others have decided since the page was loaded stays.
        let wanted = change.of(&world.decided(page.tenant));
        let same_life = page.offs == world.offs(page.tenant);
        self.write_settings(world, page.tenant, next);
        let saved = settings_of(world, page.tenant).decided();
        world.broken.mark_unless(saved == wanted && same_life, Claim::I42);
    }

    /// Whether the settings still are those of the page, as the flow asks the machine.
    fn still_shown(&self, world: &World, page: &Page) -> bool {
        let settings = settings_of(world, page.tenant);
        let tenant = self.names.tenant(page.tenant);
        match self.fault {
            Fault::ShownVersionIgnored => true,
            Fault::ShownGenerationIgnored => settings.decided() == page.settings,
            _ => {
                let generation = world.generation(page.tenant);
                settings.shown_version(tenant, generation).unwrap() == page.version
            }
        }
    }

    /// What a change would write. `None`: it is refused, or changes nothing.
    fn decide_change(&self, world: &World, tenant: Tenant, next: &TenantSettings) -> Option<Next> {
        let limits = &self.rules.limits;
        let allowed = limits.check_change(&world.decided(tenant), next).is_ok();
        if !allowed && self.fault != Fault::BoundsNotChecked {
            self.saw(Mark::SettingsRefused);
            return None;
        }
        let (settings, earlier) = (settings_of(world, tenant), world.generation(tenant));
        if settings.decided() == *next {
            return None;
        }
        let (mut settings, after) =
            settings.changed_to(next, earlier, limits, timestamp(world.now)).unwrap();
        match self.fault {
            Fault::DevicesComeBack => settings.devices_from = None,
            Fault::BackupCodesComeBack => settings.backup_codes_from = None,
            _ => {}
        }
        Some(Next {
            settings: *next,
            document: settings.encode().unwrap(),
            generation: if self.fault == Fault::OffKeepsGeneration { earlier } else { after },
            raises: earlier < after,
            expected: world.settings.get(&tenant).map(|row| row.0.version),
        })
    }

    /// Writes a change, and notes what it ends.
    fn write_settings(&self, world: &mut World, tenant: Tenant, next: &Next) {
        let Next { settings: next, ref document, generation, raises, .. } = *next;
        let before = world.decided(tenant);
        let limits = &self.rules.limits;
        world.decided.insert(tenant, next);
        world.changes += 1;
        let [low, ..] = world.changes.to_le_bytes();
        let version = Version::from_bytes([0x80 | low; 16]);
        let row = StoredRow { version, generation, document: document.clone() };
        world.settings.insert(tenant, Row::new(row));
        let holds = limits.narrowed(&settings_of(world, tenant).decided());
        world.broken.mark_unless(is_within(document, &holds, limits), Claim::I42);
        let (was, is) = (limits.narrowed(&before), limits.narrowed(&next));
        let people = [Person::Root, Person::Alice, Person::Nobody];
        if was.devices.is_some() && is.devices.is_none() || was.methods.exceed(is.methods) {
            let own = world.devices.iter_mut().filter(|gadget| gadget.subject.tenant == tenant);
            own.for_each(|gadget| gadget.ended = true);
            self.saw(Mark::DevicesEnded);
        }
        if was.backup_enabled && !is.backup_enabled {
            for person in people {
                let ledger = world.ledger(Subject { tenant, person });
                ledger.ended_paper = ledger.paper.take().or(ledger.ended_paper.take());
            }
        }
        if raises {
            world.purged.remove(&tenant);
            for person in people {
                let subject = Subject { tenant, person };
                let mut life = world.life(subject);
                life.offs += 1;
                world.ledgers.insert(subject, Ledger::cleared(life));
            }
        }
    }

    /// Foretells the first steps of the two people at their places, and holds that against what the
    /// machine then decides, in a world of its own.
    pub(super) fn rehearse(&self, world: &mut World, tenant: Tenant, change: Change) {
        let before = (world.settings.clone(), world.records.clone());
        let mut then = world.clone();
        self.set(&mut then, tenant, change);
        if self.fault == Fault::RehearsalWrites {
            world.settings.clone_from(&then.settings);
        }
        let row = world.settings.get(&tenant).map(|row| &*row.0);
        let limits = &self.rules.limits;
        let next = change.of(&world.decided(tenant));
        let (settings, generation) = Settings::read(row, READS)
            .unwrap()
            .changed_to(&next, world.generation(tenant), limits, timestamp(world.now))
            .unwrap();
        for (slot, (_, subject)) in self.seats.iter().enumerate() {
            let Some(host) = world.hosts.get(subject).filter(|host| host.active).copied() else {
                continue;
            };
            let user = self.names.person(*subject, host);
            let mut snapshot = world.snapshot(*subject);
            if self.fault != Fault::RehearsalForgetsChange {
                snapshot.settings = Some(StoredRow {
                    version: Version::from_bytes([0xFF; 16]),
                    generation,
                    document: settings.encode().unwrap(),
                });
            }
            let foretelling = Foretelling {
                rules: &self.rules,
                policy: &StandardPolicy,
                call: Call::without_request(self.names.tenant(tenant)),
                now: timestamp(world.now),
            };
            let known = if host.password == 0 { Password::CheckedFirst } else { Password::Known };
            for (channel, step) in [
                (Channel::Web, Step::Begin { slot, password: known, device: Presented::Nothing }),
                (Channel::SingleSignOn, Step::SingleSignOn { slot }),
            ] {
                let foretold = foretelling.foretell(&user, &snapshot, channel).unwrap();
                let happens = self.decide(&then, step).effect;
                let same = match (&foretold, &happens) {
                    (Foretold::In(_), Effect::Complete(done)) => is_exempt(&done.grant),
                    (Foretold::Asked(said), Effect::Open { code, .. }) => {
                        let said = said.as_ref().map(Destination::method);
                        let is = code.as_ref().map(|(_, method)| *method);
                        said.map_err(Denied::reason) == is.map_err(|reason| *reason)
                    }
                    (Foretold::Refused(said, _), Effect::Refused(reason)) => {
                        said.reason() == *reason
                    }
                    _ => false,
                };
                world.broken.mark_unless(same, Claim::I44);
            }
        }
        self.saw(Mark::Rehearsed);
        let written = before != (world.settings.clone(), world.records.clone());
        world.broken.mark_unless(!written, Claim::I44);
    }
}
