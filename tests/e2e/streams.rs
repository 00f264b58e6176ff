//! Streams through a chain, called through the library: as JSON they are arrays.

use chainhost::chain::{CallOptions, Chain};
use chainhost::config::{ChainSpec, ChainletSpec};
use chainhost::error::ErrorKind;
use chainhost::host::Host;
use serde_json::{Value as Json, json};

use crate::harness::{component, kept};

fn host() -> Host {
    Host::builder().code_cache(kept("cache").join("chainhost/code")).build().unwrap()
}

/// A source behind two relays.
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
async fn a_stream_may_be_handed_on_unread() {
    let chain = relayed().await;
    let said = call(&chain, json!({ "plan": "hand:hand:at-once", "count": 1000 })).await.unwrap();
    assert_eq!(said, tokens("token", 1000));
    let said = call(&chain, json!({ "plan": "hand:", "count": 10 })).await.unwrap();
    assert_eq!(said, tokens("TOKEN", 10));
}

#[tokio::test]
async fn a_trap_in_mid_stream_is_the_failure_of_the_call_and_not_its_end() {
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
async fn a_stream_with_a_word_at_its_end_keeps_it() {
    let report = one("guest_stream_report").await;
    let rows = json!([{ "number": 0, "square": 0.0, "name": "row 0" }, { "number": 1, "square": 1.0, "name": null }]);
    let said = call(&report, json!({ "count": 2 })).await.unwrap();
    assert_eq!(said, json!([rows, { "ok": 2 }]));
    let said = call(&report, json!({ "count": 2, "fail": "out of ink" })).await.unwrap();
    assert_eq!(said, json!([rows, { "err": "out of ink" }]));
    assert_eq!(call(&report, json!({ "count": 0 })).await.unwrap_err().kind(), ErrorKind::Chainlet);
}
