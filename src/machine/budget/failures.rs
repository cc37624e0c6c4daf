//! Failure budgets: one for each kind of secret (`I-10` to `I-14`).

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::clock::Timestamp;
use crate::limits::FailureRule;
use crate::reason::{Denied, Reason};

/// What happened to one kind of secret of one user.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Failures {
    /// In a row. Only success with the same kind clears it, or a reset.
    #[serde(default, skip_serializing_if = "is_zero")]
    streak: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lock: Option<Lock>,
    /// When the failures inside the rolling window happened, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    recent: Vec<Timestamp>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lock {
    from: Timestamp,
    until: Timestamp,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
pub(in crate::machine) fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Whether another attempt may be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    Open,
    LockedUntil(Timestamp),
    Suspended,
}

impl Gate {
    /// When the lock ends, if it is one that time ends.
    pub(crate) fn locked_until(self) -> Option<OffsetDateTime> {
        match self {
            Self::LockedUntil(until) => Some(until.to_time()),
            Self::Open | Self::Suspended => None,
        }
    }

    /// Whether codes are compared behind it, as a refusal if not.
    pub(crate) fn codes_open(self) -> Result<(), Denied> {
        match self {
            Self::Open => Ok(()),
            Self::LockedUntil(until) => Err(Denied::until(Reason::CodesLocked, until.to_time())),
            Self::Suspended => Err(Denied::new(Reason::Suspended)),
        }
    }
}

impl Failures {
    pub(crate) fn is_empty(&self) -> bool {
        self.streak == 0 && self.lock.is_none() && self.recent.is_empty()
    }

    pub(crate) fn recorded(&self) -> usize {
        self.recent.len()
    }

    pub(crate) fn gate(&self, now: Timestamp, rule: &FailureRule) -> Gate {
        if rule.suspend_after.is_some_and(|limit| self.streak >= limit) {
            return Gate::Suspended;
        }
        let locked = self.lock.as_ref().map(|lock| lock.until).filter(|until| now < *until);
        match locked.max(self.rolling_until(now, rule)) {
            Some(until) => Gate::LockedUntil(until),
            None => Gate::Open,
        }
    }

    /// When the last lock began.
    pub(crate) fn locked_from(&self) -> Option<OffsetDateTime> {
        self.lock.as_ref().map(|lock| lock.from.to_time())
    }

    /// When the rolling budget has room again, if it has none now.
    fn rolling_until(&self, now: Timestamp, rule: &FailureRule) -> Option<Timestamp> {
        let (most, window) = rule.rolling?;
        let oldest_that_fills_it = self.recent.iter().rev().nth(most.saturating_sub(1) as usize)?;
        Some(oldest_that_fills_it.plus(window)).filter(|until| now < *until)
    }

    /// Whether nothing of it could still count: no failure in a row, however old (`I-10`), no
    /// running lock, none in the window (`I-12`).
    pub(crate) fn is_spent(&self, now: Timestamp, rule: &FailureRule) -> bool {
        let within = |at: &Timestamp| rule.rolling.is_none_or(|(_, window)| now < at.plus(window));
        self.streak == 0
            && self.lock.as_ref().is_none_or(|lock| lock.until <= now)
            && !self.recent.iter().any(within)
    }

    /// How many more failures this budget takes before it locks.
    pub(crate) fn left(&self, now: Timestamp, rule: &FailureRule) -> u32 {
        if self.gate(now, rule) != Gate::Open {
            return 0;
        }
        let counted = self.streak.checked_rem(rule.lock_after).unwrap_or(0);
        let counted = counted.max(self.since_lock(rule).min(rule.lock_after.saturating_sub(1)));
        let before_lock = rule.lock_after.saturating_sub(counted);
        let before_suspension =
            rule.suspend_after.map_or(u32::MAX, |limit| limit.saturating_sub(self.streak));
        let in_window = rule.rolling.map_or(u32::MAX, |(most, window)| {
            let counted = self.recent.iter().filter(|at| now < at.plus(window)).count();
            most.saturating_sub(u32::try_from(counted).unwrap_or(u32::MAX))
        });
        before_lock.min(before_suspension).min(in_window)
    }

    /// How many locks the row of failures has brought.
    pub(crate) fn locks(&self, rule: &FailureRule) -> u32 {
        self.streak.checked_div(rule.lock_after).unwrap_or(0)
    }

    /// How many failures in a row the last lock does not cover, as far as the window shows them:
    /// more than the remainder where the number that locks was lowered meanwhile.
    fn since_lock(&self, rule: &FailureRule) -> u32 {
        if rule.rolling.is_none() {
            return 0;
        }
        let after = |at: &&Timestamp| self.lock.as_ref().is_none_or(|lock| lock.from < **at);
        let shown = self.recent.iter().filter(after).count();
        u32::try_from(shown).unwrap_or(u32::MAX).min(self.streak)
    }

    /// Charges one failure.
    pub(crate) fn charge(&mut self, now: Timestamp, rule: &FailureRule) {
        self.streak = self.streak.saturating_add(1);
        if let Some((most, window)) = rule.rolling {
            self.recent.retain(|at| now < at.plus(window));
            self.recent.push(now);
            let excess = self.recent.len().saturating_sub(most as usize);
            self.recent.drain(..excess);
        }
        let due = self.streak.checked_rem(rule.lock_after) == Some(0)
            || self.since_lock(rule) >= rule.lock_after;
        if due {
            let factor = 1_u32.checked_shl(self.locks(rule).saturating_sub(1)).unwrap_or(u32::MAX);
            let duration =
                rule.lock.checked_mul(factor).unwrap_or(rule.lock_at_most).min(rule.lock_at_most);
            self.lock = Some(Lock { from: now, until: now.plus(duration) });
        }
    }

    /// Success with this kind of secret: the row of failures ends, the rolling budget stays
    /// (`I-12`). Says whether that changed anything.
    pub(crate) fn succeed(&mut self) -> bool {
        let changed = self.streak > 0 || self.lock.is_some();
        self.streak = 0;
        self.lock = None;
        changed
    }

    /// Ends a lock early. The counters stay (`I-10`), and so does the note of when it began. Says
    /// whether there was one.
    pub(crate) fn unlock(&mut self, now: Timestamp) -> bool {
        let running = self.lock.as_mut().filter(|lock| now < lock.until);
        running.map(|lock| lock.until = now).is_some()
    }

    /// The failures of the rolling window alone (`I-12`): no row, and so no suspension, and no
    /// lock.
    pub(crate) fn window(&self) -> Self {
        Self { recent: self.recent.clone(), ..Self::default() }
    }

    /// Adds the rolling window of another record of the same user.
    pub(crate) fn absorb(&mut self, other: &Self) {
        self.recent.extend(&other.recent);
        self.recent.sort_unstable();
    }

    /// After the clock went back to `now`: what is in the future counts as of now, so that no lock
    /// outlasts its length (`I-08`).
    pub(crate) fn clamp_to(&mut self, now: Timestamp, rule: &FailureRule) {
        for at in &mut self.recent {
            *at = now.min(*at);
        }
        if let Some(lock) = &mut self.lock
            && lock.from > now
        {
            let length = lock.until.since(lock.from).min(rule.lock_at_most);
            *lock = Lock { from: now, until: now.plus(length) };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn rule() -> FailureRule {
        FailureRule {
            lock_after: 5,
            lock: 15 * MINUTE,
            lock_at_most: 24 * 60 * MINUTE,
            suspend_after: Some(30),
            rolling: Some((25, 30 * 24 * 60 * MINUTE)),
        }
    }

    fn at(minutes: u32) -> Timestamp {
        Timestamp::from_time(time::OffsetDateTime::UNIX_EPOCH).plus(MINUTE * minutes)
    }

    #[test]
    fn locks_double_up_to_the_longest() {
        let rule = FailureRule { suspend_after: None, rolling: None, ..rule() };
        let mut failures = Failures::default();
        let mut now = at(0);
        for expected_minutes in [15, 30, 60, 120, 240, 480, 960, 1440, 1440] {
            for left in [5, 4, 3, 2, 1] {
                assert_eq!(failures.left(now, &rule), left);
                failures.charge(now, &rule);
            }
            let until = now.plus(MINUTE * expected_minutes);
            assert_eq!(failures.gate(now, &rule), Gate::LockedUntil(until));
            assert_eq!(failures.left(now, &rule), 0);
            now = until;
            assert_eq!(
                failures.gate(now, &rule),
                Gate::Open,
                "a lock ends at its end, not after it"
            );
        }
    }

    /// `I-12`: success clears the row of failures, not the rolling budget.
    #[test]
    fn success_does_not_clear_the_rolling_budget() {
        let rule = rule();
        let mut failures = Failures::default();
        for day in 0..25 {
            assert_eq!(failures.gate(at(day * 60), &rule), Gate::Open);
            failures.charge(at(day * 60), &rule);
            failures.succeed();
        }
        let reopened = at(0).plus(30 * 24 * 60 * MINUTE);
        assert_eq!(failures.gate(at(25 * 60), &rule), Gate::LockedUntil(reopened));
        assert_eq!(failures.gate(reopened, &rule), Gate::Open);
        assert_eq!(failures.left(reopened, &rule), 1);
    }

    /// `I-11`: waiting does not end a suspension.
    #[test]
    fn suspension_does_not_wait() {
        let rule = FailureRule { rolling: None, ..rule() };
        let mut failures = Failures::default();
        for _ in 0..30 {
            failures.charge(at(0), &rule);
        }
        assert_eq!(failures.gate(at(u32::MAX), &rule), Gate::Suspended);
        assert!(failures.unlock(at(0)));
        assert_eq!(failures.gate(at(0), &rule), Gate::Suspended);
    }

    /// `I-08`: a lock that was set in the future ends at most its own length after the clock went
    /// back.
    #[test]
    fn healing_keeps_a_lock_to_its_length() {
        let rule = rule();
        let mut failures = Failures::default();
        for _ in 0..5 {
            failures.charge(at(1_000_000), &rule);
        }
        failures.clamp_to(at(10), &rule);
        assert_eq!(failures.gate(at(10), &rule), Gate::LockedUntil(at(25)));
        // A lock that is over is not lifted, and its record not written.
        assert!(!failures.clone().unlock(at(25)));
        assert!(failures.unlock(at(24)));
        assert_eq!(failures.left(at(25), &rule), 5);
        assert_eq!(failures.recorded(), 5);
    }
}
