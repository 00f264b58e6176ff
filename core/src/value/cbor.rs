//! CBOR (RFC 8949) to [`Value`]s and back, driven by the WIT type. The rules are those of [`json`](super::json), except
//! where a binary notation has its own:
//!
//! | WIT | CBOR |
//! |---|---|
//! | `list<u8>` | a byte string |
//! | integers | an integer, of 64 bits too |
//! | `f32`, `f64` | a float of any width, NaN and the infinities too, or an integer; written as a float of its own width |
//! | names, `string`, `char` | a text string |
//! | `map<K, T>` | a map whose keys are written as any `K` is |
//!
//! A text string is never read as a number or as bytes. Lengths may be indefinite. Names are text strings. Tags are
//! rejected, except those of integers of more than 64 bits, which may stand for a float. CBOR may nest at least 127
//! levels deep.

mod error;
mod reader;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use cbor4ii::serde::{Deserializer, to_writer};
use serde::de::DeserializeSeed;

pub use self::error::{CborError, CborErrorKind};
use self::reader::CborReader;
use super::Value;
use super::mapping::{MismatchError, Notation, ParamsSeed, Reading, Seed, Typed};
use super::ty::{Member, Type};
use crate::memory::Reservation;

/// Reads a body: a CBOR map keyed by parameter name. Returns the values in the order of `params`. They may take at most
/// `limit` bytes, and large byte strings share the memory of `body`.
///
/// An empty body is accepted if there are no parameters.
///
/// # Errors
/// The body is not CBOR, does not fit the parameters' types, or its values would take more than `limit`. The error says
/// which, where and why.
pub fn params_within(params: &[Member], body: &Bytes, limit: usize) -> Result<Vec<Value>, CborError> {
    read_params(params, body, &Reading::new(Notation::Cbor, limit).sharing(body))
}

/// Like [`params_within`], and adds the bytes that the values hold beside the body to `reservation`.
///
/// # Errors
/// The same, and if the host has no room for the values.
pub(crate) fn params_reserving(
    params: &[Member],
    body: &Bytes,
    limit: usize,
    reservation: &mut Reservation,
) -> Result<Vec<Value>, CborError> {
    let reading = Reading::new(Notation::Cbor, limit).sharing(body);
    reading.reserving(reservation, |reading| read_params(params, body, reading))
}

fn read_params(params: &[Member], body: &Bytes, reading: &Reading) -> Result<Vec<Value>, CborError> {
    if body.is_empty() {
        return if params.is_empty() { Ok(Vec::new()) } else { Err(CborError::empty_body(params)) };
    }
    parse(ParamsSeed { params, reading }, reading, body)
}

/// Reads one value of type `ty`, which may take at most `limit` bytes. Large byte strings share the memory of `bytes`.
///
/// # Errors
/// The same as for [`params_within`].
pub fn value_within(ty: &Type, bytes: &Bytes, limit: usize) -> Result<Value, CborError> {
    let reading = Reading::new(Notation::Cbor, limit).sharing(bytes);
    parse(Seed { ty, reading: &reading }, &reading, bytes)
}

/// Appends `value`, which is of type `ty`, to `out` as CBOR.
///
/// # Errors
/// The value is not of that type, which is a bug in the host. `out` is then unchanged.
pub fn write(ty: &Type, value: &Value, out: &mut Vec<u8>) -> Result<(), MismatchError> {
    let start = out.len();
    write_to(ty, value, &mut *out).inspect_err(|_| out.truncate(start))
}

/// Writes `value`, which is of type `ty`, to `out` as CBOR.
///
/// # Errors
/// The same as for [`write()`], or `out` rejects the bytes.
pub(crate) fn write_to(ty: &Type, value: &Value, out: &mut impl std::io::Write) -> Result<(), MismatchError> {
    to_writer(out, &Typed { ty, value }).map_err(|error| match error {
        cbor4ii::serde::EncodeError::Custom(message) => MismatchError::new(message),
        error => MismatchError::new(error),
    })
}

fn parse<'a, S: DeserializeSeed<'a>>(seed: S, reading: &Reading, bytes: &'a [u8]) -> Result<S::Value, CborError> {
    let mut deserializer = Deserializer::new(CborReader::new(bytes));
    let value = seed.deserialize(&mut deserializer);
    let reader = deserializer.into_inner();
    let value = value.map_err(|error| CborError::new(error, reader.offset(), reading))?;
    match reader.is_at_the_end() {
        true => Ok(value),
        false => Err(CborError::trailing(reader.offset())),
    }
}
