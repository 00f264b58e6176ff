//! The memory that one reading may take.

use std::cell::{Cell, RefCell};

use serde::de::Error;

use crate::memory::{NoRoom, Reservation};
use crate::value::Value;

/// The number of bytes that are reserved of the host's budget at once, if there is so much.
const STEP: usize = 64 * 1024;

/// The bytes that the values of one reading may take: at most `limit`. If the reading has a [`Reservation`], they are
/// reserved of the host's budget, too.
///
/// A few bytes of text can be kilobytes of values: `{}` for a record of a hundred options, `[]` for a list in a list.
/// So every value and every buffer is paid for before it is made, about as [`Value::weight`] counts it.
#[derive(Debug)]
pub(super) struct ReadLimit {
    limit: usize,
    left: Cell<usize>,
    refused: Cell<Option<ReadRefusal>>,
    reservation: RefCell<Option<Reservation>>,
    /// The bytes that are reserved but not paid for anything yet.
    prepaid: Cell<usize>,
}

/// The reason why a reading may not take more memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::value) enum ReadRefusal {
    /// The values of one reading may take at most so many bytes.
    Limit(usize),
    /// The host has no room for more.
    NoRoom(NoRoom),
}

impl ReadLimit {
    pub(super) fn new(limit: usize) -> Self {
        ReadLimit {
            limit,
            left: Cell::new(limit),
            refused: Cell::new(None),
            reservation: RefCell::new(None),
            prepaid: Cell::new(0),
        }
    }

    /// Reserves what is paid from now on, too.
    pub(super) fn reserve_in(&mut self, reservation: Reservation) {
        self.reservation = RefCell::new(Some(reservation));
    }

    /// Returns the reservation: its bytes at first, and all that was paid.
    pub(super) fn into_reservation(self) -> Option<Reservation> {
        let mut reservation = self.reservation.into_inner()?;
        reservation.shrink_by(self.prepaid.get());
        Some(reservation)
    }

    /// Pays for `bytes`.
    pub(super) fn take<E: Error>(&self, bytes: usize) -> Result<(), E> {
        let Some(left) = self.left.get().checked_sub(bytes) else {
            self.refused.set(Some(ReadRefusal::Limit(self.limit)));
            return Err(E::custom(format_args!("its values take more than the limit of {} bytes", self.limit)));
        };
        self.reserve(bytes).map_err(|no_room| {
            self.refused.set(Some(ReadRefusal::NoRoom(no_room)));
            E::custom(no_room)
        })?;
        self.left.set(left);
        Ok(())
    }

    /// Gives back `bytes` that were paid.
    fn give_back(&self, bytes: usize) {
        self.left.set(self.left.get() + bytes);
        let prepaid = self.prepaid.get() + bytes;
        self.prepaid.set(prepaid);
        if prepaid > 2 * STEP
            && let Some(reservation) = &mut *self.reservation.borrow_mut()
        {
            reservation.shrink_by(prepaid - STEP);
            self.prepaid.set(STEP);
        }
    }

    fn reserve(&self, bytes: usize) -> Result<(), NoRoom> {
        let prepaid = self.prepaid.get();
        if bytes <= prepaid {
            self.prepaid.set(prepaid - bytes);
            return Ok(());
        }
        if let Some(reservation) = &mut *self.reservation.borrow_mut() {
            let more = bytes - prepaid;
            match reservation.grow(more.max(STEP)) {
                Ok(()) => self.prepaid.set(more.max(STEP) - more),
                Err(_) => {
                    reservation.grow(more)?;
                    self.prepaid.set(0);
                }
            }
        }
        Ok(())
    }

    /// Returns the bytes that may still be paid.
    pub(super) fn left(&self) -> usize {
        self.left.get()
    }

    /// Gives back what was paid since `left` bytes were left.
    pub(super) fn restore(&self, left: usize) {
        self.give_back(left.saturating_sub(self.left.get()));
    }

    /// Pays for the places of `count` values. The reader of each value pays for the memory behind it.
    pub(super) fn take_values<E: Error>(&self, count: usize) -> Result<(), E> {
        self.take(count.saturating_mul(size_of::<Value>()))
    }

    /// Returns why a payment was rejected; `None` if none was.
    pub(super) fn refused(&self) -> Option<ReadRefusal> {
        self.refused.get()
    }

    /// Makes room in `list` for `count` elements more, and pays for all places that the list then has. Nobody knows the
    /// list's length before it is read. While the elements move, the old places are reserved as well.
    pub(super) fn make_room<T, E: Error>(&self, list: &mut Vec<T>, count: usize) -> Result<(), E> {
        if count <= list.capacity() - list.len() {
            return Ok(());
        }
        let size = size_of::<T>().max(1);
        let before = list.capacity();
        let affordable = self.left() / size;
        // Doubles the list, so that elements seldom move; takes fewer places near the limit.
        let more = before.max(LEAST_PLACES).min(affordable).max(count);
        self.take(more.saturating_mul(size))?;
        let moved = before.saturating_mul(size);
        self.reserve(moved).map_err(|no_room| {
            self.refused.set(Some(ReadRefusal::NoRoom(no_room)));
            E::custom(no_room)
        })?;
        list.reserve_exact(before - list.len() + more);
        self.prepaid.set(self.prepaid.get() + moved);
        self.give_back(0);
        Ok(())
    }

    /// Frees the unused places of `list` if they are many.
    pub(super) fn trim<T>(&self, list: &mut Vec<T>) {
        let unused = list.capacity() - list.len();
        if unused.saturating_mul(size_of::<T>()) >= STEP {
            list.shrink_to_fit();
            self.give_back((unused - (list.capacity() - list.len())) * size_of::<T>());
        }
    }
}

/// The number of places that a list gets first, unless the limit allows fewer.
const LEAST_PLACES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryBudget;

    type Refusal = serde::de::value::Error;

    #[test]
    fn what_was_taken_is_gone_and_the_refusal_names_the_limit() {
        let budget = ReadLimit::new(100);
        budget.take::<Refusal>(60).unwrap();
        assert_eq!(budget.refused(), None);
        let refusal = budget.take::<Refusal>(41).unwrap_err();
        assert_eq!(refusal.to_string(), "its values take more than the limit of 100 bytes");
        assert_eq!(budget.refused(), Some(ReadRefusal::Limit(100)));
        assert!(ReadLimit::new(usize::MAX - 1).take_values::<Refusal>(usize::MAX).is_err());
    }

    #[test]
    fn a_list_pays_for_the_places_that_it_has() {
        for length in [1_usize, 4, 5, 1000, 8192, 100_000] {
            let (budget, mut list) = (ReadLimit::new(usize::MAX), Vec::new());
            for index in 0..length {
                budget.make_room::<_, Refusal>(&mut list, 1).unwrap();
                list.push(index as f64);
            }
            let paid = || (usize::MAX - budget.left()) / size_of::<f64>();
            assert_eq!(paid(), list.capacity(), "{length}");
            assert!(list.capacity() <= (2 * length).max(LEAST_PLACES), "{length}: {}", list.capacity());
            budget.trim(&mut list);
            assert_eq!(paid(), list.capacity(), "{length}");
            assert!((list.capacity() - length) * size_of::<f64>() < STEP);
        }
    }

    #[test]
    fn a_list_may_be_as_long_as_the_limit_allows() {
        let (budget, mut list) = (ReadLimit::new(1000 * size_of::<u64>()), Vec::new());
        let refusal = loop {
            match budget.make_room::<_, Refusal>(&mut list, 1) {
                Ok(()) => list.push(0_u64),
                Err(refusal) => break refusal,
            }
        };
        assert_eq!(list.len(), 1000, "{refusal}");
    }

    #[test]
    fn what_is_paid_is_reserved_and_what_is_given_back_is_free() {
        let host = MemoryBudget::new(10 * STEP);
        let mut budget = ReadLimit::new(usize::MAX);
        budget.reserve_in(host.reserve(100).unwrap());
        budget.take::<Refusal>(5 * STEP).unwrap();
        assert!(host.reserved() >= 5 * STEP + 100);
        let left = budget.left();
        budget.take::<Refusal>(2 * STEP).unwrap();
        budget.restore(left);
        assert!(budget.take::<Refusal>(6 * STEP).is_err());
        assert_eq!(budget.refused().map(|refused| matches!(refused, ReadRefusal::NoRoom(_))), Some(true));
        assert_eq!(budget.into_reservation().map(|reservation| reservation.bytes()), Some(5 * STEP + 100));
        assert_eq!(host.reserved(), 0);
    }

    #[test]
    fn a_list_that_moves_is_reserved_twice_for_that_moment() {
        let host = MemoryBudget::new(STEP);
        let mut budget = ReadLimit::new(usize::MAX);
        budget.reserve_in(host.nothing());
        let mut list: Vec<u8> = Vec::new();
        while budget.make_room::<_, Refusal>(&mut list, 1).is_ok() {
            list.push(0);
        }
        // If a longer list grew, its old and its new places together would take more than the host has.
        assert_eq!(list.len(), STEP / 2);
    }
}
