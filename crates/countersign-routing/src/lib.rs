#![doc = include_str!("../README.md")]

mod chain;
mod in_time;
mod log;
mod message;
mod table;

pub use chain::{Chain, ChainFailure};
pub use in_time::{InTime, LateOutcome};
pub use log::{DeliveryLog, DeliveryState, Watched};
pub use table::RouteTable;

/// The source of the error where a bound is reached.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("too many messages are being sent")]
struct TooMany;
