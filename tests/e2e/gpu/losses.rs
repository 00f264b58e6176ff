//! Replicas that lose their GPU device: their replacement, and the errors that their callers see.

use rustix::process::{Signal, kill_process};
use serde_json::json;

use super::{ISOLATIONS, chain, said, workers};
use crate::harness::{Served, eventually};

/// A guest that opens its device in `init` and keeps it.
const GUEST: &str = "guest_gpu";

fn serve(isolation: &str, keys: &str) -> Served {
    let gpu = format!(r#"{{ adapter = "cpu", memory = "64MiB", timeout = "1s"{keys} }}"#);
    chain(GUEST, isolation, &gpu, "").serve()
}

/// Returns the number of devices that the chainlet `gpu` has lost.
async fn losses(served: &Served) -> String {
    let metrics = served.admin.get("/metrics").await.text();
    let name = "chainhost_chainlet_gpu_devices_lost_total{chainlet=\"gpu\"} ";
    metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{metrics}")).to_owned()
}

#[tokio::test]
async fn a_replica_whose_gpu_worker_is_killed_is_replaced() {
    let served = serve("process", "");
    assert_eq!(said(&served, "saxpy").await, json!("ok"));
    let before = workers(&served);
    assert_eq!(before.len(), 1, "{before:?}");
    kill_process(before[0], Signal::KILL).unwrap();
    served.until_log("replica has lost its GPU device").await;
    // A call waits for the new replica.
    assert_eq!(said(&served, "saxpy").await, json!("ok"));
    assert_eq!(losses(&served).await, "1");
    assert_eq!(served.log().matches("a GPU device is lost").count(), 1, "{}", served.log());
    eventually("the host is ready", async || (served.public.get("/readyz").await.status == 200).then_some(())).await;
}

#[tokio::test]
async fn a_replica_whose_device_missed_its_deadline_is_replaced() {
    for isolation in ISOLATIONS {
        println!("GPU work runs {isolation}");
        let served = serve(isolation, "");
        let cores = std::thread::available_parallelism().unwrap();
        let told = said(&served, &format!("long:{cores}")).await;
        assert_eq!(told["status"], 422, "{told}");
        assert!(told.to_string().contains("took longer than 1s"), "{told}");
        served.until_log("replica has lost its GPU device").await;
        // In process, the work of the new replica waits behind the work that was given up. The new replica still keeps
        // its device.
        assert_eq!(said(&served, "saxpy").await, json!("ok"));
        assert_eq!(losses(&served).await, "1");
    }
}

#[tokio::test]
async fn a_replica_keeps_running_after_a_loss_if_chain_toml_says_so() {
    let served = serve("process", ", replace_on_loss = false");
    assert_eq!(said(&served, "saxpy").await, json!("ok"));
    kill_process(workers(&served)[0], Signal::KILL).unwrap();
    served.until_log("a GPU device is lost").await;
    let told = said(&served, "saxpy").await;
    assert_eq!(told["status"], 422, "{told}");
    assert!(!served.log().contains("starting another in its place"), "{}", served.log());
    assert_eq!(served.public.get("/readyz").await.status, 200);
}

#[tokio::test]
async fn a_device_request_to_a_stopped_gpu_worker_obeys_the_timeout() {
    let gpu = r#"{ adapter = "cpu", memory = "64MiB", timeout = "1s", replace_on_loss = false }"#;
    let served = chain("guest_gpu_rules", "process", gpu, "").serve();
    assert_eq!(said(&served, "keep").await, json!("ok"));
    let stopped = workers(&served)[0];
    kill_process(stopped, Signal::STOP).unwrap();
    // The guest asks for a device. The stopped worker does not answer, and is killed. The next worker answers.
    let told = said(&served, "well").await;
    assert!(told.to_string().contains("does not open a device"), "{told}");
    eventually("the stopped worker is gone", async || (!workers(&served).contains(&stopped)).then_some(())).await;
    assert_eq!(said(&served, "well").await, json!("ok"));
}
