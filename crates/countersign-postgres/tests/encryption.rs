//! Encrypted connections, and certificates that are refused.
#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used)]

use std::process::Command;

use countersign::{FactorStore, TenantId};
use countersign_postgres::PostgresFactors;
use countersign_testkit::servers::{Server, skip};

/// A server with a certificate for `localhost`, and the certificate of the authority.
fn server() -> Option<(Server, String)> {
    let Some(mut server) = Server::postgres(&[]).unwrap() else {
        skip("no PostgreSQL server is installed").unwrap();
        return None;
    };
    let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let cluster = server.directory().join("cluster");
    let (certificate, key) = (cluster.join("server.crt"), cluster.join("server.key"));
    std::fs::write(&certificate, signed.cert.pem()).unwrap();
    std::fs::write(&key, signed.signing_key.serialize_pem()).unwrap();
    let reference = format!("--reference={}", cluster.join("PG_VERSION").display());
    assert!(Command::new("chown").arg(reference).args([&certificate, &key]).status().unwrap().success());
    assert!(Command::new("chmod").arg("600").arg(&key).status().unwrap().success());
    server.stop().unwrap();
    let configuration = cluster.join("postgresql.auto.conf");
    std::fs::write(configuration, "ssl = on\n").unwrap();
    server.start().unwrap();
    Some((server, signed.cert.pem()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_checked_against_name_and_authority() {
    let Some((server, authority)) = server() else { return };
    let url = |host: &str| format!("postgres://countersign@{host}:{}/postgres?sslmode=require", server.port());
    let trusting = || PostgresFactors::options().tls_roots_pem(authority.clone());

    let store = trusting().connect(&url("localhost")).await.unwrap();
    assert!(store.settings(&TenantId::new("acme").unwrap()).await.unwrap().is_none());
    // Another name, and an authority that nobody trusts.
    assert!(trusting().connect(&url("127.0.0.1")).await.is_err());
    assert!(PostgresFactors::connect(&url("localhost")).await.is_err());
    assert!(PostgresFactors::options().tls_roots_pem("not a certificate").connect(&url("localhost")).await.is_err());
}
