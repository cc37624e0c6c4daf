//! How long a hash takes here, for telling people when to try again.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Before anything was measured.
const GUESS: Duration = Duration::from_millis(50);

/// No more than this is promised of a queue, however slow the machine is.
const LONGEST: Duration = Duration::from_secs(60);

/// The usual time of one hash, in nanoseconds: each new one counts for an eighth.
///
/// Two hashes that end together may lose one of the two times. It is an estimate, and nothing is
/// decided by it.
pub(super) struct Pace(AtomicU64);

impl Pace {
    pub(super) const fn new() -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "50 ms are few nanoseconds")]
        Self(AtomicU64::new(GUESS.as_nanos() as u64))
    }

    /// Takes the time from now until the value is dropped for that of a hash.
    pub(super) fn start(&self) -> Timed<'_> {
        Timed { pace: self, start: Instant::now() }
    }

    fn note(&self, took: Duration) {
        let took = u64::try_from(took.min(LONGEST).as_nanos()).unwrap_or(u64::MAX);
        let usual = self.0.load(Relaxed);
        self.0.store(usual.saturating_sub(usual / 8).saturating_add(took / 8), Relaxed);
    }

    /// How long so many hashes take, of which so many run at a time.
    pub(super) fn time_for(&self, hashes: usize, max_concurrent: usize) -> Duration {
        let rounds = u32::try_from(hashes.div_ceil(max_concurrent.max(1))).unwrap_or(u32::MAX);
        Duration::from_nanos(self.0.load(Relaxed)).saturating_mul(rounds).min(LONGEST)
    }
}

pub(super) struct Timed<'a> {
    pace: &'a Pace,
    start: Instant,
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        self.pace.note(self.start.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_takes_as_long_as_its_hashes_in_rounds() {
        let pace = Pace::new();
        assert_eq!(pace.time_for(33, 1), 33 * GUESS);
        assert_eq!(pace.time_for(66, 2), 33 * GUESS);
        assert_eq!(pace.time_for(67, 2), 34 * GUESS, "the last round is not a full one");
        assert_eq!(pace.time_for(1_000_000, 1), LONGEST);
        assert_eq!(pace.time_for(usize::MAX, 0), LONGEST);
    }

    #[test]
    fn the_pace_follows_what_hashes_take() {
        let pace = Pace::new();
        for took in [Duration::from_millis(10), Duration::from_secs(3600), Duration::ZERO] {
            (0..200).for_each(|_| pace.note(took));
            let told = pace.time_for(1, 1);
            let took = took.min(LONGEST);
            assert!(
                told <= took + Duration::from_millis(1) && took <= told + Duration::from_millis(1),
                "{told:?}"
            );
        }
    }
}
