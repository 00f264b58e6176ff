//! Listeners that serve only clients with a certificate (mutual TLS).

use http_body_util::Full;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::HandshakeKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use crate::harness::tls::{Authority, Client, connect_by, connector, pair};
use crate::harness::{Chain, Endpoint, FAULTY, Reply, Served, eventually};

const H1: &str = "http/1.1";
const LATE: i32 = 2100;

/// A server with a certificate, which serves only clients of an authority.
struct Mutual {
    chain: Chain,
    certificate: String,
    served: Served,
}

impl Mutual {
    fn start(authority: &Authority, environment: &[(&str, &str)]) -> Self {
        let chain = Chain::new(FAULTY);
        let (certificate, key) = pair(&chain, "server");
        chain.write("clients.pem", &authority.pem);
        let mut command =
            chain.serve_command(&["--tls-cert", &certificate, "--tls-key", &key, "--tls-client-ca", "clients.pem"]);
        command.env("CHAINHOST_LOG", "info,chainhost=debug,chainhost::access=debug").envs(environment.iter().copied());
        let served = Served::start(command);
        Mutual { chain, certificate, served }
    }

    fn connector(&self, client: Option<&Client>) -> TlsConnector {
        connector(&self.certificate, H1, client)
    }

    /// Returns the status of `path` for `client`, or `None` if the client is not served.
    async fn status(&self, client: Option<&Client>, path: &str) -> Option<u16> {
        status(&self.connector(client), self.served.public, path).await
    }
}

async fn status(connector: &TlsConnector, to: Endpoint, path: &str) -> Option<u16> {
    let mut stream = connect_by(connector, to).await.ok()?;
    // With TLS 1.3, a refused client learns of its refusal only when it reads.
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

#[tokio::test]
async fn only_clients_with_a_certificate_of_the_authority_are_served() {
    let authority = Authority::new("clients");
    let mutual = Mutual::start(&authority, &[]);
    let ada = authority.certify("ada", LATE);
    assert_eq!(mutual.status(Some(&ada), "/openapi.json").await, Some(200));
    mutual.served.until_log("certificate=\"ada\"").await;

    let other = Authority::new("others").certify("ada", LATE);
    // The authority of this client has the same name as the right one.
    let forged = Authority::new("clients").certify("ada", LATE);
    let expired = authority.certify("ada", 2001);
    for (client, reason) in [
        (None, "no certificates"),
        (Some(&other), "UnknownIssuer"),
        (Some(&forged), "BadSignature"),
        (Some(&expired), "expired"),
    ] {
        for path in ["/openapi.json", "/healthz", "/readyz"] {
            assert_eq!(mutual.status(client, path).await, None, "{reason}: {path}");
        }
        mutual.served.until_log(reason).await;
    }
    assert_eq!(mutual.served.admin.get("/readyz").await.status, 200, "the admin listener asks for no certificate");
    assert_eq!(mutual.status(Some(&ada), "/healthz").await, Some(200));
}

#[tokio::test]
async fn a_client_with_a_certificate_is_served_over_http_2_and_logged() {
    let authority = Authority::new("clients");
    let mutual = Mutual::start(&authority, &[]);
    let bob = authority.certify("bob\u{1b}[31m", LATE);
    let stream = connect_by(&connector(&mutual.certificate, "h2", Some(&bob)), mutual.served.public).await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("https://localhost/readyz").body(Full::<bytes::Bytes>::default()).unwrap();
    let reply = Reply::read(sender.send_request(request).await.unwrap()).await;
    assert_eq!(reply.status, 200);
    mutual.served.until_log("certificate=\"bob").await;
    assert!(!mutual.served.log().contains('\u{1b}'), "the log has a control character of a certificate");
}

#[tokio::test]
async fn each_connection_shows_its_certificate_anew() {
    let authority = Authority::new("clients");
    let mutual = Mutual::start(&authority, &[]);
    // Both connections use one connector, which would resume a session if it could.
    let connector = mutual.connector(Some(&authority.certify("ada", LATE)));
    for _ in 0..2 {
        assert_eq!(status(&connector, mutual.served.public, "/healthz").await, Some(200));
        let stream = connect_by(&connector, mutual.served.public).await.unwrap();
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
    }
}

#[tokio::test]
async fn the_authority_changes_while_the_chain_is_served() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let mutual = Mutual::start(&old, &[]);
    let (ada, bob) = (old.certify("ada", LATE), new.certify("bob", LATE));
    assert_eq!(mutual.status(Some(&bob), "/healthz").await, None);

    mutual.chain.write("clients.pem", format!("{}{}", old.pem, new.pem));
    eventually("clients of both authorities are served", async || mutual.status(Some(&bob), "/healthz").await).await;
    assert_eq!(mutual.status(Some(&ada), "/healthz").await, Some(200));

    mutual.chain.write("clients.pem", &new.pem);
    eventually("the first is refused", async || mutual.status(Some(&ada), "/healthz").await.is_none().then_some(()))
        .await;
    assert_eq!(mutual.status(Some(&bob), "/healthz").await, Some(200));

    mutual.chain.write("clients.pem", "nothing");
    mutual.served.until_log("the old ones stay in use").await;
    assert_eq!(mutual.status(Some(&bob), "/healthz").await, Some(200));
}

#[tokio::test]
async fn a_certificate_does_not_replace_an_api_key() {
    let authority = Authority::new("clients");
    let mutual = Mutual::start(&authority, &[("CHAINHOST_API_KEY", "ada-0123456789abcdef")]);
    let ada = authority.certify("ada", LATE);
    assert_eq!(mutual.status(Some(&ada), "/openapi.json").await, Some(401));
    assert_eq!(mutual.status(Some(&ada), "/healthz").await, Some(200));
}

#[tokio::test]
async fn an_unusable_authority_ends_the_program_at_once() {
    let chain = Chain::new(FAULTY);
    let (certificate, key) = pair(&chain, "server");
    let serve = |options: &[&str]| chain.run(&[&["serve", "chain.toml", "--listen", "0"], options].concat());
    serve(&["--tls-client-ca", &certificate]).refused(2, &["--tls-cert"]);
    let tls = ["--tls-cert", &certificate, "--tls-key", &key, "--tls-client-ca"];
    serve(&[&tls[..], &["missing.pem"]].concat()).refused(3, &["missing.pem"]);
    serve(&[&tls[..], &[&key]].concat()).refused(3, &["TLS", "the clients' authority"]);
}
