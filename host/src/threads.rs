//! The threads that guests compute on: a runtime of their own, beside that of whoever embeds the host.
//!
//! Guests that compute for long hold these threads and no others, so that what accepts and refuses calls, and asks after
//! a chain's health, goes on being served: the operating system shares the processors between the two. Their number is
//! the most processors that all guests of a host use together. Guests whose calls are short also run on the threads of
//! their callers (see [`crate::chainlet`]).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

use crate::machine::{self, MachineError};

/// How many threads there may be for what blocks, such as a guest's work on files.
const BLOCKING_THREADS: usize = 64;

/// The threads of one host.
pub(crate) struct GuestThreads {
    handle: Handle,
    /// Taken at the end alone.
    runtime: Option<Runtime>,
}

impl GuestThreads {
    /// Starts `count` threads, or as many as the machine has processors.
    pub(crate) fn start(count: Option<usize>) -> Result<Self, MachineError> {
        const WHAT: &str = "guests";
        let count = count.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)).max(1);
        // And one for what blocks.
        machine::has_threads(count.saturating_add(1), WHAT)?;
        machine::has_files(machine::FILES_OF_A_RUNTIME, WHAT)?;
        let number = AtomicUsize::new(0);
        let runtime = Builder::new_multi_thread()
            .worker_threads(count)
            .thread_name_fn(move || format!("guest-{}", number.fetch_add(1, Ordering::Relaxed)))
            .max_blocking_threads(BLOCKING_THREADS)
            // The one below never ends: with it, all work gets done even when the system starts no more threads.
            .thread_keep_alive(Duration::MAX)
            .enable_all()
            .build()
            .map_err(|error| MachineError::threads(WHAT, &error))?;
        drop(runtime.spawn_blocking(|| {}));
        Ok(GuestThreads { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// Where guests are started.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for GuestThreads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting for the threads is not allowed in async code, which is where hosts and chains are dropped.
            runtime.shutdown_background();
        }
    }
}
