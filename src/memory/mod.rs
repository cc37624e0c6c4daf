//! In-process stores: for tests, demos, and applications that are one process and may forget
//! everything when it ends.

mod factors;
mod users;

pub use factors::MemoryFactors;
pub use users::{MemoryUsers, NoSuchUser};
