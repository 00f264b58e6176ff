//! Maps in a guest's memory: the canonical ABI lays `map<K, V>` out as `list<tuple<K, V>>`.

use wasmtime::component::__internal::LowerContext;
use wasmtime::component::__internal::wasmtime_environ::component::TypeMapIndex;
use wasmtime::{Result, bail, format_err};

use super::lift::{from_memory, window};
use super::lifting::Lifting;
use super::lower::to_memory;
use crate::value::{Value, entries};

/// Lifts the `length` entries that lie at `pointer`.
///
/// A guest may write a key twice. The component model gives the key its last value.
pub(super) fn lift(
    cx: &mut Lifting<'_, '_>,
    map: TypeMapIndex,
    pointer: usize,
    length: usize,
) -> Result<Vec<(Value, Value)>> {
    let types = cx.types;
    let map = &types[map];
    let entry_size = usize::try_from(map.entry_abi.size32)?;
    let key_size = usize::try_from(types.canonical_abi(&map.key).size32)?;
    let value_size = usize::try_from(types.canonical_abi(&map.value).size32)?;
    let value_offset = usize::try_from(map.value_offset32)?;
    if !pointer.is_multiple_of(usize::try_from(map.entry_abi.align32)?) {
        bail!("a map's pointer is not aligned");
    }
    let bytes = length
        .checked_mul(entry_size)
        .and_then(|total| window(cx.memory(), pointer, total))
        .ok_or_else(|| format_err!("a map of {length} entries is out of bounds of memory"))?;

    cx.charge_array(length, size_of::<(Value, Value)>())?;
    let mut lifted = Vec::with_capacity(length);
    for index in 0..length {
        let start = index * entry_size;
        let key = from_memory(cx, map.key, window(bytes, start, key_size).unwrap_or_default())?;
        let value = window(bytes, start + value_offset, value_size).unwrap_or_default();
        lifted.push((key, from_memory(cx, map.value, value)?));
    }
    if entries::are_sorted(&lifted) {
        return Ok(lifted);
    }
    cx.charge_array(length, entries::SEEN)?;
    Ok(entries::last_of_each(lifted))
}

/// Lowers `entries` to memory that the guest allocates, and returns their pointer and their number.
pub(super) fn lower<T>(
    cx: &mut LowerContext<'_, T>,
    map: TypeMapIndex,
    entries: &[(Value, Value)],
) -> Result<(usize, usize)> {
    let map = &cx.types[map];
    let size = usize::try_from(map.entry_abi.size32)?;
    let value_offset = usize::try_from(map.value_offset32)?;
    let length = entries.len();
    let total = length.checked_mul(size).ok_or_else(|| format_err!("a map of {length} entries is too long"))?;
    let pointer = cx.realloc(0, 0, map.entry_abi.align32, total)?;
    for (index, (key, value)) in entries.iter().enumerate() {
        let start = pointer + index * size;
        to_memory(cx, map.key, key, start)?;
        to_memory(cx, map.value, value, start + value_offset)?;
    }
    Ok((pointer, length))
}
