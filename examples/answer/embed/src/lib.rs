//! `embed`: turns texts into vectors.

use answer_parts::embedding;
use chainlet::{Error, Result, chainlet, context};
use serde::Deserialize;

/// `[chainlets.embed.config]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The most bytes that a text may have.
    longest: usize,
}

struct Embedder {
    settings: Settings,
}

#[chainlet]
impl Embedder {
    fn init() -> Result<Self> {
        Ok(Self { settings: context::settings()? })
    }

    async fn run_remote(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>> {
        let Settings { longest } = self.settings;
        if texts.iter().any(|text| text.len() > longest) {
            return Err(Error::invalid(format!("a text has more than {longest} bytes")));
        }
        Ok(texts.iter().map(|text| embedding(text)).collect())
    }
}
