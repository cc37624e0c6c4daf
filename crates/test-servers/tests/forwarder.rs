//! An address in front of a server loses what it is told to lose, and nothing else.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use countersign_testkit::conformance::Line;
use test_servers::Forwarder;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// A server that answers each line with the same line, and keeps them.
async fn echo() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (port, kept) =
        (listener.local_addr().unwrap().port(), Arc::<Mutex<Vec<String>>>::default());
    let keeps = Arc::clone(&kept);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let keeps = Arc::clone(&keeps);
            tokio::spawn(async move {
                let (read, mut write) = client.into_split();
                let mut lines = BufReader::new(read).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    keeps.lock().unwrap().push(line.clone());
                    write.write_all(format!("{line}\n").as_bytes()).await.unwrap();
                }
            });
        }
    });
    (port, kept)
}

struct Client(BufReader<OwnedReadHalf>, OwnedWriteHalf);

impl Client {
    async fn of(line: &Forwarder) -> Self {
        let (read, write) =
            TcpStream::connect(("127.0.0.1", line.port())).await.unwrap().into_split();
        Self(BufReader::new(read), write)
    }

    async fn ask(&mut self, text: &str) {
        self.1.write_all(format!("{text}\n").as_bytes()).await.unwrap();
    }

    /// Empty: the connection has ended.
    async fn answer(&mut self) -> String {
        let mut answer = String::new();
        // A connection that is reset has ended too.
        let _read = self.0.read_line(&mut answer).await;
        answer.trim_end().to_owned()
    }
}

/// Waits until so much got lost.
async fn lost(line: &Forwarder, number: u64) {
    while line.lost().await.unwrap() < number {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_get_lost_after_so_many_and_what_was_asked_for_is_done() {
    let (port, kept) = echo().await;
    let line = Forwarder::to(port).await.unwrap();
    let mut client = Client::of(&line).await;
    line.lose_answers(1).await.unwrap();
    client.ask("one").await;
    assert_eq!(client.answer().await, "one");
    assert_eq!(line.lost().await.unwrap(), 0);
    client.ask("two").await;
    lost(&line, 1).await;
    assert_eq!(*kept.lock().unwrap(), ["one", "two"]);
    line.cut().await.unwrap();
    assert_eq!(client.answer().await, "", "the answer that got lost does not come later");
    // Connections that are made from now on are sound.
    let mut client = Client::of(&line).await;
    client.ask("three").await;
    assert_eq!(client.answer().await, "three");
    assert_eq!((line.lost().await.unwrap(), line.accepted()), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_get_lost_and_nothing_is_done() {
    let (port, kept) = echo().await;
    let line = Forwarder::to(port).await.unwrap();
    let mut client = Client::of(&line).await;
    client.ask("one").await;
    assert_eq!(client.answer().await, "one");
    line.lose_requests().await.unwrap();
    client.ask("two").await;
    lost(&line, 1).await;
    line.cut().await.unwrap();
    assert_eq!(client.answer().await, "");
    assert_eq!(*kept.lock().unwrap(), ["one"]);
}

#[tokio::test]
async fn an_address_is_put_before_a_server_of_this_machine_and_no_other() {
    let (port, _) = echo().await;
    for (before, after) in [
        (
            format!("postgres://who@127.0.0.1:{port}/base?a=b"),
            "postgres://who@127.0.0.1:PORT/base?a=b",
        ),
        (format!("redis://who:what@localhost:{port}"), "redis://who:what@127.0.0.1:PORT"),
        (format!("redis://127.0.0.1:{port}/"), "redis://127.0.0.1:PORT/"),
    ] {
        let (line, url) = Forwarder::before(&before).await.unwrap().unwrap();
        assert_eq!(url, after.replace("PORT", &line.port().to_string()));
        let mut client = Client::of(&line).await;
        client.ask("here").await;
        assert_eq!(client.answer().await, "here");
    }
    for elsewhere in
        ["postgres://who@db.example:5432/base", "redis://127.0.0.1/", "host=127.0.0.1 port=5432"]
    {
        assert!(Forwarder::before(elsewhere).await.unwrap().is_none(), "{elsewhere}");
    }
}

/// What is asked after the line fell silent goes nowhere, also if it can be read before the task
/// that carries it notices the silence. Connections that are made after that are sound.
#[test]
fn nothing_that_is_asked_after_the_line_fell_silent_gets_through() {
    // It looks for what came in after each task that ran.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().event_interval(1).build();
    runtime.unwrap().block_on(async {
        let (port, kept) = echo().await;
        let line = Forwarder::to(port).await.unwrap();
        for _ in 0..64 {
            let mut client = Client::of(&line).await;
            client.ask("before").await;
            assert_eq!(client.answer().await, "before");
            // This task runs before the one that carries.
            tokio::spawn(async {});
            line.fall_silent();
            client.ask("after").await;
            // By the time of this answer, whatever gets through did.
            let mut other = Client::of(&line).await;
            other.ask("sound").await;
            assert_eq!(other.answer().await, "sound");
        }
        assert!(kept.lock().unwrap().iter().all(|line| line != "after"));
    });
}
