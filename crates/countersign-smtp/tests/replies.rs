//! What servers say, in bytes: any text and none, too much of it, and what is no reply at all.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use countersign::sender::{CodeSender, SendErrorKind, SendStatus};
use countersign_smtp::{Phase, SmtpCause, SmtpPassword};
use support::loopback::{Loopback, MODES, Mode, build};
use support::play::{Act, At, Play, Step, say};
use support::*;

/// The polite reply of each step: its code, with every text or none.
fn all_like_this(text: &'static [u8]) -> Play {
    Play::new(move |at| {
        let code: &[u8] = match at.step {
            Step::Greeting | Step::StartTls => b"220",
            Step::Auth(_) => b"235",
            Step::Data => b"354",
            // Without its list of extensions there is neither TLS nor a login.
            Step::Ehlo => return None,
            Step::Reset | Step::Mail | Step::Rcpt | Step::Dot => b"250",
        };
        Some(say([code, text].concat()))
    })
}

/// RFC 5321, 4.2: the code alone decides.
#[tokio::test]
async fn any_text_and_none_is_a_reply_at_every_step() {
    for mode in MODES {
        for text in [&b"\r\n"[..], b"\n", b" \r\n", b" f\xfcr \xe4\xff\0\r\n", b" 550 5.1.1 no\r\n"]
        {
            let play = all_like_this(text);
            let server = Loopback::start(play, mode).await;
            let mut builder = server.builder();
            if mode != Mode::Plain {
                builder = builder.credentials("app", SmtpPassword::new("hunter2"));
            }
            let sender = build(builder);
            for _ in 0..2 {
                assert_eq!(
                    sender.send_code(&code_to(ALICE, "en")).await.unwrap(),
                    SendStatus::Sent,
                    "{mode:?} {text:?}"
                );
            }
            assert_eq!(server.play.heard().text_on(), [0, 0]);
        }
    }
    // Several lines, with bytes that are no text in each.
    let play = Play::new(|at| {
        (at.step == Step::Rcpt).then(|| say(b"250-Empf\xe4nger\r\n250-\xff\r\n250\r\n"))
    });
    let server = Loopback::start(play, Mode::Plain).await;
    server.sender().send_code(&code_to(ALICE, "en")).await.unwrap();
}

/// The control: the same texts under another code are refusals, and say which.
#[tokio::test]
async fn the_code_decides_whatever_the_text_says() {
    for (answer, kind, shown) in [
        (&b"550 5.1.1 Empf\xe4nger unbekannt"[..], SendErrorKind::Permanent, "550 5.1.1 "),
        (b"550", SendErrorKind::Permanent, "550 "),
        (b"550 250 ok", SendErrorKind::Permanent, "550 "),
        (b"550 5.7.133 not from outside", SendErrorKind::Permanent, "550 5.7.133 "),
        (b"550-5.7.1 one\r\n550 5.7.1 two", SendErrorKind::Permanent, "550 5.7.1 "),
        (b"450 4.7.28 later", SendErrorKind::Transient, "450 4.7.28 "),
        (b"599 2.0.0 fine", SendErrorKind::Permanent, "599 2.0.0 "),
        (b"499", SendErrorKind::Transient, "499 "),
    ] {
        for step in [Step::Mail, Step::Rcpt, Step::Data, Step::Dot] {
            let said = [answer, b"\r\n"].concat();
            let play = Play::new(move |at| (at.step == step).then(|| say(&said)));
            let server = Loopback::start(play, Mode::Plain).await;
            let refused = server.sender().send_code(&code_to(ALICE, "en")).await.unwrap_err();
            let failure = failure(&refused);
            assert_eq!(refused.kind(), kind, "{answer:?}");
            assert!(matches!(failure.cause(), SmtpCause::Refused { .. }));
            assert_eq!(
                failure.to_string(),
                format!("smtp server answered {shown}(phase: {})", failure.phase())
            );
        }
    }
}

/// Where in a conversation a server can flood the client.
const FLOODED: [(Mode, Step, bool, Phase); 11] = [
    (Mode::Plain, Step::Greeting, false, Phase::Connection),
    (Mode::Plain, Step::Ehlo, false, Phase::Connection),
    (Mode::StartTls, Step::Greeting, false, Phase::Connection),
    (Mode::StartTls, Step::Ehlo, false, Phase::Connection),
    (Mode::StartTls, Step::StartTls, false, Phase::Connection),
    (Mode::StartTls, Step::Ehlo, true, Phase::Connection),
    (Mode::StartTls, Step::Auth(0), true, Phase::Authentication),
    (Mode::StartTls, Step::Mail, true, Phase::Sender),
    (Mode::Wrapped, Step::Rcpt, false, Phase::Recipient),
    (Mode::Wrapped, Step::Data, false, Phase::Data),
    (Mode::Wrapped, Step::Dot, false, Phase::Text),
];

#[tokio::test]
async fn a_reply_without_end_is_not_read() {
    // Without an end of the line, without a last line, and nothing but empty lines.
    for flood in [&[b'2'; 4096][..], b"250-and more\r\n", b"250-\n"] {
        for (mode, step, encrypted, phase) in FLOODED {
            let moment = move |at: At| at.step == step && at.encrypted == encrypted;
            let play = Play::new(move |at| moment(at).then(|| Act::Endless(flood.to_vec())));
            let server = Loopback::start(play, mode).await;
            let mut builder = server.builder();
            if matches!(step, Step::Auth(_)) {
                builder = builder.credentials("app", SmtpPassword::new("hunter2"));
            }
            let failed = build(builder).send_code(&code_to(ALICE, "en")).await.unwrap_err();
            let failure = failure(&failed);
            assert_eq!(
                (failure.phase(), failure.cause()),
                (phase, SmtpCause::TooLong),
                "{mode:?} {step:?}"
            );
            let unknown = if phase == Phase::Text {
                SendErrorKind::Unknown
            } else {
                SendErrorKind::Transient
            };
            assert_eq!(failed.kind(), unknown);
            // The client has gone, while the server would still talk.
            server.play.until(|heard| !heard.open[0]).await;
            assert_eq!(server.play.heard().connections(), 1);
        }
    }
}

/// The control: as much as a client must read is read.
#[tokio::test]
async fn a_long_reply_is_read_to_its_end() {
    let long = [b"250-".as_slice(), &[b'x'; 1000], b"\r\n"].concat().repeat(60);
    let long = [long.as_slice(), b"250 \xff\r\n"].concat();
    for (mode, encrypted) in [(Mode::Plain, false), (Mode::StartTls, true)] {
        let long = long.clone();
        let moment =
            move |at: At| at.encrypted == encrypted && matches!(at.step, Step::Mail | Step::Dot);
        let server =
            Loopback::start(Play::new(move |at| moment(at).then(|| say(&long))), mode).await;
        server.sender().send_code(&code_to(ALICE, "en")).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_no_reply_is_named() {
    for said in [
        &b"\r\n"[..],
        b"25\r\n",
        b"2x0 ok\r\n",
        b"250\tok\r\n",
        b"199\r\n",
        b"600\r\n",
        b"250-a\r\n550 b\r\n",
    ] {
        for (step, phase) in [
            (Step::Greeting, Phase::Connection),
            (Step::Rcpt, Phase::Recipient),
            (Step::Dot, Phase::Text),
        ] {
            let play = Play::new(move |at| (at.step == step).then(|| say(said)));
            let server = Loopback::start(play, Mode::Plain).await;
            let failed = server.sender().send_code(&code_to(ALICE, "en")).await.unwrap_err();
            let failure = failure(&failed);
            assert_eq!(
                (failure.phase(), failure.cause()),
                (phase, SmtpCause::Malformed),
                "{said:?}"
            );
        }
    }
}

/// The text is what was composed, with dots and line ends as SMTP wants them.
#[tokio::test]
async fn the_text_ends_once() {
    let server = Loopback::start(Play::new(|_| None), Mode::Plain).await;
    server.sender().send_code(&code_to(ALICE, "ja")).await.unwrap();
    let heard = server.play.heard();
    let text = std::str::from_utf8(&heard.texts[0].1).unwrap();
    assert!(text.ends_with("\r\n.\r\n") && !text.replace("\r\n", "").contains(['\r', '\n']));
    assert_eq!(text.split("\r\n").filter(|line| *line == ".").count(), 1);
    let commands: Vec<&str> = heard.commands.iter().map(|(_, command)| command.as_str()).collect();
    let expected = [
        "EHLO tests.example",
        "MAIL FROM:<no-reply@example.com>",
        "RCPT TO:<alice@example.com>",
        "DATA",
    ];
    assert_eq!(commands, expected);
}

/// I-33: addresses of Japanese carriers, whose dots stand where none belong, go over the wire in
/// quotes.
#[tokio::test]
async fn misplaced_dots_are_in_quotes_at_rcpt_and_in_the_header() {
    let server = Loopback::start(Play::new(|_| None), Mode::Plain).await;
    let sender = server.sender();
    for given in
        ["hanako..y@docomo.example", "\"hanako..y\"@docomo.example", "hanako.y.@docomo.example"]
    {
        sender.send_code(&code_to(given, "ja")).await.unwrap();
    }
    let heard = server.play.heard();
    let (twice, once) = ("\"hanako..y\"@docomo.example", "\"hanako.y.\"@docomo.example");
    let recipients =
        heard.commands.iter().filter_map(|(_, command)| command.strip_prefix("RCPT TO:"));
    assert!(recipients.eq([format!("<{twice}>"), format!("<{twice}>"), format!("<{once}>")]));
    for ((_, text), to) in heard.texts.iter().zip([twice, twice, once]) {
        let text = std::str::from_utf8(text).unwrap();
        assert!(text.contains(&format!("\r\nTo: {to}\r\n")), "{text}");
    }
}
