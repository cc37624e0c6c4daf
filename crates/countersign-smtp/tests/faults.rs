//! Servers that misbehave in ways that no real one can be told to: what they say is written out
//! here.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use countersign::sender::{CodeSender, SendErrorKind};
use countersign_smtp::{ConfigError, Phase, SmtpCause, SmtpSender};
use support::*;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

/// A server that says these lines, one for the greeting, for each command and for the end of the
/// text; then it closes. `|` in a line is where it closes in the middle. Counts the connections.
async fn scripted(lines: &'static [&'static str]) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let mut in_text = false;
                for line in lines {
                    let (said, rest) = line
                        .split_once('|')
                        .map_or((*line, None), |(said, rest)| (said, Some(rest)));
                    if stream.write_all(said.as_bytes()).await.is_err() || rest.is_some() {
                        return;
                    }
                    let _ = stream.flush().await;
                    in_text |= said.starts_with("354");
                    loop {
                        let mut heard = String::new();
                        if stream.read_line(&mut heard).await.unwrap_or(0) == 0 {
                            return;
                        }
                        if !in_text || heard == ".\r\n" {
                            break;
                        }
                    }
                }
            });
        }
    });
    (port, connections)
}

fn sender(port: u16) -> SmtpSender {
    SmtpSender::dangerously_unencrypted_on_loopback(port)
        .time_budget(Duration::from_secs(60))
        .build(&email("no-reply@example.com"), messages())
        .unwrap()
}

const GREETING: &str = "220 hello\r\n";
const EHLO: &str = "250-hello\r\n250 8BITMIME\r\n";
const OK: &str = "250 ok\r\n";
const GO: &str = "354 go\r\n";

#[tokio::test]
async fn nonsense_and_half_answers_are_unknown_only_after_the_text() {
    for (lines, kind, at) in [
        (&["HTTP/1.1 400 Bad Request\r\n\r\n"][..], SendErrorKind::Transient, Phase::Connection),
        (&["220 he|"], SendErrorKind::Transient, Phase::Connection),
        (&["554 5.3.2 alice go away\r\n"], SendErrorKind::Permanent, Phase::Connection),
        (&["421 too many connections\r\n"], SendErrorKind::Transient, Phase::Connection),
        (&[GREETING, "250-hello\r\n250-|"], SendErrorKind::Transient, Phase::Connection),
        (&[GREETING, EHLO, "what?\r\n"], SendErrorKind::Transient, Phase::Sender),
        (&[GREETING, EHLO, OK, "25|"], SendErrorKind::Transient, Phase::Recipient),
        (&[GREETING, EHLO, OK, OK, "alice 836194\r\n"], SendErrorKind::Transient, Phase::Data),
        (&[GREETING, EHLO, OK, OK, GO, "|"], SendErrorKind::Unknown, Phase::Text),
        (&[GREETING, EHLO, OK, OK, GO, "250 o|"], SendErrorKind::Unknown, Phase::Text),
        (&[GREETING, EHLO, OK, OK, GO, "alice 836194\r\n"], SendErrorKind::Unknown, Phase::Text),
        (&[GREETING, EHLO, OK, OK, GO, "354 go on\r\n"], SendErrorKind::Unknown, Phase::Text),
    ] {
        let (port, connections) = scripted(lines).await;
        let refused = sender(port).send_code(&code_to(ALICE, "en")).await.unwrap_err();
        assert_eq!((refused.kind(), phase(&refused)), (kind, at), "{lines:?}");
        assert_ne!(failure(&refused).cause(), SmtpCause::TimedOut, "{lines:?}");
        assert_eq!(connections.load(Ordering::SeqCst), 1, "nothing is tried again: {lines:?}");
    }
}

/// Answers that are one step behind, as they are after somebody injected one before TLS: the
/// refusal must not be missed.
#[tokio::test]
async fn answers_that_are_one_step_behind_never_look_like_a_sent_message() {
    let (port, _) =
        scripted(&[GREETING, EHLO, "250 injected\r\n", "250 for mail\r\n", "250 for rcpt\r\n", GO])
            .await;
    let refused = sender(port).send_code(&code_to(ALICE, "en")).await.unwrap_err();
    assert_eq!((refused.kind(), phase(&refused)), (SendErrorKind::Transient, Phase::Data));
}

#[tokio::test]
async fn nobody_listening_is_transient() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let refused = sender(port).send_code(&code_to(ALICE, "en")).await.unwrap_err();
    assert_eq!((refused.kind(), phase(&refused)), (SendErrorKind::Transient, Phase::Connection));
    assert_eq!(failure(&refused).cause(), SmtpCause::Io(std::io::ErrorKind::ConnectionRefused));
}

#[tokio::test]
async fn only_email_addresses_are_served() {
    let mut message = code_to(ALICE, "en");
    message.destination = sms();
    let refused = sender(1).send_code(&message).await.unwrap_err();
    assert_eq!((refused.kind(), phase(&refused)), (SendErrorKind::Permanent, Phase::Preparation));
}

#[test]
fn times_and_counts_of_zero_are_refused() {
    let builder = || SmtpSender::dangerously_unencrypted_on_loopback(25);
    for (builder, name) in [
        (builder().connections(0), "connections"),
        (builder().time_budget(Duration::ZERO), "time_budget"),
        (builder().probe_timeout(Duration::ZERO), "probe_timeout"),
    ] {
        let refused = builder.build(&email("no-reply@example.com"), messages()).unwrap_err();
        assert_eq!(refused, ConfigError::Zero(name));
    }
}

/// I-22.
#[test]
fn debug_shows_no_password() {
    let password = countersign_smtp::SmtpPassword::new("hunter2");
    let printed = format!("{password:?}");
    let builder = SmtpSender::relay("localhost").credentials("app", password);
    assert!(!format!("{printed} {builder:?} {:?}", sender(1)).contains("hunter2"));
}
