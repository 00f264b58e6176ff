//! The Rust type by which wasmtime knows the items of a stream, whatever their WIT type is.
//!
//! wasmtime moves items one by one, by the size of their Rust type. Here the first item of a batch stands for all of
//! them: it moves the batch as one [`List`], by the sizes in the component's own type tables, and the other items move
//! nothing. So [`Item`] has no size, and each read begins with the first item of a guest's write. If the host takes
//! only a part of the write, the guest learns how many items it took, and the guest writes the rest again.
//!
//! # Why the `unsafe impl`s are sound
//! The arguments for `Flat` in the module above hold for [`Item`], too: this module reads and writes memory only
//! through checked slices, by the actual type. Beyond that, wasmtime uses the size to check that items lie within
//! memory. `list` and `elements` check that themselves, with the true size, and they check the alignment.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::component::__internal::{CanonicalAbiInfo, InstanceType, InterfaceType, LiftContext, LowerContext};
use wasmtime::component::{ComponentType, Lift, Lower, ReadBuffer, Source, WriteBuffer};
use wasmtime::{AsContextMut, Result, ValRaw, bail, format_err};

use super::{CHUNK, Opened};
use crate::value::List;
use crate::value::abi::lift;
use crate::value::abi::lifting::Lifting;
use crate::value::abi::{lower, offset_of};

thread_local! {
    /// The number of items in the batch that this thread reads next. wasmtime has no other way to hand this to
    /// [`Lift`].
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

/// An item of a stream. The first item of a batch holds all items of it, the others hold none.
///
/// `REALLOC` is whether writing an item may call the guest's allocator.
pub(super) struct Item<const REALLOC: bool>(Option<Arc<ItemBatch>>);

struct ItemBatch {
    list: List,
    /// The streams that the items hold.
    opened: Mutex<Vec<Opened>>,
}

impl<const REALLOC: bool> Item<REALLOC> {
    /// Returns the items of `list`, in the form that wasmtime takes.
    pub(super) fn batch(list: List) -> Vec<Self> {
        let count = list.len();
        let mut items = Vec::with_capacity(count);
        items.push(Item(Some(Arc::new(ItemBatch { list, opened: Mutex::default() }))));
        items.resize_with(count, || Item(None));
        items
    }

    /// Lifts all `count` items in the guest's memory into the first one.
    #[cold]
    #[inline(never)]
    fn lift_all(cx: &mut LiftContext<'_>, ty: InterfaceType, bytes: &[u8], count: usize) -> Result<Self> {
        COUNT.set(0);
        let pointer = offset_of(cx, bytes);
        let mut lifting = Lifting::new(cx, CHUNK);
        let list = lift::list(&mut lifting, ty, pointer, count)?;
        Ok(Item(Some(Arc::new(ItemBatch { list, opened: Mutex::new(lifting.opened) }))))
    }

    /// Reads the next of the `count` items of `source`, and the streams in them. From a guest's write it takes at most
    /// `most` items; from the host's own write it takes all.
    pub(super) fn read(
        source: &mut Source<'_, Self>,
        store: impl AsContextMut,
        count: usize,
        most: usize,
    ) -> Result<(List, Vec<Opened>)> {
        let part = count.min(most);
        let mut buffer = BatchBuffer::<REALLOC> { room: part, load: None };
        COUNT.set(part);
        let read = source.read(store, &mut buffer);
        // Resets it even if the read failed, so that no later lift on this thread uses it.
        COUNT.set(0);
        read?;
        let load = buffer.load.and_then(Arc::into_inner).ok_or_else(|| format_err!("a batch of a stream is shared"))?;
        Ok((load.list, load.opened.into_inner().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// The buffer into which a batch is read.
struct BatchBuffer<const REALLOC: bool> {
    room: usize,
    load: Option<Arc<ItemBatch>>,
}

impl<const REALLOC: bool> ReadBuffer<Item<REALLOC>> for BatchBuffer<REALLOC> {
    fn extend<I: IntoIterator<Item = Item<REALLOC>>>(&mut self, items: I) {
        for item in items {
            self.room = self.room.saturating_sub(1);
            if item.0.is_some() {
                self.load = item.0;
            }
        }
    }

    fn remaining_capacity(&self) -> usize {
        self.room
    }

    /// Takes items from a stream that the host itself writes.
    fn move_from(&mut self, input: &mut dyn WriteBuffer<Item<REALLOC>>, count: usize) {
        // A batch is one item with all the others in it, so it cannot be taken in parts.
        self.room = self.room.saturating_sub(count);
        self.load = input.remaining().first().and_then(|item| item.0.clone());
        input.skip(input.remaining().len());
    }
}

// SAFETY: see the module's documentation.
unsafe impl<const REALLOC: bool> ComponentType for Item<REALLOC> {
    type Lower = [ValRaw; 0];

    const ABI: CanonicalAbiInfo =
        CanonicalAbiInfo { size32: 0, align32: 1, size64: 0, align64: 1, flat_count: Some(0) };

    const MAY_REQUIRE_REALLOC: bool = REALLOC;

    fn typecheck(_: &InterfaceType, _: &InstanceType<'_>) -> Result<()> {
        Ok(())
    }
}

// SAFETY: see the module's documentation.
unsafe impl<const REALLOC: bool> Lift for Item<REALLOC> {
    fn linear_lift_from_flat(_: &mut LiftContext<'_>, _: InterfaceType, _: &[ValRaw; 0]) -> Result<Self> {
        bail!("an item of a stream stands in core-wasm values")
    }

    // Inlined because wasmtime calls it for each item, and nearly all items are empty.
    #[inline]
    fn linear_lift_from_memory(cx: &mut LiftContext<'_>, ty: InterfaceType, bytes: &[u8]) -> Result<Self> {
        match COUNT.get() {
            0 => Ok(Item(None)),
            count => Self::lift_all(cx, ty, bytes, count),
        }
    }
}

// SAFETY: see the module's documentation.
unsafe impl<const REALLOC: bool> Lower for Item<REALLOC> {
    fn linear_lower_to_flat<T>(
        &self,
        _: &mut LowerContext<'_, T>,
        _: InterfaceType,
        _: &mut MaybeUninit<[ValRaw; 0]>,
    ) -> Result<()> {
        bail!("an item of a stream goes into core-wasm values")
    }

    fn linear_lower_to_memory<T>(&self, cx: &mut LowerContext<'_, T>, ty: InterfaceType, offset: usize) -> Result<()> {
        Self::linear_store_list_to_memory(cx, ty, offset, std::slice::from_ref(self))
    }

    fn linear_store_list_to_memory<T>(
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        offset: usize,
        items: &[Self],
    ) -> Result<()> {
        match items.first() {
            None => Ok(()),
            Some(Item(Some(load))) if load.list.len() == items.len() => lower::elements(cx, ty, &load.list, offset),
            Some(_) => bail!("a part of a batch goes to a guest"),
        }
    }
}
