//! Arrays: lists, tuples, flags.

use std::fmt;

use serde::de::{DeserializeSeed, Error, IgnoredAny, SeqAccess, Visitor};

use super::{Seed, no_string};
use crate::value::mapping::names::NameSeed;
use crate::value::mapping::reading::Reading;
use crate::value::packed::{Layout, Packed};
use crate::value::ty::{DeclaredType, Type};
use crate::value::{Flags, Value};

/// Reads the elements of a list, each with `seed`.
pub(super) struct ElementsSeed<'a, S> {
    pub ty: &'a Type,
    pub seed: S,
    pub reading: &'a Reading,
}

/// Reads the elements of a list of records or tuples of plain data.
pub(super) struct Rows<'a> {
    pub ty: &'a Type,
    pub inner: &'a Type,
    pub layout: &'a Layout,
    pub reading: &'a Reading,
}

/// Reads a tuple.
pub(super) struct Tuple<'a> {
    pub ty: &'a Type,
    pub types: &'a [Type],
    pub reading: &'a Reading,
}

/// Reads flags.
pub(super) struct FlagNames<'a> {
    pub ty: &'a Type,
    pub declared: &'a DeclaredType,
    pub reading: &'a Reading,
}

impl<'de, S: DeserializeSeed<'de> + Copy> Visitor<'de> for ElementsSeed<'_, S> {
    type Value = Vec<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reading.words(self.ty))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Err(no_string(text, &self))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = array.next_element_seed(self.seed).inspect_err(|_| self.reading.index(items.len()))? {
            self.reading.push(&mut items, item)?;
        }
        self.reading.trim(&mut items);
        Ok(items)
    }
}

impl<'de> Visitor<'de> for Rows<'_> {
    type Value = Packed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reading.words(self.ty))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Packed, E> {
        Err(no_string(text, &self))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Packed, A::Error> {
        let Rows { inner, layout, reading, .. } = self;
        let seed = Seed { ty: inner, reading };
        let (mut bytes, mut read) = (Vec::new(), 0);
        while let Some(item) =
            reading.for_a_while(|| array.next_element_seed(seed)).inspect_err(|_| reading.index(read))?
        {
            reading.make_room(&mut bytes, layout.size())?;
            if !layout.append(&item, &mut bytes) {
                return Err(A::Error::custom("an element does not fit its layout, which is a bug in the host"));
            }
            read += 1;
        }
        reading.trim(&mut bytes);
        Ok(Packed::of_appended(layout, bytes))
    }
}

impl<'de> Visitor<'de> for Tuple<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reading.words(self.ty))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Err(no_string(text, &self))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Value, A::Error> {
        let Tuple { types, reading, .. } = self;
        reading.pay_values(types.len())?;
        let mut items = Vec::with_capacity(types.len());
        for (index, ty) in types.iter().enumerate() {
            match array.next_element_seed(Seed { ty, reading }).inspect_err(|_| reading.index(index))? {
                Some(item) => items.push(item),
                None => return Err(A::Error::invalid_length(index, &self)),
            }
        }
        if array.next_element::<IgnoredAny>().inspect_err(|_| reading.index(types.len()))?.is_some() {
            reading.index(types.len());
            return Err(A::Error::custom(format_args!("one element too many, expected {}", reading.words(self.ty))));
        }
        Ok(Value::Tuple(items.into()))
    }
}

impl<'de> Visitor<'de> for FlagNames<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reading.words(self.ty))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Err(no_string(text, &self))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Value, A::Error> {
        let members = &self.declared.members;
        self.reading.pay(members.len().div_ceil(8))?;
        let mut flags = Flags::none(members.len());
        let seed = NameSeed { members, noun: "flag", likely: 0, key_of: None };
        let mut read = 0;
        while let Some(found) = array.next_element_seed(seed).inspect_err(|_| self.reading.index(read))? {
            if flags.get(found.index) {
                self.reading.index(read);
                return Err(A::Error::custom("the flag is given twice"));
            }
            flags.set(found.index);
            read += 1;
        }
        Ok(Value::Flags(flags))
    }
}
