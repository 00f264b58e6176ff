//! Compute on a GPU, which is one in software where there is no other.

mod burn;
mod embeddings;
mod hostile;
mod resources;
mod rules;
mod sdk;
mod wgpu;

use serde_json::json;

use crate::harness::{Chain, Served, eventually};

/// Where GPU work can run.
const ISOLATIONS: [&str; 2] = ["in-process", "process"];

/// A chain of one chainlet with a GPU.
fn chain(guest: &str) -> Chain {
    Chain::new(&format!(
        r#"
[chain]
name = "test"

[chainlets.gpu]
component = "<{guest}>"
[chainlets.gpu.resources]
gpu = {{ adapter = "cpu", memory = "64MiB" }}
"#
    ))
}

/// Plays scenarios of a guest one after the other, in one instance, and asserts that all end well.
async fn play(guest: &str, scenarios: &[&str]) {
    played(&chain(guest).serve(), scenarios).await;
}

async fn played(served: &Served, scenarios: &[&str]) {
    let mut failed = Vec::new();
    for scenario in scenarios {
        let answer = said(served, scenario).await;
        if answer != json!("ok") {
            failed.push(format!("{scenario}: {answer}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// What a guest answers to a scenario, or the whole problem.
async fn said(served: &Served, scenario: &str) -> serde_json::Value {
    let reply = served.public.call(&json!({ "scenario": scenario })).await;
    serde_json::from_slice(&reply.body).unwrap()
}

/// Waits until the metrics say that the chainlet `gpu` holds so many bytes of GPU memory.
async fn until_memory(served: &Served, bytes: u64) {
    let line = format!("chainhost_chainlet_gpu_memory_bytes{{chainlet=\"gpu\"}} {bytes}");
    eventually(&line, async || {
        let metrics = served.admin.get("/metrics").await.text();
        metrics.lines().any(|found| found == line).then_some(())
    })
    .await;
}
