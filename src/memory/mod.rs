//! In-process stores: for tests, demos, and applications that are one process and may forget
//! everything when it ends.

mod budget;
mod factors;
mod users;

pub use budget::MemoryBudget;
pub use factors::MemoryFactors;
pub use users::{MemoryUsers, NoSuchUser};
