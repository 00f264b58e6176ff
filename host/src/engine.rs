//! The wasmtime engine that all components of a host share, and the clock that makes guests yield.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails};

use crate::chainlet::errors::ErrorCounts;
use crate::chainlet::limits::{INSTANCES, MEMORIES, TABLES};
use crate::memory::MemoryBudget;
use crate::offload::Offload;
use crate::threads::GuestThreads;

/// How often a guest that does not yield by itself is made to: the longest that one guest can hold a worker thread while
/// others wait for it.
const TICK: Duration = Duration::from_millis(5);

/// How many replicas all chains of a host have at most unless it is said, two versions of each during a reload. It costs
/// address space alone, of which [`pool`] says how much.
pub(crate) const REPLICAS: u32 = 1_000;
/// How many stacks guests have at most, for each replica: it keeps one, and one more for each call that blocks in a function
/// that is not async. Each is a call of the system when the host starts, and two of the mappings that a process may have.
const STACKS: u32 = 2;
/// The most that a guest may have on its stack, in bytes; more is a trap.
pub(crate) const GUEST_STACK: usize = 512 << 10;
/// A stack on which a guest runs, with what the host needs above it, in bytes.
const STACK: usize = 2 << 20;

/// How many frames a backtrace has at most. A panic of Rust takes ten of them, and the event loop of a guest as many.
const FRAMES: Option<NonZeroUsize> = NonZeroUsize::new(40);

/// By how much a memory grows where address space is scarce, in bytes.
const LOW_ON_ADDRESSES: u64 = 1 << 20;

/// Makes the engine that compiles and runs every component of a host, in at most so many `replicas`.
pub(crate) fn new(replicas: u32) -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config.wasm_component_model_async(true).wasm_component_model_map(true).epoch_interruption(true);
    // The debug information of a component is kept beside its code, and read when it traps.
    config.wasm_backtrace_details(WasmBacktraceDetails::Enable).wasm_backtrace_max_frames(FRAMES);
    config.max_wasm_stack(GUEST_STACK).async_stack_size(STACK);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(replicas)));
    let engine = Engine::new(&config).or_else(|error| {
        tracing::warn!(
            error = format!("{error:#}"),
            "there is too little address space to keep memories for replicas ready, \
            as where `ulimit -v` is set: replicas start more slowly"
        );
        config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        // A memory then has no more address space than its guest uses, and each access to it is checked.
        config.memory_reservation(0).memory_guard_size(0).memory_reservation_for_growth(LOW_ON_ADDRESSES);
        Engine::new(&config)
    })?;
    tick(&engine);
    Ok(engine)
}

/// Memories, tables and stacks that are reserved once and used again. A replica then starts without asking the system for
/// address space, and its memory begins as a copy-on-write image of what the component says is in it.
///
/// The numbers are what a host can have in all, and cost nothing but address space until they are used: 4 GiB a memory,
/// [`STACK`] a stack, 8 bytes a table's element, 4 TiB in all.
fn pool(replicas: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(replicas)
        .total_core_instances(replicas.saturating_mul(10))
        .total_memories(replicas)
        .total_tables(replicas.saturating_mul(4))
        .total_stacks(replicas.saturating_mul(STACKS))
        .max_core_instances_per_component(INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_memories_per_module(MEMORIES)
        .max_tables_per_module(16)
        .table_elements(1 << 17)
        .max_core_instance_size(16 << 20)
        .max_component_instance_size(16 << 20);
    pool
}

/// Advances the engine's epoch for as long as the engine lives.
///
/// A thread of its own, not a task: guests that hold every worker of the async runtime must not be able to hold the
/// clock that ends their turn.
fn tick(engine: &Engine) {
    let engine = engine.weak();
    let thread = std::thread::Builder::new().name("chainhost-epoch".into());
    let spawned = thread.spawn(move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    });
    if let Err(error) = spawned {
        tracing::error!(%error, "no thread for the epoch clock: a guest that never yields can hold a worker");
    }
}

/// A value that says which engines can share compiled code: the version of wasmtime, its settings and the machine's
/// processor features all enter it.
pub(crate) fn compatibility(engine: &Engine) -> [u8; 32] {
    struct Feed(blake3::Hasher);
    impl std::hash::Hasher for Feed {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut feed = Feed(blake3::Hasher::new());
    std::hash::Hash::hash(&engine.precompile_compatibility_hash(), &mut feed);
    *feed.0.finalize().as_bytes()
}

/// The engine and what goes with it, as the parts of a host share them.
#[derive(Clone)]
pub(crate) struct Shared {
    /// Compiles and runs the components.
    pub engine: Engine,
    /// How many replicas all chains may have.
    pub max_replicas: u32,
    /// Where compiled code is kept; `None` where it is not.
    pub cache: Option<Arc<crate::component::cache::Cache>>,
    /// Where guests run.
    pub threads: Arc<GuestThreads>,
    /// What the host may hold for guests, clients and peers.
    pub memory: MemoryBudget,
    /// The errors with which chainlets have answered.
    pub errors: ErrorCounts,
    /// Where work is done that takes long.
    pub offload: Offload,
    /// What guests compute on beside the processors.
    pub gpus: Arc<crate::gpu::Gpus>,
}
