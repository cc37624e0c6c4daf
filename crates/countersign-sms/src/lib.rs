#![doc = include_str!("../README.md")]

mod endpoint;
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
