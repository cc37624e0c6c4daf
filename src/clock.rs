//! Time: one clock decides (`I-07`, `I-08`), and saved records hold whole milliseconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::error::{Error, PluginError};

/// Says what time it is. Every decision about expiry, locks and budgets uses this clock and no
/// other.
///
/// # Contract
///
/// All nodes that share a store MUST agree to within
/// [`clock_tolerance`](crate::LoginFlowBuilder::clock_tolerance). A clock that runs ahead shortens
/// codes and locks, a clock that runs behind prolongs them; one that goes backwards by more than
/// the tolerance ends the pending logins (`I-08`). `now` is called once a step, and MUST NOT block.
pub trait Clock: Send + Sync {
    /// The time now.
    ///
    /// # Errors
    ///
    /// A [`PluginError`] if the time can't be read. The step then fails with [`Error::Clock`], and
    /// nothing is decided.
    fn now(&self) -> Result<OffsetDateTime, PluginError>;
}

impl<T: Clock + ?Sized> Clock for Arc<T> {
    fn now(&self) -> Result<OffsetDateTime, PluginError> {
        (**self).now()
    }
}

/// The operating system's wall clock. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Result<OffsetDateTime, PluginError> {
        Ok(OffsetDateTime::now_utc())
    }
}

/// A clock that a test moves by hand. Clones share one time.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// Starts at the given time, to the millisecond.
    pub fn new(start: OffsetDateTime) -> Self {
        Self(Arc::new(AtomicI64::new(milliseconds(start))))
    }

    /// Moves forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    /// Jumps, forward or back.
    pub fn set(&self, to: OffsetDateTime) {
        self.0.store(milliseconds(to), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Result<OffsetDateTime, PluginError> {
        let nanoseconds = i128::from(self.0.load(Ordering::SeqCst)).saturating_mul(1_000_000);
        Ok(OffsetDateTime::from_unix_timestamp_nanos(nanoseconds)?)
    }
}

fn milliseconds(time: OffsetDateTime) -> i64 {
    time.unix_timestamp().saturating_mul(1_000).saturating_add(i64::from(time.millisecond()))
}

/// Whole milliseconds since 1970. All arithmetic saturates, so that no input can overflow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Timestamp(i64);

/// The last millisecond of the year 9999: beyond it nothing can be shown.
const END_OF_TIME: i64 = 253_402_300_799_999;

impl Timestamp {
    /// Reads the clock. A time before 1970 or after 9999 is a clock that does not work.
    pub(crate) fn now(clock: &dyn Clock) -> Result<Self, Error> {
        let time = clock.now().map_err(Error::clock)?;
        let value = milliseconds(time);
        if (0..=END_OF_TIME).contains(&value) {
            Ok(Self(value))
        } else {
            Err(Error::clock(PluginError::new("the clock is before 1970 or after 9999")))
        }
    }

    pub(crate) fn plus(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
                .min(END_OF_TIME),
        )
    }

    /// So long before; not before 1970.
    pub(crate) fn minus(self, duration: Duration) -> Self {
        let earlier = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(earlier).max(0))
    }

    /// The next millisecond.
    pub(crate) fn next(self) -> Self {
        self.plus(Duration::from_millis(1))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// For the public API. A damaged value becomes the Unix epoch, which is never in the future.
    pub(crate) fn to_time(self) -> OffsetDateTime {
        let millisecond = u16::try_from(self.0.rem_euclid(1_000)).unwrap_or(0);
        OffsetDateTime::from_unix_timestamp(self.0.div_euclid(1_000))
            .ok()
            .and_then(|second| second.replace_millisecond(millisecond).ok())
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// From a time that the library gave out before.
    pub(crate) fn from_time(time: OffsetDateTime) -> Self {
        Self(milliseconds(time))
    }

    /// Whether `issued <= self < issued + ttl` (`I-07`). A time before `issued` is outside.
    pub(crate) fn is_within(self, issued: Self, ttl: Duration) -> bool {
        issued <= self && self < issued.plus(ttl)
    }
}
