//! The endpoints, driven as a browser and as a mobile application would.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod account;
mod administration;
mod browser;
mod described;
mod foreign;
mod golden;
mod login;
mod mobile;
mod people;
mod refusals;
mod single_sign_on;
mod tenant;
mod transcript;
