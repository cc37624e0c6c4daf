#![doc = include_str!("../README.md")]

mod deadline;
mod failover;
mod log;
mod message;
mod table;

pub use deadline::{Deadline, LateOutcome};
pub use failover::{Failover, SenderFailure};
pub use log::{DeliveryLog, DeliveryState, Tracked};
pub use table::RouteTable;

/// The source of the error where a bound is reached.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("too many messages are being sent")]
struct TooMany;
