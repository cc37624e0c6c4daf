//! Encryption by rustls.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::PostgresError;

/// Checks the server's certificate against its name and these authorities, or those of the operating system.
pub(crate) fn connector(pem: Option<&[u8]>) -> Result<MakeRustlsConnect, PostgresError> {
    const BAD_PEM: PostgresError = PostgresError::Configuration("`tls_roots_pem` holds no certificate in PEM");
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
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| PostgresError::Unavailable { source: Box::new(error) })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
