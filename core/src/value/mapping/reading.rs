//! The state that goes along with one reading.

use bytes::Bytes;
use serde::de::Error;

use super::budget::{ReadLimit, ReadRefusal};
use super::trail::Trail;
use super::words::{Notation, Words};
use crate::memory::Reservation;
use crate::value::ty::Type;

/// The least size, in bytes, from which a part of the input is shared instead of copied.
const WORTH_SHARING: usize = 4 * 1024;

/// The state of one reading: the current place, the memory that values may still take, and the input.
#[derive(Debug)]
pub(in crate::value) struct Reading {
    notation: Notation,
    trail: Trail,
    budget: ReadLimit,
    source: Bytes,
}

impl Reading {
    /// Begins to read a text in `notation` whose values may take at most `limit` bytes.
    pub(in crate::value) fn new(notation: Notation, limit: usize) -> Self {
        Reading { notation, trail: Trail::default(), budget: ReadLimit::new(limit), source: Bytes::new() }
    }

    /// Sets the input to `source`, so that its large parts become values without a copy.
    pub(in crate::value) fn sharing(self, source: &Bytes) -> Self {
        Reading { source: source.clone(), ..self }
    }

    /// Runs `read`, and adds the bytes that its values hold to `reservation`.
    pub(in crate::value) fn reserving<T>(
        mut self,
        reservation: &mut Reservation,
        read: impl FnOnce(&Reading) -> T,
    ) -> T {
        let nothing = reservation.budget().nothing();
        self.budget.reserve_in(std::mem::replace(reservation, nothing));
        let read = read(&self);
        if let Some(grown) = self.budget.into_reservation() {
            *reservation = grown;
        }
        read
    }

    pub(super) fn notation(&self) -> Notation {
        self.notation
    }

    /// Returns a description of a type for messages.
    pub(super) fn words<'a>(&self, ty: &'a Type) -> Words<'a> {
        Words(ty, self.notation)
    }

    /// Notes that an error came out of the member `key` of an object.
    pub(super) fn key(&self, key: &str) {
        self.trail.key(key);
    }

    /// Notes that an error came out of the element `index` of an array.
    pub(super) fn index(&self, index: usize) {
        self.trail.index(index);
    }

    /// Returns the place of an error as a JSON pointer (RFC 6901); empty for the root.
    pub(in crate::value) fn pointer(&self) -> String {
        self.trail.pointer()
    }

    /// Returns why the values may not take more memory; `None` if nothing was rejected for that.
    pub(in crate::value) fn refused(&self) -> Option<ReadRefusal> {
        self.budget.refused()
    }

    /// Pays for `bytes` that a value will hold.
    pub(super) fn pay<E: Error>(&self, bytes: usize) -> Result<(), E> {
        self.budget.take(bytes)
    }

    /// Runs `read`, whose result does not last: gives back what it pays.
    pub(super) fn for_a_while<T>(&self, read: impl FnOnce() -> T) -> T {
        let left = self.budget.left();
        let read = read();
        self.budget.restore(left);
        read
    }

    /// Pays for the places of `count` values.
    pub(super) fn pay_values<E: Error>(&self, count: usize) -> Result<(), E> {
        self.budget.take_values(count)
    }

    /// Adds an element to a list, and pays for its place.
    pub(super) fn push<T, E: Error>(&self, list: &mut Vec<T>, element: T) -> Result<(), E> {
        self.make_room(list, 1)?;
        list.push(element);
        Ok(())
    }

    /// Makes room in a list for `count` elements more, and pays for their places.
    pub(super) fn make_room<T, E: Error>(&self, list: &mut Vec<T>, count: usize) -> Result<(), E> {
        self.budget.make_room(list, count)
    }

    /// Frees the unused places of a list that was read to its end.
    pub(super) fn trim<T>(&self, list: &mut Vec<T>) {
        self.budget.trim(list);
    }

    /// Returns `part` as bytes: a large part of the input shares its memory, anything else is copied.
    pub(super) fn bytes(&self, part: &[u8]) -> Bytes {
        let start = part.as_ptr().addr().wrapping_sub(self.source.as_ptr().addr());
        match start.checked_add(part.len()) {
            Some(end) if part.len() >= WORTH_SHARING && end <= self.source.len() => self.source.slice(start..end),
            _ => Bytes::copy_from_slice(part),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_part_of_what_is_read_is_shared_and_anything_else_copied() {
        let source = Bytes::from(vec![7; 3 * WORTH_SHARING]);
        let reading = Reading::new(Notation::Cbor, 0).sharing(&source);
        let large = &source[10..10 + WORTH_SHARING];
        assert_eq!(reading.bytes(large).as_ptr(), large.as_ptr());
        let end = &source[2 * WORTH_SHARING..];
        assert_eq!(reading.bytes(end).as_ptr(), end.as_ptr());
        let foreign = vec![7; WORTH_SHARING];
        for copied in [&source[..10], &foreign, &[]] {
            let bytes = reading.bytes(copied);
            assert_eq!(bytes, copied);
            assert!(copied.is_empty() || bytes.as_ptr() != copied.as_ptr());
        }
    }
}
