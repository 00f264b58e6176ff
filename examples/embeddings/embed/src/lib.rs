//! `embed`: turns texts into vectors of their meaning.

mod model;

use chainlet::{Context as _, Result, chainlet, context};
use minilm::{Shape, WordPiece};
use serde::Deserialize;

use self::model::{Device, Model};

/// `[chainlets.embed.config]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The folder of the model, in the files that chain.toml gives this chainlet.
    model: String,
    device: Device,
    /// The most tokens of a text.
    tokens: usize,
}

struct Embed {
    wordpiece: WordPiece,
    model: Model,
    tokens: usize,
}

#[chainlet]
impl Embed {
    /// Reads the model once. It stays in the memory of this instance, or of its GPU.
    async fn init() -> Result<Self> {
        let Settings { model: folder, device, tokens } = context::settings()?;
        let shape = Shape::read(&text(&folder, "config.json")?)?;
        let wordpiece = WordPiece::read(&text(&folder, "vocab.txt")?)?;
        if !(2..=shape.positions).contains(&tokens) {
            return Err(format!("`tokens` is {tokens}: the model takes from 2 to {}", shape.positions).into());
        }
        let model = Model::read(&folder, shape, device)?;
        Ok(Embed { wordpiece, model, tokens })
    }

    async fn run_remote(&self, texts: Vec<String>) -> Vec<Vector> {
        let tokens = texts.iter().map(|text| self.wordpiece.encode(text, self.tokens));
        let vectors = self.model.encode(tokens).await;
        let vector = |weights: Vec<f32>| Vector { dimensions: (0..).take(weights.len()).collect(), weights };
        vectors.into_iter().map(vector).collect()
    }
}

/// Returns the text of a file of the model.
fn text(folder: &str, name: &str) -> Result<String> {
    let path = format!("{folder}/{name}");
    std::fs::read_to_string(&path).context(format!("cannot read {path}, which `cargo xtask models` fetches"))
}
