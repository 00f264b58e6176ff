//! The answers to clients that break the rules of HTTP, or that come from a host or an origin that is not allowed.

use futures::{SinkExt, StreamExt};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Chain, FAULTY, LIMIT, Served, eventually, json_request};

/// Sends `request`, and returns the server's answer up to the end of the connection.
async fn answer(served: &Served, request: &str) -> String {
    let mut client = TcpStream::connect(served.public.0).await.unwrap();
    client.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset after the answer also counts as the end.
    let _ = client.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_head_that_is_refused_gets_a_problem_with_an_id_and_is_counted() {
    let served = Chain::new(FAULTY).serve();
    let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\na: {}\r\n\r\n", "x".repeat(70_000));
    for (request, status, kind) in [
        ("GET / HTTP/1.1\r\nHost: localhost\r\nbad name: x\r\n\r\n", 400, "bad-request"),
        (&long, 431, "head-too-large"),
        ("GET /healthz HTTP/1.1\r\n\r\n", 400, "bad-request"),
        ("GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400, "bad-request"),
        ("GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "bad-request"),
    ] {
        let answer = answer(&served, request).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer}"));
        let head = head.to_ascii_lowercase();
        assert!(head.starts_with(&format!("http/1.1 {status} ")) && head.contains("x-request-id: "), "{answer}");
        assert!(head.contains("connection: close"), "{answer}");
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(problem["type"], format!("urn:chainhost:problem:{kind}"), "{answer}");
    }
    let metrics = served.admin.get("/metrics").await.text();
    assert!(metrics.contains(r#"chainhost_http_requests_total{route="other",status="431"} 1"#), "{metrics}");
}

#[tokio::test]
async fn a_loopback_listener_refuses_foreign_hosts_and_origins_by_default() {
    let asked = async |served: &Served, host: &str, origin: &str| {
        let origin = if origin.is_empty() { String::new() } else { format!("Origin: {origin}\r\n") };
        let request = format!("GET /openapi.json HTTP/1.1\r\nHost: {host}\r\n{origin}Connection: close\r\n\r\n");
        answer(served, &request).await.split(' ').nth(1).unwrap().to_owned()
    };
    let served = Chain::new(FAULTY).serve();
    assert_eq!(asked(&served, "localhost:80", "http://localhost:3000").await, "200");
    assert_eq!(asked(&served, "chain.example", "").await, "403");
    assert_eq!(asked(&served, "localhost", "https://app.example").await, "403");
    let allowed = ["--allowed-host", "chain.example", "--allowed-origin", "https://app.example"];
    let served = Chain::new(FAULTY).serve_with(&allowed);
    assert_eq!(asked(&served, "chain.example", "https://app.example").await, "200");
    assert_eq!(asked(&served, "evil.example", "").await, "403");
    assert_eq!(asked(&served, "localhost", "https://evil.example").await, "403");
}

/// A chainlet that calls `faulty`, and therefore starts after it.
const BEHIND: &str = r#"
[chainlets.relay]
component = "<guest_relay>"
depends = { next = "faulty", other = "faulty" }
"#;

#[tokio::test]
async fn every_json_text_may_have_a_byte_order_mark_and_white_space_around() {
    let served = Chain::new(FAULTY).serve();
    let body = "\u{feff} {\"what\": \"echo:x\"}\r\n";
    assert_eq!(served.public.send(json_request("/run_remote", body)).await.said(), "x");

    let served =
        Chain::new("[chain]\nname = \"one\"\n[chainlets.only]\ncomponent = \"<guest_stream_scale>\"\n").serve();
    let texts = ["\u{feff}{\"factor\": 3}", "\u{feff}\t{\"id\": 1, \"score\": 1} \r"];
    let mut lines = json_request("/run_remote", texts.join("\n") + "\n\u{feff} \n");
    lines.headers_mut().insert("content-type", "application/x-ndjson".parse().unwrap());
    let reply = served.public.send(lines).await;
    assert!(reply.status == 200 && reply.text().contains("\"score\":3"), "{}", reply.text());

    let stream = TcpStream::connect(served.public.0).await.unwrap();
    let (mut socket, _) = client_async(format!("ws://{}/run_remote", served.public.0), stream).await.unwrap();
    for text in texts.into_iter().chain(["\u{feff}{ \"$end\" : null }\n"]) {
        socket.send(Message::text(text)).await.unwrap();
    }
    let mut answers = Vec::new();
    while let Some(Ok(message)) = timeout(LIMIT, socket.next()).await.unwrap() {
        if let Message::Text(text) = message {
            answers.push(text.to_string());
        }
    }
    assert!(answers[0].contains("\"score\":3"), "{answers:?}");
    assert_eq!(answers[1..], [r#"{"$end":1}"#]);
}

#[tokio::test]
async fn the_listeners_answer_while_the_chain_starts() {
    let chain = Chain::new(&format!("{FAULTY}config = {{ init = \"sleep:3000\" }}\n{BEHIND}"));
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let mut command = chain.command(&["serve", "chain.toml", "--listen", &address.to_string()]);
    command.stderr(std::process::Stdio::null());
    let mut process = command.spawn().unwrap();
    let public = crate::harness::Endpoint(address);
    let ask = async |path: &str| {
        let mut client = TcpStream::connect(address).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.ok()?;
        Some(answer)
    };
    let alive = eventually("the server listens", async || ask("/healthz").await).await;
    let waits = eventually("the `init` of faulty runs", async || {
        let answer = ask("/readyz").await?;
        answer.contains("`init` runs)").then_some(answer)
    })
    .await;
    assert!(alive.starts_with("HTTP/1.1 200 "), "{alive}");
    assert!(waits.starts_with("HTTP/1.1 503 ") && waits.contains("retry-after"), "{waits}");
    assert!(waits.contains("waits for: faulty (its `init` runs), relay (its turn to start has not come)"), "{waits}");
    eventually("the chain is ready", async || (public.get("/readyz").await.status == 200).then_some(())).await;
    assert_eq!(public.call(&json!({ "what": "echo:x" })).await.said(), "x");
    process.kill().unwrap();
    process.wait().unwrap();
}
