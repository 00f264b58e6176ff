//! Certificates of clients: the check of a certificate, and the name of its client in the log.

use std::fmt::Write;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use webpki::EndEntityCert;

use super::{TlsError, subject};

/// The most characters that are kept of a name.
const LONGEST_NAME: usize = 256;

/// The name of a client, as its certificate says. Each request of the client has it as an extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) struct ClientName(pub Arc<str>);

/// Returns a verifier that accepts the certificates that lead to one of `authorities`, a text in PEM form.
pub(super) fn verifier(
    authorities: &[u8],
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(authorities) {
        roots.add(authority.map_err(TlsError::ClientCa)?).map_err(|error| TlsError::Authority(error.into()))?;
    }
    if roots.is_empty() {
        return Err(TlsError::ClientCa(pem::Error::NoItemsFound));
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    verifier.build().map_err(|error| TlsError::Authority(error.into()))
}

impl ClientName {
    /// Returns the name in an accepted certificate: the first URI of its `subjectAltName`, else the first DNS name,
    /// else the common name of its subject, else its serial number.
    pub(in crate::server) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let certificate = EndEntityCert::try_from(certificate).ok()?;
        let named = certificate.valid_uri_names().next().or_else(|| certificate.valid_dns_names().next());
        let name = match named.or_else(|| subject::common_name(certificate.subject())) {
            Some(name) => name.chars().take(LONGEST_NAME).collect(),
            None => serial(certificate.serial()),
        };
        Some(ClientName(name.into()))
    }
}

fn serial(number: &[u8]) -> String {
    let mut text = "serial:".to_owned();
    for byte in number {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType, SerialNumber};

    use super::*;

    fn name(subject: &[(DnType, &str)], alternative: Vec<SanType>) -> String {
        let mut params = CertificateParams::default();
        params.subject_alt_names = alternative;
        params.serial_number = Some(SerialNumber::from_slice(&[0x0a, 0xbc]));
        params.distinguished_name = DistinguishedName::new();
        for (kind, text) in subject {
            params.distinguished_name.push(kind.clone(), *text);
        }
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        ClientName::of(certificate.der()).unwrap().0.to_string()
    }

    #[test]
    fn a_client_is_called_by_the_most_exact_name_of_its_certificate() {
        let uri = SanType::URI("spiffe://example/ada".try_into().unwrap());
        let dns = SanType::DnsName("ada.example".try_into().unwrap());
        let mail = SanType::Rfc822Name("ada@example".try_into().unwrap());
        let (organization, common) = ((DnType::OrganizationName, "Example"), (DnType::CommonName, "Ada"));
        assert_eq!(name(std::slice::from_ref(&common), vec![mail.clone(), dns.clone(), uri]), "spiffe://example/ada");
        assert_eq!(name(std::slice::from_ref(&common), vec![mail.clone(), dns]), "ada.example");
        assert_eq!(name(&[organization.clone(), common], vec![mail]), "Ada");
        assert_eq!(name(&[organization], vec![]), "serial:0abc");
    }

    #[test]
    fn a_long_name_is_cut() {
        assert_eq!(name(&[(DnType::CommonName, &"ü".repeat(1000))], vec![]), "ü".repeat(LONGEST_NAME));
    }

    #[test]
    fn bytes_that_are_no_certificate_have_no_name() {
        assert_eq!(ClientName::of(&CertificateDer::from(&b"no certificate"[..])), None);
    }
}
