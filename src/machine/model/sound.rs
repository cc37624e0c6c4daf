//! The models: each with the actions that can meet each other in it, and none of them may break a
//! claim.

use std::time::Duration;

use super::change::Change;
use super::ledger::Mark;
use super::scenario::{Action, Scenario};
use super::stand_ins::{CODE_TTL, DEVICE_LIFETIME, LOCK, MONTH, PASSWORD_LOCK, SPACING};
use super::step::{Paper, Password, Presented, Step, Typed};
use super::world::{ALICE, By, OTHER_ALICE, ROOT, Tenant};
use crate::policy::Scope;
use Action::{ChangePassword, Disable, Do, Hold, Lose, Promote, Purge, Settle, Wait};

/// The owner's slot in most models, and the other one.
pub(super) const A: usize = 0;
pub(super) const B: usize = 1;

pub(super) const ON: Action = Action::Set(Tenant::Acme, Change::Scope(Scope::EntireTenant));
pub(super) const OFF: Action = Action::Set(Tenant::Acme, Change::Scope(Scope::DoNotUse));
pub(super) const ADMINISTRATORS: Action =
    Action::Set(Tenant::Acme, Change::Scope(Scope::SystemAdministratorsOnly));
pub(super) const OTHER_ON: Action = Action::Set(Tenant::Other, Change::Scope(Scope::EntireTenant));

pub(super) const RESET: Step = Step::Reset { subject: ALICE };

pub(super) const fn begin(slot: usize) -> Step {
    Step::Begin { slot, password: Password::Known, device: Presented::Nothing }
}

pub(super) const fn wrong_password(slot: usize) -> Step {
    Step::Begin { slot, password: Password::Wrong, device: Presented::Nothing }
}

/// The password was right when it was checked, and the user is read now.
pub(super) const fn checked_first(slot: usize) -> Step {
    Step::Begin { slot, password: Password::CheckedFirst, device: Presented::Nothing }
}

pub(super) const fn with_device(slot: usize, nth: usize) -> Step {
    Step::Begin { slot, password: Password::Known, device: Presented::Device(nth) }
}

pub(super) const fn code(slot: usize, typed: Typed) -> Step {
    Step::Code { slot, typed, trust: false, at: None }
}

pub(super) const fn trust(slot: usize) -> Step {
    Step::Code { slot, typed: Typed::Right, trust: true, at: None }
}

pub(super) const fn backup(slot: usize, typed: Paper) -> Step {
    Step::Backup { slot, typed, at: None }
}

pub(super) const fn resend(slot: usize) -> Step {
    Step::Resend { slot, at: None }
}

pub(super) const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}

/// One user, whose password somebody else knows.
pub(super) fn guessing() -> Scenario {
    let mut scenario = Scenario::new("guessing", 5, [(By::Owner, ALICE), (By::Attacker, ALICE)]);
    let wrong_then_right =
        [Do(begin(A)), Do(code(A, Typed::Wrong)), Do(code(A, Typed::Right)), Wait(hours(24))];
    let twice_wrong =
        [Do(begin(A)), Do(code(A, Typed::Wrong)), Do(code(A, Typed::Wrong)), Wait(hours(24))];
    scenario.stories = vec![
        vec![ON],
        // Two failures before the suspension, and one.
        [vec![ON], twice_wrong.to_vec()].concat(),
        [
            vec![ON],
            twice_wrong.to_vec(),
            vec![Do(begin(A)), Do(code(A, Typed::Wrong)), Wait(hours(24))],
        ]
        .concat(),
        // One failure before the rolling budget is spent, after a success and just before one.
        [vec![ON], wrong_then_right.repeat(4)].concat(),
        [vec![ON], wrong_then_right.repeat(3), wrong_then_right[..2].to_vec()].concat(),
    ];
    scenario.alphabet = vec![
        Do(begin(A)),
        Do(begin(B)),
        Do(code(A, Typed::Right)),
        Do(code(B, Typed::Wrong)),
        Hold(code(B, Typed::Wrong)),
        Lose(code(B, Typed::Wrong)),
        Settle,
        Do(resend(B)),
        Wait(SPACING),
        Wait(LOCK),
        Wait(MONTH),
        Do(Step::Unlock { subject: ALICE }),
    ];
    scenario.meets = &[
        Mark::ByCode,
        Mark::WrongCode,
        Mark::CodesLocked,
        Mark::Suspended,
        Mark::RolledOver,
        Mark::Conflict,
        Mark::Unlocked,
        Mark::SendLimit,
    ];
    scenario
}

/// Two windows of one person, and everything done twice or late.
pub(super) fn single_use() -> Scenario {
    let mut scenario = Scenario::new("single use", 5, [(By::Owner, ALICE), (By::Owner, ALICE)]);
    scenario.stories = vec![vec![ON], vec![ON, Do(begin(A)), Wait(SPACING), Do(begin(B))]];
    scenario.alphabet = vec![
        Do(begin(A)),
        Do(begin(B)),
        Lose(begin(A)),
        Do(code(A, Typed::Right)),
        Do(code(B, Typed::Right)),
        Hold(code(A, Typed::Right)),
        Lose(code(A, Typed::Right)),
        Settle,
        Do(code(A, Typed::Earlier)),
        Do(code(A, Typed::OtherWindow)),
        Do(resend(A)),
        Lose(resend(A)),
        Hold(resend(A)),
        Do(Step::Cancel { slot: A }),
        Wait(SPACING),
        Wait(CODE_TTL),
    ];
    scenario.meets = &[
        Mark::ByCode,
        Mark::WrongCode,
        Mark::LoginOver,
        Mark::NoLiveCode,
        Mark::Conflict,
        Mark::SendLimit,
        Mark::LoginSendLimit,
        Mark::TooManyLogins,
    ];
    scenario
}

/// An administrator resets somebody who has everything, in the middle of it all.
pub(super) fn reset() -> Scenario {
    let mut scenario = Scenario::new("reset", 5, [(By::Owner, ALICE), (By::Attacker, ALICE)]);
    let rich = vec![
        ON,
        Do(begin(A)),
        Do(trust(A)),
        Do(Step::NewBackup { slot: A }),
        Wait(SPACING),
        Do(begin(A)),
        Wait(SPACING),
        Do(begin(B)),
    ];
    scenario.stories = vec![vec![ON], vec![ON, Do(begin(A))], rich];
    scenario.alphabet = vec![
        Do(RESET),
        Hold(RESET),
        Do(begin(A)),
        Hold(begin(A)),
        Do(with_device(A, 0)),
        Hold(with_device(A, 0)),
        Do(code(A, Typed::Right)),
        Hold(code(A, Typed::Right)),
        Hold(code(B, Typed::Wrong)),
        Do(code(B, Typed::Wrong)),
        Do(backup(A, Paper::Right)),
        Hold(backup(A, Paper::Right)),
        Hold(Step::NewBackup { slot: A }),
        Hold(resend(A)),
        Settle,
        Wait(SPACING),
    ];
    scenario.meets = &[
        Mark::ByCode,
        Mark::ByDevice,
        Mark::ByBackupCode,
        Mark::Conflict,
        Mark::LoginOver,
        Mark::SessionEnded,
    ];
    scenario
}

/// An administrator who knows a colleague's password, guesses codes, and resets them all the time.
pub(super) fn resetting() -> Scenario {
    let mut scenario = Scenario::new("resetting", 5, [(By::Attacker, ALICE), (By::Owner, ALICE)]);
    // A lock, and the reset that clears it.
    let round = [Do(begin(A)), Do(code(A, Typed::Wrong)), Do(code(A, Typed::Wrong)), Do(RESET)];
    let next_day = [Wait(hours(24))];
    let three_sends =
        [Do(RESET), Do(begin(A)), Wait(SPACING), Do(begin(A)), Wait(SPACING), Do(begin(A))];
    let used_up = [&[ON], &round[..], &round, &next_day, &round, &next_day].concat();
    scenario.stories = vec![
        vec![ON],
        // The refill is used up; one wrong code is left of the window, and of the sends none is.
        used_up.clone(),
        [used_up, vec![Do(begin(A))]].concat(),
        [vec![ON], three_sends.to_vec()].concat(),
    ];
    scenario.alphabet = vec![
        Do(RESET),
        Hold(RESET),
        Lose(RESET),
        Do(begin(A)),
        Do(code(A, Typed::Wrong)),
        Hold(code(A, Typed::Wrong)),
        Do(begin(B)),
        Do(code(B, Typed::Right)),
        Settle,
        Wait(SPACING),
        Wait(LOCK),
        Wait(MONTH),
    ];
    scenario.meets = &[
        Mark::Refilled,
        Mark::BudgetsKept,
        Mark::WrongCode,
        Mark::CodesLocked,
        Mark::RolledOver,
        Mark::SendLimit,
        Mark::ByCode,
        Mark::Conflict,
    ];
    scenario
}

/// The employee and the administrator, while everything about them changes.
pub(super) fn policy() -> Scenario {
    let mut scenario = Scenario::new("policy", 4, [(By::Owner, ALICE), (By::Owner, ROOT)]);
    scenario.stories = vec![
        vec![ADMINISTRATORS],
        // A wrong password is saved, so that the exempt login after it is a write.
        vec![ADMINISTRATORS, Do(wrong_password(A))],
        vec![ON, Do(begin(A)), Do(begin(B))],
        vec![ADMINISTRATORS, Do(begin(A)), Do(begin(B)), Do(code(B, Typed::Right))],
    ];
    scenario.alphabet = vec![
        ON,
        OFF,
        ADMINISTRATORS,
        Promote(ALICE),
        Promote(ROOT),
        Disable(ALICE),
        ChangePassword(ALICE),
        Do(begin(A)),
        Do(checked_first(A)),
        Do(begin(B)),
        Hold(begin(A)),
        Do(code(A, Typed::Right)),
        Do(code(B, Typed::Right)),
        Hold(code(A, Typed::Right)),
        Settle,
        Do(resend(A)),
        Wait(SPACING),
    ];
    scenario.meets = &[
        Mark::ByCode,
        Mark::Exempt,
        Mark::Conflict,
        Mark::LoginOver,
        Mark::SessionEnded,
        Mark::InvalidCredentials,
    ];
    scenario
}

/// Trusted devices, from registration to their end.
pub(super) fn devices() -> Scenario {
    let mut scenario = Scenario::new("devices", 4, [(By::Owner, ALICE), (By::Attacker, ALICE)]);
    let trusted = vec![ON, Do(begin(A)), Do(trust(A)), Wait(PASSWORD_LOCK)];
    let one_wrong = vec![Do(wrong_password(B))];
    let locked = vec![Do(wrong_password(B)), Do(wrong_password(B)), Disable(ALICE)];
    scenario.stories = vec![
        vec![ON, Do(begin(A))],
        trusted.clone(),
        [trusted.clone(), one_wrong].concat(),
        [trusted, locked].concat(),
    ];
    scenario.alphabet = vec![
        Do(begin(A)),
        Do(trust(A)),
        Hold(trust(A)),
        Lose(trust(A)),
        Do(with_device(A, 0)),
        Hold(with_device(A, 0)),
        Do(Step::Begin { slot: B, password: Password::Wrong, device: Presented::Device(0) }),
        Do(Step::Begin { slot: B, password: Password::Known, device: Presented::PendingOf(B) }),
        Do(begin(B)),
        Settle,
        Do(Step::RevokeDevice { slot: A, device: 0 }),
        Do(Step::RevokeDevices { slot: A }),
        Hold(Step::RevokeDevices { slot: A }),
        ChangePassword(ALICE),
        Disable(ALICE),
        OFF,
        ON,
        Wait(PASSWORD_LOCK),
        // From the second registration, or from the first one's spacing, to the very end.
        Wait(DEVICE_LIFETIME.checked_sub(PASSWORD_LOCK).unwrap()),
    ];
    scenario.meets = &[
        Mark::ByCode,
        Mark::ByDevice,
        Mark::DeviceRefused,
        Mark::Conflict,
        Mark::SessionEnded,
        Mark::InvalidCredentials,
        Mark::PasswordLocked,
        Mark::DevicePastLock,
    ];
    scenario
}

/// The backup code, used, reused, guessed and raced, while codes are locked and while they are not.
pub(super) fn backup_codes() -> Scenario {
    let mut scenario =
        Scenario::new("backup codes", 4, [(By::Owner, ALICE), (By::Attacker, ALICE)]);
    let has_one = vec![
        ON,
        Do(begin(A)),
        Do(code(A, Typed::Right)),
        Do(Step::NewBackup { slot: A }),
        Wait(SPACING),
    ];
    let locked = vec![Do(begin(A)), Do(code(A, Typed::Wrong)), Do(code(A, Typed::Wrong))];
    let guessed = vec![Do(begin(A)), Do(backup(A, Paper::Wrong)), Do(backup(A, Paper::Wrong))];
    // One wrong code before the suspension, which leaves the backup code alone.
    let nearly = vec![Wait(hours(1)), Do(begin(A)), Do(code(A, Typed::Wrong)), Wait(SPACING)];
    scenario.stories = vec![
        has_one.clone(),
        [has_one.clone(), locked.clone()].concat(),
        [has_one.clone(), locked, nearly].concat(),
        [has_one, guessed].concat(),
    ];
    scenario.alphabet = vec![
        Do(begin(A)),
        Do(begin(B)),
        Do(backup(A, Paper::Right)),
        Hold(backup(A, Paper::Right)),
        Lose(backup(A, Paper::Right)),
        Do(backup(A, Paper::Used)),
        Do(backup(B, Paper::Wrong)),
        Hold(backup(B, Paper::Wrong)),
        Settle,
        Do(code(B, Typed::Wrong)),
        Do(Step::NewBackup { slot: A }),
        Hold(Step::NewBackup { slot: A }),
        Wait(SPACING),
        Wait(LOCK),
    ];
    scenario.meets = &[
        Mark::ByBackupCode,
        Mark::WrongBackupCode,
        Mark::BackupLimit,
        Mark::BackupWhileLocked,
        Mark::BackupWhileSuspended,
        Mark::Suspended,
        Mark::CodesLocked,
        Mark::Conflict,
    ];
    scenario
}

/// Switching off and on again, with a purge that goes in batches and stops anywhere.
pub(super) fn switching_off() -> Scenario {
    let mut scenario = Scenario::new("switching off", 5, [(By::Owner, ALICE), (By::Owner, ROOT)]);
    let used = vec![
        ON,
        OTHER_ON,
        Do(begin(B)),
        Do(code(B, Typed::Right)),
        Do(begin(A)),
        Do(trust(A)),
        Wait(SPACING),
        Do(begin(A)),
    ];
    scenario.stories = vec![vec![ON], used];
    scenario.alphabet = vec![
        ON,
        OFF,
        ADMINISTRATORS,
        Purge(Tenant::Acme),
        Do(begin(A)),
        Hold(begin(A)),
        Do(code(A, Typed::Right)),
        Hold(code(A, Typed::Right)),
        Hold(code(A, Typed::Wrong)),
        Do(with_device(A, 0)),
        Do(begin(B)),
        Settle,
    ];
    scenario.meets = &[
        Mark::ByCode,
        Mark::ByDevice,
        Mark::Exempt,
        Mark::Conflict,
        Mark::Purged,
        Mark::LoginOver,
        Mark::SessionEnded,
    ];
    scenario
}

/// Two tenants with the same user ids. The attacker owns the account in the other one, messages and
/// all.
pub(super) fn tenants() -> Scenario {
    let mut scenario = Scenario::new("tenants", 5, [(By::Owner, ALICE), (By::Owner, OTHER_ALICE)]);
    let across = Some(Tenant::Acme);
    scenario.stories = vec![
        vec![ON, OTHER_ON],
        vec![
            ON,
            OTHER_ON,
            Do(begin(A)),
            Do(begin(B)),
            Do(trust(B)),
            Do(Step::NewBackup { slot: B }),
            Wait(SPACING),
            Do(begin(B)),
        ],
    ];
    scenario.alphabet = vec![
        Do(begin(A)),
        Do(begin(B)),
        Do(code(A, Typed::Right)),
        Do(code(B, Typed::Right)),
        Do(trust(B)),
        Do(Step::Code { slot: B, typed: Typed::Right, trust: false, at: across }),
        Do(Step::Code { slot: B, typed: Typed::Wrong, trust: false, at: across }),
        Do(Step::Code { slot: B, typed: Typed::OtherWindow, trust: false, at: across }),
        Do(Step::Backup { slot: B, typed: Paper::Right, at: across }),
        Do(Step::Resend { slot: B, at: across }),
        Do(code(A, Typed::OtherWindow)),
        Do(with_device(A, 0)),
        Do(with_device(B, 0)),
        OFF,
        ON,
        Do(RESET),
        Purge(Tenant::Acme),
        Wait(SPACING),
    ];
    scenario.meets = &[
        Mark::ByCode,
        Mark::ByDevice,
        Mark::DeviceRefused,
        Mark::LoginOver,
        Mark::WrongCode,
        Mark::Purged,
    ];
    scenario
}

/// Passwords, right and wrong, of people who exist and people who don't.
pub(super) fn passwords() -> Scenario {
    let mut scenario = Scenario::new("passwords", 5, [(By::Owner, ALICE), (By::Attacker, ALICE)]);
    scenario.stories =
        vec![vec![], vec![ON, Do(begin(A)), Do(code(A, Typed::Wrong)), Wait(SPACING)]];
    scenario.alphabet = vec![
        Do(begin(A)),
        Hold(begin(A)),
        Do(wrong_password(B)),
        Hold(wrong_password(B)),
        Do(Step::Unknown { tenant: Tenant::Acme }),
        Hold(Step::Unknown { tenant: Tenant::Acme }),
        Settle,
        Do(code(A, Typed::Right)),
        Disable(ALICE),
        ChangePassword(ALICE),
        Wait(PASSWORD_LOCK),
        Do(Step::Unlock { subject: ALICE }),
    ];
    scenario.meets = &[
        Mark::Exempt,
        Mark::ByCode,
        Mark::InvalidCredentials,
        Mark::PasswordLocked,
        Mark::Conflict,
        Mark::Unlocked,
    ];
    scenario
}

/// Proving a phone number, beside logins and against guesses.
pub(super) fn methods() -> Scenario {
    let mut scenario = Scenario::new("methods", 4, [(By::Owner, ALICE), (By::Attacker, ALICE)]);
    let in_session = vec![ON, Do(begin(A)), Do(trust(A)), Wait(SPACING)];
    let started = vec![Do(Step::StartSetup { slot: A }), Wait(SPACING), Do(begin(A))];
    scenario.stories = vec![in_session.clone(), [in_session, started].concat()];
    let confirm = |typed| Step::ConfirmSetup { slot: A, typed };
    scenario.alphabet = vec![
        Do(Step::StartSetup { slot: A }),
        Hold(Step::StartSetup { slot: A }),
        Do(confirm(Typed::Right)),
        Hold(confirm(Typed::Right)),
        Do(confirm(Typed::Wrong)),
        Do(code(A, Typed::Setup)),
        Do(code(A, Typed::Right)),
        Do(begin(A)),
        Do(begin(B)),
        Do(with_device(A, 0)),
        Settle,
        Do(RESET),
        ChangePassword(ALICE),
        Disable(ALICE),
        Wait(SPACING),
        Wait(CODE_TTL),
    ];
    scenario.meets = &[
        Mark::MethodChanged,
        Mark::ByCode,
        Mark::ByDevice,
        Mark::DeviceRefused,
        Mark::WrongCode,
        Mark::LoginOver,
        Mark::Conflict,
    ];
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
    guessing_stays_within_every_budget: guessing,
    nothing_works_twice: single_use,
    nothing_survives_a_reset: reset,
    resets_are_no_supply_of_guesses: resetting,
    completion_and_sessions_rest_on_how_things_are_now: policy,
    a_device_replaces_the_code_and_ends_in_time: devices,
    a_backup_code_works_once_and_leaves_its_successor: backup_codes,
    switching_off_is_final_in_one_tenant: switching_off,
    tenants_do_not_meet: tenants,
    every_wrong_password_counts_alike: passwords,
    a_method_is_proved_before_it_counts: methods,
}
