//! The wasmtime engine that all components of a host share, and the clock that makes guests yield.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails};

use crate::capability::Capabilities;
use crate::chainlet::errors::ErrorCounts;
use crate::chainlet::limits::{INSTANCES, MEMORIES, TABLES};
use crate::machine::MachineError;
use crate::memory::MemoryBudget;
use crate::offload::Offload;
use crate::threads::GuestThreads;

/// The time after which a guest that does not yield by itself must yield: the longest that one guest can hold a worker
/// thread while others wait for it.
const TICK: Duration = Duration::from_millis(5);

/// The most replicas of all chains of a host, by default. During a reload, the replicas of both versions count. A place
/// for a replica costs only address space; [`pool`] says how much.
pub(crate) const REPLICAS: u32 = 1_000;
/// The number of guest stacks for each replica. A replica keeps one stack, and takes one more for each call that blocks
/// in a function that is not async. Each stack costs one system call when the host starts, and two of the mappings that
/// a process may have.
const STACKS: u32 = 2;
/// The most bytes that a guest may have on its stack. More is a trap.
pub(crate) const GUEST_STACK: usize = 512 << 10;
/// The size of a stack on which a guest runs, in bytes, with what the host needs above the guest.
const STACK: usize = 2 << 20;

/// The most frames of a backtrace. A panic of Rust takes ten of them, and the event loop of a guest as many.
const FRAMES: Option<NonZeroUsize> = NonZeroUsize::new(40);

/// The most bytes in the image of a memory: as many as in the memory.
const LARGEST_IMAGE: u64 = 4 << 30;

/// The step by which a memory grows if address space is scarce, in bytes.
const LOW_ON_ADDRESSES: u64 = 1 << 20;

/// Makes the engine that compiles and runs every component of a host, in at most `replicas` replicas. With
/// `source_lines`, the frames of a trap have files and lines. Also returns the settings for engines that only compile:
/// their code runs in this engine.
pub(crate) fn new(replicas: u32, source_lines: bool) -> wasmtime::Result<(Engine, Config)> {
    let mut config = Config::new();
    config.wasm_component_model_async(true).wasm_component_model_map(true).epoch_interruption(true);
    // wasmtime reads a component's debug information anew for each frame of a trap, which no deadline interrupts. So
    // the operator decides whether it is kept, and not the author of the component.
    let details = if source_lines { WasmBacktraceDetails::Enable } else { WasmBacktraceDetails::Disable };
    config.wasm_backtrace_details(details).wasm_backtrace_max_frames(FRAMES);
    config.max_wasm_stack(GUEST_STACK).async_stack_size(STACK);
    config.memory_init_cow(images_fit());
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(replicas)));
    let engine = Engine::new(&config).or_else(|error| {
        tracing::warn!(
            error = format!("{error:#}"),
            "there is too little address space to keep memories for replicas ready, \
            as where `ulimit -v` is set: replicas start more slowly"
        );
        config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        // A memory then takes only the address space that its guest uses, and each access to it is checked.
        config.memory_reservation(0).memory_guard_size(0).memory_reservation_for_growth(LOW_ON_ADDRESSES);
        Engine::new(&config)
    })?;
    config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
    Ok((engine, config))
}

/// Returns true if the image with which a memory begins may be a file in memory. `ulimit -f` limits such files like all
/// others.
#[cfg(unix)]
fn images_fit() -> bool {
    use rustix::process::{Resource, getrlimit};
    getrlimit(Resource::Fsize).current.is_none_or(|limit| limit >= LARGEST_IMAGE)
}

#[cfg(not(unix))]
fn images_fit() -> bool {
    true
}

/// Reserves memories, tables and stacks once and uses them again. A replica then starts without asking the system for
/// address space, and its memory begins as a copy-on-write image of the component's initial data.
///
/// The numbers are limits for the whole host, and cost only address space until they are used: 4 GiB for a memory,
/// [`STACK`] for a stack, 8 bytes for a table's element, 4 TiB in all.
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
/// It does so on a thread of its own instead of a task. Guests may hold every worker of the async runtime, but they
/// must not hold the clock that ends their turn.
pub(crate) fn tick(engine: &Engine) -> Result<(), MachineError> {
    let engine = engine.weak();
    let thread = std::thread::Builder::new().name("chainhost-epoch".into());
    let spawned = thread.spawn(move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    });
    match spawned {
        Ok(_) => Ok(()),
        Err(error) => Err(MachineError::threads("the clock that guests yield by", &error)),
    }
}

/// Returns a value that is equal for engines that can share compiled code. It is made of the version of wasmtime, its
/// settings and the machine's processor features.
pub(crate) fn compatibility(engine: &Engine) -> [u8; 32] {
    struct Feed(blake3::Hasher);
    impl std::hash::Hasher for Feed {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        // Never used: the result comes from the hasher of blake3.
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut feed = Feed(blake3::Hasher::new());
    std::hash::Hash::hash(&engine.precompile_compatibility_hash(), &mut feed);
    *feed.0.finalize().as_bytes()
}

/// The engine, and everything else that the parts of a host share.
#[derive(Clone)]
pub(crate) struct HostParts {
    /// Compiles and runs the components.
    pub engine: Engine,
    /// The settings of engines that compile for it.
    pub compiler_config: wasmtime::Config,
    /// The most replicas of all chains.
    pub max_replicas: u32,
    /// The cache of compiled code; `None` if there is none.
    pub cache: Option<Arc<crate::component::cache::Cache>>,
    /// The threads on which guests run.
    pub threads: Arc<GuestThreads>,
    /// The budget of the bytes that the host holds for guests, clients and peers.
    pub memory: MemoryBudget,
    /// The counts of the errors with which chainlets answered.
    pub errors: ErrorCounts,
    /// The threads for long work.
    pub offload: Offload,
    /// The capabilities that guests may get.
    pub capabilities: Capabilities,
}
