//! The wasmtime engine that all components of a host share, and the clock that makes guests yield.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::{Config, Engine};

use crate::threads::GuestThreads;

/// How often a guest that does not yield by itself is made to: the longest that one guest can hold a worker thread while
/// others wait for it.
const TICK: Duration = Duration::from_millis(5);

/// Makes the engine that compiles and runs every component of a host.
pub(crate) fn new() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config.wasm_component_model_async(true).epoch_interruption(true);
    let engine = Engine::new(&config)?;
    tick(&engine);
    Ok(engine)
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
    /// Where compiled code is kept; `None` where it is not.
    pub cache: Option<Arc<crate::component::cache::Cache>>,
    /// Where guests run.
    pub threads: Arc<GuestThreads>,
}
