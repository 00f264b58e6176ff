//! The canonical ABI: lifts values out of a guest's memory and lowers them into it, driven by the component's type
//! tables.
//!
//! wasmtime offers two ways to call a function: by Rust types known at compile time, and by its dynamic
//! `wasmtime::component::Val`, which spends an enum and some tens of nanoseconds on each byte of a `list<u8>`. A host
//! that routes calls between components it has never seen needs the speed of the first and the freedom of the second.
//! [`Flat`] gives both: it is one Rust type that implements wasmtime's `Lift` and `Lower` for every function type.
//!
//! # Why the `unsafe impl`s are sound
//!
//! `ComponentType`, `Lift` and `Lower` are `unsafe` because wasmtime trusts what an implementation says of itself, and
//! hands it raw core-wasm slots and memory offsets on that basis. For `Flat<N>`:
//!
//! 1. *`Lower` is a sequence of `ValRaw`.* It is `[ValRaw; N]`.
//! 2. *Every slot that core wasm will read is initialised.* [`Lower::linear_lower_to_flat`] first writes zero to all
//!    `N` slots and then hands them, initialised, to safe code.
//! 3. *Size and alignment are right.* They depend on the function, so they can't be constants; `ABI` declares a size of
//!    zero. wasmtime uses the constants in three places. First, it slices a host function's parameters out of memory:
//!    it gives us an empty slice, and we take the offset from where that slice begins and check the bounds against the
//!    type tables. Second, it allocates memory for parameters that don't fit the flat limit. Third, it finds a result
//!    in memory. The second and third happen only if `N` is above the flat limits. [`call`] makes no such `Flat`: it
//!    uses one slot as a pointer, and this module allocates or checks the memory itself.
//! 4. *The type check.* `typecheck` accepts everything, because each lift and lower looks at the actual type it is
//!    given. A value of another type is an error; it is never reinterpreted.
//!
//! Everything else here is safe code: it reads and writes memory through checked slices, and it validates each string,
//! list, discriminant and `char` from a guest. A lift charges all host memory that it allocates to the store's hostcall
//! fuel, so lists that overlap in the guest's memory can't multiply in ours.
//!
//! The traits' methods are wasmtime internals (`wasmtime::component::__internal`). That is why wasmtime is pinned to
//! one minor version.

pub mod call;
mod lift;
mod lifting;
mod lower;
mod map;
pub mod stream;

use std::mem::MaybeUninit;

use wasmtime::component::__internal::{
    CanonicalAbiInfo, ComponentTypes, InstanceType, InterfaceType, LiftContext, LowerContext,
};
use wasmtime::component::{ComponentNamedList, ComponentType, Lift, Lower};
use wasmtime::{Result, ValRaw, bail};

use super::Value;
use super::packed::Layout;
use super::scalars::Scalar;
use crate::memory::{NoRoom, Reservation};
use lifting::Lifting;
use stream::Opened;

/// The most core-wasm values that parameters, or the results of an async export, may have. More go through memory. The
/// canonical ABI calls this `MAX_FLAT_PARAMS`.
const MAX_FLAT: usize = 16;

/// The parameters or the results of one call, in `N` core-wasm values.
///
/// If the function's own count of flat values is `N`, the slots are those values. Otherwise the first slot is a pointer
/// to the values in memory.
struct Flat<const N: usize> {
    values: Vec<Value>,
    /// The streams among the values that are not connected to their readers yet.
    opened: Vec<Opened>,
    /// The part of the host's budget that the values hold.
    reservation: Option<Reservation>,
    /// Set if the host had no room for the values, which are then missing.
    no_room: Option<NoRoom>,
}

/// The bytes that the lift of one call's values copies without reserving them. Few lifts run at once: one for each thread.
const FREE: usize = 64 * 1024;

impl<const N: usize> Flat<N> {
    fn new(values: Vec<Value>) -> Self {
        Flat { values, opened: Vec::new(), reservation: None, no_room: None }
    }

    /// Lifts values. If the host has no room for them, that is no fault of the guest, and no error here.
    fn lift(cx: &mut LiftContext<'_>, lift: impl FnOnce(&mut Lifting<'_, '_>) -> Result<Vec<Value>>) -> Result<Self> {
        let mut lifting = Lifting::new(cx, FREE);
        let lifted = lift(&mut lifting);
        let Lifting { opened, reservation, .. } = lifting;
        match lifted {
            Ok(values) => Ok(Flat { opened, reservation, ..Flat::new(values) }),
            Err(error) => match error.downcast_ref::<NoRoom>() {
                Some(no_room) => Ok(Flat { opened, no_room: Some(*no_room), ..Flat::new(Vec::new()) }),
                None => Err(error),
            },
        }
    }
}

// SAFETY: see the module's documentation.
unsafe impl<const N: usize> ComponentType for Flat<N> {
    type Lower = [ValRaw; N];

    const ABI: CanonicalAbiInfo =
        CanonicalAbiInfo { size32: 0, align32: 1, size64: 0, align64: 1, flat_count: Some(0) };

    fn typecheck(_: &InterfaceType, _: &InstanceType<'_>) -> Result<()> {
        Ok(())
    }
}

// SAFETY: see the module's documentation.
unsafe impl<const N: usize> ComponentNamedList for Flat<N> {}

// SAFETY: see the module's documentation.
unsafe impl<const N: usize> Lift for Flat<N> {
    fn linear_lift_from_flat(cx: &mut LiftContext<'_>, ty: InterfaceType, src: &[ValRaw; N]) -> Result<Self> {
        if is_flat(cx.types.canonical_abi(&ty), N) {
            return Self::lift(cx, |cx| lift::tuple_from_flat(cx, ty, src));
        }
        let Some(pointer) = src.first() else { bail!("no slot for the pointer to the values of a call") };
        let offset = usize::try_from(pointer.get_u32())?;
        Self::lift(cx, |cx| lift::tuple_from_memory(cx, ty, offset))
    }

    fn linear_lift_from_memory(cx: &mut LiftContext<'_>, ty: InterfaceType, bytes: &[u8]) -> Result<Self> {
        let offset = offset_of(cx, bytes);
        Self::lift(cx, |cx| lift::tuple_from_memory(cx, ty, offset))
    }
}

// SAFETY: see the module's documentation.
unsafe impl<const N: usize> Lower for Flat<N> {
    fn linear_lower_to_flat<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        dst: &mut MaybeUninit<[ValRaw; N]>,
    ) -> Result<()> {
        let slots = dst.write([ValRaw::u64(0); N]);
        let abi = cx.types.canonical_abi(&ty);
        if abi.flat_count(N.min(MAX_FLAT)).is_some() {
            return lower::tuple_to_flat(cx, ty, &self.values, slots);
        }
        let offset = cx.realloc(0, 0, abi.align32, usize::try_from(abi.size32)?)?;
        lower::tuple_to_memory(cx, ty, &self.values, offset)?;
        match slots.first_mut() {
            Some(slot) => *slot = ValRaw::i64(i64::try_from(offset)?),
            None => bail!("no slot for the pointer to the values of a call"),
        }
        Ok(())
    }

    fn linear_lower_to_memory<T>(&self, cx: &mut LowerContext<'_, T>, ty: InterfaceType, offset: usize) -> Result<()> {
        lower::tuple_to_memory(cx, ty, &self.values, offset)
    }
}

/// Returns the offset in the guest's memory at which `bytes`, an empty slice of it, begins; see point 3 of the module's
/// documentation.
fn offset_of(cx: &LiftContext<'_>, bytes: &[u8]) -> usize {
    bytes.as_ptr().addr().wrapping_sub(cx.memory().as_ptr().addr())
}

/// Lowers a string in the guest's own encoding, and returns its pointer and length.
fn string_to_flat<T>(cx: &mut LowerContext<'_, T>, text: &str) -> Result<[ValRaw; 2]> {
    let mut pair = MaybeUninit::new([ValRaw::u64(0); 2]);
    text.linear_lower_to_flat(cx, InterfaceType::String, &mut pair)?;
    // SAFETY: `pair` was initialised before wasmtime wrote to it.
    Ok(unsafe { pair.assume_init() })
}

/// Returns the memory layout of a record or tuple of plain data; `None` for any other type.
fn layout(types: &ComponentTypes, ty: InterfaceType) -> Option<Layout> {
    let mut layout = Layout::new();
    let mut add = |ty: InterfaceType| {
        match scalar(ty) {
            Some(scalar) => layout.push(scalar),
            None => layout.nest(&self::layout(types, ty)?),
        }
        Some(())
    };
    match ty {
        InterfaceType::Record(index) => types[index].fields.iter().try_for_each(|field| add(field.ty))?,
        InterfaceType::Tuple(index) => types[index].types.iter().try_for_each(|ty| add(*ty))?,
        _ => return None,
    }
    Some(layout.finish())
}

fn scalar(ty: InterfaceType) -> Option<Scalar> {
    Some(match ty {
        InterfaceType::Bool => Scalar::Bool,
        InterfaceType::S8 => Scalar::S8,
        InterfaceType::U8 => Scalar::U8,
        InterfaceType::S16 => Scalar::S16,
        InterfaceType::U16 => Scalar::U16,
        InterfaceType::S32 => Scalar::S32,
        InterfaceType::U32 => Scalar::U32,
        InterfaceType::S64 => Scalar::S64,
        InterfaceType::U64 => Scalar::U64,
        InterfaceType::Float32 => Scalar::F32,
        InterfaceType::Float64 => Scalar::F64,
        InterfaceType::Char => Scalar::Char,
        _ => return None,
    })
}

/// Returns true if values of this ABI take exactly `slots` core-wasm values.
fn is_flat(abi: &CanonicalAbiInfo, slots: usize) -> bool {
    abi.flat_count(slots) == Some(slots)
}

#[cfg(test)]
mod tests;
