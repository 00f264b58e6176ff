//! Clients that close their side of the connection while the server still has to answer.

use serde_json::{Value as Json, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::tls::{connect, pair};
use crate::harness::{Chain, FAULTY, LIMIT, Served};

/// Returns the text of a request that is a call. `headers` may say that it is the client's last request.
fn call(version: &str, headers: &str, what: &str) -> String {
    let body = json!({ "what": what }).to_string();
    format!(
        "POST /run_remote HTTP/{version}\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Sends `request`, and closes the client's side of the connection.
async fn send<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, request: &str) -> S {
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    stream
}

/// Returns everything that comes until the other side closes.
async fn rest(mut stream: impl AsyncRead + Unpin) -> String {
    let mut answer = Vec::new();
    // A reset after the answer also counts as the end.
    let _ = timeout(LIMIT, stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8(answer).unwrap()
}

async fn open(served: &Served) -> TcpStream {
    TcpStream::connect(served.public.0).await.unwrap()
}

/// Waits until only `left` calls are in flight, and releases them.
async fn release(served: &Served, left: usize) {
    served.until_state("faulty", "active", json!(left)).await;
    assert_eq!(served.tell("faulty", "release").await.said(), left.to_string());
}

#[tokio::test]
async fn a_last_request_is_answered_after_its_client_has_closed_its_side() {
    let served = Chain::new(FAULTY).serve();
    let mut waiting = Vec::new();
    for (version, headers) in [("1.1", "Connection: close\r\n"), ("1.0", ""), ("1.1", "Connection: x, Close\r\n")] {
        waiting.push(send(open(&served).await, &call(version, headers, "hold")).await);
    }
    served.until_state("faulty", "active", json!(3)).await;
    // The server cancels these calls because their clients have closed their side. So it has also seen that the clients
    // above have closed theirs.
    for (version, headers) in [("1.1", ""), ("1.0", "Connection: keep-alive\r\n")] {
        let left = send(open(&served).await, &call(version, headers, "hold")).await;
        assert_eq!(rest(left).await, "", "{version} {headers}");
    }
    release(&served, 3).await;
    for stream in waiting {
        let answer = rest(stream).await;
        assert!(answer.starts_with("HTTP/1.") && answer.contains(" 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n\"did hold\""), "{answer}");
    }
}

#[tokio::test]
async fn the_last_of_several_requests_is_answered_after_its_client_closes() {
    let served = Chain::new(FAULTY).serve();
    let requests = call("1.1", "", "calls") + &call("1.1", "Connection: close\r\n", "hold");
    let waiting = send(open(&served).await, &requests).await;
    release(&served, 1).await;
    let answers = rest(waiting).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK\r\n").count(), 2, "{answers}");
}

#[tokio::test]
async fn closing_inside_a_body_is_an_error_and_no_end_of_the_body() {
    let served = Chain::new(FAULTY).serve();
    let chunked = "POST /run_remote HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                   Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let whole = call("1.1", "Connection: close\r\n", "hold");
    for request in [&whole[..whole.len() - 1], chunked, &format!("{chunked}2\r\n{{}}\r\n")] {
        let answer = rest(send(open(&served).await, request).await).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{request}: {answer}"));
        assert!(head.starts_with("HTTP/1.1 400 "), "{request}: {answer}");
        let problem: Json = serde_json::from_str(body).unwrap();
        assert!(problem["detail"].as_str().unwrap().contains("the body broke off"), "{problem}");
    }
    assert_eq!(served.tell("faulty", "calls").await.said(), "1", "this is the first call that came");
}

#[tokio::test]
async fn closing_inside_a_streamed_body_ends_the_call() {
    let served = Chain::new("[chain]\nname = \"one\"\n[chainlets.only]\ncomponent = \"<guest_stream_sum>\"\n").serve();
    let head = "POST /run_remote HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n\
                Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let lines = "{\"scale\": 2}\n{\"id\": 1, \"score\": 1}\n";
    let chunk = format!("{head}{:x}\r\n{lines}\r\n", lines.len());
    let answer = rest(send(open(&served).await, &chunk).await).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("the body broke off"), "{answer}");
    let answer = rest(send(open(&served).await, &format!("{chunk}0\r\n\r\n")).await).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"count\":1"), "{answer}");
    served.until_state("only", "active", json!(0)).await;
}

#[tokio::test]
async fn a_last_request_over_tls_is_answered_after_close_notify() {
    let chain = Chain::new(FAULTY);
    let (certificate, key) = pair(&chain, "one");
    let served = chain.serve_with(&["--tls-cert", &certificate, "--tls-key", &key]);
    let open = async || connect(served.public, &certificate, "http/1.1").await.unwrap();
    let waiting = send(open().await, &call("1.1", "Connection: close\r\n", "hold")).await;
    served.until_state("faulty", "active", json!(1)).await;
    assert_eq!(rest(send(open().await, &call("1.1", "", "hold")).await).await, "");
    release(&served, 1).await;
    let answer = rest(waiting).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
