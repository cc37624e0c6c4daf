//! Email delivery for [countersign](https://docs.rs/countersign): codes and notices over SMTP.
//!
//! ```no_run
//! use countersign::EmailAddress;
//! use countersign::message::Messages;
//! use countersign_smtp::{SmtpPassword, SmtpSender};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sender = SmtpSender::relay("smtp.example.com")
//!     .credentials("countersign", SmtpPassword::new(std::env::var("SMTP_PASSWORD")?))
//!     .build(&EmailAddress::new("no-reply@example.com")?, Messages::builder("Example").build()?)?;
//! # Ok(())
//! # }
//! ```
//!
//! What it keeps to:
//!
//! - The server's certificate is checked, and nothing is sent without TLS. The one exception has a loud name and reaches only this machine.
//! - A message goes to the one address it is for (`I-33`). An international domain is sent in its ASCII form; an international mailbox name
//!   needs a server with `SMTPUTF8`, and is refused as permanent where the server has it not.
//! - What failed is told apart by how far the conversation was: until the text was handed over, nothing was sent; after that, only the
//!   server's own answer says so. Without one the result is *unknown* and nothing is tried again.
//! - No address, code or text of the server's answer is in an error (`I-22`): reply codes and enhanced status codes only.
//!
//! What it does not do: sign with DKIM (the relay does that), handle bounces, or queue.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

mod address;
mod builder;
mod compose;
mod connection;
mod failure;
mod sender;

pub use builder::{ConfigError, SmtpBuilder, SmtpPassword};
pub use failure::{Phase, SmtpFailure};
pub use sender::SmtpSender;
