//! JSON to values: one seed, which picks a visitor by type.
//!
//! Reading needs no stack or memory that the text did not pay for: serde_json bounds the depth, and no length is known
//! before its elements have been read.

mod fields;
mod lists;
mod sums;

use base64::engine::general_purpose::STANDARD;
use base64::{DecodeError, Engine};
use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, Error, Expected, Unexpected, Visitor};
use std::fmt;

use super::names::NameSeed;
use super::scalar::{Scalar, ScalarSeed};
use super::trail::Trail;
use super::words::{Words, clip};
use crate::value::packed::Layout;
use crate::value::stream::Stream;
use crate::value::ty::{Declared, Type};
use crate::value::{List, Value};

pub(super) use fields::Params;

/// Reads a value of type `ty`; on an error, `trail` tells where it was.
#[derive(Clone, Copy)]
pub(super) struct Seed<'a> {
    pub ty: &'a Type,
    pub trail: &'a Trail,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let Seed { ty, trail } = self;
        match ty {
            Type::Bool => scalar(deserializer).map(Value::Bool),
            Type::S8 => scalar(deserializer).map(Value::S8),
            Type::U8 => scalar(deserializer).map(Value::U8),
            Type::S16 => scalar(deserializer).map(Value::S16),
            Type::U16 => scalar(deserializer).map(Value::U16),
            Type::S32 => scalar(deserializer).map(Value::S32),
            Type::U32 => scalar(deserializer).map(Value::U32),
            Type::S64 => scalar(deserializer).map(Value::S64),
            Type::U64 => scalar(deserializer).map(Value::U64),
            Type::F32 => scalar(deserializer).map(Value::F32),
            Type::F64 => scalar(deserializer).map(Value::F64),
            Type::Char => scalar(deserializer).map(Value::Char),
            Type::String => deserializer.deserialize_any(Text).map(Value::String),
            Type::List(inner) => self.list(inner, deserializer).map(Value::List),
            Type::Stream(inner) => self.list(inner, deserializer).map(Stream::of).map(Value::Stream),
            Type::Future(inner) => self.future(inner, deserializer).map(Value::Future),
            Type::Tuple(types) => deserializer.deserialize_any(lists::Tuple { ty, types, trail }),
            Type::Option(inner) if matches!(**inner, Type::Option(_)) => {
                deserializer.deserialize_any(sums::NestedOption { ty, inner, trail })
            }
            Type::Option(inner) => deserializer.deserialize_option(sums::PlainOption { ty, inner, trail }),
            Type::Result { ok, err } => deserializer.deserialize_any(sums::Sides { ty, ok, err, trail }),
            Type::Record(declared) => deserializer.deserialize_any(fields::Record { ty, declared, trail }),
            Type::Variant(declared) => deserializer.deserialize_any(sums::Variant { ty, declared, trail }),
            Type::Enum(declared) => enum_case(declared, deserializer),
            Type::Flags(declared) => deserializer.deserialize_any(lists::FlagNames { ty, declared, trail }),
            Type::Unsupported(_) => Err(D::Error::custom(format_args!("expected {}", Words(ty)))),
        }
    }
}

impl Seed<'_> {
    fn list<'de, D: Deserializer<'de>>(self, inner: &Type, deserializer: D) -> Result<List, D::Error> {
        match inner {
            Type::U8 => deserializer.deserialize_any(Base64).map(List::U8),
            Type::Bool => self.packed(deserializer).map(List::Bool),
            Type::S8 => self.packed(deserializer).map(List::S8),
            Type::S16 => self.packed(deserializer).map(List::S16),
            Type::U16 => self.packed(deserializer).map(List::U16),
            Type::S32 => self.packed(deserializer).map(List::S32),
            Type::U32 => self.packed(deserializer).map(List::U32),
            Type::S64 => self.packed(deserializer).map(List::S64),
            Type::U64 => self.packed(deserializer).map(List::U64),
            Type::F32 => self.packed(deserializer).map(List::F32),
            Type::F64 => self.packed(deserializer).map(List::F64),
            Type::Char => self.packed(deserializer).map(List::Char),
            _ => match Layout::of(inner) {
                Some(layout) => deserializer
                    .deserialize_any(lists::Rows { ty: self.ty, inner, layout: &layout, trail: self.trail })
                    .map(List::Packed),
                None => self.elements(Seed { ty: inner, ..self }, deserializer).map(List::Values),
            },
        }
    }

    /// A future that has come to its value already.
    fn future<'de, D: Deserializer<'de>>(self, inner: &Type, deserializer: D) -> Result<Stream, D::Error> {
        let value = Seed { ty: inner, ..self }.deserialize(deserializer)?;
        let list = List::of(inner, vec![value]);
        list.map(Stream::of).ok_or_else(|| D::Error::custom("a value is not of its type, which is a bug in the host"))
    }

    fn packed<'de, D: Deserializer<'de>, T: Scalar>(self, deserializer: D) -> Result<Vec<T>, D::Error> {
        self.elements(ScalarSeed::new(), deserializer)
    }

    fn elements<'de, D, S>(self, seed: S, deserializer: D) -> Result<Vec<S::Value>, D::Error>
    where
        D: Deserializer<'de>,
        S: DeserializeSeed<'de> + Copy,
    {
        deserializer.deserialize_any(lists::Elements { ty: self.ty, seed, trail: self.trail })
    }
}

fn scalar<'de, D: Deserializer<'de>, T: Scalar>(deserializer: D) -> Result<T, D::Error> {
    ScalarSeed::new().deserialize(deserializer)
}

fn enum_case<'de, D: Deserializer<'de>>(declared: &Declared, deserializer: D) -> Result<Value, D::Error> {
    let seed = NameSeed { members: &declared.members, noun: "case", likely: 0, key_of: None };
    case_index(seed.deserialize(deserializer)?.index).map(Value::Enum)
}

/// The index of a case as [`Value`] has it.
fn case_index<E: Error>(index: usize) -> Result<u32, E> {
    u32::try_from(index).map_err(|_| E::custom("the type has more cases than a u32 counts"))
}

/// What a visitor that takes no string says about one: as serde would, but without repeating a long one in full.
fn no_string<E: Error>(text: &str, expected: &dyn Expected) -> E {
    E::invalid_type(Unexpected::Str(clip(text)), expected)
}

/// Reads a string.
struct Text;

impl Visitor<'_> for Text {
    type Value = Box<str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Words(&Type::String))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Box<str>, E> {
        Ok(text.into())
    }
}

/// Reads a `list<u8>`.
struct Base64;

impl Visitor<'_> for Base64 {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("list<u8> (a base64 string)")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Bytes, E> {
        STANDARD.decode(text).map(Bytes::from).map_err(|error| {
            E::custom(format_args!(
                "bad base64 for a list<u8>: {}; expected the standard alphabet (`+` and `/`) with `=` padding",
                base64_fault(text, error)
            ))
        })
    }
}

fn base64_fault(text: &str, error: DecodeError) -> String {
    match error {
        DecodeError::InvalidByte(at, _) => match text.get(at..).and_then(|rest| rest.chars().next()) {
            Some(character) => format!("{character:?} has no place at offset {at}"),
            None => format!("something has no place at offset {at}"),
        },
        DecodeError::InvalidLength(length) => format!("{length} characters are one too many or too few"),
        DecodeError::InvalidLastSymbol(at, _) => format!("the character at offset {at} has bits left over"),
        DecodeError::InvalidPadding => "the padding is missing or wrong".to_owned(),
    }
}
