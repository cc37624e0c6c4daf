//! Changes of a tenant's settings, and rehearsals of them.

use super::drive::settings_of;
use super::ledger::{Claim, Ledger, Mark};
use super::scenario::Scenario;
use super::step::{Effect, Password, Presented, Step, is_exempt};
use super::tamper::Fault;
use super::world::{Person, Row, Subject, Tenant, World, timestamp};
use crate::contact::Destination;
use crate::context::Call;
use crate::ids::Version;
use crate::machine::{Foretelling, Foretold, READS, Settings};
use crate::policy::{Channel, Scope, SingleSignOn, StandardPolicy};
use crate::reason::Denied;
use crate::store::StoredRow;
use crate::tenant::{Lockout, TenantSettings, TrustedDevices};

use super::stand_ins::LOCK;

/// What of the settings changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Change {
    Scope(Scope),
    Sms(bool),
    Devices(bool),
    BackupCodes(bool),
    SingleSignOn(bool),
    /// More wrong codes than the application allows.
    TooLax,
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
            Self::TooLax => {
                next.lockout = Some(Lockout { wrong_codes: 9, first: LOCK, longest: LOCK });
            }
        }
        next
    }
}

impl Scenario {
    /// As an administrator changes the settings.
    pub(super) fn set(&self, world: &mut World, tenant: Tenant, change: Change) {
        let before = world.decided(tenant);
        let next = change.of(&before);
        let limits = &self.rules.limits;
        let sound = limits.check_tenant(&next).is_ok();
        if !sound && self.fault != Fault::BoundsNotChecked {
            return;
        }
        world.broken.mark_unless(sound, Claim::I42);
        let settings = settings_of(world, tenant);
        let earlier = world.generation(tenant);
        let (mut settings, after) =
            settings.changed_to(&next, earlier, limits, timestamp(world.now)).unwrap();
        match self.fault {
            Fault::DevicesComeBack => settings.devices_from = None,
            Fault::BackupCodesComeBack => settings.backup_codes_from = None,
            _ => {}
        }
        let generation = if self.fault == Fault::OffKeepsGeneration { earlier } else { after };
        world.decided.insert(tenant, next);
        world.changes += 1;
        let [low, ..] = world.changes.to_le_bytes();
        let version = Version::from_bytes([0x80 | low; 16]);
        world.settings.insert(
            tenant,
            Row::new(StoredRow { version, generation, document: settings.encode().unwrap() }),
        );
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
        if earlier < after {
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
