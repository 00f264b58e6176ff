//! Values to and from the data model that serde's formats share: what [`json`](super::json) and [`cbor`](super::cbor) have in
//! common. They are thin fronts to it, which know how their format is opened, ends, and fails.
//!
//! Reading is one seed ([`read`]), writing one `Serialize` ([`write`]); both are driven by the WIT type, and neither makes a
//! tree of the format's own values in between. What a [`Reading`] has along says where it is, what it may still make, and
//! which [`Notation`] it reads. What the notations do in different ways follows from serde's `is_human_readable`: text has
//! no bytes, no NaN and no 64-bit integers that everyone can read, and says so in strings.

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

pub(super) use budget::Refused;
pub(super) use read::{Params, Seed};
pub(super) use reading::Reading;
pub(super) use words::{Notation, TypedNames};
pub(crate) use write::Elements;
pub use write::Typed;

/// A value that is not of the type it was said to have: a bug in the host, never the fault of a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a value does not fit its WIT type, which is a bug in the host: {message}")]
pub struct MismatchError {
    message: String,
}

impl MismatchError {
    pub(crate) fn new(error: impl fmt::Display) -> Self {
        MismatchError { message: error.to_string() }
    }
}
