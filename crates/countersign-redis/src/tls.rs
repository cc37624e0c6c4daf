//! Encryption by rustls.

use std::fmt;

use redis::cluster::ClusterClientBuilder;
use redis::{Client, ClientTlsConfig, ConnectionInfo, RedisError as DriverError, TlsCertificates};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::error::RedisError;
use crate::options::RedisOptions;

/// What the server is shown.
#[derive(Clone)]
pub(crate) struct ClientCertificate {
    pub(crate) certificate: Vec<u8>,
    pub(crate) key: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCertificate")
    }
}

/// The driver asks rustls for the process's cryptography and panics where there is none or more
/// than one to choose from. Where the application has not chosen, it is ring's.
fn choose_cryptography() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // If another thread chooses at this moment, that is the choice.
        drop(rustls::crypto::ring::default_provider().install_default());
    }
}

/// Whether what was given can be read at all.
pub(crate) fn check(options: &RedisOptions) -> Result<(), RedisError> {
    let certificates = |pem: &[u8]| {
        let mut read = CertificateDer::pem_slice_iter(pem);
        read.next().is_some_and(|first| first.is_ok()) && read.all(|next| next.is_ok())
    };
    if options.roots.as_ref().is_some_and(|roots| !certificates(roots)) {
        return Err(RedisError::Configuration("`tls_roots_pem` must be certificates in PEM"));
    }
    let own = options.client_certificate.as_ref();
    if own.is_some_and(|own| {
        !certificates(&own.certificate) || PrivateKeyDer::from_pem_slice(&own.key).is_err()
    }) {
        return Err(RedisError::Configuration(
            "`tls_client_certificate_pem` must be certificates and a private key in PEM",
        ));
    }
    Ok(())
}

fn certificates(options: &RedisOptions) -> Option<TlsCertificates> {
    let client_tls = options.client_certificate.as_ref().map(|own| ClientTlsConfig {
        client_cert: own.certificate.clone(),
        client_key: own.key.to_vec(),
    });
    let root_cert = options.roots.clone();
    (client_tls.is_some() || root_cert.is_some())
        .then_some(TlsCertificates { client_tls, root_cert })
}

/// Certificates that were given are used, or the address was refused before: never a connection
/// that is not encrypted.
pub(crate) fn client(
    server: ConnectionInfo,
    options: &RedisOptions,
) -> Result<Client, DriverError> {
    choose_cryptography();
    match certificates(options) {
        Some(certificates) => Client::build_with_tls(server, certificates),
        None => Client::open(server),
    }
}

pub(crate) fn for_cluster(
    builder: ClusterClientBuilder,
    options: &RedisOptions,
) -> ClusterClientBuilder {
    choose_cryptography();
    match certificates(options) {
        Some(certificates) => builder.certs(certificates),
        None => builder,
    }
}
