//! The threads on which a chainlet's shaders are compiled in this process.
//!
//! A thread is kept for the next shader, because wgpu 30 never forgets a thread that had an error scope. It is not kept
//! for long, because the stack that a shader used is free only when the thread ends.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::protocol::{GpuFailure, Result};

/// The most shaders of a chainlet that are compiled at once, including those that took too long and go on.
const MOST: usize = 4;
/// The time for which a thread without work is kept.
const IDLE: Duration = Duration::from_secs(1);
/// The stack of a thread that reads shaders, in bytes. Parsers and compilers recurse as deep as a shader is nested,
/// which may be a level for each of its bytes. Stack that is not used costs only address space.
pub(super) const STACK: usize = 512 << 20;

/// The threads of one chainlet.
pub(super) struct Compilers {
    places: Arc<Semaphore>,
    /// Threads that wait for work. Some may have ended since they were put here.
    idle: Arc<Mutex<Vec<mpsc::Sender<CompileJob>>>>,
}

/// The right to compile one shader.
pub(super) struct CompilePermit(OwnedSemaphorePermit);

/// The work of a thread. It returns a function that the thread calls when it is ready for the next job.
type Work = Box<dyn FnOnce() -> Box<dyn FnOnce() + Send> + Send>;

struct CompileJob {
    work: Work,
    /// Sends the next jobs to the thread that does this one.
    thread: mpsc::Sender<CompileJob>,
}

impl Compilers {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Compilers { places: Arc::new(Semaphore::new(MOST)), idle: Arc::default() })
    }

    /// Waits for the right to compile one more shader.
    pub(super) async fn place(&self) -> Option<CompilePermit> {
        // The semaphore is never closed, so this never fails.
        self.places.clone().acquire_owned().await.ok().map(CompilePermit)
    }

    /// Does `work` on one of the threads. If the caller stops waiting, the work goes on and keeps its `place` until it
    /// ends.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        place: CompilePermit,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        self.hand_over(Box::new(move || {
            let done = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(GpuFailure::panicked()));
            Box::new(move || {
                drop(place.0);
                // This fails if the caller no longer waits.
                let _ = sender.send(done);
            })
        }))?;
        receiver.await.map_err(|_| GpuFailure::panicked())?
    }

    fn hand_over(&self, mut work: Work) -> Result<()> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let thread = match idle {
                Some(thread) => thread,
                None => self.spawn()?,
            };
            match thread.send(CompileJob { work, thread: thread.clone() }) {
                Ok(()) => return Ok(()),
                // The thread has ended because it had no work.
                Err(mpsc::SendError(job)) => work = job.work,
            }
        }
    }

    fn spawn(&self) -> Result<mpsc::Sender<CompileJob>> {
        let (sender, jobs) = mpsc::channel::<CompileJob>();
        let idle = Arc::downgrade(&self.idle);
        let thread = std::thread::Builder::new().name("gpu-compiler".into()).stack_size(STACK);
        let spawned = thread.spawn(move || {
            while let Ok(CompileJob { work, thread }) = jobs.recv_timeout(IDLE) {
                let told = work();
                // The thread is idle before its caller gets the result, so that the caller's next job finds it.
                if let Some(idle) = idle.upgrade() {
                    idle.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
                }
                told();
            }
        });
        spawned.map_err(GpuFailure::threadless)?;
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
    async fn work_that_nobody_waits_for_keeps_its_place() {
        let compilers = Compilers::new();
        let mut held = Vec::new();
        for _ in 0..MOST {
            let (hold, wait) = mpsc::channel::<()>();
            let place = compilers.place().await.unwrap();
            let work = move || wait.recv().map_err(GpuFailure::invalid);
            assert!(timeout(Duration::ZERO, compilers.run(place, work)).await.is_err());
            held.push(hold);
        }
        assert!(timeout(Duration::ZERO, compilers.place()).await.is_err());
        held.pop().unwrap().send(()).unwrap();
        assert!(compilers.place().await.is_some());
    }
}
