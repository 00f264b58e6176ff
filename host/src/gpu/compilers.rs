//! The threads on which a chainlet's shaders are compiled in this process.
//!
//! A thread is kept for the next shader, as wgpu never forgets one that it had an error scope for (in wgpu 30). But not for
//! long: what a shader took of its stack is free when it ends.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::protocol::{Failure, Result};

/// How many shaders of a chainlet are compiled at once, those included that took too long and go on.
const MOST: usize = 4;
/// For how long a thread is kept that has nothing to do.
const IDLE: Duration = Duration::from_secs(1);
/// The stack of a thread that reads shaders, in bytes: parsers and compilers go into themselves as deep as a shader is
/// nested, which is as deep as the longest has bytes. What of it is not used costs address space alone.
pub(super) const STACK: usize = 512 << 20;

/// Those of one chainlet.
pub(super) struct Compilers {
    places: Arc<Semaphore>,
    /// Threads that wait for work, or did when they were put here.
    idle: Arc<Mutex<Vec<mpsc::Sender<Job>>>>,
}

/// The right to compile one shader.
pub(super) struct Place(OwnedSemaphorePermit);

/// What it returns is called once the thread is there for the next one.
type Work = Box<dyn FnOnce() -> Box<dyn FnOnce() + Send> + Send>;

struct Job {
    work: Work,
    /// Leads to the thread that does it.
    thread: mpsc::Sender<Job>,
}

impl Compilers {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Compilers { places: Arc::new(Semaphore::new(MOST)), idle: Arc::default() })
    }

    /// Waits until there may be a thread for one more.
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
        self.hand_over(Box::new(move || {
            let done = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(Failure::panicked()));
            Box::new(move || {
                drop(place.0);
                // Whoever waited may have gone.
                let _ = sender.send(done);
            })
        }))?;
        receiver.await.map_err(|_| Failure::panicked())?
    }

    fn hand_over(&self, mut work: Work) -> Result<()> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let thread = match idle {
                Some(thread) => thread,
                None => self.spawn()?,
            };
            match thread.send(Job { work, thread: thread.clone() }) {
                Ok(()) => return Ok(()),
                // That one has ended for want of work.
                Err(mpsc::SendError(job)) => work = job.work,
            }
        }
    }

    fn spawn(&self) -> Result<mpsc::Sender<Job>> {
        let (sender, jobs) = mpsc::channel::<Job>();
        let idle = Arc::downgrade(&self.idle);
        let thread = std::thread::Builder::new().name("gpu-compiler".into()).stack_size(STACK);
        let spawned = thread.spawn(move || {
            while let Ok(Job { work, thread }) = jobs.recv_timeout(IDLE) {
                let told = work();
                if let Some(idle) = idle.upgrade() {
                    idle.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
                }
                told();
            }
        });
        spawned.map_err(Failure::threadless)?;
        Ok(sender)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

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
    async fn a_thread_that_has_ended_is_replaced() {
        let compilers = Compilers::new();
        let (gone, _) = mpsc::channel();
        compilers.idle.lock().unwrap().push(gone);
        let place = compilers.place().await.unwrap();
        assert_eq!(compilers.run(place, || Ok(7)).await, Ok(7));
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
