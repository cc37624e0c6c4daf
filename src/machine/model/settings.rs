//! Models of what a tenant decides: settings that change in the middle of logins, administrators at
//! their pages, logins after single sign-on, rehearsals, and two nodes of which one reads the
//! earlier format alone.

use super::change::{Change, Lax};
use super::ledger::Mark;
use super::scenario::{Action, Scenario};
use super::sound::{
    A, ADMINISTRATORS, B, OFF, ON, backup, begin, code, hours, resend, trust, with_device,
};
use super::stand_ins::{LOCK, SPACING};
use super::step::{Paper, Step, Typed};
use super::world::{ALICE, By, ROOT, Tenant};
use crate::contact::Method;
use crate::policy::Scope;
use crate::tenant::Methods;
use Action::{
    ChangePassword, Do, Hold, HoldSave, Old, Promote, Rehearse, Save, Settle, SettleSave, Show,
    Wait,
};

const fn set(change: Change) -> Action {
    Action::Set(Tenant::Acme, change)
}

const fn rehearse(change: Change) -> Action {
    Rehearse(Tenant::Acme, change)
}

const fn after_single_sign_on(slot: usize) -> Step {
    Step::SingleSignOn { slot }
}

/// A tenant forbids methods, devices and backup codes, and allows them again, while people log in.
pub(super) fn settings() -> Scenario {
    let mut scenario = Scenario::new("settings", 4, [(By::Owner, ALICE), (By::Owner, ROOT)]);
    let rich = vec![
        ON,
        Do(begin(A)),
        Do(trust(A)),
        Do(Step::NewBackup { slot: A }),
        Do(Step::StartSetup { slot: A }),
        Do(Step::ConfirmSetup { slot: A, typed: Typed::Right }),
        Wait(hours(24)),
        Do(begin(A)),
        Do(trust(A)),
        Wait(SPACING),
        Do(begin(A)),
    ];
    let ended =
        [&rich[..], &[set(Change::Devices(false)), set(Change::BackupCodes(false)), Wait(SPACING)]]
            .concat();
    scenario.stories = vec![vec![ON, Do(begin(A))], rich, ended];
    scenario.alphabet = vec![
        set(Change::Sms(false)),
        set(Change::Sms(true)),
        set(Change::Devices(false)),
        set(Change::Devices(true)),
        set(Change::BackupCodes(false)),
        set(Change::BackupCodes(true)),
        set(Change::TooLax(Lax::WrongCodes)),
        Do(begin(A)),
        Do(with_device(A, 1)),
        Hold(with_device(A, 1)),
        Do(code(A, Typed::Right)),
        Hold(code(A, Typed::Right)),
        Do(trust(A)),
        Do(backup(A, Paper::Right)),
        Hold(backup(A, Paper::Right)),
        Do(backup(A, Paper::Ended)),
        Do(resend(A)),
        Settle,
        Wait(SPACING),
    ];
    scenario.meets = &[
        Mark::ByCode,
        Mark::ByDevice,
        Mark::ByBackupCode,
        Mark::Conflict,
        Mark::DeviceRefused,
        Mark::DevicesEnded,
        Mark::NotAllowed,
    ];
    scenario
}

/// One administrator has the settings on a page, and another one changes them: with numbers within
/// the application's, and with every one that goes beyond.
pub(super) fn administering() -> Scenario {
    let mut scenario = Scenario::new("administering", 5, [(By::Owner, ROOT), (By::Owner, ALICE)]);
    scenario.stories = vec![vec![], vec![ON, set(Change::Sms(false))]];
    scenario.alphabet = vec![
        Show(Tenant::Acme),
        set(Change::Stricter),
        set(Change::Sms(false)),
        ON,
        OFF,
        Save(Change::Sms(true)),
        Save(Change::BackupCodes(false)),
        Save(Change::Stricter),
        Save(Change::TooLax(Lax::WrongCodes)),
        HoldSave(Change::BackupCodes(false)),
        SettleSave,
    ];
    scenario.alphabet.extend(Lax::ALL.map(|lax| set(Change::TooLax(lax))));
    scenario.meets = &[
        Mark::SettingsRefused,
        Mark::SavedAsShown,
        Mark::NoLongerShown,
        Mark::SettingsConflict,
        Mark::DevicesEnded,
    ];
    scenario
}

/// The same for an application that offers email alone, no trusted devices and no backup codes.
pub(super) fn offering_little() -> Scenario {
    let mut scenario = Scenario::new("offering little", 4, [(By::Owner, ROOT), (By::Owner, ALICE)]);
    let limits = &mut scenario.rules.limits;
    limits.methods = Methods::only(Method::Email);
    limits.devices = None;
    limits.backup_enabled = false;
    scenario.stories = vec![vec![]];
    scenario.alphabet = vec![
        set(Change::BackupCodes(false)),
        set(Change::BackupCodes(true)),
        set(Change::Devices(false)),
        set(Change::Devices(true)),
        set(Change::Sms(false)),
    ];
    scenario.alphabet.extend(Lax::NOT_OFFERED.map(|lax| set(Change::TooLax(lax))));
    scenario.meets = &[Mark::SettingsRefused];
    scenario
}

/// The administrator and an employee come by single sign-on, while the switch and the scope change.
pub(super) fn single_sign_on() -> Scenario {
    let mut scenario = Scenario::new("single sign-on", 4, [(By::Owner, ROOT), (By::Owner, ALICE)]);
    let on = set(Change::SingleSignOn(true));
    scenario.stories = vec![
        vec![on],
        vec![ON, on, Do(begin(A)), Do(trust(A)), Wait(SPACING)],
        vec![on, Do(after_single_sign_on(A)), Do(code(A, Typed::Right)), Wait(SPACING)],
        vec![ON, on, Do(after_single_sign_on(A))],
    ];
    scenario.alphabet = vec![
        on,
        set(Change::SingleSignOn(false)),
        OFF,
        ON,
        Do(after_single_sign_on(A)),
        Hold(after_single_sign_on(A)),
        Do(after_single_sign_on(B)),
        Hold(after_single_sign_on(B)),
        Do(begin(A)),
        Do(code(A, Typed::Right)),
        Hold(code(A, Typed::Right)),
        Do(trust(A)),
        Do(code(A, Typed::Wrong)),
        Do(Step::NewBackup { slot: A }),
        Promote(ALICE),
        Promote(ROOT),
        ChangePassword(ROOT),
        Settle,
        Wait(SPACING),
    ];
    scenario.meets = &[
        Mark::AfterSingleSignOn,
        Mark::ByCode,
        Mark::Exempt,
        Mark::Conflict,
        Mark::LoginOver,
        Mark::SessionEnded,
    ];
    scenario
}

/// A rolling deployment: steps of a node of the version before between those of this one.
pub(super) fn rolling() -> Scenario {
    let mut scenario = Scenario::new("rolling", 4, [(By::Owner, ROOT), (By::Owner, ALICE)]);
    let on = set(Change::SingleSignOn(true));
    scenario.stories = vec![vec![ON], vec![ON, Do(begin(B)), on, Do(after_single_sign_on(A))]];
    scenario.alphabet = vec![
        on,
        set(Change::SingleSignOn(false)),
        set(Change::Sms(false)),
        set(Change::Sms(true)),
        Do(begin(A)),
        Old(begin(A)),
        Old(begin(B)),
        Do(after_single_sign_on(A)),
        Do(code(A, Typed::Right)),
        Old(code(A, Typed::Right)),
        Old(code(B, Typed::Right)),
        Old(resend(B)),
        Hold(code(B, Typed::Right)),
        Settle,
        Wait(SPACING),
    ];
    scenario.meets = &[Mark::OldNodeRefused, Mark::ByCode, Mark::AfterSingleSignOn];
    scenario
}

/// Rehearsals of every change, between steps and changes of all kinds.
pub(super) fn rehearsing() -> Scenario {
    let mut scenario = Scenario::new("rehearsing", 3, [(By::Owner, ROOT), (By::Owner, ALICE)]);
    scenario.stories = vec![
        vec![],
        vec![ADMINISTRATORS, Do(begin(A)), Do(code(A, Typed::Wrong))],
        vec![
            ON,
            Do(begin(B)),
            Do(trust(B)),
            Do(Step::NewBackup { slot: B }),
            Do(Step::StartSetup { slot: B }),
            Do(Step::ConfirmSetup { slot: B, typed: Typed::Right }),
            Wait(LOCK),
        ],
    ];
    scenario.alphabet = vec![
        rehearse(Change::Scope(Scope::DoNotUse)),
        rehearse(Change::Scope(Scope::EntireTenant)),
        rehearse(Change::Scope(Scope::SystemAdministratorsOnly)),
        rehearse(Change::SingleSignOn(true)),
        rehearse(Change::SingleSignOn(false)),
        rehearse(Change::Sms(false)),
        rehearse(Change::BackupCodes(false)),
        ON,
        OFF,
        ADMINISTRATORS,
        set(Change::SingleSignOn(true)),
        set(Change::Sms(false)),
        Do(begin(A)),
        Do(begin(B)),
        Do(code(B, Typed::Wrong)),
        Promote(ALICE),
        Action::Disable(ALICE),
        ChangePassword(ALICE),
        Wait(SPACING),
    ];
    scenario.meets = &[Mark::Rehearsed, Mark::Exempt, Mark::WrongCode];
    scenario
}

macro_rules! every_order {
    ($($test:ident: $model:ident,)*) => {
        $(#[test]
        fn $test() {
            $model().holds();
        })*
    };
}

every_order! {
    settings_hold_for_logins_under_way: settings,
    a_change_is_made_to_what_was_shown_within_the_bounds: administering,
    nobody_allows_what_the_application_does_not_offer: offering_little,
    single_sign_on_claims_no_password_and_takes_no_device: single_sign_on,
    an_old_node_misreads_nothing: rolling,
    a_rehearsal_foretells_what_then_happens: rehearsing,
}
