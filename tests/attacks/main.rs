//! The attack catalogue.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

#[path = "../support/mod.rs"]
mod support;

mod binding;
mod broken;
mod bypass;
mod codes;
mod disclosure;
mod guessing;
mod lifecycle;
mod robustness;
