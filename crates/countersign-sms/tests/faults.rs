//! Providers that are down, slow, or hang up in the middle.
#![cfg(feature = "reqwest")]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use countersign::sender::SendErrorKind;
use countersign_sms::ReqwestHttp;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A server that reads a request, says this, and then closes or hangs. Counts the connections and
/// the requests.
async fn saying(answer: &'static str, then_hangs: bool) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counted = Arc::clone(&counted);
            tokio::spawn(async move {
                let mut heard = vec![0; 65_536];
                if stream.read(&mut heard).await.unwrap_or(0) == 0 {
                    return;
                }
                counted.fetch_add(1, Ordering::SeqCst);
                let _ = stream.write_all(answer.as_bytes()).await;
                if then_hangs {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    (url, requests)
}

#[tokio::test]
async fn silence_half_answers_and_nonsense_after_the_request_are_unknown_and_never_sent_again() {
    let half = "HTTP/1.1 201 Created\r\ncontent-length: 500\r\n\r\n{\"status\": \"queu";
    for (answer, then_hangs) in [
        ("", false),
        ("", true),
        ("HTTP/1.1 20", false),
        (half, false),
        (half, true),
        ("220 mail.example.com ESMTP\r\n", false),
        ("\0\0\0\0", false),
    ] {
        let (url, requests) = saying(answer, then_hangs).await;
        for sender in senders(&url, &within(Duration::from_secs(3))) {
            // Nothing but its time budget ends it where the provider hangs.
            let outcome =
                tokio::time::timeout(Duration::from_secs(60), outcome(&sender)).await.unwrap();
            assert_eq!(outcome, Err(SendErrorKind::Unknown), "{answer:?}");
        }
        assert_eq!(requests.load(Ordering::SeqCst), 3, "one for each sender: {answer:?}");
    }
}

#[tokio::test]
async fn a_provider_that_is_down_is_transient() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    for sender in senders(&url, &http()) {
        assert_eq!(outcome(&sender).await, Err(SendErrorKind::Transient));
    }
    for sender in senders("http://no-such-host.invalid", &http()) {
        assert_eq!(outcome(&sender).await, Err(SendErrorKind::Transient));
    }
}

#[tokio::test]
async fn nothing_is_sent_without_tls_unless_that_is_asked_for() {
    let (url, requests) =
        saying("HTTP/1.1 201 Created\r\ncontent-length: 19\r\n\r\n{\"status\":\"queued\"}", false)
            .await;
    let _ = http();
    let strict = ReqwestHttp::builder().time_budget(Duration::from_secs(2)).build().unwrap();
    assert_eq!(outcome(&sender(twilio(&url), strict)).await, Err(SendErrorKind::Transient));
    // A server that talks no TLS is no provider either.
    let strict = ReqwestHttp::builder().time_budget(Duration::from_secs(2)).build().unwrap();
    let https = url.replace("http:", "https:");
    assert_eq!(outcome(&sender(twilio(&https), strict)).await, Err(SendErrorKind::Transient));
    let handshakes = requests.load(Ordering::SeqCst);
    assert!(handshakes <= 1, "the hello of the handshake at most");
    assert!(
        outcome(&sender(twilio(&url), http())).await.is_ok(),
        "the control: it is sent where it is asked for"
    );
}
