//! What is counted in a user's record: failures, sends and refills.

pub(super) mod failures;
pub(super) mod refills;
pub(super) mod sends;
