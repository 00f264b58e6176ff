//! The end of a server. It loses no accepted call, and a second signal ends it at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{StatusCode, header};
use rustix::process::Signal;
use serde_json::json;
use tokio::net::TcpStream;

use crate::harness::{Chain, Endpoint, FAULTY, Reply, eventually, json_request};

/// Calls the chain over one connection after another, until the server takes no more connections. Each connection lasts
/// as long as the server keeps it. The server must answer each call that it has accepted.
async fn load(endpoint: Endpoint, answered: Arc<AtomicUsize>) {
    loop {
        let Ok(stream) = TcpStream::connect(endpoint.0).await else { return };
        let io = hyper_util::rt::TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        for number in 0.. {
            if sender.ready().await.is_err() {
                assert!(number == 0, "the server closed a connection without announcing it");
                return;
            }
            let request = json_request("/run_remote", json!({ "names": [number.to_string()] }).to_string());
            let response = match sender.send_request(request).await {
                Ok(response) => response,
                // The kernel completes connections that the server then never takes. The server has accepted no call on
                // them.
                Err(error) if number == 0 && is_reset(&error) => return,
                Err(error) => panic!("call {number} of a connection was lost: {error:?}"),
            };
            let last = response.headers().get(header::CONNECTION).is_some_and(|value| value == "close");
            let reply = Reply::read(response).await;
            assert_eq!(reply.json(), json!([format!("Hello, {number}!")]));
            answered.fetch_add(1, Ordering::Relaxed);
            if last {
                break;
            }
        }
    }
}

fn is_reset(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|error| matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_under_load_loses_no_accepted_call() {
    for signal in [Signal::TERM, Signal::INT] {
        let served = Chain::hello().serve();
        let answered = Arc::new(AtomicUsize::new(0));
        let clients: Vec<_> = (0..16).map(|_| tokio::spawn(load(served.public, answered.clone()))).collect();
        eventually("the server is under load", async || (answered.load(Ordering::Relaxed) > 500).then_some(())).await;
        served.signal(signal);
        for client in clients {
            client.await.unwrap();
        }
        let finished = served.finish().await;
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        assert!(!finished.stderr.contains("ERROR"), "{}", finished.stderr);
    }
}

#[tokio::test]
async fn accepted_calls_are_answered_after_the_signal_over_http_1_and_2() {
    let served = Chain::new(FAULTY).serve();
    let mut held = served.hold("hold", 4, "faulty").await;
    let mut sender = served.public.http2().await.unwrap();
    let uri = format!("http://{}/run_remote", served.public.0);
    let response = sender.send_request(json_request(&uri, json!({ "what": "hold" }).to_string()));
    held.push(tokio::spawn(async { Reply::read(response.await.unwrap()).await }));
    served.until_state("faulty", "active", json!(5)).await;

    served.signal(Signal::TERM);
    let problem = eventually("the server says that it stops", async || {
        let reply = served.admin.get("/readyz").await;
        (reply.status != StatusCode::OK).then(|| reply.problem(503, "stopping"))
    })
    .await;
    assert!(problem["detail"].as_str().unwrap().contains("stopping"));
    eventually("no new connection is taken", async || TcpStream::connect(served.public.0).await.err()).await;
    assert!(held.iter().all(|call| !call.is_finished()));

    assert_eq!(served.tell("faulty", "release").await.said(), "5");
    for call in held {
        assert_eq!(call.await.unwrap().said(), "did hold");
    }
    assert_eq!(served.finish().await.code, Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_the_server_at_once() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let served = Chain::new(FAULTY).serve();
        let held = served.hold("hold", 1, "faulty").await;
        served.signal(Signal::TERM);
        served.until_log("a second signal ends").await;
        assert!(!held[0].is_finished());
        served.signal(signal);
        let finished = served.finish().await;
        assert_eq!(finished.code, Some(code), "{}", finished.stderr);
    }
}

#[tokio::test]
async fn calls_that_outlast_the_drain_time_are_answered_with_503() {
    let served = Chain::new(FAULTY).serve_with(&["--drain", "300ms"]);
    let held = served.hold("hold", 2, "faulty").await;
    served.signal(Signal::TERM);
    for call in held {
        call.await.unwrap().problem(503, "stopping");
    }
    assert_eq!(served.finish().await.code, Some(0));
}

#[tokio::test]
async fn an_idle_server_with_idle_connections_ends_by_itself() {
    let served = Chain::new(FAULTY).serve();
    let mut one = served.public.http1().await.unwrap();
    Reply::read(one.send_request(json_request("/run_remote", r#"{"what": "calls"}"#)).await.unwrap()).await.json();
    let _other = served.public.http2().await.unwrap();
    let _silent = TcpStream::connect(served.public.0).await.unwrap();
    served.signal(Signal::TERM);
    let finished = served.finish().await;
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert_eq!(finished.stdout, "");
}

#[tokio::test]
async fn a_signal_during_the_start_ends_the_program() {
    let chain = Chain::new(&format!("{FAULTY}config = {{ init = \"hold\" }}\n"));
    let mut command = chain.serve_command(&[]);
    command.env("CHAINHOST_LOG", "debug");
    let process = crate::harness::Process::start(command);
    // The program begins by catching signals. Before that, a signal would end the process without an exit code.
    let finished = tokio::task::spawn_blocking(move || {
        while std::fs::read_to_string(format!("/proc/{}/status", process.id()))
            .is_ok_and(|status| !catches(&status, Signal::TERM))
        {
            std::thread::yield_now();
        }
        process.signal(Signal::TERM);
        process.finish()
    });
    assert_eq!(finished.await.unwrap().code, Some(143));
}

/// Returns true if the process with this `/proc/…/status` has a handler for `signal`.
fn catches(status: &str, signal: Signal) -> bool {
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    let caught = u64::from_str_radix(caught.trim(), 16).unwrap();
    caught & (1 << (signal.as_raw() - 1)) != 0
}
