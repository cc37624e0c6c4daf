//! TLS: what comes before it is not believed, and what it does not accept is named.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use countersign::sender::{CodeSender, SendErrorKind, SendStatus};
use countersign_smtp::{ConfigError, Phase, SmtpCause, SmtpPassword, SmtpSender, TlsProblem};
use rcgen::{CertificateParams, date_time_ymd};
use support::loopback::{Loopback, Mode, build};
use support::play::{Act, At, Play, Step, say};
use support::*;

/// Bytes after the answer to `STARTTLS` can be anybody's, and would be read as answers inside TLS.
#[tokio::test]
async fn answers_that_were_put_in_before_tls_are_refused() {
    for injected in
        ["250 injected\r\n", "250-injected\r\n250 AUTH PLAIN\r\n", "2", "\r\n", "550 no\r\n"]
    {
        let play = Play::new(move |at| {
            (at.step == Step::StartTls).then(|| say(format!("220 go\r\n{injected}")))
        });
        let server = Loopback::start(play, Mode::StartTls).await;
        let sender = build(server.builder().credentials("app", SmtpPassword::new("hunter2")));
        let refused = sender.send_code(&code_to(ALICE, "en")).await.unwrap_err();
        let failure = failure(&refused);
        assert_eq!(
            (refused.kind(), failure.phase()),
            (SendErrorKind::Transient, Phase::Connection),
            "{injected:?}"
        );
        assert_eq!(failure.cause(), SmtpCause::OutOfTurn, "{injected:?}");
        let heard = server.play.until(|heard| !heard.open[0]).await;
        assert_eq!((heard.connections(), heard.count("AUTH"), heard.count("MAIL")), (1, 0, 0));
    }
}

/// The control: without them the same server takes the message.
#[tokio::test]
async fn starttls_works_where_nothing_was_put_in() {
    let server = Loopback::start(Play::new(|_| None), Mode::StartTls).await;
    let sender = build(server.builder().credentials("app", SmtpPassword::new("hunter2")));
    assert_eq!(sender.send_code(&code_to(ALICE, "en")).await.unwrap(), SendStatus::Sent);
    let heard = server.play.heard();
    assert_eq!((heard.count("EHLO"), heard.count("AUTH PLAIN"), heard.text_on()), (2, 1, vec![0]));
}

/// What the server offers before TLS is asked for again inside it.
#[tokio::test]
async fn what_was_offered_before_tls_does_not_count() {
    let inside = |at: At| at.step == Step::Ehlo && at.encrypted;
    let play =
        Play::new(move |at| inside(at).then(|| say("250-mail.example.com\r\n250 8BITMIME\r\n")));
    let server = Loopback::start(play, Mode::StartTls).await;
    let sender = build(server.builder().credentials("app", SmtpPassword::new("hunter2")));
    let refused = sender.send_code(&code_to(ALICE, "en")).await.unwrap_err();
    let failure = failure(&refused);
    assert_eq!(
        (refused.kind(), failure.phase()),
        (SendErrorKind::Permanent, Phase::Authentication)
    );
    assert_eq!(failure.cause(), SmtpCause::NoAuthentication);
    let refused = server.sender().send_code(&code_to("花子@example.com", "ja")).await.unwrap_err();
    assert_eq!(support::failure(&refused).cause(), SmtpCause::NoSmtpUtf8);
}

#[tokio::test]
async fn without_starttls_nothing_is_said() {
    let refused = |reply| SmtpCause::Refused { reply, enhanced: None };
    for (act, kind, cause) in [
        (say("454 not now\r\n"), SendErrorKind::Transient, refused(454)),
        (say("502 what?\r\n"), SendErrorKind::Permanent, refused(502)),
        (say("354 go on\r\n"), SendErrorKind::Transient, SmtpCause::OutOfTurn),
        (Act::Close, SendErrorKind::Transient, SmtpCause::Io(std::io::ErrorKind::UnexpectedEof)),
    ] {
        let play = Play::new(move |at| (at.step == Step::StartTls).then(|| act.clone()));
        let server = Loopback::start(play, Mode::StartTls).await;
        let sender = build(server.builder().credentials("app", SmtpPassword::new("hunter2")));
        let refused = sender.send_code(&code_to(ALICE, "en")).await.unwrap_err();
        let failure = failure(&refused);
        assert_eq!(
            (refused.kind(), failure.phase(), failure.cause()),
            (kind, Phase::Connection, cause)
        );
        let heard = server.play.until(|heard| !heard.open[0]).await;
        assert_eq!((heard.count("AUTH"), heard.count("MAIL")), (0, 0));
    }
    let play = Play::new(|at| (at.step == Step::Ehlo).then(|| say("250 nothing but this\r\n")));
    let server = Loopback::start(play, Mode::StartTls).await;
    let refused = server.sender().send_code(&code_to(ALICE, "en")).await.unwrap_err();
    assert_eq!(
        (refused.kind(), failure(&refused).cause()),
        (SendErrorKind::Permanent, SmtpCause::NoStartTls)
    );
}

/// The names in a certificate are the server's words: they are not repeated (I-22).
#[tokio::test]
async fn a_certificate_that_is_not_accepted_says_why() {
    let named = |name: &str| CertificateParams::new([name.to_owned()]).unwrap();
    let mut expired = named("localhost");
    expired.not_after = date_time_ymd(2020, 1, 1);
    let mut early = named("localhost");
    early.not_before = date_time_ymd(4000, 1, 1);
    let other = Loopback::start(Play::new(|_| None), Mode::Wrapped).await;
    for mode in [Mode::StartTls, Mode::Wrapped] {
        for (certificate, problem) in [
            (named(&format!("{CANARY}.example.com")), TlsProblem::WrongName),
            (expired.clone(), TlsProblem::Expired),
            (early.clone(), TlsProblem::NotYetValid),
        ] {
            let server = Loopback::with_certificate(Play::new(|_| None), mode, certificate).await;
            let refused = server.sender().send_code(&code_to(ALICE, "en")).await.unwrap_err();
            let failure = failure(&refused);
            assert_eq!(
                (refused.kind(), failure.phase()),
                (SendErrorKind::Transient, Phase::Connection)
            );
            assert_eq!(failure.cause(), SmtpCause::Tls(problem));
            assert_eq!(server.play.heard().count("MAIL"), 0);
        }
        let server = Loopback::start(Play::new(|_| None), mode).await;
        let sender = build(server.builder().only_root_certificate(other.root().as_bytes()));
        let refused = sender.send_code(&code_to(ALICE, "en")).await.unwrap_err();
        assert_eq!(failure(&refused).cause(), SmtpCause::Tls(TlsProblem::UnknownIssuer));
    }
    let plain = Loopback::start(Play::new(|_| None), Mode::Plain).await;
    let sender = SmtpSender::relay("localhost")
        .port(plain.port())
        .only_root_certificate(other.root().as_bytes());
    let refused = build(sender).send_code(&code_to(ALICE, "en")).await.unwrap_err();
    assert_eq!(failure(&refused).cause(), SmtpCause::Tls(TlsProblem::Handshake));
}

#[tokio::test]
async fn another_root_is_accepted_beside_those_of_the_system() {
    let server = Loopback::start(Play::new(|_| None), Mode::Wrapped).await;
    let with_root =
        || SmtpSender::relay("localhost").port(server.port()).hello_name("tests.example");
    let sender = build(with_root().additional_root_certificate(server.root().as_bytes()));
    sender.send_code(&code_to(ALICE, "en")).await.unwrap();
    let other = Loopback::start(Play::new(|_| None), Mode::Wrapped).await;
    let sender = build(with_root().additional_root_certificate(other.root().as_bytes()));
    let refused = sender.send_code(&code_to(ALICE, "en")).await.unwrap_err();
    assert_eq!(failure(&refused).cause(), SmtpCause::Tls(TlsProblem::UnknownIssuer));
}

#[test]
fn what_is_not_a_certificate_is_refused() {
    let from = email("no-reply@example.com");
    let nothing = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for pem in ["", "certificate", "-----BEGIN CERTIFICATE-----\n", nothing] {
        let only = SmtpSender::relay("localhost").only_root_certificate(pem.as_bytes());
        let also = SmtpSender::relay("localhost").additional_root_certificate(pem.as_bytes());
        for builder in [only, also] {
            assert_eq!(
                builder.build(&from, messages()).unwrap_err(),
                ConfigError::RootCertificate,
                "{pem:?}"
            );
        }
    }
    for host in ["", "mail server", "a..b", "-", "host/path"] {
        let builder = SmtpSender::relay(host).build(&from, messages());
        assert_eq!(builder.unwrap_err(), ConfigError::Host, "{host:?}");
    }
}
