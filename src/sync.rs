//! The locks of the in-memory stores: the standard library's, or those of a scheduler that runs the
//! tests under chosen schedules (`--cfg countersign_shuttle`, see `tests/schedules.rs`).

#[cfg(countersign_shuttle)]
pub(crate) use shuttle::sync::{Mutex, MutexGuard, RwLock};
#[cfg(not(countersign_shuttle))]
pub(crate) use std::sync::{Mutex, MutexGuard, RwLock};
