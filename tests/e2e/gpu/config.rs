//! Who gets a GPU, and which.

use super::said;
use crate::harness::Chain;

const GUEST: &str = "guest_gpu_contract";

fn chain(gpu: &str) -> Chain {
    Chain::new(&format!(
        "[chain]\nname = \"test\"\n\n[chainlets.gpu]\ncomponent = \"<{GUEST}>\"\nresources = {{ {gpu} }}\n"
    ))
}

#[test]
fn a_component_that_wants_a_gpu_and_is_given_none_is_refused_with_the_key_to_add() {
    let words = ["the component imports chainlet:host/gpu@0.1.0", "write `gpu = true` in [chainlets.gpu.resources]"];
    chain("cpu = 1").run(&["check", "chain.toml"]).refused(3, &words);
    chain("gpu = false").run(&["call", "chain.toml", r#"{"scenario": "adapters"}"#]).refused(3, &words);
}

#[test]
fn an_adapter_that_is_not_there_is_told_with_those_that_are() {
    for (adapter, words) in
        [("\"no such\"", "called \"no such\""), ("99", "number 99"), ("\"discrete\"", "of kind discrete")]
    {
        let finished = chain(&format!("gpu = {{ adapter = {adapter} }}")).run(&["check", "chain.toml"]);
        finished.refused(3, &["resources.gpu", words, "0: ", "name one of these"]);
    }
}

#[tokio::test]
async fn an_adapter_is_chosen_by_its_kind_its_number_or_a_part_of_its_name() {
    for gpu in ["true", "{ adapter = \"cpu\" }", "{ adapter = 0 }", "{ adapter = \"LLVMpipe\" }"] {
        let found = said(&chain(&format!("gpu = {gpu}")).serve(), "adapters").await;
        assert!(found.as_str().is_some_and(|found| found.contains("Kind")), "{gpu}: {found}");
    }
}

#[tokio::test]
async fn a_chainlet_that_can_do_without_finds_no_adapter() {
    let served = chain("gpu = { adapter = \"no such\", optional = true }").serve();
    assert_eq!(said(&served, "adapters").await, serde_json::json!(""));
    served.until_log("this machine has no GPU that fits").await;
}

#[test]
fn the_list_of_gpus_begins_with_their_numbers() {
    let finished = chain("gpu = true").run(&["gpus"]);
    assert!(finished.answer().starts_with("0  "), "{}", finished.answer());
}
