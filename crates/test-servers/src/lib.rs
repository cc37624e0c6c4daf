//! What the tests of countersign's own stores start: real servers, several processes, and lines
//! between them that fail.

mod forwarder;
pub mod processes;
pub mod servers;

pub use forwarder::Forwarder;
