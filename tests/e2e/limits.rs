//! Deadlines, queues and what is refused when there is too much to do.

use http::Request;
use serde_json::json;

use crate::harness::{Chain, FAULTY, Reply, Served, json_request};

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
    }
    assert_eq!(served.ask("release").await.parse::<usize>().unwrap(), 3);
    for call in held {
        assert_eq!(call.await.unwrap().said(), "did hold");
    }
}

#[tokio::test]
async fn no_request_takes_longer_than_the_server_allows() {
    let served = Chain::new(FAULTY).serve_with(&["--timeout", "100ms"]);
    served.public.tell("hold").await.problem(504, "deadline");
    tell_within(&served, "hold", "1h").await.problem(504, "deadline");
    assert_eq!(served.ask("echo:x").await, "x");
}

#[tokio::test]
async fn a_replica_whose_call_never_ends_is_replaced() {
    let served = Chain::new(&format!("{FAULTY}concurrency = 1\ngrace = \"300ms\"\n")).serve();
    assert_eq!(served.ask("calls").await, "1");
    tell_within(&served, "spin", "100ms").await.problem(504, "deadline");
    // It waits for the new replica, as the old one's only slot is taken for good.
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
    assert!(!held.is_finished() && !waiting.is_finished());
    waiting.abort();
    served.until_state("faulty", "waiting", json!(0)).await;
    held.abort();
}

#[tokio::test]
async fn calls_that_wait_are_served_when_it_is_their_turn() {
    let served = Chain::new(&format!("{FAULTY}concurrency = 1\nqueue = 50\n")).serve();
    let calls = (0..50).map(|number| {
        let what = format!("echo:{number}");
        async { served.public.tell(&{ what }).await.said() }
    });
    let answers = futures::future::join_all(calls).await;
    assert!(answers.iter().enumerate().all(|(number, answer)| *answer == number.to_string()));
    assert_eq!(served.ask("peak").await, "1");
}
