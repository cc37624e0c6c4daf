//! The router, the extractors and the jobs, in an axum application.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod address;
mod detach;
mod extract;
mod flood;
mod maintenance;
mod routes;
#[cfg(feature = "tower-sessions")]
mod sessions;
mod single_sign_on;
mod site;
