//! What the tests share: messages to send, and the SMTP server that is not ours.
#![allow(dead_code, missing_docs, unreachable_pub)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::indexing_slicing
)]

#[path = "../../../../scripts/test_servers/find.rs"]
mod find;
pub mod loopback;
pub mod play;

use std::fmt::Write;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use countersign::contact::{Destination, EmailAddress, PhoneNumber};
use countersign::sender::{CodeMessage, Notice, NoticeKind, Purpose, SendError};
use countersign::user::Language;
use countersign::{Code, DeviceLabel, RequestContext, TenantId, UserId};
use countersign_delivery::message::Messages;
use countersign_smtp::{Phase, SmtpFailure};
use serde_json::Value;
use time::OffsetDateTime;

pub const CODE: &str = "836194";
pub const ALICE: &str = "alice@example.com";
/// A word that servers say and nobody may repeat.
pub const CANARY: &str = "zq7canary";

pub fn email(address: &str) -> EmailAddress {
    EmailAddress::new(address).unwrap()
}

pub fn sms() -> Destination {
    Destination::Sms(PhoneNumber::new("+819012345634").unwrap())
}

pub fn messages() -> Messages {
    Messages::builder("Example").build().unwrap()
}

pub fn code_to(address: &str, language: &str) -> CodeMessage {
    CodeMessage {
        tenant: TenantId::new("acme").unwrap(),
        user: UserId::new("alice").unwrap(),
        login: "AAAAAAAAAAAAAAAAAAAAAA".parse().unwrap(),
        purpose: Purpose::Login,
        destination: Destination::Email(email(address)),
        code: Code::new(CODE),
        reference: serde_json::from_str("\"BKTR\"").unwrap(),
        valid_for: Duration::from_secs(180),
        expires_at: OffsetDateTime::from_unix_timestamp(1_795_514_580).unwrap(),
        language: Some(Language::new(language).unwrap()),
    }
}

pub fn notice_to(address: &str, language: &str) -> Notice {
    Notice {
        tenant: TenantId::new("acme").unwrap(),
        user: UserId::new("alice").unwrap(),
        destination: Destination::Email(email(address)),
        kind: NoticeKind::DeviceTrusted {
            label: DeviceLabel::new("花子のiPhone <b>"),
            dropped: None,
        },
        at: OffsetDateTime::from_unix_timestamp(1_795_514_400).unwrap(),
        language: Some(Language::new(language).unwrap()),
        held_back: 0,
        from: RequestContext::new(),
    }
}

/// Where a failed send stopped. Its texts repeat neither the code nor the address, however they are
/// printed (I-22).
#[track_caller]
pub fn phase(error: &SendError) -> Phase {
    failure(error).phase()
}

/// What the operator learns of a failed send. Nothing that a server says beside its codes is in it,
/// nor anything secret, however it is printed (I-22).
#[track_caller]
pub fn failure(error: &SendError) -> SmtpFailure {
    let printed = all_that_prints(error);
    for secret in [CODE, ALICE, "alice", "hunter2", CANARY] {
        assert!(!printed.contains(secret), "{printed}");
    }
    *std::error::Error::source(error).unwrap().downcast_ref::<SmtpFailure>().unwrap()
}

/// An error and all that caused it, in each way that it prints.
pub fn all_that_prints(error: &dyn std::error::Error) -> String {
    let mut printed = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let _ = writeln!(printed, "{error}\n{error:#}\n{error:?}\n{error:#?}");
        next = error.source();
    }
    printed
}

/// The server of `sink.py`.
pub struct Sink {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Value>,
    pub port: u16,
    pub root: Vec<u8>,
}

impl Sink {
    /// `None`, loudly, if there is no Python with aiosmtpd.
    pub fn start(arguments: &[&str]) -> Option<Self> {
        let probe = ["-c", "import aiosmtpd, cryptography"];
        let Some(python) =
            find::program("COUNTERSIGN_TEST_PYTHON", "python/bin/python", "python3", &probe)
        else {
            find::skip("Python with aiosmtpd and cryptography");
            return None;
        };
        let mut child = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sink.py"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).unwrap());
            }
        });
        let about: Value = lines.recv_timeout(Duration::from_secs(30)).expect("the server starts");
        let port = u16::try_from(about["port"].as_u64().unwrap()).unwrap();
        let root = about["root"].as_str().unwrap_or_default().as_bytes().to_vec();
        Some(Self { child, stdin, lines, port, root })
    }

    /// The next message that it took.
    #[track_caller]
    pub fn received(&self) -> Value {
        self.lines.recv_timeout(Duration::from_secs(60)).expect("a message arrives")
    }

    /// Ends it: what it took beside what was already looked at, and how many connections there
    /// were.
    pub fn finish(mut self) -> (usize, u64) {
        drop(self.stdin.take());
        let mut rest: Vec<Value> = self.lines.iter().collect();
        let connections = rest.pop().unwrap()["connections"].as_u64().unwrap();
        (rest.len(), connections)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

/// The value of the one header of this name.
#[track_caller]
pub fn header<'a>(message: &'a Value, name: &str) -> &'a str {
    let headers = message["headers"].as_array().unwrap();
    let mut found =
        headers.iter().filter(|header| header[0].as_str().unwrap().eq_ignore_ascii_case(name));
    let value = found.next().unwrap_or_else(|| panic!("no header {name}"))[1].as_str().unwrap();
    assert!(found.next().is_none(), "{name} stands there once");
    value
}
