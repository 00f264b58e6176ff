//! wgpu on a chainlet's GPU keeps the promises of wgpu and of WebGPU.

use futures::future::join_all;
use serde_json::json;

use super::{play, said, serve};

const GUEST: &str = "guest_gpu_wgpu";

#[tokio::test]
async fn adapters_and_devices_are_what_chain_toml_gives() {
    let adapters = said(&serve(GUEST), "adapters").await;
    assert!(adapters.as_str().unwrap().ends_with(", Cpu"), "{adapters}");
    play(GUEST, &["features", "limits", "two-devices", "texture-formats"]).await;
}

#[tokio::test]
async fn a_device_that_is_destroyed_is_lost_and_raises_no_errors() {
    play(GUEST, &["destroyed"]).await;
}

#[tokio::test]
async fn buffers_are_mapped_to_read_with_a_poll_and_without() {
    play(GUEST, &["map-read-and-poll", "map-read-and-await", "map-part", "map-many", "map-on-submit"]).await;
}

#[tokio::test]
async fn bytes_written_to_a_mapping_are_on_the_gpu_after_the_unmap() {
    play(GUEST, &["created-mapped", "map-write", "map-write-parts", "buffer-init", "staging-belt"]).await;
}

#[tokio::test]
async fn the_rules_of_mapping_hold() {
    play(GUEST, &["not-mapped", "map-mistakes", "used-while-mapped"]).await;
}

#[tokio::test]
async fn each_way_to_wait_for_the_gpu_ends() {
    play(GUEST, &["poll", "poll-without-waiting", "work-done", "wrong-submission", "poll-all"]).await;
}

#[tokio::test]
async fn bytes_are_written_copied_and_cleared() {
    play(GUEST, &["writes", "staged-writes", "copies", "clears", "copy-mistakes"]).await;
}

#[tokio::test]
async fn pipelines_compute_with_implicit_and_with_explicit_layouts() {
    play(GUEST, &["compute", "constants", "two-groups", "immediates", "half-floats"]).await;
    play(GUEST, &["explicit-layout", "dynamic-offsets"]).await;
}

#[tokio::test]
async fn passes_are_done_in_order() {
    play(GUEST, &["passes", "indirect", "timestamps", "debug-groups", "open-pass", "spoilt-submission"]).await;
}

#[tokio::test]
async fn errors_go_to_their_scopes_and_handlers() {
    play(GUEST, &["error-scopes", "uncaptured-errors", "out-of-memory"]).await;
}

#[tokio::test]
async fn an_invalid_object_is_an_error_where_it_is_made_and_used() {
    play(GUEST, &["invalid-shader", "invalid-objects", "dispatch-mistakes"]).await;
}

#[tokio::test]
async fn a_function_that_is_not_for_compute_is_an_error_that_says_so() {
    play(GUEST, &["absent", "absent-commands"]).await;
}

#[tokio::test]
async fn calls_with_their_own_devices_do_not_affect_each_other() {
    let served = serve(GUEST);
    // One instance may have this many devices.
    let scenarios = ["map-read-and-await", "map-read-and-poll", "error-scopes", "passes"];
    let answers = join_all(scenarios.iter().map(|scenario| said(&served, scenario))).await;
    assert_eq!(answers, vec![json!("ok"); scenarios.len()]);
}
