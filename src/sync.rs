//! The locks of the in-memory stores: the standard library's, or those of a scheduler that runs the
//! tests under chosen schedules (the package in `schedules/`).

#[cfg(feature = "schedules")]
pub(crate) use shuttle::sync::{Mutex, MutexGuard, RwLock};
#[cfg(not(feature = "schedules"))]
pub(crate) use std::sync::{Mutex, MutexGuard, RwLock};
