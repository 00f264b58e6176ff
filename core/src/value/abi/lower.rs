//! Lowers [`Value`]s to a guest's core-wasm values and memory.

use wasmtime::component::__internal::wasmtime_environ::component::{StringEncoding, VariantInfo};
use wasmtime::component::__internal::{InterfaceType, LowerContext};
use wasmtime::component::Lower;
use wasmtime::{Result, ValRaw, bail, format_err};

use super::{map, stream};
use crate::value::{Flags, List, Value};

/// Lowers the values of a parameter or result list into core-wasm values.
pub(super) fn tuple_to_flat<T>(
    cx: &mut LowerContext<'_, T>,
    ty: InterfaceType,
    values: &[Value],
    dst: &mut [ValRaw],
) -> Result<()> {
    let types = cx.types;
    let InterfaceType::Tuple(index) = ty else { bail!("the values of a call are not a tuple") };
    let mut dst = Slots(dst);
    each(values, types[index].types.iter().copied(), |value, ty| to_flat(cx, ty, value, &mut dst))
}

/// Lowers the values of a parameter or result list into the guest's memory at `offset`.
pub(super) fn tuple_to_memory<T>(
    cx: &mut LowerContext<'_, T>,
    ty: InterfaceType,
    values: &[Value],
    offset: usize,
) -> Result<()> {
    let types = cx.types;
    let InterfaceType::Tuple(index) = ty else { bail!("the values of a call are not a tuple") };
    sequence(cx, types[index].types.iter().copied(), values, offset)
}

/// Core-wasm values, filled in order.
struct Slots<'a>(&'a mut [ValRaw]);

impl Slots<'_> {
    fn push(&mut self, value: ValRaw) -> Result<()> {
        let slots = std::mem::take(&mut self.0);
        let Some((first, rest)) = slots.split_first_mut() else { bail!("too many core-wasm values for the type") };
        *first = value;
        self.0 = rest;
        Ok(())
    }

    /// Skips `count` slots, which stay zero.
    fn skip(&mut self, count: usize) {
        let slots = std::mem::take(&mut self.0);
        self.0 = slots.get_mut(count..).unwrap_or_default();
    }
}

fn to_flat<T>(cx: &mut LowerContext<'_, T>, ty: InterfaceType, value: &Value, dst: &mut Slots<'_>) -> Result<()> {
    let types = cx.types;
    match (ty, value) {
        (InterfaceType::Bool, Value::Bool(value)) => dst.push(ValRaw::u32(u32::from(*value))),
        (InterfaceType::S8, Value::S8(value)) => dst.push(ValRaw::i32(i32::from(*value))),
        (InterfaceType::U8, Value::U8(value)) => dst.push(ValRaw::u32(u32::from(*value))),
        (InterfaceType::S16, Value::S16(value)) => dst.push(ValRaw::i32(i32::from(*value))),
        (InterfaceType::U16, Value::U16(value)) => dst.push(ValRaw::u32(u32::from(*value))),
        (InterfaceType::S32, Value::S32(value)) => dst.push(ValRaw::i32(*value)),
        (InterfaceType::U32, Value::U32(value)) => dst.push(ValRaw::u32(*value)),
        (InterfaceType::S64, Value::S64(value)) => dst.push(ValRaw::i64(*value)),
        (InterfaceType::U64, Value::U64(value)) => dst.push(ValRaw::u64(*value)),
        // As 64 bits: a variant may share the slot with an i64 case, and no half of it may be undefined.
        (InterfaceType::Float32, Value::F32(value)) => dst.push(ValRaw::u64(u64::from(value.to_bits()))),
        (InterfaceType::Float64, Value::F64(value)) => dst.push(ValRaw::u64(value.to_bits())),
        (InterfaceType::Char, Value::Char(value)) => dst.push(ValRaw::u32(u32::from(*value))),
        (InterfaceType::String, Value::String(value)) => {
            let [pointer, length] = super::string_to_flat(cx, value)?;
            dst.push(pointer)?;
            dst.push(length)
        }
        (InterfaceType::List(index), Value::List(value)) => {
            let (pointer, length) = list(cx, types[index].element, value)?;
            dst.push(ValRaw::i64(i64::try_from(pointer)?))?;
            dst.push(ValRaw::i64(i64::try_from(length)?))
        }
        (InterfaceType::Map(index), Value::Map(entries)) => {
            let (pointer, length) = map::lower(cx, index, entries)?;
            dst.push(ValRaw::i64(i64::try_from(pointer)?))?;
            dst.push(ValRaw::i64(i64::try_from(length)?))
        }
        (InterfaceType::Record(index), Value::Record(values)) => {
            let fields = types[index].fields.iter().map(|field| field.ty);
            each(values, fields, |value, ty| to_flat(cx, ty, value, dst))
        }
        (InterfaceType::Tuple(index), Value::Tuple(values)) => {
            each(values, types[index].types.iter().copied(), |value, ty| to_flat(cx, ty, value, dst))
        }
        (InterfaceType::Enum(index), Value::Enum(case)) if in_range(*case, types[index].names.len()) => {
            dst.push(ValRaw::u32(*case))
        }
        (InterfaceType::Flags(index), Value::Flags(flags)) if is_sized(flags, types[index].names.len()) => {
            flags.words().iter().try_for_each(|word| dst.push(ValRaw::u32(*word)))
        }
        (InterfaceType::Stream(_), Value::Stream(value)) | (InterfaceType::Future(_), Value::Future(value)) => {
            dst.push(stream::lower(cx, ty, value)?)
        }
        _ => {
            let cases = Cased::new(cx, ty, value)?;
            dst.push(ValRaw::u32(cases.case))?;
            let mut used = 1;
            if let Some((value, ty)) = cases.payload {
                to_flat(cx, ty, value, dst)?;
                used += flat_count(cx, ty)?;
            }
            dst.skip(flat_count(cx, ty)?.saturating_sub(used));
            Ok(())
        }
    }
}

fn flat_count<T>(cx: &LowerContext<'_, T>, ty: InterfaceType) -> Result<usize> {
    let count = cx.types.canonical_abi(&ty).flat_count(usize::MAX);
    count.ok_or_else(|| format_err!("a type without flat representation goes into core-wasm values"))
}

pub(super) fn to_memory<T>(
    cx: &mut LowerContext<'_, T>,
    ty: InterfaceType,
    value: &Value,
    offset: usize,
) -> Result<()> {
    let types = cx.types;
    match (ty, value) {
        (InterfaceType::Bool, Value::Bool(value)) => write(cx, offset, [u8::from(*value)]),
        (InterfaceType::S8, Value::S8(value)) => write(cx, offset, value.to_le_bytes()),
        (InterfaceType::U8, Value::U8(value)) => write(cx, offset, value.to_le_bytes()),
        (InterfaceType::S16, Value::S16(value)) => write(cx, offset, value.to_le_bytes()),
        (InterfaceType::U16, Value::U16(value)) => write(cx, offset, value.to_le_bytes()),
        (InterfaceType::S32, Value::S32(value)) => write(cx, offset, value.to_le_bytes()),
        (InterfaceType::U32, Value::U32(value)) => write(cx, offset, value.to_le_bytes()),
        (InterfaceType::S64, Value::S64(value)) => write(cx, offset, value.to_le_bytes()),
        (InterfaceType::U64, Value::U64(value)) => write(cx, offset, value.to_le_bytes()),
        (InterfaceType::Float32, Value::F32(value)) => write(cx, offset, value.to_le_bytes()),
        (InterfaceType::Float64, Value::F64(value)) => write(cx, offset, value.to_le_bytes()),
        (InterfaceType::Char, Value::Char(value)) => write(cx, offset, u32::from(*value).to_le_bytes()),
        (InterfaceType::String, Value::String(value)) => string(cx, ty, value, offset),
        (InterfaceType::List(index), Value::List(value)) => {
            let (pointer, length) = list(cx, types[index].element, value)?;
            write(cx, offset, u32::try_from(pointer)?.to_le_bytes())?;
            write(cx, offset + 4, u32::try_from(length)?.to_le_bytes())
        }
        (InterfaceType::Map(index), Value::Map(entries)) => {
            let (pointer, length) = map::lower(cx, index, entries)?;
            write(cx, offset, u32::try_from(pointer)?.to_le_bytes())?;
            write(cx, offset + 4, u32::try_from(length)?.to_le_bytes())
        }
        (InterfaceType::Record(index), Value::Record(values)) => {
            sequence(cx, types[index].fields.iter().map(|field| field.ty), values, offset)
        }
        (InterfaceType::Tuple(index), Value::Tuple(values)) => {
            sequence(cx, types[index].types.iter().copied(), values, offset)
        }
        (InterfaceType::Enum(index), Value::Enum(case)) if in_range(*case, types[index].names.len()) => {
            discriminant(cx, &types[index].info, *case, offset)
        }
        (InterfaceType::Flags(index), Value::Flags(flags)) if is_sized(flags, types[index].names.len()) => {
            let first = flags.words().first().copied().unwrap_or_default();
            match types[index].names.len() {
                0 => Ok(()),
                1..=8 => write(cx, offset, u8::try_from(first)?.to_le_bytes()),
                9..=16 => write(cx, offset, u16::try_from(first)?.to_le_bytes()),
                _ => fill(cx, offset, flags.words(), u32::to_le_bytes),
            }
        }
        (InterfaceType::Stream(_), Value::Stream(value)) | (InterfaceType::Future(_), Value::Future(value)) => {
            let handle = stream::lower(cx, ty, value)?.get_u32();
            write(cx, offset, handle.to_le_bytes())
        }
        _ => {
            let cases = Cased::new(cx, ty, value)?;
            discriminant(cx, cases.info, cases.case, offset)?;
            match cases.payload {
                Some((value, ty)) => to_memory(cx, ty, value, offset + usize::try_from(cases.info.payload_offset32)?),
                None => Ok(()),
            }
        }
    }
}

/// A variant, an option or a result as the canonical ABI sees it.
struct Cased<'a> {
    case: u32,
    payload: Option<(&'a Value, InterfaceType)>,
    info: &'a VariantInfo,
}

impl<'a> Cased<'a> {
    fn new<T>(cx: &LowerContext<'a, T>, ty: InterfaceType, value: &'a Value) -> Result<Self> {
        let (case, payload_type, payload, info) = match (ty, value) {
            (InterfaceType::Variant(index), Value::Variant(case, payload)) => {
                let variant = &cx.types[index];
                let Some((_, payload_type)) = variant.cases.get_index(usize::try_from(*case)?) else {
                    return mismatch(ty, value);
                };
                (*case, *payload_type, payload, &variant.info)
            }
            (InterfaceType::Option(index), Value::Option(payload)) => {
                let option = &cx.types[index];
                let some = payload.is_some();
                (u32::from(some), some.then_some(option.ty), payload, &option.info)
            }
            (InterfaceType::Result(index), Value::Result(Ok(payload))) => {
                (0, cx.types[index].ok, payload, &cx.types[index].info)
            }
            (InterfaceType::Result(index), Value::Result(Err(payload))) => {
                (1, cx.types[index].err, payload, &cx.types[index].info)
            }
            _ => return mismatch(ty, value),
        };
        let payload = match (payload_type, payload) {
            (Some(ty), Some(value)) => Some((&**value, ty)),
            (None, None) => None,
            _ => return mismatch(ty, value),
        };
        Ok(Cased { case, payload, info })
    }
}

fn sequence<T>(
    cx: &mut LowerContext<'_, T>,
    types: impl ExactSizeIterator<Item = InterfaceType>,
    values: &[Value],
    mut offset: usize,
) -> Result<()> {
    each(values, types, |value, ty| {
        let start = cx.types.canonical_abi(&ty).next_field32_size(&mut offset);
        to_memory(cx, ty, value, start)
    })
}

fn each(
    values: &[Value],
    types: impl ExactSizeIterator<Item = InterfaceType>,
    mut lower: impl FnMut(&Value, InterfaceType) -> Result<()>,
) -> Result<()> {
    if types.len() != values.len() {
        bail!("{} values for {} types", values.len(), types.len());
    }
    values.iter().zip(types).try_for_each(|(value, ty)| lower(value, ty))
}

fn list<T>(cx: &mut LowerContext<'_, T>, element: InterfaceType, list: &List) -> Result<(usize, usize)> {
    let abi = cx.types.canonical_abi(&element);
    let size = usize::try_from(abi.size32)?;
    let length = list.len();
    let total = length.checked_mul(size).ok_or_else(|| format_err!("a list of {length} elements is too long"))?;
    let pointer = cx.realloc(0, 0, abi.align32, total)?;
    elements(cx, element, list, pointer)?;
    Ok((pointer, length))
}

/// Lowers the elements of `list` to `pointer`, where the caller has made room for them.
pub(super) fn elements<T>(
    cx: &mut LowerContext<'_, T>,
    element: InterfaceType,
    list: &List,
    pointer: usize,
) -> Result<()> {
    let abi = cx.types.canonical_abi(&element);
    let size = usize::try_from(abi.size32)?;
    if !pointer.is_multiple_of(usize::try_from(abi.align32)?) {
        bail!("the pointer to a list's elements is not aligned");
    }
    match (element, list) {
        (InterfaceType::Bool, List::Bool(items)) => fill(cx, pointer, items, |item| [u8::from(item)]),
        (InterfaceType::U8, List::U8(items)) => fill(cx, pointer, items, |item| [item]),
        (InterfaceType::S8, List::S8(items)) => fill(cx, pointer, items, i8::to_le_bytes),
        (InterfaceType::U16, List::U16(items)) => fill(cx, pointer, items, u16::to_le_bytes),
        (InterfaceType::S16, List::S16(items)) => fill(cx, pointer, items, i16::to_le_bytes),
        (InterfaceType::U32, List::U32(items)) => fill(cx, pointer, items, u32::to_le_bytes),
        (InterfaceType::S32, List::S32(items)) => fill(cx, pointer, items, i32::to_le_bytes),
        (InterfaceType::U64, List::U64(items)) => fill(cx, pointer, items, u64::to_le_bytes),
        (InterfaceType::S64, List::S64(items)) => fill(cx, pointer, items, i64::to_le_bytes),
        (InterfaceType::Float32, List::F32(items)) => fill(cx, pointer, items, f32::to_le_bytes),
        (InterfaceType::Float64, List::F64(items)) => fill(cx, pointer, items, f64::to_le_bytes),
        (InterfaceType::Char, List::Char(items)) => fill(cx, pointer, items, |item| u32::from(item).to_le_bytes()),
        (_, List::Packed(items)) if items.stride() == size => fill(cx, pointer, items.bytes(), |item| [item]),
        (_, List::Values(items)) => {
            items.iter().enumerate().try_for_each(|(index, item)| to_memory(cx, element, item, pointer + index * size))
        }
        _ => bail!("a packed list of another element type for list<{element:?}>"),
    }
}

/// Writes packed elements at `offset`: one bounds check and one pass, which compiles to a copy on little-endian hosts.
fn fill<T, E: Copy, const N: usize>(
    cx: &mut LowerContext<'_, T>,
    offset: usize,
    items: &[E],
    bytes: impl Fn(E) -> [u8; N],
) -> Result<()> {
    let target = cx
        .as_slice_mut()
        .get_mut(offset..)
        .and_then(|memory| memory.get_mut(..items.len().checked_mul(N)?))
        .ok_or_else(|| format_err!("a list lies out of bounds of memory"))?;
    for (target, item) in target.as_chunks_mut().0.iter_mut().zip(items) {
        *target = bytes(*item);
    }
    Ok(())
}

/// The longest string of the canonical ABI, in bytes. wasmtime reports a longer one, as well as this module could.
const LONGEST_STRING: usize = (1 << 31) - 1;

fn string<T>(cx: &mut LowerContext<'_, T>, ty: InterfaceType, text: &str, offset: usize) -> Result<()> {
    if cx.options().string_encoding != StringEncoding::Utf8 || text.len() > LONGEST_STRING {
        return text.linear_lower_to_memory(cx, ty, offset);
    }
    let length = u32::try_from(text.len())?;
    let pointer = cx.realloc(0, 0, 1, text.len())?;
    // Writes both with one look-up of the memory, because a look-up costs as much as a short string.
    let memory = cx.as_slice_mut();
    let target = memory.get_mut(pointer..).and_then(|memory| memory.get_mut(..text.len()));
    target.ok_or_else(|| format_err!("a string lies out of bounds of memory"))?.copy_from_slice(text.as_bytes());
    let pair = memory.get_mut(offset..).and_then(|memory| memory.first_chunk_mut::<8>());
    let pair = pair.ok_or_else(|| format_err!("a string lies out of bounds of memory"))?;
    *pair = (u64::from(length) << 32 | u64::from(u32::try_from(pointer)?)).to_le_bytes();
    Ok(())
}

fn discriminant<T>(cx: &mut LowerContext<'_, T>, info: &VariantInfo, case: u32, offset: usize) -> Result<()> {
    match usize::from(info.size) {
        1 => write(cx, offset, u8::try_from(case)?.to_le_bytes()),
        2 => write(cx, offset, u16::try_from(case)?.to_le_bytes()),
        _ => write(cx, offset, case.to_le_bytes()),
    }
}

fn write<T, const N: usize>(cx: &mut LowerContext<'_, T>, offset: usize, bytes: [u8; N]) -> Result<()> {
    let target = cx.as_slice_mut().get_mut(offset..).and_then(|memory| memory.first_chunk_mut());
    *target.ok_or_else(|| format_err!("a value of {N} bytes lies out of bounds of memory"))? = bytes;
    Ok(())
}

fn in_range(case: u32, count: usize) -> bool {
    usize::try_from(case).is_ok_and(|case| case < count)
}

fn is_sized(flags: &Flags, count: usize) -> bool {
    flags.words().len() == count.div_ceil(32)
}

fn mismatch<R>(ty: InterfaceType, value: &Value) -> Result<R> {
    let found = match value {
        Value::Variant(..) => "a variant",
        Value::Option(_) => "an option",
        Value::Result(_) => "a result",
        Value::Record(_) => "a record",
        Value::Tuple(_) => "a tuple",
        Value::List(_) => "a list",
        Value::Map(_) => "a map",
        Value::Flags(_) => "flags",
        Value::Enum(_) => "an enum",
        Value::Stream(_) => "a stream",
        Value::Future(_) => "a future",
        _ => "a scalar",
    };
    bail!("{found} where the component's type is {ty:?}")
}
