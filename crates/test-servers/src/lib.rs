//! Real servers, more processes and failing connections, for the tests of this repository.

mod forwarder;
pub mod processes;
pub mod servers;

pub use forwarder::Forwarder;
