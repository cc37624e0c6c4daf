//! An address in front of servers.

use std::sync::atomic::{AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use countersign::error::PluginError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use countersign_testkit::conformance::Line;

/// An address in front of servers, as a virtual one is: it leads to one of them, then to another;
/// what is connected can fall silent; and, as a [`Line`], it loses answers or requests.
#[derive(Debug)]
pub struct Forwarder {
    port: u16,
    carrier: Arc<Carrier>,
}

/// What all connections share.
#[derive(Debug)]
struct Carrier {
    target: AtomicU16,
    accepted: AtomicUsize,
    /// How often all connections fell silent.
    silence: watch::Sender<u64>,
    /// How often all connections were ended.
    cut: watch::Sender<u64>,
    carries: Mutex<Carries>,
    lost: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
enum Carries {
    Everything,
    /// So many answers more, and then none.
    Answers(u32),
    /// Nothing to the server.
    NoRequests,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    ToTheServer,
    ToTheClient,
}

impl Forwarder {
    /// An address of the loopback interface that leads to this port of it.
    ///
    /// # Errors
    ///
    /// A [`PluginError`] if there is no free port.
    pub async fn to(port: u16) -> Result<Self, PluginError> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let carrier = Arc::new(Carrier {
            target: AtomicU16::new(port),
            accepted: AtomicUsize::new(0),
            silence: watch::Sender::new(0),
            cut: watch::Sender::new(0),
            carries: Mutex::new(Carries::Everything),
            lost: AtomicU64::new(0),
        });
        let forwarder = Self { port: listener.local_addr()?.port(), carrier: Arc::clone(&carrier) };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                carrier.accepted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(forward(client, Arc::clone(&carrier)));
            }
        });
        Ok(forwarder)
    }

    /// An address in front of the server of this URL, and the URL with it. `None`: the server is
    /// not on the loopback interface of this machine, or its port is not named.
    ///
    /// # Errors
    ///
    /// A [`PluginError`] if there is no free port.
    pub async fn before(url: &str) -> Result<Option<(Self, String)>, PluginError> {
        let Some((scheme, rest)) = url.split_once("://") else { return Ok(None) };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let (account, place) =
            authority.rsplit_once('@').map_or(("", authority), |(account, place)| (account, place));
        let Some(("127.0.0.1" | "localhost", port)) = place.rsplit_once(':') else {
            return Ok(None);
        };
        let forwarder = Self::to(port.parse()?).await?;
        let at = if authority.contains('@') { "@" } else { "" };
        let url = format!("{scheme}://{account}{at}127.0.0.1:{}{rest}", forwarder.port);
        Ok(Some((forwarder, url)))
    }

    /// Its port on the loopback interface.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections were made to it.
    pub fn accepted(&self) -> usize {
        self.carrier.accepted.load(Ordering::SeqCst)
    }

    /// Connections that are made from now on lead to another port. Those that there are stay where
    /// they are.
    pub fn lead_to(&self, port: u16) {
        self.carrier.target.store(port, Ordering::SeqCst);
    }

    /// On the connections that there are nothing comes through any more, and none of them ends, as
    /// when a host loses its power.
    pub fn fall_silent(&self) {
        self.carrier.silence.send_modify(|times| *times = times.saturating_add(1));
    }
}

#[async_trait]
impl Line for Forwarder {
    async fn lose_answers(&self, after: u32) -> Result<(), PluginError> {
        self.carrier.carry(Carries::Answers(after));
        Ok(())
    }

    async fn lose_requests(&self) -> Result<(), PluginError> {
        self.carrier.carry(Carries::NoRequests);
        Ok(())
    }

    async fn lost(&self) -> Result<u64, PluginError> {
        Ok(self.carrier.lost.load(Ordering::SeqCst))
    }

    async fn cut(&self) -> Result<(), PluginError> {
        self.carrier.cut.send_modify(|times| *times = times.saturating_add(1));
        self.carrier.carry(Carries::Everything);
        Ok(())
    }
}

impl Carrier {
    fn carry(&self, what: Carries) {
        *self.carries.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    /// Whether what was just read goes on.
    fn lets_through(&self, way: Way) -> bool {
        let mut carries = self.carries.lock().unwrap_or_else(PoisonError::into_inner);
        let through = match (&mut *carries, way) {
            (Carries::Answers(0), Way::ToTheClient) | (Carries::NoRequests, Way::ToTheServer) => {
                false
            }
            (Carries::Answers(left), Way::ToTheClient) => {
                *left = left.saturating_sub(1);
                true
            }
            _ => true,
        };
        if !through {
            self.lost.fetch_add(1, Ordering::SeqCst);
        }
        through
    }
}

async fn forward(mut client: TcpStream, carrier: Arc<Carrier>) {
    let (mut silence, mut cut) = (carrier.silence.subscribe(), carrier.cut.subscribe());
    let born = Born { silence: *silence.borrow_and_update(), cut: *cut.borrow_and_update() };
    let Ok(mut server) =
        TcpStream::connect(("127.0.0.1", carrier.target.load(Ordering::SeqCst))).await
    else {
        return;
    };
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let both = async {
        tokio::try_join!(
            pump(from_client, to_server, &carrier, born, Way::ToTheServer),
            pump(from_server, to_client, &carrier, born, Way::ToTheClient),
        )
    };
    tokio::select! {
        _ = both => {}
        _ = cut.changed() => {}
        // Both ends stay open.
        Ok(()) = silence.changed() => std::future::pending().await,
    }
}

/// How often all connections had fallen silent and been ended when this one was made.
#[derive(Clone, Copy)]
struct Born {
    silence: u64,
    cut: u64,
}

/// Carries what comes until that ends, and ends the other side then.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    carrier: &Carrier,
    born: Born,
    way: Way,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        // What is read may have come in after that, before this task noticed it.
        if *carrier.cut.borrow() != born.cut {
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
        if *carrier.silence.borrow() != born.silence {
            return std::future::pending().await;
        }
        if carrier.lets_through(way) {
            to.write_all(buffer.get(..read).unwrap_or_default()).await?;
        }
    }
}
