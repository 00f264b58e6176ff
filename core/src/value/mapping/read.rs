//! Text to values: one seed, which picks a visitor by type.
//!
//! Reading takes no stack or memory out of proportion to the input. The format's deserializer limits the depth, no
//! declared length is trusted before the elements have been read, and everything that is made was paid for out of the
//! [`Reading`]'s budget.

mod fields;
mod lists;
mod maps;
mod sums;

use base64::engine::general_purpose::STANDARD;
use base64::{DecodeError, Engine};
use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, Error, Expected, Unexpected, Visitor};
use std::fmt;
use std::sync::Arc;

use super::names::NameSeed;
use super::reading::Reading;
use super::scalar::{ReadScalar, ScalarSeed};
use super::words::{Notation, clip};
use crate::value::packed::Layout;
use crate::value::stream::Stream;
use crate::value::ty::{DeclaredType, Type};
use crate::value::{List, Value};

pub(in crate::value) use fields::ParamsSeed;

/// Reads a value of type `ty`. After an error, `reading` tells its place.
#[derive(Clone, Copy)]
pub(in crate::value) struct Seed<'a> {
    pub ty: &'a Type,
    pub reading: &'a Reading,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let Seed { ty, reading } = self;
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
            Type::String => deserializer.deserialize_any(Text { reading }).map(Value::String),
            Type::List(inner) => self.list(inner, deserializer).map(Value::List),
            Type::Stream(inner) => self.list(inner, deserializer).map(Stream::of).map(Value::Stream),
            Type::Future(inner) => self.future(inner, deserializer).map(Value::Future),
            Type::Map { key, value } => deserializer.deserialize_any(maps::Map { ty, key, value, reading }),
            Type::Tuple(types) => deserializer.deserialize_any(lists::Tuple { ty, types, reading }),
            Type::Option(inner) if matches!(**inner, Type::Option(_)) => {
                deserializer.deserialize_any(sums::NestedOption { ty, inner, reading })
            }
            Type::Option(inner) => deserializer.deserialize_option(sums::PlainOption { ty, inner, reading }),
            Type::Result { ok, err } => deserializer.deserialize_any(sums::Sides { ty, ok, err, reading }),
            Type::Record(declared) => deserializer.deserialize_any(fields::Record { ty, declared, reading }),
            Type::Variant(declared) => deserializer.deserialize_any(sums::Variant { ty, declared, reading }),
            Type::Enum(declared) => enum_case(declared, deserializer),
            Type::Flags(declared) => deserializer.deserialize_any(lists::FlagNames { ty, declared, reading }),
            Type::Unsupported(_) => Err(D::Error::custom(format_args!("expected {}", reading.words(ty)))),
        }
    }
}

impl Seed<'_> {
    fn list<'de, D: Deserializer<'de>>(self, inner: &Type, deserializer: D) -> Result<List, D::Error> {
        match inner {
            Type::U8 => deserializer.deserialize_any(Blob { reading: self.reading }).map(List::U8),
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
                    .deserialize_any(lists::Rows { ty: self.ty, inner, layout: &layout, reading: self.reading })
                    .map(List::Packed),
                None => self.elements(Seed { ty: inner, ..self }, deserializer).map(List::Values),
            },
        }
    }

    /// Reads a future that already has its value.
    fn future<'de, D: Deserializer<'de>>(self, inner: &Type, deserializer: D) -> Result<Stream, D::Error> {
        let value = Seed { ty: inner, ..self }.deserialize(deserializer)?;
        let list = List::of(inner, vec![value]);
        list.map(Stream::of).ok_or_else(|| D::Error::custom("a value is not of its type, which is a bug in the host"))
    }

    fn packed<'de, D: Deserializer<'de>, T: ReadScalar>(self, deserializer: D) -> Result<Vec<T>, D::Error> {
        self.elements(ScalarSeed::new(), deserializer)
    }

    fn elements<'de, D, S>(self, seed: S, deserializer: D) -> Result<Vec<S::Value>, D::Error>
    where
        D: Deserializer<'de>,
        S: DeserializeSeed<'de> + Copy,
    {
        deserializer.deserialize_any(lists::ElementsSeed { ty: self.ty, seed, reading: self.reading })
    }
}

fn scalar<'de, D: Deserializer<'de>, T: ReadScalar>(deserializer: D) -> Result<T, D::Error> {
    ScalarSeed::new().deserialize(deserializer)
}

fn enum_case<'de, D: Deserializer<'de>>(declared: &DeclaredType, deserializer: D) -> Result<Value, D::Error> {
    let seed = NameSeed { members: &declared.members, noun: "case", likely: 0, key_of: None };
    case_index(seed.deserialize(deserializer)?.index).map(Value::Enum)
}

/// Converts the index of a case to the type that [`Value`] uses.
fn case_index<E: Error>(index: usize) -> Result<u32, E> {
    u32::try_from(index).map_err(|_| E::custom("the type has more cases than a u32 counts"))
}

/// Makes the error of a visitor that takes no strings. It is like serde's, but shortens a long string.
fn no_string<E: Error>(text: &str, expected: &dyn Expected) -> E {
    E::invalid_type(Unexpected::Str(clip(text)), expected)
}

/// Reads a string.
struct Text<'a> {
    reading: &'a Reading,
}

impl Visitor<'_> for Text<'_> {
    type Value = Box<str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reading.words(&Type::String))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Box<str>, E> {
        self.reading.pay(text.len())?;
        Ok(text.into())
    }
}

/// Reads a `list<u8>`: bytes if the notation has them, else base64.
struct Blob<'a> {
    reading: &'a Reading,
}

impl<'de> Visitor<'de> for Blob<'_> {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reading.words(&Type::List(Arc::new(Type::U8))))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
        self.reading.pay(bytes.len())?;
        Ok(self.reading.bytes(bytes))
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
        self.reading.pay(bytes.len())?;
        Ok(bytes.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Bytes, E> {
        if self.reading.notation() == Notation::Cbor {
            return Err(no_string(text, &self));
        }
        self.reading.pay(text.len() / 4 * 3)?;
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
