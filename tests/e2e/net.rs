//! The SDK's functions for the outside world: requests, time, retries, the log, and work after the answer.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::harness::{Chain, Reply, Served, eventually, json_request};

/// The requests that the server of a test has seen.
#[derive(Default)]
struct Seen {
    requests: AtomicUsize,
    /// The number of requests that are held now. A request leaves when its client does.
    held: AtomicUsize,
}

struct Held(Arc<Seen>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn server() -> (SocketAddr, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let app = Router::new()
        .route("/", get(async || "hello"))
        .route("/missing", get(async || (axum::http::StatusCode::NOT_FOUND, "no")))
        .route("/long", get(async || "x".repeat(100_000)))
        .route("/trace", get(async |headers: HeaderMap| headers["traceparent"].to_str().unwrap().to_owned()))
        .route("/add", post(add))
        .route("/count", post(async |body: Bytes| body.len().to_string()))
        .route("/pieces", get(pieces))
        .route("/events", get(async || "data: one\n\nevent: done\ndata: two\n\n"))
        .route("/broken", get(broken))
        .route("/third", get(third))
        .route("/stalled", get(stalled))
        .route("/hold", get(hold))
        .with_state(seen.clone());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = hyper_util::service::TowerToHyperService::new(app.clone());
            let http = hyper::server::conn::http1::Builder::new();
            tokio::spawn(http.serve_connection(hyper_util::rt::TokioIo::new(stream), service));
        }
    });
    (address, seen)
}

/// Returns the JSON of the request, with 1 added to its `n`.
async fn add(body: Bytes) -> String {
    let body: Value = serde_json::from_slice(&body).unwrap();
    json!({ "n": body["n"].as_u64().unwrap() + 1 }).to_string()
}

async fn pieces() -> Body {
    Body::from_stream(futures::stream::unfold(0, async |number| {
        tokio::time::sleep(Duration::from_millis(5)).await;
        (number < 3).then(|| (Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 1000])), number + 1))
    }))
}

async fn broken() -> Body {
    let pieces = [Ok(Bytes::from_static(b"data: one\n\ndata: t")), Err(std::io::Error::other("broken"))];
    Body::from_stream(futures::stream::iter(pieces))
}

/// Begins a body, and never goes on.
async fn stalled() -> Body {
    let first = futures::stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"x"))]);
    Body::from_stream(futures::StreamExt::chain(first, futures::stream::pending()))
}

/// Refuses two requests, and answers each later one.
async fn third(State(seen): State<Arc<Seen>>) -> impl IntoResponse {
    match seen.requests.fetch_add(1, Ordering::SeqCst) {
        0 => (axum::http::StatusCode::SERVICE_UNAVAILABLE, "no"),
        1 => (axum::http::StatusCode::TOO_MANY_REQUESTS, "no"),
        _ => (axum::http::StatusCode::OK, "yes"),
    }
}

async fn hold(State(seen): State<Arc<Seen>>) -> &'static str {
    seen.held.fetch_add(1, Ordering::SeqCst);
    let _held = Held(seen);
    tokio::time::sleep(Duration::from_secs(600)).await;
    "too late"
}

fn served(address: SocketAddr) -> Served {
    Chain::new(&format!(
        "[chain]\nname = \"test\"\n[chainlets.net]\ncomponent = \"<guest_net>\"\nconcurrency = 1\nqueue = 0\n\
         network.hosts = [\"{address}\"]\n"
    ))
    .serve()
}

#[track_caller]
fn error(reply: Reply) -> String {
    reply.problem(422, "chainlet-error")["error"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn requests_and_answers_go_whole_and_in_pieces() {
    let (address, _) = server().await;
    let served = served(address);
    for (what, answer) in [
        ("get:URL/", "200 hello"),
        ("get:URL/missing", "404 no"),
        ("json:URL/add", "42"),
        ("up:500:URL/count", "500000"),
        ("down:URL/pieces", "3000 true"),
        ("events:URL/events", "message=one,done=two"),
        ("many:50:URL/", "50"),
    ] {
        assert_eq!(served.ask(&what.replace("URL", &format!("http://{address}"))).await, answer, "{what}");
    }
}

#[tokio::test]
async fn each_failure_of_a_request_is_an_error_of_its_kind() {
    let (address, _) = server().await;
    let served = served(address);
    for (what, kind) in [
        ("get:http://127.0.0.2:1/", "Denied: GET 127.0.0.2: chain.toml does not allow it"),
        ("get:nonsense", "Request: the URL is malformed"),
        ("within:200:URL/stalled", "Timeout: GET 127.0.0.1: it took longer than 200ms"),
        ("json:URL/missing", "Status: POST 127.0.0.1: the server answered 405"),
        ("json:URL/", "Status"),
        ("text:99999:URL/long", "TooLarge: GET 127.0.0.1: the body has more than 99999 bytes"),
        ("within:50:URL/hold", "Timeout: GET 127.0.0.1"),
        ("first:50:URL/hold", "Timeout: GET 127.0.0.1"),
        ("events:URL/broken", "Protocol: GET 127.0.0.1"),
    ] {
        let error = error(served.public.tell(&what.replace("URL", &format!("http://{address}"))).await);
        assert!(error.starts_with(kind), "{what}: {error}");
    }
    assert_eq!(served.ask(&format!("text:100000:http://{address}/long")).await.len(), 100_000);
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
    let served = self::served(closed);
    let error = error(served.public.tell(&format!("get:http://{closed}/")).await);
    assert!(error.starts_with("Connect"), "{error}");
}

#[tokio::test]
async fn a_request_that_is_dropped_is_cancelled_at_its_server() {
    let (address, seen) = server().await;
    let served = served(address);
    assert_eq!(served.ask(&format!("drop:http://{address}/hold")).await, "dropped: true");
    eventually("the request is gone", async || (seen.held.load(Ordering::SeqCst) == 0).then_some(())).await;
    let call = served.begin(&format!("get:http://{address}/hold"));
    eventually("the request is held", async || (seen.held.load(Ordering::SeqCst) == 1).then_some(())).await;
    call.abort();
    eventually("the request is gone", async || (seen.held.load(Ordering::SeqCst) == 0).then_some(())).await;
}

#[tokio::test]
async fn a_request_is_retried_up_to_its_number_of_attempts() {
    let (address, seen) = server().await;
    let served = served(address);
    let error = error(served.public.tell(&format!("retry:2:http://{address}/third")).await);
    assert!(error.starts_with("Status"), "{error}");
    seen.requests.store(0, Ordering::SeqCst);
    assert_eq!(served.ask(&format!("retry:3:http://{address}/third")).await, "yes");
}

#[tokio::test]
async fn requests_carry_the_trace_and_log_lines_carry_the_request_id() {
    let (address, _) = server().await;
    let served = served(address);
    let mut request = json_request("/run_remote", json!({ "what": format!("get:http://{address}/trace") }).to_string());
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    request.headers_mut().insert("traceparent", trace.parse().unwrap());
    assert_eq!(served.public.send(request).await.said(), format!("200 {trace}"));

    let reply = served.public.tell("log:a\nb").await;
    let id = reply.headers["x-request-id"].to_str().unwrap();
    served.until_log("the guest says a").await;
    let log = served.log();
    let line = log.lines().find(|line| line.contains("the guest says a")).unwrap();
    for part in ["WARN", "net[0]", id, r#"{"length":"3","word":"log"}"#] {
        assert!(line.contains(part), "nothing says `{part}`: {line}");
    }
    assert!(!log.contains("nobody reads this"), "{log}");
}

#[tokio::test]
async fn work_after_the_answer_holds_the_calls_place_until_it_ends() {
    let (address, seen) = server().await;
    let served = served(address);
    assert_eq!(served.ask(&format!("spawn:http://{address}/hold")).await, "did spawn");
    eventually("the work goes on", async || (seen.held.load(Ordering::SeqCst) == 1).then_some(())).await;
    served.public.tell("interval:1").await.problem(429, "overloaded");
    served.until_state("net", "active", json!(1)).await;

    let served = self::served(address);
    assert_eq!(served.ask(&format!("spawn:http://{address}/")).await, "did spawn");
    served.until_state("net", "active", json!(0)).await;
    assert_eq!(served.ask("interval:3").await, "did interval");
}

/// Starts a server that answers the first request of each connection, and closes the connection when the next request
/// comes.
async fn forgetful() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut request = [0; 4096];
                assert!(stream.read(&mut request).await.unwrap() > 0);
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"n\": 42}").await.unwrap();
                let _ = stream.read(&mut request).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn a_request_lost_on_a_kept_connection_is_repeated_only_if_allowed() {
    let address = forgetful().await;
    let served = served(address);
    // Every second request finds a kept connection that the server closes. The host sends it once more, over a
    // connection that it does not keep. The last of the eleven is not such a request.
    for _ in 0..11 {
        assert_eq!(served.ask(&format!("get:http://{address}/")).await, "200 {\"n\": 42}");
    }
    // So the connection of the last GET is kept now. A POST that is lost on it must not be sent twice.
    let error = error(served.public.tell(&format!("json:http://{address}/")).await);
    assert!(error.starts_with("Protocol: POST"), "{error}");
}
