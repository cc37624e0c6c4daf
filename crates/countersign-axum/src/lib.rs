#![doc = include_str!("../README.md")]

mod address;
mod detach;
mod extract;
mod maintenance;
mod router;
#[cfg(feature = "tower-sessions")]
mod sessions;

pub use address::client_address;
pub use detach::{Detach, Detached};
pub use extract::{Administrator, RecentSecondFactor, SignInPage, SignedIn};
pub use maintenance::{Maintenance, MaintenanceError, TenantList};
pub use router::router;
#[cfg(feature = "tower-sessions")]
pub use sessions::TowerSessions;
