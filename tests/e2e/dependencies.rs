//! The policies of an edge: timeout, attempts and concurrency.

use serde_json::json;

use crate::harness::{Chain, RELAY};

/// Returns a relay. Its edge to `first` has the keys `policy`, and the chainlet `first` has the keys `first`.
fn chain(policy: &str, first: &str) -> Chain {
    let text = RELAY.replace("{ chainlet = \"first\" }", &format!("{{ chainlet = \"first\", {policy} }}"));
    Chain::new(&text.replacen("\n[chainlets.second]", &format!("{first}\n\n[chainlets.second]"), 1))
}

#[tokio::test]
async fn a_call_through_an_edge_that_takes_too_long_is_a_504_with_its_path() {
    let served = chain("timeout = \"100ms\"", "").serve();
    let problem = served.public.tell("hold").await.problem(504, "deadline");
    assert_eq!(problem["chainlet"], "first");
    assert_eq!(problem["path"], json!([{ "from": "relay", "dependency": "next", "to": "first" }]));
    assert_eq!(served.ask("echo:still here").await, "still here");
    let held = served.begin("other:hold");
    served.until_state("second", "active", json!(1)).await;
    assert_eq!(served.ask("other:release").await, "1");
    assert_eq!(held.await.unwrap().said(), "did hold", "the other edge has no timeout");
}

#[tokio::test]
async fn an_overloaded_dependency_is_a_429_unless_more_attempts_succeed() {
    let served = chain("attempts = 1", "concurrency = 1\nqueue = 0\n").serve();
    let held = served.begin("hold");
    served.until_state("first", "active", json!(1)).await;
    let reply = served.public.tell("echo:x").await;
    assert!(reply.headers.contains_key("retry-after"));
    let problem = reply.problem(429, "overloaded");
    assert_eq!(problem["path"][0]["to"], "first");
    held.abort();

    let served = chain("attempts = 1000", "concurrency = 1\nqueue = 0\n").serve();
    let busy = served.begin("sleep:300");
    served.until_state("first", "active", json!(1)).await;
    assert_eq!(served.ask("echo:in the end").await, "in the end");
    assert_eq!(busy.await.unwrap().said(), "did sleep:300");
}

#[tokio::test]
async fn an_edge_limits_the_number_of_its_concurrent_calls() {
    let served = chain("concurrency = 2", "").serve();
    let calls = (0..12).map(|_| served.public.tell("sleep:5"));
    for reply in futures::future::join_all(calls).await {
        assert_eq!(reply.said(), "did sleep:5");
    }
    assert_eq!(served.tell("first", "peak").await.said(), "2");
}
