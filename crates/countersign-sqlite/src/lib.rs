#![doc = include_str!("../README.md")]

mod budget;
mod calls;
mod error;
mod file;
mod options;
mod schema;
mod store;
mod threads;
mod turns;

pub use budget::SqliteBudget;
pub use error::SqliteError;
pub use options::{Durability, SqliteOptions};
pub use store::SqliteFactors;
