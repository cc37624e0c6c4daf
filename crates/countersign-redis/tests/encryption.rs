//! Encrypted connections, and certificates that are refused.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]

use std::time::Duration;

use countersign::TenantId;
use countersign::store::FactorStore;
use countersign_redis::{RedisFactors, RedisOptions};
use countersign_testkit::skip;
use tempfile::TempDir;
use test_servers::servers::{Server, free_port};

/// A server with a certificate for `localhost` on a port of its own, and the certificate of the
/// authority and its key.
struct Encrypted {
    server: Server,
    port: u16,
    authority: String,
    key: String,
    _directory: TempDir,
}

impl Encrypted {
    /// `clients`: whether those who connect must show a certificate of that authority.
    fn start(clients: &str) -> Option<Self> {
        let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (authority, key) = (signed.cert.pem(), signed.signing_key.serialize_pem());
        let (certificate, key_file) = (place("server.crt", &authority), place("server.key", &key));
        let port = free_port().unwrap();
        let tls_port = port.to_string();
        let mut arguments =
            vec!["--appendonly", "yes", "--tls-auth-clients", clients, "--tls-port", &tls_port];
        let cert = certificate.as_str();
        arguments.extend([
            "--tls-cert-file",
            cert,
            "--tls-key-file",
            &key_file,
            "--tls-ca-cert-file",
            cert,
        ]);
        let Some(server) = Server::redis(&arguments).unwrap() else {
            skip("no Redis server is installed").unwrap();
            return None;
        };
        Some(Self { server, port, authority, key, _directory: directory })
    }

    fn url(&self, host: &str) -> String {
        format!("rediss://{host}:{}/", self.port)
    }

    fn trusting(&self) -> RedisOptions {
        options().tls_roots_pem(self.authority.clone())
    }
}

fn options() -> RedisOptions {
    RedisFactors::options().initialise_if_empty()
}

async fn refusal(options: RedisOptions, url: &str) -> String {
    let error = options.connect(url).await.unwrap_err();
    format!("{error:?}").split([' ', '(']).next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_checked_against_name_and_authority() {
    let Some(server) = Encrypted::start("no") else { return };
    let store = server.trusting().connect(&server.url("localhost")).await.unwrap();
    assert!(store.settings(&TenantId::new("acme").unwrap()).await.unwrap().is_none());
    // Another name, an authority that nobody trusts, no authority, and a connection that would not
    // be encrypted.
    assert_eq!(refusal(server.trusting(), &server.url("127.0.0.1")).await, "Encryption");
    assert_eq!(refusal(options(), &server.url("localhost")).await, "Encryption");
    assert_eq!(
        refusal(options().tls_roots_pem("not a certificate"), &server.url("localhost")).await,
        "Configuration"
    );
    assert_eq!(refusal(server.trusting(), server.server.url()).await, "Configuration");
    assert!(options().connect(server.server.url()).await.is_ok());
    // Whose certificate nobody would check, and who does not understand what is asked.
    assert_eq!(
        refusal(options(), &format!("{}#insecure", server.url("localhost"))).await,
        "NotEncrypted"
    );
    let plain = format!("rediss://localhost:{}/", server.server.port());
    assert_eq!(
        refusal(server.trusting().connect_timeout(Duration::from_secs(1)), &plain).await,
        "Unavailable"
    );
}

/// A server that asks for a certificate takes one of its authority, and no connection without.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_for_a_certificate_is_shown_one() {
    let (Some(server), Some(other)) = (Encrypted::start("yes"), Encrypted::start("yes")) else {
        return;
    };
    let shown = |from: &Encrypted| {
        server.trusting().tls_client_certificate_pem(from.authority.clone(), from.key.clone())
    };
    let store = shown(&server).connect(&server.url("localhost")).await.unwrap();
    assert!(store.settings(&TenantId::new("acme").unwrap()).await.unwrap().is_none());
    assert_eq!(refusal(server.trusting(), &server.url("localhost")).await, "Encryption");
    assert_eq!(refusal(shown(&other), &server.url("localhost")).await, "Encryption");
    let no_key = server.trusting().tls_client_certificate_pem(server.authority.clone(), "no key");
    assert_eq!(refusal(no_key, &server.url("localhost")).await, "Configuration");
    // Nobody reads the key from what prints.
    let printed = format!("{:?}", shown(&server));
    assert!(!printed.contains(server.key.lines().nth(1).unwrap()), "{printed}");
    let some = format!("{:?}", &server.key.as_bytes()[60..80]);
    assert!(!printed.contains(some.trim_matches(['[', ']'])), "{printed}");
}
