//! Failures of dependencies are values in their callers, and guests let go of calls whose answers nobody wants.
//!
//! `grace` is long in nearly all of these tests, so that the replacement of a replica cannot set anything right.

mod cancelled;
mod declared;
mod stalled;
mod values;

use serde_json::json;

use crate::harness::{Chain, Reply, Served, eventually, json_request};

/// Returns a chain where a `caller` calls two `faulty`. The first of them has the `keys`, and the edge to it has the
/// members `edge`.
fn chain(sync: &str, edge: &str, keys: &str) -> Chain {
    Chain::new(&format!(
        r#"
[chain]
name = "test"
entrypoint = "caller"

[chainlets.caller]
component = "<guest_caller{sync}>"
grace = "10m"
resources = {{ memory = "64MiB" }}
depends.next = {{ chainlet = "first", {edge} }}
depends.other = {{ chainlet = "second" }}

[chainlets.first]
component = "<guest_faulty>"
grace = "10m"
{keys}

[chainlets.second]
component = "<guest_faulty>"
"#
    ))
}

/// Calls the entrypoint with the parameter `what` and a deadline after `timeout`.
async fn tell_within(served: &Served, what: &str, timeout: &str) -> Reply {
    let mut request = json_request("/run_remote", json!({ "what": what }).to_string());
    request.headers_mut().insert("x-request-timeout", timeout.parse().unwrap());
    served.public.send(request).await
}

/// Begins a call of the entrypoint, waits until `chainlet` works on it and on nothing else, and hangs up.
async fn hang_up(served: &Served, what: &str, chainlet: &str) {
    let mut request = json_request("/run_remote", json!({ "what": what }).to_string());
    request.headers_mut().insert("host", served.public.0.to_string().parse().unwrap());
    until_idle(served, chainlet).await;
    let mut sender = served.public.http1().await.unwrap();
    let answer = tokio::spawn(async move { sender.send_request(request).await.map(drop) });
    eventually("the call has begun", async || (running(served, chainlet).await > 0).then_some(())).await;
    answer.abort();
}

/// Returns the number of calls that the guest of a `faulty` runs, except the one that asks.
async fn running(served: &Served, chainlet: &str) -> usize {
    served.tell(chainlet, "running").await.said().parse::<usize>().unwrap() - 1
}

/// Waits until no call is in flight in `chainlet`, neither for the host nor for the guest.
async fn until_idle(served: &Served, chainlet: &str) {
    served.until_state(chainlet, "active", json!(0)).await;
    eventually("the guest has let go", async || (running(served, chainlet).await == 0).then_some(())).await;
}

/// Asserts that no replica was replaced so far.
#[track_caller]
fn assert_no_replacement(served: &Served) {
    let log = served.log();
    assert!(!log.contains("starting another"), "{log}");
}
