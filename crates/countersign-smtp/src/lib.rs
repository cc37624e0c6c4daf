#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

mod address;
mod builder;
mod compose;
mod connection;
mod failure;
mod sender;

pub use builder::{ConfigError, SmtpBuilder, SmtpPassword};
pub use failure::{Phase, SmtpFailure};
pub use sender::SmtpSender;
