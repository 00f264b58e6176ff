//! The server with its own listeners, over real sockets.

use std::time::Duration;

use axum::body::Body;
use chainhost_core::chain::Chain;
use http::{Request, StatusCode, Uri, header};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::chain::numbers;
use crate::server::{HttpOptions, ServeOptions, Server};

/// A server that serves `chain` until `stop` is sent.
struct Running {
    chain: Chain,
    public: String,
    admin: String,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

async fn serve(options: ServeOptions) -> Running {
    let any = "127.0.0.1:0".parse().unwrap();
    let chain = numbers(8).await;
    let server = Server::bind(ServeOptions { listen: any, admin: Some(any), ..options }).unwrap();
    let server = server.listen(chain.clone()).unwrap();
    let (public, admin) = (server.local_addr().to_string(), server.admin_addr().unwrap().to_string());
    let (stop, stopped) = oneshot::channel::<()>();
    Running { chain, public, admin, stop, served: tokio::spawn(server.run(stopped)) }
}

impl Running {
    fn uri(&self, path: &str) -> Uri {
        format!("http://{}{path}", self.public).parse().unwrap()
    }

    fn call(&self, body: &'static str) -> Request<Body> {
        Request::post(self.uri("/run_remote"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.into())
            .unwrap()
    }
}

async fn ask(request: Request<Body>, http2: bool) -> (StatusCode, Json) {
    let client = Client::builder(TokioExecutor::new()).http2_only(http2).build_http();
    let (head, body) = client.request(request).await.unwrap().into_parts();
    (head.status, serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap())
}

/// Writes `request`, byte for byte, to a new connection.
async fn send(address: &str, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Reads everything that comes until the server closes the connection.
async fn rest(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn both_versions_of_http_are_served_on_one_port() {
    let server = serve(ServeOptions::default()).await;
    assert_eq!(ask(server.call(r#"{"n": 7}"#), false).await, (StatusCode::OK, json!(7)));
    assert_eq!(ask(server.call(r#"{"n": 8}"#), true).await, (StatusCode::OK, json!(8)));
    let (status, problem) = ask(Request::get(server.uri("/nothing")).body(Body::empty()).unwrap(), true).await;
    assert_eq!((status.as_u16(), &problem["type"]), (404, &json!("urn:chainhost:problem:not-found")));
    let (status, _) = ask(Request::get(server.uri("/metrics")).body(Body::empty()).unwrap(), false).await;
    assert_eq!(status, 404, "what an admin sees is not for the public");
}

#[tokio::test]
async fn a_request_that_has_begun_is_served_through_a_shutdown() {
    let server = serve(ServeOptions::default()).await;
    let head = "POST /run_remote HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 8\r\nexpect: 100-continue\r\n\r\n";
    let mut stream = send(&server.public, head).await;
    // The server asks for the body, so it has read the head.
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.unwrap();
    assert!(go_on.starts_with(b"HTTP/1.1 100 "));
    server.stop.send(()).unwrap();
    // The admin listener serves until the end. Its readiness shows that the shutdown has begun.
    while ask(Request::get(format!("http://{}/readyz", server.admin)).body(Body::empty()).unwrap(), false).await.0
        != 503
    {
        tokio::task::yield_now().await;
    }
    stream.write_all(br#"{"n": 7}"#).await.unwrap();
    let answer = rest(stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n7"), "{answer}");
    assert!(answer.to_lowercase().contains("\r\nconnection: close\r\n"), "{answer}");
    server.served.await.unwrap();
    assert!(TcpStream::connect(&server.public).await.is_err());
}

#[tokio::test]
async fn an_open_connection_may_still_call_after_the_shutdown_began() {
    let server = serve(ServeOptions::default()).await;
    let call =
        "POST /run_remote HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 8\r\n\r\n{\"n\": 7}";
    let mut stream = send(&server.public, call).await;
    let mut first = [0; 1];
    stream.read_exact(&mut first).await.unwrap();
    server.stop.send(()).unwrap();
    stream.write_all(call.as_bytes()).await.unwrap();
    let answers = rest(stream).await;
    assert_eq!(answers.matches("TTP/1.1 200 ").count(), 2, "{answers}");
    server.served.await.unwrap();
}

#[tokio::test]
async fn idle_connections_do_not_hold_up_a_shutdown() {
    let server = serve(ServeOptions { shutdown_grace: Duration::from_secs(600), ..Default::default() }).await;
    let silent = TcpStream::connect(&server.public).await.unwrap();
    let idle = send(&server.public, "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
    idle.readable().await.unwrap();
    server.stop.send(()).unwrap();
    server.served.await.unwrap();
    assert!(rest(idle).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(rest(silent).await, "");
}

#[tokio::test]
async fn a_call_that_outlasts_the_grace_is_answered_with_503() {
    let server = serve(ServeOptions { shutdown_grace: Duration::from_millis(20), ..Default::default() }).await;
    let call = tokio::spawn(ask(server.call(r#"{"n": 1}"#), false));
    while server.chain.status().any(|(_, status)| status.active == 0) {
        tokio::task::yield_now().await;
    }
    server.stop.send(()).unwrap();
    let (status, problem) = call.await.unwrap();
    assert_eq!((status.as_u16(), &problem["type"]), (503, &json!("urn:chainhost:problem:stopping")));
    server.served.await.unwrap();
}

#[tokio::test]
async fn a_client_that_sends_all_of_a_too_large_body_reads_the_answer() {
    let http = HttpOptions { body_limit: 1024, ..HttpOptions::default() };
    let server = serve(ServeOptions { http, ..Default::default() }).await;
    for framing in ["content-length: 4000004", "transfer-encoding: chunked"] {
        let head = format!(
            "POST /run_remote HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\n{framing}\r\n\r\n"
        );
        let mut stream = send(&server.public, &head).await;
        match framing {
            "transfer-encoding: chunked" => {
                for _ in 0..100 {
                    stream.write_all(format!("9c40\r\n{}\r\n", " ".repeat(0x9c40)).as_bytes()).await.unwrap();
                }
                stream.write_all(b"0\r\n\r\n").await.unwrap();
            }
            _ => stream.write_all(" ".repeat(4_000_004).as_bytes()).await.unwrap(),
        }
        let answer = rest(stream).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{framing}: {answer}");
    }
}

#[tokio::test]
async fn an_http2_client_that_sends_a_too_large_body_reads_the_answer() {
    let server = serve(ServeOptions::default()).await;
    let request = Request::post(server.uri("/run_remote")).header(header::CONTENT_TYPE, "application/json");
    let body = Body::from(vec![b' '; HttpOptions::default().body_limit + 1]);
    let (status, problem) = ask(request.body(body).unwrap(), true).await;
    assert_eq!((status.as_u16(), &problem["type"]), (413, &json!("urn:chainhost:problem:body-too-large")));
}

#[tokio::test]
async fn an_address_in_use_is_an_error_that_says_so() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = Server::bind(ServeOptions { listen: address, ..Default::default() }).unwrap_err();
    assert_eq!(error.address, address);
    let message = error.to_string();
    assert!(message.starts_with(&format!("cannot listen on {address}: ")), "{message}");
    assert!(message.contains(&format!("another program has port {}: stop it", address.port())), "{message}");
}
