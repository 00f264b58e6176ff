//! The limits and the repetition of calls between chainlets.

use serde_json::json;

use crate::harness::{Chain, RELAY, eventually};

/// Returns a relay whose edge to `first` has the additional `settings`.
fn relay(settings: &str) -> Chain {
    Chain::new(&RELAY.replace(r#"{ chainlet = "first" }"#, &format!(r#"{{ chainlet = "first", {settings} }}"#)))
}

#[tokio::test]
async fn after_failures_in_a_row_the_breaker_refuses_calls_of_its_edge_only() {
    let served = relay(r#"breaker = { failures = 2, pause = "1h" }"#).serve();
    for _ in 0..2 {
        served.public.tell("trap").await.problem(500, "trap");
    }
    let reply = served.public.tell("echo:x").await;
    let seconds: u64 = reply.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1800..=3600).contains(&seconds), "expected the rest of the pause, found {seconds} s");
    let problem = served.tell("relay", "echo:x").await.problem(503, "not-ready");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("the edge's breaker refuses calls, for another 3"), "{detail}");
    assert!(detail.ends_with("chainlets.relay.depends.next.breaker.pause in chain.toml is 1h"), "{detail}");
    assert_eq!(problem["chainlet"], "first");
    assert_eq!(served.ask("other:echo:x").await, "x", "the breaker does not affect the other edge");
    assert_eq!(served.tell("first", "echo:x").await.said(), "x", "nor calls outside its edge");
    served.until_log("the breaker of an edge opens").await;
}

#[tokio::test]
async fn the_error_of_a_call_that_an_edge_ends_names_the_key_of_that_edge() {
    let served = relay(r#"timeout = "150ms""#).serve();
    let problem = served.public.tell("hold").await.problem(504, "deadline");
    let detail = "no answer before the deadline: chainlets.relay.depends.next.timeout in chain.toml is 150ms";
    assert_eq!((&problem["detail"], &problem["chainlet"]), (&json!(detail), &json!("first")));
}

#[tokio::test]
async fn a_deadline_deep_in_the_chain_names_the_limit_of_the_request() {
    let served = Chain::new(RELAY).serve_with(&["--timeout", "300ms"]);
    let problem = served.public.tell("hold").await.problem(504, "deadline");
    assert_eq!(problem["chainlet"], "first", "the relay has not run out of time earlier");
    assert_eq!(problem["detail"], "no answer before the deadline: the server's --timeout is 300ms");
}

#[tokio::test]
async fn a_breaker_closes_by_itself_when_the_chainlet_is_healthy_again() {
    let served = relay(r#"breaker = { failures = 2, pause = "200ms" }"#).serve();
    for _ in 0..2 {
        served.public.tell("trap").await.problem(500, "trap");
    }
    served.public.tell("echo:x").await.problem(503, "not-ready");
    eventually("a call goes through", async || (served.public.tell("echo:x").await.status == 200).then_some(())).await;
    served.until_log("the breaker of an edge closes").await;
}

#[tokio::test]
async fn a_typed_error_opens_no_breaker_and_is_not_repeated() {
    let served = relay("attempts = 3, idempotent = true, breaker = { failures = 1 }").serve();
    for _ in 0..3 {
        served.public.tell("err:no").await.problem(422, "chainlet-error");
    }
    assert_eq!(served.ask("calls").await, "4");
}

#[tokio::test]
async fn a_call_that_trapped_is_repeated_only_through_an_idempotent_edge() {
    let folder = tempfile::tempdir().unwrap();
    let files =
        format!("assets.files = [{{ source = '{}', path = \"/data\", writable = true }}]", folder.path().display());
    let first = "[chainlets.first]\ncomponent = \"<guest_faulty>\"\n";
    for (edge, mark) in [("attempts = 2", "plain"), ("attempts = 2, idempotent = true", "idempotent")] {
        let text = RELAY
            .replace(r#"{ chainlet = "first" }"#, &format!(r#"{{ chainlet = "first", {edge} }}"#))
            .replace(first, &format!("{first}{files}\n"));
        let served = Chain::new(&text).serve();
        let reply = served.public.tell(&format!("trap-once:/data/{mark}")).await;
        match mark {
            "plain" => drop(reply.problem(500, "trap")),
            _ => assert_eq!(reply.said(), "did trap-once:/data/idempotent"),
        }
    }
}

#[tokio::test]
async fn a_chain_stops_working_for_a_client_that_has_left() {
    let chain = Chain::new(
        r#"
[chain]
name = "c"
[chainlets.outer]
component = "<guest_relay>"
depends = { next = "inner", other = "leaf" }
[chainlets.inner]
component = "<guest_relay>"
depends = { next = "leaf", other = "leaf" }
[chainlets.leaf]
component = "<guest_faulty>"
"#,
    );
    let served = chain.serve();
    let held = served.hold("hold", 1, "leaf").await;
    for call in held {
        call.abort();
    }
    // The leaf holds its call forever, and the relays wait for it. So their calls end only because the client has left.
    for relay in ["outer", "inner"] {
        served.until_state(relay, "active", json!(0)).await;
    }
    assert!(!served.log().contains("calls that do not end"), "{}", served.log());
    assert_eq!(served.ask("echo:x").await, "x");
}
