//! The limits of what one replica may hold of the host. chain.toml sets those of memory and of values. The others are
//! fixed and far above normal use.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use wasmtime::{AsContextMut, ResourceLimiter, Result, Store, StoreContextMut};

use super::state::ReplicaState;
use crate::config::{ByteSize, ChainletName, Resources};
use crate::error::CallError;
use crate::memory::{MEMORY_LIMIT, MemoryBudget, NoRoom, Reservation};
use crate::value::Value;

/// The most core instances of a component, which has one for each of its modules. Composed components and the runtimes
/// of other languages need fewer.
pub(crate) const INSTANCES: u32 = 256;
/// The most memories of a component.
pub(crate) const MEMORIES: u32 = 16;
/// The most tables of a component.
pub(crate) const TABLES: u32 = 256;
/// The most handles of the component model at once: resources, streams, futures, tasks. One more is a trap.
const HANDLES: usize = 16_384;
/// The most objects of the host behind such handles at once: open files, sockets, requests, timers. One more is a trap.
pub(super) const HOST_RESOURCES: usize = 4_096;
/// The bytes that a call may pass even if other calls have taken the whole limit, so that a line of output or an answer
/// does not end the guest.
const LEAST_BYTES: usize = 1 << 20;
/// The size in bytes below which values are not counted in the host's budget: a call under way costs as much by itself,
/// and the number of calls is limited.
const SMALL: usize = 2 * 1024;

/// wasmtime's message to a guest that passes more than it may. Its error has no type of its own, so the message
/// identifies it.
const TOO_MUCH_PASSED: &str =
    "too much data is being copied between the host and the guest: fuel allocated for hostcalls has been exhausted";

/// A limit that a guest has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    /// This key of the chainlet in chain.toml.
    Key(&'static str),
    /// This option of the command line.
    Option(&'static str),
}

impl Limit {
    /// Returns `error` with the name of the limit.
    pub(super) fn name_in(self, error: CallError) -> CallError {
        match self {
            Limit::Key(key) => error.limited_by_key(key),
            Limit::Option(option) => error.limited_by(option),
        }
    }
}

/// The most bytes of values that the host takes from a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ValueLimits {
    /// The most bytes in one call of an import, and in the result of `run-remote`. One more byte is a trap.
    pub one: usize,
    /// The most bytes in the parameters of all calls of dependencies that one replica has under way. A guest may make
    /// the next call before the last one has ended, and the parameters of each wait in memory. The next call may pass
    /// only the rest of this limit.
    pub all: usize,
}

impl From<&Resources> for ValueLimits {
    fn from(resources: &Resources) -> Self {
        let bytes = |size: ByteSize| usize::try_from(size.as_bytes()).unwrap_or(usize::MAX);
        ValueLimits { one: bytes(resources.value_limit), all: bytes(resources.values_limit) }
    }
}

/// Sets the limits of a new store.
pub(super) fn impose(store: &mut Store<ReplicaState>) {
    store.limiter(|state| &mut state.memory);
    store.set_max_component_handles(HANDLES);
    let parameters = store.data().parameters.clone();
    parameters.set_limit(&mut store.as_context_mut());
}

/// The parameters of all calls of dependencies that one replica has under way.
#[derive(Debug, Clone)]
pub(crate) struct ParameterLimit {
    limits: ValueLimits,
    /// The host's budget for all replicas.
    host: MemoryBudget,
    bytes: Arc<AtomicUsize>,
    /// The bytes that the next call may pass, as last set in the store.
    allowed: Arc<AtomicUsize>,
    /// True if the limit of the next call may have changed since it was set.
    changed: Arc<AtomicBool>,
}

/// The parameters of one call of a dependency while it is under way.
#[derive(Debug)]
pub(crate) struct HeldParameters {
    of: ParameterLimit,
    bytes: usize,
    /// The part of the host's budget that they hold.
    _reservation: Option<Reservation>,
}

impl ParameterLimit {
    pub(super) fn new(limits: ValueLimits, host: MemoryBudget) -> Self {
        let allowed = Arc::new(AtomicUsize::new(limits.one));
        ParameterLimit { limits, host, bytes: Arc::default(), allowed, changed: Arc::default() }
    }

    /// Counts `params`, which the guest in `store` passed. The host will hold `copies` copies of them. `lifted` is what it has
    /// reserved for them so far.
    ///
    /// # Errors
    /// Fails if the host has no room for them.
    pub(crate) fn hold(
        store: &mut StoreContextMut<'_, ReplicaState>,
        params: &[Value],
        copies: usize,
        lifted: Option<Reservation>,
    ) -> Result<HeldParameters, NoRoom> {
        let of = store.data().parameters.clone();
        let bytes = weight(params);
        let all = Some(bytes.saturating_mul(copies)).filter(|bytes| *bytes >= SMALL);
        let reservation = all.map(|bytes| of.reserve(bytes, lifted)).transpose()?;
        let held = of.count(bytes, reservation);
        of.set_limit(store);
        Ok(held)
    }

    /// Reserves `bytes` of the host's budget, of which `lifted` are reserved already.
    ///
    /// # Errors
    /// Fails if the host has no room for them.
    pub(super) fn reserve(&self, bytes: usize, lifted: Option<Reservation>) -> Result<Reservation, NoRoom> {
        let mut reservation = lifted.unwrap_or_else(|| self.host.nothing());
        reservation.resize(bytes)?;
        Ok(reservation)
    }

    fn count(&self, bytes: usize, reservation: Option<Reservation>) -> HeldParameters {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        HeldParameters { of: self.clone(), bytes, _reservation: reservation }
    }

    /// Limits the next call of an import to the bytes that are left.
    pub(super) fn set_limit(&self, store: &mut StoreContextMut<'_, ReplicaState>) {
        let left = self.left();
        self.allowed.store(left, Ordering::Relaxed);
        store.set_hostcall_fuel(left);
    }

    /// Returns how many bytes the next call may pass.
    fn left(&self) -> usize {
        let ValueLimits { one, all } = self.limits;
        let left = all.saturating_sub(self.bytes()).clamp(LEAST_BYTES.min(one), one);
        // Functions of the host take their parameters from a guest without reserving them.
        left.min(self.host.limit().max(LEAST_BYTES))
    }

    /// If `error` says that the guest of `chainlet` passed too much, explains it and names the key to raise.
    pub(super) fn explain(&self, error: &wasmtime::Error, chainlet: &ChainletName) -> Option<(String, Limit)> {
        if error.root_cause().to_string() != TOO_MUCH_PASSED {
            return None;
        }
        let size = |bytes: usize| ByteSize::bytes(u64::try_from(bytes).unwrap_or(u64::MAX));
        let (ValueLimits { one, all }, allowed) = (self.limits, self.allowed.load(Ordering::Relaxed));
        Some(if allowed < one && allowed == self.host.limit().max(LEAST_BYTES) {
            let message = format!(
                "it passed more than {} in one call, which is all that the host may hold: raise {MEMORY_LIMIT}",
                size(allowed)
            );
            (message, Limit::Option(MEMORY_LIMIT))
        } else if allowed < one {
            let message = format!(
                "it passed more than {} in one call, which is all that its other calls of dependencies leave it of its \
                 limit of {}: raise resources.values_limit of the chainlet {chainlet}",
                size(allowed),
                size(all)
            );
            (message, Limit::Key("resources.values_limit"))
        } else {
            let message = format!(
                "it passed more than its limit of {} in one call: raise resources.value_limit of the chainlet {chainlet}",
                size(one)
            );
            (message, Limit::Key("resources.value_limit"))
        })
    }

    /// Returns how many bytes all parameters hold together.
    fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Returns true if that number has fallen since the last look.
    pub(super) fn has_fallen(&self) -> bool {
        self.changed.load(Ordering::Relaxed) && self.changed.swap(false, Ordering::Acquire)
    }
}

/// Returns how many bytes `values` hold; `None` if they are too few to count.
pub(super) fn counted(values: &[Value]) -> Option<usize> {
    Some(weight(values)).filter(|bytes| *bytes >= SMALL)
}

fn weight(values: &[Value]) -> usize {
    values.iter().map(Value::weight).sum()
}

impl Drop for HeldParameters {
    fn drop(&mut self) {
        self.of.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.of.changed.store(true, Ordering::Release);
    }
}

/// A limit on all memories and tables of a store together. It rejects growth past the limit.
///
/// `memory.grow` then returns -1 to the guest. A Rust guest's allocator fails and ends the guest with a trap; other
/// languages may recover.
#[derive(Debug)]
pub(crate) struct MemoryLimit {
    limit: usize,
    used: usize,
    /// The last permitted growth. It is given back if the growth fails after all.
    last: usize,
    /// True if a growth was ever rejected, which may explain a later trap.
    refused: bool,
}

/// The memory that a table element costs the host, in bytes.
const TABLE_ELEMENT: usize = size_of::<usize>();

impl MemoryLimit {
    /// Makes a limit of `limit` bytes.
    pub(crate) fn new(limit: u64) -> Self {
        MemoryLimit { limit: usize::try_from(limit).unwrap_or(usize::MAX), used: 0, last: 0, refused: false }
    }

    /// Returns the limit in bytes.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Returns the limit in bytes if a growth was rejected for it.
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

    fn parameters(limits: ValueLimits) -> ParameterLimit {
        ParameterLimit::new(limits, MemoryBudget::unlimited())
    }

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
    fn parameters_under_way_reduce_what_the_next_call_may_pass() {
        const ONE: usize = 64 << 20;
        const ALL: usize = 256 << 20;
        let parameters = parameters(ValueLimits { one: ONE, all: ALL });
        assert_eq!(parameters.left(), ONE);
        let most = parameters.count(ALL - ONE, None);
        assert_eq!(parameters.left(), ONE);
        let half = parameters.count(ONE / 2, None);
        assert_eq!(parameters.left(), ONE / 2);
        drop(parameters.count(ONE, None));
        drop(most);
        assert_eq!((parameters.left(), parameters.bytes()), (ONE, ONE / 2));
        assert!(parameters.has_fallen() && !parameters.has_fallen());
        let all = parameters.count(ALL, None);
        assert_eq!(parameters.left(), LEAST_BYTES);
        drop((half, all));
        assert!(parameters.has_fallen());
        assert_eq!(parameters.bytes(), 0);
    }

    #[test]
    fn a_limit_of_one_call_below_the_least_bytes_still_holds() {
        let parameters = parameters(ValueLimits { one: 1000, all: 1000 });
        let all = parameters.count(1000, None);
        assert_eq!(parameters.left(), 1000);
        drop(all);
    }

    #[test]
    fn the_error_for_passing_too_much_names_the_key_to_raise() {
        let parameters = parameters(ValueLimits { one: 2 << 20, all: 4 << 20 });
        let explain = |text: &'static str| {
            let error = wasmtime::Error::msg(text).context("while lifting");
            parameters.explain(&error, &"index".parse().unwrap())
        };
        assert_eq!(explain("wasm trap: unreachable"), None);
        assert_eq!(
            explain(TOO_MUCH_PASSED).unwrap().0,
            "it passed more than its limit of 2MiB in one call: raise resources.value_limit of the chainlet index"
        );
        parameters.allowed.store(1 << 20, Ordering::Relaxed);
        assert_eq!(
            explain(TOO_MUCH_PASSED).unwrap(),
            (
                "it passed more than 1MiB in one call, which is all that its other calls of dependencies leave it of \
                 its limit of 4MiB: raise resources.values_limit of the chainlet index"
                    .to_owned(),
                Limit::Key("resources.values_limit")
            )
        );
    }

    #[test]
    fn a_permitted_growth_that_fails_is_given_back() {
        let mut limit = MemoryLimit::new(100);
        assert!(limit.memory_growing(0, 100, None).unwrap());
        limit.memory_grow_failed(wasmtime::Error::msg("no memory")).unwrap();
        assert!(limit.memory_growing(0, 100, None).unwrap());
    }
}
