//! Values to text.

use std::cell::Cell;
use std::fmt;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{Error, Serialize, SerializeMap, SerializeSeq, Serializer};

use super::words::Brief;
use crate::value::packed::{Layout, Leaf};
use crate::value::scalars::Scalar;
use crate::value::ty::{Member, Type};
use crate::value::{Flags, List, Value};

/// A value beside its type. serde can write it as JSON or in any other format that has maps and options.
///
/// A format that is not human-readable gets bytes as bytes, and NaN and the infinities as floats.
///
/// A stream or a future is written as its result: an array, or its value. Serialising fails if the value is not of the
/// type.
#[derive(Debug, Clone, Copy)]
pub struct Typed<'a> {
    /// The type.
    pub ty: &'a Type,
    /// A value of that type.
    pub value: &'a Value,
}

impl Serialize for Typed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.ty, self.value) {
            (Type::Bool, Value::Bool(value)) => serializer.serialize_bool(*value),
            (Type::S8, Value::S8(value)) => serializer.serialize_i8(*value),
            (Type::U8, Value::U8(value)) => serializer.serialize_u8(*value),
            (Type::S16, Value::S16(value)) => serializer.serialize_i16(*value),
            (Type::U16, Value::U16(value)) => serializer.serialize_u16(*value),
            (Type::S32, Value::S32(value)) => serializer.serialize_i32(*value),
            (Type::U32, Value::U32(value)) => serializer.serialize_u32(*value),
            (Type::S64, Value::S64(value)) => serializer.serialize_i64(*value),
            (Type::U64, Value::U64(value)) => serializer.serialize_u64(*value),
            (Type::F32, Value::F32(value)) => F32(*value).serialize(serializer),
            (Type::F64, Value::F64(value)) => F64(*value).serialize(serializer),
            (Type::Char, Value::Char(value)) => serializer.serialize_char(*value),
            (Type::String, Value::String(value)) => serializer.serialize_str(value),
            (Type::List(inner) | Type::Stream(inner), Value::List(list)) => self.list(inner, list, serializer),
            // JSON has only strings as keys, so serde_json writes a bool or an integer as a string.
            (Type::Map { key, value }, Value::Map(entries)) => serializer
                .collect_map(entries.iter().map(|(k, v)| (Typed { ty: key, value: k }, Typed { ty: value, value: v }))),
            (Type::Tuple(types), Value::Tuple(values)) if types.len() == values.len() => {
                serializer.collect_seq(types.iter().zip(values).map(|(ty, value)| Typed { ty, value }))
            }
            (Type::Option(inner), Value::Option(value)) => match value {
                None => serializer.serialize_none(),
                Some(value) if matches!(**inner, Type::Option(_)) => {
                    serializer.collect_map([("some", Typed { ty: inner, value })])
                }
                Some(value) => Typed { ty: inner, value }.serialize(serializer),
            },
            (Type::Result { ok, .. }, Value::Result(Ok(value))) => self.side("ok", ok.as_deref(), value, serializer),
            (Type::Result { err, .. }, Value::Result(Err(value))) => {
                self.side("err", err.as_deref(), value, serializer)
            }
            (Type::Record(declared), Value::Record(values)) if declared.members.len() == values.len() => {
                let mut map = serializer.serialize_map(Some(values.len()))?;
                for (member, value) in declared.members.iter().zip(values) {
                    let ty = member.ty.as_ref().ok_or_else(|| self.mismatch())?;
                    map.serialize_entry(member.name.snake(), &Typed { ty, value })?;
                }
                map.end()
            }
            (Type::Variant(declared), Value::Variant(case, payload)) => {
                let case = self.case(&declared.members, *case)?;
                match (&case.ty, payload) {
                    (None, None) => serializer.serialize_str(case.name.snake()),
                    (Some(ty), Some(value)) => serializer.collect_map([(case.name.snake(), Typed { ty, value })]),
                    _ => Err(self.mismatch()),
                }
            }
            (Type::Enum(declared), Value::Enum(case)) => {
                serializer.serialize_str(self.case(&declared.members, *case)?.name.snake())
            }
            (Type::Flags(declared), Value::Flags(flags)) => flag_names(&declared.members, flags, serializer),
            // The value of a finished future stands in the future's place.
            (Type::Future(inner), value) if !matches!(value, Value::Future(_)) => {
                Typed { ty: inner, value }.serialize(serializer)
            }
            _ => Err(self.mismatch()),
        }
    }
}

impl<'a> Typed<'a> {
    fn mismatch<E: Error>(&self) -> E {
        E::custom(format_args!("expected {}, found a {}", Brief(self.ty), Kind(self.value)))
    }

    fn case<E: Error>(&self, members: &'a [Member], index: u32) -> Result<&'a Member, E> {
        usize::try_from(index).ok().and_then(|index| members.get(index)).ok_or_else(|| self.mismatch())
    }

    fn side<S: Serializer>(
        &self,
        key: &str,
        ty: Option<&Type>,
        value: &Option<Box<Value>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match (ty, value) {
            (None, None) => serializer.collect_map([(key, None::<()>)]),
            (Some(ty), Some(value)) => serializer.collect_map([(key, Typed { ty, value })]),
            _ => Err(self.mismatch()),
        }
    }

    fn list<S: Serializer>(&self, inner: &Type, list: &List, serializer: S) -> Result<S::Ok, S::Error> {
        match (inner, list) {
            (Type::U8, List::U8(bytes)) if !serializer.is_human_readable() => serializer.serialize_bytes(bytes),
            (Type::U8, List::U8(bytes)) => serializer.collect_str(&Base64Display::new(bytes, &STANDARD)),
            (Type::Bool, List::Bool(items)) => serializer.collect_seq(items),
            (Type::S8, List::S8(items)) => serializer.collect_seq(items),
            (Type::S16, List::S16(items)) => serializer.collect_seq(items),
            (Type::U16, List::U16(items)) => serializer.collect_seq(items),
            (Type::S32, List::S32(items)) => serializer.collect_seq(items),
            (Type::U32, List::U32(items)) => serializer.collect_seq(items),
            (Type::S64, List::S64(items)) => serializer.collect_seq(items),
            (Type::U64, List::U64(items)) => serializer.collect_seq(items),
            (Type::F32, List::F32(items)) => serializer.collect_seq(items.iter().copied().map(F32)),
            (Type::F64, List::F64(items)) => serializer.collect_seq(items.iter().copied().map(F64)),
            (Type::Char, List::Char(items)) => serializer.collect_seq(items),
            (ty, List::Packed(items)) if let Some(layout) = Layout::of(ty) => {
                let next = Cell::new(0);
                serializer.collect_seq(items.rows().map(|row| Row { ty, leaves: layout.leaves(), next: &next, row }))
            }
            (ty, List::Values(items)) if Scalar::of(ty).is_none() => {
                serializer.collect_seq(items.iter().map(|value| Typed { ty, value }))
            }
            _ => Err(self.mismatch()),
        }
    }
}

fn flag_names<S: Serializer>(members: &[Member], flags: &Flags, serializer: S) -> Result<S::Ok, S::Error> {
    let set = || members.iter().enumerate().filter(|(index, _)| flags.get(*index));
    let mut array = serializer.serialize_seq(Some(set().count()))?;
    for (_, member) in set() {
        array.serialize_element(member.name.snake())?;
    }
    array.end()
}

macro_rules! floats {
    ($($float:ident $name:ident $serialize:ident,)*) => {$(
        /// A float. A text gets its shortest digits, or a name if JSON has no number for it.
        struct $name($float);

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if self.0.is_finite() || !serializer.is_human_readable() {
                    serializer.$serialize(self.0)
                } else if self.0.is_nan() {
                    serializer.serialize_str("NaN")
                } else if self.0 > 0.0 {
                    serializer.serialize_str("Infinity")
                } else {
                    serializer.serialize_str("-Infinity")
                }
            }
        }
    )*};
}

floats! {
    f32 F32 serialize_f32,
    f64 F64 serialize_f64,
}

/// The elements of a list, to be written one by one.
pub struct Elements<'a> {
    ty: &'a Type,
    list: &'a List,
    layout: Option<Layout>,
}

impl<'a> Elements<'a> {
    /// Takes the elements of `list`, which are of type `ty`.
    pub fn of(ty: &'a Type, list: &'a List) -> Self {
        let layout = matches!(list, List::Packed(_)).then(|| Layout::of(ty)).flatten();
        Elements { ty, list, layout }
    }

    /// Returns the number of elements.
    pub fn count(&self) -> usize {
        self.list.len()
    }

    /// Writes element `index` with `serializer`.
    pub(in crate::value) fn serialize<S: Serializer>(&self, index: usize, serializer: S) -> Result<S::Ok, S::Error> {
        let Elements { ty, list, layout } = self;
        let mismatch = || S::Error::custom("a list is of another type");
        match (list, layout) {
            (List::Values(values), _) => {
                let value = values.get(index).ok_or_else(mismatch)?;
                Typed { ty, value }.serialize(serializer)
            }
            (List::Packed(items), Some(layout)) => {
                let row = items.row(index).ok_or_else(mismatch)?;
                Row { ty, leaves: layout.leaves(), next: &Cell::new(0), row }.serialize(serializer)
            }
            _ => {
                let value = list.get(ty, index).ok_or_else(mismatch)?;
                Typed { ty, value: &value }.serialize(serializer)
            }
        }
    }
}

/// An element of a packed list, or a part of one.
struct Row<'a> {
    ty: &'a Type,
    leaves: &'a [Leaf],
    /// The leaf that comes next. Each element has all leaves, so the first leaf of the next element follows the last
    /// one.
    next: &'a Cell<usize>,
    row: &'a [u8],
}

impl<'a> Row<'a> {
    fn part(&self, ty: &'a Type) -> Self {
        Row { ty, ..*self }
    }

    fn next(&self) -> Option<Value> {
        let leaf = self.leaves.get(self.next.get())?;
        self.next.set((self.next.get() + 1) % self.leaves.len());
        leaf.read(self.row)
    }
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.ty {
            Type::Record(declared) => {
                let mut map = serializer.serialize_map(Some(declared.members.len()))?;
                for member in &declared.members {
                    let ty = member.ty.as_ref().ok_or_else(|| S::Error::custom("a field has no type"))?;
                    map.serialize_entry(member.name.snake(), &self.part(ty))?;
                }
                map.end()
            }
            Type::Tuple(types) => serializer.collect_seq(types.iter().map(|ty| self.part(ty))),
            ty => {
                let value = self.next().ok_or_else(|| S::Error::custom("a packed list is of another type"))?;
                Typed { ty, value: &value }.serialize(serializer)
            }
        }
    }
}

/// The kind of a value, for a message about a value in the wrong place.
struct Kind<'a>(&'a Value);

impl fmt::Display for Kind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Bool(_) => f.write_str("bool"),
            Value::S8(_) => f.write_str("s8"),
            Value::U8(_) => f.write_str("u8"),
            Value::S16(_) => f.write_str("s16"),
            Value::U16(_) => f.write_str("u16"),
            Value::S32(_) => f.write_str("s32"),
            Value::U32(_) => f.write_str("u32"),
            Value::S64(_) => f.write_str("s64"),
            Value::U64(_) => f.write_str("u64"),
            Value::F32(_) => f.write_str("f32"),
            Value::F64(_) => f.write_str("f64"),
            Value::Char(_) => f.write_str("char"),
            Value::String(_) => f.write_str("string"),
            Value::List(list) => write!(f, "list of {}", list.len()),
            Value::Map(entries) => write!(f, "map of {}", entries.len()),
            Value::Record(fields) => write!(f, "record of {} fields", fields.len()),
            Value::Tuple(items) => write!(f, "tuple of {}", items.len()),
            Value::Variant(case, payload) => {
                let with = if payload.is_some() { "with" } else { "without" };
                write!(f, "variant in case {case} {with} payload")
            }
            Value::Enum(case) => write!(f, "enum in case {case}"),
            Value::Option(_) => f.write_str("option"),
            Value::Result(_) => f.write_str("result"),
            Value::Flags(_) => f.write_str("flags"),
            Value::Stream(_) => f.write_str("stream that was not read"),
            Value::Future(_) => f.write_str("future that was not awaited"),
        }
    }
}
