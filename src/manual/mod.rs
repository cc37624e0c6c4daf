//! The manual: how the pieces work together. Documentation only, no code.
//!
//! - [`login`]: a login step by step, and what a page shows at each.
//! - [`storage`]: what is saved, in which form, and what a copy of it is worth.

pub mod login;
pub mod storage;
