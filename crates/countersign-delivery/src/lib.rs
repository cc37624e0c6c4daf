#![doc = include_str!("../README.md")]

mod budgeted;
#[cfg(feature = "routing")]
mod deadline;
#[cfg(feature = "routing")]
mod failover;
mod fold;
#[cfg(feature = "routing")]
mod given;
mod limits;
#[cfg(feature = "routing")]
mod log;
pub mod message;
#[cfg(feature = "routing")]
mod table;

pub use budgeted::{BudgetObserver, Budgeted, SendRefusal};
#[doc(no_inline)]
pub use countersign::budget::Limit;
#[cfg(feature = "routing")]
pub use deadline::{Deadline, LateOutcome};
#[cfg(feature = "routing")]
pub use failover::{Failover, SenderFailure};
pub use limits::{BadPrefix, LimitKind, SendLimits};
#[cfg(feature = "routing")]
pub use log::{DeliveryLog, DeliveryState, Tracked};
#[cfg(feature = "routing")]
pub use table::RouteTable;

/// The source of the error where a bound is reached.
#[cfg(feature = "routing")]
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("too many messages are being sent")]
struct TooMany;
