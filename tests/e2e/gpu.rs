//! Compute on a GPU. A machine without one uses a GPU in software.

mod burn;
mod embeddings;
mod hostile;
mod losses;
mod resources;
mod rules;
mod sdk;
mod wgpu;

use rustix::process::Pid;
use serde_json::json;

use crate::harness::{Chain, Served, eventually};

/// The values of `gpu.isolation`, which say where GPU work runs.
const ISOLATIONS: [&str; 2] = ["in-process", "process"];

/// The GPU in software, with limits that are enough for all guests here.
const CPU: &str = r#"{ adapter = "cpu", memory = "64MiB", timeout = "60s" }"#;

/// Returns a chain of one chainlet, with `gpu` in its resources and `more` keys beside them. Its GPU work runs in
/// `isolation`.
fn chain(guest: &str, isolation: &str, gpu: &str, more: &str) -> Chain {
    Chain::new(&format!(
        r#"
[chain]
name = "test"

[gpu]
isolation = "{isolation}"

[chainlets.gpu]
component = "<{guest}>"
{more}
[chainlets.gpu.resources]
gpu = {gpu}
"#
    ))
}

/// An unoptimised host on a busy machine takes minutes for the longest scenarios.
const PATIENT: [&str; 2] = ["--timeout", "10m"];

/// Serves a chain of one chainlet that uses the GPU in software.
fn serve(guest: &str) -> Served {
    chain(guest, "in-process", CPU, "").serve_with(&PATIENT)
}

/// Plays scenarios of a guest one after the other, in one instance, and asserts that all succeed.
async fn play(guest: &str, scenarios: &[&str]) {
    played(&serve(guest), scenarios).await;
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

/// Returns the guest's answer to a scenario, or the whole problem document.
async fn said(served: &Served, scenario: &str) -> serde_json::Value {
    let reply = served.public.call(&json!({ "scenario": scenario })).await;
    serde_json::from_slice(&reply.body).unwrap()
}

/// Waits until the metrics say that the chainlet `gpu` holds `bytes` of GPU memory.
async fn until_memory(served: &Served, bytes: u64) {
    let line = format!("chainhost_chainlet_gpu_memory_bytes{{chainlet=\"gpu\"}} {bytes}");
    eventually(&line, async || {
        let metrics = served.admin.get("/metrics").await.text();
        metrics.lines().any(|found| found == line).then_some(())
    })
    .await;
}

/// Returns the worker processes that the host has now.
fn workers(served: &Served) -> Vec<Pid> {
    let parent = format!("PPid:\t{}\n", served.id());
    let worker = |entry: std::io::Result<std::fs::DirEntry>| {
        let folder = entry.ok()?.path();
        // The process may have ended meanwhile.
        let status = std::fs::read_to_string(folder.join("status")).ok()?;
        let is_one = status.contains(&parent) && !status.contains("State:\tZ");
        is_one.then(|| Pid::from_raw(folder.file_name()?.to_str()?.parse().ok()?))?
    };
    std::fs::read_dir("/proc").unwrap().filter_map(worker).collect()
}
