#![doc = include_str!("../README.md")]

mod budget;
mod error;
mod late;
mod migrate;
mod options;
mod sql;
mod store;
mod tls;

pub use budget::PostgresBudget;
pub use error::PostgresError;
pub use options::PostgresOptions;
pub use store::PostgresFactors;
