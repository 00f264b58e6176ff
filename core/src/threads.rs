//! The threads on which guests compute: a runtime of their own, beside the runtime of the program that embeds the host.
//!
//! Guests that compute for long hold only these threads. The threads that accept and reject calls, and that answer
//! questions about a chain's health, go on, because the operating system shares the processors between the two. The
//! number of these threads is the most processors that all guests of a host use together. Guests whose calls are short
//! are the exception: they run on the threads of their callers, too (see [`crate::chainlet`]).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

use crate::machine::{self, MachineError};

/// The most threads for blocking work, such as a guest's work on files.
const BLOCKING_THREADS: usize = 64;

/// The threads of one host.
pub(crate) struct GuestThreads {
    handle: Handle,
    /// `Some` until this is dropped.
    runtime: Option<Runtime>,
}

impl GuestThreads {
    /// Starts `count` threads, or as many as the machine has processors.
    pub(crate) fn start(count: Option<usize>) -> Result<Self, MachineError> {
        const WHAT: &str = "guests";
        let count = count.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)).max(1);
        // One more for blocking work.
        machine::has_threads(count.saturating_add(1), WHAT)?;
        machine::has_files(machine::FILES_OF_A_RUNTIME, WHAT)?;
        let number = AtomicUsize::new(0);
        let runtime = Builder::new_multi_thread()
            .worker_threads(count)
            .thread_name_fn(move || format!("guest-{}", number.fetch_add(1, Ordering::Relaxed)))
            .max_blocking_threads(BLOCKING_THREADS)
            // The blocking thread that is started below never ends. With it, all blocking work gets done even if the
            // system starts no more threads.
            .thread_keep_alive(Duration::MAX)
            .enable_all()
            .build()
            .map_err(|error| MachineError::threads(WHAT, &error))?;
        drop(runtime.spawn_blocking(|| {}));
        Ok(GuestThreads { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// Returns the handle of the runtime in which guests are started.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for GuestThreads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Async code may not wait for threads, and hosts and chains are dropped in async code.
            runtime.shutdown_background();
        }
    }
}
