//! The threads on which a chainlet's shaders are compiled in this process.
//!
//! They are kept from one shader to the next: wgpu never forgets a thread that it had an error scope for (in wgpu 30).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::protocol::{Failure, Result};

/// How many shaders of a chainlet are compiled at once, those included that took too long and go on.
const MOST: usize = 4;
/// The stack of a thread that reads shaders, in bytes: parsers and compilers go into themselves as deep as a shader is
/// nested, which is as deep as the longest has bytes. What of it is not used costs address space alone.
pub(super) const STACK: usize = 512 << 20;

/// Those of one chainlet.
pub(super) struct Compilers {
    places: Arc<Semaphore>,
    /// Made for the first shader.
    threads: Mutex<Option<Arc<ThreadPool>>>,
}

/// The right to compile one shader.
pub(super) struct Place(OwnedSemaphorePermit);

impl Compilers {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Compilers { places: Arc::new(Semaphore::new(MOST)), threads: Mutex::default() })
    }

    /// Waits until there is a thread for one more.
    pub(super) async fn place(&self) -> Option<Place> {
        // It is never closed.
        self.places.clone().acquire_owned().await.ok().map(Place)
    }

    /// Does `work` on one of the threads. It goes on where nobody waits any more, and so long has its `place`.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        place: Place,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        self.threads()?.spawn(move || {
            let done = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(failed()));
            drop(place.0);
            // Whoever waited may have gone.
            let _ = sender.send(done);
        });
        receiver.await.map_err(|_| failed())?
    }

    fn threads(&self) -> Result<Arc<ThreadPool>> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(threads) = &*threads {
            return Ok(threads.clone());
        }
        let name = |number| format!("gpu-compiler-{number}");
        let new = ThreadPoolBuilder::new().num_threads(MOST).stack_size(STACK).thread_name(name).build();
        let new = new.map_err(|error| Failure::quota(format_args!("the host has no thread for shaders: {error}")))?;
        Ok(threads.insert(Arc::new(new)).clone())
    }
}

fn failed() -> Failure {
    Failure::lost("the GPU's driver layer failed, which is a bug of chainhost or of wgpu")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn threads_are_used_again() {
        let compilers = Compilers::new();
        let mut threads = HashSet::new();
        for _ in 0..100 {
            let place = compilers.place().await.unwrap();
            threads.insert(compilers.run(place, || Ok(std::thread::current().id())).await.unwrap());
        }
        assert!(threads.len() <= MOST, "{threads:?}");
    }

    #[tokio::test]
    async fn a_panic_is_a_failure_and_gives_its_place_back() {
        let compilers = Compilers::new();
        for _ in 0..2 * MOST {
            let place = compilers.place().await.unwrap();
            compilers.run(place, || -> Result<()> { panic!("as a driver might") }).await.unwrap_err();
        }
    }

    #[tokio::test]
    async fn what_goes_on_unattended_keeps_its_place() {
        let compilers = Compilers::new();
        let mut held = Vec::new();
        for _ in 0..MOST {
            let (hold, wait) = mpsc::channel::<()>();
            let place = compilers.place().await.unwrap();
            let work = move || wait.recv().map_err(Failure::invalid);
            assert!(timeout(Duration::ZERO, compilers.run(place, work)).await.is_err());
            held.push(hold);
        }
        assert!(timeout(Duration::ZERO, compilers.place()).await.is_err());
        held.pop().unwrap().send(()).unwrap();
        assert!(compilers.place().await.is_some());
    }
}
