//! Time, on a clock that only moves when nobody has anything to do: a server behind a pipe that
//! goes silent.

use std::sync::Arc;

use countersign::contact::EmailAddress;
use countersign::sender::SendErrorKind;
use tokio::task::JoinSet;

use super::*;
use crate::address::{WireAddress, on_the_wire};
use crate::dial::{Dial, Dialled};
use crate::play::{Act, At, Play, Step};
use crate::session::Security;

const BUDGET: Duration = Duration::from_secs(10);
const PROBE: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(30);

/// Connects to the play. Takes as long as it is told to, and fails if that is too long.
struct Pipes {
    play: Play,
    delay: Duration,
}

#[async_trait::async_trait]
impl Dial for Pipes {
    async fn dial(&self, _: Instant) -> Result<Dialled, SmtpCause> {
        tokio::time::sleep(self.delay).await;
        let (client, server) = tokio::io::duplex(4096);
        let play = self.play.clone();
        tokio::spawn(async move { play.serve(server, None).await });
        Ok(Dialled { wire: Box::new(client), local: None })
    }
}

fn pool(play: &Play, max: usize) -> Arc<Pool> {
    pool_with(play, max, Duration::ZERO)
}

fn pool_with(play: &Play, max: usize, delay: Duration) -> Arc<Pool> {
    let dial = Box::new(Pipes { play: play.clone(), delay });
    let server = Server { dial, security: Security::None, credentials: None, hello: None };
    Arc::new(Pool::new(server, max, IDLE, PROBE))
}

fn alice() -> WireAddress {
    on_the_wire(&EmailAddress::new("alice@example.com").unwrap()).unwrap()
}

/// Sends a message. Says how long it took.
async fn send(pool: &Pool) -> (Result<(), SmtpFailure>, Duration) {
    let (to, started) = (alice(), Instant::now());
    let message = Outgoing { from: &to.address, to: &to, text: b"Your code.\r\n" };
    let done = pool.send(&message, started + BUDGET).await;
    (done, started.elapsed())
}

/// Several messages at the same time. `play` lets them wait until all are on the way.
async fn send_together(play: &Play, pool: &Arc<Pool>, count: usize) {
    let sends = spawn(pool, count);
    play.until(|heard| heard.waiting == count).await;
    play.release();
    assert!(sends.join_all().await.iter().all(|(done, _)| done.is_ok()));
}

fn spawn(pool: &Arc<Pool>, count: usize) -> JoinSet<(Result<(), SmtpFailure>, Duration)> {
    let mut sends = JoinSet::new();
    for _ in 0..count {
        let pool = Arc::clone(pool);
        sends.spawn(async move { send(&pool).await });
    }
    sends
}

#[tokio::test(start_paused = true)]
async fn busy_connections_are_waited_for_within_the_budget() {
    let (done, took) = send(&pool(&Play::new(|_| None), 0)).await;
    let failure = done.unwrap_err();
    assert_eq!((failure.phase(), took), (Phase::Waiting, BUDGET));
    assert_eq!(failure.kind(), SendErrorKind::Throttled { retry_after: None });
}

/// An idle connection that has gone silent costs the time of the probe, and only once: the others
/// are dropped.
#[tokio::test(start_paused = true)]
async fn a_silent_idle_connection_costs_a_short_time_once() {
    let play = Play::new(|at| match (at.step, at.message) {
        (Step::Dot, 0) if at.connection < 8 => Some(Act::Wait),
        (Step::Reset, 1) if at.connection < 8 => Some(Act::Silent),
        _ => None,
    });
    let pool = pool(&play, 8);
    send_together(&play, &pool, 8).await;
    let (done, took) = send(&pool).await;
    assert_eq!((done, took), (Ok(()), PROBE));
    let heard = play.until(|heard| heard.open[..8] == [false; 8]).await;
    assert_eq!(
        (heard.count("RSET"), heard.connections(), heard.text_on()[8..].to_vec()),
        (1, 9, vec![8])
    );
    let (done, took) = send(&pool).await;
    assert_eq!((done, took), (Ok(()), Duration::ZERO), "the new one answers");
    assert_eq!(play.heard().text_on()[8..], [8, 8]);
}

/// Twelve codes over eight idle connections that have all gone silent: each arrives.
#[tokio::test(start_paused = true)]
async fn silent_idle_connections_fail_no_message() {
    let play = Play::new(|at| match (at.step, at.message) {
        (Step::Dot, 0) if at.connection < 8 => Some(Act::Wait),
        (Step::Reset, 1) if at.connection < 8 => Some(Act::Silent),
        _ => None,
    });
    let pool = pool(&play, 8);
    send_together(&play, &pool, 8).await;
    let started = Instant::now();
    let done = spawn(&pool, 12).join_all().await;
    assert!(done.iter().all(|(done, _)| done.is_ok()), "{done:?}");
    assert_eq!(started.elapsed(), PROBE);
    assert_eq!(play.heard().texts.len(), 20);
}

/// Silence after the probe costs half of the time, so that a new connection has the other half.
#[tokio::test(start_paused = true)]
async fn silence_before_the_text_leaves_time_for_a_new_connection() {
    for step in [Step::Mail, Step::Rcpt, Step::Data] {
        let play = Play::new(move |at| match (at.step, at.message) {
            (Step::Dot, 0) if at.connection < 2 => Some(Act::Wait),
            (now, 1) if now == step && at.connection < 2 => Some(Act::Silent),
            _ => None,
        });
        let pool = pool(&play, 2);
        send_together(&play, &pool, 2).await;
        let (done, took) = send(&pool).await;
        assert_eq!((done, took), (Ok(()), BUDGET / 2), "{step:?}");
        let heard = play.until(|heard| heard.open[..2] == [false; 2]).await;
        assert_eq!((heard.text_on()[2..].to_vec(), heard.connections()), (vec![2], 3), "{step:?}");
    }
}

/// The control: the same silence on a new connection costs the whole time, and is not tried again.
#[tokio::test(start_paused = true)]
async fn silence_on_a_new_connection_is_waited_for() {
    for (step, phase, kind) in [
        (Step::Greeting, Phase::Connection, SendErrorKind::Transient),
        (Step::Ehlo, Phase::Connection, SendErrorKind::Transient),
        (Step::Mail, Phase::Sender, SendErrorKind::Transient),
        (Step::Rcpt, Phase::Recipient, SendErrorKind::Transient),
        (Step::Data, Phase::Data, SendErrorKind::Transient),
        (Step::Dot, Phase::Text, SendErrorKind::Unknown),
    ] {
        let play = Play::new(move |at| (at.step == step).then_some(Act::Silent));
        let (done, took) = send(&pool(&play, 1)).await;
        let failure = done.unwrap_err();
        assert_eq!((failure.phase(), failure.kind(), took), (phase, kind, BUDGET));
        assert_eq!((failure.cause(), play.heard().connections()), (SmtpCause::TimedOut, 1));
    }
}

/// After the final dot a used connection has all the time that is left, and nothing is sent again.
#[tokio::test(start_paused = true)]
async fn silence_after_the_final_dot_is_unknown_and_final() {
    let play = Play::new(|at| (at.step == Step::Dot && at.message == 1).then_some(Act::Silent));
    let pool = pool(&play, 1);
    send(&pool).await.0.unwrap();
    let (done, took) = send(&pool).await;
    let failure = done.unwrap_err();
    assert_eq!(
        (failure.phase(), failure.kind(), took),
        (Phase::Text, SendErrorKind::Unknown, BUDGET)
    );
    let heard = play.until(|heard| !heard.open[0]).await;
    assert_eq!((heard.text_on(), heard.connections()), (vec![0, 0], 1));
    send(&pool).await.0.unwrap();
    assert_eq!(play.heard().text_on(), [0, 0, 1], "the next message has a connection of its own");
}

/// The new connection has what is left, and then its failure counts.
#[tokio::test(start_paused = true)]
async fn both_together_stay_within_the_budget() {
    let first = |at: At| at.connection == 0 && at.message == 0;
    let play = Play::new(move |at| (at.step == Step::Rcpt && !first(at)).then_some(Act::Silent));
    let pool = pool(&play, 1);
    send(&pool).await.0.unwrap();
    let (done, took) = send(&pool).await;
    assert_eq!(took, BUDGET);
    assert_eq!(done, Err(SmtpFailure::new(Phase::Recipient, SmtpCause::TimedOut)));
    assert_eq!(play.heard().connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_not_used_after_its_idle_time() {
    let play = Play::new(|_| None);
    let pool = pool(&play, 1);
    send(&pool).await.0.unwrap();
    tokio::time::advance(Duration::from_secs(29)).await;
    send(&pool).await.0.unwrap();
    assert_eq!(play.heard().connections(), 1);
    tokio::time::advance(IDLE).await;
    send(&pool).await.0.unwrap();
    assert_eq!((play.heard().connections(), play.heard().count("RSET")), (2, 1));
}

/// With little time left the probe has no more than half of it.
#[tokio::test(start_paused = true)]
async fn a_probe_takes_no_more_than_half_of_the_time() {
    let play =
        Play::new(|at| (at.step == Step::Reset && at.connection == 0).then_some(Act::Silent));
    let pool = pool_with(&play, 1, Duration::from_millis(200));
    send(&pool).await.0.unwrap();
    let (to, started) = (alice(), Instant::now());
    let message = Outgoing { from: &to.address, to: &to, text: b"Your code.\r\n" };
    pool.send(&message, started + PROBE).await.unwrap();
    assert_eq!(started.elapsed(), PROBE / 2 + Duration::from_millis(200));
}

/// A dropped call closes its connection, wherever it was, and gives its place to the next.
#[tokio::test(start_paused = true)]
async fn a_dropped_call_leaves_no_connection_behind() {
    for step in [Step::Reset, Step::Mail, Step::Rcpt, Step::Data, Step::Dot] {
        let play = Play::new(move |at| {
            (at.step == step && at.connection == 0 && at.message == 1).then_some(Act::Silent)
        });
        let pool = pool(&play, 1);
        send(&pool).await.0.unwrap();
        // Half of the shortest wait: the call is on the way.
        let dropped = tokio::time::timeout(PROBE / 2, send(&pool)).await;
        assert!(dropped.is_err());
        play.until(|heard| !heard.open[0]).await;
        send(&pool).await.0.unwrap();
        assert_eq!(play.heard().text_on().last(), Some(&1), "{step:?}");
    }
}

/// What is read of a reply without end is its longest line and one read more.
#[tokio::test(start_paused = true)]
async fn a_line_without_end_takes_little_memory() {
    let play = Play::new(|at| (at.step == Step::Greeting).then(|| Act::Endless(b"2".to_vec())));
    let failure = send(&pool(&play, 1)).await.0.unwrap_err();
    assert_eq!(failure.cause(), SmtpCause::TooLong);
    // 2,048 bytes of a line, 1,024 of a read, 4,096 that the pipe holds.
    let heard = play.until(|heard| !heard.open[0]).await;
    assert!(heard.endless <= 2048 + 1024 + 4096, "{}", heard.endless);
}
