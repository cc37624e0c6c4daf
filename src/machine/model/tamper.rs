//! Drivers with one fault each. The machine is the real one in all of them: what is wrong is done
//! to its inputs and to what it has decided.

use serde_json::Value;

use super::ledger::Budget;
use super::scenario::Scenario;
use super::stand_ins::{CODE_TTL, DEVICE_LIFETIME};
use super::step::{Decided, Effect, Presented, Step, Write};
use super::world::{Host, Moment, Row, Subject, World, ms};
use crate::ids::Version;
use crate::reason::Reason;
use crate::store::{Snapshot, StoredRow};

/// What a driver does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing.
    None,
    /// Commits without a condition.
    Unconditional,
    /// Commits on condition of the record alone, whatever became of the settings.
    SettingsNotInTheCondition,
    /// Gives a record the next number as its version, and the first one again at a reset.
    VersionsReused,
    /// Takes a record of any generation for a current one.
    GenerationIgnored,
    /// Switching off does not raise the generation.
    OffKeepsGeneration,
    /// A reset leaves the record its identity and its devices.
    ResetKeepsDevices,
    /// A reset leaves nothing, and no trace of itself.
    ResetAlwaysRefills,
    /// A reset is written whatever was written since it was decided.
    ResetUnconditional,
    /// A reset keeps the budgets and does not note when it refilled them.
    ResetForgetsItsTime,
    ResendClearsCount,
    PasswordClearsCodeCount,
    /// Success takes the rolling budget's entries with it.
    SuccessClearsRolling,
    /// Waiting ends a suspension.
    SuspensionWaits,
    CodeStays,
    BackupStays,
    SuccessorNotInstalled,
    /// Later steps see the user as the first step saw them.
    UserAsOfFirstStep,
    /// Later steps see the tenant's settings as the first step saw them.
    SettingsAsOfFirstStep,
    /// Sessions are held against the user as the login saw them.
    SessionsAsOfLogin,
    /// An attempt under an unknown name is not written.
    PhantomSkipped,
    /// A code is good at its very end too.
    ExpiryInclusive,
    /// The password's epoch never changes.
    PasswordChangeUnseen,
    /// Answers before the commit.
    AnswerFirst,
    /// A lock takes the count of wrong passwords with it.
    LockClearsPasswords,
    /// Finds a pending login by user and token, in whatever tenant.
    AnyTenant,
    /// A charge of the send budget is taken back when the next login begins.
    SendsForgotten,
    /// Locked codes lock the backup code.
    BackupSharesLock,
    /// A suspension of codes covers the backup code.
    BackupSharesSuspension,
    /// Forgets the wrong backup codes of a login.
    WrongBackupForgotten,
    /// Wrong passwords beside a device's token are counted among those of strangers, and its lock
    /// holds.
    DeviceSharesLock,
    /// Forgets which hash a password was checked against.
    CheckForgotten,
    /// Takes any code for the right one.
    AnyCodeAccepted,
    /// Sends a code again and saves the one before.
    ResendKeepsCode,
    /// A device is good at its very end too.
    DeviceExpiryInclusive,
    /// Saves a number before its code came back.
    NumberSavedUnproved,
    /// A purge that stops at an empty batch says that it is done, and deletes nothing.
    PurgeDeletesNothing,
    /// Takes a pending login's token for that of a trusted device.
    AnyKindOfToken,
    /// Hands the machine a record that it can't read.
    DamagesRecords,
    /// A sweep deletes a record whatever was written to it meanwhile.
    SweepUnconditional,
    /// A sweep takes a record that holds failures in a row for an empty one.
    SweepForgetsFailures,
    /// A sweep takes a record that holds sends for an empty one.
    SweepForgetsSends,
    /// A sweep does not ask how long sessions live.
    SweepForgetsSessions,
    /// A sweep takes a record that holds the times of resets for an empty one.
    SweepForgetsResets,
    /// A code is decided on as if every method were allowed.
    MethodsForgotten,
    /// Saves settings that are more lenient than the application's.
    BoundsNotChecked,
    /// Saves an administrator's page whatever was changed since it was loaded.
    ShownVersionIgnored,
    /// Saves it if the settings look the same, although everything was switched off in between.
    ShownGenerationIgnored,
    /// Writes changed settings whatever was written since they were decided on.
    SettingsUnconditional,
    /// Switching devices off does not note from when on they count.
    DevicesComeBack,
    /// The same for backup codes.
    BackupCodesComeBack,
    /// Decides a login after single sign-on like one with a password and a device's token.
    SingleSignOnTakesDevice,
    /// Saves a login after single sign-on as one whose password was verified.
    SingleSignOnClaimsPassword,
    /// Does not see that a tenant asks administrators after single sign-on.
    SwitchForgotten,
    /// Reads a later format as if it were its own.
    OldNodeGuesses,
    /// A rehearsal leaves the settings that it tried.
    RehearsalWrites,
    /// A rehearsal foretells from the settings of today.
    RehearsalForgetsChange,
}

impl Scenario {
    /// What the machine is told of the user.
    pub(super) fn seen_host(&self, world: &World, step: Step, host: Option<Host>) -> Option<Host> {
        let slot = step.slot().and_then(|slot| world.slots[slot].as_ref());
        match (self.fault, slot) {
            (Fault::PasswordChangeUnseen, _) => host.map(|host| Host { password: 0, ..host }),
            (Fault::UserAsOfFirstStep, Some(slot)) if !matches!(step, Step::Begin { .. }) => {
                Some(slot.host)
            }
            _ => host,
        }
    }

    pub(super) fn session_host(&self, host: Option<Host>, at_login: Host) -> Option<Host> {
        match self.fault {
            Fault::PasswordChangeUnseen => host.map(|host| Host { password: 0, ..host }),
            Fault::SessionsAsOfLogin => Some(at_login),
            _ => host,
        }
    }

    /// Whose record the driver opens.
    pub(super) fn opened_subject(&self, world: &World, step: Step, subject: Subject) -> Subject {
        let slot = step.slot().and_then(|slot| world.slots[slot].as_ref());
        match (self.fault, step, slot) {
            (
                Fault::AnyTenant,
                Step::Code { .. } | Step::Backup { .. } | Step::Resend { .. },
                Some(slot),
            ) => slot.subject,
            _ => subject,
        }
    }

    pub(super) fn presented(&self, world: &World, device: Presented) -> Presented {
        match device {
            Presented::PendingOf(_)
                if self.fault == Fault::AnyKindOfToken && !world.devices.is_empty() =>
            {
                Presented::Device(0)
            }
            device => device,
        }
    }

    pub(super) fn clock(&self, world: &World, step: Step) -> Moment {
        let slot = step.slot().and_then(|slot| world.slots[slot].as_ref());
        let ends = match (self.fault, step) {
            (Fault::ExpiryInclusive, _) => {
                slot.and_then(|slot| slot.code.as_ref()).map(|code| code.issued + ms(CODE_TTL))
            }
            (Fault::DeviceExpiryInclusive, Step::Begin { device: Presented::Device(nth), .. }) => {
                Some(world.devices[nth].registered + ms(DEVICE_LIFETIME))
            }
            _ => None,
        };
        world.now - u64::from(ends == Some(world.now))
    }

    pub(super) fn tamper_with_load(&self, world: &World, step: Step, snapshot: &mut Snapshot) {
        let Snapshot { settings, record } = snapshot;
        match self.fault {
            Fault::GenerationIgnored => {
                if let (Some(record), Some(settings)) = (record, settings) {
                    record.generation = settings.generation;
                }
            }
            Fault::SuspensionWaits => {
                if let Some(record) = record {
                    edit(record, |record| {
                        if record["code_failures"]["streak"] == 4 {
                            record["code_failures"]["streak"] = 2.into();
                        }
                    });
                }
            }
            Fault::DeviceSharesLock => {
                if let Some(record) = record {
                    edit(record, |record| {
                        let strangers = record["password"]["failures"].clone();
                        if strangers.is_object() {
                            record["password"]["device_failures"] = strangers;
                        }
                    });
                }
            }
            Fault::SendsForgotten if matches!(step, Step::Begin { .. }) => {
                if let Some(record) = record {
                    edit(record, |record| drop(record.as_object_mut().unwrap().remove("sends")));
                }
            }
            Fault::SettingsAsOfFirstStep => {
                let slot = step.slot().and_then(|slot| world.slots[slot].as_ref());
                if let (Some(slot), false) = (slot, matches!(step, Step::Begin { .. })) {
                    *settings = slot.settings.as_ref().map(|row| (*row.0).clone());
                    if let (Some(record), Some(settings)) = (record, settings) {
                        record.generation = record.generation.min(settings.generation);
                    }
                }
            }
            Fault::MethodsForgotten if matches!(step, Step::Code { .. }) => {
                if let Some(settings) = settings {
                    edit(settings, |settings| {
                        drop(settings.as_object_mut().unwrap().remove("methods"));
                    });
                }
            }
            Fault::SwitchForgotten => {
                if let Some(settings) = settings {
                    edit(settings, |settings| {
                        drop(settings.as_object_mut().unwrap().remove("single_sign_on"));
                    });
                }
            }
            Fault::DamagesRecords => {
                if let Some(record) = record {
                    record.document.pop();
                }
            }
            _ => {}
        }
    }

    /// A node of the version before that takes a later format for its own, and leaves out what it
    /// does not know.
    pub(super) fn tamper_with_format(&self, reads: u32, snapshot: &mut Snapshot) {
        if self.fault != Fault::OldNodeGuesses || reads != 1 {
            return;
        }
        let Snapshot { settings, record } = snapshot;
        for row in [settings, record].into_iter().flatten() {
            edit(row, |document| {
                document["format"] = 1.into();
                let fields = document.as_object_mut().unwrap();
                for newer in ["single_sign_on", "methods", "trusted_devices", "backup_codes_off"] {
                    fields.remove(newer);
                }
                fields.remove("devices_from");
                fields.remove("backup_codes_from");
                for pending in
                    fields.get_mut("pending").and_then(Value::as_array_mut).into_iter().flatten()
                {
                    pending["channel"] = "web".into();
                }
            });
        }
    }

    /// Whether a login after single sign-on is taken for one beside a trusted device.
    pub(super) fn takes_a_device(&self, world: &World) -> bool {
        self.fault == Fault::SingleSignOnTakesDevice && !world.devices.is_empty()
    }

    pub(super) fn tamper_with_sweep(&self, snapshot: &mut Snapshot) {
        let Some(record) = &mut snapshot.record else { return };
        let forgotten: &[&str] = match self.fault {
            Fault::SweepForgetsFailures => &["code_failures"],
            Fault::SweepForgetsSends => &["sends"],
            Fault::SweepForgetsResets => &["resets"],
            _ => return,
        };
        edit(record, |record| {
            for field in forgotten {
                drop(record.as_object_mut().unwrap().remove(*field));
            }
        });
    }

    pub(super) fn tamper_with_write(&self, world: &World, decided: &mut Decided) {
        let before = world.records.get(&decided.subject).cloned();
        let codes = world.ledgers.get(&decided.subject).map(|ledger| &ledger.codes);
        let refused = match (self.fault, decided.step) {
            (Fault::BackupSharesLock, Step::Backup { .. })
                if !codes.is_some_and(|codes| codes.open(world.now, Budget::codes())) =>
            {
                Some(Reason::CodesLocked)
            }
            (Fault::BackupSharesSuspension, Step::Backup { .. })
                if codes.is_some_and(|codes| codes.suspended(Budget::codes())) =>
            {
                Some(Reason::Suspended)
            }
            _ => None,
        };
        if let Some(reason) = refused {
            decided.effect = Effect::Refused(reason);
            decided.write = None;
        }
        let Decided { step, effect, write: Some(Write { settings, next, .. }), .. } = decided
        else {
            return;
        };
        let mut saved = (*next.0).clone();
        let completes = matches!(effect, Effect::Complete(_));
        let earlier = |field: &str| {
            let before: Value =
                serde_json::from_str(before.as_ref().unwrap().0.document.as_str()).unwrap();
            before[field].clone()
        };
        match (self.fault, &step) {
            (Fault::VersionsReused, _) => {
                let before = before.as_ref().filter(|_| !matches!(step, Step::Reset { .. }));
                let nth = before.map_or(1, |row| row.0.version.as_bytes()[0].wrapping_add(1));
                saved.version = Version::from_bytes([nth; 16]);
            }
            (Fault::ResetKeepsDevices, Step::Reset { .. }) if before.is_some() => {
                edit(&mut saved, |record| {
                    record["id"] = earlier("id");
                    if let devices @ Value::Array(_) = earlier("devices") {
                        record["devices"] = devices;
                    }
                });
            }
            (Fault::ResetAlwaysRefills, Step::Reset { .. }) => edit(&mut saved, |record| {
                for field in ["code_failures", "setup_failures", "sends", "resets"] {
                    record.as_object_mut().unwrap().remove(field);
                }
            }),
            (Fault::ResetForgetsItsTime, Step::Reset { .. }) => {
                edit(&mut saved, |record| drop(record.as_object_mut().unwrap().remove("resets")));
            }
            (Fault::ResendClearsCount, Step::Resend { .. }) => edit(&mut saved, |record| {
                record.as_object_mut().unwrap().remove("code_failures");
                for pending in
                    record.get_mut("pending").and_then(Value::as_array_mut).into_iter().flatten()
                {
                    pending["wrong"] = 0.into();
                }
            }),
            (Fault::PasswordClearsCodeCount, Step::Begin { .. })
                if !matches!(effect, Effect::Refused(_)) =>
            {
                edit(&mut saved, |record| {
                    drop(record.as_object_mut().unwrap().remove("code_failures"));
                });
            }
            (Fault::SuccessClearsRolling, Step::Code { .. }) if completes => {
                edit(&mut saved, |record| {
                    drop(record.as_object_mut().unwrap().remove("code_failures"));
                });
            }
            (Fault::CodeStays, Step::Code { .. }) if completes => {
                edit(&mut saved, |record| record["pending"] = earlier("pending"));
            }
            (Fault::ResendKeepsCode, Step::Resend { .. }) => {
                edit(&mut saved, |record| record["pending"] = earlier("pending"));
            }
            (Fault::NumberSavedUnproved, Step::StartSetup { .. }) => edit(&mut saved, |record| {
                record["sms"] = serde_json::json!({ "number": record["setup"]["number"], "proved": record["seen"] });
            }),
            (Fault::BackupStays, Step::Backup { .. }) if completes => {
                edit(&mut saved, |record| record["backup"] = earlier("backup"));
            }
            (Fault::SuccessorNotInstalled, Step::Backup { .. }) if completes => {
                edit(&mut saved, |record| drop(record.as_object_mut().unwrap().remove("backup")));
            }
            (Fault::WrongBackupForgotten, _) => edit(&mut saved, |record| {
                for pending in
                    record.get_mut("pending").and_then(Value::as_array_mut).into_iter().flatten()
                {
                    pending.as_object_mut().unwrap().remove("wrong_backup");
                }
            }),
            (Fault::LockClearsPasswords, _) => edit(&mut saved, |record| {
                if record["password"]["failures"]["lock"].is_object() {
                    record["password"].as_object_mut().unwrap().remove("failures");
                }
            }),
            (Fault::SingleSignOnClaimsPassword, Step::SingleSignOn { .. }) => {
                edit(&mut saved, |record| {
                    record["format"] = 1.into();
                    for pending in record
                        .get_mut("pending")
                        .and_then(Value::as_array_mut)
                        .into_iter()
                        .flatten()
                    {
                        pending["channel"] = "web".into();
                    }
                });
            }
            (Fault::SettingsAsOfFirstStep, _) => {
                *settings = world.settings.get(&decided.subject.tenant).map(|row| row.0.version);
            }
            _ => return,
        }
        *next = Row::new(saved);
    }
}

fn edit(saved: &mut StoredRow, change: impl FnOnce(&mut Value)) {
    let mut record: Value = serde_json::from_str(saved.document.as_str()).unwrap();
    change(&mut record);
    saved.document = serde_json::to_string(&record).unwrap();
}
