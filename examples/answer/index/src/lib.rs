//! `index`: finds passages by their vectors.

use std::path::PathBuf;

use answer_parts::{cosine, documents, passages};
use chainlet::{Context as _, Result, chainlet, context};
use serde::Deserialize;

/// `[chainlets.index.config]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The folder with the documents, among the files that chain.toml gives this chainlet.
    documents: PathBuf,
    /// The lowest score of a hit.
    least: f32,
}

struct Indexer {
    passages: Vec<(Passage, Vec<f32>)>,
    least: f32,
}

#[chainlet]
impl Indexer {
    /// Reads the documents, and embeds all of their passages with one call.
    async fn init() -> Result<Self> {
        let Settings { documents: folder, least } = context::settings()?;
        let documents = documents(&folder).context(format!("cannot read the documents in {}", folder.display()))?;
        let passages: Vec<_> = documents.iter().flat_map(passages).collect();
        let vectors = embed::run_remote(passages.iter().map(|passage| passage.text.clone()).collect()).await?;
        if passages.is_empty() || vectors.len() != passages.len() {
            let (vectors, passages) = (vectors.len(), passages.len());
            return Err(format!("embed made {vectors} vectors of {passages} passages").into());
        }
        println!("{} passages of {} documents are in the index", passages.len(), documents.len());
        let passages = passages.into_iter().map(|answer_parts::Passage { document, position, text }| Passage {
            document,
            position,
            text,
        });
        Ok(Self { passages: passages.zip(vectors).collect(), least })
    }

    async fn run_remote(&self, question: String, limit: u32) -> Result<Vec<Hit>> {
        let question = embed::run_remote(vec![question]).await?.pop().unwrap_or_default();
        let mut hits: Vec<_> = self
            .passages
            .iter()
            .map(|(passage, vector)| Hit { passage: passage.clone(), score: cosine(&question, vector) })
            .filter(|hit| hit.score >= self.least)
            .collect();
        hits.sort_by(|left, right| right.score.total_cmp(&left.score));
        hits.truncate(limit as usize);
        Ok(hits)
    }
}
