//! What can only be tested with a view of the inside: nodes that read different formats.
#![allow(clippy::unwrap_used, clippy::panic)]

mod rolling;
