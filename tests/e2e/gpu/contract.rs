//! `chainlet:host/gpu` itself: every function with good arguments and bad ones, its limits, and shaders that mean harm; in
//! the host, and in worker processes.

use serde_json::json;

use super::{played, said};
use crate::harness::{Chain, Served, eventually};

const GUEST: &str = "guest_gpu_contract";
const ISOLATIONS: [&str; 2] = ["in-process", "process"];

/// A chain of a chainlet with a GPU, and of one that has none and only answers.
fn chain(isolation: &str, gpu: &str) -> Chain {
    Chain::new(&format!(
        r#"
[chain]
name = "test"
entrypoint = "gpu"

[gpu]
isolation = "{isolation}"

[chainlets.gpu]
component = "<{GUEST}>"
replicas = 1
[chainlets.gpu.resources]
gpu = {{ adapter = "cpu", memory = "64MiB", {gpu} }}
"#
    ))
}

async fn play(scenarios: &[&str]) {
    for isolation in ISOLATIONS {
        played(&chain(isolation, "").serve(), scenarios).await;
    }
}

#[tokio::test]
async fn adapters_and_devices_are_as_they_are_asked_for() {
    for isolation in ISOLATIONS {
        let adapters = said(&chain(isolation, "").serve(), "adapters").await;
        assert!(adapters.as_str().unwrap().ends_with("AdapterKind::Cpu"), "{adapters}");
    }
    play(&["requests", "devices", "another-device"]).await;
}

#[tokio::test]
async fn buffers_take_what_they_must_and_refuse_the_rest() {
    play(&["buffers", "ranges", "copies", "destroyed"]).await;
}

#[tokio::test]
async fn shaders_and_pipelines_take_what_they_must_and_refuse_the_rest() {
    play(&["groups", "shaders", "pipelines", "dispatches", "timestamps"]).await;
}

#[tokio::test]
async fn a_submission_is_done_as_a_whole_or_not_at_all_and_can_be_waited_for() {
    play(&["nothing-of-a-bad-submission", "waits", "queue", "cancel"]).await;
}

#[tokio::test]
async fn an_instance_holds_what_chain_toml_says_and_gets_back_what_it_drops() {
    play(&["memory", "text", "destroyed-devices", "memory"]).await;
}

#[tokio::test]
async fn ten_thousand_objects_made_and_dropped_leave_nothing() {
    for isolation in ISOLATIONS {
        let served = chain(isolation, "").serve();
        played(&served, &["create-and-drop"]).await;
        until_memory(&served, "0").await;
    }
}

#[tokio::test]
async fn what_is_written_and_never_submitted_does_not_pile_up() {
    let served = chain("in-process", "").serve();
    played(&served, &["memory"]).await;
    let before = resident(&served);
    played(&served, &["flood"]).await;
    let after = resident(&served);
    assert!(after < before + (400 << 20), "{before} bytes before, and {after} after 4 GiB were written");
}

#[tokio::test]
async fn accesses_out_of_bounds_reach_nothing_of_others() {
    play(&["out-of-bounds"]).await;
}

#[tokio::test]
async fn shaders_that_would_take_a_compiler_all_memory_are_refused() {
    play(&["bombs", "bombs"]).await;
}

#[tokio::test]
async fn a_guest_that_traps_leaves_nothing_on_the_gpu() {
    for isolation in ISOLATIONS {
        let served = chain(isolation, "").serve();
        for _ in 0..50 {
            served.public.call(&json!({ "scenario": "trap" })).await.problem(500, "trap");
        }
        until_memory(&served, "0").await;
        played(&served, &["memory", "waits"]).await;
    }
}

#[tokio::test]
async fn what_an_instance_leaves_is_counted_and_freed_with_it() {
    let served = chain("in-process", "").serve();
    played(&served, &["hold"]).await;
    until_memory(&served, &(32 << 20).to_string()).await;
    served.public.call(&json!({ "scenario": "trap" })).await.problem(500, "trap");
    until_memory(&served, "0").await;
}

#[tokio::test]
async fn work_without_end_is_an_error_by_its_deadline_and_holds_up_nobody_else() {
    for isolation in ISOLATIONS {
        let served = chain(isolation, r#"timeout = "500ms""#).serve();
        let hang = json!({ "scenario": "hang" });
        let hanging = served.public.call(&hang);
        let health = async {
            // As long as it takes, the host answers.
            for _ in 0..20 {
                assert_eq!(served.public.get("/healthz").await.status, 200);
            }
        };
        let (hung, ()) = futures::join!(hanging, health);
        assert_eq!(hung.json(), json!("ErrorKind::Timeout"), "{isolation}");
        assert!(served.log().contains("a GPU device is lost"), "{}", served.log());
    }
}

#[tokio::test]
async fn guests_that_submit_behind_work_without_end_leave_the_others_their_threads() {
    let gpu = |name: &str| {
        format!(
            "[chainlets.{name}]\ncomponent = \"<{GUEST}>\"\n\
             resources = {{ gpu = {{ adapter = \"cpu\", memory = \"64MiB\", timeout = \"500ms\" }} }}\n"
        )
    };
    let chain = Chain::new(&format!(
        "[chain]\nname = \"test\"\nentrypoint = \"other\"\n\n{}{}{}[chainlets.other]\ncomponent = \"<{GUEST}>\"\n\
         resources = {{ gpu = {{ adapter = \"cpu\" }} }}\n",
        gpu("one"),
        gpu("two"),
        gpu("three"),
    ));
    // More of them than there are threads for guests.
    let served = chain.serve_with(&["--guest-threads", "2"]);
    let hang = json!({ "scenario": "hang-and-submit" });
    let hanging = ["one", "two", "three"].map(|name| {
        let (admin, hang) = (served.admin, hang.clone());
        tokio::spawn(async move { admin.post(&format!("/chainlets/{name}/run_remote"), &hang).await })
    });
    for _ in 0..50 {
        assert!(said(&served, "adapters").await.is_string());
    }
    for hanging in hanging {
        let kind = hanging.await.unwrap().json();
        assert!(["ErrorKind::Timeout", "ErrorKind::DeviceLost"].map(|kind| json!(kind)).contains(&kind), "{kind}");
        assert!(said(&served, "adapters").await.is_string());
    }
}

#[tokio::test]
async fn a_worker_that_hangs_is_replaced_for_the_next_device() {
    let served = chain("process", r#"timeout = "500ms""#).serve();
    for _ in 0..3 {
        assert_eq!(said(&served, "hang").await, json!("ErrorKind::Timeout"));
        played(&served, &["waits"]).await;
    }
}

#[tokio::test]
async fn a_worker_that_is_killed_costs_its_devices_and_no_more() {
    let served = chain("process", "").serve();
    played(&served, &["hold"]).await;
    for worker in workers(&served) {
        rustix::process::kill_process(worker, rustix::process::Signal::KILL).unwrap();
    }
    served.until_log("a GPU device is lost").await;
    played(&served, &["waits"]).await;
}

/// Waits until the metrics say that so many bytes of GPU memory are held.
async fn until_memory(served: &Served, bytes: &str) {
    let line = format!("chainhost_chainlet_gpu_memory_bytes{{chainlet=\"gpu\"}} {bytes}");
    eventually(&line, async || {
        let metrics = served.admin.get("/metrics").await.text();
        metrics.lines().any(|found| found == line).then_some(())
    })
    .await;
}

/// Bytes of memory that the host has.
fn resident(served: &Served) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", served.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// The worker processes of the host.
fn workers(served: &Served) -> Vec<rustix::process::Pid> {
    let id = served.id();
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    let of_threads = std::fs::read_dir(format!("/proc/{id}/task"))
        .unwrap()
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok());
    let all = std::iter::once(children).chain(of_threads).collect::<Vec<_>>().join(" ");
    let mut ids: Vec<i32> = all.split_whitespace().filter_map(|id| id.parse().ok()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert!(!ids.is_empty(), "the host has no workers");
    ids.into_iter().filter_map(rustix::process::Pid::from_raw).collect()
}
