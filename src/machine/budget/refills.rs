//! The budget of refills by resets (`I-26`).

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::limits::{Limits, MONTH};

/// When resets refilled a user's budgets, oldest first. Resets that kept the budgets are not in it:
/// if they were, a reset a week would keep them closed for ever.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct ResetLog(Vec<Timestamp>);

impl ResetLog {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none of them could still count.
    pub(crate) fn is_spent(&self, now: Timestamp) -> bool {
        self.0.iter().all(|at| at.plus(MONTH) <= now)
    }

    /// Whether another reset may refill now.
    pub(in crate::machine) fn is_open(&self, now: Timestamp, limits: &Limits) -> bool {
        let counted = self.0.iter().filter(|at| now < at.plus(MONTH)).count();
        u32::try_from(counted).is_ok_and(|counted| counted < limits.refills)
    }

    /// When a reset refills again, if there is such a time.
    pub(in crate::machine) fn opens(&self, limits: &Limits) -> Option<Timestamp> {
        let last = limits.refills.checked_sub(1)?;
        self.0.iter().rev().nth(last as usize).map(|at| at.plus(MONTH))
    }

    pub(in crate::machine) fn charge(&mut self, now: Timestamp, limits: &Limits) {
        self.0.push(now);
        self.0.sort_unstable();
        let excess = self.0.len().saturating_sub(limits.refills as usize);
        self.0.drain(..excess);
    }

    /// Leaves no refill for a month.
    pub(in crate::machine) fn use_up(&mut self, now: Timestamp, limits: &Limits) {
        (0..limits.refills).for_each(|_| self.charge(now, limits));
    }

    /// After the clock went back: what is in the future counts as of now (`I-08`).
    pub(crate) fn clamp_to(&mut self, now: Timestamp) {
        for at in &mut self.0 {
            *at = now.min(*at);
        }
    }

    pub(in crate::machine) fn absorb(&mut self, other: &Self) {
        self.0.extend(&other.0);
        self.0.sort_unstable();
    }
}
