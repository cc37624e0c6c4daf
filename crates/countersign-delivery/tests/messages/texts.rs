//! The texts themselves: as they are read, in which language, and that they fit into one SMS.

use std::fmt::Write as _;

use countersign::sender::{NoticeKind, Purpose};
use countersign::user::Language;
use countersign_delivery::message::{CODE, Messages, MessagesError, SmsEncoding};

use crate::{PURPOSES, code, every_email, every_sms, kinds, messages, notice};

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
            messages.code_email(&code("000000", Purpose::Login, tag)).subject().contains("確認");
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
