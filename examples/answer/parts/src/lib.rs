//! The parts of the answer example that need no host: plain functions with plain tests.
//!
//! - [`passages`] cuts a document into passages, and [`embedding`] turns a text into a vector.
//! - [`merge`] makes one list of the lists of several retrievers.
//! - [`prompt`] writes the model's input.
//! - [`Delta`] is the content of one event from a model's server.
//! - [`Cache`] keeps the last answers, and [`Turns`] lets one call at a time work on an answer.

mod cache;
mod delta;
mod documents;
mod embedding;
mod merge;
mod prompt;
mod turns;

pub use cache::Cache;
pub use delta::Delta;
pub use documents::{Document, Passage, documents, passages};
pub use embedding::{DIMENSIONS, cosine, embedding};
pub use merge::{Found, merge};
pub use prompt::{SYSTEM, normal, prompt};
pub use turns::{Turn, Turns};
