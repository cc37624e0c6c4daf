#![doc = include_str!("../README.md")]

mod calls;
mod error;
mod options;
mod schema;
mod store;
mod threads;

pub use error::SqliteError;
pub use options::{Durability, SqliteOptions};
pub use store::SqliteFactors;
