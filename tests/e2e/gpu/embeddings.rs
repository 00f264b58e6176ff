//! `examples/embeddings`: a real model on a GPU and on the processor. The tests compare its vectors with those of the
//! original library.

use std::path::PathBuf;

use rustix::process::{Signal, kill_process};
use serde::Deserialize;
use serde_json::json;

use super::workers;
use crate::harness::{Chain, Reply, Served, component, repository};

/// The contents of `reference.json`, which `examples/embeddings/reference/make.py` has made.
#[derive(Deserialize)]
struct Reference {
    texts: Vec<Text>,
}

#[derive(Deserialize)]
struct Text {
    text: String,
    vector: Vec<f32>,
}

#[derive(Deserialize)]
struct Vector {
    dimensions: Vec<usize>,
    weights: Vec<f32>,
}

fn examples() -> PathBuf {
    repository().join("examples")
}

/// Returns the folder of the model.
fn model() -> PathBuf {
    let model = examples().join("embeddings/model");
    assert!(model.join("model.safetensors").is_file(), "there is no {}: run `cargo xtask models`", model.display());
    model
}

fn serve(isolation: &str, device: &str) -> Served {
    let model = model();
    Chain::new(&format!(
        r#"
[chain]
name = "embeddings"

[gpu]
isolation = "{isolation}"

[chainlets.embed]
component = "<embeddings_embed>"
[chainlets.embed.resources]
memory = "512MiB"
gpu = {{ adapter = "cpu", timeout = "5m" }}
[chainlets.embed.assets]
files = [{{ source = {model:?}, path = "/model" }}]
[chainlets.embed.config]
model = "/model"
device = "{device}"
tokens = 256
"#
    ))
    // A busy machine takes long to compute a model on a GPU in software.
    .serve_with(&["--timeout", "10m"])
}

/// Returns texts, and the vectors that the original library gives them.
fn reference() -> Vec<Text> {
    let reference = std::fs::read(examples().join("embeddings/reference/reference.json")).unwrap();
    let Reference { texts } = serde_json::from_slice(&reference).unwrap();
    assert!(texts.len() >= 12, "there are only {} texts", texts.len());
    texts
}

async fn call(served: &Served, texts: &[Text]) -> Reply {
    let texts: Vec<_> = texts.iter().map(|text| text.text.as_str()).collect();
    served.public.call(&json!({ "texts": texts })).await
}

async fn embeds_as_the_original_does(served: &Served, texts: &[Text]) {
    let found: Vec<Vector> = serde_json::from_value(call(served, texts).await.json()).unwrap();
    assert_eq!(found.len(), texts.len());
    for (Text { text, vector }, found) in texts.iter().zip(found) {
        assert_eq!(found.dimensions, (0..384).collect::<Vec<_>>());
        let product: f32 = vector.iter().zip(&found.weights).map(|(one, other)| one * other).sum();
        let length = |vector: &[f32]| vector.iter().map(|number| number * number).sum::<f32>().sqrt();
        let cosine = product / length(vector) / length(&found.weights);
        assert!(cosine >= 0.999, "{text:?}: {cosine}");
    }
}

#[tokio::test]
async fn a_gpu_gives_sentences_the_vectors_of_the_original() {
    embeds_as_the_original_does(&serve("in-process", "gpu"), &reference()).await;
}

#[tokio::test]
async fn the_processor_gives_sentences_the_vectors_of_the_original() {
    embeds_as_the_original_does(&serve("in-process", "cpu"), &reference()).await;
}

#[tokio::test]
async fn a_replica_that_loses_its_gpu_is_replaced_by_one_with_the_model() {
    let mut texts = reference();
    texts.truncate(2);
    let served = serve("process", "gpu");
    embeds_as_the_original_does(&served, &texts).await;
    let workers = workers(&served);
    assert_eq!(workers.len(), 1, "{workers:?}");
    kill_process(workers[0], Signal::KILL).unwrap();
    served.until_log("replica has lost its GPU device").await;
    embeds_as_the_original_does(&served, &texts).await;
}

/// The chapters of the book that are searched. They are few, so that a processor is soon done with them.
const CHAPTERS: [&str; 3] = ["Chapter 1", "Chapter 5", "Chapter 19"];

/// Returns the search example with the chain file `chain`, over some chapters of the book.
fn search(chain: &str) -> Chain {
    let folder = examples().join("search");
    let text = std::fs::read_to_string(folder.join(chain)).unwrap();
    let components = component("search");
    let text = text
        .replace("../../target/wasm32-wasip2/release", components.parent().unwrap().to_str().unwrap())
        .replace("../embeddings/model/", examples().join("embeddings/model").to_str().unwrap());
    let chain = Chain::new(&text);
    let book = std::fs::read_to_string(folder.join("data/pride-and-prejudice.txt")).unwrap();
    let chapters = book.split("\nChapter ").map(|chapter| format!("\nChapter {chapter}"));
    let chapters = chapters.filter(|chapter| CHAPTERS.iter().any(|title| chapter.trim().lines().next() == Some(title)));
    std::fs::create_dir(chain.folder().join("data")).unwrap();
    chain.write("data/pride-and-prejudice.txt", chapters.collect::<String>());
    chain
}

#[tokio::test]
async fn the_search_example_finds_passages_by_meaning_with_the_model() {
    model();
    // The question shares no word with the book.
    let question = json!({ "question": "An unwanted suitor is turned down", "limit": 1 });
    let by_words = search("chain.toml").serve().public.call(&question).await.json();
    assert_eq!(by_words, json!({ "passages": [], "considered": 0 }));
    // In this chapter, Elizabeth declines Mr. Collins's offer.
    let served = search("chain-minilm.toml").serve();
    let by_meaning = served.public.call(&question).await.json();
    assert_eq!(by_meaning["passages"][0]["chapter"], "Chapter 19", "{by_meaning}");
    // The search also finds a passage that shares words with the question.
    let question = json!({ "question": "What is a truth universally acknowledged?", "limit": 1 });
    let truth = served.public.call(&question).await.json();
    assert!(truth["passages"][0]["text"].as_str().unwrap().contains("in want of a wife"), "{truth}");
}
