//! TLS: the certificate that a server shows, which may be replaced while it serves.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

/// A certificate with its key, by which a server speaks TLS 1.2 and 1.3. Clones are handles of the same one.
#[derive(Clone)]
pub struct Tls {
    certificate: Arc<Certificate>,
    config: Arc<ServerConfig>,
}

/// Why a certificate can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file can't be read.
    #[error("{} can't be read: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// There is no certificate.
    #[error("there is no certificate in PEM form (`-----BEGIN CERTIFICATE-----`): {0}")]
    Certificate(#[source] pem::Error),
    /// There is no private key.
    #[error("there is no private key in PEM form (`-----BEGIN PRIVATE KEY-----`): {0}")]
    Key(#[source] pem::Error),
    /// The two can't be used together.
    #[error("the certificate can't be used with the key: {0}")]
    Pair(#[source] rustls::Error),
}

/// The certificate that new connections see.
#[derive(Debug)]
struct Certificate(RwLock<Arc<CertifiedKey>>);

impl Tls {
    /// The certificates, the server's own first, and the private key, as texts in PEM form.
    ///
    /// # Errors
    ///
    /// Where one of them is not there or malformed, or the key does not belong to the certificate.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let certificate = Arc::new(Certificate(RwLock::new(certified(certificates, key, &provider)?)));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Pair)?
            .with_no_client_auth()
            .with_cert_resolver(certificate.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Tls { certificate, config: Arc::new(config) })
    }

    /// As [`Tls::from_pem`], from files.
    ///
    /// # Errors
    ///
    /// As [`Tls::from_pem`], and where a file can't be read.
    pub fn from_files(certificates: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, TlsError> {
        let read = |path: &Path| std::fs::read(path).map_err(|error| TlsError::Read { path: path.to_owned(), error });
        Self::from_pem(&read(certificates.as_ref())?, &read(key.as_ref())?)
    }

    /// Has all handles of this certificate show that of `other` instead, from the next connection on.
    pub fn replace(&self, other: &Tls) {
        let certificate = other.certificate.current();
        *self.certificate.0.write().unwrap_or_else(PoisonError::into_inner) = certificate;
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.clone())
    }
}

fn certified(certificates: &[u8], key: &[u8], provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(certificates).collect::<Result<_, _>>().map_err(TlsError::Certificate)?;
    if chain.is_empty() {
        return Err(TlsError::Certificate(pem::Error::NoItemsFound));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(TlsError::Key)?;
    let certified = CertifiedKey::from_der(chain, key, provider).map_err(TlsError::Pair)?;
    Ok(Arc::new(certified))
}

impl Certificate {
    fn current(&self) -> Arc<CertifiedKey> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("certificates", &self.certificate.current().cert.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey as Generated, generate_simple_self_signed};

    use super::*;

    fn pair() -> (String, String) {
        let Generated { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (cert.pem(), signing_key.serialize_pem())
    }

    #[test]
    fn a_certificate_with_its_key_is_taken() {
        let (certificate, key) = pair();
        assert!(Tls::from_pem(certificate.as_bytes(), key.as_bytes()).is_ok());
    }

    #[test]
    fn what_is_no_pair_is_refused() {
        let ((certificate, key), (_, other)) = (pair(), pair());
        let tls = |certificate: &str, key: &str| Tls::from_pem(certificate.as_bytes(), key.as_bytes());
        assert!(matches!(tls(&certificate, &other), Err(TlsError::Pair(_))));
        assert!(matches!(tls("", &key), Err(TlsError::Certificate(_))));
        assert!(matches!(tls(&key, &key), Err(TlsError::Certificate(_))));
        assert!(matches!(tls(&certificate, &certificate), Err(TlsError::Key(_))));
        let missing = Tls::from_files("no-certificate.pem", "no-key.pem").unwrap_err().to_string();
        assert!(missing.starts_with("no-certificate.pem"), "{missing}");
    }

    #[test]
    fn a_key_is_never_shown() {
        let (certificate, key) = pair();
        let tls = Tls::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
        assert_eq!(format!("{tls:?}"), "Tls { certificates: 1, .. }");
    }
}
