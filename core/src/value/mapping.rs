//! Values to and from the data model that serde's formats share. [`json`](super::json) and [`cbor`](super::cbor) are
//! thin fronts of this module: they only know how their format begins, ends, and fails.
//!
//! One seed reads ([`read`]) and one `Serialize` writes ([`write`]). Both go by the WIT type, and neither makes a tree
//! of the format's own values in between. A [`Reading`] goes along with each read: it knows the current place, the
//! bytes that values may still take, and the [`Notation`]. The differences between the notations follow from serde's
//! `is_human_readable`: text has no bytes and no NaN, so it writes them as strings. It also accepts strings for 64-bit
//! integers, because not everyone can write these as JSON numbers.

mod budget;
mod names;
mod read;
mod reading;
mod scalar;
mod trail;
mod words;
mod write;

#[cfg(test)]
mod tests;

use std::fmt;

pub(super) use budget::ReadRefusal;
pub(super) use read::{ParamsSeed, Seed};
pub(super) use reading::Reading;
pub(super) use words::{Notation, TypedNames};
#[doc(hidden)]
pub use write::Elements;
pub use write::Typed;

/// The error that a value is not of its declared type. It is a bug in the host, never the fault of a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a value does not fit its WIT type, which is a bug in the host: {message}")]
pub struct MismatchError {
    message: String,
}

impl MismatchError {
    #[doc(hidden)]
    pub fn new(error: impl fmt::Display) -> Self {
        MismatchError { message: error.to_string() }
    }
}
