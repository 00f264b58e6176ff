//! `embed`: turns texts into vectors.

use chainlet::chainlet;
use retrieval::vector;

#[derive(Default)]
struct Embedder;

#[chainlet]
impl Embedder {
    async fn run_remote(&self, texts: Vec<String>) -> Vec<Vector> {
        texts
            .iter()
            .map(|text| {
                let retrieval::Vector { dimensions, weights } = vector(text);
                Vector { dimensions, weights }
            })
            .collect()
    }
}
