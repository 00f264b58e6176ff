//! The mathematics of a search in a book, as plain functions that know nothing of chainlets.
//!
//! In the order in which a question meets them:
//!
//! - [`chapters`] takes the book apart, and [`passages`] cuts a chapter into windows of sentences.
//! - [`vector`] turns a text into a sparse vector of its [`terms`].
//! - [`index`] keeps the vectors of all passages, and finds those that fit.
//! - [`rank`] looks closely at one passage: do the words of the question stand together there?
//! - [`question`] says what may be asked, and [`best`] puts the answer in order.
//!
//! Passages and questions meet only if both were cut into the same terms, so what is known about
//! English ([`terms`], [`sentences`]) is here once, and each chainlet compiles it in.

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
