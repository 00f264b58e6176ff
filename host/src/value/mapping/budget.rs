//! How much one reading may make.

use std::cell::Cell;

use serde::de::Error;

use crate::value::Value;

/// The bytes that the values of one reading may take.
///
/// A few bytes of text can be kilobytes of values: `{}` for a record of a hundred options, `[]` for a list in a list. So
/// every value and every buffer is paid for before it is made, about as [`Value::weight`] counts it.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    left: Cell<usize>,
    is_exceeded: Cell<bool>,
}

impl Budget {
    pub(super) fn new(limit: usize) -> Self {
        Budget { limit, left: Cell::new(limit), is_exceeded: Cell::new(false) }
    }

    /// Pays for `bytes`.
    pub(super) fn take<E: Error>(&self, bytes: usize) -> Result<(), E> {
        match self.left.get().checked_sub(bytes) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => {
                self.is_exceeded.set(true);
                Err(E::custom(format_args!("its values take more than the limit of {} bytes", self.limit)))
            }
        }
    }

    /// What is left.
    pub(super) fn left(&self) -> usize {
        self.left.get()
    }

    /// Sets what is left to what it was.
    pub(super) fn restore(&self, left: usize) {
        self.left.set(left);
    }

    /// Pays for the places of `count` values; what is behind them is paid for by who reads it.
    pub(super) fn take_values<E: Error>(&self, count: usize) -> Result<(), E> {
        self.take(count.saturating_mul(size_of::<Value>()))
    }

    /// The limit, where something was refused for it.
    pub(super) fn exceeded(&self) -> Option<usize> {
        self.is_exceeded.get().then_some(self.limit)
    }
}

/// What is paid for of a list whose length nobody knows before it is read: the first few places as one, since a list's first
/// allocation is as large, then twice as many each time, and no more than a chunk.
#[derive(Debug, Default)]
pub(super) struct Paid {
    places: usize,
}

/// The least and the most that a list pays for at once: in elements, and in bytes.
const LEAST_PLACES: usize = 4;
const CHUNK: usize = 64 * 1024;

impl Paid {
    /// Pays for the place of a `T` in a list that has `length` of them already.
    pub(super) fn for_another<T, E: Error>(&mut self, length: usize, budget: &Budget) -> Result<(), E> {
        if length < self.places {
            return Ok(());
        }
        let most = (CHUNK / size_of::<T>().max(1)).max(LEAST_PLACES);
        let more = self.places.clamp(LEAST_PLACES, most);
        budget.take(more.saturating_mul(size_of::<T>()))?;
        self.places += more;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Refusal = serde::de::value::Error;

    #[test]
    fn what_was_taken_is_gone_and_the_refusal_names_the_limit() {
        let budget = Budget::new(100);
        budget.take::<Refusal>(60).unwrap();
        assert_eq!(budget.exceeded(), None);
        let refusal = budget.take::<Refusal>(41).unwrap_err();
        assert_eq!(refusal.to_string(), "its values take more than the limit of 100 bytes");
        assert_eq!(budget.exceeded(), Some(100));
        assert!(Budget::new(usize::MAX - 1).take_values::<Refusal>(usize::MAX).is_err());
    }

    #[test]
    fn a_list_pays_at_least_for_its_elements_and_at_most_for_twice_as_many_or_a_chunk_more() {
        for length in [1_usize, 4, 5, 1000, 8192, 1_000_000] {
            let (budget, mut paid) = (Budget::new(usize::MAX), Paid::default());
            for index in 0..length {
                paid.for_another::<f64, Refusal>(index, &budget).unwrap();
            }
            let taken = (usize::MAX - budget.left.get()) / size_of::<f64>();
            assert!(
                taken >= length && taken <= (2 * length).min(length + CHUNK / 8).max(LEAST_PLACES),
                "{length}: {taken}"
            );
        }
    }
}
