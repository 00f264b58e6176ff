//! The state of a lift: the bytes that it copies are counted, and the streams that it takes are kept.

use std::ops::{Deref, DerefMut};

use wasmtime::component::__internal::{InterfaceType, LiftContext};
use wasmtime::component::Lift;
use wasmtime::{Result, ValRaw};

use super::stream::Opened;
use crate::memory::{MemoryBudget, Reservation};

/// The step in which a lift reserves bytes, so that it does not take each string's bytes one by one.
const STEP: usize = 256 * 1024;

/// A lift under way: wasmtime's context, and the streams taken out of the guest so far that are not connected yet.
///
/// Lists may overlap in the guest's memory, so a small guest can name values of any size. A lift reserves the bytes that
/// it copies in the host's memory budget before it copies them, except for the first ones.
pub(super) struct Lifting<'a, 'b> {
    cx: &'a mut LiftContext<'b>,
    pub(super) opened: Vec<Opened>,
    /// The bytes copied so far.
    held: usize,
    /// The bytes that may be copied before more must be reserved.
    allowed: usize,
    /// The reserved bytes, if there are any.
    pub(super) reservation: Option<Reservation>,
}

impl<'a, 'b> Lifting<'a, 'b> {
    /// Begins a lift that may copy `free` bytes without reserving them.
    pub(super) fn new(cx: &'a mut LiftContext<'b>, free: usize) -> Self {
        Lifting { cx, opened: Vec::new(), held: 0, allowed: free, reservation: None }
    }

    /// Charges `bytes` to the store's hostcall fuel, and reserves them. Call this before they are copied.
    pub(super) fn charge(&mut self, bytes: usize) -> Result<()> {
        self.hold(bytes)?;
        self.cx.consume_fuel(bytes)
    }

    /// Charges `length` elements of `size` bytes.
    pub(super) fn charge_array(&mut self, length: usize, size: usize) -> Result<()> {
        self.hold(length.saturating_mul(size))?;
        self.cx.consume_fuel_array(length, size)
    }

    /// Reserves `bytes` that wasmtime itself charges.
    fn hold(&mut self, bytes: usize) -> Result<()> {
        self.held = self.held.saturating_add(bytes);
        if self.held > self.allowed { self.reserve() } else { Ok(()) }
    }

    #[cold]
    fn reserve(&mut self) -> Result<()> {
        // Outside of a replica, in tests, there is no budget.
        let Some(budget) = MemoryBudget::current() else { return Ok(()) };
        let reservation = self.reservation.get_or_insert_with(|| budget.nothing());
        let wanted = self.held.saturating_add(STEP);
        // At the end of the budget, the last step may be too long.
        reservation.resize(wanted).or_else(|_| reservation.resize(self.held)).map_err(wasmtime::Error::new)?;
        self.allowed = reservation.bytes();
        Ok(())
    }

    /// Lifts a string of `length` units at `pointer`.
    pub(super) fn string(&mut self, ty: InterfaceType, pointer: ValRaw, length: ValRaw) -> Result<Box<str>> {
        // Before the copy by its length, which is that of the guest's encoding; afterwards by its true length.
        let units = usize::try_from(length.get_u32())?.min(self.cx.memory().len());
        self.hold(units)?;
        let text = <Box<str>>::linear_lift_from_flat(self.cx, ty, &[pointer, length])?;
        self.hold(text.len().saturating_sub(units))?;
        Ok(text)
    }
}

impl<'b> Deref for Lifting<'_, 'b> {
    type Target = LiftContext<'b>;

    fn deref(&self) -> &Self::Target {
        self.cx
    }
}

impl DerefMut for Lifting<'_, '_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.cx
    }
}
