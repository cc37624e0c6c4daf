//! Something between the store and a server that repeats or loses what the server answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What becomes of what is answered next, as it arrives.
#[derive(Clone, Copy)]
pub enum Flaw {
    Repeats,
    Loses,
}

pub struct Mixer {
    pub url: String,
    flawed: Arc<AtomicUsize>,
}

impl Mixer {
    pub async fn before(port: u16, flaw: Flaw) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("redis://127.0.0.1:{}/", listener.local_addr().unwrap().port());
        let flawed = Arc::new(AtomicUsize::new(0));
        let left = Arc::clone(&flawed);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, port, flaw, Arc::clone(&left)));
            }
        });
        Self { url, flawed }
    }

    /// The next answers are flawed.
    pub fn flaw(&self, answers: usize) {
        self.flawed.store(answers, Ordering::SeqCst);
    }

    pub fn flaws_left(&self) -> usize {
        self.flawed.load(Ordering::SeqCst)
    }
}

async fn forward(client: TcpStream, port: u16, flaw: Flaw, left: Arc<AtomicUsize>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut again = Vec::new();
    let (mut asked, mut answered) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        let sent = tokio::select! {
            Ok(length @ 1..) = from_client.read(&mut asked) => {
                // An answer that nobody waits for would be dropped by the client: it is repeated
                // when something was asked again.
                let repeated = to_client.write_all(&again).await;
                again.clear();
                repeated.and(to_server.write_all(&asked[..length]).await)
            }
            Ok(length @ 1..) = from_server.read(&mut answered) => {
                let answer = &answered[..length];
                let flawed = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
                match flaw {
                    Flaw::Loses if flawed => Ok(()),
                    Flaw::Repeats if flawed => {
                        again.extend_from_slice(answer);
                        to_client.write_all(answer).await
                    }
                    _ => to_client.write_all(answer).await,
                }
            }
            else => return,
        };
        if sent.is_err() {
            return;
        }
    }
}
