//! A guest that does not return to its event loop while a call of it is over.

use std::time::Duration;

use chainhost::chain::CallOptions;
use chainhost::config::{ChainSpec, ChainletSpec};
use chainhost::error::ErrorKind;
use serde::Serialize;
use serde_json::json;

use super::tell_within;
use crate::harness::{self, Chain, component};

#[tokio::test]
async fn a_guest_that_spins_past_its_deadline_is_replaced_after_stall() {
    for sync in ["", "_sync"] {
        let served = Chain::new(&format!(
            "[chain]\nname = \"test\"\n[chainlets.faulty]\ncomponent = \"<guest_faulty{sync}>\"\ngrace = \"10m\"\n"
        ))
        .serve();
        tell_within(&served, "spin", "100ms").await.problem(504, "deadline");
        // Without a new replica, this call would wait for as long as the server lets any call wait.
        assert_eq!(served.ask("calls").await, "1", "another instance has taken over");
        served.until_log("does not return to its event loop").await;
        served.until_state("faulty", "active", json!(0)).await;
    }
}

#[tokio::test]
async fn a_guest_that_spins_after_its_client_hung_up_is_replaced_as_well() {
    let served =
        Chain::new("[chain]\nname = \"test\"\n[chainlets.faulty]\ncomponent = \"<guest_faulty>\"\ngrace = \"10m\"\n")
            .serve();
    let spinning = served.begin("spin");
    served.until_state("faulty", "active", json!(1)).await;
    spinning.abort();
    assert_eq!(served.ask("calls").await, "1");
}

#[derive(Serialize)]
struct Order {
    what: &'static str,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spin_among_ten_thousand_calls_loses_only_those_in_its_instance() {
    const CALLS: u32 = 10_000;
    const CONCURRENCY: u32 = 16;
    let faulty = ChainletSpec::builder(component("guest_faulty"))
        .grace(Duration::from_secs(600))
        .concurrency(CONCURRENCY)
        .queue(CALLS + 1);
    let host =
        chainhost::host::Host::builder().code_cache(harness::kept("cache").join("chainhost/code")).build().unwrap();
    let chain = host.load(&ChainSpec::builder("test").chainlet("faulty", faulty).build().unwrap()).await.unwrap();
    let call = |number: u32| {
        let chain = chain.clone();
        tokio::spawn(async move {
            if number == CALLS / 2 {
                let mut options = CallOptions::default();
                options.timeout = Some(Duration::from_millis(200));
                return chain.call::<String>(&Order { what: "spin" }, options).await;
            }
            chain.call::<String>(&Order { what: "sleep:1" }, CallOptions::default()).await
        })
    };
    let calls: Vec<_> = (0..=CALLS).map(call).collect();
    let mut lost = 0;
    for (number, call) in (0..).zip(calls) {
        match call.await.unwrap() {
            Ok(answer) => assert_eq!(answer, "did sleep:1"),
            Err(error) if number == CALLS / 2 => assert_eq!(error.kind(), ErrorKind::Deadline),
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::Trap | ErrorKind::Stopping), "{error}");
                lost += 1;
            }
        }
    }
    assert!(lost < CONCURRENCY, "{lost} calls were lost");
}
