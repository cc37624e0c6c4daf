//! For administrators' pages: what a tenant has decided, who its people are, and what a change
//! would do.
//!
//! [`RequestFlow::administration`](crate::RequestFlow::administration) answers an
//! [`Administration`].

pub use crate::flow::{
    Administration, Affected, LockOuts, PeoplePage, Person, Rehearsal, SettingsBounds,
    ShownSettings,
};
