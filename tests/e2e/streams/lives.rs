//! Streams during a reload of the chain, and during its end.

use rustix::process::Signal;
use serde_json::json;

use super::{BYTES, LINES, RELAYED, one};
use crate::harness::{Chain, End};

#[tokio::test]
async fn a_stream_stays_with_its_version_across_a_reload() {
    let chain = Chain::new(&one("guest_stream_echo"));
    let served = chain.serve();
    let (mut upload, answer) = served.public.upload(BYTES).await;
    let (mut answer, sent) = tokio::join!(answer, upload.send("before"));
    assert!(sent);
    assert_eq!(answer.piece().await.unwrap(), "before");

    chain.write("chain.toml", Chain::filled(RELAYED));
    let reloaded = served.admin.post("/reload", &json!({})).await;
    assert_eq!(reloaded.status, 200, "{}", reloaded.text());
    let tokens = served.public.stream(LINES, &json!({ "plan": "", "count": 1 })).await.lines().await;
    assert_eq!(tokens[0], "TOKEN 0");

    assert!(upload.send("after").await);
    assert_eq!(answer.piece().await.unwrap(), "after");
    drop(upload);
    assert_eq!(answer.piece().await, Err(End::Whole));
}

#[tokio::test]
async fn a_stream_is_served_to_its_end_when_the_server_stops() {
    let served = Chain::new(&one("guest_stream_echo")).serve();
    let (mut upload, answer) = served.public.upload(BYTES).await;
    let (mut answer, sent) = tokio::join!(answer, upload.send("before"));
    assert!(sent);
    assert_eq!(answer.piece().await.unwrap(), "before");
    served.signal(Signal::TERM);
    served.until_log("stopping").await;
    assert!(upload.send("after").await);
    assert_eq!(answer.piece().await.unwrap(), "after");
    drop(upload);
    assert_eq!(answer.piece().await, Err(End::Whole));
    assert_eq!(served.finish().await.code, Some(0));
}

#[tokio::test]
async fn an_endless_stream_gets_an_error_when_the_drain_time_is_over() {
    let served = Chain::new(RELAYED).serve_with(&["--drain", "300ms"]);
    let mut answer = served.public.stream(LINES, &json!({ "plan": "silent", "count": 1 })).await;
    assert_eq!(answer.line().await, Ok(json!("TOKEN 0")));
    served.signal(Signal::TERM);
    let problem = answer.line().await.unwrap()["$error"].take();
    assert_eq!(problem["type"], "urn:chainhost:problem:stopping", "{problem}");
    assert_eq!(answer.line().await, Err(End::Whole));
    served.finish().await;
}
