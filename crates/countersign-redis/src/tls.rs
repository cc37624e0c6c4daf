//! Encryption by rustls.

use redis::cluster::ClusterClientBuilder;
use redis::{Client, ConnectionInfo, RedisError, TlsCertificates};

use crate::options::RedisOptions;

/// The driver asks rustls for the process's cryptography and panics where there is none or more than one to choose from. Where the application
/// has not chosen, it is ring's.
fn choose_cryptography() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // If another thread chooses at this moment, that is the choice.
        drop(rustls::crypto::ring::default_provider().install_default());
    }
}

fn certificates(options: &RedisOptions) -> Option<TlsCertificates> {
    options.roots.clone().map(|pem| TlsCertificates { client_tls: None, root_cert: Some(pem) })
}

/// Certificates that were given are used, or the address is refused: never a connection that is not encrypted.
pub(crate) fn client(server: ConnectionInfo, options: &RedisOptions) -> Result<Client, RedisError> {
    choose_cryptography();
    match certificates(options) {
        Some(certificates) => Client::build_with_tls(server, certificates),
        None => Client::open(server),
    }
}

pub(crate) fn for_cluster(builder: ClusterClientBuilder, options: &RedisOptions) -> ClusterClientBuilder {
    choose_cryptography();
    match certificates(options) {
        Some(certificates) => builder.certs(certificates),
        None => builder,
    }
}
