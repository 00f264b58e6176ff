//! `embed`: turns texts into vectors.

use answer_parts::embedding;
use chainlet::chainlet;

#[derive(Default)]
struct Embedder;

#[chainlet]
impl Embedder {
    async fn run_remote(&self, texts: Vec<String>) -> Vec<Vec<f32>> {
        texts.iter().map(|text| embedding(text)).collect()
    }
}
