//! Limits on sending across users: against SMS pumping and against using a login page to flood
//! somebody.
//!
//! The limits per user are the core's own and always on (`I-15`). These are beside them, for the
//! application: how many messages one destination, one tenant and one country's numbers get, and
//! which countries get any.
//!
//! ```
//! use std::time::Duration;
//! use countersign::budget::{Budgeted, Limit, MemoryBudget, SendLimits};
//! # use countersign::sender::SendStatus;
//! # use countersign::sender::{CodeMessage, CodeSender, Notice, SendError};
//! # struct Sms;
//! # #[async_trait::async_trait]
//! # impl CodeSender for Sms {
//! #     async fn send_code(&self, _: &CodeMessage) -> Result<SendStatus, SendError> { Ok(SendStatus::Sent) }
//! #     async fn notify(&self, _: &Notice) -> Result<SendStatus, SendError> { Ok(SendStatus::Sent) }
//! # }
//!
//! let hour = Duration::from_secs(60 * 60);
//! let limits = SendLimits::new()
//!     .allow_calling_codes(&["81", "1"])?
//!     .per_tenant(Limit::new(500, hour))
//!     .per_calling_code(Limit::new(2_000, hour));
//! let sender = Budgeted::new(Sms, MemoryBudget::new(), limits);
//! # Ok::<(), countersign::budget::BadPrefix>(())
//! ```
//!
//! The limits stand outermost: around a chain of providers one message is charged once, whichever
//! of them sends it.

mod fold;
mod limits;
mod memory;
mod sender;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;

pub use self::limits::{BadPrefix, Limit, LimitKind, SendLimits, Slot};
pub use self::memory::MemoryBudget;
pub use self::sender::{BudgetObserver, Budgeted, SendRefusal};

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
/// `countersign-testkit` has a check for each of these, [`MemoryBudget`] passes them, and so do the
/// budgets of `countersign-sqlite`, `countersign-postgres` and `countersign-redis`.
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
    /// A destination is in it as a SHA-256 hash of the spelling that all its spellings share
    /// ([`SendLimits::per_destination`]), so that it is not shown around. A hash of a phone number
    /// is not anonymous: there are few enough of them to try.
    pub key: String,
    /// How much it allows.
    pub limit: Limit,
}

impl Account {
    /// An account, for tests of a budget. [`Budgeted`] makes its own.
    pub fn new(key: impl Into<String>, limit: Limit) -> Self {
        Self { key: key.into(), limit }
    }
}

/// Whether a message was charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "what was not charged must not be sent"]
#[non_exhaustive]
pub enum Charged {
    /// On all accounts.
    Yes,
    /// On none: this one is used up.
    Exhausted {
        /// Its place in the list: the first of those that are used up.
        account: usize,
        /// How long until it allows another one, if nothing else is charged on it. Where its limit
        /// is zero, its period.
        retry_after: Duration,
    },
}
