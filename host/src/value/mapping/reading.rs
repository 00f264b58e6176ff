//! What goes along with one reading.

use bytes::Bytes;
use serde::de::Error;

use super::budget::{Budget, Refused};
use super::trail::Trail;
use super::words::{Notation, Words};
use crate::memory::Reservation;
use crate::value::ty::Type;

/// From how many bytes on a part of what is read is shared with it rather than copied.
const WORTH_SHARING: usize = 4 * 1024;

/// One reading: where it is, what it may still make, and what it reads.
#[derive(Debug)]
pub(in crate::value) struct Reading {
    notation: Notation,
    trail: Trail,
    budget: Budget,
    source: Bytes,
}

impl Reading {
    /// Of a text in `notation`, whose values may take `limit` bytes.
    pub(in crate::value) fn new(notation: Notation, limit: usize) -> Self {
        Reading { notation, trail: Trail::default(), budget: Budget::new(limit), source: Bytes::new() }
    }

    /// Of `source`, of which large parts become values as they are.
    pub(in crate::value) fn sharing(self, source: &Bytes) -> Self {
        Reading { source: source.clone(), ..self }
    }

    /// Does `read`, and adds to `reservation` what the values hold that it makes.
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

    /// A type in words.
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

    /// Where an error was, as a JSON pointer (RFC 6901); empty for the root.
    pub(in crate::value) fn pointer(&self) -> String {
        self.trail.pointer()
    }

    /// Why the values may not take more, where something was refused for that.
    pub(in crate::value) fn refused(&self) -> Option<Refused> {
        self.budget.refused()
    }

    /// Pays for `bytes` that a value is going to hold.
    pub(super) fn pay<E: Error>(&self, bytes: usize) -> Result<(), E> {
        self.budget.take(bytes)
    }

    /// Reads what does not last: what it pays is given back.
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

    /// Pays for the places of `count` elements more of a list.
    pub(super) fn make_room<T, E: Error>(&self, list: &mut Vec<T>, count: usize) -> Result<(), E> {
        self.budget.make_room(list, count)
    }

    /// Frees the places of a list that is read to its end.
    pub(super) fn trim<T>(&self, list: &mut Vec<T>) {
        self.budget.trim(list);
    }

    /// `part` as bytes of their own, or as a share of what is read where it is a large part of that.
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
