//! What the tests share: messages to send, and senders for a server on loopback.
#![allow(dead_code, missing_docs, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::missing_panics_doc)]

use std::fmt::Write as _;
use std::time::Duration;

use countersign::clock::ManualClock;
use countersign::contact::{Destination, EmailAddress, PhoneNumber};
use countersign::event::EventKind;
use countersign::sender::{
    CodeMessage, CodeSender, Notice, NoticeKind, Purpose, SendError, SendErrorKind,
};
use countersign::{Code, Method, RequestContext, TenantId, UserId};
use countersign_delivery::message::Messages;
use countersign_sms::{
    AwsCredentials, Http, Origin, Provider, ReqwestHttp, SmsFailure, SmsSecret, SmsSender, Sns,
    Twilio, Vonage,
};
use time::OffsetDateTime;

pub const CODE: &str = "836194";
pub const NUMBER: &str = "+819012345634";
pub const SECRETS: [&str; 5] =
    [CODE, "9012345634", "twilio-token", "vonage-secret", "aws-secret-key"];

pub fn number(text: &str) -> PhoneNumber {
    PhoneNumber::new(text).unwrap()
}

pub fn messages() -> Messages {
    Messages::builder("Example").origin_host("example.com").build().unwrap()
}

pub fn code() -> CodeMessage {
    CodeMessage {
        tenant: TenantId::new("acme").unwrap(),
        user: UserId::new("alice").unwrap(),
        login: "AAAAAAAAAAAAAAAAAAAAAA".parse().unwrap(),
        purpose: Purpose::Login,
        destination: Destination::Sms(number(NUMBER)),
        code: Code::new(CODE),
        reference: serde_json::from_str("\"BKTR\"").unwrap(),
        valid_for: Duration::from_secs(180),
        expires_at: OffsetDateTime::from_unix_timestamp(1_795_514_580).unwrap(),
        language: None,
    }
}

pub fn code_by_email() -> CodeMessage {
    CodeMessage {
        destination: Destination::Email(EmailAddress::new("alice@example.com").unwrap()),
        ..code()
    }
}

pub fn notice() -> Notice {
    Notice {
        tenant: TenantId::new("acme").unwrap(),
        user: UserId::new("alice").unwrap(),
        destination: Destination::Sms(number(NUMBER)),
        kind: NoticeKind::Reset,
        at: OffsetDateTime::from_unix_timestamp(1_795_514_400).unwrap(),
        language: None,
        held_back: 0,
        from: RequestContext::new(),
    }
}

pub const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";

pub fn twilio(base: &str) -> Twilio {
    Twilio::new(ACCOUNT, SmsSecret::new("twilio-token"))
        .unwrap()
        .from(Origin::number(&number("+15005550006")))
        .base_url(base)
}

pub fn vonage(base: &str) -> Vonage {
    Vonage::new("abcd1234", SmsSecret::new("vonage-secret"), Origin::name("Example").unwrap())
        .unwrap()
        .base_url(base)
}

pub fn sns(base: &str) -> Sns {
    let credentials =
        AwsCredentials::new("AKIDEXAMPLE01234", SmsSecret::new("aws-secret-key")).unwrap();
    let clock = ManualClock::new(OffsetDateTime::from_unix_timestamp(1_795_514_400).unwrap());
    let sns = Sns::new("eu-west-1", credentials).unwrap().from(Origin::name("Example").unwrap());
    sns.url(base).unwrap().clock(clock)
}

/// A client that may talk to loopback, and has as long as a busy machine needs.
pub fn http() -> ReqwestHttp {
    within(Duration::from_secs(60))
}

/// The same with so much time for each exchange.
pub fn within(budget: Duration) -> ReqwestHttp {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = ReqwestHttp::builder().dangerously_allow_unencrypted();
    builder.time_budget(budget).connect_timeout(Duration::from_secs(60)).build().unwrap()
}

pub fn sender(provider: impl Provider + 'static, http: impl Http + 'static) -> SmsSender {
    SmsSender::new(provider, http, messages())
}

/// One sender of each kind, for the server at this address.
pub fn senders(base: &str, http: &ReqwestHttp) -> [SmsSender; 3] {
    let http = || http.clone();
    [sender(twilio(base), http()), sender(vonage(base), http()), sender(sns(base), http())]
}

/// The kind of a failed send, whose texts repeat no secret however they are printed (I-22).
#[track_caller]
pub fn kind(error: &SendError) -> SendErrorKind {
    let mut printed = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    assert!(source.is_some_and(<dyn std::error::Error>::is::<SmsFailure>));
    while let Some(error) = source {
        write!(printed, " {error} {error:?}").unwrap();
        source = error.source();
    }
    // As the flow tells its operator.
    let causes = code().causes(error);
    assert!(!causes.is_empty() && !causes.to_string().contains("withheld"), "{causes}");
    write!(printed, " {causes} {causes:?} {}", serde_json::to_string(&causes).unwrap()).unwrap();
    let event = EventKind::DeliveryFailed {
        login: code().login,
        method: Method::Sms,
        error: error.kind(),
        causes,
    };
    write!(printed, " {event:?} {}", serde_json::to_string(&event).unwrap()).unwrap();
    for secret in SECRETS {
        assert!(!printed.contains(secret), "{printed}");
    }
    error.kind()
}

/// What came of sending one code.
pub async fn outcome(sender: &SmsSender) -> Result<countersign::sender::SendStatus, SendErrorKind> {
    sender.send_code(&code()).await.map_err(|error| kind(&error))
}
