#![doc = include_str!("../README.md")]

mod address;
mod budget;
mod connection;
mod credentials;
mod error;
mod late;
mod migrate;
mod options;
mod pooler;
mod share;
mod sql;
mod store;
mod tls;

pub use budget::PostgresBudget;
pub use credentials::Credentials;
pub use error::PostgresError;
pub use options::PostgresOptions;
pub use store::PostgresFactors;
