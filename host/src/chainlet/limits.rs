//! The memory that one replica may hold.

use wasmtime::{ResourceLimiter, Result};

/// Counts what all memories and tables of a store hold together, and refuses growth past a limit.
///
/// A guest sees a refused growth as `memory.grow` returning -1: a Rust guest's allocator then fails, which ends it with a
/// trap, and other languages may recover.
#[derive(Debug)]
pub(crate) struct MemoryLimit {
    limit: usize,
    used: usize,
    /// The last growth that was permitted, to be given back if it fails after all.
    last: usize,
    /// Whether a growth was ever refused; it explains a trap that comes after.
    refused: bool,
}

/// What a table element costs the host.
const TABLE_ELEMENT: usize = size_of::<usize>();

impl MemoryLimit {
    /// At most `limit` bytes.
    pub(crate) fn new(limit: u64) -> Self {
        MemoryLimit { limit: usize::try_from(limit).unwrap_or(usize::MAX), used: 0, last: 0, refused: false }
    }

    /// The limit in bytes, where a growth was refused for it.
    pub(crate) fn refused(&self) -> Option<usize> {
        self.refused.then_some(self.limit)
    }

    fn grow(&mut self, more: usize) -> bool {
        match self.used.checked_add(more).filter(|used| *used <= self.limit) {
            Some(used) => {
                (self.used, self.last) = (used, more);
                true
            }
            None => {
                (self.last, self.refused) = (0, true);
                false
            }
        }
    }

    fn give_back(&mut self) {
        self.used = self.used.saturating_sub(std::mem::take(&mut self.last));
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        Ok(self.grow(desired.saturating_sub(current)))
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> Result<()> {
        self.give_back();
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        Ok(self.grow(desired.saturating_sub(current).saturating_mul(TABLE_ELEMENT)))
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> Result<()> {
        self.give_back();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_memories_and_tables_share_one_limit() {
        let mut limit = MemoryLimit::new(100 + 8 * TABLE_ELEMENT as u64);
        assert!(limit.memory_growing(0, 60, None).unwrap());
        assert!(limit.memory_growing(0, 40, None).unwrap());
        assert!(limit.table_growing(0, 8, None).unwrap());
        assert_eq!(limit.refused(), None);
        assert!(!limit.memory_growing(40, 41, None).unwrap());
        assert!(!limit.table_growing(8, 9, None).unwrap());
        assert_eq!(limit.refused(), Some(100 + 8 * TABLE_ELEMENT));
    }

    #[test]
    fn a_growth_that_fails_after_it_was_permitted_counts_for_nothing() {
        let mut limit = MemoryLimit::new(100);
        assert!(limit.memory_growing(0, 100, None).unwrap());
        limit.memory_grow_failed(wasmtime::Error::msg("no memory")).unwrap();
        assert!(limit.memory_growing(0, 100, None).unwrap());
    }
}
