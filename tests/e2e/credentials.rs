//! Access to the server: API keys, the origins of web pages, and TLS.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::tls::{connect, pair};
use crate::harness::{Chain, FAULTY, Process, Reply, Served, eventually, json_request};

const ADA: &str = "ada-0123456789abcdef";
const BOB: &str = "bob-0123456789abcdef";
const EVE: &str = "eve-0123456789abcdef";

fn request(name: &str, value: &str) -> Request<Full<Bytes>> {
    let mut request = json_request("/run_remote", json!({ "what": "calls" }).to_string());
    request.headers_mut().insert(header::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
    request
}

async fn with_key(served: &Served, key: &str) -> Reply {
    served.public.send(request("x-api-key", key)).await
}

#[tokio::test]
async fn a_client_without_an_api_key_of_the_server_may_not_call() {
    let chain = Chain::new(FAULTY);
    let keys = chain.write("keys.toml", format!("ada = \"{ADA}\"\n"));
    let mut command = chain.serve_command(&["--api-keys", keys.to_str().unwrap()]);
    command.env("CHAINHOST_API_KEY", format!("{BOB},{EVE}")).env("CHAINHOST_LOG", "debug");
    let served = Served::start(command);

    let reply = served.public.tell("calls").await;
    assert_eq!(reply.headers[header::WWW_AUTHENTICATE], "Bearer");
    reply.problem(401, "unauthorized");
    served.public.get("/openapi.json").await.problem(401, "unauthorized");
    with_key(&served, "not-0123456789abcdef").await.problem(401, "unauthorized");
    with_key(&served, "").await.problem(401, "unauthorized");

    assert_eq!(with_key(&served, ADA).await.said(), "1", "the refused calls did not reach the chainlet");
    assert_eq!(with_key(&served, EVE).await.said(), "2");
    assert_eq!(served.public.send(request("authorization", &format!("Bearer {BOB}"))).await.said(), "3");

    // Load balancers and those who run the chain have no key, so health and the admin listener need none.
    assert_eq!(served.public.get("/healthz").await.status, 200);
    assert_eq!(served.public.get("/readyz").await.status, 200);
    assert_eq!(served.tell("faulty", "calls").await.said(), "4");

    served.until_log("client=\"ada\"").await;
    for key in [ADA, BOB, EVE] {
        assert!(!served.log().contains(key), "the log holds a key");
    }
}

#[tokio::test]
async fn api_keys_change_while_the_chain_is_served() {
    let chain = Chain::new(FAULTY);
    let keys = chain.write("keys.toml", format!("ada = \"{ADA}\"\n"));
    let served = chain.serve_with(&["--api-keys", keys.to_str().unwrap()]);
    assert_eq!(with_key(&served, ADA).await.said(), "1");

    chain.write("keys.toml", format!("# Ada has left\nbob = \"{BOB}\"\n"));
    served.until_log("certificates are in use").await;
    with_key(&served, ADA).await.problem(401, "unauthorized");
    assert_eq!(with_key(&served, BOB).await.said(), "2", "the instance is the same as before");

    chain.write("keys.toml", format!("bob = \"{BOB}\"\neve = {EVE}\n"));
    served.until_log("keys.toml:2: not a line of the form").await;
    assert_eq!(with_key(&served, BOB).await.said(), "3", "the old keys stay");
    served.admin.post("/reload", &json!({})).await.problem(422, "reload-failed");
    assert!(!served.log().contains(EVE), "the log holds a key");
}

#[tokio::test]
async fn unusable_credentials_end_the_program_before_the_chain_starts() {
    let chain = Chain::new(FAULTY);
    let weak = chain.write("weak.toml", "ada = \"ada\"\n");
    let none = chain.write("none.toml", "# nobody\n");
    let (certificate, _) = pair(&chain, "one");
    let (_, other_key) = pair(&chain, "two");
    let serve = |options: &[&str]| chain.run(&[&["serve", "chain.toml", "--listen", "0"], options].concat());
    serve(&["--api-keys", weak.to_str().unwrap()]).refused(3, &["`ada`", "16 characters", "openssl rand"]);
    serve(&["--api-keys", none.to_str().unwrap()]).refused(3, &["no API key"]);
    serve(&["--api-keys", "missing.toml"]).refused(3, &["missing.toml"]);
    serve(&["--tls-cert", &certificate, "--tls-key", &other_key]).refused(3, &["TLS", "key"]);
    serve(&["--tls-cert", &certificate, "--tls-key", "missing.pem"]).refused(3, &["missing.pem"]);
    serve(&["--tls-cert", &certificate]).refused(2, &["--tls-key"]);
    for empty in ["", " , "] {
        let mut command = chain.command(&["serve", "chain.toml", "--listen", "0"]);
        command.env("CHAINHOST_API_KEY", empty);
        Process::start(command).finish().refused(3, &["CHAINHOST_API_KEY", "no API key"]);
    }
}

#[tokio::test]
async fn a_web_page_cannot_use_the_admin_listener() {
    let served = Chain::new(FAULTY).serve();
    for request in [Request::post("/reload"), Request::get("/chain"), Request::post("/chainlets/faulty/run_remote")] {
        let request = request.header(header::ORIGIN, "https://example.com").body(Full::default()).unwrap();
        served.admin.send(request).await.problem(403, "forbidden");
    }
    // A page under a name that resolves to this machine has the same origin as the listener, so it sends no header
    // `Origin`.
    let mut sender = served.admin.http1().await.unwrap();
    let request = Request::get("/chain").header(header::HOST, "evil.example:9090").body(Full::default()).unwrap();
    Reply::read(sender.send_request(request).await.unwrap()).await.problem(403, "forbidden");
    assert_eq!(served.admin.get("/chain").await.json()["version"], 1);
}

fn call(address: SocketAddr) -> Request<Full<Bytes>> {
    let mut request = json_request(&format!("https://{address}/run_remote"), json!({ "what": "calls" }).to_string());
    request.headers_mut().insert(header::HOST, address.to_string().parse().unwrap());
    request
}

#[tokio::test]
async fn the_public_listener_speaks_tls_with_both_versions_of_http() {
    let chain = Chain::new(FAULTY);
    let (certificate, key) = pair(&chain, "one");
    let served = chain.serve_with(&["--tls-cert", &certificate, "--tls-key", &key]);
    assert!(served.log().contains("https://127.0.0.1"), "{}", served.log());

    let stream = connect(served.public, &certificate, "http/1.1").await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let reply = Reply::read(sender.send_request(call(served.public.0)).await.unwrap()).await;
    assert_eq!((reply.version, reply.said()), (http::Version::HTTP_11, "1".into()));

    let stream = connect(served.public, &certificate, "h2").await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let reply = Reply::read(sender.send_request(call(served.public.0)).await.unwrap()).await;
    assert_eq!((reply.version, reply.said()), (http::Version::HTTP_2, "2".into()));

    // A client without TLS gets no answer, and disturbs no other client.
    let mut clear = TcpStream::connect(served.public.0).await.unwrap();
    clear.write_all(b"POST /run_remote HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // The answer may be a TLS alert, or a reset.
    let _ = clear.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    assert_eq!(served.tell("faulty", "calls").await.said(), "3", "the admin listener speaks without TLS");
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_a_restart() {
    let chain = Chain::new(FAULTY);
    let (certificate, key) = pair(&chain, "served");
    let served = chain.serve_with(&["--tls-cert", &certificate, "--tls-key", &key]);
    let old = chain.write("old.pem", std::fs::read(&certificate).unwrap());
    connect(served.public, old.to_str().unwrap(), "h2").await.unwrap();

    pair(&chain, "served");
    eventually("the new certificate is shown", async || connect(served.public, &certificate, "h2").await.ok()).await;
    let refused = connect(served.public, old.to_str().unwrap(), "h2").await.unwrap_err();
    assert!(refused.to_string().contains("certificate"), "{refused}");

    // A renewal with an invalid file is not used.
    std::fs::write(&key, "not a key").unwrap();
    served.until_log("the old ones stay in use").await;
    connect(served.public, &certificate, "h2").await.unwrap();
}
