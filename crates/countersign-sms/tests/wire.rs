//! Signed requests as they arrive: the signature is computed anew from what is on the wire.
#![cfg(feature = "reqwest")]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const TAKEN: &str = "HTTP/1.1 200 OK\r\ncontent-length: 33\r\nconnection: close\r\n\r\n<MessageId>94f20ce6</MessageId>  ";

/// The head and the body of one request.
async fn receive(listener: &TcpListener) -> (String, String) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut heard = Vec::new();
    loop {
        let text = String::from_utf8(heard.clone()).unwrap();
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && body.len() == header(head, "content-length").parse::<usize>().unwrap()
        {
            stream.write_all(TAKEN.as_bytes()).await.unwrap();
            return (head.to_owned(), body.to_owned());
        }
        let mut more = [0; 4096];
        let read = stream.read(&mut more).await.unwrap();
        assert!(read > 0, "{text}");
        heard.extend_from_slice(&more[..read]);
    }
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
        .unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn keyed(key: &[u8], message: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The signature of a received request, by AWS's description: canonical request, text to sign,
/// derived key.
fn signature(head: &str, body: &str, secret: &str) -> String {
    let authorization = header(head, "authorization");
    let field = |name: &str| authorization.split_once(name).unwrap().1.split(',').next().unwrap();
    let (scope, signed) =
        (field("Credential=").split_once('/').unwrap().1, field("SignedHeaders="));
    let path = head.split(' ').nth(1).unwrap();
    // Escaped once more than it was sent.
    let path = path.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            write!(text, "%{byte:02X}").unwrap();
        }
        text
    });
    let headers = signed.split(';').fold(String::new(), |mut text, name| {
        writeln!(text, "{name}:{}", header(head, name)).unwrap();
        text
    });
    let request =
        format!("POST\n{path}\n\n{headers}\n{signed}\n{}", hex(&Sha256::digest(body.as_bytes())));
    let date = header(head, "x-amz-date");
    let text =
        format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(request.as_bytes())));
    let key =
        scope.split('/').fold(format!("AWS4{secret}").into_bytes(), |key, part| keyed(&key, part));
    hex(&keyed(&key, &text))
}

#[tokio::test]
async fn what_is_signed_is_what_is_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for url in [
        format!("http://127.0.0.1:{port}"),
        format!("HTTP://LocalHost:{port}/"),
        format!("http://127.0.0.1:{port}/AWS/Sns"),
        format!("http://127.0.0.1:{port}/a%20b%2Fc/c:d@e!$&'()*+,;=/-._~"),
        format!("http://127.0.0.1:{port}/trailing/"),
    ] {
        let sender = sender(sns(&url), http());
        let (sent, (head, body)) = tokio::join!(outcome(&sender), receive(&listener));
        assert!(sent.is_ok(), "{url}: {sent:?}");
        let expected = header(&head, "authorization").rsplit('=').next().unwrap();
        assert_eq!(signature(&head, &body, "aws-secret-key"), expected, "{url}: {head}");
        // The control: another host or path has another signature.
        assert_ne!(
            signature(&head.replace(&format!(":{port}"), ":1"), &body, "aws-secret-key"),
            expected
        );
        assert_ne!(
            signature(&head.replacen("POST /", "POST /x", 1), &body, "aws-secret-key"),
            expected
        );
    }
}
