//! The send budget contract: limits per destination, tenant and country.
//!
//! The limits per user are the core's own and always on (`I-15`). A send budget adds limits across
//! users, against SMS pumping and flooding. `Budgeted` and `SendLimits` of
//! [countersign-delivery](https://docs.rs/countersign-delivery) put one in front of a sender.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;

use crate::error::PluginError;

/// Counts messages.
///
/// # Contract
///
/// - All or nothing: a charge that one account refuses is made on none. *Otherwise an attacker
///   whose sends are refused uses up what is left for others.*
/// - Atomic: of any number of charges at the same time, no more succeed than the limits allow. *A
///   check and a later count let a burst through.*
/// - Within any span of an account's period no more than its limit is charged; somewhat less is
///   allowed, as with counters for a sixtieth of the period each.
/// - Nothing is ever given back: a message that failed was perhaps sent. A clock that goes back
///   frees nothing.
/// - An account that is named twice in one list is charged once, if each of its limits allows it.
/// - What has left a period is removed in time, with a bounded amount of work in each charge. *A
///   store that only grows is filled by anyone who asks for codes.*
/// - `now` comes from the caller; no other clock is read.
/// - Cancellation: a dropped future has charged or has not. Where it is not known whether a charge
///   was made, the answer is a fault and never [`Charged::Yes`]. *A message would be sent
///   uncounted.*
///
/// `countersign-testkit` has a check for each of these,
/// [`MemoryBudget`](crate::memory::MemoryBudget) passes them, and so do the budgets of
/// `countersign-sqlite`, `countersign-postgres` and `countersign-redis`.
#[async_trait]
pub trait SendBudget: Send + Sync {
    /// Charges one message on each of these accounts, if all of them allow it.
    async fn charge(
        &self,
        accounts: &[Account],
        now: OffsetDateTime,
    ) -> Result<Charged, PluginError>;
}

#[async_trait]
impl<T: SendBudget + ?Sized> SendBudget for Arc<T> {
    async fn charge(
        &self,
        accounts: &[Account],
        now: OffsetDateTime,
    ) -> Result<Charged, PluginError> {
        (**self).charge(accounts, now).await
    }
}

/// What a message is charged on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Account {
    /// Its name: at most 200 bytes of ASCII without spaces. Two limits of different periods on one
    /// destination are two accounts.
    ///
    /// `Budgeted` puts in a SHA-256 hash of the spelling that all spellings of a destination share,
    /// to keep it private. A hash of a phone number
    /// is not anonymous: there are few enough of them to try.
    pub key: String,
    /// How much it allows.
    pub limit: Limit,
}

impl Account {
    /// An account with this key and limit.
    pub fn new(key: impl Into<String>, limit: Limit) -> Self {
        Self { key: key.into(), limit }
    }
}

/// Whether a message was charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "what was not charged must not be sent"]
pub enum Charged {
    /// The message is charged on all accounts.
    Yes,
    /// The message is charged on no account: this one is used up.
    Exhausted {
        /// Its place in the list: the first of those that are used up.
        account: usize,
        /// How long until it allows another one, if nothing else is charged on it. Where its limit
        /// is zero, its period.
        retry_after: Duration,
    },
}

/// A number of messages in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limit {
    most: u32,
    per: Duration,
}

impl Limit {
    /// `most` messages within any span of `per`, which is taken as one second to 366 days.
    pub const fn new(most: u32, per: Duration) -> Self {
        const YEAR: u64 = 366 * 24 * 60 * 60;
        let seconds = match per.as_secs() {
            0 => 1,
            seconds if seconds > YEAR => YEAR,
            seconds => seconds,
        };
        Self { most, per: Duration::from_secs(seconds) }
    }

    /// The number of messages.
    pub const fn most(self) -> u32 {
        self.most
    }

    /// The period, in whole seconds.
    pub const fn per(self) -> Duration {
        self.per
    }

    /// The slot that a message of this moment falls in, for a budget that counts in slots of a
    /// sixtieth of the period. A moment before 1970 is taken as 1970.
    pub fn slot(self, now: OffsetDateTime) -> Slot {
        const SLOTS: u64 = 60;
        let now = u64::try_from(now.unix_timestamp_nanos().div_euclid(1_000_000)).unwrap_or(0);
        let period = u64::try_from(self.per.as_millis()).unwrap_or(u64::MAX);
        let length = period.div_ceil(SLOTS);
        let start = now.checked_div(length).unwrap_or(0).saturating_mul(length);
        Slot { now, start, counts_for: length.saturating_add(period) }
    }
}

/// Where a message is counted, all in milliseconds, the moments since 1970.
///
/// A slot leaves the sum as a whole, and not before its last message is a whole period old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Slot {
    /// The current time.
    pub now: u64,
    /// When the slot began. A message is counted in the latest slot that its account has, if that
    /// began later: where the clock went back, it then leaves no earlier than those before it.
    pub start: u64,
    /// How long after its start a slot counts: itself and a period.
    pub counts_for: u64,
}
