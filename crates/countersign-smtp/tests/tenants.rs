//! One sender for several tenants: each has its own name in its mail, and no other.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use std::time::Duration;

use async_trait::async_trait;
use countersign::TenantId;
use countersign::error::PluginError;
use countersign::sender::{CodeMessage, CodeSender, Notice, SendError, SendErrorKind, SendStatus};
use countersign_delivery::message::{BadText, MessageSource, Messages, TenantMessages};
use countersign_smtp::{ConfigError, SmtpBuilder, SmtpSender};
use support::loopback::{Loopback, Mode};
use support::play::Play;
use support::*;

fn tenant(id: &str) -> TenantId {
    TenantId::new(id).unwrap()
}

fn two_tenants() -> TenantMessages {
    let base = Messages::builder("Platform");
    let of =
        |name: &str, host: &str| base.clone().application(name).origin_host(host).build().unwrap();
    TenantMessages::new()
        .tenant(tenant("acme"), of("Acme Books", "login.acme.example"))
        .tenant(tenant("bolt"), of("Bolt Bank", "bolt.example.org"))
}

fn build(builder: SmtpBuilder, messages: impl MessageSource + 'static) -> SmtpSender {
    builder.build(&email("no-reply@example.com"), messages).unwrap()
}

fn code_of(id: &str, language: &str) -> CodeMessage {
    CodeMessage { tenant: tenant(id), ..code_to(ALICE, language) }
}

fn notice_of(id: &str, language: &str) -> Notice {
    Notice { tenant: tenant(id), ..notice_to(ALICE, language) }
}

async fn server() -> Loopback {
    Loopback::start(Play::new(|_| None), Mode::Plain).await
}

/// What the server was given since the last look, with lines that were folded for the wire put
/// together.
fn mails(server: &Loopback, seen: usize) -> Vec<String> {
    let texts = server.play.heard().texts.into_iter().skip(seen);
    texts
        .map(|(_, text)| {
            String::from_utf8(text).unwrap().replace("=\r\n", "").replace("\r\n ", " ")
        })
        .collect()
}

/// I-04, I-33: over one connection, one tenant's mail after the other's.
#[tokio::test]
async fn each_tenants_mail_has_its_own_name_and_no_other() {
    let server = server().await;
    let sender = build(server.builder(), two_tenants());
    let mut seen = 0;
    for language in ["en", "ja", "en"] {
        for (id, own, others) in [
            ("acme", "Acme Books", ["Bolt", "bolt", "Platform"]),
            ("bolt", "Bolt Bank", ["Acme", "acme", "Platform"]),
        ] {
            sender.send_code(&code_of(id, language)).await.unwrap();
            sender.notify(&notice_of(id, language)).await.unwrap();
            let mails = mails(&server, seen);
            assert_eq!(mails.len(), 2);
            seen += mails.len();
            for mail in mails {
                assert!(
                    mail.contains(&format!("From: \"{own}\" <no-reply@example.com>\r\n")),
                    "{mail}"
                );
                assert!(!others.iter().any(|other| mail.contains(other)), "{mail}");
                // In Japanese the text is in base64, and read in the tests of the core.
                let (_, text) = mail.split_once("\r\n\r\n").unwrap();
                assert!(language == "ja" || text.contains(own), "{mail}");
            }
        }
    }
    assert_eq!(server.play.heard().connections(), 1);
}

#[tokio::test]
async fn a_name_that_is_set_stands_in_the_mail_of_every_tenant() {
    let server = server().await;
    let sender = build(server.builder().from_name("Platform Security"), two_tenants());
    for id in ["acme", "bolt"] {
        sender.send_code(&code_of(id, "en")).await.unwrap();
    }
    for (mail, own) in mails(&server, 0).iter().zip(["Acme Books", "Bolt Bank"]) {
        assert!(mail.contains("From: \"Platform Security\" <no-reply@example.com>\r\n"), "{mail}");
        assert!(mail.contains(own), "{mail}");
    }
}

/// I-33: a name that nobody sees, or that looks like another one, is no name to send under.
#[test]
fn a_name_that_can_not_be_read_is_refused() {
    let built = |name: &str| {
        let builder = SmtpSender::dangerously_unencrypted_on_loopback(1025).from_name(name);
        builder.build(&email("no-reply@example.com"), two_tenants()).map(|_| ())
    };
    for good in ["Example", "Booking.com", "Tom & \"Jerry\", <Ltd>", "株式会社　例", "Bank 1234"]
    {
        assert_eq!(built(good), Ok(()), "{good}");
    }
    assert_eq!(built(&"会".repeat(80)), Ok(()), "characters count, not bytes");
    for (bad, problem) in [
        ("", BadText::Empty),
        ("  ", BadText::Empty),
        ("\u{3000}", BadText::Empty),
        (" Example", BadText::Untrimmed),
        ("Example ", BadText::Untrimmed),
        ("Exam\nple", BadText::ForbiddenCharacter),
        ("Exam\r\nBcc: x", BadText::ForbiddenCharacter),
        ("Exam\tple", BadText::ForbiddenCharacter),
        ("Exam\0ple", BadText::ForbiddenCharacter),
        ("Exam\u{2028}ple", BadText::ForbiddenCharacter),
        ("Exam\u{202e}ple", BadText::ForbiddenCharacter),
        ("Exam\u{200e}ple", BadText::ForbiddenCharacter),
        ("Exam\u{200b}ple", BadText::ForbiddenCharacter),
        ("Exam\u{ad}ple", BadText::ForbiddenCharacter),
        ("\u{3164}", BadText::ForbiddenCharacter),
        ("\u{200b}\u{200b}", BadText::ForbiddenCharacter),
        ("Example\u{e0041}", BadText::ForbiddenCharacter),
        ("Example\u{fdd0}", BadText::ForbiddenCharacter),
        ("Example\u{f8ff}", BadText::ForbiddenCharacter),
    ] {
        assert_eq!(built(bad), Err(ConfigError::FromName(problem)), "{bad:?}");
    }
    assert_eq!(built(&"x".repeat(81)), Err(ConfigError::FromName(BadText::TooLong(80))));
    assert_eq!(built("").unwrap_err().to_string(), "sender name is empty");
}

#[track_caller]
fn refused(sent: Result<SendStatus, SendError>, kind: SendErrorKind, cause: &str) {
    let error = sent.unwrap_err();
    // As the flow tells its operator.
    assert_eq!(
        (error.kind(), code_to(ALICE, "en").causes(&error).to_string().as_str()),
        (kind, cause)
    );
}

/// I-04: no mail rather than one in another's name; the server is not even connected to.
#[tokio::test]
async fn a_tenant_without_messages_gets_no_mail() {
    let server = server().await;
    let sender = build(server.builder(), two_tenants());
    let cause = "tenant has no messages";
    for id in ["other", "ACME"] {
        refused(sender.send_code(&code_of(id, "en")).await, SendErrorKind::Permanent, cause);
        refused(sender.notify(&notice_of(id, "en")).await, SendErrorKind::Permanent, cause);
    }
    let heard = server.play.heard();
    assert_eq!((heard.connections(), heard.texts.len()), (0, 0));
    sender.send_code(&code_of("acme", "en")).await.unwrap();
    assert_eq!(server.play.heard().texts.len(), 1);
}

/// Answers never.
struct Hanging;

#[async_trait]
impl MessageSource for Hanging {
    async fn messages(&self, _: &TenantId) -> Result<Option<Messages>, PluginError> {
        std::future::pending().await
    }
}

/// The lookup is within the time that a message has.
#[tokio::test(start_paused = true)]
async fn a_lookup_that_hangs_ends_with_the_time_budget() {
    let builder =
        SmtpSender::dangerously_unencrypted_on_loopback(1).time_budget(Duration::from_secs(7));
    let (sender, began) = (build(builder, Hanging), tokio::time::Instant::now());
    let cause = "messages of the tenant were not looked up in time";
    refused(sender.send_code(&code_of("acme", "en")).await, SendErrorKind::Transient, cause);
    assert_eq!(began.elapsed().as_secs(), 7);
}
