//! `resources.gpu` decides which chainlets get a GPU. Each replica gets its own, of the adapter that is named.

use futures::future::join_all;
use serde_json::json;

use super::{ISOLATIONS, said};
use crate::harness::{Chain, Served};

/// Returns a chain of one chainlet, with `gpu` in its resources and `more` keys beside them.
fn chain(isolation: &str, gpu: &str, more: &str) -> Chain {
    super::chain("guest_gpu_rules", isolation, gpu, more)
}

async fn described(served: &Served) -> String {
    said(served, "describe").await.as_str().unwrap().to_owned()
}

/// Returns the description of an adapter. Fails if there is none, because then nothing here can be tested.
async fn any() -> String {
    let adapter = described(&chain("in-process", "{ optional = true }", "").serve()).await;
    assert!(
        !adapter.is_empty(),
        "this machine has no adapter: `apt-get install --no-install-recommends mesa-vulkan-drivers libvulkan1` brings one"
    );
    adapter
}

#[test]
fn a_component_that_lacks_its_gpu_is_refused_with_the_key_to_add() {
    let words = ["the component imports chainlet:host/gpu@0.1.0", "write `gpu = true` in [chainlets.gpu.resources]"];
    for command in [&["check", "chain.toml"][..], &["call", "chain.toml", r#"{"scenario": "describe"}"#]] {
        chain("in-process", "false", "").run(command).refused(3, &words);
    }
}

#[test]
fn a_missing_adapter_is_refused_with_a_list_of_all_adapters() {
    for (adapter, words) in
        [("\"no such\"", "called \"no such\""), ("99", "number 99"), ("\"discrete\"", "of kind discrete")]
    {
        let finished = chain("in-process", &format!("{{ adapter = {adapter} }}"), "").run(&["check", "chain.toml"]);
        finished.refused(3, &["resources.gpu", words, "0: ", "name one of these"]);
    }
}

#[test]
fn the_list_of_gpus_begins_with_their_numbers() {
    let finished = chain("in-process", "true", "").run(&["gpus"]);
    assert!(finished.answer().starts_with("0  "), "{}", finished.answer());
}

#[tokio::test]
async fn the_adapter_is_the_same_for_each_of_its_names_and_each_isolation() {
    let adapter = any().await;
    let part: String = adapter.chars().skip(1).take(6).collect();
    for isolation in ISOLATIONS {
        let shouted = format!("{{ adapter = {:?} }}", part.to_uppercase());
        for gpu in ["true", "{ adapter = \"cpu\" }", "{ adapter = 0 }", "{ adapter = 0, optional = true }", &shouted] {
            let found = described(&chain(isolation, gpu, "").serve()).await;
            assert_eq!(found, adapter, "{isolation}: {gpu}");
        }
    }
}

#[test]
fn a_missing_adapter_is_refused_in_each_isolation() {
    for isolation in ISOLATIONS {
        for command in ["check", "serve"] {
            let chain = chain(isolation, "{ adapter = \"no such\" }", "");
            chain.run(&[command, "chain.toml"]).refused(3, &["error: chain.toml:", "resources.gpu", "no such", "0: "]);
        }
    }
}

#[tokio::test]
async fn a_chainlet_with_an_optional_gpu_starts_without_one() {
    for isolation in ISOLATIONS {
        let served = chain(isolation, "{ adapter = \"no such\", optional = true }", "").serve();
        assert_eq!(described(&served).await, "");
        served.until_log("this machine has no GPU that fits").await;
    }
}

#[tokio::test]
async fn each_replica_has_a_quota_of_its_own() {
    for isolation in ISOLATIONS {
        let more = "replicas = 2\nconcurrency = 1";
        let served = chain(isolation, "{ adapter = \"cpu\", memory = \"64MiB\" }", more).serve();
        // Each call takes all that it may have, in both replicas at once.
        let all = join_all((0..4).map(|_| said(&served, "memory"))).await;
        assert_eq!(all, vec![json!("ok"); 4], "{isolation}");
    }
}

#[test]
fn invalid_values_are_refused_with_their_key() {
    for (gpu, key) in [
        ("{ memory = \"much\" }", "chainlets.gpu.resources.gpu.memory"),
        ("{ memory = \"1KiB\" }", "chainlets.gpu.resources.gpu.memory"),
        ("{ memory = -1 }", "chainlets.gpu.resources.gpu.memory"),
        ("{ queue = 0 }", "chainlets.gpu.resources.gpu.queue"),
        ("{ queue = -1 }", "chainlets.gpu.resources.gpu.queue"),
        ("{ queue = \"8\" }", "chainlets.gpu.resources.gpu.queue"),
        ("{ timeout = \"0s\" }", "chainlets.gpu.resources.gpu.timeout"),
        ("{ timeout = 5 }", "chainlets.gpu.resources.gpu.timeout"),
        ("{ timeout = \"soon\" }", "chainlets.gpu.resources.gpu.timeout"),
        ("{ optional = 1 }", "chainlets.gpu.resources.gpu.optional"),
        ("{ adapter = true }", "chainlets.gpu.resources.gpu.adapter"),
        ("{ adapter = \"\" }", "chainlets.gpu.resources.gpu.adapter"),
        ("{ adaptor = \"cpu\" }", "chainlets.gpu.resources.gpu.adaptor"),
        ("\"yes\"", "chainlets.gpu.resources.gpu"),
        ("1", "chainlets.gpu.resources.gpu"),
    ] {
        chain("in-process", gpu, "").run(&["check", "chain.toml"]).refused(3, &["error: chain.toml:12:", key]);
    }
    chain("elsewhere", "true", "").run(&["check", "chain.toml"]).refused(3, &["error: chain.toml:6:", "gpu.isolation"]);
}
