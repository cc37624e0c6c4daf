//! What can stand beside the password. Each check compares, and answers a proof that only it can
//! make; none knows of logins.

pub(super) mod backup;
pub(super) mod code;
pub(super) mod device;
pub(super) mod exempt;
