//! Encrypted connections, and certificates that are refused.
#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used)]

use countersign::{FactorStore, TenantId};
use countersign_redis::{RedisFactors, RedisOptions};
use countersign_testkit::servers::{Server, free_port, skip};
use tempfile::TempDir;

/// A server with a certificate for `localhost` on a port of its own, and the certificate of the authority.
fn server() -> Option<(Server, u16, String, TempDir)> {
    let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str, text: String| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let certificate = place("server.crt", signed.cert.pem());
    let key = place("server.key", signed.signing_key.serialize_pem());
    let port = free_port().unwrap();
    let (tls_port, cert, key_file) = (port.to_string(), certificate.as_str(), key.as_str());
    let files = ["--tls-cert-file", cert, "--tls-key-file", key_file, "--tls-ca-cert-file", cert];
    let mut arguments = vec!["--appendonly", "yes", "--tls-auth-clients", "no", "--tls-port", &tls_port];
    arguments.extend(files);
    let Some(server) = Server::redis(&arguments).unwrap() else {
        skip("no Redis server is installed").unwrap();
        return None;
    };
    Some((server, port, signed.cert.pem(), directory))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_checked_against_name_and_authority() {
    let Some((server, port, authority, _directory)) = server() else { return };
    let url = |host: &str| format!("rediss://{host}:{port}/");
    let options = || RedisFactors::options().initialise_if_empty();
    let trusting = || options().tls_roots_pem(authority.clone());

    let store = trusting().connect(&url("localhost")).await.unwrap();
    assert!(store.settings(&TenantId::new("acme").unwrap()).await.unwrap().is_none());
    // Another name, an authority that nobody trusts, no authority, and a connection that would not be encrypted.
    let refused = async |options: RedisOptions, url: &str| options.connect(url).await.is_err();
    assert!(refused(trusting(), &url("127.0.0.1")).await);
    assert!(refused(options(), &url("localhost")).await);
    assert!(refused(options().tls_roots_pem("not a certificate"), &url("localhost")).await);
    assert!(refused(trusting(), server.url()).await);
    assert!(options().connect(server.url()).await.is_ok());
}
