//! The sizes of a model, from its config.json.

use serde::Deserialize;

use crate::Error;

/// The numbers of a token's vector that one head of attention uses. The kernels are written for this number, which is
/// the same in all models of this family.
pub(crate) const HEAD: usize = 32;

/// The sizes of a model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// The number of tokens that the model knows.
    pub vocabulary: usize,
    /// The most tokens of a text.
    pub positions: usize,
    /// The length of a token's vector, and of a text's.
    pub width: usize,
    /// The length of a token's vector between the two matrices of a layer.
    pub inner: usize,
    /// The number of layers.
    pub layers: usize,
    /// A small number that keeps a norm from dividing by zero.
    pub epsilon: f32,
}

/// The keys of config.json that decide what is computed.
#[derive(Deserialize)]
struct Config {
    model_type: String,
    hidden_act: String,
    position_embedding_type: String,
    vocab_size: usize,
    max_position_embeddings: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    layer_norm_eps: f32,
}

impl Shape {
    /// Reads the text of config.json.
    ///
    /// # Errors
    /// Fails if it belongs to a model that computes something else.
    pub fn read(config: &str) -> Result<Self, Error> {
        let config: Config = serde_json::from_str(config).map_err(|error| Error::Config(error.to_string()))?;
        let expect = |name: &str, found: &str, expected: &str| {
            let message = || Error::Config(format!("`{name}` is {found}, and should be {expected}"));
            if found == expected { Ok(()) } else { Err(message()) }
        };
        expect("model_type", &config.model_type, "bert")?;
        expect("hidden_act", &config.hidden_act, "gelu")?;
        expect("position_embedding_type", &config.position_embedding_type, "absolute")?;
        let heads = config.hidden_size / HEAD;
        expect("num_attention_heads", &config.num_attention_heads.to_string(), &heads.to_string())?;
        // A workgroup computes 64 numbers of each row, and a norm reads 128 at a time.
        if !config.hidden_size.is_multiple_of(128) || !config.intermediate_size.is_multiple_of(64) {
            let (width, inner) = (config.hidden_size, config.intermediate_size);
            return Err(Error::Config(format!(
                "`hidden_size` is {width} and `intermediate_size` {inner}, and should be multiples of 128 and 64"
            )));
        }
        Ok(Shape {
            vocabulary: config.vocab_size,
            positions: config.max_position_embeddings,
            width: config.hidden_size,
            inner: config.intermediate_size,
            layers: config.num_hidden_layers,
            epsilon: config.layer_norm_eps,
        })
    }

    /// Returns the number of heads of attention in each layer.
    #[must_use]
    pub fn heads(&self) -> usize {
        self.width / HEAD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{
        "model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute", "vocab_size": 30522,
        "max_position_embeddings": 512, "hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 6,
        "num_attention_heads": 12, "layer_norm_eps": 1e-12, "use_cache": true
    }"#;

    #[test]
    fn the_sizes_are_those_of_the_file() {
        let shape = Shape::read(CONFIG).unwrap();
        assert_eq!((shape.width, shape.inner, shape.layers, shape.heads()), (384, 1536, 6, 12));
        assert_eq!((shape.vocabulary, shape.positions), (30522, 512));
    }

    #[test]
    fn a_model_of_another_kind_is_refused() {
        for (right, wrong) in [
            ("\"bert\"", "\"gpt2\""),
            ("\"gelu\"", "\"relu\""),
            ("\"absolute\"", "\"relative_key\""),
            ("heads\": 12", "heads\": 6"),
            ("hidden_size\": 384", "hidden_size\": 100"),
            ("vocab_size", "vocabulary"),
        ] {
            let config = CONFIG.replace(right, wrong);
            assert_ne!(config, CONFIG);
            assert!(matches!(Shape::read(&config), Err(Error::Config(_))), "{wrong}");
        }
    }
}
