#![doc = include_str!("../README.md")]

mod error;
mod migrate;
mod options;
mod sql;
mod store;
mod tls;

pub use error::PostgresError;
pub use options::PostgresOptions;
pub use store::PostgresFactors;
