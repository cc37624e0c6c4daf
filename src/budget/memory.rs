//! A budget in memory.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;

use super::{Account, Charged, SendBudget};
use crate::error::Fault;
use crate::sync::Mutex;

/// A period is counted in this many slots: the count of a slot leaves the sum as a whole.
const SLOTS: u64 = 60;

/// A budget in this process's memory. Clones share it. Several processes have several budgets: divide the limits by their number, or use a
/// shared store.
#[derive(Clone, Debug)]
pub struct MemoryBudget {
    accounts: Arc<Mutex<HashMap<String, Slots>>>,
    most_accounts: usize,
}

/// What was charged on one account, slot by slot, oldest first.
#[derive(Clone, Debug, Default)]
struct Slots {
    per: u64,
    counts: Vec<(u64, u32)>,
}

impl Default for MemoryBudget {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryBudget {
    /// An empty budget, for up to 100,000 accounts (destinations, mostly) at a time.
    pub fn new() -> Self {
        Self::with_accounts(100_000)
    }

    /// The same for another number of accounts. When all are in use, messages on further ones fail with a fault, so that nothing is sent
    /// uncounted.
    pub fn with_accounts(most: usize) -> Self {
        Self { accounts: Arc::default(), most_accounts: most }
    }

    /// How many accounts there are, for tests and gauges.
    pub fn accounts(&self) -> usize {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Slots {
    /// The length of a slot, in milliseconds.
    const fn slot(&self) -> u64 {
        self.per.div_ceil(SLOTS)
    }

    /// Forgets what is too old: every slot that ended a whole period ago. A clock that went back forgets nothing.
    fn forget(&mut self, now: u64) {
        let (slot, per) = (self.slot(), self.per);
        self.counts.retain(|(start, _)| start.saturating_add(slot).saturating_add(per) > now);
    }

    fn sum(&self) -> u64 {
        self.counts.iter().map(|(_, count)| u64::from(*count)).sum()
    }

    /// When the oldest slot is forgotten.
    fn next_free(&self, now: u64) -> Duration {
        let oldest = self.counts.first().map_or(now, |(start, _)| *start);
        let free = oldest.saturating_add(self.slot()).saturating_add(self.per);
        Duration::from_millis(free.saturating_sub(now))
    }

    fn add(&mut self, now: u64) {
        let start = now.checked_div(self.slot()).unwrap_or(0).saturating_mul(self.slot());
        match self.counts.last_mut() {
            Some((last, count)) if *last >= start => *count = count.saturating_add(1),
            _ => self.counts.push((start, 1)),
        }
    }
}

#[async_trait]
impl SendBudget for MemoryBudget {
    async fn charge(&self, accounts: &[Account], now: OffsetDateTime) -> Result<Charged, Fault> {
        let now = u64::try_from(now.unix_timestamp_nanos().div_euclid(1_000_000)).unwrap_or(0);
        let mut kept = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        for (position, Account { key, limit }) in accounts.iter().enumerate() {
            let exhausted = match kept.get_mut(key) {
                Some(slots) => {
                    slots.forget(now);
                    (slots.sum() >= u64::from(limit.most())).then(|| slots.next_free(now))
                }
                None => (limit.most() == 0).then(|| limit.per()),
            };
            if let Some(retry_after) = exhausted {
                return Ok(Charged::Exhausted { account: position, retry_after });
            }
        }
        let new = accounts.iter().filter(|account| !kept.contains_key(&account.key)).count();
        if kept.len().saturating_add(new) > self.most_accounts {
            kept.retain(|_, slots| {
                slots.forget(now);
                !slots.counts.is_empty()
            });
            if kept.len().saturating_add(new) > self.most_accounts {
                return Err(Fault::from("send budget has no room for another destination"));
            }
        }
        for Account { key, limit } in accounts {
            let slots = kept.entry(key.clone()).or_default();
            slots.per = u64::try_from(limit.per().as_millis()).unwrap_or(u64::MAX);
            slots.add(now);
        }
        Ok(Charged::Yes)
    }
}
