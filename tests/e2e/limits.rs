//! Deadlines, queues, and the rejection of requests under too much load.

use http::Request;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Chain, FAULTY, Reply, Served, eventually, json_request};

async fn tell_within(served: &Served, what: &str, timeout: &str) -> Reply {
    let mut request: Request<_> = json_request("/run_remote", json!({ "what": what }).to_string());
    request.headers_mut().insert("x-request-timeout", timeout.parse().unwrap());
    served.public.send(request).await
}

#[tokio::test]
async fn a_call_that_is_not_answered_in_time_is_a_504_and_other_calls_go_on() {
    let served = Chain::new(FAULTY).serve();
    let held = served.hold("hold", 1, "faulty").await;
    for timeout in ["0.1", "100ms"] {
        let problem = tell_within(&served, "hold", timeout).await.problem(504, "deadline");
        assert_eq!(problem["chainlet"], "faulty");
        let detail = "no answer before the deadline: the header x-request-timeout of the request is 100ms";
        assert_eq!(problem["detail"], detail);
    }
    // The host tells the guest that a deadline has passed. The guest lets go of the call when it runs next.
    served.until_state("faulty", "active", json!(1)).await;
    assert_eq!(served.ask("release").await, "1", "the guest has dropped the calls whose deadline has passed");
    for call in held {
        assert_eq!(call.await.unwrap().said(), "did hold");
    }
}

#[tokio::test]
async fn no_request_takes_longer_than_the_server_allows() {
    let served = Chain::new(FAULTY).serve_with(&["--timeout", "100ms"]);
    for reply in [served.public.tell("hold").await, tell_within(&served, "hold", "1h").await] {
        let problem = reply.problem(504, "deadline");
        assert_eq!(problem["detail"], "no answer before the deadline: the server's --timeout is 100ms");
    }
    assert_eq!(served.ask("echo:x").await, "x");
}

#[tokio::test]
async fn a_replica_whose_call_never_ends_is_replaced() {
    let served = Chain::new(&format!("{FAULTY}concurrency = 1\ngrace = \"300ms\"\n")).serve();
    assert_eq!(served.ask("calls").await, "1");
    tell_within(&served, "spin", "100ms").await.problem(504, "deadline");
    // This call waits for the new replica, because the old one's only place stays taken.
    assert_eq!(served.ask("calls").await, "1");
    served.until_log("calls that do not end").await;
}

#[tokio::test]
async fn more_calls_than_may_wait_are_refused_as_overloaded() {
    let served = Chain::new(&format!("{FAULTY}concurrency = 1\nqueue = 1\n")).serve();
    let held = served.begin("hold");
    served.until_state("faulty", "active", json!(1)).await;
    let waiting = served.begin("echo:next");
    served.until_state("faulty", "waiting", json!(1)).await;
    let reply = served.public.tell("echo:one too many").await;
    assert_eq!(reply.headers["retry-after"], "1");
    let problem = reply.problem(429, "overloaded");
    assert_eq!((&problem["chainlet"], &problem["path"]), (&json!("faulty"), &json!([])));
    let detail = "every replica is busy and the queue is full: chainlets.faulty.queue in chain.toml is 1";
    assert_eq!(problem["detail"], detail);
    assert!(!held.is_finished() && !waiting.is_finished());
    waiting.abort();
    served.until_state("faulty", "waiting", json!(0)).await;
    held.abort();
}

#[tokio::test]
async fn calls_that_wait_are_served_one_after_the_other() {
    let served = Chain::new(&format!("{FAULTY}concurrency = 1\nqueue = 50\n")).serve();
    let calls = (0..50).map(|number| {
        let what = format!("echo:{number}");
        async { served.public.tell(&{ what }).await.said() }
    });
    let answers = futures::future::join_all(calls).await;
    assert!(answers.iter().enumerate().all(|(number, answer)| *answer == number.to_string()));
    assert_eq!(served.ask("peak").await, "1");
}

#[tokio::test]
async fn the_bodies_of_all_requests_together_have_a_limit() {
    let served = Chain::new(FAULTY).serve_with(&["--bodies-limit", "1KiB"]);
    let half_body = async || {
        let mut half = TcpStream::connect(served.public.0).await.unwrap();
        let head = "POST /run_remote HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                    Content-Length: 900\r\n\r\n";
        half.write_all(format!("{head}{}", " ".repeat(700)).as_bytes()).await.unwrap();
        half
    };
    let mut half = half_body().await;
    let long = format!("echo:{}", "x".repeat(400));
    let refused = async || {
        let reply = served.public.tell(&long).await;
        // If this call was counted before the half body, the half body was refused and its connection closed.
        if reply.status == 200 && half.try_read(&mut [0; 1]).is_ok() {
            half = half_body().await;
        }
        Some(reply).filter(|reply| reply.status != 200)
    };
    let reply = eventually("half a body is counted", refused).await;
    assert_eq!(reply.headers["retry-after"], "1");
    reply.problem(429, "overloaded");
    drop(half);
    eventually("there is room again", async || (served.public.tell(&long).await.status == 200).then_some(())).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_every_version_of_http() {
    let served = Chain::new(FAULTY).serve_with(&["--idle-timeout", "200ms"]);
    let mut silent = TcpStream::connect(served.public.0).await.unwrap();
    assert_eq!(silent.read(&mut [0; 1]).await.unwrap(), 0);

    let mut one = served.public.http1().await.unwrap();
    let call = json_request("/run_remote", r#"{"what": "echo:x"}"#);
    Reply::read(one.send_request(call).await.unwrap()).await.json();
    let mut two = served.public.http2().await.unwrap();
    let call = json_request(&format!("http://{}/run_remote", served.public.0), r#"{"what": "sleep:500"}"#);
    assert_eq!(Reply::read(two.send_request(call).await.unwrap()).await.said(), "did sleep:500", "a call is not idle");
    eventually("both are closed", async || (one.is_closed() && two.is_closed()).then_some(())).await;
}
