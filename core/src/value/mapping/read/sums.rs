//! Values whose text names the case: options, results, variants.

use std::fmt;
use std::sync::{Arc, LazyLock};

use serde::de::{DeserializeSeed, Deserializer, Error, Expected, IgnoredAny, MapAccess, Visitor};

use super::{Seed, case_index, no_string};
use crate::value::Value;
use crate::value::mapping::names::NameSeed;
use crate::value::mapping::reading::Reading;
use crate::value::mapping::words::Brief;
use crate::value::ty::{DeclaredType, Member, Name, Type};

/// Reads an option whose payload is never `null` itself.
pub(super) struct PlainOption<'a> {
    pub ty: &'a Type,
    pub inner: &'a Type,
    pub reading: &'a Reading,
}

/// Reads an option of an option: `null`, or `{"some": …}`.
pub(super) struct NestedOption<'a> {
    pub ty: &'a Type,
    pub inner: &'a Type,
    pub reading: &'a Reading,
}

/// Reads a result: `{"ok": …}` or `{"err": …}`.
pub(super) struct Sides<'a> {
    pub ty: &'a Type,
    pub ok: &'a Option<Arc<Type>>,
    pub err: &'a Option<Arc<Type>>,
    pub reading: &'a Reading,
}

/// Reads a variant: `"case"` or `{"case": payload}`.
pub(super) struct Variant<'a> {
    pub ty: &'a Type,
    pub declared: &'a DeclaredType,
    pub reading: &'a Reading,
}

impl<'de> Visitor<'de> for PlainOption<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reading.words(self.ty))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Option(None))
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Option(None))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.reading.pay_values(1)?;
        let value = Seed { ty: self.inner, reading: self.reading }.deserialize(deserializer)?;
        Ok(Value::Option(Some(Box::new(value))))
    }
}

impl<'de> Visitor<'de> for NestedOption<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reading.words(self.ty))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Option(None))
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Option(None))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Err(no_string(text, &self))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        let (_, value) = one_entry(&*SOME, |_| Payload::Of(self.inner), &self, self.reading, map)?;
        Ok(Value::Option(value))
    }
}

impl<'de> Visitor<'de> for Sides<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reading.words(self.ty))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Err(no_string(text, &self))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        let payload = |index| {
            let side = if index == 0 { self.ok } else { self.err };
            side.as_deref().map_or(Payload::Null, Payload::Of)
        };
        let (index, value) = one_entry(&*SIDES, payload, &self, self.reading, map)?;
        Ok(Value::Result(if index == 0 { Ok(value) } else { Err(value) }))
    }
}

impl<'de> Visitor<'de> for Variant<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reading.words(self.ty))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        let members = &self.declared.members;
        let found = NameSeed { members, noun: "case", likely: 0, key_of: None }.visit_str(text)?;
        match members.get(found.index) {
            Some(Member { ty: Some(ty), name, .. }) => Err(E::custom(format_args!(
                "case `{name}` needs its payload, expected {{\"{name}\": {}}}",
                Brief(ty),
                name = name.snake()
            ))),
            _ => Ok(Value::Variant(case_index(found.index)?, None)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        let members = &self.declared.members;
        let payload = |index| {
            let ty = members.get(index).and_then(|case: &Member| case.ty.as_ref());
            ty.map_or(Payload::Forbidden, Payload::Of)
        };
        let (index, value) = one_entry(members, payload, &self, self.reading, map)?;
        Ok(Value::Variant(case_index(index)?, value))
    }
}

/// The value that may stand behind the key of an object with one entry.
enum Payload<'a> {
    Of(&'a Type),
    Null,
    /// No value: the case is written as a string instead.
    Forbidden,
}

static SOME: LazyLock<[Member; 1]> = LazyLock::new(|| [key("some")]);
static SIDES: LazyLock<[Member; 2]> = LazyLock::new(|| [key("ok"), key("err")]);

fn key(name: &str) -> Member {
    Member { name: Name::new(name), ty: None, docs: None }
}

/// Reads an object with exactly one entry. Returns the index of the named member, and its value.
fn one_entry<'a, 'de, A: MapAccess<'de>>(
    members: &[Member],
    payload: impl FnOnce(usize) -> Payload<'a>,
    expected: &dyn Expected,
    reading: &'a Reading,
    mut map: A,
) -> Result<(usize, Option<Box<Value>>), A::Error> {
    let seed = NameSeed { members, noun: "case", likely: 0, key_of: Some(reading) };
    let Some(found) = map.next_key_seed(seed)? else {
        let object = reading.notation().object();
        return Err(A::Error::custom(format_args!("an empty {object}, expected {expected}")));
    };
    let Some(Member { name, .. }) = members.get(found.index) else {
        return Err(A::Error::custom("a name was found where there is none"));
    };
    reading.pay_values(1)?;
    let value = match payload(found.index) {
        Payload::Of(ty) => map.next_value_seed(Seed { ty, reading }).map(|value| Some(Box::new(value))),
        Payload::Null => match map.next_value::<Option<IgnoredAny>>() {
            Ok(None) => Ok(None),
            Ok(Some(_)) => Err(A::Error::custom("expected null, for there is no type here")),
            Err(error) => Err(error),
        },
        Payload::Forbidden => {
            Err(A::Error::custom(format_args!("a case without payload is written as the string \"{}\"", name.snake())))
        }
    };
    let value = value.inspect_err(|_| reading.key(found.spelled(name)))?;
    if map.next_key::<IgnoredAny>()?.is_some() {
        return Err(A::Error::custom(format_args!("more than one entry, expected {expected}")));
    }
    Ok((found.index, value))
}
