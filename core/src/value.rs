//! Values and their WIT types: the data that every call carries, whatever its source and its destination.
//!
//! A [`Value`] does not hold its own type. Like the canonical ABI it is positional: a record is its fields in order, a
//! variant is the index of its case. All code that reads or writes a value uses the [`Type`] beside it. That keeps
//! values small and lets lists of plain data stay packed ([`List`]): a `list<u8>` is one buffer all the way from a
//! guest's memory to the socket, never an enum for each byte.
//!
//! - [`ty`]: [`Type`] and [`Signature`], their WIT text, and structural equality.
//! - [`json`]: JSON text to values and back, by type.
//! - [`cbor`]: CBOR to values and back, by type and by the same rules.
//! - [`format`](mod@format): the formats of parameters and answers, as one choice.
//! - `entries`: the entries of a map, and their keys.
//! - `scalars`: the scalar types, in one list.
//! - [`packed`]: lists of records and tuples of plain data, in one buffer.
//! - [`abi`]: a guest's memory to values and back, by type: the canonical ABI, behind wasmtime's own traits.
//! - [`stream`]: the streams and futures in a value, whose items are still to come.
//! - [`rust`]: Rust types to values and back, through `serde`.

pub mod abi;
pub mod cbor;
#[doc(hidden)]
pub mod entries;
pub mod format;
pub mod json;
mod mapping;
pub mod packed;
pub mod rust;
mod scalars;
pub mod stream;
pub mod ty;

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use self::packed::{Layout, Packed};
use self::scalars::Scalar;
use self::stream::Stream;
pub use ty::{Signature, Type};

/// One WIT value, without its type.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `bool`
    Bool(bool),
    /// `s8`
    S8(i8),
    /// `u8`
    U8(u8),
    /// `s16`
    S16(i16),
    /// `u16`
    U16(u16),
    /// `s32`
    S32(i32),
    /// `u32`
    U32(u32),
    /// `s64`
    S64(i64),
    /// `u64`
    U64(u64),
    /// `f32`
    F32(f32),
    /// `f64`
    F64(f64),
    /// `char`
    Char(char),
    /// `string`
    String(Box<str>),
    /// `list<T>`
    List(List),
    /// `record`: the fields in the order in which WIT declares them.
    Record(Box<[Value]>),
    /// `map<K, V>`: the entries in the order in which they were written. No two have the same key.
    Map(Vec<(Value, Value)>),
    /// `tuple<…>`
    Tuple(Box<[Value]>),
    /// `variant`: the case's index and its payload; the payload is `None` if the case has none.
    Variant(u32, Option<Box<Value>>),
    /// `enum`: the case's index.
    Enum(u32),
    /// `option<T>`
    Option(Option<Box<Value>>),
    /// `result<T, E>`: the payload is `None` if the type has no `T` or no `E`.
    Result(Result<Option<Box<Value>>, Option<Box<Value>>>),
    /// `flags`: bit `i` is flag `i` in the order in which WIT declares them.
    Flags(Flags),
    /// `stream<T>`: its readable end.
    Stream(Stream),
    /// `future<T>`: a stream of exactly one item.
    Future(Stream),
}

impl Value {
    /// Returns about how many bytes of memory the value holds: precise enough to tell which of two values holds much
    /// more.
    pub(crate) fn weight(&self) -> usize {
        let of_all = |values: &[Value]| values.iter().map(Value::weight).sum::<usize>();
        let payload = |value: &Option<Box<Value>>| value.as_ref().map_or(0, |value| value.weight());
        size_of::<Value>()
            + match self {
                Value::String(text) => text.len(),
                Value::List(list) => list.weight(),
                Value::Map(entries) => entries.iter().map(|(key, value)| key.weight() + value.weight()).sum(),
                Value::Record(values) | Value::Tuple(values) => of_all(values),
                Value::Stream(_) | Value::Future(_) => abi::stream::STREAM,
                Value::Variant(_, value) | Value::Option(value) => payload(value),
                Value::Result(Ok(value) | Err(value)) => payload(value),
                _ => 0,
            }
    }
}

/// A list, packed if its elements are plain data.
///
/// The element type alone decides the variant: each scalar type has its own, records and tuples of nothing but scalars
/// are [`List::Packed`], all others are [`List::Values`]. [`List::of`] picks the variant. If code meets the wrong
/// variant for a type, that is a bug in the host, and the code reports it as one.
#[derive(Debug, Clone, PartialEq)]
pub enum List {
    /// `list<bool>`
    Bool(Vec<bool>),
    /// `list<u8>`: shared, so that it goes to a socket or to several callees without a copy.
    U8(Bytes),
    /// `list<s8>`
    S8(Vec<i8>),
    /// `list<u16>`
    U16(Vec<u16>),
    /// `list<s16>`
    S16(Vec<i16>),
    /// `list<u32>`
    U32(Vec<u32>),
    /// `list<s32>`
    S32(Vec<i32>),
    /// `list<u64>`
    U64(Vec<u64>),
    /// `list<s64>`
    S64(Vec<i64>),
    /// `list<f32>`
    F32(Vec<f32>),
    /// `list<f64>`
    F64(Vec<f64>),
    /// `list<char>`
    Char(Vec<char>),
    /// A list of records or tuples of the types above.
    Packed(Packed),
    /// A list of anything else.
    Values(Vec<Value>),
}

impl List {
    /// Returns the number of elements.
    pub fn len(&self) -> usize {
        match self {
            List::Bool(items) => items.len(),
            List::U8(items) => items.len(),
            List::S8(items) => items.len(),
            List::U16(items) => items.len(),
            List::S16(items) => items.len(),
            List::U32(items) => items.len(),
            List::S32(items) => items.len(),
            List::U64(items) => items.len(),
            List::S64(items) => items.len(),
            List::F32(items) => items.len(),
            List::F64(items) => items.len(),
            List::Char(items) => items.len(),
            List::Packed(items) => items.len(),
            List::Values(items) => items.len(),
        }
    }

    /// Makes the list of `values`, which are of type `element`. Returns `None` if the list is packed and a value is of
    /// another type.
    pub fn of(element: &Type, values: Vec<Value>) -> Option<List> {
        macro_rules! packed {
            ($($variant:ident)*) => {
                match Scalar::of(element) {
                    $(Some(Scalar::$variant) => List::$variant(
                        values.into_iter().map(|value| match value {
                            Value::$variant(item) => Some(item),
                            _ => None,
                        }).collect::<Option<_>>()?,
                    ),)*
                    None => match Layout::of(element) {
                        Some(layout) => {
                            let mut bytes = Vec::with_capacity(values.len().saturating_mul(layout.size()));
                            if !values.iter().all(|value| layout.append(value, &mut bytes)) {
                                return None;
                            }
                            List::Packed(Packed::of_appended(&layout, bytes))
                        }
                        None => List::Values(values),
                    },
                }
            };
        }
        Some(packed!(Bool S8 U8 S16 U16 S32 U32 S64 U64 F32 F64 Char))
    }

    /// Adds the elements of `more`, which are of the same type. Returns false, and adds nothing, if they are not.
    pub(crate) fn append(&mut self, more: List) -> bool {
        match (self, more) {
            (List::Bool(all), List::Bool(more)) => all.extend(more),
            (List::U8(all), List::U8(more)) => *all = joined(std::mem::take(all), &more),
            (List::S8(all), List::S8(more)) => all.extend(more),
            (List::U16(all), List::U16(more)) => all.extend(more),
            (List::S16(all), List::S16(more)) => all.extend(more),
            (List::U32(all), List::U32(more)) => all.extend(more),
            (List::S32(all), List::S32(more)) => all.extend(more),
            (List::U64(all), List::U64(more)) => all.extend(more),
            (List::S64(all), List::S64(more)) => all.extend(more),
            (List::F32(all), List::F32(more)) => all.extend(more),
            (List::F64(all), List::F64(more)) => all.extend(more),
            (List::Char(all), List::Char(more)) => all.extend(more),
            (List::Packed(all), List::Packed(more)) => return all.append(&more),
            (List::Values(all), List::Values(more)) => all.extend(more),
            _ => return false,
        }
        true
    }

    /// Returns element `index`, which is of type `element`; `None` past the end, or if the list is of another type.
    pub fn get(&self, element: &Type, index: usize) -> Option<Value> {
        Some(match self {
            List::Bool(items) => Value::Bool(*items.get(index)?),
            List::U8(items) => Value::U8(*items.get(index)?),
            List::S8(items) => Value::S8(*items.get(index)?),
            List::U16(items) => Value::U16(*items.get(index)?),
            List::S16(items) => Value::S16(*items.get(index)?),
            List::U32(items) => Value::U32(*items.get(index)?),
            List::S32(items) => Value::S32(*items.get(index)?),
            List::U64(items) => Value::U64(*items.get(index)?),
            List::S64(items) => Value::S64(*items.get(index)?),
            List::F32(items) => Value::F32(*items.get(index)?),
            List::F64(items) => Value::F64(*items.get(index)?),
            List::Char(items) => Value::Char(*items.get(index)?),
            List::Packed(items) => Layout::of(element)?.element(element, items, index)?,
            List::Values(items) => items.get(index)?.clone(),
        })
    }

    /// Takes the elements of `range` out of the list and leaves arbitrary elements in their places. Ignores the part of
    /// `range` past the end of the list.
    pub(crate) fn take(&mut self, range: Range<usize>) -> List {
        fn copy<T: Copy>(items: &[T], range: Range<usize>) -> Vec<T> {
            items.get(range).unwrap_or_default().to_vec()
        }
        let range = range.start.min(self.len())..range.end.min(self.len());
        match self {
            List::Bool(items) => List::Bool(copy(items, range)),
            List::U8(items) => List::U8(items.slice(range)),
            List::S8(items) => List::S8(copy(items, range)),
            List::U16(items) => List::U16(copy(items, range)),
            List::S16(items) => List::S16(copy(items, range)),
            List::U32(items) => List::U32(copy(items, range)),
            List::S32(items) => List::S32(copy(items, range)),
            List::U64(items) => List::U64(copy(items, range)),
            List::S64(items) => List::S64(copy(items, range)),
            List::F32(items) => List::F32(copy(items, range)),
            List::F64(items) => List::F64(copy(items, range)),
            List::Char(items) => List::Char(copy(items, range)),
            List::Packed(items) => List::Packed(items.slice(range)),
            List::Values(items) => {
                let taken = items.get_mut(range).unwrap_or_default();
                List::Values(taken.iter_mut().map(|item| std::mem::replace(item, Value::Bool(false))).collect())
            }
        }
    }

    /// Returns about how many bytes of memory the elements hold.
    pub(crate) fn weight(&self) -> usize {
        let size = match self {
            List::Bool(_) | List::U8(_) | List::S8(_) => 1,
            List::U16(_) | List::S16(_) => 2,
            List::U32(_) | List::S32(_) | List::F32(_) | List::Char(_) => 4,
            List::U64(_) | List::S64(_) | List::F64(_) => 8,
            List::Packed(items) => items.stride(),
            List::Values(values) => return values.iter().map(Value::weight).sum(),
        };
        self.len() * size
    }

    /// Returns true if the list has no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Returns `bytes` with `more` behind them: in place if nobody shares them and there is room, else in a copy.
fn joined(bytes: Bytes, more: &[u8]) -> Bytes {
    let mut bytes = match bytes.try_into_mut() {
        Ok(bytes) => bytes,
        Err(shared) => BytesMut::from(&shared[..]),
    };
    bytes.extend_from_slice(more);
    bytes.freeze()
}

/// The bits of a WIT `flags` value, in words of 32 bits as in the canonical ABI. Bits past the last flag are zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flags {
    words: Box<[u32]>,
}

impl Flags {
    /// Makes a set of `count` declared flags, none of which is set.
    pub fn none(count: usize) -> Self {
        Flags { words: vec![0; count.div_ceil(32)].into() }
    }

    /// Makes the flags whose bits are set in `words`. Clears the bits past `count`, as the canonical ABI asks.
    pub fn from_words(mut words: Box<[u32]>, count: usize) -> Self {
        for (index, word) in words.iter_mut().enumerate() {
            let used = count.saturating_sub(index * 32);
            if used < 32 {
                *word &= (1u32 << used) - 1;
            }
        }
        Flags { words }
    }

    /// Returns true if flag `index` is set. A flag that is not declared is never set.
    pub fn get(&self, index: usize) -> bool {
        self.words.get(index / 32).is_some_and(|word| word & (1 << (index % 32)) != 0)
    }

    /// Sets flag `index`. Ignores a flag that is not declared.
    pub fn set(&mut self, index: usize) {
        if let Some(word) = self.words.get_mut(index / 32) {
            *word |= 1 << (index % 32);
        }
    }

    /// Returns the bits, lowest flag first.
    pub fn words(&self) -> &[u32] {
        &self.words
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::String(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::String(text.into())
    }
}
