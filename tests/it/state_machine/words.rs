//! What the flow says, in the words of the reference.

use countersign::policy::Exemption;
use countersign::status::LockState;
use countersign::{Channel, OperationError};

use super::reference::{Answer, Door, Gate, Reference, Who, Why};
use crate::support::PASSWORD;

pub fn channel(door: Door) -> Channel {
    match door {
        Door::Web => Channel::Web,
        Door::Mobile => Channel::Mobile,
        Door::SingleSignOn => Channel::SingleSignOn,
        Door::Integration => Channel::ExemptIntegration,
        Door::Api => Channel::ExemptApi,
    }
}

pub fn why(exemption: &Exemption) -> Why {
    match exemption {
        Exemption::ScopeOff => Why::ScopeOff,
        Exemption::NotAdministrator => Why::NotAdministrator,
        Exemption::SingleSignOn => Why::NotInteractive(Door::SingleSignOn),
        Exemption::Integration => Why::NotInteractive(Door::Integration),
        Exemption::Api => Why::NotInteractive(Door::Api),
        other => panic!("{other:?} is not of the standard policy"),
    }
}

pub fn password_of(state: &Reference, who: Who) -> String {
    let number = state.hosts[&who].password;
    if number == 0 { PASSWORD.to_owned() } else { format!("password {number}") }
}

pub fn or_denied(done: Result<Answer, OperationError>) -> Answer {
    match done {
        Ok(answer) => answer,
        Err(OperationError::Denied(denied)) => match denied.attempts_left() {
            Some(left) => Answer::Wrong(denied.reason(), left),
            None => Answer::Denied(denied.reason()),
        },
        Err(OperationError::Failed(error)) => panic!("nothing breaks in a story: {error}"),
    }
}

pub fn gate(lock: &LockState) -> Gate {
    match lock {
        LockState::Open => Gate::Open,
        LockState::LockedUntil { .. } => Gate::Locked,
        LockState::Suspended => Gate::Suspended,
    }
}
