//! TLS, with the server's certificate checked.

use std::io;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;
use tokio_rustls::TlsConnector;

use crate::builder::ConfigError;
use crate::dialogue::Wire;
use crate::failure::{SmtpCause, TlsProblem};

/// Whose certificates are accepted.
pub(crate) enum Roots<'a> {
    /// Those that the operating system trusts.
    System,
    /// Those too, and those under these certificates (PEM).
    SystemAnd(&'a [u8]),
    /// Those under these certificates (PEM), and no others.
    Only(&'a [u8]),
}

/// What it takes to make a connection a TLS connection with one server.
pub(crate) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    pub(crate) fn new(host: &str, roots: &Roots<'_>) -> Result<Self, ConfigError> {
        let name = ServerName::try_from(host).map_err(|_| ConfigError::Host)?.to_owned();
        // The application's provider, if it has installed one.
        let provider = CryptoProvider::get_default().cloned();
        let provider = provider.unwrap_or_else(|| Arc::new(ring::default_provider()));
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|_| ConfigError::Tls)?;
        let system = |extra: Vec<CertificateDer<'static>>, unusable: ConfigError| {
            Verifier::new_with_extra_roots(extra, provider).map(Arc::new).map_err(|_| unusable)
        };
        let config = match roots {
            Roots::System => config
                .dangerous()
                .with_custom_certificate_verifier(system(Vec::new(), ConfigError::Tls)?),
            Roots::SystemAnd(pem) => {
                let verifier = system(certificates(pem)?, ConfigError::RootCertificate)?;
                config.dangerous().with_custom_certificate_verifier(verifier)
            }
            Roots::Only(pem) => {
                let mut store = RootCertStore::empty();
                for certificate in certificates(pem)? {
                    store.add(certificate).map_err(|_| ConfigError::RootCertificate)?;
                }
                config.with_root_certificates(store)
            }
        };
        Ok(Self { connector: TlsConnector::from(Arc::new(config.with_no_client_auth())), name })
    }

    pub(crate) async fn handshake(&self, wire: Box<dyn Wire>) -> Result<Box<dyn Wire>, SmtpCause> {
        match self.connector.connect(self.name.clone(), wire).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(problem(&error)),
        }
    }
}

/// At least one.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or(ConfigError::RootCertificate)
}

/// The error without its text: that repeats the names in the server's certificate.
fn problem(error: &io::Error) -> SmtpCause {
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>())
    else {
        return SmtpCause::Io(error.kind());
    };
    SmtpCause::Tls(match error {
        rustls::Error::InvalidCertificate(problem) => match problem {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                TlsProblem::Expired
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                TlsProblem::NotYetValid
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                TlsProblem::WrongName
            }
            CertificateError::UnknownIssuer => TlsProblem::UnknownIssuer,
            _ => TlsProblem::Certificate,
        },
        _ => TlsProblem::Handshake,
    })
}
