//! Objects keyed by name: records, and the parameters of a call.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

use super::{Seed, no_string};
use crate::value::Value;
use crate::value::mapping::names::NameSeed;
use crate::value::mapping::reading::Reading;
use crate::value::mapping::words::TypedNames;
use crate::value::ty::{DeclaredType, Member, Type};

/// Reads the parameters of a call, in their order.
pub(in crate::value) struct ParamsSeed<'a> {
    pub params: &'a [Member],
    pub reading: &'a Reading,
}

/// Reads a record.
pub(super) struct Record<'a> {
    pub ty: &'a Type,
    pub declared: &'a DeclaredType,
    pub reading: &'a Reading,
}

impl<'de> DeserializeSeed<'de> for ParamsSeed<'_> {
    type Value = Vec<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Value>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ParamsSeed<'_> {
    type Value = Vec<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.params {
            [] => write!(f, "an empty {}, for there are no parameters", self.reading.notation().object()),
            params => {
                let article = self.reading.notation().an_object();
                write!(f, "{article} keyed by parameter name: {}", TypedNames(params))
            }
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<Value>, E> {
        Err(no_string(text, &self))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Vec<Value>, A::Error> {
        members(self.params, "parameter", self.reading, map)
    }
}

impl<'de> Visitor<'de> for Record<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reading.words(self.ty))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Err(no_string(text, &self))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        members(&self.declared.members, "field", self.reading, map).map(|fields| Value::Record(fields.into()))
    }
}

/// Reads the values of an object, and puts each in the place of its name.
fn members<'de, A: MapAccess<'de>>(
    members: &[Member],
    noun: &'static str,
    reading: &Reading,
    mut map: A,
) -> Result<Vec<Value>, A::Error> {
    reading.pay_values(members.len())?;
    let mut slots: Vec<Option<Value>> = Vec::new();
    slots.resize_with(members.len(), || None);
    let mut likely = 0;
    while let Some(found) = map.next_key_seed(NameSeed { members, noun, likely, key_of: Some(reading) })? {
        likely = found.index + 1;
        let (Some(member), Some(slot)) = (members.get(found.index), slots.get_mut(found.index)) else {
            return Err(A::Error::custom("a name was found where there is none"));
        };
        let value = match (&member.ty, &slot) {
            (Some(ty), None) => map.next_value_seed(Seed { ty, reading }),
            (Some(_), Some(_)) => {
                Err(A::Error::custom(format_args!("{noun} `{}` is given twice", member.name.snake())))
            }
            (None, _) => Err(untyped(noun, member)),
        };
        *slot = Some(value.inspect_err(|_| reading.key(found.spelled(&member.name)))?);
    }
    for (slot, member) in slots.iter_mut().zip(members) {
        if slot.is_none() && matches!(member.ty, Some(Type::Option(_))) {
            *slot = Some(Value::Option(None));
        }
    }
    if slots.iter().all(Option::is_some) {
        return Ok(slots.into_iter().flatten().collect());
    }
    let missing: Vec<Member> =
        slots.iter().zip(members).filter(|(slot, _)| slot.is_none()).map(|(_, member)| member.clone()).collect();
    let plural = if missing.len() == 1 { "" } else { "s" };
    Err(A::Error::custom(format_args!("missing {noun}{plural} {}", TypedNames(&missing))))
}

fn untyped<E: Error>(noun: &str, member: &Member) -> E {
    E::custom(format_args!("{noun} `{}` has no WIT type, which is a bug in the host", member.name.snake()))
}
