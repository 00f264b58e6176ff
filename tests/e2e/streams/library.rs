//! Streams through the library. In JSON, a stream is an array.

use chainhost::chain::{CallOptions, Chain};
use chainhost::config::{ByteSize, ChainSpec, ChainletSpec, Resources};
use chainhost::error::ErrorKind;
use chainhost::host::Host;
use futures::StreamExt;
use serde_json::{Value as Json, json};

use crate::harness::{component, kept};

fn host() -> Host {
    Host::builder().code_cache(kept("cache").join("chainhost/code")).build().unwrap()
}

/// Loads a chain of a source behind two relays.
async fn relayed() -> Chain {
    let spec = ChainSpec::builder("relayed")
        .chainlet("outer", ChainletSpec::builder(component("guest_stream_relay")).depends("next", "inner"))
        .chainlet("inner", ChainletSpec::builder(component("guest_stream_relay")).depends("next", "source"))
        .chainlet("source", ChainletSpec::builder(component("guest_stream_source")));
    host().load(&spec.build().unwrap()).await.unwrap()
}

async fn one(name: &str) -> Chain {
    let spec = ChainSpec::builder("one").chainlet("only", ChainletSpec::builder(component(name))).build().unwrap();
    host().load(&spec).await.unwrap()
}

fn tokens(token: &str, count: u32) -> Json {
    (0..count).map(|number| format!("{token} {number}")).collect()
}

async fn call(chain: &Chain, args: Json) -> Result<Json, chainhost::error::CallError> {
    chain.call(&args, CallOptions::default()).await
}

#[tokio::test]
async fn a_stream_goes_through_two_edges() {
    let chain = relayed().await;
    let said = call(&chain, json!({ "plan": "", "count": 100 })).await.unwrap();
    assert_eq!(said, tokens("TOKEN", 100));
    let said = call(&chain, json!({ "plan": "at-once", "count": 1000 })).await.unwrap();
    assert_eq!(said, tokens("TOKEN", 1000));
    assert_eq!(call(&chain, json!({ "plan": "", "count": 0 })).await.unwrap(), json!([]));
}

#[tokio::test]
async fn a_guest_may_pass_a_stream_on_unread() {
    let chain = relayed().await;
    let said = call(&chain, json!({ "plan": "hand:hand:at-once", "count": 1000 })).await.unwrap();
    assert_eq!(said, tokens("token", 1000));
    let said = call(&chain, json!({ "plan": "hand:", "count": 10 })).await.unwrap();
    assert_eq!(said, tokens("TOKEN", 10));
}

#[tokio::test]
async fn a_trap_in_mid_stream_fails_the_call_instead_of_ending_it() {
    let chain = relayed().await;
    for plan in ["trap", "hand:hand:trap"] {
        let error = call(&chain, json!({ "plan": plan, "count": 3 })).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Trap, "{plan}: {error}");
        assert_eq!(error.chainlet().as_str(), "source", "{plan}: {error}");
        assert!(error.to_string().contains("the source ran dry"), "{plan}: {error}");
        assert_eq!(error.path().len(), 2, "{plan}: {error}");
    }
    assert_eq!(call(&chain, json!({ "plan": "", "count": 2 })).await.unwrap(), tokens("TOKEN", 2));
}

#[tokio::test]
async fn streams_and_futures_are_parameters_too() {
    let sum = one("guest_stream_sum").await;
    let points = json!([{ "id": 1, "score": 0.5 }, { "id": 2, "score": 1.5 }]);
    let total = call(&sum, json!({ "points": points, "scale": 2.0 })).await.unwrap();
    assert_eq!(total, json!({ "count": 2, "score": 4.0 }));
    let unlucky = json!([{ "id": 13, "score": 0.5 }, { "id": 2, "score": 1.5 }]);
    let error = call(&sum, json!({ "points": unlucky, "scale": 2.0 })).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Chainlet);
    let echo = one("guest_stream_echo").await;
    assert_eq!(call(&echo, json!({ "data": "AAEC" })).await.unwrap(), json!("AAEC"));
}

#[tokio::test]
async fn a_result_at_the_end_of_a_stream_is_kept() {
    let report = one("guest_stream_report").await;
    let rows = json!([{ "number": 0, "square": 0.0, "name": "row 0" }, { "number": 1, "square": 1.0, "name": null }]);
    let said = call(&report, json!({ "count": 2 })).await.unwrap();
    assert_eq!(said, json!([rows, { "ok": 2 }]));
    let said = call(&report, json!({ "count": 2, "fail": "out of ink" })).await.unwrap();
    assert_eq!(said, json!([rows, { "err": "out of ink" }]));
    assert_eq!(call(&report, json!({ "count": 0 })).await.unwrap_err().kind(), ErrorKind::Chainlet);
}

#[tokio::test]
async fn items_come_as_rust_values_while_they_are_made_and_the_end_after_them() {
    let chain = relayed().await;
    let args = json!({ "plan": "silent", "count": 2 });
    let mut tokens = chain.stream::<String>(&args, CallOptions::default()).await.unwrap();
    assert_eq!(tokens.next().await.unwrap().unwrap(), "TOKEN 0");
    assert_eq!(tokens.next().await.unwrap().unwrap(), "TOKEN 1");
    drop(tokens);

    let report = one("guest_stream_report").await;
    let mut rows = report.stream::<Json>(&json!({ "count": 2 }), CallOptions::default()).await.unwrap();
    let mut numbers = Vec::new();
    while let Some(row) = rows.next().await {
        numbers.push(row.unwrap()["number"].as_u64().unwrap());
    }
    assert_eq!((numbers, rows.end::<u32>().await.unwrap()), (vec![0, 1], 2));

    let args = json!({ "count": 1, "fail": "out of ink" });
    let mut rows = report.stream::<Json>(&args, CallOptions::default()).await.unwrap();
    while let Some(row) = rows.next().await {
        row.unwrap();
    }
    assert_eq!(rows.end::<u32>().await.unwrap_err().kind(), ErrorKind::Chainlet);

    let sum = one("guest_stream_sum").await;
    let args = json!({ "points": [], "scale": 1 });
    assert!(sum.stream::<Json>(&args, CallOptions::default()).await.is_err(), "its answer is no stream");
}

#[tokio::test]
async fn a_stream_beyond_the_value_limit_is_not_collected() {
    let spec = ChainSpec::builder("endless")
        .chainlet("source", ChainletSpec::builder(component("guest_stream_source")).resources(small()))
        .build()
        .unwrap();
    let chain = host().load(&spec).await.unwrap();
    let error = call(&chain, json!({ "plan": "endless", "count": 0 })).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AnswerTooLarge, "{error}");
    assert!(error.to_string().contains("more than 65536 bytes, the resources.value_limit"), "{error}");
}

fn small() -> Resources {
    let mut resources = Resources::default();
    resources.value_limit = ByteSize::kib(64);
    resources
}

#[tokio::test]
async fn a_slow_reader_slows_the_producer() {
    let chain = one("guest_stream_source").await;
    let args = json!({ "plan": "endless", "count": 0 });
    let mut tokens = chain.stream::<String>(&args, CallOptions::default()).await.unwrap();
    for read in 1..=3 {
        tokens.next().await.unwrap().unwrap();
        // Each call gives the source time to run.
        for _ in 0..20 {
            let sent = call(&chain, json!({ "plan": "sent", "count": 0 })).await.unwrap();
            let sent: u32 = sent[0].as_str().unwrap().parse().unwrap();
            assert!(sent >= read && sent <= read + 4, "{read} tokens were read, and {sent} taken");
        }
    }
}
