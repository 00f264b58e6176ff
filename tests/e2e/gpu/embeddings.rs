//! `examples/embeddings`: a real model, on a GPU and on the processor, against the vectors of the original library.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::json;

use crate::harness::{Chain, component, repository};

/// `reference.json`, which `examples/embeddings/reference/make.py` has made.
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

/// The folder of the model.
fn model() -> PathBuf {
    let model = examples().join("embeddings/model");
    assert!(model.join("model.safetensors").is_file(), "there is no {}: run `cargo xtask models`", model.display());
    model
}

async fn embeds_as_the_original_does(device: &str) {
    let model = model();
    let reference = std::fs::read(examples().join("embeddings/reference/reference.json")).unwrap();
    let reference: Reference = serde_json::from_slice(&reference).unwrap();
    let served = Chain::new(&format!(
        r#"
[chain]
name = "embeddings"

[chainlets.embed]
component = "<embeddings_embed>"
[chainlets.embed.resources]
memory = "512MiB"
gpu = {{ adapter = "cpu", timeout = "2m" }}
[chainlets.embed.assets]
files = [{{ source = {model:?}, path = "/model" }}]
[chainlets.embed.config]
model = "/model"
device = "{device}"
tokens = 256
"#
    ))
    .serve();
    assert!(reference.texts.len() >= 12, "there are only {} texts", reference.texts.len());
    let texts: Vec<_> = reference.texts.iter().map(|text| text.text.as_str()).collect();
    let found = served.public.call(&json!({ "texts": texts })).await.json();
    let found: Vec<Vector> = serde_json::from_value(found).unwrap();
    assert_eq!(found.len(), texts.len());
    for (Text { text, vector }, found) in reference.texts.iter().zip(found) {
        assert_eq!(found.dimensions, (0..384).collect::<Vec<_>>());
        let product: f32 = vector.iter().zip(&found.weights).map(|(one, other)| one * other).sum();
        let length = |vector: &[f32]| vector.iter().map(|number| number * number).sum::<f32>().sqrt();
        let cosine = product / length(vector) / length(&found.weights);
        assert!(cosine >= 0.999, "{device}, {text:?}: {cosine}");
    }
}

#[tokio::test]
async fn sentences_mean_on_a_gpu_what_they_mean_to_the_original() {
    embeds_as_the_original_does("gpu").await;
}

#[tokio::test]
async fn sentences_mean_on_the_processor_what_they_mean_to_the_original() {
    embeds_as_the_original_does("cpu").await;
}

/// The chapters of the book that are searched, so that a processor is soon done with them.
const CHAPTERS: [&str; 3] = ["Chapter 1", "Chapter 5", "Chapter 19"];

/// The search example as one of its chain files has it, over some chapters of the book.
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
async fn the_search_example_finds_what_a_question_means_with_the_model_as_its_embedder() {
    model();
    // It shares no word with the book.
    let question = json!({ "question": "An unwanted suitor is turned down", "limit": 1 });
    let by_words = search("chain.toml").serve().public.call(&question).await.json();
    assert_eq!(by_words, json!({ "passages": [], "considered": 0 }));
    // Elizabeth declines Mr. Collins's offer.
    let served = search("chain-minilm.toml").serve();
    let by_meaning = served.public.call(&question).await.json();
    assert_eq!(by_meaning["passages"][0]["chapter"], "Chapter 19", "{by_meaning}");
    // What shares words is found, too.
    let question = json!({ "question": "What is a truth universally acknowledged?", "limit": 1 });
    let truth = served.public.call(&question).await.json();
    assert!(truth["passages"][0]["text"].as_str().unwrap().contains("in want of a wife"), "{truth}");
}
