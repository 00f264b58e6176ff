//! The network access of guests. They reach the hosts and addresses that chain.toml names, and nothing else.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::{get, post};
use bytes::Bytes;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::harness::{Chain, Reply, Served, eventually};

/// A server of the test, which guests can reach.
struct Server {
    address: SocketAddr,
    seen: Arc<Seen>,
}

struct Seen {
    connections: AtomicUsize,
    /// The number of requests that are held now.
    held: AtomicUsize,
    /// The highest number of requests that were held at once.
    most: AtomicUsize,
    release: Semaphore,
}

impl Server {
    async fn start() -> Self {
        let seen = Arc::new(Seen {
            connections: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            release: Semaphore::new(0),
        });
        let app = Router::new()
            .route("/", get(async || "hello").post(async |body: Bytes| body.len().to_string()))
            .route("/hold", get(hold))
            .route("/other", post(async || "no"))
            .layer(DefaultBodyLimit::disable())
            .with_state(seen.clone());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let counted = seen.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counted.connections.fetch_add(1, Ordering::SeqCst);
                let service = hyper_util::service::TowerToHyperService::new(app.clone());
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(hyper_util::rt::TokioIo::new(stream), service),
                );
            }
        });
        Server { address, seen }
    }

    fn held(&self) -> usize {
        self.seen.held.load(Ordering::SeqCst)
    }

    async fn until_held(&self, count: usize) {
        eventually(&format!("{count} requests are held"), async || (self.held() == count).then_some(())).await;
    }
}

/// Holds a request until the test releases it or its client leaves.
async fn hold(State(seen): State<Arc<Seen>>) -> &'static str {
    struct Held(Arc<Seen>);
    impl Drop for Held {
        fn drop(&mut self) {
            self.0.held.fetch_sub(1, Ordering::SeqCst);
        }
    }
    let now = seen.held.fetch_add(1, Ordering::SeqCst) + 1;
    seen.most.fetch_max(now, Ordering::SeqCst);
    let held = Held(seen.clone());
    seen.release.acquire().await.unwrap().forget();
    drop(held);
    "released"
}

/// Returns a chain of one chainlet that fetches. Its table `network` has the keys `network`.
fn fetcher(network: &str) -> Chain {
    Chain::new(&format!(
        "[chain]\nname = \"test\"\n[chainlets.fetch]\ncomponent = \"<guest_fetch>\"\ngrace = \"300ms\"\n[chainlets.fetch.network]\n{network}\n"
    ))
}

/// Returns the error that the guest reports.
#[track_caller]
fn error(reply: Reply) -> String {
    reply.problem(422, "chainlet-error")["error"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn both_versions_of_wasi_http_send_requests_over_kept_connections() {
    let server = Server::start().await;
    let url = format!("http://{}/", server.address);
    let served = fetcher(&format!("hosts = [\"127.0.0.1:{}\"]", server.address.port())).serve();
    for how in ["p2", "p3"] {
        assert_eq!(served.ask(&format!("{how}:{url}")).await, "200 hello");
        assert_eq!(served.ask(&format!("{how}-post:{url}")).await, "200 100000");
        assert!(served.ask(&format!("{how}:{url}none")).await.starts_with("404"));
    }
    assert_eq!(server.seen.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_host_that_is_not_named_is_refused_and_the_log_says_how_to_name_it() {
    let server = Server::start().await;
    let url = format!("http://{}/", server.address);
    for network in ["", "hosts = [\"example.com\", \"127.0.0.2\", \"127.0.0.1:1\"]", "hosts = [\"*\", \"*.0.0.x\"]"] {
        let served = fetcher(network).serve();
        for how in ["p2", "p3", "p3-post"] {
            let said = error(served.public.tell(&format!("{how}:{url}")).await);
            assert!(said.contains("HttpRequestDenied"), "{network}: {said}");
        }
        served.until_log("add \"127.0.0.1\" to network.hosts in chain.toml").await;
        assert_eq!(served.log().matches("was refused").count(), 1, "the log says it once");
    }
    assert_eq!(server.seen.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_name_that_resolves_to_no_public_address_needs_its_own_entry() {
    let server = Server::start().await;
    let port = server.address.port();
    let url = format!("http://localhost:{port}/");
    let served = fetcher("hosts = [\"*\"]").serve();
    for how in ["p2", "p3"] {
        let said = error(served.public.tell(&format!("{how}:{url}")).await);
        assert!(said.contains("DestinationIpProhibited"), "{said}");
    }
    served.until_log("which is no public address").await;
    assert_eq!(server.seen.connections.load(Ordering::SeqCst), 0);

    for hosts in [format!("\"localhost:{port}\""), "\"*\", \"127.0.0.0/8\"".to_owned()] {
        let served = fetcher(&format!("hosts = [{hosts}]")).serve();
        assert_eq!(served.ask(&format!("p2:{url}")).await, "200 hello");
    }
}

#[tokio::test]
async fn network_failures_have_the_error_codes_of_wasi() {
    let served = fetcher("hosts = [\"127.0.0.1\", \"nowhere.invalid\"]").serve();
    let unused = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = unused.local_addr().unwrap().port();
    drop(unused);
    for how in ["p2", "p3"] {
        let said = error(served.public.tell(&format!("{how}:http://127.0.0.1:{port}/")).await);
        assert!(said.contains("ConnectionRefused"), "{said}");
        let said = error(served.public.tell(&format!("{how}:http://nowhere.invalid/")).await);
        assert!(said.contains("DnsError"), "{said}");
    }
    let cut = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = cut.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = cut.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await.unwrap();
        }
    });
    let said = error(served.public.tell(&format!("p2:http://127.0.0.1:{port}/")).await);
    assert!(said.contains("LastOperationFailed"), "{said}");
}

#[tokio::test]
async fn https_trusts_only_the_certificates_that_the_system_trusts() {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // A client that does not trust the certificate leaves.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 1024]).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret").await.unwrap();
        }
    });
    let chain = fetcher("hosts = [\"localhost\"]");
    let trusted = chain.write("trusted.pem", cert.pem());
    let mut command = chain.serve_command(&[]);
    command.env("SSL_CERT_FILE", trusted);
    let served = Served::start(command);
    for how in ["p2", "p3"] {
        assert_eq!(served.ask(&format!("{how}:https://localhost:{port}/")).await, "200 secret");
    }

    let other = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut command = chain.serve_command(&[]);
    command.env("SSL_CERT_FILE", chain.write("other.pem", other.cert.pem()));
    let served = Served::start(command);
    for how in ["p2", "p3"] {
        let said = error(served.public.tell(&format!("{how}:https://localhost:{port}/")).await);
        assert!(said.contains("TlsCertificateError"), "{said}");
    }
}

#[tokio::test]
async fn requests_beyond_the_concurrency_wait() {
    let server = Server::start().await;
    let served = fetcher("hosts = [\"127.0.0.1\"]\nconcurrency = 1").serve();
    let url = format!("p3:http://{}/hold", server.address);
    let calls: Vec<_> = (0..3).map(|_| served.begin(&url)).collect();
    served.until_state("fetch", "active", serde_json::json!(3)).await;
    server.until_held(1).await;
    server.seen.release.add_permits(3);
    for call in calls {
        assert_eq!(call.await.unwrap().said(), "200 released");
    }
    assert_eq!(server.seen.most.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_request_ends_when_its_guest_drops_it_or_its_caller_leaves() {
    let server = Server::start().await;
    let served = fetcher("hosts = [\"127.0.0.1\"]\nconcurrency = 1").serve();
    assert_eq!(served.ask(&format!("leave:http://{}/hold", server.address)).await, "left");
    server.until_held(0).await;

    let left = served.begin(&format!("p3:http://{}/hold", server.address));
    server.until_held(1).await;
    left.abort();
    // The guest still waits, so the host ends its replica, and with it the request.
    server.until_held(0).await;
    assert_eq!(served.ask(&format!("p3:http://{}/", server.address)).await, "200 hello");
}

#[tokio::test]
async fn sockets_reach_only_the_addresses_that_chain_toml_names() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"welcome").await.unwrap();
        }
    });
    let served = fetcher(&format!("sockets = [\"{address}\"]")).serve();
    assert_eq!(served.ask(&format!("tcp:{address}")).await, "welcome");
    let other = format!("127.0.0.1:{}", address.port() ^ 1);
    for _ in 0..2 {
        let said = error(served.public.tell(&format!("tcp:{other}")).await);
        assert!(said.contains("PermissionDenied"), "{said}");
    }
    served.until_log(&format!("add \"{other}\" to network.sockets in chain.toml")).await;
    assert_eq!(served.log().matches("was refused").count(), 1, "the log says it once");
    error(served.public.tell(&format!("tcp:localhost:{}", address.port())).await);
    served.until_log("the name localhost was not looked up, as names are not looked up for sockets").await;
}

#[tokio::test]
async fn a_chainlet_without_sockets_is_refused_one_and_the_log_gives_advice() {
    let served = fetcher("hosts = [\"127.0.0.1\"]").serve();
    let said = error(served.public.tell("tcp:127.0.0.1:1").await);
    assert!(said.contains("PermissionDenied"), "{said}");
    served.until_log("a TCP socket was refused; to allow connections, add their addresses").await;
    error(served.public.tell("udp:127.0.0.1:1").await);
    served.until_log("a UDP socket was refused; no key of chain.toml allows UDP").await;
}
