//! A listener whose connections are all taken. Further clients get an error, and those who run the chain can still ask
//! for its health and its metrics.

use http::{Request, StatusCode, header};
use hyper::client::conn::http1::SendRequest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Chain, Endpoint, FAULTY, Reply, Served, eventually, json_request};

type Connection = SendRequest<http_body_util::Full<bytes::Bytes>>;

/// Serves a chain whose public listener has two connections, and takes both.
async fn crowded() -> (Served, [Connection; 2]) {
    let served = Chain::new(FAULTY).serve_with(&["--max-connections", "2"]);
    let mut both = [served.public.http1().await.unwrap(), served.public.http1().await.unwrap()];
    for sender in &mut both {
        let reply = Reply::read(sender.send_request(echo(served.public)).await.unwrap()).await;
        assert_eq!(reply.said(), "x");
    }
    (served, both)
}

fn echo(endpoint: Endpoint) -> Request<http_body_util::Full<bytes::Bytes>> {
    let mut request = json_request("/run_remote", r#"{"what": "echo:x"}"#);
    request.headers_mut().insert(header::HOST, endpoint.0.to_string().parse().unwrap());
    request
}

#[tokio::test]
async fn a_client_beyond_the_last_connection_gets_an_error_and_is_closed() {
    let (served, [one, two]) = crowded().await;
    let mut third = served.public.http1().await.unwrap();
    let reply = Reply::read(third.send_request(echo(served.public)).await.unwrap()).await;
    assert_eq!(reply.headers["retry-after"], "1");
    assert_eq!(reply.headers["connection"], "close");
    let problem = reply.problem(503, "too-many-connections");
    assert!(problem["detail"].as_str().unwrap().contains("all 2 connections of --max-connections"), "{problem}");
    eventually("the third connection is closed", async || third.is_closed().then_some(())).await;
    let metrics = served.admin.get("/metrics").await.text();
    assert!(metrics.contains("chainhost_http_connections_refused_total 1\n"), "{metrics}");

    drop(one);
    eventually("there is room", async || {
        let mut sender = served.public.http1().await.ok()?;
        let response = sender.send_request(echo(served.public)).await.ok()?;
        (response.status() == StatusCode::OK).then_some(())
    })
    .await;
    drop(two);
}

#[tokio::test]
async fn health_and_metrics_answer_while_clients_have_all_connections() {
    let (served, both) = crowded().await;
    for path in ["/healthz", "/readyz"] {
        for endpoint in [served.public, served.admin] {
            assert_eq!(endpoint.get(path).await.status, 200, "{path}");
        }
    }
    assert_eq!(served.admin.get("/metrics").await.status, 200);
    assert_eq!(served.tell("faulty", "echo:x").await.said(), "x");
    let mut two = served.public.http2().await.unwrap();
    let uri = format!("http://{}/readyz", served.public.0);
    let request = Request::get(uri).body(Default::default()).unwrap();
    assert_eq!(Reply::read(two.send_request(request).await.unwrap()).await.status, 200);
    eventually("that connection is closed", async || two.is_closed().then_some(())).await;
    drop(both);
}

#[tokio::test]
async fn a_slow_client_beyond_the_last_connection_is_closed() {
    let (served, both) = crowded().await;
    let mut silent = TcpStream::connect(served.public.0).await.unwrap();
    let mut slow = TcpStream::connect(served.public.0).await.unwrap();
    slow.write_all(b"GET /readyz HTTP/1.1\r\nHost: loc").await.unwrap();
    for stream in [&mut silent, &mut slow] {
        let mut all = Vec::new();
        // A reset also counts as the end.
        let _ = stream.read_to_end(&mut all).await;
        assert!(!all.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&all));
    }
    drop(both);
}
