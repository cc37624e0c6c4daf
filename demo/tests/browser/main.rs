//! The demo as people use it, in a real browser.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod administration;
mod browser;
mod demo;
#[path = "../../../scripts/test_servers/find.rs"]
mod find;
mod hostile;
mod login;
mod looks;
mod mistakes;
mod process;
mod review;
mod screens;
mod single_sign_on;
