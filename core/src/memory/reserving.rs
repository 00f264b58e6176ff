//! A buffer whose memory is reserved while it is written.

use std::io;

use super::{NoRoom, Reservation};

/// The least size of a buffer, in bytes.
const FIRST: usize = 128;
/// A buffer up to this size, in bytes, is never rejected: a small answer costs less than its rejection.
const FREE: usize = 64 * 1024;

/// A buffer whose memory is reserved. After it has rejected bytes once, it takes no more: see [`Reserving::finish`].
#[derive(Debug)]
pub struct Reserving<'a> {
    out: Vec<u8>,
    reservation: &'a mut Reservation,
    no_room: Option<NoRoom>,
}

impl<'a> Reserving<'a> {
    /// Makes an empty buffer. Its memory is added to `reservation`.
    pub fn new(reservation: &'a mut Reservation) -> Self {
        Reserving { out: Vec::new(), reservation, no_room: None }
    }

    /// Returns the bytes that were written.
    ///
    /// # Errors
    /// There was no room for them. They are not reserved then.
    pub fn finish(mut self) -> Result<Vec<u8>, NoRoom> {
        let Some(no_room) = self.no_room else { return Ok(self.out) };
        self.reservation.shrink_by(self.out.capacity());
        self.out = Vec::new();
        Err(no_room)
    }

    /// Returns how many bytes were written.
    pub fn written(&self) -> usize {
        self.out.len()
    }

    /// Writes `bytes`. If there is no room, [`Reserving::finish`] returns the error.
    pub fn put(&mut self, bytes: &[u8]) {
        if self.no_room.is_none() {
            self.no_room = self.make_room(bytes.len()).err();
        }
        if self.no_room.is_none() {
            self.out.extend_from_slice(bytes);
        }
    }

    fn make_room(&mut self, count: usize) -> Result<(), NoRoom> {
        let before = self.out.capacity();
        let needed = self.out.len().saturating_add(count);
        if needed <= before {
            return Ok(());
        }
        let after = needed.max(before.saturating_mul(2)).max(FIRST);
        // Reserves both at once, because the old place is free only after the bytes have moved.
        match after <= FREE {
            true => self.reservation.grow_anyway(after),
            false => self.reservation.grow(after)?,
        }
        self.out.reserve_exact(after - self.out.len());
        self.reservation.shrink_by(after.saturating_sub(self.out.capacity()));
        self.reservation.shrink_by(before);
        Ok(())
    }
}

impl io::Write for Reserving<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes);
        match self.no_room {
            Some(no_room) => Err(io::Error::new(io::ErrorKind::OutOfMemory, no_room)),
            None => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::super::MemoryBudget;
    use super::*;

    #[test]
    fn what_is_written_is_reserved_while_it_comes() {
        let budget = MemoryBudget::new(4000);
        let mut reservation = budget.reserve(10).unwrap();
        let mut out = Reserving::new(&mut reservation);
        for _ in 0..100 {
            out.write_all(b"ten bytes.").unwrap();
        }
        let written = out.finish().unwrap();
        assert_eq!(written.len(), 1000);
        assert_eq!(reservation.bytes(), 10 + written.capacity());
    }

    #[test]
    fn what_there_is_no_room_for_is_refused_and_nothing_of_it_stays() {
        let budget = MemoryBudget::new(2 * FREE);
        let mut reservation = budget.reserve(10).unwrap();
        let mut out = Reserving::new(&mut reservation);
        out.write_all(&[7; FREE]).unwrap();
        assert!(out.write_all(&[7; 2 * FREE]).is_err());
        assert!(out.write_all(b"x").is_err());
        assert!(out.finish().is_err());
        assert_eq!(budget.reserved(), 10);
    }
}
