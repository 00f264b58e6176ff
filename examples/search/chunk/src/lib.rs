//! `chunk`: cuts a chapter into passages.

use chainlet::{Result, chainlet, context};
use retrieval::{Size, passages};
use serde::Deserialize;

/// `[chainlets.chunk.config]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    words: usize,
    overlap: usize,
}

struct Chunker {
    size: Size,
}

#[chainlet]
impl Chunker {
    async fn init() -> Result<Self> {
        let Settings { words, overlap } = context::settings()?;
        Ok(Self { size: Size { words, overlap } })
    }

    async fn run_remote(&self, chapter: Chapter) -> Vec<Passage> {
        passages(&chapter.text, self.size)
            .into_iter()
            .zip(1..)
            .map(|(text, position)| Passage { chapter: chapter.title.clone(), position, text })
            .collect()
    }
}
