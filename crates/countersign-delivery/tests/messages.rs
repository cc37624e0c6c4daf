//! What people read: every message in both languages, and what no message may contain.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

#[path = "support/origin_bound.rs"]
mod origin_bound;

use std::fmt::Write as _;
use std::time::Duration;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use countersign::contact::{Destination, EmailAddress};
use countersign::error::PluginError;
use countersign::event::EventKind;
use countersign::memory::MemoryFactors;
use countersign::sender::{
    CodeMessage, CodeSender, Notice, NoticeKind, Purpose, SendError, SendErrorKind, SendStatus,
};
use countersign::user::Language;
use countersign::{
    Channel, Code, DeliveryStatus, DeviceLabel, Login, LoginFlow, LoginStep, Method,
    RequestContext, Scope, TenantId, UserId,
};
use countersign_delivery::message::{
    BadText, CODE, CodeFacts, EmailWords, MessageSource, Messages, MessagesBuilder, MessagesError,
    NoMessages, NoticeFacts, Part, SmsEncoding, TenantMessages, Wording, messages_of,
};
use countersign_testkit::{Person, PlainPasswords, World};
use proptest::prelude::*;
use time::{OffsetDateTime, UtcOffset};

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

#[test]
fn emails_read_like_this_in_english() {
    insta::assert_snapshot!(every_email("en"));
}

#[test]
fn emails_read_like_this_in_japanese() {
    insta::assert_snapshot!(every_email("ja"));
}

#[test]
fn sms_read_like_this_in_english() {
    insta::assert_snapshot!(every_sms("en"));
}

#[test]
fn sms_read_like_this_in_japanese() {
    insta::assert_snapshot!(every_sms("ja"));
}

/// I-15: what was held back is told with the next notice of its kind, in both languages, and never
/// at the price of a second SMS.
#[test]
fn a_notice_says_how_many_were_held_back() {
    let cases = [
        (
            1,
            "One more notice of this kind was held back",
            "お知らせを1件省略しました",
            "(1 more)",
            "（ほか1件）",
        ),
        (
            7,
            "7 more notices of this kind were held back",
            "お知らせを7件省略しました",
            "(7 more)",
            "（ほか7件）",
        ),
        (
            999,
            "999 or more notices of this kind were held back",
            "お知らせを999件以上省略しました",
            "(999 or more)",
            "（ほか999件以上）",
        ),
    ];
    for kind in kinds() {
        for (held_back, english_email, japanese_email, english_sms, japanese_sms) in cases {
            let said = |language| {
                let notice = Notice { held_back, ..notice(kind.clone(), Some(language)) };
                (messages().notice_email(&notice), messages().notice_sms(&notice))
            };
            let (english, japanese) = (said("en"), said("ja"));
            assert!(english.0.expose_text().contains(english_email), "{}", english.0.expose_text());
            assert!(
                japanese.0.expose_text().contains(japanese_email),
                "{}",
                japanese.0.expose_text()
            );
            assert!(english.1.expose().ends_with(english_sms), "{}", english.1.expose());
            let counted = format!("{japanese_sms}。");
            assert!(japanese.1.expose().contains(&counted), "{}", japanese.1.expose());
            assert!(english.1.segments().is_one() && japanese.1.segments().is_one());
        }
        for language in ["en", "ja"] {
            let none = notice(kind.clone(), Some(language));
            let text = messages().notice_email(&none).expose_text().to_owned()
                + messages().notice_sms(&none).expose();
            assert!(
                !["held back", "省略", "more)", "ほか"].iter().any(|words| text.contains(words)),
                "{text}"
            );
        }
    }
    // With the longest name that a Japanese notice takes, there is no room for the number.
    let most = (1..80).rfind(|most| Messages::builder("a".repeat(*most)).build().is_ok()).unwrap();
    let messages = Messages::builder("a".repeat(most)).build().unwrap();
    let longest =
        Notice { held_back: 999, ..notice(NoticeKind::Locked { until: None }, Some("ja")) };
    let sms = messages.notice_sms(&longest);
    assert!(sms.segments().is_one() && !sms.expose().contains("ほか"), "{}", sms.expose());
    assert!(messages.notice_email(&longest).expose_text().contains("999件以上省略"));
}

/// What a client calls itself gets into no message; only names of a fixed list do.
#[test]
fn a_notice_says_where_the_request_came_from() {
    let windows = "Mozilla/5.0 (Windows NT 10.0; rv:145.0) Gecko/20100101 Firefox/145.0";
    let hostile = "http://evil.example call +1 555 0100 123456 <b>\"";
    let context = |address: &str, user_agent| {
        RequestContext::new()
            .with_client_address(address.parse().unwrap())
            .with_user_agent(user_agent)
    };
    for (language, user_agent, address, email, sms) in [
        (
            "en",
            windows,
            "203.0.113.7",
            "From: 203.0.113.7, Firefox on Windows.",
            "(IP 203.0.113.7)",
        ),
        (
            "ja",
            windows,
            "203.0.113.7",
            "接続元: 203.0.113.7、Firefox（Windows）",
            "（IP 203.0.113.7）",
        ),
        ("en", hostile, "2001:db8::1234:1", "From: 2001:db8::1234:1.", "(IP 2001:db8::1234:1)"),
        ("ja", hostile, "2001:db8::1", "接続元: 2001:db8::1", "（IP 2001:db8::1）"),
    ] {
        let from = context(address, user_agent);
        let notice = Notice { from, ..notice(NoticeKind::BackupCodeMade, Some(language)) };
        let text = messages().notice_email(&notice);
        assert!(text.expose_text().lines().any(|line| line == email), "{}", text.expose_text());
        for leaked in ["evil", "555", "123456", "<b>"] {
            assert!(!text.expose_html().contains(leaked), "{language}: {leaked}");
        }
        let text = messages().notice_sms(&notice);
        assert!(text.segments().is_one() && text.expose().contains(sms), "{}", text.expose());
    }
    // Half of it, and nothing.
    let client = RequestContext::new().with_user_agent(windows);
    for (language, line) in
        [("en", "From: Firefox on Windows."), ("ja", "接続元: Firefox（Windows）")]
    {
        let known = Notice { from: client.clone(), ..notice(NoticeKind::Reset, Some(language)) };
        assert!(messages().notice_email(&known).expose_text().contains(line));
        assert!(!messages().notice_sms(&known).expose().contains("IP"));
        let unknown = messages().notice_email(&notice(NoticeKind::Reset, Some(language)));
        assert!(!["From:", "接続元"].iter().any(|word| unknown.expose_text().contains(word)));
    }
    // An SMS that has no room for it goes without.
    let name = "a".repeat(26);
    let until = OffsetDateTime::from_unix_timestamp(AT).unwrap();
    for language in ["en", "ja"] {
        let from = context("2001:db8:1111:2222:3333:4444:5555:6666", windows);
        let kind = NoticeKind::Locked { until: Some(until) };
        let locked = Notice { from, ..notice(kind, Some(language)) };
        let messages = Messages::builder(&*name).build().unwrap();
        let text = messages.notice_sms(&locked);
        assert!(text.segments().is_one() && !text.expose().contains("2001"), "{}", text.expose());
        assert!(messages.notice_email(&locked).expose_text().contains("2001:db8:1111"));
    }
}

/// The address is no number that could be the code; any other one still is.
#[test]
fn a_wording_of_ones_own_may_say_the_address_and_no_other_number() {
    struct Own(&'static str);
    impl Wording for Own {
        fn notice_email(&self, facts: &NoticeFacts<'_>) -> Option<EmailWords> {
            let address = facts.from.address.map(|address| address.to_string());
            let shown = address.unwrap_or_else(|| "ergens".to_owned());
            Some(EmailWords::new("Let op").paragraph(format!("Van {shown}{}", self.0)))
        }
    }
    let build =
        |own| Messages::builder("Example").language(&Language::new("nl").unwrap(), own).build();
    let messages = build(Own(".")).unwrap();
    let from = RequestContext::new().with_client_address([203, 0, 113, 7].into());
    let known = Notice { from, ..notice(NoticeKind::Reset, Some("nl")) };
    assert!(messages.notice_email(&known).expose_text().contains("Van 203.0.113.7."));
    assert!(matches!(
        build(Own(" bel 123456")).unwrap_err(),
        MessagesError::Wording { part: Part::NoticeEmail, problem: BadText::Number, .. }
    ));
}

#[test]
fn html_looks_like_this() {
    let messages = Messages::builder("Tom & \"Jerry\" <beta>").build().unwrap();
    let code = messages.code_email(&code("012345", Purpose::Login, Some("en")));
    let notice = messages.notice_email(&notice(NoticeKind::Reset, Some("ja-JP")));
    insta::assert_snapshot!(format!("{}\n{}", code.expose_html(), notice.expose_html()));
}

#[test]
fn no_message_has_a_link_in_any_form() {
    let all = ["en", "ja"]
        .map(|tag| every_email(tag) + &every_sms(tag))
        .concat()
        .replace("@example.com #012345", "");
    let html = messages().code_email(&code("012345", Purpose::Login, None));
    for mark in ["://", "www", "href", "mailto", ".com", "src=", "url(", "<a", "<img", "<script"] {
        assert!(!all.contains(mark), "{mark}");
        assert!(!html.expose_html().contains(mark), "{mark}");
    }
}

#[test]
fn a_code_stands_in_the_body_and_never_in_the_subject() {
    for language in ["en", "ja"] {
        for purpose in PURPOSES {
            let email = messages().code_email(&code("836194", purpose, Some(language)));
            assert!(!email.subject().contains("836194"));
            assert_eq!(email.expose_text().lines().filter(|line| *line == "836194").count(), 1);
            assert_eq!(email.expose_html().matches("836194").count(), 1);
            assert!(email.expose_text().contains("BKTR") && email.subject().contains("BKTR"));
            let sms = messages().code_sms(&code("836194", purpose, Some(language)));
            assert_eq!(
                sms.expose().matches("836194").count(),
                2,
                "in the text and in the last line"
            );
            assert!(sms.expose().contains("BKTR"));
        }
    }
}

#[test]
fn a_time_is_said_by_the_users_clock_and_with_its_distance_from_utc() {
    let until = OffsetDateTime::from_unix_timestamp(AT + 900).unwrap();
    for (offset, english, sms, japanese, japanese_sms) in [
        (
            (0, 0, 0),
            "24 November 2026, 10:00 UTC",
            "24 November, 10:15 UTC",
            "2026年11月24日 10:00（UTC）",
            "11月24日10:15(UTC)",
        ),
        (
            (9, 0, 0),
            "24 November 2026, 19:00 (UTC+9)",
            "24 November, 19:15 (UTC+9)",
            "2026年11月24日 19:00（UTC+9）",
            "11月24日19:15(UTC+9)",
        ),
        (
            (-9, -30, 0),
            "24 November 2026, 00:30 (UTC-9:30)",
            "24 November, 00:45 (UTC-9:30)",
            "2026年11月24日 00:30（UTC-9:30）",
            "11月24日00:45(UTC-9:30)",
        ),
        (
            (14, 0, 0),
            "25 November 2026, 00:00 (UTC+14)",
            "25 November, 00:15 (UTC+14)",
            "2026年11月25日 00:00（UTC+14）",
            "11月25日00:15(UTC+14)",
        ),
        (
            (0, -30, 0),
            "24 November 2026, 09:30 (UTC-0:30)",
            "24 November, 09:45 (UTC-0:30)",
            "2026年11月24日 09:30（UTC-0:30）",
            "11月24日09:45(UTC-0:30)",
        ),
        // Seconds are left out of both.
        (
            (-5, -30, -59),
            "24 November 2026, 04:30 (UTC-5:30)",
            "24 November, 04:45 (UTC-5:30)",
            "2026年11月24日 04:30（UTC-5:30）",
            "11月24日04:45(UTC-5:30)",
        ),
    ] {
        let (hours, minutes, seconds) = offset;
        let offset = UtcOffset::from_hms(hours, minutes, seconds).unwrap();
        let locked = |language| {
            let mut notice =
                notice(NoticeKind::Locked { until: Some(until.to_offset(offset)) }, Some(language));
            notice.at = notice.at.to_offset(offset);
            notice
        };
        let email = messages().notice_email(&locked("en"));
        assert!(
            email.expose_text().contains(&format!("When: {english}.")),
            "{}",
            email.expose_text()
        );
        assert!(
            email.expose_text().contains(&format!(
                "until {}",
                english.replace(":00", ":15").replace(":30 ", ":45 ")
            ))
        );
        let text = messages().notice_sms(&locked("en"));
        assert!(
            text.expose().contains(&format!("until {sms}. Not you?")) && text.segments().is_one(),
            "{}",
            text.expose()
        );
        let email = messages().notice_email(&locked("ja"));
        assert!(
            email.expose_text().contains(&format!("日時: {japanese}\n")),
            "{}",
            email.expose_text()
        );
        let text = messages().notice_sms(&locked("ja"));
        assert!(
            text.expose().contains(japanese_sms) && text.segments().is_one(),
            "{}",
            text.expose()
        );
    }
}

/// The short text leaves the time out, so that a long name and a far zone fit into one SMS.
#[test]
fn a_far_zone_and_a_long_name_fit_into_one_sms() {
    let offset = UtcOffset::from_hms(12, 45, 0).unwrap();
    let until = OffsetDateTime::from_unix_timestamp(AT).unwrap().to_offset(offset);
    for name in ["会計システム", "Example", "Example Accounting Service"] {
        let messages = Messages::builder(name).build().unwrap();
        let text =
            messages.notice_sms(&notice(NoticeKind::Locked { until: Some(until) }, Some("ja")));
        assert!(text.segments().is_one() && text.expose().starts_with(name), "{}", text.expose());
    }
}

/// I-22.
#[test]
fn debug_shows_no_code() {
    let email = messages().code_email(&code("836194", Purpose::Login, None));
    let sms = messages().code_sms(&code("836194", Purpose::Login, None));
    assert!(!format!("{email:?} {sms:?}").contains("836194"));
}

#[test]
fn the_language_is_the_users_and_falls_back() {
    let subject = |messages: &Messages, tag: Option<&str>| {
        let japanese =
            messages.code_email(&code("000000", Purpose::Login, tag)).subject().contains("認証");
        if japanese { "ja" } else { "en" }
    };
    let messages = messages();
    for (tag, spoken) in [
        (Some("ja"), "ja"),
        (Some("JA-jp"), "ja"),
        (Some("ja-Jpan-JP-x-acme"), "ja"),
        (Some("en-GB"), "en"),
        (Some("de"), "en"),
        (Some("jav"), "en"),
        (None, "en"),
    ] {
        assert_eq!(subject(&messages, tag), spoken, "{tag:?}");
    }
    let tag = |text| Language::new(text).unwrap();
    let japanese_first = Messages::builder("Example").default_language(tag("ja")).build().unwrap();
    assert_eq!(subject(&japanese_first, Some("de")), "ja");
    assert_eq!(subject(&japanese_first, None), "ja");
    assert_eq!(subject(&japanese_first, Some("en")), "en");
    let english_only = Messages::builder("Example").without_language(&tag("ja")).build().unwrap();
    assert_eq!(subject(&english_only, Some("ja")), "en");
    let nobody = Messages::builder("Example")
        .without_language(&tag("ja"))
        .default_language(tag("ja"))
        .build();
    assert_eq!(nobody.unwrap_err(), MessagesError::DefaultLanguage { language: "ja".into() });
}

/// Says one text as a code by SMS, and leaves the rest.
struct Own(&'static str);

impl Wording for Own {
    fn code_sms(&self, facts: &CodeFacts<'_>) -> Option<String> {
        Some(self.0.replace("NAME", facts.application))
    }
}

/// Behaves when it is tried out, and misbehaves with the tenant that comes later.
struct Turncoat;

impl Wording for Turncoat {
    fn code_email(&self, facts: &CodeFacts<'_>) -> Option<EmailWords> {
        let trap = if facts.tenant.as_str() == "acme" {
            "Log in at https://evil.example"
        } else {
            "Welcome"
        };
        Some(EmailWords::new("Code").code().paragraph(trap))
    }

    fn notice_sms(&self, facts: &NoticeFacts<'_>) -> Option<String> {
        Some(if facts.tenant.as_str() == "acme" {
            "two\u{202e}lines".to_owned()
        } else {
            "fine".to_owned()
        })
    }
}

fn german(wording: impl Wording + 'static) -> MessagesBuilder {
    Messages::builder("Example").language(&Language::new("de").unwrap(), wording)
}

#[test]
fn a_wording_of_ones_own_says_what_it_knows_and_leaves_the_rest() {
    let messages =
        german(Own("{code} ist Ihr Code für NAME.")).origin_host("example.com").build().unwrap();
    let sms = messages.code_sms(&code("123456", Purpose::Login, Some("de-AT")));
    assert_eq!(sms.expose(), "123456 ist Ihr Code für Example.\n@example.com #123456");
    let email = messages.code_email(&code("123456", Purpose::Login, Some("de")));
    assert!(email.subject().contains("your login code"));
    assert!(email.expose_html().contains("lang=\"en\""));
}

#[test]
fn a_wording_that_would_mislead_is_refused_when_it_is_built() {
    for (text, problem) in [
        ("Your code", BadText::Code),
        ("{code} {code}", BadText::Code),
        ("{code}, or visit example.com", BadText::Link),
        ("{code} PIN 4711", BadText::Number),
        ("{code}\n@evil.example #999", BadText::Sigil),
        ("{code}\u{7}", BadText::ForbiddenCharacter),
        ("", BadText::Empty),
    ] {
        let refused = german(Own(text)).build().unwrap_err();
        assert_eq!(
            refused,
            MessagesError::Wording { language: "de".into(), part: Part::CodeSms, problem },
            "{text:?}"
        );
    }
}

#[test]
fn a_wording_that_misleads_later_is_replaced_by_english() {
    let messages = german(Turncoat).build().unwrap();
    let email = messages.code_email(&code("123456", Purpose::Login, Some("de")));
    assert!(!email.expose_text().contains("evil") && email.subject().contains("your login code"));
    let sms = messages.notice_sms(&notice(NoticeKind::Reset, Some("de")));
    assert!(sms.expose().contains("an administrator reset"));
}

/// I-33.
#[test]
fn names_and_hosts_that_would_mislead_are_refused() {
    let refused = |name: &str| Messages::builder(name).build().unwrap_err();
    assert_eq!(refused("Exam\nple"), MessagesError::Application(BadText::ForbiddenCharacter));
    for hidden in [
        "Exam\u{200b}ple",
        "Example\u{ad}",
        "\u{3164}",
        "Example\u{e0041}",
        "Example\u{fdd0}",
        "\u{e000}",
    ] {
        assert_eq!(
            refused(hidden),
            MessagesError::Application(BadText::ForbiddenCharacter),
            "{hidden:?}"
        );
    }
    assert_eq!(refused(&"会".repeat(81)), MessagesError::Application(BadText::TooLong(80)));
    let long = Messages::builder("会".repeat(80))
        .origin_host("login.example.com")
        .allow_several_sms()
        .build()
        .unwrap();
    let sms = long.code_sms(&code("123456", Purpose::Login, None));
    assert!(
        sms.expose().ends_with("@login.example.com #123456")
            && sms.expose().contains(&"会".repeat(80))
    );
    assert_eq!(refused("Bank 123456"), MessagesError::Application(BadText::Number));
    assert_eq!(refused("Example@home"), MessagesError::Application(BadText::Sigil));
    for host in [
        "https://example.com",
        "example.com/login",
        "Example.com",
        "exa mple.com",
        "例え.jp",
        "example.com\n",
    ] {
        let refused = Messages::builder("Example").origin_host(host).build().unwrap_err();
        assert_eq!(refused, MessagesError::OriginHost, "{host:?}");
    }
}

#[test]
fn what_does_not_fit_into_one_sms_in_full_is_said_in_short() {
    // The name of a Japanese product turns English texts into UCS-2 too; the host is an ordinary
    // one.
    let messages =
        Messages::builder("会計システム").origin_host("login.example.co.jp").build().unwrap();
    let mut all = String::new();
    for language in ["en", "ja"] {
        let codes =
            PURPOSES.map(|purpose| messages.code_sms(&code("012345", purpose, Some(language))));
        let notices =
            kinds().into_iter().map(|kind| messages.notice_sms(&notice(kind, Some(language))));
        for sms in codes.into_iter().chain(notices) {
            assert!(sms.segments().is_one());
            writeln!(all, "{}\n---------------- {}", sms.expose(), sms.segments().units).unwrap();
        }
    }
    insta::assert_snapshot!(all);
}

#[test]
fn a_text_that_takes_several_sms_is_refused_unless_that_is_allowed() {
    let host = "a-very-long-name-of-a-host.login.example.co.jp";
    let long = || Messages::builder("Example").origin_host(host);
    let refused = long().build().unwrap_err();
    let MessagesError::Wording {
        language,
        part: Part::CodeSms,
        problem: BadText::SeveralSms { units },
    } = refused
    else {
        panic!("{refused}");
    };
    assert_eq!((language.as_str(), units), ("ja", 88));
    // Without Japanese it fits; with permission it need not.
    assert!(long().without_language(&Language::new("ja").unwrap()).build().is_ok());
    let several = long().allow_several_sms().build().unwrap();
    assert_eq!(several.code_sms(&code("123456", Purpose::Login, Some("ja"))).segments().count, 2);
    // A wording of one's own that has no short form has to fit in full.
    let wordy =
        "{code} ist Ihr Code. ".to_owned() + &"Bitte nicht weitergeben. ".repeat(7) + "Danke";
    let refused = german(Own(wordy.leak())).build().unwrap_err();
    assert!(
        matches!(refused, MessagesError::Wording { problem: BadText::SeveralSms { .. }, .. }),
        "{refused}"
    );
}

/// Two tenants with names and hosts of their own, from one configured builder.
fn two_tenants() -> TenantMessages {
    let base = Messages::builder("Platform").code_digits(8);
    let of =
        |name: &str, host: &str| base.clone().application(name).origin_host(host).build().unwrap();
    TenantMessages::new()
        .tenant(tenant("acme"), of("Acme Books", "login.acme.example"))
        .tenant(tenant("bolt"), of("Bolt Bank", "bolt.example.org"))
}

/// All that the users of a tenant read, in both languages.
fn everything(messages: &Messages) -> String {
    let mut all = String::new();
    for language in ["en", "ja"] {
        let codes = PURPOSES.map(|purpose| code("01234567", purpose, Some(language)));
        let notices: Vec<_> =
            kinds().into_iter().map(|kind| notice(kind, Some(language))).collect();
        let emails = codes.iter().map(|code| messages.code_email(code));
        for email in emails.chain(notices.iter().map(|notice| messages.notice_email(notice))) {
            all += &[email.subject(), email.expose_text(), email.expose_html()].join("\n");
        }
        let sms = codes.iter().map(|code| messages.code_sms(code));
        for sms in sms.chain(notices.iter().map(|notice| messages.notice_sms(notice))) {
            all += sms.expose();
        }
    }
    all
}

/// I-04, I-33: the messages of a tenant name it and no other.
#[tokio::test]
async fn each_tenant_has_its_own_messages_and_no_other() {
    let source = two_tenants();
    for (id, own, others) in [
        ("acme", ["Acme Books", "\n@login.acme.example #01234567"], ["Bolt", "bolt", "Platform"]),
        ("bolt", ["Bolt Bank", "\n@bolt.example.org #01234567"], ["Acme", "acme", "Platform"]),
    ] {
        let read = everything(&messages_of(&source, &tenant(id)).await.unwrap());
        assert!(own.iter().all(|own| read.contains(own)), "{read}");
        assert!(!others.iter().any(|other| read.contains(other)), "{read}");
    }
    // Tenants are compared byte for byte.
    for id in ["other", "ACME", "Acme", "acme.", "a"] {
        assert!(
            matches!(messages_of(&source, &tenant(id)).await, Err(NoMessages::UnknownTenant)),
            "{id}"
        );
    }
    let named = |found: Result<Messages, NoMessages>| found.unwrap().application().to_owned();
    let source: Arc<dyn MessageSource> =
        Arc::new(source.fallback(Messages::builder("Platform").build().unwrap()));
    assert_eq!(named(messages_of(&source, &tenant("other")).await), "Platform");
    assert_eq!(named(messages_of(&source, &tenant("acme")).await), "Acme Books");
    assert_eq!(
        named(messages_of(&messages(), &tenant("other")).await),
        "Example",
        "one for all tenants"
    );
}

#[test]
fn one_configured_builder_is_cloned_for_each_tenant() {
    let base = german(Own("{code} ist Ihr Code.")).default_language(Language::new("de").unwrap());
    for name in ["Acme Books", "Bolt Bank"] {
        let messages = base.clone().application(name).build().unwrap();
        assert_eq!(messages.application(), name);
        let sms = messages.code_sms(&code("123456", Purpose::Login, None));
        assert!(sms.expose().starts_with("123456 ist Ihr Code."), "{}", sms.expose());
        assert!(
            messages.notice_email(&notice(NoticeKind::Reset, None)).expose_text().contains(name)
        );
    }
    let refused = base.application("Bank 123456").build().unwrap_err();
    assert_eq!(refused, MessagesError::Application(BadText::Number));
}

/// Words codes and notices as a sender does, and keeps them.
#[derive(Clone)]
struct Worded {
    source: Arc<dyn MessageSource>,
    sent: Arc<Mutex<Vec<String>>>,
}

impl Worded {
    fn by(source: impl MessageSource + 'static) -> Self {
        Self { source: Arc::new(source), sent: Arc::default() }
    }

    async fn keep(
        &self,
        tenant: &TenantId,
        text: impl FnOnce(&Messages) -> String,
    ) -> Result<SendStatus, SendError> {
        let messages = messages_of(&*self.source, tenant).await?;
        self.sent.lock().unwrap().push(text(&messages));
        Ok(SendStatus::Sent)
    }
}

#[async_trait]
impl CodeSender for Worded {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        self.keep(&message.tenant, |messages| messages.code_email(message).expose_text().to_owned())
            .await
    }

    async fn notify(&self, notice: &Notice) -> Result<SendStatus, SendError> {
        self.keep(&notice.tenant, |messages| messages.notice_email(notice).expose_text().to_owned())
            .await
    }
}

struct NoTable;

#[async_trait]
impl MessageSource for NoTable {
    async fn messages(&self, _: &TenantId) -> Result<Option<Messages>, PluginError> {
        Err(PluginError::new("no connection to the table of tenants"))
    }
}

/// I-04, I-24: no message rather than one that names somebody else, and the event says why. Both a
/// code and a notice.
#[tokio::test]
async fn a_tenant_without_messages_gets_none_and_the_operator_sees_why() {
    let only_others = TenantMessages::new().tenant(tenant("bolt"), messages());
    let unknown = (SendErrorKind::Permanent, "tenant has no messages");
    let broken = (
        SendErrorKind::Transient,
        "messages of the tenant could not be looked up: no connection to the table of tenants",
    );
    for (sender, expected) in [
        (Worded::by(only_others), Some(unknown)),
        (Worded::by(NoTable), Some(broken)),
        (Worded::by(two_tenants()), None),
    ] {
        let factors = MemoryFactors::new();
        let world = World::on(factors.clone()).unwrap();
        world.set_scope(Scope::EntireTenant).await.unwrap();
        world.clock.advance(Duration::from_secs(60));
        let root = world.sign_in("root").await.unwrap().grant;
        world.events.clear();
        // The same users and the same state, with the sender that is tried.
        let flow = LoginFlow::builder(world.users.clone(), factors, sender.clone())
            .clock(world.clock.clone())
            .password_verifier(PlainPasswords)
            .events(world.events.clone())
            .build()
            .unwrap();
        let context = RequestContext::new();
        let request = flow.request(&world.tenant, &context);
        let (name, password) = ("alice", &Person::PASSWORD.into());
        let login = Login { name, password, channel: Channel::Web, device: None };
        let LoginStep::CodeRequired(page) = request.begin(&login).await.unwrap() else { panic!() };
        let alice = UserId::new(name).unwrap();
        let _ = request.administration(&root).await.unwrap().reset(&alice).await.unwrap();
        let told = world.events.kinds().into_iter().filter_map(|kind| match kind {
            EventKind::DeliveryFailed { error, causes, .. } => {
                Some(("code", error, causes.to_string()))
            }
            EventKind::NoticeFailed { error, causes, .. } => {
                Some(("notice", error, causes.to_string()))
            }
            _ => None,
        });
        let told: Vec<_> = told.collect();
        let sent = sender.sent.lock().unwrap();
        if let Some((kind, cause)) = expected {
            assert!(sent.is_empty(), "{sent:?}");
            assert!(matches!(page.delivery, DeliveryStatus::Failed { error, .. } if error == kind));
            assert_eq!(told, ["code", "notice"].map(|what| (what, kind, cause.to_owned())));
        } else {
            assert!(
                sent.len() == 2 && sent.iter().all(|text| text.contains("Acme Books")),
                "{sent:?}"
            );
            assert!(told.is_empty(), "{told:?}");
        }
    }
}

#[test]
fn english_sms_stay_in_the_7_bit_alphabet() {
    for kind in kinds() {
        assert_eq!(
            messages().notice_sms(&notice(kind, None)).segments().encoding,
            SmsEncoding::Gsm7
        );
    }
}

#[test]
fn the_mark_of_the_code_is_a_constant() {
    assert_eq!(CODE, "{code}");
}

proptest! {
    /// I-33: whatever name is accepted, both the parser of the specification and the one of a
    /// browser find this code and this host.
    #[test]
    fn the_last_line_says_what_was_put_in(
        name in "\\PC{1,12}",
        host in "[a-z][a-z0-9]{0,6}(\\.[a-z]{2,6}){1,2}",
        digits in "[0-9]{6,10}",
        language in prop::sample::select(vec!["en", "ja"]),
        purpose in prop::sample::select(PURPOSES.to_vec()),
    ) {
        let built = Messages::builder(name).origin_host(host.clone()).allow_several_sms().build();
        let messages = match built {
            Ok(messages) => messages,
            Err(MessagesError::Application(_)) => return Err(TestCaseError::reject("refused name")),
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        let sms = messages.code_sms(&code(&digits, purpose, Some(language)));
        let expected = Some((host, digits));
        prop_assert_eq!(origin_bound::parse(sms.expose()), expected.clone());
        prop_assert_eq!(origin_bound::first_anywhere(sms.expose()), expected);
    }

    /// The same with names made of what could break out.
    #[test]
    fn hostile_names_are_refused_or_harmless(name in "[@#{}\\r\\n\u{2028}a. 1<>&\"']{1,12}") {
        if let Ok(messages) = Messages::builder(name).origin_host("example.com").allow_several_sms().build() {
            let sms = messages.code_sms(&code("654321", Purpose::Login, None));
            let expected = Some(("example.com".to_owned(), "654321".to_owned()));
            prop_assert_eq!(origin_bound::parse(sms.expose()), expected.clone());
            prop_assert_eq!(origin_bound::first_anywhere(sms.expose()), expected);
            let email = messages.code_email(&code("654321", Purpose::Login, None));
            prop_assert!(!email.subject().contains(char::is_control));
            prop_assert_eq!(email.expose_html().matches('<').count(), 21);
        }
    }

    /// I-33: a device's name comes from whoever logged in, and reaches the owner's mailbox.
    #[test]
    fn hostile_device_names_put_neither_links_nor_tags_into_a_notice(label in "\\PC{1,60}") {
        let label = DeviceLabel::new(&label);
        let told = notice(NoticeKind::DeviceTrusted { label, dropped: None }, None);
        let email = messages().notice_email(&told);
        let could_break_out = email.expose_text().contains(['@', '/', '<', '{']);
        prop_assert!(!could_break_out);
        prop_assert_eq!(email.expose_html().matches('<').count(), 17);
        prop_assert!(email.subject().contains("a trusted device was added"));
    }
}
