//! A [`Play`] on a port of this machine, with and without TLS.

use std::sync::Arc;
use std::time::Duration;

use countersign_smtp::{SmtpBuilder, SmtpSender};
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::play::{Play, Stream, Upgrade};
use super::{email, messages};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Plain,
    StartTls,
    Wrapped,
}

pub const MODES: [Mode; 3] = [Mode::Plain, Mode::StartTls, Mode::Wrapped];

/// All of them; or, where the test is one of many runs (`scripts/stress`), one of them, and the
/// next one in the next run.
#[allow(dead_code)]
pub fn modes() -> Vec<Mode> {
    match std::env::var("COUNTERSIGN_STRESS_RUN") {
        Ok(run) => MODES.into_iter().cycle().nth(run.parse().unwrap()).into_iter().collect(),
        Err(_) => MODES.to_vec(),
    }
}

/// The server.
pub struct Loopback {
    pub play: Play,
    mode: Mode,
    port: u16,
    root: String,
}

impl Loopback {
    pub async fn start(play: Play, mode: Mode) -> Self {
        Self::with_certificate(
            play,
            mode,
            CertificateParams::new(["localhost".to_owned()]).unwrap(),
        )
        .await
    }

    /// One whose certificate, which is its own root, says this.
    pub async fn with_certificate(play: Play, mode: Mode, certificate: CertificateParams) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let key = KeyPair::generate().unwrap();
        // A name of its own, so that no certificate seems to vouch for another.
        let mut certificate = certificate;
        certificate.distinguished_name.push(DnType::CommonName, format!("server at {port}"));
        let certificate = certificate.self_signed(&key).unwrap();
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![certificate.der().clone()], private)
                .unwrap();
        let tls = Acceptor(TlsAcceptor::from(Arc::new(config)));
        let playing = play.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (playing, tls) = (playing.clone(), tls.clone());
                tokio::spawn(async move {
                    match mode {
                        Mode::Plain => playing.serve(stream, None).await,
                        Mode::StartTls => playing.serve(stream, Some(&tls)).await,
                        Mode::Wrapped => {
                            if let Ok(stream) = tls.upgrade(Box::new(stream)).await {
                                playing.serve(stream, None).await;
                            }
                        }
                    }
                });
            }
        });
        Self { play, mode, port, root: certificate.pem() }
    }

    /// Settings for a sender whose time is long enough for any machine.
    pub fn builder(&self) -> SmtpBuilder {
        let builder = match self.mode {
            Mode::Plain => SmtpSender::dangerously_unencrypted_on_loopback(self.port),
            Mode::StartTls => SmtpSender::starttls_relay("localhost"),
            Mode::Wrapped => SmtpSender::relay("localhost"),
        };
        let builder = if self.mode == Mode::Plain {
            builder
        } else {
            builder.port(self.port).only_root_certificate(self.root.as_bytes())
        };
        builder
            .time_budget(Duration::from_secs(60))
            .probe_timeout(Duration::from_secs(60))
            .idle_after(Duration::from_secs(3600))
            .hello_name("tests.example")
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its certificate, in PEM.
    pub fn root(&self) -> &str {
        &self.root
    }

    pub fn sender(&self) -> SmtpSender {
        build(self.builder())
    }
}

pub fn build(builder: SmtpBuilder) -> SmtpSender {
    builder.build(&email("no-reply@example.com"), messages()).unwrap()
}

#[derive(Clone)]
struct Acceptor(TlsAcceptor);

#[async_trait::async_trait]
impl Upgrade for Acceptor {
    async fn upgrade(&self, wire: Box<dyn Stream>) -> std::io::Result<Box<dyn Stream>> {
        Ok(Box::new(self.0.accept(wire).await?))
    }
}
