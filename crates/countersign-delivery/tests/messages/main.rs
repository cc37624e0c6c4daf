//! What people read: every message in both languages, and what no message may contain.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod hostile;
mod notices;
mod tenants;
mod texts;
mod wording;

use std::fmt::Write as _;
use std::time::Duration;

use countersign::contact::{Destination, EmailAddress};
use countersign::sender::{CodeMessage, Notice, NoticeKind, Purpose};
use countersign::user::Language;
use countersign::{Code, DeviceLabel, Method, RequestContext, TenantId, UserId};
use countersign_delivery::message::{CodeFacts, Messages, MessagesBuilder, Wording};
use time::OffsetDateTime;

/// 24 November 2026, 10:00 UTC.
const AT: i64 = 1_795_514_400;

fn code(code: &str, purpose: Purpose, language: Option<&str>) -> CodeMessage {
    CodeMessage {
        tenant: TenantId::new("acme").unwrap(),
        user: UserId::new("alice").unwrap(),
        login: "AAAAAAAAAAAAAAAAAAAAAA".parse().unwrap(),
        purpose,
        destination: Destination::Email(EmailAddress::new("alice@example.com").unwrap()),
        code: Code::new(code),
        reference: serde_json::from_str("\"BKTR\"").unwrap(),
        valid_for: Duration::from_secs(180),
        expires_at: OffsetDateTime::from_unix_timestamp(AT + 180).unwrap(),
        language: language.map(|tag| Language::new(tag).unwrap()),
    }
}

fn notice(kind: NoticeKind, language: Option<&str>) -> Notice {
    Notice {
        tenant: TenantId::new("acme").unwrap(),
        user: UserId::new("alice").unwrap(),
        destination: Destination::Email(EmailAddress::new("alice@example.com").unwrap()),
        kind,
        at: OffsetDateTime::from_unix_timestamp(AT).unwrap(),
        language: language.map(|tag| Language::new(tag).unwrap()),
        held_back: 0,
        from: RequestContext::new(),
    }
}

fn kinds() -> Vec<NoticeKind> {
    let until = OffsetDateTime::from_unix_timestamp(AT + 900).unwrap();
    vec![
        NoticeKind::MethodChanged { to: Method::Email },
        NoticeKind::MethodChanged { to: Method::Sms },
        NoticeKind::Reset,
        NoticeKind::BackupCodeUsed,
        NoticeKind::BackupCodeMade,
        NoticeKind::DeviceTrusted { label: DeviceLabel::new("Office laptop"), dropped: None },
        NoticeKind::DeviceTrusted {
            label: DeviceLabel::new("call +1 555 123 4567"),
            dropped: None,
        },
        NoticeKind::SettingsChanged { weakens: true },
        NoticeKind::SettingsChanged { weakens: false },
        NoticeKind::Locked { until: Some(until) },
        NoticeKind::Locked { until: None },
    ]
}

fn messages() -> Messages {
    Messages::builder("Example").origin_host("example.com").build().unwrap()
}

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

const PURPOSES: [Purpose; 2] = [Purpose::Login, Purpose::MethodSetup];

fn every_email(language: &str) -> String {
    let messages = messages();
    let codes =
        PURPOSES.map(|purpose| messages.code_email(&code("012345", purpose, Some(language))));
    let notices =
        kinds().into_iter().map(|kind| messages.notice_email(&notice(kind, Some(language))));
    codes.into_iter().chain(notices).fold(String::new(), |mut all, email| {
        writeln!(all, "Subject: {}\n\n{}\n----------------", email.subject(), email.expose_text())
            .unwrap();
        all
    })
}

fn every_sms(language: &str) -> String {
    let messages = messages();
    let codes = PURPOSES.map(|purpose| messages.code_sms(&code("012345", purpose, Some(language))));
    let notices =
        kinds().into_iter().map(|kind| messages.notice_sms(&notice(kind, Some(language))));
    codes.into_iter().chain(notices).fold(String::new(), |mut all, sms| {
        let segments = sms.segments();
        assert!(segments.is_one(), "{segments:?}");
        writeln!(
            all,
            "{}\n---------------- {} {:?}",
            sms.expose(),
            segments.units,
            segments.encoding
        )
        .unwrap();
        all
    })
}

/// Says one text as a code by SMS, and leaves the rest.
struct Own(&'static str);

impl Wording for Own {
    fn code_sms(&self, facts: &CodeFacts<'_>) -> Option<String> {
        Some(self.0.replace("NAME", facts.application))
    }
}

fn german(wording: impl Wording + 'static) -> MessagesBuilder {
    Messages::builder("Example").language(&Language::new("de").unwrap(), wording)
}
