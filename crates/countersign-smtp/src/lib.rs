#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

mod address;
mod auth;
mod builder;
mod compose;
mod deadline;
mod dial;
mod dialogue;
mod extensions;
mod failure;
mod pool;
mod reply;
mod sender;
mod session;
mod text;
mod tls;

#[cfg(test)]
#[path = "../tests/support/play.rs"]
mod play;

pub use builder::{ConfigError, SmtpBuilder, SmtpPassword};
pub use failure::{Phase, SmtpCause, SmtpFailure, TlsProblem};
pub use reply::EnhancedCode;
pub use sender::SmtpSender;
