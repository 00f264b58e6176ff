//! The sentence-embedding model all-MiniLM-L6-v2. It turns a text into 384 numbers. Texts of nearly the same meaning
//! get nearly the same numbers.
//!
//! A text passes these parts, in this order:
//!
//! - [`WordPiece`] cuts it into tokens: words, and pieces of rare words.
//! - [`Batch`] puts the tokens of many texts one after another, so that they are computed at once and none is padded.
//! - [`cpu`] runs the model over a batch on the processor, [`gpu`] on a GPU. Both read the same [`Weights`], and do the
//!   same steps in the same order.
//!
//! The model is BERT. Each token has a vector, which goes through six layers. In each layer, every token first looks at
//! the others (attention); then each token is computed alone (two matrices with a curve between them). The vector of a
//! text is the mean of its tokens' vectors, scaled to length 1.

mod batch;
pub mod cpu;
mod error;
pub mod gpu;
mod shape;
mod weights;
mod wordpiece;

pub use batch::{Batch, batches};
pub use error::Error;
pub use shape::Shape;
pub use weights::{Layer, Linear, Norm, Place, Weights};
pub use wordpiece::WordPiece;
