//! Rust types to [`Value`]s and back, for programs that embed the host.
//!
//! All conversions go through JSON, so one mapping applies everywhere: the rules of [`json`] hold here, too. For types
//! with derived `Serialize` and `Deserialize` that means:
//!
//! - A struct is a record; an enum is a variant or an enum, with `#[serde(rename_all = "snake_case")]`.
//! - A `list<u8>` is a base64 string: put `#[serde(with = "chainhost::value::rust::base64")]` on a field that holds
//!   bytes.
//! - A WIT `result` inside a value is an enum of your own with the cases `ok` and `err`, because serde spells the cases
//!   of [`Result`] differently.
//! - Flags are a `Vec` of names.
//! - A map is a `BTreeMap` or `HashMap` with keys of the same type.
//! - NaN and the infinities do not pass: serde_json writes them as null, which is rejected, or is none for an option.
//!
//! ```
//! # use chainhost_core as chainhost;
//! use chainhost::value::ty::{Member, Name, Type};
//! use chainhost::value::{Value, rust};
//!
//! #[derive(serde::Serialize)]
//! struct Args {
//!     name: &'static str,
//!     top_k: u32,
//! }
//!
//! let param = |name, ty| Member { name: Name::new(name), ty: Some(ty), docs: None };
//! let params = [param("name", Type::String), param("top-k", Type::U32)];
//! let values = rust::to_values(&params, &Args { name: "world", top_k: 3 })?;
//! assert_eq!(values, [Value::from("world"), Value::U32(3)]);
//!
//! let answer: String = rust::from_value(&Type::String, &Value::from("hello"))?;
//! assert_eq!(answer, "hello");
//! # Ok::<(), rust::RustError>(())
//! ```

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Value;
use super::json::{self, JsonError, MismatchError};
use super::ty::{Member, Type};

/// The error that Rust data does not fit a WIT type, or a value does not fit a Rust type.
#[derive(Debug, thiserror::Error)]
pub enum RustError {
    /// The arguments cannot be written as JSON, for example a map whose keys are tuples.
    #[error("the arguments cannot be written as JSON: {0}")]
    Unwritable(#[source] serde_json::Error),
    /// The arguments do not fit the parameters.
    #[error("the arguments do not fit the parameters: {0}")]
    Arguments(#[source] JsonError),
    /// The value is not of its declared type.
    #[error(transparent)]
    Mismatch(#[from] MismatchError),
    /// The value does not fit the Rust type.
    #[error("the value does not fit the Rust type {rust}: {source}")]
    Value {
        /// The name of the Rust type.
        rust: &'static str,
        /// The error of serde_json, with its place and reason.
        source: serde_json::Error,
    },
}

/// Reads the values of `params` from `args`: a struct or a map keyed by parameter name, or `()` if there are none.
///
/// # Errors
/// [`RustError::Unwritable`] or [`RustError::Arguments`].
pub fn to_values<T: Serialize + ?Sized>(params: &[Member], args: &T) -> Result<Vec<Value>, RustError> {
    let text = serde_json::to_vec(args).map_err(RustError::Unwritable)?;
    if params.is_empty() && text == b"null" {
        return Ok(Vec::new());
    }
    json::params_from_slice(params, &text).map_err(RustError::Arguments)
}

/// Converts `value`, which is of type `ty`, to a `T`.
///
/// # Errors
/// [`RustError::Value`], or [`RustError::Mismatch`] if `value` is not of type `ty`.
pub fn from_value<T: DeserializeOwned>(ty: &Type, value: &Value) -> Result<T, RustError> {
    let mut text = Vec::new();
    json::write(ty, value, &mut text)?;
    serde_json::from_slice(&text).map_err(|source| RustError::Value { rust: std::any::type_name::<T>(), source })
}

/// Bytes in the form of a `list<u8>`: put `#[serde(with = "chainhost::value::rust::base64")]` on a field of type
/// `Vec<u8>`, `Bytes`, `Box<[u8]>` and the like.
pub mod base64 {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    /// Writes `bytes` as a base64 string.
    ///
    /// # Errors
    /// The serializer fails.
    pub fn serialize<T: AsRef<[u8]>, S: Serializer>(bytes: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    /// Reads bytes from a base64 string: standard alphabet, with padding.
    ///
    /// # Errors
    /// The input is not a string, or the string is not base64.
    pub fn deserialize<'de, T: From<Vec<u8>>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map(T::from).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::value::json::arbitrary::member;
    use crate::value::ty::DeclaredType;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Document {
        doc_id: u64,
        #[serde(with = "super::base64")]
        raw: Vec<u8>,
        note: Option<String>,
        state: State,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum State {
        NotRead,
        ReadUpTo(u32),
    }

    fn document() -> Type {
        let declared = |members| Arc::new(DeclaredType { name: None, docs: None, members });
        let state = Type::Variant(declared(vec![member("not-read", None), member("read-up-to", Some(Type::U32))]));
        Type::Record(declared(vec![
            member("doc-id", Some(Type::U64)),
            member("raw", Some(Type::List(Arc::new(Type::U8)))),
            member("note", Some(Type::Option(Arc::new(Type::String)))),
            member("state", Some(state)),
        ]))
    }

    #[test]
    fn rust_types_go_to_values_and_back() {
        #[derive(Serialize)]
        struct Args<'a> {
            document: &'a Document,
        }
        let ty = document();
        for state in [State::NotRead, State::ReadUpTo(7)] {
            let before = Document { doc_id: u64::MAX, raw: vec![0, 255, 1], note: None, state };
            let values = to_values(&[member("document", Some(ty.clone()))], &Args { document: &before }).unwrap();
            let after: Document = from_value(&ty, &values[0]).unwrap();
            assert_eq!(before, after);
        }
    }

    #[test]
    fn rust_maps_go_to_values_and_back() {
        type Inner = BTreeMap<i8, BTreeMap<bool, BTreeMap<char, u64>>>;
        let map = |key: Type, value: Type| Type::Map { key: key.into(), value: value.into() };
        let ty = map(Type::String, map(Type::S8, map(Type::Bool, map(Type::Char, Type::U64))));
        let inner = BTreeMap::from([(-1_i8, BTreeMap::from([(true, BTreeMap::from([('ß', u64::MAX)]))]))]);
        let before = BTreeMap::from([(String::new(), inner), ("Any-key".to_owned(), BTreeMap::new())]);
        let values = to_values(&[member("m", Some(ty.clone()))], &BTreeMap::from([("m", &before)])).unwrap();
        let after: BTreeMap<String, Inner> = from_value(&ty, &values[0]).unwrap();
        assert_eq!(before, after);
    }

    #[test]
    fn arguments_may_be_a_map_and_nothing_where_there_are_no_parameters() {
        let args = BTreeMap::from([("k", 3)]);
        assert_eq!(to_values(&[member("k", Some(Type::U8))], &args).unwrap(), [Value::U8(3)]);
        assert_eq!(to_values(&[], &()).unwrap(), []);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_place() {
        let params = [member("k", Some(Type::U8))];
        let error = to_values(&params, &BTreeMap::from([("k", 300)])).unwrap_err();
        assert!(error.to_string().starts_with("the arguments do not fit the parameters: "), "{error}");
        assert!(matches!(error, RustError::Arguments(JsonError { pointer, .. }) if pointer == "/k"));
        assert!(matches!(to_values(&params, &()), Err(RustError::Arguments(_))));
        assert!(matches!(to_values(&params, &BTreeMap::from([((1, 2), 3)])), Err(RustError::Unwritable(_))));
        let error = from_value::<bool>(&Type::U8, &Value::U8(1)).unwrap_err();
        assert!(error.to_string().starts_with("the value does not fit the Rust type bool: "), "{error}");
        assert!(matches!(from_value::<bool>(&Type::U8, &Value::Bool(true)), Err(RustError::Mismatch(_))));
    }
}
