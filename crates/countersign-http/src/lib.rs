#![doc = include_str!("../README.md")]

mod account;
mod administration;
mod answer;
mod body;
mod cookies;
mod endpoints;
mod exchange;
mod hosts;
pub mod memory;
#[cfg(feature = "openapi")]
mod openapi;
mod origin;
#[cfg(feature = "pages")]
pub mod pages;
mod people;
mod texts;
mod tokens;
mod web;
mod wire;

pub use answer::refusal;
pub use body::MAX_BODY;
pub use hosts::{ClientAddress, OneTenant, Sessions, Tenants, TenantsByHost};
#[cfg(feature = "openapi")]
pub use openapi::openapi;
pub use texts::{Language, refusal_text};
pub use tokens::{DEVICE_TOKEN, LOGIN_TOKEN, SETUP_TOKEN};
pub use web::{Web, WebBuilder};
