//! The core through its public API, one module for each behaviour, in one program: linking is most
//! of what a test file of its own costs.
#![allow(missing_docs)]

#[path = "../support/mod.rs"]
mod support;

mod account;
mod administration;
mod attacks;
mod backup_code;
mod busy;
mod calls;
mod causes;
mod challenge;
mod check_password;
mod clock;
mod code;
mod code_budget;
mod code_secrecy;
mod completion;
mod concurrency;
mod config;
mod custom;
mod events;
mod faults;
mod first_step;
mod format;
mod guards;
mod input;
mod json;
mod known_tenants;
mod login;
mod loose;
mod notices;
mod operator;
mod present;
mod purge;
mod rehash;
mod rehearsal;
mod reports;
mod request;
mod request_policy;
mod resend;
mod reset;
mod revalidate;
mod scope;
mod sending;
mod settings_notices;
mod single_sign_on;
mod spelling;
mod standards;
mod state_machine;
mod sweep;
mod tenant_settings;
mod trusted_device;
mod year;
