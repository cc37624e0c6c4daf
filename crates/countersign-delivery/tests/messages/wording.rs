//! Names, hosts and wordings of an application's own: what they may say, and what is refused.

use countersign::RequestContext;
use countersign::sender::{Notice, NoticeKind, Purpose};
use countersign::user::Language;
use countersign_delivery::message::{
    BadText, CodeFacts, EmailWords, Messages, MessagesError, NoticeFacts, Part, Wording,
};

use crate::{Own, code, german, notice};

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
