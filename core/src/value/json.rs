//! JSON text to [`Value`]s and back, driven by the WIT type, without a tree of JSON values in between.
//!
//! | WIT | JSON |
//! |---|---|
//! | `record` | an object; a field whose type is an option may be missing |
//! | `variant` | `{"case": payload}`, or `"case"` if the case has no payload |
//! | `enum` | a string |
//! | `flags` | an array of strings, each at most once |
//! | `tuple` | an array of exactly its length |
//! | `option<T>` | `null` for none, else `T` |
//! | `option<option<T>>` | `null` for the outer none, else `{"some": …}` around the inner option, so that nothing is lost |
//! | `result<T, E>` | `{"ok": T}` or `{"err": E}`, with `null` for a side that has no type |
//! | `list<u8>` | a base64 string: standard alphabet, with padding |
//! | other lists | an array |
//! | `map<string, T>` | an object with any keys, each at most once |
//! | `map<K, T>` with other keys | the same: a key is an integer in decimal digits, `true`, `false`, or one character |
//! | `char` | a string of one character |
//! | `s64`, `u64` | a number; a decimal string is accepted too |
//! | smaller integers | a number |
//! | `f32`, `f64` | a number, rounded to the nearest; `"NaN"`, `"Infinity"`, `"-Infinity"` |
//! | `bool`, `string` | themselves |
//! | `stream<T>`, `future<T>` | as `list<T>` and as `T`, if the client asks for JSON |
//!
//! Every WIT name is written in snake_case, and read in snake_case or kebab-case. The keys of a map stay as they are.
//! Nothing is coerced: an integer is written in digits only (`1.0` and `1e3` are rejected for a `u32`, like 1.5). A
//! number that its type cannot hold is rejected, and so is an unknown, missing or repeated field. Each rejection
//! carries the JSON pointer of the place.
//!
//! JSON may nest 127 levels deep, which is more than a component's types can need. A few bytes of JSON can become many
//! bytes of values, so input from a stranger is read with a limit on the values.

mod error;

#[cfg(test)]
pub(crate) mod arbitrary;
#[cfg(test)]
pub(in crate::value) mod tests;

use serde::de::DeserializeSeed;

#[doc(hidden)]
pub use super::mapping::Elements;
pub use super::mapping::{MismatchError, Typed};
pub use error::{JsonError, JsonErrorKind};

use super::Value;
use super::mapping::{Notation, ParamsSeed, Reading, Seed};
use super::ty::{Member, Type};
use crate::memory::Reservation;

/// Reads a body: a JSON object keyed by parameter name. Returns the values in the order of `params`.
///
/// An empty body is accepted if there are no parameters.
///
/// # Errors
/// The body is not JSON, or does not fit the parameters' types. The error says which, where and why.
pub fn params_from_slice(params: &[Member], body: &[u8]) -> Result<Vec<Value>, JsonError> {
    params_within(params, body, usize::MAX)
}

/// Like [`params_from_slice`], with at most `limit` bytes for the values.
///
/// # Errors
/// The same, and if the values would take more than `limit`. The error is found before they do.
pub fn params_within(params: &[Member], body: &[u8], limit: usize) -> Result<Vec<Value>, JsonError> {
    read_params(params, body, &Reading::new(Notation::Json, limit))
}

/// Like [`params_within`], and adds the bytes that the values hold to `reservation`.
///
/// # Errors
/// The same, and if the host has no room for the values.
#[doc(hidden)]
pub fn params_reserving(
    params: &[Member],
    body: &[u8],
    limit: usize,
    reservation: &mut Reservation,
) -> Result<Vec<Value>, JsonError> {
    Reading::new(Notation::Json, limit).reserving(reservation, |reading| read_params(params, body, reading))
}

fn read_params(params: &[Member], body: &[u8], reading: &Reading) -> Result<Vec<Value>, JsonError> {
    if is_blank(body) {
        if params.is_empty() {
            return Ok(Vec::new());
        }
        return Err(JsonError::empty_body(params));
    }
    parse(ParamsSeed { params, reading }, reading, body)
}

/// Reads one value of type `ty`.
///
/// # Errors
/// The text is not JSON, or does not fit the type. The error says which, where and why.
pub fn value_from_slice(ty: &Type, text: &[u8]) -> Result<Value, JsonError> {
    value_within(ty, text, usize::MAX)
}

/// Like [`value_from_slice`], with at most `limit` bytes for the value.
///
/// # Errors
/// The same, and if the value would take more than `limit`. The error is found before it does.
pub fn value_within(ty: &Type, text: &[u8], limit: usize) -> Result<Value, JsonError> {
    let reading = Reading::new(Notation::Json, limit);
    parse(Seed { ty, reading: &reading }, &reading, text)
}

/// Like [`value_within`], and adds the bytes that the value holds to `reservation`.
///
/// # Errors
/// The same, and if the host has no room for the value.
#[doc(hidden)]
pub fn value_reserving(
    ty: &Type,
    text: &[u8],
    limit: usize,
    reservation: &mut Reservation,
) -> Result<Value, JsonError> {
    Reading::new(Notation::Json, limit).reserving(reservation, |reading| parse(Seed { ty, reading }, reading, text))
}

/// Appends `value`, which is of type `ty`, to `out` as compact JSON.
///
/// # Errors
/// The value is not of that type, which is a bug in the host. `out` is then unchanged.
pub fn write(ty: &Type, value: &Value, out: &mut Vec<u8>) -> Result<(), MismatchError> {
    let start = out.len();
    write_to(ty, value, &mut *out).inspect_err(|_| out.truncate(start))
}

/// Writes `value`, which is of type `ty`, to `out` as compact JSON.
///
/// # Errors
/// The same as for [`write()`], or `out` rejects the bytes.
pub(crate) fn write_to(ty: &Type, value: &Value, out: impl std::io::Write) -> Result<(), MismatchError> {
    serde_json::to_writer(out, &Typed { ty, value }).map_err(MismatchError::new)
}

/// Appends element `index` of a list to `out` as compact JSON.
///
/// # Errors
/// The list is of another type, or has no element `index`.
#[doc(hidden)]
pub fn write_element(
    elements: &Elements<'_>,
    index: usize,
    out: &mut impl std::io::Write,
) -> Result<(), MismatchError> {
    elements.serialize(index, &mut serde_json::Serializer::new(out)).map_err(MismatchError::new)
}

/// A text without the byte order mark that it may begin with, which RFC 8259 (8.1) allows to ignore.
#[doc(hidden)]
pub fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text)
}

/// Returns true if a text has only parts that JSON ignores around a value: a byte order mark and white space (RFC 8259, 2).
#[doc(hidden)]
pub fn is_blank(text: &[u8]) -> bool {
    without_mark(text).iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
}

fn parse<'a, S: DeserializeSeed<'a>>(seed: S, reading: &Reading, text: &'a [u8]) -> Result<S::Value, JsonError> {
    let text = without_mark(text);
    let text = str::from_utf8(text).map_err(|error| JsonError::not_utf8(text, error))?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = seed.deserialize(&mut deserializer).map_err(|error| JsonError::new(&error, reading))?;
    deserializer.end().map_err(|error| JsonError::new(&error, reading))?;
    Ok(value)
}
