#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

mod address;
mod budget;
mod connection;
mod credentials;
mod error;
mod keys;
mod options;
mod prepare;
mod scripts;
mod sentinel;
mod shared;
mod store;
#[cfg(feature = "tls")]
mod tls;

pub use budget::RedisBudget;
pub use credentials::Credentials;
pub use error::RedisError;
pub use options::RedisOptions;
pub use store::RedisFactors;
