//! TLS: the server's certificate, and the authorities of its clients' certificates. Both can be replaced while the
//! server serves.

mod client;
mod subject;

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use chainhost_core::bounded_file;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::TlsAcceptor;

pub(super) use self::client::ClientName;

/// A certificate with its key, for TLS 1.2 and 1.3, and the authorities of the clients' certificates. Clones are
/// handles of the same ones.
#[derive(Clone)]
pub struct Tls(Arc<RwLock<Identity>>);

/// The settings for new connections.
#[derive(Clone)]
struct Identity {
    certificate: Arc<CertifiedKey>,
    /// True if clients need a certificate.
    asks_clients: bool,
    config: Arc<ServerConfig>,
}

/// The reason why a certificate can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file can't be read.
    #[error("{} can't be read: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        error: io::Error,
    },
    /// There is no certificate.
    #[error("there is no certificate in PEM form (`-----BEGIN CERTIFICATE-----`): {0}")]
    Certificate(#[source] pem::Error),
    /// There is no private key.
    #[error("there is no private key in PEM form (`-----BEGIN PRIVATE KEY-----`): {0}")]
    Key(#[source] pem::Error),
    /// The certificate and the key can't be used together.
    #[error("the certificate can't be used with the key: {0}")]
    Pair(#[source] rustls::Error),
    /// There is no certificate of an authority for clients.
    #[error("there is no certificate of the clients' authority in PEM form (`-----BEGIN CERTIFICATE-----`): {0}")]
    ClientCa(#[source] pem::Error),
    /// The certificate of an authority for clients can't be used.
    #[error("the certificate of the clients' authority can't be used: {0}")]
    Authority(#[source] Box<dyn Error + Send + Sync>),
}

impl Tls {
    /// Reads the certificates and the private key from texts in PEM form. The server's own certificate comes first.
    ///
    /// # Errors
    ///
    /// Fails if one of them is missing or malformed, or if the key does not belong to the certificate.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let certificate = certified(certificates, key, &ring::default_provider())?;
        Self::new(certificate, None)
    }

    /// Like [`Tls::from_pem`], but reads files.
    ///
    /// # Errors
    ///
    /// Fails in the cases of [`Tls::from_pem`], and if a file can't be read.
    pub fn from_files(certificates: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, TlsError> {
        Self::from_pem(&read(certificates.as_ref())?, &read(key.as_ref())?)
    }

    /// Serves only clients that show a certificate of one of `authorities`, which are certificates in PEM form (mutual
    /// TLS).
    ///
    /// The server checks the certificate of every connection, so it resumes no session. It does not read lists of
    /// revoked certificates. The result is a new handle: clones of `self` do not change.
    ///
    /// ```no_run
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use chainhost::server::{ServeOptions, Tls};
    ///
    /// let mut options = ServeOptions::default();
    /// options.tls = Some(Tls::from_files("server.pem", "server.key")?.with_client_ca_file("clients-ca.pem")?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Fails if there is no certificate, or one is malformed.
    pub fn with_client_ca(self, authorities: &[u8]) -> Result<Self, TlsError> {
        let clients = client::verifier(authorities, Arc::new(ring::default_provider()))?;
        Self::new(self.current().certificate, Some(clients))
    }

    /// Like [`Tls::with_client_ca`], but reads a file.
    ///
    /// # Errors
    ///
    /// Fails in the cases of [`Tls::with_client_ca`], and if the file can't be read.
    pub fn with_client_ca_file(self, authorities: impl AsRef<Path>) -> Result<Self, TlsError> {
        self.with_client_ca(&read(authorities.as_ref())?)
    }

    fn new(certificate: Arc<CertifiedKey>, clients: Option<Arc<dyn ClientCertVerifier>>) -> Result<Self, TlsError> {
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Pair)?;
        let asks_clients = clients.is_some();
        let config = match clients {
            Some(clients) => config.with_client_cert_verifier(clients),
            None => config.with_no_client_auth(),
        };
        let mut config = config.with_cert_resolver(Arc::new(SingleCertAndKey::from(certificate.clone())));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        if asks_clients {
            // A resumed session takes the client's certificate from the earlier session, even if it has expired since.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        let identity = Identity { certificate, asks_clients, config: Arc::new(config) };
        Ok(Tls(Arc::new(RwLock::new(identity))))
    }

    /// Makes all handles of this one use the certificate and the authorities of `other` instead, from the next
    /// connection on.
    pub fn replace(&self, other: &Tls) {
        let identity = other.current();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = identity;
    }

    fn current(&self) -> Identity {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current().config)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    bounded_file::read(path, bounded_file::TEXT).map_err(|error| TlsError::Read { path: path.to_owned(), error })
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

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Identity { certificate, asks_clients, .. } = self.current();
        f.debug_struct("Tls")
            .field("certificates", &certificate.cert.len())
            .field("asks_clients", &asks_clients)
            .finish_non_exhaustive()
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
    fn a_certificate_with_its_key_is_accepted() {
        let (certificate, key) = pair();
        assert!(Tls::from_pem(certificate.as_bytes(), key.as_bytes()).is_ok());
    }

    #[test]
    fn a_certificate_without_its_own_key_is_rejected() {
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
    fn a_text_without_an_authority_is_rejected() {
        let (certificate, key) = pair();
        let tls = || Tls::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
        let empty = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        assert!(matches!(tls().with_client_ca(b""), Err(TlsError::ClientCa(_))));
        assert!(matches!(tls().with_client_ca(key.as_bytes()), Err(TlsError::ClientCa(_))));
        assert!(matches!(tls().with_client_ca(empty.as_bytes()), Err(TlsError::Authority(_))));
        let missing = tls().with_client_ca_file("no-authority.pem").unwrap_err().to_string();
        assert!(missing.starts_with("no-authority.pem"), "{missing}");
    }

    #[test]
    fn the_debug_output_contains_no_key() {
        let (certificate, key) = pair();
        let tls = Tls::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
        assert_eq!(format!("{tls:?}"), "Tls { certificates: 1, asks_clients: false, .. }");
        let tls = tls.with_client_ca(certificate.as_bytes()).unwrap();
        assert_eq!(format!("{tls:?}"), "Tls { certificates: 1, asks_clients: true, .. }");
    }
}
