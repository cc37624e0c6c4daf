//! A budget in memory.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;

use crate::budget::{Account, Charged, Limit, SendBudget};
use crate::error::PluginError;
use crate::sync::Mutex;

/// A budget in this process's memory. Clones share it. Several processes have several budgets:
/// divide the limits by their number, or use a shared store.
#[derive(Clone, Debug)]
pub struct MemoryBudget {
    accounts: Arc<Mutex<HashMap<String, Slots>>>,
    most_accounts: usize,
}

/// What was charged on one account, slot by slot, oldest first.
#[derive(Clone, Debug, Default)]
struct Slots {
    counts_for: u64,
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

    /// The same for another number of accounts. When all are in use, messages on further ones fail
    /// with a fault, so that nothing is sent uncounted.
    pub fn with_accounts(most: usize) -> Self {
        Self { accounts: Arc::default(), most_accounts: most }
    }

    /// How many accounts there are, for tests and gauges.
    pub fn accounts(&self) -> usize {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Slots {
    /// Forgets what is too old: every slot that ended a whole period ago. A clock that went back
    /// forgets nothing.
    fn forget(&mut self, now: u64) {
        let counts_for = self.counts_for;
        self.counts.retain(|(start, _)| start.saturating_add(counts_for) > now);
    }

    fn sum(&self) -> u64 {
        self.counts.iter().map(|(_, count)| u64::from(*count)).sum()
    }

    /// When so many slots are forgotten that fewer than `most` messages are left. `None`: never.
    fn next_free(&self, most: u32, now: u64) -> Option<Duration> {
        let mut left = self.sum();
        let last = self.counts.iter().find(|(_, count)| {
            left = left.saturating_sub(u64::from(*count));
            left < u64::from(most)
        });
        last.map(|(start, _)| {
            Duration::from_millis(start.saturating_add(self.counts_for).saturating_sub(now))
        })
    }

    fn add(&mut self, start: u64) {
        match self.counts.last_mut() {
            Some((last, count)) if *last >= start => *count = count.saturating_add(1),
            _ => self.counts.push((start, 1)),
        }
    }
}

#[async_trait]
impl SendBudget for MemoryBudget {
    async fn charge(
        &self,
        accounts: &[Account],
        now: OffsetDateTime,
    ) -> Result<Charged, PluginError> {
        let mut kept = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let milliseconds = |limit: &Limit| limit.slot(now).now;
        for (position, Account { key, limit }) in accounts.iter().enumerate() {
            let exhausted = match kept.get_mut(key) {
                Some(slots) => {
                    slots.forget(milliseconds(limit));
                    let most = limit.most();
                    (slots.sum() >= u64::from(most))
                        .then(|| slots.next_free(most, milliseconds(limit)))
                }
                None => (limit.most() == 0).then_some(None),
            };
            if let Some(free) = exhausted {
                return Ok(Charged::Exhausted {
                    account: position,
                    retry_after: free.unwrap_or(limit.per()),
                });
            }
        }
        let named_before = |position: usize, key: &str| {
            accounts.iter().take(position).any(|before| before.key == key)
        };
        let once = || {
            accounts
                .iter()
                .enumerate()
                .filter(|(position, account)| !named_before(*position, &account.key))
        };
        let new = once().filter(|(_, account)| !kept.contains_key(&account.key)).count();
        if kept.len().saturating_add(new) > self.most_accounts {
            let now = accounts.first().map_or(0, |account| milliseconds(&account.limit));
            kept.retain(|_, slots| {
                slots.forget(now);
                !slots.counts.is_empty()
            });
            let new = once().filter(|(_, account)| !kept.contains_key(&account.key)).count();
            if kept.len().saturating_add(new) > self.most_accounts {
                return Err(PluginError::new("send budget has no room for another destination"));
            }
        }
        for (_, Account { key, limit }) in once() {
            let slot = limit.slot(now);
            let slots = kept.entry(key.clone()).or_default();
            slots.counts_for = slot.counts_for;
            slots.add(slot.start);
        }
        Ok(Charged::Yes)
    }
}
