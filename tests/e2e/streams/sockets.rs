//! Calls over WebSockets, by the client of tokio-tungstenite.

use base64::Engine;
use futures::{SinkExt, StreamExt};
use http::{Request, Response};
use rustix::process::Signal;
use serde_json::{Value as Json, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::{RELAYED, one};
use crate::harness::{Chain, Endpoint, LIMIT};

type Socket = WebSocketStream<TcpStream>;

const END: &str = r#"{"$end":null}"#;

/// Opens a WebSocket for a call of the entrypoint.
async fn open(endpoint: Endpoint) -> Socket {
    connect(endpoint, handshake(endpoint)).await.unwrap().0
}

fn handshake(endpoint: Endpoint) -> Request<()> {
    format!("ws://{}/run_remote", endpoint.0).into_client_request().unwrap()
}

async fn connect(endpoint: Endpoint, request: Request<()>) -> Result<(Socket, Response<Option<Vec<u8>>>), Error> {
    client_async(request, TcpStream::connect(endpoint.0).await.unwrap()).await
}

async fn refused(endpoint: Endpoint, origin: Option<&str>) -> u16 {
    let mut request = handshake(endpoint);
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", origin.parse().unwrap());
    }
    match connect(endpoint, request).await {
        Err(Error::Http(response)) => response.status().as_u16(),
        other => panic!("{other:?}"),
    }
}

/// Returns the next message that is neither a ping nor a pong.
async fn next(socket: &mut Socket) -> Message {
    loop {
        match timeout(LIMIT, socket.next()).await.unwrap() {
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(message)) => return message,
            other => panic!("{other:?}"),
        }
    }
}

async fn json_of(socket: &mut Socket) -> Json {
    match next(socket).await {
        Message::Text(text) => serde_json::from_str(&text).unwrap(),
        other => panic!("{other:?}"),
    }
}

async fn closed(socket: &mut Socket) -> CloseCode {
    match next(socket).await {
        Message::Close(Some(frame)) => frame.code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn bytes_go_both_ways_until_the_client_ends_its_stream() {
    let served = Chain::new(&one("guest_stream_echo")).serve();
    let mut socket = open(served.public).await;
    for part in ["first", "second"] {
        socket.send(Message::binary(part)).await.unwrap();
        assert_eq!(next(&mut socket).await, Message::binary(part));
    }
    socket.send(Message::text(END)).await.unwrap();
    assert_eq!(json_of(&mut socket).await, json!({ "$end": null }));
    assert_eq!(closed(&mut socket).await, CloseCode::Normal);
    served.until_state("only", "active", json!(0)).await;
}

#[tokio::test]
async fn items_are_json_after_the_other_parameters() {
    let served = Chain::new(&one("guest_stream_scale")).serve();
    let mut socket = open(served.public).await;
    socket.send(Message::text(r#"{"factor": 3}"#)).await.unwrap();
    for (sent, got) in [(r#"{"id": 1, "score": 0.5}"#, 1.5), (r#"{"id": 2, "score": 2}"#, 6.0)] {
        socket.send(Message::text(sent)).await.unwrap();
        assert_eq!(json_of(&mut socket).await["score"], got);
    }
    socket.send(Message::text(END)).await.unwrap();
    assert_eq!(json_of(&mut socket).await, json!({ "$end": 2 }));
    assert_eq!(closed(&mut socket).await, CloseCode::Normal);
}

#[tokio::test]
async fn a_message_that_does_not_fit_is_an_error_and_closes_the_socket() {
    let served = Chain::new(&one("guest_stream_scale")).serve();
    let fits = r#"{"factor": 3}"#;
    let cases: [(&[Message], &str, &str); 5] = [
        (&[Message::text(r#"{"factor": "x"}"#)], "/factor", "f32"),
        (&[Message::binary("x")], "", "the parameters come first"),
        (&[Message::text(fits), Message::text(r#"{"id": -1, "score": 1}"#)], "/id", "u32"),
        (&[Message::text(fits), Message::binary("x")], "", "text messages"),
        (&[Message::text(fits), Message::text("nonsense")], "", "JSON"),
    ];
    for (messages, pointer, detail) in cases {
        let mut socket = open(served.public).await;
        for message in messages {
            socket.send(message.clone()).await.unwrap();
        }
        let problem = json_of(&mut socket).await["$error"].take();
        assert_eq!(problem["type"], "urn:chainhost:problem:invalid-input", "{messages:?}: {problem}");
        assert_eq!(problem["pointer"].as_str().unwrap_or_default(), pointer, "{messages:?}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{messages:?}: {problem}");
        assert_eq!(closed(&mut socket).await, CloseCode::Invalid, "{messages:?}");
    }
}

#[tokio::test]
async fn a_chainlets_own_error_is_sent_at_the_end() {
    let served = Chain::new(&one("guest_stream_scale")).serve();
    let mut socket = open(served.public).await;
    socket.send(Message::text(r#"{"factor": 1}"#)).await.unwrap();
    socket.send(Message::text(r#"{"id": 13, "score": 1}"#)).await.unwrap();
    let problem = json_of(&mut socket).await["$error"].take();
    assert_eq!((&problem["status"], &problem["error"]), (&json!(422), &json!("13 brings bad luck")), "{problem}");
    assert_eq!(closed(&mut socket).await, CloseCode::Error);
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_call_without_an_end_of_its_stream() {
    let served = Chain::new(&one("guest_stream_scale")).serve();
    for farewell in [false, true] {
        let mut socket = open(served.public).await;
        socket.send(Message::text(r#"{"factor": 1}"#)).await.unwrap();
        socket.send(Message::text(r#"{"id": 1, "score": 1}"#)).await.unwrap();
        json_of(&mut socket).await;
        served.until_state("only", "active", json!(1)).await;
        if farewell {
            socket.close(None).await.unwrap();
            assert!(matches!(next(&mut socket).await, Message::Close(_)), "the server answers the close frame");
        }
        drop(socket);
        served.until_state("only", "active", json!(0)).await;
    }
}

#[tokio::test]
async fn a_message_that_is_too_long_is_an_error_and_closes_the_socket() {
    let served = Chain::new(&one("guest_stream_echo")).serve_with(&["--body-limit", "1KiB"]);
    let mut socket = open(served.public).await;
    socket.send(Message::binary(vec![0; 1024])).await.unwrap();
    assert_eq!(next(&mut socket).await, Message::binary(vec![0; 1024]));
    socket.send(Message::binary(vec![0; 1025])).await.unwrap();
    let problem = json_of(&mut socket).await["$error"].take();
    assert_eq!(problem["type"], "urn:chainhost:problem:body-too-large", "{problem}");
    assert_eq!(closed(&mut socket).await, CloseCode::Size);
    served.until_state("only", "active", json!(0)).await;
}

#[tokio::test]
async fn a_flood_of_pings_does_not_hold_up_other_messages() {
    let served = Chain::new(&one("guest_stream_echo")).serve();
    let socket = open(served.public).await;
    let (mut mouth, mut ear) = socket.split();
    let flood = tokio::spawn(async move {
        while mouth.send(Message::Ping("x".into())).await.is_ok() {
            if fastrand::u8(..) == 0 && mouth.send(Message::binary("data")).await.is_err() {
                break;
            }
        }
    });
    let heard = async {
        loop {
            match ear.next().await.unwrap().unwrap() {
                Message::Binary(data) => break data,
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    assert_eq!(timeout(LIMIT, heard).await.unwrap(), "data");
    flood.abort();
}

#[tokio::test]
async fn a_ping_is_answered() {
    let served = Chain::new(&one("guest_stream_echo")).serve();
    let mut socket = open(served.public).await;
    socket.send(Message::Ping("still there?".into())).await.unwrap();
    loop {
        match timeout(LIMIT, socket.next()).await.unwrap().unwrap().unwrap() {
            Message::Pong(text) => break assert_eq!(text, "still there?"),
            Message::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_handshake_that_is_forbidden_or_not_supported_is_refused() {
    let served = Chain::new(&one("guest_stream_echo")).serve();
    assert_eq!(refused(served.public, Some("https://evil.example")).await, 403);
    let same = format!("http://{}", served.public.0);
    let mut request = handshake(served.public);
    request.headers_mut().insert("origin", same.parse().unwrap());
    connect(served.public, request).await.unwrap();
    let reply = served.public.get("/run_remote").await;
    let detail = reply.problem(426, "upgrade-required")["detail"].to_string();
    assert!(detail.contains("WebSocket handshake"), "{detail}");
    assert_eq!(
        (&reply.headers["upgrade"], &reply.headers["connection"]),
        (&"websocket".parse().unwrap(), &"upgrade".parse().unwrap())
    );
    assert_eq!(reply.headers["sec-websocket-version"], "13");

    let served = Chain::new(RELAYED).serve();
    assert_eq!(refused(served.public, None).await, 405);

    let chain = Chain::new(&one("guest_stream_echo"));
    let mut command = chain.serve_command(&[]);
    command.env("CHAINHOST_API_KEY", "not-to-be-guessed-0123456789");
    let served = crate::harness::Served::start(command);
    assert_eq!(refused(served.public, None).await, 401);
}

#[tokio::test]
async fn a_web_page_shows_its_key_in_a_subprotocol() {
    const KEY: &str = "not-to-be-guessed-0123456789";
    let chain = Chain::new(&one("guest_stream_echo"));
    let mut command = chain.serve_command(&["--allowed-origin", "https://app.example"]);
    command.env("CHAINHOST_API_KEY", KEY).env("CHAINHOST_LOG", "debug");
    let served = crate::harness::Served::start(command);
    let encoded = |key: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(key);
    let offer = async |protocols: &str, origin: &str| {
        let mut request = handshake(served.public);
        request.headers_mut().insert("origin", origin.parse().unwrap());
        request.headers_mut().insert("sec-websocket-protocol", protocols.parse().unwrap());
        connect(served.public, request).await
    };
    let right = format!("chainhost.v1, chainhost.bearer.{}", encoded(KEY));
    let page = "https://app.example";
    let (mut socket, response) = offer(&right, page).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "chainhost.v1");
    socket.send(Message::binary("x")).await.unwrap();
    assert_eq!(next(&mut socket).await, Message::binary("x"));

    let wrong = format!("chainhost.v1, chainhost.bearer.{}", encoded("not-0123456789abcdef"));
    let alone = format!("chainhost.bearer.{}", encoded(KEY));
    let twice = format!("{right}, chainhost.bearer.{}", encoded(KEY));
    for (protocols, origin, status, kind) in [
        ("chainhost.v1", page, 401, "unauthorized"),
        (&*wrong, page, 401, "unauthorized"),
        (&*alone, page, 400, "bad-request"),
        (&*twice, page, 400, "bad-request"),
        ("chainhost.v1, chainhost.bearer.*", page, 400, "bad-request"),
        (&*right, "https://evil.example", 403, "forbidden"),
    ] {
        let Err(Error::Http(response)) = offer(protocols, origin).await else { panic!("{protocols}") };
        assert_eq!(response.status(), status, "{protocols}");
        let answer =
            format!("{:?} {}", response.headers(), String::from_utf8_lossy(response.body().as_deref().unwrap()));
        assert!(answer.contains(kind), "{protocols}: {answer}");
        assert!(!answer.contains(&encoded(KEY)), "{protocols}: {answer}");
    }
    served.until_log("client=\"key-1\"").await;
    let log = served.log();
    assert!(!log.contains(KEY) && !log.contains(&encoded(KEY)), "the log holds a key");
}

#[tokio::test]
async fn a_socket_stays_open_during_a_stop_until_the_drain_time_is_over() {
    let served = Chain::new(&one("guest_stream_echo")).serve_with(&["--drain", "3s"]);
    let mut socket = open(served.public).await;
    socket.send(Message::binary("before")).await.unwrap();
    assert_eq!(next(&mut socket).await, Message::binary("before"));
    served.signal(Signal::TERM);
    served.until_log("stopping").await;
    socket.send(Message::binary("after")).await.unwrap();
    assert_eq!(next(&mut socket).await, Message::binary("after"));
    let problem = json_of(&mut socket).await["$error"].take();
    assert_eq!(problem["type"], "urn:chainhost:problem:stopping", "{problem}");
    assert_eq!(closed(&mut socket).await, CloseCode::Away);
    drop(socket);
    served.finish().await;
}
