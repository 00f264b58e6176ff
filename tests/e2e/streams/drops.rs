//! Readers and writers that leave, at any moment.

use serde_json::json;

use super::{EVENTS, LINES, RELAYED};
use crate::harness::{Chain, eventually};

#[tokio::test]
async fn a_client_that_leaves_ends_the_producer() {
    let served = Chain::new(RELAYED).serve();
    for (count, accept) in [LINES, EVENTS].into_iter().enumerate() {
        let mut answer = served.public.stream(accept, &json!({ "plan": "endless", "count": 0 })).await;
        for _ in 0..10 {
            answer.piece().await.unwrap();
        }
        drop(answer);
        for chainlet in ["outer", "inner", "source"] {
            served.until_state(chainlet, "active", json!(0)).await;
        }
        // The source learnt that its reader had left, and ended by itself.
        let left = served.public.stream(LINES, &json!({ "plan": "left", "count": 0 })).await.lines().await;
        assert_eq!(left[0], json!((count + 1).to_string()));
    }
}

/// The random numbers come from a fixed seed, so that a failure can be repeated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_leave_at_random_leave_nothing_behind() {
    const READERS: usize = 200;
    // Guests that wait for a silent source do not see their readers leave.
    let served = Chain::new(&RELAYED.replace("component", "grace = \"300ms\"\ncomponent")).serve();
    let mut random = fastrand::Rng::with_seed(20_261_125);
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let plan = *random.choice(&["endless", "", "silent", "at-once", "hand:endless", "hand:hand:endless"]).unwrap();
        let (count, pieces) = (random.u32(0..200), random.usize(0..40));
        let accept = *random.choice(&[LINES, EVENTS]).unwrap();
        let public = served.public;
        readers.push(tokio::spawn(async move {
            let mut answer = public.stream(accept, &json!({ "plan": plan, "count": count.max(1) })).await;
            assert_eq!(answer.status, 200);
            // A stream that is not endless may have only one piece, and would end before its reader leaves.
            for _ in 0..pieces.min(if plan.ends_with("endless") { 40 } else { 1 }) {
                if answer.piece().await.is_err() {
                    break;
                }
            }
        }));
        if readers.len() == 16 {
            for reader in readers.drain(..) {
                reader.await.unwrap();
            }
        }
    }
    for reader in readers {
        reader.await.unwrap();
    }
    for chainlet in ["outer", "inner", "source"] {
        served.until_state(chainlet, "active", json!(0)).await;
    }
    eventually("no request is in flight", async || {
        let metrics = served.admin.get("/metrics").await.text();
        // The request for the metrics is in flight itself.
        metrics.contains("chainhost_http_requests_in_flight 1\n").then_some(())
    })
    .await;
    let tokens = served.public.stream(LINES, &json!({ "plan": "", "count": 2 })).await.lines().await;
    assert_eq!(tokens[..2], ["TOKEN 0", "TOKEN 1"]);
}

#[tokio::test]
async fn a_guest_that_misses_the_end_of_its_reader_is_replaced_after_grace() {
    let served = Chain::new(
        r#"
[chain]
name = "silent"

[chainlets.source]
component = "<guest_stream_source>"
concurrency = 1
grace = "200ms"
"#,
    )
    .serve();
    let mut answer = served.public.stream(LINES, &json!({ "plan": "silent", "count": 1 })).await;
    answer.piece().await.unwrap();
    drop(answer);
    // The silent guest holds the only place of its replica, so the host replaces the replica.
    let tokens = served.public.stream(LINES, &json!({ "plan": "", "count": 1 })).await.lines().await;
    assert_eq!(tokens[0], "token 0");
}

/// A source behind two relays, each with a grace of a minute. A place that a guest does not let go of stays taken for
/// that time, and then its replica is replaced.
const PATIENT: &str = r#"
[chain]
name = "handed-on"
entrypoint = "outer"

[chainlets.outer]
component = "<guest_stream_relay>"
concurrency = 2
grace = "60s"
depends.next = { chainlet = "inner", concurrency = 1 }

[chainlets.inner]
component = "<guest_stream_relay>"
concurrency = 2
grace = "60s"
depends.next = { chainlet = "source", concurrency = 1 }

[chainlets.source]
component = "<guest_stream_source>"
concurrency = 2
grace = "60s"
"#;

#[tokio::test]
async fn a_handed_on_stream_frees_every_place_when_its_reader_leaves() {
    let served = Chain::new(PATIENT).serve();
    for _ in 0..3 {
        let plan = json!({ "plan": "hand:hand:silent", "count": 1 });
        let mut answer = served.public.stream(LINES, &plan).await;
        assert_eq!(answer.line().await.unwrap(), "token 0");
        drop(answer);
        for chainlet in ["outer", "inner", "source"] {
            served.until_state(chainlet, "active", json!(0)).await;
        }
    }
    let plan = json!({ "plan": "hand:hand:", "count": 1 });
    assert_eq!(served.public.stream(LINES, &plan).await.lines().await[0], "token 0");
    assert!(!served.log().contains("replica"), "no replica was replaced: {}", served.log());
}

#[tokio::test]
async fn a_handed_on_stream_frees_every_place_when_it_breaks_off() {
    let served = Chain::new(PATIENT).serve();
    for _ in 0..3 {
        let plan = json!({ "plan": "hand:hand:trap", "count": 1 });
        let lines = served.public.stream(LINES, &plan).await.lines().await;
        let error = &lines.last().unwrap()["$error"];
        assert_eq!((&error["chainlet"], &error["status"]), (&json!("source"), &json!(500)), "{lines:?}");
        for chainlet in ["outer", "inner"] {
            served.until_state(chainlet, "active", json!(0)).await;
        }
    }
    assert!(!served.log().contains("chainlet=outer replica"), "only the source is replaced: {}", served.log());
}
