//! The threads that guests compute on: a runtime of their own, beside that of whoever embeds the host.
//!
//! Guests that compute for long hold these threads and no others, so that what accepts and refuses calls, and asks after
//! a chain's health, goes on being served: the operating system shares the processors between the two. Their number is
//! the most processors that all guests of a host use together. Guests whose calls are short also run on the threads of
//! their callers (see [`crate::chainlet`]).

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Builder, Handle, Runtime};

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
    pub(crate) fn start(count: Option<usize>) -> io::Result<Self> {
        let number = AtomicUsize::new(0);
        let mut builder = Builder::new_multi_thread();
        if let Some(count) = count {
            builder.worker_threads(count.max(1));
        }
        let runtime = builder
            .thread_name_fn(move || format!("guest-{}", number.fetch_add(1, Ordering::Relaxed)))
            .max_blocking_threads(BLOCKING_THREADS)
            .enable_all()
            .build()?;
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
