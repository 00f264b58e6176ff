//! If nobody waits for a call any more, every guest in the chain lets go of it.

use std::time::Duration;

use chainhost::chain::CallOptions;
use chainhost::config::{ChainSpec, ChainletSpec};
use chainhost::error::ErrorKind;
use serde::Serialize;
use serde_json::json;

use super::{assert_no_replacement, chain, hang_up, running, tell_within, until_idle};
use crate::harness::{self, Chain, Served, component, eventually};

/// Returns the number of calls of a `caller` that were dropped before they ended.
async fn dropped(served: &Served, chainlet: &str) -> usize {
    served.tell(chainlet, "dropped").await.said().parse().unwrap()
}

#[tokio::test]
async fn a_lock_is_free_again_when_the_client_gives_up_or_hangs_up() {
    let served = chain("", "", "").serve();
    tell_within(&served, "lock:forever", "100ms").await.problem(504, "deadline");
    assert_eq!(served.ask("lock:echo:x").await, "x");
    hang_up(&served, "lock:forever", "first").await;
    assert_eq!(served.ask("lock:echo:x").await, "x");
    until_idle(&served, "first").await;
    // The first call may have got the failure of its dependency before its own end. Then it was not dropped.
    assert!((1..=2).contains(&dropped(&served, "caller").await));
    assert_no_replacement(&served);
}

#[tokio::test]
async fn two_hundred_clients_that_hang_up_cost_no_replica_and_no_memory() {
    let served = chain("", "", "concurrency = 64").serve();
    for _ in 0..40 {
        let calls: Vec<_> = (0..5).map(|_| served.begin("memory:8:forever")).collect();
        eventually("the calls have begun", async || (running(&served, "first").await == 5).then_some(())).await;
        calls.iter().for_each(tokio::task::JoinHandle::abort);
        until_idle(&served, "first").await;
    }
    assert_eq!(dropped(&served, "caller").await, 200);
    served.until_state("caller", "active", json!(0)).await;
    let pages: u64 = served.ask("pages").await.parse().unwrap();
    assert!(pages * 65_536 <= 64 << 20, "the guest holds {pages} pages");
    assert_eq!(served.tell("first", "inits").await.said(), "1");
    assert_no_replacement(&served);
}

#[tokio::test]
async fn a_client_that_leaves_a_call_longer_than_grace_costs_no_replica() {
    for sync in ["", "_sync"] {
        let text = format!(
            r#"
[chain]
name = "test"
entrypoint = "caller"
[chainlets.caller]
component = "<guest_caller{sync}>"
grace = "50ms"
depends = {{ next = "first", other = "first" }}
[chainlets.first]
component = "<guest_faulty>"
grace = "50ms"
"#
        );
        let served = Chain::new(&text).serve();
        for _ in 0..5 {
            // The dependency would take much longer than grace.
            hang_up(&served, "sleep:600000", "first").await;
            until_idle(&served, "first").await;
        }
        assert_eq!(served.ask("echo:x").await, "x");
        assert_no_replacement(&served);
    }
}

#[tokio::test]
async fn a_call_that_a_guests_own_timeout_drops_is_cancelled_in_the_callee() {
    let served = chain("", "", "").serve();
    assert_eq!(served.ask("within:50:forever").await, "too late");
    until_idle(&served, "first").await;
    assert_eq!(dropped(&served, "caller").await, 0, "the caller's own call went on");
    assert_no_replacement(&served);
}

#[tokio::test]
async fn a_hang_up_ends_every_call_down_to_the_end_of_the_chain() {
    for (outer, inner) in [("", ""), ("_sync", ""), ("", "_sync")] {
        let text = format!(
            r#"
[chain]
name = "test"
entrypoint = "outer"
[chainlets.outer]
component = "<guest_caller{outer}>"
grace = "10m"
depends = {{ next = "inner", other = "leaf" }}
[chainlets.inner]
component = "<guest_caller{inner}>"
grace = "10m"
depends = {{ next = "leaf", other = "leaf" }}
[chainlets.leaf]
component = "<guest_faulty>"
grace = "10m"
"#
        );
        let served = Chain::new(&text).serve();
        hang_up(&served, "forever", "leaf").await;
        for chainlet in ["outer", "inner"] {
            served.until_state(chainlet, "active", json!(0)).await;
        }
        until_idle(&served, "leaf").await;
        for (chainlet, sync) in [("outer", outer), ("inner", inner)] {
            if sync.is_empty() {
                assert_eq!(dropped(&served, chainlet).await, 1, "{chainlet}");
            }
        }
        assert_no_replacement(&served);
    }
}

#[tokio::test]
async fn a_place_is_free_for_the_next_call_when_the_guest_has_let_go() {
    let served = chain("", "", "concurrency = 1\nqueue = 8").serve();
    for _ in 0..20 {
        hang_up_on_the_only_place(&served).await;
        assert_eq!(served.ask("echo:x").await, "x");
    }
    assert_no_replacement(&served);
}

/// Does the same as [`hang_up`], but does not ask how many calls the callee runs, because the callee has no place for
/// that.
async fn hang_up_on_the_only_place(served: &Served) {
    let call = served.begin("forever");
    served.until_state("first", "active", json!(1)).await;
    call.abort();
}

#[derive(Serialize)]
struct Order {
    what: &'static str,
}

#[tokio::test]
async fn a_call_that_is_dropped_in_the_library_is_let_go_by_all_guests() {
    for sync in ["", "_sync"] {
        let grace = Duration::from_secs(600);
        let caller = ChainletSpec::builder(component(&format!("guest_caller{sync}")))
            .grace(grace)
            .depends("next", "first")
            .depends("other", "first");
        let spec = ChainSpec::builder("test")
            .entrypoint("caller")
            .chainlet("caller", caller)
            .chainlet("first", ChainletSpec::builder(component("guest_faulty")).grace(grace))
            .build()
            .unwrap();
        let host =
            chainhost::host::Host::builder().code_cache(harness::kept("cache").join("chainhost/code")).build().unwrap();
        let chain = host.load(&spec).await.unwrap();
        let tell = async |what| chain.call::<String>(&Order { what }, CallOptions::default()).await;
        for _ in 0..3 {
            let held = tokio::spawn({
                let chain = chain.clone();
                async move { chain.call::<String>(&Order { what: "hold" }, CallOptions::default()).await }
            });
            let active = |name: &str| chain.status().find(|(chainlet, _)| chainlet.as_str() == name).unwrap().1.active;
            eventually("the call is in the callee", async || (active("first") == 1).then_some(())).await;
            held.abort();
            eventually("both have let go", async || (active("first") + active("caller") == 0).then_some(())).await;
        }
        let mut options = CallOptions::default();
        options.timeout = Some(Duration::from_millis(50));
        let error = chain.call::<String>(&Order { what: "hold" }, options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Deadline);
        assert_eq!(tell("echo:x").await.unwrap(), "x");
        if sync.is_empty() {
            assert_eq!(tell("fallback:echo:x").await.unwrap(), "x");
        }
    }
}

#[tokio::test]
async fn a_stream_whose_first_or_later_item_is_late_ends_with_a_deadline() {
    let served = Chain::new(
        r#"
[chain]
name = "relayed"
[chainlets.relay]
component = "<guest_stream_relay>"
depends.next = { chainlet = "source", first_item_timeout = "100ms", item_timeout = "150ms" }
[chainlets.source]
component = "<guest_stream_source>"
"#,
    )
    .serve();
    for count in [0, 3] {
        let plan = json!({ "plan": "silent", "count": count });
        let mut answer = served.public.stream("application/x-ndjson", &plan).await;
        let mut lines = answer.lines().await;
        let problem = lines.pop().unwrap()["$error"].take();
        assert_eq!(lines.len(), count);
        assert_eq!(problem["type"], "urn:chainhost:problem:deadline", "{problem}");
        assert_eq!(problem["chainlet"], "source", "{problem}");
    }
    served.until_state("source", "active", json!(0)).await;
    assert_no_replacement(&served);
}
