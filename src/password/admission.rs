//! A place in the queue for password checks: taken before anything is read, so that a full queue
//! says nothing of anybody.

use std::fmt;
use std::time::Duration;

/// A place in the queue of a [`PasswordVerifier`](super::PasswordVerifier). Dropping it gives the
/// place back.
#[must_use = "dropping a place gives it back before the check has run"]
pub struct Admission {
    place: Option<Box<dyn Send + Sync>>,
}

impl Admission {
    /// A place in a queue without a bound: for a verifier that computes nothing itself, such as one
    /// that asks a directory server which has a bound of its own.
    pub const fn unbounded() -> Self {
        Self { place: None }
    }

    /// Holds this value, such as a semaphore's guard, until the place is given back.
    pub fn holding(place: impl Send + Sync + 'static) -> Self {
        Self { place: Some(Box::new(place)) }
    }
}

/// Whether it holds a place, and not which.
impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").field("bounded", &self.place.is_some()).finish()
    }
}

/// The queue for password checks is full. Nothing was looked up, charged or saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Busy {
    retry_after: Duration,
}

impl Busy {
    /// A full queue, and the time after which trying again makes sense.
    pub const fn new(retry_after: Duration) -> Self {
        Self { retry_after }
    }

    /// The time after which trying again makes sense: an estimate, not a promise of a place.
    pub const fn retry_after(self) -> Duration {
        self.retry_after
    }
}
