//! Certificates and encrypted connections.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedKey, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd, generate_simple_self_signed,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Chain, Endpoint};

/// Makes a certificate for localhost. Returns the path of its file, and the path of its key's file.
pub fn pair(chain: &Chain, name: &str) -> (String, String) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let write =
        |suffix: &str, text: String| chain.write(&format!("{name}.{suffix}.pem"), text).to_str().unwrap().to_owned();
    (write("cert", cert.pem()), write("key", signing_key.serialize_pem()))
}

/// A certificate authority for clients.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

/// A client's certificate and its key.
pub struct Client {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// Certifies a client of this name until the year `end` begins.
    pub fn certify(&self, name: &str, end: i32) -> Client {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(end, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().into();
        Client { certificate, key }
    }
}

/// Returns a connector that trusts the certificate in `file`, speaks `protocol`, and shows the certificate of `client`.
pub fn connector(file: &str, protocol: &str, client: Option<&Client>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match client {
        Some(Client { certificate, key }) => {
            let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
            config.with_client_auth_cert(vec![certificate.clone()], key).unwrap()
        }
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![protocol.into()];
    TlsConnector::from(Arc::new(config))
}

/// Connects with `connector`.
pub async fn connect_by(connector: &TlsConnector, to: Endpoint) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(to.0).await?;
    connector.connect(ServerName::try_from("localhost").unwrap(), stream).await
}

/// Connects as a client that trusts the certificate in `file`, speaks `protocol`, and shows no certificate.
pub async fn connect(to: Endpoint, file: &str, protocol: &str) -> std::io::Result<TlsStream<TcpStream>> {
    connect_by(&connector(file, protocol, None), to).await
}
