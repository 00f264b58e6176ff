//! Compares the results with those of the original library; see `../reference/make.py`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::hash::Hasher as _;
use std::path::{Path, PathBuf};

use fnv::FnvHasher;
use minilm::{Shape, WordPiece, batches, cpu};
use serde::Deserialize;

/// The longest text, in tokens.
const TOKENS: usize = 256;

/// `reference.json`.
#[derive(Deserialize)]
struct Reference {
    texts: Vec<Text>,
    every_character: Vec<String>,
}

/// A text and its expected tokens and vector.
#[derive(Deserialize)]
struct Text {
    text: String,
    ids: Vec<u32>,
    vector: Vec<f32>,
}

fn reference() -> Reference {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../reference/reference.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Returns the path of a file of the model.
fn model(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model").join(name);
    assert!(path.is_file(), "{} is missing: run `cargo xtask models`, which fetches it", path.display());
    path
}

fn wordpiece() -> WordPiece {
    WordPiece::read(&fs::read_to_string(model("vocab.txt")).unwrap()).unwrap()
}

fn cosine(one: &[f32], other: &[f32]) -> f32 {
    let product = |one: &[f32], other: &[f32]| one.iter().zip(other).map(|(one, other)| one * other).sum::<f32>();
    product(one, other) / (product(one, one) * product(other, other)).sqrt()
}

#[test]
fn texts_have_the_tokens_of_the_original() {
    let wordpiece = wordpiece();
    for Text { text, ids, .. } in reference().texts {
        assert_eq!(wordpiece.encode(&text, TOKENS), ids, "{text:?}");
    }
}

#[test]
fn every_character_has_the_tokens_of_the_original() {
    const BLOCK: u32 = 0x1000;
    let wordpiece = wordpiece();
    for (number, expected) in (0..).zip(reference().every_character) {
        let mut hasher = FnvHasher::default();
        for character in (number * BLOCK..(number + 1) * BLOCK).filter_map(char::from_u32) {
            let ids = wordpiece.encode(&format!("a{character}b {character}c"), TOKENS);
            ids.into_iter().for_each(|id| hasher.write(&id.to_le_bytes()));
        }
        assert_eq!(format!("{:016x}", hasher.finish()), expected, "a character from U+{:04x} on", number * BLOCK);
    }
}

#[test]
fn the_processor_makes_the_vectors_of_the_original() {
    let shape = Shape::read(&fs::read_to_string(model("config.json")).unwrap()).unwrap();
    let model = cpu::Model::read(File::open(model("model.safetensors")).unwrap(), shape).unwrap();
    let texts = reference().texts;
    let batches = batches(texts.iter().map(|text| text.ids.clone()), cpu::ROWS);
    assert!(batches.iter().any(|batch| batch.texts.len() > 2), "texts are computed together, too");
    let vectors = batches.iter().flat_map(|batch| model.encode(batch));
    let cosines: Vec<_> = vectors.zip(&texts).map(|(vector, text)| cosine(&vector, &text.vector)).collect();
    let worst = cosines.iter().copied().fold(1.0, f32::min);
    println!("the worst cosine of {} is {worst}", cosines.len());
    assert_eq!(cosines.len(), texts.len());
    assert!(worst > 0.9999, "{cosines:?}");
}
