//! Maps: objects with any keys of one type.

use std::fmt;
use std::str::FromStr;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

use super::{Seed, no_string};
use crate::value::mapping::reading::Reading;
use crate::value::mapping::scalar::canonical;
use crate::value::mapping::words::{Notation, clip};
use crate::value::ty::Type;
use crate::value::{Value, entries};

/// Reads a map.
pub(super) struct Map<'a> {
    pub ty: &'a Type,
    pub key: &'a Type,
    pub value: &'a Type,
    pub reading: &'a Reading,
}

impl<'de> Visitor<'de> for Map<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reading.words(self.ty))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Err(no_string(text, &self))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let Map { key, value, reading, .. } = self;
        let mut read = Vec::new();
        while let Some(key) = map.next_key_seed(KeySeed { ty: key, reading })? {
            reading.make_room(&mut read, 1)?;
            let value = map.next_value_seed(Seed { ty: value, reading }).inspect_err(|_| reading.key(&text(&key)))?;
            read.push((key, value));
        }
        reading.trim(&mut read);
        reading.for_a_while(|| reading.pay(read.len().saturating_mul(entries::SEEN)))?;
        if let Some(key) = entries::repeated(&read) {
            let key = text(key);
            reading.key(&key);
            return Err(A::Error::custom(format_args!("the key `{}` is given twice", clip(&key))));
        }
        Ok(Value::Map(read))
    }
}

/// Returns a key as JSON writes it.
fn text(key: &Value) -> String {
    match key {
        Value::Bool(value) => value.to_string(),
        Value::S8(value) => value.to_string(),
        Value::U8(value) => value.to_string(),
        Value::S16(value) => value.to_string(),
        Value::U16(value) => value.to_string(),
        Value::S32(value) => value.to_string(),
        Value::U32(value) => value.to_string(),
        Value::S64(value) => value.to_string(),
        Value::U64(value) => value.to_string(),
        Value::Char(value) => value.to_string(),
        Value::String(value) => value.to_string(),
        _ => String::new(),
    }
}

/// Reads a key. JSON has only strings as keys, so there a bool or an integer is written in a string.
struct KeySeed<'a> {
    ty: &'a Type,
    reading: &'a Reading,
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match (self.reading.notation(), self.ty) {
            (Notation::Cbor, _) | (Notation::Json, Type::String) => {
                Seed { ty: self.ty, reading: self.reading }.deserialize(deserializer)
            }
            (Notation::Json, _) => deserializer.deserialize_any(self),
        }
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a key: {}, as a string", self.reading.words(self.ty))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        let found = match self.ty {
            Type::Bool => text.parse().ok().map(Value::Bool),
            Type::S8 => integer(text).map(Value::S8),
            Type::U8 => integer(text).map(Value::U8),
            Type::S16 => integer(text).map(Value::S16),
            Type::U16 => integer(text).map(Value::U16),
            Type::S32 => integer(text).map(Value::S32),
            Type::U32 => integer(text).map(Value::U32),
            Type::S64 => integer(text).map(Value::S64),
            Type::U64 => integer(text).map(Value::U64),
            Type::Char => text.parse().ok().map(Value::Char),
            _ => None,
        };
        found.ok_or_else(|| {
            self.reading.key(text);
            E::custom(format_args!("bad key `{}`, expected {}", clip(text), self.reading.words(self.ty)))
        })
    }
}

/// Parses an integer in digits. Only one text is valid for each integer, so that no key has two spellings.
fn integer<T: FromStr>(text: &str) -> Option<T> {
    canonical(text)?.parse().ok()
}
