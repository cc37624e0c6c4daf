//! Encryption by rustls.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;
use zeroize::Zeroizing;

use crate::error::PostgresError;

/// A certificate by which the server knows the application, and its key, both in PEM.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) certificates: Vec<u8>,
    pub(crate) key: Zeroizing<Vec<u8>>,
}

/// Without the key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// Checks the server's certificate against its name and these authorities, or those of the
/// operating system, and shows the application's own where the server asks for one.
pub(crate) fn connector(
    pem: Option<&[u8]>,
    identity: Option<&Identity>,
) -> Result<MakeRustlsConnect, PostgresError> {
    const BAD_PEM: PostgresError = PostgresError::Configuration(
        "`tls_roots_pem` or `sslrootcert` holds no certificate in PEM",
    );
    const BAD_IDENTITY: PostgresError = PostgresError::Configuration(
        "`tls_client_pem`, or `sslcert` with `sslkey`, holds no certificate with its unencrypted key in PEM",
    );
    let mut roots = RootCertStore::empty();
    match pem {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                roots.add(certificate.map_err(|_| BAD_PEM)?).map_err(|_| BAD_PEM)?;
            }
            if roots.is_empty() {
                return Err(BAD_PEM);
            }
        }
        // Without any, every encrypted connection is refused: there is nobody to vouch for it.
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let config =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| PostgresError::Unavailable { source: Box::new(error) })?
            .with_root_certificates(roots);
    let config = match identity {
        None => config.with_no_client_auth(),
        Some(Identity { certificates, key }) => {
            let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificates).collect();
            let (chain, key) =
                (chain.map_err(|_| BAD_IDENTITY)?, PrivateKeyDer::from_pem_slice(key));
            let key = key.map_err(|_| BAD_IDENTITY)?;
            config.with_client_auth_cert(chain, key).map_err(|_| BAD_IDENTITY)?
        }
    };
    Ok(MakeRustlsConnect::new(config))
}
