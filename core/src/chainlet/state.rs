//! The host's data in the store of one replica.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;

use futures::future::BoxFuture;
use wasmtime::StoreContextMut;
use wasmtime::component::{GuestTaskId, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::call::Call;
use super::limits::{HOST_RESOURCES, MemoryLimit, ParameterLimit, ValueLimits};
use crate::capability::{Capability, Loss, States};
use crate::config::ChainletName;
use crate::memory::MemoryBudget;
use crate::value::abi::stream::{HasStreams, Streams};

/// The most requests that a line of the log names.
const REQUESTS: usize = 8;

/// The panic of a capability that asks for a state that it did not make.
const NO_GRANT: &str = "the chainlet has no grant of this capability";

/// The data of one replica's store.
pub struct ReplicaState {
    chainlet: ChainletName,
    /// The parts of the host that the guest may use.
    states: States,
    pub(super) memory: MemoryLimit,
    /// The parameters of the calls of dependencies that are under way.
    pub(super) parameters: ParameterLimit,
    /// The state that the streams written by the guest share.
    streams: Streams,
    /// The calls in flight by the guest task that serves each, and the calls whose guest works on after its answer.
    calls: HashMap<GuestTaskId, Arc<Call>>,
    /// The calls that have ended, except for work after their answer. wasmtime may give the id of an ended task to
    /// another task, so the call beside the id tells which of them is meant.
    lingering: Vec<(GuestTaskId, Arc<Call>)>,
    wasi: WasiCtx,
    table: ResourceTable,
}

#[expect(clippy::expect_used, reason = "the methods that panic say so, and why they do not")]
impl ReplicaState {
    pub(super) fn new(
        chainlet: &ChainletName,
        states: States,
        wasi: WasiCtx,
        memory: MemoryLimit,
        values: ValueLimits,
        host: &MemoryBudget,
    ) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HOST_RESOURCES);
        ReplicaState {
            chainlet: chainlet.clone(),
            states,
            memory,
            parameters: ParameterLimit::new(values, host.clone()),
            streams: Streams::new(values.all, host),
            calls: HashMap::new(),
            lingering: Vec::new(),
            wasi,
            table,
        }
    }

    /// Returns the name of the chainlet whose replica it is.
    #[must_use]
    pub fn chainlet(&self) -> &ChainletName {
        &self.chainlet
    }

    /// Returns the state that the capability `C` has in this store.
    ///
    /// # Panics
    ///
    /// Panics if the chainlet has no grant of `C`. The functions that `C` itself links never panic here, because the
    /// linker of a chainlet has only the capabilities that it has a grant of.
    #[must_use]
    pub fn of<C: Capability>(&self) -> &C::State {
        self.states.get::<C>().expect(NO_GRANT)
    }

    /// As [`ReplicaState::of`], for a change. wasmtime's bindings take this function as their `host_getter`.
    ///
    /// # Panics
    ///
    /// As [`ReplicaState::of`].
    #[must_use]
    pub fn of_mut<C: Capability>(&mut self) -> &mut C::State {
        self.states.get_mut::<C>().expect(NO_GRANT)
    }

    /// As [`ReplicaState::of_mut`], together with the table of the guest's handles.
    ///
    /// # Panics
    ///
    /// As [`ReplicaState::of`].
    #[must_use]
    pub fn of_mut_and_table<C: Capability>(&mut self) -> (&mut C::State, &mut ResourceTable) {
        (self.states.get_mut::<C>().expect(NO_GRANT), &mut self.table)
    }

    /// Returns the id of the request for which the guest is running now. Returns `None` if the call has no id, or if the
    /// guest works for no call.
    pub fn request_id(store: &mut StoreContextMut<'_, ReplicaState>) -> Option<Arc<str>> {
        Self::current_call(store)?.context.request.clone()
    }

    /// Returns a future that is ready when a capability says that the replica must be replaced.
    pub(super) fn lost(&mut self) -> BoxFuture<'static, Loss> {
        self.states.lost()
    }

    pub(super) fn begin(&mut self, task: GuestTaskId, call: Arc<Call>) {
        let calls = &mut self.calls;
        self.lingering.retain(|(task, call)| {
            let lingers = call.keeps_place();
            if !lingers {
                forget(calls, *task, call);
            }
            lingers
        });
        calls.insert(task, call);
    }

    /// Notes that the guest is done with `call`, which `task` served.
    pub(super) fn end(&mut self, task: GuestTaskId, call: &Arc<Call>) {
        if call.keeps_place() {
            self.lingering.push((task, call.clone()));
        } else {
            forget(&mut self.calls, task, call);
        }
    }

    /// Returns the ids of the requests whose calls are in the replica, for a line of the log; `None` if there are none.
    pub(super) fn requests(&self) -> Option<String> {
        let ids: BTreeSet<_> = self.calls.values().filter_map(|call| call.context.request.as_deref()).collect();
        let mut line = ids.iter().take(REQUESTS).copied().collect::<Vec<_>>().join(", ");
        if let Some(more) = ids.len().checked_sub(REQUESTS).filter(|more| *more > 0) {
            // Writing to a string cannot fail.
            let _ = write!(line, " and {more} more");
        }
        (!line.is_empty()).then_some(line)
    }

    /// Returns how many bytes all memories and tables of the guest may have.
    pub(crate) fn memory_limit(&self) -> usize {
        self.memory.limit()
    }

    /// Returns the call for which the guest is running now. Returns `None` for work that belongs to no call, or that
    /// goes on after its call's answer without keeping the call's place.
    pub(crate) fn current_call(store: &mut StoreContextMut<'_, ReplicaState>) -> Option<Arc<Call>> {
        let task = store.async_call_stack().ok()?.last()?;
        store.data().calls.get(&task).cloned()
    }
}

/// Removes `call`, unless its task has ended and the id now belongs to the task of another call.
fn forget(calls: &mut HashMap<GuestTaskId, Arc<Call>>, task: GuestTaskId, call: &Arc<Call>) {
    if calls.get(&task).is_some_and(|other| Arc::ptr_eq(other, call)) {
        calls.remove(&task);
    }
}

impl HasStreams for ReplicaState {
    fn streams(&self) -> &Streams {
        &self.streams
    }
}

impl WasiView for ReplicaState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}
