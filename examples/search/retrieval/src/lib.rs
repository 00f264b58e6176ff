//! The mathematics of a search in a book, as plain functions that do not use chainlets.
//!
//! A question passes these parts, in this order:
//!
//! - [`chapters`] splits the book, and [`passages`] cuts a chapter into windows of sentences.
//! - [`vector`] turns a text into a sparse vector of its [`terms`].
//! - [`index`] keeps the vectors of all passages, and finds those that fit.
//! - [`rank`] looks closely at one passage: are the words of the question close together there?
//! - [`question`] checks questions, and [`best`] puts the answer in order.
//!
//! A question can find a passage only if both were cut into terms in the same way. So the rules for English ([`terms`],
//! [`sentences`]) are in this crate, and each chainlet compiles it in.

pub mod index;
pub mod question;

mod book;
mod highlight;
mod merge;
mod nearness;
mod sentence;
mod stop_words;
mod term;
mod vector;
mod window;

pub use book::{Chapter, chapters};
pub use merge::{Finding, best};
pub use nearness::{Ranking, rank};
pub use sentence::sentences;
pub use term::{Term, terms};
pub use vector::{Vector, vector};
pub use window::{Size, passages};
