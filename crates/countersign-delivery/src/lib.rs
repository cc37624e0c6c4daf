#![doc = include_str!("../README.md")]

mod budgeted;
mod deadline;
mod failover;
mod fold;
mod given;
mod limits;
mod log;
pub mod message;
mod table;

pub use budgeted::{BudgetObserver, Budgeted, SendRefusal};
pub use deadline::{Deadline, LateOutcome};
pub use failover::{Failover, SenderFailure};
pub use limits::{BadPrefix, LimitKind, SendLimits};
pub use log::{DeliveryLog, DeliveryState, Tracked};
pub use table::RouteTable;

/// The source of the error where a bound is reached.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("too many messages are being sent")]
struct TooMany;
