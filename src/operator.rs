//! For operators: what is done for a tenant without a session, and the jobs that tidy up.
//!
//! [`LoginFlow::operator`](crate::LoginFlow::operator) answers an [`Operator`]. Nobody is asked for
//! a second factor here: keep it out of reach of web requests. What an administrator may do from a
//! session is [`Administration`](crate::Administration).

pub use crate::flow::{Expected, Explanation, Operator, PurgeProgress, SweepCursor, SweepProgress};
