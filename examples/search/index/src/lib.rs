//! `index`: holds a book and finds passages of it.

use std::fs;

use chainlet::{Context as _, Result, chainlet, context, try_join_all};
use retrieval::{
    chapters,
    index::{Bm25, Index, Measure},
};
use serde::Deserialize;

/// `[chainlets.index.config]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The path of the book, in the files that chain.toml gives this chainlet.
    book: String,
    measure: Measure,
}

struct Indexer {
    passages: Vec<Passage>,
    index: Index,
}

#[chainlet]
impl Indexer {
    /// Reads the book and builds the index. All chapters are cut and embedded at once.
    async fn init() -> Result<Self> {
        let Settings { book: path, measure } = context::settings()?;
        if let Measure::Bm25(Bm25 { k1, b }) = measure
            && (k1 < 0.0 || !(0.0..=1.0).contains(&b))
        {
            return Err(format!("k1 is {k1} and b is {b}: k1 is 0 or more, b is from 0 to 1").into());
        }
        let book = fs::read_to_string(&path).context(format!("cannot read the book {path}"))?;
        let chapters = try_join_all(chapters(&book).into_iter().map(prepare)).await?;
        let (passages, vectors): (Vec<_>, Vec<_>) = chapters.into_iter().flatten().unzip();
        if passages.is_empty() {
            return Err(format!("{path} has no text below a line like \"Chapter 1\"").into());
        }
        println!("{} passages of {path} are in the index", passages.len());
        Ok(Self { passages, index: Index::new(&vectors, measure) })
    }

    async fn run_remote(&self, question: Vector, limit: u32) -> Vec<Hit> {
        let hits = self.index.search(&plain(question), limit as usize);
        let hit = |(number, score): (usize, f32)| {
            let passage = self.passages.get(number)?.clone();
            Some(Hit { passage, score })
        };
        hits.into_iter().filter_map(hit).collect()
    }
}

/// Returns the passages of one chapter, each with its vector.
async fn prepare(chapter: retrieval::Chapter<'_>) -> Result<Vec<(Passage, retrieval::Vector)>> {
    let chapter = Chapter { title: chapter.title.to_owned(), text: chapter.text.to_owned() };
    let passages = chunk::run_remote(chapter).await?;
    let texts = passages.iter().map(|passage| passage.text.clone()).collect();
    let vectors = embed::run_remote(texts).await?;
    if vectors.len() != passages.len() {
        let (vectors, texts) = (vectors.len(), passages.len());
        return Err(format!("embed made {vectors} vectors of {texts} texts").into());
    }
    Ok(passages.into_iter().zip(vectors.into_iter().map(plain)).collect())
}

fn plain(vector: Vector) -> retrieval::Vector {
    retrieval::Vector { dimensions: vector.dimensions, weights: vector.weights }
}
