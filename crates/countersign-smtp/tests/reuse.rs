//! A connection that was used before, and answers that are about it and not about the message.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::io::ErrorKind;

use countersign::sender::{CodeSender, SendErrorKind, SendStatus};
use countersign_smtp::{Phase, SmtpCause};
use support::loopback::{Loopback, Mode, modes};
use support::play::{Act, At, Play, Step, say};
use support::*;

/// What servers do on a connection that they are done with. In TLS a few of these stand for all.
fn endings(mode: Mode) -> Vec<Act> {
    let mut endings = vec![
        Act::Close,
        Act::SayAndClose(b"421 4.4.2 idle for too long\r\n".to_vec()),
        say("451 4.4.2 Timeout\r\n"),
        say("550 too many messages in this session\r\n"),
    ];
    if mode != Mode::Plain {
        return endings;
    }
    endings.extend([
        Act::SayAndClose(b"25".to_vec()),
        say("421\r\n"),
        say("452 4.4.5 too many recipients in this session\r\n"),
        say("450\r\n"),
        say("500 5.5.1 what?\r\n"),
        say("503 5.5.1 not now\r\n"),
        say("554 5.7.0\r\n"),
        say("nonsense\r\n"),
        Act::Endless(b"421-more".to_vec()),
        Act::Endless(b"421-more\r\n".to_vec()),
    ]);
    endings
}

const OFFERING: [Step; 4] = [Step::Reset, Step::Mail, Step::Rcpt, Step::Data];

/// Does this at one step of the second message on the first connection.
fn second_message(step: Step, act: Act) -> Play {
    let moment = move |at: At| at.connection == 0 && at.message == 1 && at.step == step;
    Play::new(move |at| moment(at).then(|| act.clone()))
}

#[tokio::test]
async fn an_answer_about_a_used_connection_does_not_fail_the_message() {
    for mode in modes() {
        for step in OFFERING {
            for act in endings(mode) {
                let server = Loopback::start(second_message(step, act.clone()), mode).await;
                let sender = server.sender();
                for _ in 0..2 {
                    let sent = sender.send_code(&code_to(ALICE, "en")).await;
                    assert_eq!(sent.unwrap(), SendStatus::Sent, "{mode:?} {step:?} {act:?}");
                }
                let heard = server.play.heard();
                assert_eq!(heard.text_on(), [0, 1], "each text once: {mode:?} {step:?} {act:?}");
                assert_eq!(heard.connections(), 2);
                // The new connection is kept, and the failed one is not.
                sender.send_code(&code_to(ALICE, "en")).await.unwrap();
                assert_eq!(server.play.heard().text_on(), [0, 1, 1]);
            }
        }
    }
}

/// The control to the test above: without the answer, one connection serves both.
#[tokio::test]
async fn a_used_connection_that_works_is_used_again() {
    for mode in modes() {
        let server = Loopback::start(Play::new(|_| None), mode).await;
        let sender = server.sender();
        for _ in 0..3 {
            sender.send_code(&code_to(ALICE, "en")).await.unwrap();
        }
        let heard = server.play.heard();
        assert_eq!((heard.text_on(), heard.connections()), (vec![0, 0, 0], 1));
        assert_eq!(heard.count("RSET"), 2, "asked before each message but the first");
    }
}

#[tokio::test]
async fn the_answer_on_the_new_connection_counts() {
    for (step, phase) in
        [(Step::Mail, Phase::Sender), (Step::Rcpt, Phase::Recipient), (Step::Data, Phase::Data)]
    {
        for (answer, kind) in [("450", SendErrorKind::Transient), ("550", SendErrorKind::Permanent)]
        {
            let from_the_second_message_on =
                move |at: At| at.step == step && (at.connection, at.message) != (0, 0);
            let play = Play::new(move |at| {
                from_the_second_message_on(at).then(|| say(format!("{answer}\r\n")))
            });
            let server = Loopback::start(play, Mode::Plain).await;
            let sender = server.sender();
            sender.send_code(&code_to(ALICE, "en")).await.unwrap();
            let refused = sender.send_code(&code_to(ALICE, "en")).await.unwrap_err();
            let failure = failure(&refused);
            assert_eq!((refused.kind(), failure.phase()), (kind, phase), "{step:?} {answer}");
            assert_eq!(
                failure.cause(),
                SmtpCause::Refused { reply: answer.parse().unwrap(), enhanced: None }
            );
            let heard = server.play.heard();
            assert_eq!(
                (heard.connections(), heard.text_on()),
                (2, vec![0]),
                "once more, and not more often"
            );
        }
    }
}

#[tokio::test]
async fn an_answer_on_a_new_connection_is_not_asked_for_again() {
    for (step, phase) in [
        (Step::Greeting, Phase::Connection),
        (Step::Ehlo, Phase::Connection),
        (Step::Mail, Phase::Sender),
        (Step::Rcpt, Phase::Recipient),
        (Step::Data, Phase::Data),
    ] {
        for act in
            [Act::Close, say("421 4.3.2\r\n"), say("450\r\n"), say("550\r\n"), say("nonsense\r\n")]
        {
            let acted = act.clone();
            let play = Play::new(move |at| (at.step == step).then(|| acted.clone()));
            let server = Loopback::start(play, Mode::Plain).await;
            let refused = server.sender().send_code(&code_to(ALICE, "en")).await.unwrap_err();
            assert_eq!(failure(&refused).phase(), phase, "{act:?}");
            let heard = server.play.heard();
            assert_eq!((heard.connections(), heard.texts.len()), (1, 0), "{step:?} {act:?}");
        }
    }
}

/// On a used connection and on a new one.
#[tokio::test]
async fn nothing_is_sent_again_after_the_final_dot() {
    let eof = SmtpCause::Io(ErrorKind::UnexpectedEof);
    let refused = |reply| SmtpCause::Refused { reply, enhanced: None };
    for (act, kind, cause) in [
        (Act::Close, SendErrorKind::Unknown, eof),
        (Act::SayAndClose(b"250".to_vec()), SendErrorKind::Unknown, eof),
        (say("nonsense\r\n"), SendErrorKind::Unknown, SmtpCause::Malformed),
        (say("354\r\n"), SendErrorKind::Unknown, SmtpCause::OutOfTurn),
        (Act::Endless(b"250-".to_vec()), SendErrorKind::Unknown, SmtpCause::TooLong),
        (say("421\r\n"), SendErrorKind::Transient, refused(421)),
        (say("451\r\n"), SendErrorKind::Transient, refused(451)),
        (say("452\r\n"), SendErrorKind::Transient, refused(452)),
        (say("550\r\n"), SendErrorKind::Permanent, refused(550)),
        (say("554\r\n"), SendErrorKind::Permanent, refused(554)),
    ] {
        for mode in modes() {
            for used in [false, true] {
                let acted = act.clone();
                let moment = move |at: At| at.step == Step::Dot && at.message == usize::from(used);
                let play = Play::new(move |at| moment(at).then(|| acted.clone()));
                let server = Loopback::start(play, mode).await;
                let sender = server.sender();
                if used {
                    sender.send_code(&code_to(ALICE, "en")).await.unwrap();
                }
                let failed = sender.send_code(&code_to(ALICE, "en")).await.unwrap_err();
                let failure = failure(&failed);
                assert_eq!(
                    (failed.kind(), failure.phase()),
                    (kind, Phase::Text),
                    "{mode:?} {act:?}"
                );
                assert_eq!(failure.cause(), cause, "{mode:?} {act:?}");
                let heard = server.play.heard();
                assert_eq!(
                    (heard.texts.len(), heard.connections()),
                    (1 + usize::from(used), 1),
                    "{mode:?} {act:?}"
                );
            }
        }
    }
}

/// The text had begun, but its end was never sent: nothing was handed over, and nothing is sent
/// again.
#[tokio::test]
async fn a_text_that_was_cut_off_was_not_sent() {
    let moment = |at: At| at.step == Step::Data && at.message == 1;
    let play =
        Play::new(move |at| moment(at).then(|| Act::Say(b"354\r\n552 5.3.4 too big\r\n".to_vec())));
    let server = Loopback::start(play, Mode::Plain).await;
    let sender = server.sender();
    sender.send_code(&code_to(ALICE, "en")).await.unwrap();
    let failed = sender.send_code(&code_to(ALICE, "en")).await.unwrap_err();
    assert_eq!((failed.kind(), phase(&failed)), (SendErrorKind::Transient, Phase::Data));
    let heard = server.play.until(|heard| !heard.open[0]).await;
    assert_eq!((heard.text_on(), heard.connections()), (vec![0], 1));
}

/// Answers that are one step behind: a refusal must not be missed.
#[tokio::test]
async fn a_used_connection_that_is_out_of_step_is_not_used() {
    for (step, said) in [
        (Step::Reset, "250 one\r\n250 two\r\n"),
        (Step::Mail, "250 one\r\n250 two\r\n"),
        (Step::Rcpt, "250 one\r\n354 two\r\n"),
        (Step::Data, "250 behind\r\n"),
        (Step::Mail, "354\r\n"),
    ] {
        let server = Loopback::start(second_message(step, say(said)), Mode::Plain).await;
        let sender = server.sender();
        for _ in 0..2 {
            sender.send_code(&code_to(ALICE, "en")).await.unwrap();
        }
        assert_eq!(server.play.heard().text_on(), [0, 1], "{step:?}");
    }
    // A taken message stays taken, whatever comes after the answer.
    let moment = |at: At| at.step == Step::Dot && at.connection == 0;
    let play = Play::new(move |at| moment(at).then(|| say("250\r\n421 4.3.2 enough\r\n")));
    let server = Loopback::start(play, Mode::Plain).await;
    let sender = server.sender();
    for _ in 0..2 {
        sender.send_code(&code_to(ALICE, "en")).await.unwrap();
    }
    let heard = server.play.heard();
    assert_eq!((heard.text_on(), heard.count("RSET")), (vec![0, 1], 0));
}

/// Three idle connections, and the one that is asked has gone: the others are as old or older.
#[tokio::test]
async fn when_an_idle_connection_has_gone_the_others_are_dropped_too() {
    for act in [Act::Close, say("421 4.4.2 idle for too long\r\n")] {
        let (acted, three) = (act.clone(), 3);
        let play = Play::new(move |at| match at.step {
            // All three are open before any is idle.
            Step::Dot if at.connection < three && at.message == 0 => Some(Act::Wait),
            Step::Reset if at.connection < three => Some(acted.clone()),
            _ => None,
        });
        let server = Loopback::start(play, Mode::Plain).await;
        let sender = server.sender();
        let sends: Vec<_> = (0..three)
            .map(|_| {
                let sender = sender.clone();
                tokio::spawn(async move { sender.send_code(&code_to(ALICE, "en")).await.unwrap() })
            })
            .collect();
        server.play.until(|heard| heard.waiting == three).await;
        server.play.release();
        for send in sends {
            send.await.unwrap();
        }
        for _ in 0..2 {
            sender.send_code(&code_to(ALICE, "en")).await.unwrap();
        }
        let heard = server.play.until(|heard| heard.open[..3] == [false; 3]).await;
        assert_eq!(heard.connections(), 4, "{act:?}");
        assert_eq!(heard.text_on()[3..], [3, 3], "{act:?}");
        assert_eq!(heard.count("RSET"), 2, "one of the three was asked, and the new one: {act:?}");
    }
}

/// A limit of one session says nothing about the others.
#[tokio::test]
async fn a_session_at_its_limit_does_not_cost_the_other_connections() {
    let play = Play::new(move |at| match at.step {
        Step::Dot if at.connection < 2 && at.message == 0 => Some(Act::Wait),
        Step::Rcpt if at.message == 1 => Some(say("452 4.4.5 enough\r\n")),
        _ => None,
    });
    let server = Loopback::start(play, Mode::Plain).await;
    let sender = server.sender();
    let sends: Vec<_> = (0..2)
        .map(|_| {
            let sender = sender.clone();
            tokio::spawn(async move { sender.send_code(&code_to(ALICE, "en")).await.unwrap() })
        })
        .collect();
    server.play.until(|heard| heard.waiting == 2).await;
    server.play.release();
    for send in sends {
        send.await.unwrap();
    }
    sender.send_code(&code_to(ALICE, "en")).await.unwrap();
    let open = |heard: &support::play::Heard| heard.open.iter().filter(|open| **open).count();
    let heard = server.play.until(|heard| heard.connections() == 3 && open(heard) == 2).await;
    assert_eq!((heard.count("RSET"), heard.open[2]), (1, true), "the other one is still there");
}
