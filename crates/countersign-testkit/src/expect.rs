//! What a test expects of an answer: the value, or a panic at the test's own line that shows what
//! came instead.
#![expect(clippy::panic, reason = "a test calls it, and fails by it")]

use countersign::{Authenticated, Challenge, Denied, LoginStep, OperationError, Reason};

/// The completed login.
///
/// # Panics
///
/// If the step is another one. The message shows it.
#[track_caller]
pub fn authenticated(step: LoginStep) -> Authenticated {
    match step {
        LoginStep::Authenticated(authenticated) => authenticated,
        step => panic!("the login is complete, not {step:?}"),
    }
}

/// The challenge of a login that needs a code.
///
/// # Panics
///
/// If the step is another one. The message shows it.
#[track_caller]
pub fn challenge(step: LoginStep) -> Box<Challenge> {
    match step {
        LoginStep::CodeRequired(challenge) => challenge,
        step => panic!("a code is required, not {step:?}"),
    }
}

/// The refusal of a step.
///
/// # Panics
///
/// If the step was not refused. The message shows it.
#[track_caller]
pub fn denied(step: &LoginStep) -> Denied {
    match step {
        LoginStep::Denied(denied) => *denied,
        step => panic!("the step is refused, not {step:?}"),
    }
}

/// Why a step was refused.
///
/// # Panics
///
/// If the step was not refused. The message shows it.
#[track_caller]
pub fn reason(step: &LoginStep) -> Reason {
    denied(step).reason()
}

/// Why an operation of an account, an administrator or an operator was refused.
///
/// # Panics
///
/// If it was not refused. The message shows what it answered.
#[track_caller]
pub fn refusal<T: std::fmt::Debug>(answer: Result<T, OperationError>) -> Reason {
    match answer {
        Err(OperationError::Denied(denied)) => denied.reason(),
        other => panic!("the operation is refused, not {other:?}"),
    }
}
