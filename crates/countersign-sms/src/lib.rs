//! SMS delivery for [countersign](https://docs.rs/countersign): codes and notices through Twilio, Vonage or AWS SNS.
//!
//! A [`Provider`] writes the request and reads the answer, an [`Http`] carries both; neither knows the other. The feature `reqwest` has an
//! `Http` ready, `ReqwestHttp`.
//!
#![cfg_attr(feature = "reqwest", doc = "```no_run")]
#![cfg_attr(not(feature = "reqwest"), doc = "```text")]
//! use countersign::PhoneNumber;
//! use countersign::message::Messages;
//! use countersign_sms::{Origin, ReqwestHttp, SmsSecret, SmsSender, Twilio};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let token = String::new();
//! let twilio = Twilio::new("ACxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", SmsSecret::new(token))?
//!     .from(Origin::number(&PhoneNumber::new("+15551234567")?));
//! let messages = Messages::builder("Example").origin_host("login.example.com").build()?;
//! let sender = SmsSender::new(twilio, ReqwestHttp::new()?, messages);
//! # Ok(())
//! # }
//! ```
//!
//! What it keeps to:
//!
//! - One request for each message. No redirect is followed and nothing is sent again by itself: an SMS that perhaps went out costs money
//!   and, worse, confuses.
//! - "Accepted" is what providers answer with, not "delivered". An answer that does not say whether the message was taken is *unknown*.
//! - No number, code, credential or text of an answer is in an error or in `Debug` (`I-22`); providers' error texts repeat the number.

mod failure;
mod form;
mod http;
mod sender;
mod sigv4;
mod sns;
mod twilio;
mod vonage;

#[cfg(feature = "reqwest")]
mod client;

#[cfg(feature = "reqwest")]
pub use client::{ReqwestHttp, ReqwestHttpBuilder, ReqwestHttpError};
pub use failure::SmsFailure;
pub use http::{Http, HttpError, HttpRequest, HttpResponse, MAX_ANSWER};
pub use sender::{Origin, Provider, Sms, SmsConfigError, SmsSecret, SmsSender};
pub use sns::{AwsCredentials, Sns};
pub use twilio::{Twilio, TwilioAccount};
pub use vonage::Vonage;
