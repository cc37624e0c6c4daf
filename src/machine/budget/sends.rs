//! The send budget: spacing, per hour, per day, counted per user over all logins (`I-15`).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::limits::SendRule;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How many codes a user gets within one spacing: a second login begins while the first one's code
/// is on its way (a double click, slow mail, another browser), and its page must work.
const PER_SPACING: usize = 2;

/// When codes were sent to a user during the last day, oldest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct SendLog(Vec<Timestamp>);

impl SendLog {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none of them could still count (`I-15`): the longest window is a day.
    pub(crate) fn is_spent(&self, now: Timestamp) -> bool {
        self.0.iter().all(|at| at.plus(DAY) <= now)
    }

    /// When the next code may be sent, if not now, in a login whose last code was issued then.
    pub(crate) fn closed_until(
        &self,
        now: Timestamp,
        rule: &SendRule,
        last_of_login: Option<Timestamp>,
    ) -> Option<Timestamp> {
        let in_login = last_of_login.map(|last| last.plus(rule.spacing));
        let spaced = self.nth_last(PER_SPACING).map(|at| at.plus(rule.spacing));
        in_login.max(spaced).max(self.caps_closed_until(rule)).filter(|until| now < *until)
    }

    /// The same without the spacing: for the fallback that follows immediately on a send that
    /// failed.
    pub(crate) fn capped_until(&self, now: Timestamp, rule: &SendRule) -> Option<Timestamp> {
        self.caps_closed_until(rule).filter(|until| now < *until)
    }

    fn caps_closed_until(&self, rule: &SendRule) -> Option<Timestamp> {
        let cap = |most: u32, window| self.nth_last(most as usize).map(|at| at.plus(window));
        cap(rule.per_hour, HOUR).max(cap(rule.per_day, DAY))
    }

    /// The last one is the first.
    fn nth_last(&self, nth: usize) -> Option<Timestamp> {
        self.0.iter().rev().nth(nth.saturating_sub(1)).copied()
    }

    /// Charges one send. It is never refunded (`I-24`).
    pub(crate) fn charge(&mut self, now: Timestamp, rule: &SendRule) {
        self.0.retain(|at| now < at.plus(DAY));
        self.0.push(now);
        let excess = self.0.len().saturating_sub(rule.per_day.max(rule.per_hour) as usize);
        self.0.drain(..excess);
    }

    /// Adds what another record of the same user knows.
    pub(crate) fn absorb(&mut self, other: &Self) {
        self.0.extend(&other.0);
        self.0.sort_unstable();
    }

    /// After the clock went back: what is in the future counts as of now (`I-08`).
    pub(crate) fn clamp_to(&mut self, now: Timestamp) {
        for at in &mut self.0 {
            *at = now.min(*at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_time(time::OffsetDateTime::UNIX_EPOCH).plus(Duration::from_secs(seconds))
    }

    /// I-15: in no hour more than ten, in no day more than twenty, never three within thirty
    /// seconds.
    #[test]
    fn a_greedy_sender_stays_within_every_window() {
        let rule =
            SendRule { spacing: Duration::from_secs(30), per_login: 5, per_hour: 10, per_day: 20 };
        let mut log = SendLog::default();
        let mut sent: Vec<u64> = Vec::new();
        for second in 0..(3 * 24 * 60 * 60) {
            match log.closed_until(at(second), &rule, None) {
                None => {
                    log.charge(at(second), &rule);
                    sent.push(second);
                }
                Some(until) => assert!(until > at(second)),
            }
        }
        let most_within = |window| {
            sent.iter()
                .map(|from| sent.iter().filter(|at| (*from..from + window).contains(*at)).count())
                .max()
        };
        assert_eq!(most_within(30), Some(2));
        assert_eq!(most_within(60 * 60), Some(10));
        assert_eq!(most_within(24 * 60 * 60), Some(20));
        assert_eq!(sent.len(), 60);
    }

    /// I-15: within one login thirty seconds apart, also where the user's budget has room.
    #[test]
    fn two_codes_of_one_login_are_a_spacing_apart() {
        let rule =
            SendRule { spacing: Duration::from_secs(30), per_login: 5, per_hour: 10, per_day: 20 };
        let mut log = SendLog::default();
        log.charge(at(100), &rule);
        assert_eq!(log.closed_until(at(101), &rule, None), None);
        assert_eq!(log.closed_until(at(101), &rule, Some(at(100))), Some(at(130)));
        assert_eq!(log.closed_until(at(130), &rule, Some(at(100))), None);
    }
}
