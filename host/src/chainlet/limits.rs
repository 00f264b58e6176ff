//! What one replica may hold of the host. Its memory is as chain.toml says; for everything else there is one limit, far
//! above what a chainlet needs that means well.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use wasmtime::{ResourceLimiter, Result, Store, StoreContextMut};

use super::state::State;
use crate::value::Value;

/// How many core instances, of which a component has one for each of its modules: what composed components and other
/// languages' runtimes need, and more.
pub(crate) const INSTANCES: u32 = 256;
/// How many memories.
pub(crate) const MEMORIES: u32 = 16;
/// How many tables.
pub(crate) const TABLES: u32 = 256;
/// How many handles of the component model at once: resources, streams, futures, tasks. One more is a trap.
const HANDLES: usize = 16_384;
/// How many things of the host at once behind such handles: open files, sockets, requests, timers. One more is a trap.
pub(super) const HOST_RESOURCES: usize = 4_096;
/// How many bytes the host takes from the guest's memory in one call of an import, or as the result of `run-remote`. One
/// more is a trap.
pub(super) const CALL_BYTES: usize = 128 << 20;

/// How many bytes the parameters of all calls of dependencies may hold that one replica has under way: a guest need not wait
/// for one before it makes the next, and each waits in line as a whole. What there is of it is the limit of the next call.
const PARAMETER_BYTES: usize = 512 << 20;

/// How many bytes the batches of all streams may hold that one replica writes, from when they leave the guest until a reader
/// takes them.
pub(super) const STREAM_BYTES: usize = 256 << 20;

/// What a call may have even where nothing is left of that: a line of output, or an answer, is not to be the end of a guest.
const LEAST_BYTES: usize = 1 << 20;

/// Sets the limits of a new store.
pub(super) fn impose(store: &mut Store<State>) {
    store.limiter(|state| &mut state.memory);
    store.set_max_component_handles(HANDLES);
    store.set_hostcall_fuel(CALL_BYTES);
}

/// What the parameters hold that one replica has under way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parameters {
    bytes: Arc<AtomicUsize>,
    /// Whether the limit of the next call may have changed since it was set.
    changed: Arc<AtomicBool>,
}

/// The parameters of one call of a dependency, for as long as it is under way.
#[derive(Debug)]
pub(crate) struct Held {
    of: Parameters,
    bytes: usize,
}

impl Parameters {
    /// Counts `params`, which were taken from the guest in `store`.
    pub(crate) fn hold(store: &mut StoreContextMut<'_, State>, params: &[Value]) -> Held {
        let of = store.data().parameters.clone();
        let held = of.count(params.iter().map(Value::weight).sum());
        of.set_limit(store);
        held
    }

    fn count(&self, bytes: usize) -> Held {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Held { of: self.clone(), bytes }
    }

    /// Limits the next call of an import to what there is left.
    pub(super) fn set_limit(&self, store: &mut StoreContextMut<'_, State>) {
        store.set_hostcall_fuel(self.left());
    }

    /// How many bytes the next call may have.
    fn left(&self) -> usize {
        PARAMETER_BYTES.saturating_sub(self.bytes()).clamp(LEAST_BYTES, CALL_BYTES)
    }

    /// How many bytes they have together.
    fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether that has become less since the last time.
    pub(super) fn has_fallen(&self) -> bool {
        self.changed.load(Ordering::Relaxed) && self.changed.swap(false, Ordering::Acquire)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.of.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.of.changed.store(true, Ordering::Release);
    }
}

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

    fn instances(&self) -> usize {
        usize::try_from(INSTANCES).unwrap_or(usize::MAX)
    }

    fn memories(&self) -> usize {
        usize::try_from(MEMORIES).unwrap_or(usize::MAX)
    }

    fn tables(&self) -> usize {
        usize::try_from(TABLES).unwrap_or(usize::MAX)
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
    fn what_is_under_way_is_taken_from_what_the_next_call_may_have() {
        let parameters = Parameters::default();
        assert_eq!(parameters.left(), CALL_BYTES);
        let most = parameters.count(PARAMETER_BYTES - CALL_BYTES);
        assert_eq!(parameters.left(), CALL_BYTES);
        let half = parameters.count(CALL_BYTES / 2);
        assert_eq!(parameters.left(), CALL_BYTES / 2);
        drop(parameters.count(CALL_BYTES));
        drop(most);
        assert_eq!((parameters.left(), parameters.bytes()), (CALL_BYTES, CALL_BYTES / 2));
        assert!(parameters.has_fallen() && !parameters.has_fallen());
        let all = parameters.count(PARAMETER_BYTES);
        assert_eq!(parameters.left(), LEAST_BYTES);
        drop((half, all));
        assert!(parameters.has_fallen());
        assert_eq!(parameters.bytes(), 0);
    }

    #[test]
    fn a_growth_that_fails_after_it_was_permitted_counts_for_nothing() {
        let mut limit = MemoryLimit::new(100);
        assert!(limit.memory_growing(0, 100, None).unwrap());
        limit.memory_grow_failed(wasmtime::Error::msg("no memory")).unwrap();
        assert!(limit.memory_growing(0, 100, None).unwrap());
    }
}
