//! `keywords`: finds passages by their words.

use std::path::PathBuf;

use answer_parts::{documents, passages};
use chainlet::{Context as _, Result, chainlet, context};
use retrieval::index::{Bm25, Index, Measure};
use serde::Deserialize;

/// `[chainlets.keywords.config]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The folder with the documents, among the files that chain.toml gives this chainlet.
    documents: PathBuf,
    bm25: Bm25,
}

struct Keywords {
    passages: Vec<Passage>,
    index: Index,
}

#[chainlet]
impl Keywords {
    /// Reads the documents and builds an inverted index of their words.
    fn init() -> Result<Self> {
        let Settings { documents: folder, bm25 } = context::settings()?;
        let documents = documents(&folder).context(format!("cannot read the documents in {}", folder.display()))?;
        let passages: Vec<_> = documents.iter().flat_map(passages).collect();
        let vectors: Vec<_> = passages.iter().map(|passage| retrieval::vector(&passage.text)).collect();
        let passages = passages.into_iter().map(|answer_parts::Passage { document, position, text }| Passage {
            document,
            position,
            text,
        });
        Ok(Self { passages: passages.collect(), index: Index::new(&vectors, Measure::Bm25(bm25)) })
    }

    async fn run_remote(&self, question: String, limit: u32) -> Result<Vec<Hit>> {
        let hits = self.index.search(&retrieval::vector(&question), limit as usize);
        let hit = |(number, score): (usize, f32)| Some(Hit { passage: self.passages.get(number)?.clone(), score });
        Ok(hits.into_iter().filter_map(hit).collect())
    }
}
