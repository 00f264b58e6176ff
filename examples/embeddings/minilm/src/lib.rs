//! The sentence-embedding model all-MiniLM-L6-v2: a text becomes 384 numbers, and texts that mean nearly the same become
//! nearly the same numbers.
//!
//! In the order in which a text meets them:
//!
//! - [`WordPiece`] cuts it into tokens: words, and pieces of rare words.
//! - [`Batch`] puts the tokens of many texts one after another, so that they are computed at once and none is padded.
//! - [`cpu`] runs the model over a batch on the processor, [`gpu`] on a GPU. Both read the same [`Weights`], and do the
//!   same steps in the same order.
//!
//! The model is BERT: a vector for each token, then six layers of which each lets every token look at the others
//! (attention) and then thinks about each token alone (two matrices with a bend between them). What the text means is the
//! mean of its tokens' vectors, at length 1.

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
