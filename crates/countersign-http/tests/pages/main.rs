//! The pages, driven as a browser without scripts would.
#![cfg(feature = "pages")]
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects
)]

mod account;
mod administration;
#[path = "../web/browser.rs"]
mod browser;
#[path = "../web/described.rs"]
mod described;
mod login;
mod people;
mod review;
mod safety;
mod settings;
mod single_sign_on;
mod visitor;
