//! The models of the sweep: whatever it deletes, everything is decided as if it had not.

use super::ledger::Mark;
use super::scenario::{Action, Scenario};
use super::sound::{A, B, ON, RESET, begin, code, hours, trust, with_device, wrong_password};
use super::stand_ins::{DEVICE_LIFETIME, MONTH, SPACING};
use super::step::{Step, Typed};
use super::world::{ALICE, By};
use Action::{Do, Hold, Look, Settle, Sweep, Wait};

/// A sweep that stops between looking and deleting, among logins that begin again after a day or a
/// month.
pub(super) fn sweeping() -> Scenario {
    let mut scenario = Scenario::new("sweeping", 4, [(By::Owner, ALICE), (By::Attacker, ALICE)]);
    let failed = vec![ON, Do(begin(B)), Do(code(B, Typed::Wrong))];
    let trusted = vec![ON, Do(begin(A)), Do(trust(A))];
    scenario.stories = vec![
        vec![ON, Do(begin(A)), Do(code(A, Typed::Right))],
        [trusted.clone(), vec![Wait(MONTH)]].concat(),
        [trusted.clone(), vec![Wait(MONTH), Look(ALICE)]].concat(),
        [trusted, vec![Wait(MONTH), Look(ALICE), Do(begin(B)), Do(code(B, Typed::Wrong))]].concat(),
        [failed.clone(), vec![Wait(MONTH)]].concat(),
        [failed, vec![Wait(SPACING), Do(begin(A)), Do(code(A, Typed::Right))]].concat(),
    ];
    scenario.alphabet = vec![
        Look(ALICE),
        Sweep,
        Do(begin(A)),
        Hold(begin(A)),
        Do(with_device(A, 0)),
        Do(wrong_password(B)),
        Hold(wrong_password(B)),
        Do(begin(B)),
        Do(code(B, Typed::Wrong)),
        Do(code(A, Typed::Right)),
        Do(Step::NewBackup { slot: A }),
        Settle,
        Do(RESET),
        Wait(SPACING),
        Wait(DEVICE_LIFETIME),
        Wait(MONTH),
    ];
    scenario.meets = &[
        Mark::Swept,
        Mark::WrittenMeanwhile,
        Mark::ByCode,
        Mark::WrongCode,
        Mark::DeviceRefused,
        Mark::PasswordLocked,
        Mark::Conflict,
        Mark::SendLimit,
    ];
    scenario
}

/// The same where sessions are short, so that sends outlive them.
pub(super) fn sweeping_at_night() -> Scenario {
    let mut scenario =
        Scenario::new("sweeping at night", 4, [(By::Owner, ALICE), (By::Attacker, ALICE)]);
    scenario.longest_session = hours(1);
    let day = [Do(begin(A)), Do(code(A, Typed::Right)), Wait(hours(2))];
    scenario.stories = vec![
        vec![ON],
        [vec![ON], day.to_vec()].concat(),
        [vec![ON], day.repeat(4)].concat(),
        vec![ON, Do(RESET), Wait(hours(2))],
    ];
    scenario.alphabet = vec![
        Look(ALICE),
        Sweep,
        Do(RESET),
        Do(begin(A)),
        Do(begin(B)),
        Do(code(A, Typed::Right)),
        Do(code(B, Typed::Wrong)),
        Hold(code(B, Typed::Wrong)),
        Settle,
        Wait(SPACING),
        Wait(hours(2)),
        Wait(DEVICE_LIFETIME),
    ];
    scenario.meets = &[Mark::Swept, Mark::ByCode, Mark::WrongCode, Mark::SendLimit];
    scenario
}

#[test]
fn a_sweep_changes_nothing_that_is_decided() {
    sweeping().holds();
}

#[test]
fn a_sweep_changes_nothing_where_sessions_are_short() {
    sweeping_at_night().holds();
}
