//! Lifts a guest's core-wasm values and memory to [`Value`]s.

use bytes::Bytes;
use wasmtime::component::__internal::InterfaceType;
use wasmtime::component::__internal::wasmtime_environ::component::VariantInfo;
use wasmtime::{Result, ValRaw, bail, format_err};

use super::lifting::Lifting;
use super::map;
use super::stream;
use crate::value::{Flags, List, Value};

/// Lifts the values of a parameter or result list from core-wasm values.
pub(super) fn tuple_from_flat(cx: &mut Lifting<'_, '_>, ty: InterfaceType, src: &[ValRaw]) -> Result<Vec<Value>> {
    let mut src = Slots(src);
    let types = cx.types;
    let InterfaceType::Tuple(index) = ty else { bail!("the values of a call are not a tuple") };
    all_from_flat(cx, types[index].types.iter().copied(), &mut src)
}

/// Lifts the values of a parameter or result list from the guest's memory at `offset`.
pub(super) fn tuple_from_memory(cx: &mut Lifting<'_, '_>, ty: InterfaceType, offset: usize) -> Result<Vec<Value>> {
    let abi = cx.types.canonical_abi(&ty);
    if !offset.is_multiple_of(usize::try_from(abi.align32)?) {
        bail!("the pointer to the values of a call is not aligned");
    }
    let bytes = window(cx.memory(), offset, usize::try_from(abi.size32)?)
        .ok_or_else(|| format_err!("the pointer to the values of a call is out of bounds of memory"))?;
    let InterfaceType::Tuple(index) = ty else { bail!("the values of a call are not a tuple") };
    let types = cx.types;
    sequence(cx, types[index].types.iter().copied(), bytes)
}

/// Core-wasm values, taken in order.
struct Slots<'a>(&'a [ValRaw]);

impl Slots<'_> {
    fn next(&mut self) -> Result<ValRaw> {
        let Some((first, rest)) = self.0.split_first() else { bail!("too few core-wasm values for the type") };
        self.0 = rest;
        Ok(*first)
    }

    fn skip(&mut self, count: usize) {
        self.0 = self.0.get(count..).unwrap_or_default();
    }
}

fn from_flat(cx: &mut Lifting<'_, '_>, ty: InterfaceType, src: &mut Slots<'_>) -> Result<Value> {
    Ok(match ty {
        InterfaceType::Bool => Value::Bool(src.next()?.get_i32() != 0),
        InterfaceType::S8 => Value::S8(src.next()?.get_i32() as i8),
        InterfaceType::U8 => Value::U8(src.next()?.get_u32() as u8),
        InterfaceType::S16 => Value::S16(src.next()?.get_i32() as i16),
        InterfaceType::U16 => Value::U16(src.next()?.get_u32() as u16),
        InterfaceType::S32 => Value::S32(src.next()?.get_i32()),
        InterfaceType::U32 => Value::U32(src.next()?.get_u32()),
        InterfaceType::S64 => Value::S64(src.next()?.get_i64()),
        InterfaceType::U64 => Value::U64(src.next()?.get_u64()),
        InterfaceType::Float32 => Value::F32(f32::from_bits(src.next()?.get_f32())),
        InterfaceType::Float64 => Value::F64(f64::from_bits(src.next()?.get_f64())),
        InterfaceType::Char => Value::Char(char::try_from(src.next()?.get_u32())?),
        InterfaceType::String => Value::String(cx.string(ty, src.next()?, src.next()?)?),
        InterfaceType::List(index) => {
            let (pointer, length) = (src.next()?.get_u32(), src.next()?.get_u32());
            let element = cx.types[index].element;
            Value::List(list(cx, element, usize::try_from(pointer)?, usize::try_from(length)?)?)
        }
        InterfaceType::Map(index) => {
            let (pointer, length) = (src.next()?.get_u32(), src.next()?.get_u32());
            Value::Map(map::lift(cx, index, usize::try_from(pointer)?, usize::try_from(length)?)?)
        }
        InterfaceType::Record(index) => {
            let types = cx.types;
            let fields = &types[index].fields;
            cx.charge_array(fields.len(), size_of::<Value>())?;
            Value::Record(all_from_flat(cx, fields.iter().map(|field| field.ty), src)?.into())
        }
        InterfaceType::Tuple(index) => {
            let types = cx.types;
            let elements = &types[index].types;
            cx.charge_array(elements.len(), size_of::<Value>())?;
            Value::Tuple(all_from_flat(cx, elements.iter().copied(), src)?.into())
        }
        InterfaceType::Variant(index) => {
            let types = cx.types;
            let variant = &types[index];
            let case = src.next()?.get_u32();
            let payload = payload_type(variant.cases.values(), case)?;
            Value::Variant(case, payload_from_flat(cx, ty, payload, src)?)
        }
        InterfaceType::Enum(index) => {
            let case = src.next()?.get_u32();
            in_range(case, cx.types[index].names.len())?;
            Value::Enum(case)
        }
        InterfaceType::Option(index) => {
            let some = cx.types[index].ty;
            match src.next()?.get_u32() {
                0 => {
                    payload_from_flat(cx, ty, None, src)?;
                    Value::Option(None)
                }
                1 => Value::Option(payload_from_flat(cx, ty, Some(some), src)?),
                case => bail!("discriminant {case} out of range for an option"),
            }
        }
        InterfaceType::Result(index) => {
            let (ok, err) = (cx.types[index].ok, cx.types[index].err);
            match src.next()?.get_u32() {
                0 => Value::Result(Ok(payload_from_flat(cx, ty, ok, src)?)),
                1 => Value::Result(Err(payload_from_flat(cx, ty, err, src)?)),
                case => bail!("discriminant {case} out of range for a result"),
            }
        }
        InterfaceType::Flags(index) => {
            let count = cx.types[index].names.len();
            let words = (0..count.div_ceil(32)).map(|_| Ok(src.next()?.get_u32())).collect::<Result<_>>()?;
            Value::Flags(Flags::from_words(words, count))
        }
        InterfaceType::Stream(_) => Value::Stream(stream::lift(cx, ty, src.next()?)?),
        InterfaceType::Future(_) => Value::Future(stream::lift(cx, ty, src.next()?)?),
        other => return unsupported(other),
    })
}

/// Lifts one value after the other. Their number is known, so the list of them is allocated once.
fn all_from_flat(
    cx: &mut Lifting<'_, '_>,
    types: impl ExactSizeIterator<Item = InterfaceType>,
    src: &mut Slots<'_>,
) -> Result<Vec<Value>> {
    let mut values = Vec::with_capacity(types.len());
    for ty in types {
        values.push(from_flat(cx, ty, src)?);
    }
    Ok(values)
}

/// Lifts the payload of the variant-like type `ty`, and skips the slots that its widest case would take.
fn payload_from_flat(
    cx: &mut Lifting<'_, '_>,
    ty: InterfaceType,
    payload: Option<InterfaceType>,
    src: &mut Slots<'_>,
) -> Result<Option<Box<Value>>> {
    let whole = flat_count(cx, ty)?;
    let (value, used) = match payload {
        Some(payload) => {
            cx.charge(size_of::<Value>())?;
            (Some(Box::new(from_flat(cx, payload, src)?)), flat_count(cx, payload)?)
        }
        None => (None, 0),
    };
    src.skip(whole.saturating_sub(1 + used));
    Ok(value)
}

fn flat_count(cx: &Lifting<'_, '_>, ty: InterfaceType) -> Result<usize> {
    let count = cx.types.canonical_abi(&ty).flat_count(usize::MAX);
    count.ok_or_else(|| format_err!("a type without flat representation stands in core-wasm values"))
}

pub(super) fn from_memory(cx: &mut Lifting<'_, '_>, ty: InterfaceType, bytes: &[u8]) -> Result<Value> {
    Ok(match ty {
        InterfaceType::Bool => Value::Bool(u8::from_le_bytes(array(bytes)?) != 0),
        InterfaceType::S8 => Value::S8(i8::from_le_bytes(array(bytes)?)),
        InterfaceType::U8 => Value::U8(u8::from_le_bytes(array(bytes)?)),
        InterfaceType::S16 => Value::S16(i16::from_le_bytes(array(bytes)?)),
        InterfaceType::U16 => Value::U16(u16::from_le_bytes(array(bytes)?)),
        InterfaceType::S32 => Value::S32(i32::from_le_bytes(array(bytes)?)),
        InterfaceType::U32 => Value::U32(u32::from_le_bytes(array(bytes)?)),
        InterfaceType::S64 => Value::S64(i64::from_le_bytes(array(bytes)?)),
        InterfaceType::U64 => Value::U64(u64::from_le_bytes(array(bytes)?)),
        InterfaceType::Float32 => Value::F32(f32::from_le_bytes(array(bytes)?)),
        InterfaceType::Float64 => Value::F64(f64::from_le_bytes(array(bytes)?)),
        InterfaceType::Char => Value::Char(char::try_from(u32::from_le_bytes(array(bytes)?))?),
        InterfaceType::String => {
            let (pointer, length) = pointer_pair(bytes)?;
            Value::String(cx.string(ty, ValRaw::u32(pointer), ValRaw::u32(length))?)
        }
        InterfaceType::List(index) => {
            let (pointer, length) = pointer_pair(bytes)?;
            let element = cx.types[index].element;
            Value::List(list(cx, element, usize::try_from(pointer)?, usize::try_from(length)?)?)
        }
        InterfaceType::Map(index) => {
            let (pointer, length) = pointer_pair(bytes)?;
            Value::Map(map::lift(cx, index, usize::try_from(pointer)?, usize::try_from(length)?)?)
        }
        InterfaceType::Record(index) => {
            let types = cx.types;
            let fields = &types[index].fields;
            cx.charge_array(fields.len(), size_of::<Value>())?;
            Value::Record(sequence(cx, fields.iter().map(|field| field.ty), bytes)?.into())
        }
        InterfaceType::Tuple(index) => {
            let types = cx.types;
            let elements = &types[index].types;
            cx.charge_array(elements.len(), size_of::<Value>())?;
            Value::Tuple(sequence(cx, elements.iter().copied(), bytes)?.into())
        }
        InterfaceType::Variant(index) => {
            let types = cx.types;
            let variant = &types[index];
            let case = discriminant(&variant.info, bytes)?;
            let payload = payload_type(variant.cases.values(), case)?;
            Value::Variant(case, payload_from_memory(cx, &variant.info, payload, bytes)?)
        }
        InterfaceType::Enum(index) => {
            let case = discriminant(&cx.types[index].info, bytes)?;
            in_range(case, cx.types[index].names.len())?;
            Value::Enum(case)
        }
        InterfaceType::Option(index) => {
            let types = cx.types;
            let option = &types[index];
            match discriminant(&option.info, bytes)? {
                0 => Value::Option(None),
                1 => Value::Option(payload_from_memory(cx, &option.info, Some(option.ty), bytes)?),
                case => bail!("discriminant {case} out of range for an option"),
            }
        }
        InterfaceType::Result(index) => {
            let types = cx.types;
            let result = &types[index];
            match discriminant(&result.info, bytes)? {
                0 => Value::Result(Ok(payload_from_memory(cx, &result.info, result.ok, bytes)?)),
                1 => Value::Result(Err(payload_from_memory(cx, &result.info, result.err, bytes)?)),
                case => bail!("discriminant {case} out of range for a result"),
            }
        }
        InterfaceType::Flags(index) => {
            let count = cx.types[index].names.len();
            let words: Box<[u32]> = match count {
                0 => Box::default(),
                1..=8 => Box::new([u8::from_le_bytes(array(bytes)?).into()]),
                9..=16 => Box::new([u16::from_le_bytes(array(bytes)?).into()]),
                _ => numbers(bytes, u32::from_le_bytes).into(),
            };
            Value::Flags(Flags::from_words(words, count))
        }
        InterfaceType::Stream(_) => Value::Stream(stream::lift(cx, ty, ValRaw::u32(handle(bytes)?))?),
        InterfaceType::Future(_) => Value::Future(stream::lift(cx, ty, ValRaw::u32(handle(bytes)?))?),
        other => return unsupported(other),
    })
}

/// Lifts values that lie one after the other, each at its own alignment: the fields of a record, the elements of a
/// tuple.
fn sequence(
    cx: &mut Lifting<'_, '_>,
    types: impl ExactSizeIterator<Item = InterfaceType>,
    bytes: &[u8],
) -> Result<Vec<Value>> {
    let mut offset = 0;
    let mut values = Vec::with_capacity(types.len());
    for ty in types {
        let abi = cx.types.canonical_abi(&ty);
        let size = usize::try_from(abi.size32)?;
        let start = usize::try_from(abi.next_field32(&mut offset))?;
        let bytes = window(bytes, start, size).ok_or_else(|| format_err!("a field lies out of bounds"))?;
        values.push(from_memory(cx, ty, bytes)?);
    }
    Ok(values)
}

fn payload_from_memory(
    cx: &mut Lifting<'_, '_>,
    info: &VariantInfo,
    payload: Option<InterfaceType>,
    bytes: &[u8],
) -> Result<Option<Box<Value>>> {
    let Some(ty) = payload else { return Ok(None) };
    cx.charge(size_of::<Value>())?;
    let size = usize::try_from(cx.types.canonical_abi(&ty).size32)?;
    let bytes = window(bytes, usize::try_from(info.payload_offset32)?, size)
        .ok_or_else(|| format_err!("a payload lies out of bounds"))?;
    Ok(Some(Box::new(from_memory(cx, ty, bytes)?)))
}

/// Lifts the `length` elements that lie at `pointer`.
pub(super) fn list(cx: &mut Lifting<'_, '_>, element: InterfaceType, pointer: usize, length: usize) -> Result<List> {
    let abi = cx.types.canonical_abi(&element);
    let size = usize::try_from(abi.size32)?;
    if !pointer.is_multiple_of(usize::try_from(abi.align32)?) {
        bail!("a list's pointer is not aligned");
    }
    let bytes = length
        .checked_mul(size)
        .and_then(|total| window(cx.memory(), pointer, total))
        .ok_or_else(|| format_err!("a list of {length} elements is out of bounds of memory"))?;

    let packed = match element {
        InterfaceType::Bool => List::Bool(spend(cx, bytes)?.iter().map(|byte| *byte != 0).collect()),
        InterfaceType::U8 => List::U8(Bytes::copy_from_slice(spend(cx, bytes)?)),
        InterfaceType::S8 => List::S8(numbers(spend(cx, bytes)?, i8::from_le_bytes)),
        InterfaceType::U16 => List::U16(numbers(spend(cx, bytes)?, u16::from_le_bytes)),
        InterfaceType::S16 => List::S16(numbers(spend(cx, bytes)?, i16::from_le_bytes)),
        InterfaceType::U32 => List::U32(numbers(spend(cx, bytes)?, u32::from_le_bytes)),
        InterfaceType::S32 => List::S32(numbers(spend(cx, bytes)?, i32::from_le_bytes)),
        InterfaceType::U64 => List::U64(numbers(spend(cx, bytes)?, u64::from_le_bytes)),
        InterfaceType::S64 => List::S64(numbers(spend(cx, bytes)?, i64::from_le_bytes)),
        InterfaceType::Float32 => List::F32(numbers(spend(cx, bytes)?, f32::from_le_bytes)),
        InterfaceType::Float64 => List::F64(numbers(spend(cx, bytes)?, f64::from_le_bytes)),
        InterfaceType::Char => {
            let scalars = spend(cx, bytes)?.as_chunks().0.iter();
            List::Char(scalars.map(|bytes| char::try_from(u32::from_le_bytes(*bytes))).collect::<Result<_, _>>()?)
        }
        _ if let Some(layout) = super::layout(cx.types, element) => {
            List::Packed(layout.pack(spend(cx, bytes)?.to_vec())?)
        }
        _ => {
            cx.charge_array(length, size_of::<Value>())?;
            let mut values = Vec::with_capacity(length);
            for index in 0..length {
                let bytes = window(bytes, index * size, size).unwrap_or_default();
                values.push(from_memory(cx, element, bytes)?);
            }
            List::Values(values)
        }
    };
    Ok(packed)
}

/// Charges `bytes` before they are copied.
fn spend<'a>(cx: &mut Lifting<'_, '_>, bytes: &'a [u8]) -> Result<&'a [u8]> {
    cx.charge(bytes.len())?;
    Ok(bytes)
}

fn numbers<T, const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|chunk| read(*chunk)).collect()
}

fn discriminant(info: &VariantInfo, bytes: &[u8]) -> Result<u32> {
    Ok(match usize::from(info.size) {
        1 => u8::from_le_bytes(array(bytes)?).into(),
        2 => u16::from_le_bytes(array(bytes)?).into(),
        _ => u32::from_le_bytes(array(bytes)?),
    })
}

fn payload_type<'a>(
    mut cases: impl ExactSizeIterator<Item = &'a Option<InterfaceType>>,
    case: u32,
) -> Result<Option<InterfaceType>> {
    in_range(case, cases.len())?;
    Ok(cases.nth(usize::try_from(case)?).copied().flatten())
}

fn in_range(case: u32, count: usize) -> Result<()> {
    if usize::try_from(case)? >= count {
        bail!("discriminant {case} out of range for {count} cases");
    }
    Ok(())
}

fn pointer_pair(bytes: &[u8]) -> Result<(u32, u32)> {
    let length = bytes.get(4..).unwrap_or_default();
    Ok((u32::from_le_bytes(array(bytes)?), u32::from_le_bytes(array(length)?)))
}

fn handle(bytes: &[u8]) -> Result<u32> {
    Ok(u32::from_le_bytes(array(bytes)?))
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.first_chunk().copied().ok_or_else(|| format_err!("a value of {N} bytes lies out of bounds"))
}

pub(super) fn window(bytes: &[u8], start: usize, length: usize) -> Option<&[u8]> {
    bytes.get(start..)?.get(..length)
}

fn unsupported(ty: InterfaceType) -> Result<Value> {
    bail!("a value of type {ty:?} cannot leave its sandbox")
}
