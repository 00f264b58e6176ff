//! The memory that the host holds for its clients. The host counts it, and rejects requests if there is no room.

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::{Request, header};
use http_body_util::Full;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::harness::{Chain, Reply, Served, eventually};

const MIB: usize = 1 << 20;

fn blob() -> Chain {
    Chain::new("[chain]\nname = \"blob\"\nentrypoint = \"blob\"\n[chainlets.blob]\ncomponent = \"<guest_blob>\"\n")
}

fn rows(more: &str) -> Chain {
    let text = "[chain]\nname = \"rows\"\nentrypoint = \"rows\"\n[chainlets.rows]\ncomponent = \"<guest_rows>\"\n";
    Chain::new(&format!("{text}{more}"))
}

fn bytes_request(length: usize) -> Request<Full<Bytes>> {
    Request::post("/run_remote")
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header(header::ACCEPT, "application/octet-stream")
        .body(Full::from(vec![b'x'; length]))
        .unwrap()
}

/// Sends `length` bytes as a client that reads only the status of the answer. Returns the connection and the status.
async fn reads_only_the_status(served: &Served, length: usize) -> (TcpStream, String) {
    let mut client = TcpStream::connect(served.public.0).await.unwrap();
    let head = format!(
        "POST /run_remote HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n\
         Accept: application/octet-stream\r\nContent-Length: {length}\r\n\r\n"
    );
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(&vec![b'x'; length]).await.unwrap();
    let mut status = [0; 12];
    client.read_exact(&mut status).await.unwrap();
    (client, String::from_utf8_lossy(&status).into_owned())
}

/// Returns the value of a metric without labels.
async fn metric(served: &Served, name: &str) -> u64 {
    let text = served.admin.get("/metrics").await.text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("there is no {name} in {text}")).parse().unwrap()
}

async fn until_nothing_is_held(served: &Served) {
    let reserved = async || (metric(served, "chainhost_memory_reserved_bytes").await == 0).then_some(());
    eventually("nothing is held", reserved).await;
}

#[tokio::test]
async fn answers_that_nobody_reads_are_counted_until_their_clients_leave() {
    let served = blob().serve_with(&["--bodies-limit", "40MiB"]);
    let mut clients = Vec::new();
    let refused = loop {
        assert!(clients.len() < 5, "nothing is refused");
        let (client, status) = reads_only_the_status(&served, 15 * MIB).await;
        clients.push(client);
        if status != "HTTP/1.1 200" {
            break status;
        }
    };
    assert_eq!(refused, "HTTP/1.1 429");
    assert!(clients.len() >= 3, "two answers have room");
    let reply = served.public.send(bytes_request(15 * MIB)).await;
    let detail = reply.problem(429, "overloaded")["detail"].to_string();
    assert!(detail.contains("--bodies-limit"), "{detail}");
    assert!(metric(&served, "chainhost_memory_reserved_bytes").await <= 40 * MIB as u64);
    assert!(metric(&served, "chainhost_memory_refusals_total").await >= 2);
    drop(clients);
    until_nothing_is_held(&served).await;
    assert_eq!(served.public.send(bytes_request(15 * MIB)).await.status, 200);
}

#[tokio::test]
async fn a_body_that_can_never_have_room_is_too_large() {
    let served = blob().serve_with(&["--memory-limit", "4MiB"]);
    served.public.send(bytes_request(3 * MIB)).await.problem(413, "body-too-large");
    assert_eq!(served.public.send(bytes_request(MIB)).await.status, 200);
    until_nothing_is_held(&served).await;
}

#[tokio::test]
async fn the_size_of_values_counts_and_not_the_size_of_their_text() {
    let served = rows("").serve_with(&["--memory-limit", "64MiB"]);
    let text = |count: usize| format!("{{\"rows\":[{}]}}", vec!["{}"; count].join(","));
    let call = async |count| {
        let request = crate::harness::json_request("/run_remote", text(count));
        served.public.send(request).await
    };
    assert_eq!(call(1000).await.json(), json!(1000));
    // The text has about half a megabyte.
    let problem = call(200_000).await.problem(413, "body-too-large");
    assert!(problem["detail"].as_str().unwrap().contains("--memory-limit"), "{problem}");
    until_nothing_is_held(&served).await;
}

#[tokio::test]
async fn bodies_that_wait_for_a_place_do_not_count_as_values() {
    let served = rows("concurrency = 1\n").serve_with(&["--memory-limit", "64MiB"]);
    let text = format!("{{\"rows\":[{}]}}", vec!["{}"; 40_000].join(","));
    let calls = (0..8).map(|_| served.public.send(crate::harness::json_request("/run_remote", text.clone())));
    let answers: Vec<Reply> = futures::future::join_all(calls).await;
    // One value takes more than half of the room, and there is only one at a time.
    assert!(answers.iter().all(|answer| answer.status == 200), "{:?}", answers[0].text());
    until_nothing_is_held(&served).await;
}

/// Opens a WebSocket, and sends half of a message of `length` bytes on it.
async fn half_said(served: &Served, length: usize) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(served.public.0).await.unwrap();
    let request = format!("ws://{}/run_remote", served.public.0).into_client_request().unwrap();
    let (mut socket, _) = client_async(request, stream).await.unwrap();
    let header = FrameHeader { is_final: false, opcode: OpCode::Data(Data::Binary), ..FrameHeader::default() };
    let half = Frame::from_payload(header, Bytes::from(vec![0; length / 2]));
    // The server may have closed the socket already, if it refuses the message.
    let _ = socket.send(Message::Frame(half)).await;
    socket
}

#[tokio::test]
async fn unfinished_messages_are_counted() {
    let text =
        "[chain]\nname = \"echo\"\nentrypoint = \"echo\"\n[chainlets.echo]\ncomponent = \"<guest_stream_echo>\"\n";
    let served = Chain::new(text).serve_with(&["--bodies-limit", "5MiB"]);
    let mut sockets = Vec::new();
    for _ in 0..2 {
        sockets.push(half_said(&served, 4 * MIB).await);
    }
    let reserved = async || (metric(&served, "chainhost_memory_reserved_bytes").await > 3 * MIB as u64).then_some(());
    eventually("both are counted", reserved).await;
    let mut refused = half_said(&served, 4 * MIB).await;
    let close = loop {
        match refused.next().await.unwrap().unwrap() {
            Message::Close(close) => break close.unwrap(),
            text => assert!(text.to_text().unwrap().contains("--bodies-limit"), "{text}"),
        }
    };
    assert_eq!(close.code, CloseCode::Again);
    drop((sockets, refused));
    until_nothing_is_held(&served).await;
}

/// The bytes that threads and the allocator may keep from the first large work. More work does not increase them.
const KEPT: u64 = 8 << 20;

/// Attacks a host, and waits until it has given the memory back. Its guests have already grown to the size that a call
/// needs.
async fn given_back<T>(served: &Served, attack: impl AsyncFn() -> T) {
    let before = served.held().resident;
    let clients = attack().await;
    let during = served.held().resident;
    drop(clients);
    until_nothing_is_held(served).await;
    let (before, most) = (before / MIB as u64, before / 5 * 6 + KEPT);
    println!("{before} MiB before, {} MiB during the attack", during / MIB as u64);
    eventually(&format!("the host holds at most 20 % more than the {before} MiB before"), async || {
        (served.held().resident <= most).then_some(())
    })
    .await;
}

#[tokio::test]
async fn memory_of_answers_that_nobody_read_is_given_back() {
    let served = blob().serve_with(&["--memory-limit", "256MiB"]);
    for _ in 0..4 {
        assert_eq!(served.public.send(bytes_request(15 * MIB)).await.status, 200);
    }
    given_back(&served, async || {
        let clients = (0..12).map(|_| reads_only_the_status(&served, 15 * MIB));
        futures::future::join_all(clients).await
    })
    .await;
}

#[tokio::test]
async fn memory_of_large_values_is_given_back() {
    let served = rows("concurrency = 2\n").serve_with(&["--memory-limit", "256MiB"]);
    let text = format!("{{\"rows\":[{}]}}", vec!["{}"; 40_000].join(","));
    let calls = async |count| {
        let calls = (0..count).map(|_| served.public.send(crate::harness::json_request("/run_remote", text.clone())));
        futures::future::join_all(calls).await
    };
    assert!(calls(2).await.iter().all(|answer| answer.status == 200));
    given_back(&served, async || calls(24).await).await;
}

#[tokio::test]
async fn memory_of_unfinished_messages_is_given_back() {
    let text =
        "[chain]\nname = \"echo\"\nentrypoint = \"echo\"\n[chainlets.echo]\ncomponent = \"<guest_stream_echo>\"\n";
    let served = Chain::new(text).serve_with(&["--memory-limit", "256MiB"]);
    drop(half_said(&served, MIB).await);
    given_back(&served, async || {
        let sockets = (0..24).map(|_| half_said(&served, 12 * MIB));
        futures::future::join_all(sockets).await
    })
    .await;
}

/// A component that returns 500 strings of 1 MiB each. All of them are at one place of a memory of 2 MiB.
const ALIASES: &str = r#"(component
    (type $f (func (result (list string))))
    (core module $m
        (memory (export "mem") 32)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable)
        (func (export "run") (result i32) (local $i i32)
            (memory.fill (i32.const 65536) (i32.const 97) (i32.const 1048576))
            (loop $next
                (i32.store (i32.add (i32.const 1200000) (i32.mul (local.get $i) (i32.const 8))) (i32.const 65536))
                (i32.store (i32.add (i32.const 1200004) (i32.mul (local.get $i) (i32.const 8))) (i32.const 1048576))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $next (i32.lt_u (local.get $i) (i32.const 500))))
            (i32.store (i32.const 8) (i32.const 1200000))
            (i32.store (i32.const 12) (i32.const 500))
            i32.const 8))
    (core instance $i (instantiate $m))
    (func (export "run-remote") (type $f)
        (canon lift (core func $i "run") (memory $i "mem") (realloc (func $i "realloc")))))"#;

#[tokio::test]
async fn answers_that_repeat_one_place_are_refused_before_they_are_copied() {
    let chain = Chain::new("[chain]\nname = \"c\"\n[chainlets.a]\ncomponent = \"a.wasm\"\nreplicas = 6\n");
    chain.write("a.wasm", wat::parse_str(ALIASES).unwrap());
    let served = chain.serve_with(&["--memory-limit", "64MiB"]);
    let nothing = json!({});
    for _ in 0..3 {
        let replies = futures::future::join_all((0..6).map(|_| served.public.post("/run_remote", &nothing))).await;
        for reply in replies {
            let problem = reply.problem(429, "overloaded");
            assert!(problem["detail"].as_str().unwrap().contains("its answer cannot be taken"), "{problem}");
        }
    }
    let peak = served.held().peak >> 20;
    assert!(peak < 300, "the peak is {peak} MiB, and the budget 64 MiB");
    until_nothing_is_held(&served).await;
    // The guests did nothing wrong, so the host has replaced none.
    assert!(!served.log().contains("replica"), "{}", served.log());
}
