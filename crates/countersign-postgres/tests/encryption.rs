//! Encrypted connections, and certificates that are refused.
#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

use countersign::TenantId;
use countersign::store::FactorStore;
use countersign_postgres::{PostgresError, PostgresFactors};
use countersign_testkit::skip;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use test_servers::servers::Server;

/// A server with a certificate for `localhost`, and the certificate of the authority. With the
/// certificate of an authority for clients, it lets in nobody without one.
fn server(clients: Option<&str>) -> Option<(Server, String)> {
    let Some(mut server) = Server::postgres(&[]).unwrap() else {
        skip("no PostgreSQL server is installed").unwrap();
        return None;
    };
    let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let cluster = server.directory().join("cluster");
    let (certificate, key) = (cluster.join("server.crt"), cluster.join("server.key"));
    std::fs::write(&certificate, signed.cert.pem()).unwrap();
    std::fs::write(&key, signed.signing_key.serialize_pem()).unwrap();
    let mut settings = "ssl = on\n".to_owned();
    if let Some(authority) = clients {
        std::fs::write(cluster.join("clients.crt"), authority).unwrap();
        std::fs::write(cluster.join("pg_hba.conf"), "hostssl all all all cert\n").unwrap();
        settings.push_str("ssl_ca_file = 'clients.crt'\n");
    }
    give_to_the_server(&cluster, &[&certificate, &key]);
    server.stop().unwrap();
    let configuration = cluster.join("postgresql.auto.conf");
    std::fs::write(configuration, settings).unwrap();
    server.start().unwrap();
    Some((server, signed.cert.pem()))
}

fn give_to_the_server(cluster: &Path, files: &[&Path]) {
    let reference = format!("--reference={}", cluster.join("PG_VERSION").display());
    assert!(Command::new("chown").arg(reference).args(files).status().unwrap().success());
    assert!(Command::new("chmod").arg("600").args(files).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_checked_against_name_and_authority() {
    let Some((server, authority)) = server(None) else { return };
    let url = |host: &str| {
        format!("postgres://countersign@{host}:{}/postgres?sslmode=require", server.port())
    };
    let trusting = || PostgresFactors::options().tls_roots_pem(authority.clone());

    let store = trusting().connect(&url("localhost")).await.unwrap();
    assert!(store.settings(&TenantId::new("acme").unwrap()).await.unwrap().is_none());
    // Another name, and an authority that nobody trusts.
    assert!(trusting().connect(&url("127.0.0.1")).await.is_err());
    assert!(PostgresFactors::connect(&url("localhost")).await.is_err());
    assert!(
        PostgresFactors::options()
            .tls_roots_pem("not a certificate")
            .connect(&url("localhost"))
            .await
            .is_err()
    );
}

/// A certificate of the authority for the clients, which names the role, and its key.
fn client(authority: &Issuer<'_, KeyPair>, role: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut certificate = CertificateParams::default();
    certificate.distinguished_name.push(DnType::CommonName, role);
    (certificate.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

fn authority() -> (String, Issuer<'static, KeyPair>) {
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, "clients");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = authority.self_signed(&key).unwrap().pem();
    (pem, Issuer::new(authority, key))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_may_know_the_application_by_its_certificate() {
    let (clients, issuer) = authority();
    let Some((server, authority)) = server(Some(&clients)) else { return };
    let url = format!("postgres://countersign@localhost:{}/postgres", server.port());
    let trusting = || PostgresFactors::options().tls_roots_pem(authority.clone());
    let (certificate, key) = client(&issuer, "countersign");
    let acme = TenantId::new("acme").unwrap();

    let required = format!("{url}?sslmode=require");
    let store = trusting()
        .tls_client_pem(certificate.clone(), key.clone())
        .connect(&required)
        .await
        .unwrap();
    assert!(store.settings(&acme).await.unwrap().is_none());
    // By files, as the address names them.
    let (directory, mut files) = (tempfile::tempdir().unwrap(), Vec::new());
    for (name, pem) in [("ca", &authority), ("app.crt", &certificate), ("app.key", &key)] {
        let file = directory.path().join(name);
        std::fs::write(&file, pem).unwrap();
        files.push(file.display().to_string());
    }
    let [roots, own, secret] = &*files else { unreachable!() };
    let by_files = format!("{required}&sslrootcert={roots}&sslcert={own}&sslkey={secret}");
    let store = PostgresFactors::connect(&by_files).await.unwrap();
    assert!(store.settings(&acme).await.unwrap().is_none());

    // Without one; with that of another role; with one of another authority.
    let refused = |answer: Result<PostgresFactors, PostgresError>| {
        let named = matches!(&answer, Err(PostgresError::Refused { code, .. }) if code == "28000");
        assert!(named || matches!(answer, Err(PostgresError::Unavailable { .. })), "{answer:?}");
    };
    refused(trusting().connect(&required).await);
    let (certificate, key) = client(&issuer, "somebody");
    refused(trusting().tls_client_pem(certificate, key).connect(&required).await);
    let (certificate, key) = client(&self::authority().1, "countersign");
    refused(trusting().tls_client_pem(certificate.clone(), key).connect(&required).await);
    // What can't be read is named.
    let unreadable = trusting().tls_client_pem(certificate, "no key").connect(&required).await;
    assert!(matches!(unreadable, Err(PostgresError::Configuration(_))), "{unreadable:?}");
    let unreadable = PostgresFactors::connect(&format!("{required}&sslrootcert=/nowhere")).await;
    assert!(
        matches!(unreadable, Err(PostgresError::File { keyword: "sslrootcert", .. })),
        "{unreadable:?}"
    );
}
