//! The reasons why a model cannot be loaded.

use std::io;

use thiserror::Error;

/// The mistake in the files of a model.
#[derive(Debug, Error)]
pub enum Error {
    /// config.json is of another kind of model.
    #[error("config.json is not of a model that this can run: {0}")]
    Config(String),
    /// vocab.txt is not a list of tokens.
    #[error("vocab.txt has no token `{0}`")]
    Vocabulary(&'static str),
    /// model.safetensors has no readable header.
    #[error("model.safetensors has no header that can be read: {0}")]
    Header(String),
    /// A tensor is missing.
    #[error("model.safetensors has no tensor `{0}`")]
    Missing(String),
    /// A tensor has other sizes than config.json says, or other kinds of
    /// numbers.
    #[error("the tensor `{name}` is {found} in model.safetensors, and should be {expected}")]
    Mismatch {
        /// Its name.
        name: String,
        /// The sizes in the file.
        found: String,
        /// The sizes by config.json.
        expected: String,
    },
    /// The file cannot be read.
    #[error("model.safetensors cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// The device cannot hold the numbers.
    #[error("the tensor `{name}` cannot be kept: {reason}")]
    Unkept {
        /// The name of the tensor.
        name: String,
        /// The reason.
        reason: String,
    },
    /// The GPU cannot be used.
    #[error("the GPU cannot be used: {0}")]
    Gpu(#[from] chainlet::gpu::Error),
}
