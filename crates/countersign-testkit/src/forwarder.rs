//! An address in front of servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use countersign::Fault;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// An address in front of servers, as a virtual one is: it leads to one of them, then to another, and what is connected can fall silent.
#[derive(Debug)]
pub struct Forwarder {
    port: u16,
    target: Arc<AtomicU16>,
    accepted: Arc<AtomicUsize>,
    silence: watch::Sender<()>,
}

impl Forwarder {
    /// An address of the loopback interface that leads to this port of it.
    ///
    /// # Errors
    ///
    /// A [`Fault`] if there is no free port.
    pub async fn to(port: u16) -> Result<Self, Fault> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let forwarder = Self {
            port: listener.local_addr()?.port(),
            target: Arc::new(AtomicU16::new(port)),
            accepted: Arc::default(),
            silence: watch::Sender::new(()),
        };
        let (target, accepted) = (Arc::clone(&forwarder.target), Arc::clone(&forwarder.accepted));
        let silence = forwarder.silence.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(forward(client, target.load(Ordering::SeqCst), silence.subscribe()));
            }
        });
        Ok(forwarder)
    }

    /// Its port on the loopback interface.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections were made to it.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Connections that are made from now on lead to another port. Those that there are stay where they are.
    pub fn lead_to(&self, port: u16) {
        self.target.store(port, Ordering::SeqCst);
    }

    /// On the connections that there are nothing comes through any more, and none of them ends, as when a host loses its power.
    pub fn fall_silent(&self) {
        self.silence.send_replace(());
    }
}

async fn forward(mut client: TcpStream, target: u16, mut silenced: watch::Receiver<()>) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", target)).await else { return };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        // Both ends stay open.
        Ok(()) = silenced.changed() => std::future::pending().await,
    }
}
