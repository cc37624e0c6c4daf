//! Email through an SMTP server that is not ours, read by a parser that is not ours (Python's).
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::time::Duration;

use countersign::sender::{CodeSender, SendErrorKind, SendStatus};
use countersign_delivery::message::Messages;
use countersign_smtp::{ConfigError, Phase, SmtpBuilder, SmtpPassword, SmtpSender};
use support::*;

macro_rules! sink {
    ($($argument:expr),*) => {
        match Sink::start(&[$($argument),*]) {
            Some(sink) => sink,
            None => return,
        }
    };
}

fn build(builder: SmtpBuilder) -> SmtpSender {
    builder
        .time_budget(Duration::from_secs(60))
        .probe_timeout(Duration::from_secs(60))
        .build(&email("no-reply@example.com"), messages())
        .unwrap()
}

fn plain(sink: &Sink) -> SmtpSender {
    build(SmtpSender::dangerously_unencrypted_on_loopback(sink.port))
}

fn wrapped(sink: &Sink) -> SmtpSender {
    build(SmtpSender::relay("localhost").port(sink.port).only_root_certificate(&sink.root))
}

#[tokio::test]
async fn a_code_arrives_in_both_languages_as_text_and_as_html() {
    let sink = sink!("--tls", "wrapped");
    let sender = wrapped(&sink);
    for language in ["en", "ja"] {
        let message = code_to(ALICE, language);
        assert_eq!(sender.send_code(&message).await.unwrap(), SendStatus::Sent);
        let received = sink.received();
        let expected = messages().code_email(&message);
        assert_eq!(received["encrypted"], true);
        assert_eq!(received["mail_from"], "no-reply@example.com");
        assert_eq!(received["rcpt_tos"], serde_json::json!([ALICE]));
        assert_eq!(received["defects"], serde_json::json!([]));
        assert_eq!(received["content_type"], "multipart/alternative");
        assert_eq!(received["parts"][0][0], "text/plain");
        assert_eq!(received["parts"][1][0], "text/html");
        assert_eq!(unix(&received["parts"][0][1]), expected.expose_text());
        assert_eq!(unix(&received["parts"][1][1]), expected.expose_html());
        assert_eq!(received["parts"].as_array().unwrap().len(), 2);
        assert_eq!(header(&received, "Subject"), expected.subject());
        assert_eq!(header(&received, "From"), "Example <no-reply@example.com>");
        assert_eq!(header(&received, "To"), ALICE);
        assert_eq!(header(&received, "Auto-Submitted"), "auto-generated");
        assert_eq!(header(&received, "MIME-Version"), "1.0");
        assert!(!header(&received, "Date").is_empty());
        let id = header(&received, "Message-ID");
        assert!(id.starts_with('<') && id.ends_with("@example.com>") && id.len() == 46, "{id}");
        assert_eq!(received["raw_is_ascii"], true, "every server can carry it");
    }
    assert_eq!(sink.finish(), (0, 1), "one connection served both");
}

/// SMTP ends lines by CR LF; what ends the text may be one line break more.
fn unix(text: &serde_json::Value) -> String {
    text.as_str().unwrap().replace("\r\n", "\n").trim_end().to_owned() + "\n"
}

#[tokio::test]
async fn a_notice_arrives_with_what_a_person_typed_made_harmless() {
    let sink = sink!();
    let sender = plain(&sink);
    for language in ["en", "ja"] {
        sender.notify(&notice_to(ALICE, language)).await.unwrap();
        let received = sink.received();
        assert!(received["parts"][0][1].as_str().unwrap().contains("花子のiPhone b"));
        assert!(!received["parts"][1][1].as_str().unwrap().contains("<b>"));
        assert_eq!(received["defects"], serde_json::json!([]));
    }
}

#[tokio::test]
async fn an_application_name_in_any_script_is_the_senders_name() {
    let sink = sink!();
    for name in [
        "会計システム",
        "Tom & \"Jerry\", <Ltd>",
        "Café; Söhne (EU)",
        "a very long name that goes on and on until the line is full and more",
    ] {
        let messages = Messages::builder(name).allow_several_sms().build().unwrap();
        let sender = SmtpSender::dangerously_unencrypted_on_loopback(sink.port);
        let sender = sender.build(&email("no-reply@例え.jp"), messages.clone()).unwrap();
        let message = code_to(ALICE, "ja");
        sender.send_code(&message).await.unwrap();
        let received = sink.received();
        assert_eq!(received["defects"], serde_json::json!([]), "{name}");
        assert_eq!(header(&received, "Subject"), messages.code_email(&message).subject());
        let from = header(&received, "From").replace(['"', '\\'], "");
        assert_eq!(from, format!("{} <no-reply@xn--r8jz45g.jp>", name.replace('"', "")));
    }
}

#[tokio::test]
async fn starttls_with_a_login_works_and_the_password_is_checked() {
    let sink = sink!("--tls", "starttls", "--auth", "app:hunter2");
    let with = |password: &str| {
        let builder = SmtpSender::starttls_relay("localhost")
            .port(sink.port)
            .only_root_certificate(&sink.root);
        build(builder.credentials("app", SmtpPassword::new(password)))
    };
    with("hunter2").send_code(&code_to(ALICE, "en")).await.unwrap();
    let received = sink.received();
    assert_eq!((&received["encrypted"], &received["login"]), (&true.into(), &"app".into()));

    let refused = with("hunter3").send_code(&code_to(ALICE, "en")).await.unwrap_err();
    assert_eq!(
        (refused.kind(), phase(&refused)),
        (SendErrorKind::Permanent, Phase::Authentication)
    );
    let builder =
        SmtpSender::starttls_relay("localhost").port(sink.port).only_root_certificate(&sink.root);
    let refused = build(builder).send_code(&code_to(ALICE, "en")).await.unwrap_err();
    assert_eq!(
        refused.kind(),
        SendErrorKind::Permanent,
        "without a login the server takes nothing"
    );
    assert_eq!(sink.finish().0, 0);
}

#[tokio::test]
async fn nothing_is_sent_without_tls_or_under_a_certificate_that_is_not_trusted() {
    let plain = sink!();
    let builder = SmtpSender::starttls_relay("localhost")
        .port(plain.port)
        .only_root_certificate(&other_root());
    let refused = build(builder).send_code(&code_to(ALICE, "en")).await.unwrap_err();
    assert_eq!(
        (refused.kind(), phase(&refused)),
        (SendErrorKind::Permanent, Phase::Connection),
        "no STARTTLS"
    );
    let builder =
        SmtpSender::relay("localhost").port(plain.port).only_root_certificate(&other_root());
    let refused = build(builder).send_code(&code_to(ALICE, "en")).await.unwrap_err();
    assert_eq!(
        (refused.kind(), phase(&refused)),
        (SendErrorKind::Transient, Phase::Connection),
        "no TLS at all"
    );
    assert_eq!(plain.finish().0, 0);

    let tls = sink!("--tls", "wrapped");
    let builder =
        SmtpSender::relay("localhost").port(tls.port).only_root_certificate(&other_root());
    let refused = build(builder).send_code(&code_to(ALICE, "en")).await.unwrap_err();
    assert_eq!(
        (refused.kind(), phase(&refused)),
        (SendErrorKind::Transient, Phase::Connection),
        "another root"
    );
    assert_eq!(tls.finish().0, 0);

    let misnamed = sink!("--tls", "wrapped", "--name", "mail.example.com");
    let refused = wrapped(&misnamed).send_code(&code_to(ALICE, "en")).await.unwrap_err();
    assert_eq!(
        (refused.kind(), phase(&refused)),
        (SendErrorKind::Transient, Phase::Connection),
        "another name"
    );
    assert_eq!(misnamed.finish().0, 0);
}

/// A root that signed nothing here.
fn other_root() -> Vec<u8> {
    Sink::start(&["--tls", "wrapped"]).unwrap().root.clone()
}

#[tokio::test]
async fn credentials_are_refused_without_tls() {
    let builder = SmtpSender::dangerously_unencrypted_on_loopback(1025)
        .credentials("app", SmtpPassword::new("hunter2"));
    let refused = builder.build(&email("no-reply@example.com"), messages()).unwrap_err();
    assert_eq!(refused, ConfigError::CredentialsWithoutTls);
}

/// I-22: `phase` looks at every text of the error.
#[tokio::test]
async fn an_answer_says_whether_to_try_again() {
    for (step, answer, kind, at) in [
        ("mail", "451 4.3.0 alice@example.com try later", SendErrorKind::Transient, Phase::Sender),
        ("mail", "550 5.7.1 no", SendErrorKind::Permanent, Phase::Sender),
        ("rcpt", "450 4.2.1 greylisted", SendErrorKind::Transient, Phase::Recipient),
        (
            "rcpt",
            "550 5.1.1 <alice@example.com>: no such user",
            SendErrorKind::Permanent,
            Phase::Recipient,
        ),
        ("rcpt", "552 5.2.2 mailbox of alice full", SendErrorKind::Permanent, Phase::Recipient),
        ("data", "451 4.7.1 836194 looks odd", SendErrorKind::Transient, Phase::Text),
        ("data", "554 5.7.1 836194 is spam", SendErrorKind::Permanent, Phase::Text),
    ] {
        let sink = sink!("--answer", &format!("{step}={answer}"));
        let refused = plain(&sink).send_code(&code_to(ALICE, "en")).await.unwrap_err();
        assert_eq!((refused.kind(), phase(&refused)), (kind, at), "{answer}");
        let source = std::error::Error::source(&refused).unwrap().to_string();
        let codes: String = answer.chars().take(9).collect();
        assert!(source.contains(codes.trim_end()), "{source}");
        assert_eq!(sink.finish(), (0, 1), "nothing is tried again");
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_is_unknown_only_after_the_text() {
    for (step, kind, at) in [
        ("mail", SendErrorKind::Transient, Phase::Sender),
        ("rcpt", SendErrorKind::Transient, Phase::Recipient),
        ("data", SendErrorKind::Unknown, Phase::Text),
    ] {
        let sink = sink!("--hang-up", step);
        let refused = plain(&sink).send_code(&code_to(ALICE, "en")).await.unwrap_err();
        assert_eq!((refused.kind(), phase(&refused)), (kind, at));
        assert_eq!(sink.finish(), (0, 1), "nothing is tried again");
    }
}

#[tokio::test]
async fn a_connection_that_the_server_closed_in_between_is_replaced() {
    let sink = sink!("--hang-up-after");
    let sender = plain(&sink);
    for _ in 0..3 {
        sender.send_code(&code_to(ALICE, "en")).await.unwrap();
        sink.received();
        assert_eq!(sink.received()["closed"], true);
    }
    assert_eq!(sink.finish(), (0, 3));
}

#[tokio::test]
async fn many_messages_share_a_few_connections() {
    let sink = sink!();
    let builder = SmtpSender::dangerously_unencrypted_on_loopback(sink.port).connections(3);
    let sender = build(builder);
    let sends: Vec<_> = (0..24)
        .map(|_| {
            let sender = sender.clone();
            tokio::spawn(async move { sender.send_code(&code_to(ALICE, "en")).await.unwrap() })
        })
        .collect();
    for send in sends {
        send.await.unwrap();
    }
    let ids: std::collections::HashSet<String> =
        (0..24).map(|_| header(&sink.received(), "Message-ID").to_owned()).collect();
    assert_eq!(ids.len(), 24);
    let (rest, connections) = sink.finish();
    assert!(rest == 0 && connections <= 3, "{connections}");
}

/// I-33.
#[tokio::test]
async fn an_international_address_works_or_is_refused_and_is_never_changed() {
    let modern = sink!();
    let sender = plain(&modern);
    sender.send_code(&code_to("alice@例え.jp", "ja")).await.unwrap();
    let received = modern.received();
    assert_eq!(received["rcpt_tos"], serde_json::json!(["alice@xn--r8jz45g.jp"]));
    assert_eq!(received["mail_options"], serde_json::json!([]));
    sender.send_code(&code_to("花子@例え.jp", "ja")).await.unwrap();
    let received = modern.received();
    assert_eq!(received["rcpt_tos"], serde_json::json!(["花子@xn--r8jz45g.jp"]));
    assert_eq!(received["mail_options"], serde_json::json!(["SMTPUTF8", "BODY=8BITMIME"]));
    assert_eq!(header(&received, "To"), "花子@xn--r8jz45g.jp");

    let old = sink!("--no-smtputf8");
    let sender = plain(&old);
    sender.send_code(&code_to("alice@例え.jp", "ja")).await.unwrap();
    assert_eq!(old.received()["rcpt_tos"], serde_json::json!(["alice@xn--r8jz45g.jp"]));
    let refused = sender.send_code(&code_to("花子@例え.jp", "ja")).await.unwrap_err();
    assert_eq!(refused.kind(), SendErrorKind::Permanent);
    assert!(std::error::Error::source(&refused).unwrap().to_string().contains("smtputf8"));
    assert_eq!(old.finish().0, 0);
}

/// I-33: addresses of Japanese carriers, whose dots stand where none belong: one mailbox in both
/// spellings. The server understands the quotes of `RCPT TO` (`replies.rs` has the bytes) and names
/// the mailbox, and so does its reader of headers.
#[tokio::test]
async fn misplaced_dots_go_over_the_wire_in_quotes() {
    let sink = sink!();
    let sender = plain(&sink);
    for (given, sent) in [
        ("hanako..y@docomo.example", "\"hanako..y\"@docomo.example"),
        ("\"hanako..y\"@docomo.example", "\"hanako..y\"@docomo.example"),
        ("hanako.y.@docomo.example", "\"hanako.y.\"@docomo.example"),
    ] {
        sender.send_code(&code_to(given, "ja")).await.unwrap();
        let received = sink.received();
        assert_eq!(received["rcpt_tos"], serde_json::json!([sent.replace('"', "")]), "{given}");
        assert_eq!(header(&received, "To").replace('"', ""), sent.replace('"', ""));
        assert_eq!(received["defects"], serde_json::json!([]));
    }
    assert_eq!(sink.finish().0, 0);
}
