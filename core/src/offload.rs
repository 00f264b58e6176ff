//! Runs work that takes longer than a task of the async runtime may hold its thread.

use std::panic::resume_unwind;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// Threads for long work, beside those that serve connections. They take at most half of the processors, so that the
/// rest can answer meanwhile.
#[derive(Debug, Clone)]
pub struct Offload {
    turns: Arc<Semaphore>,
    most: usize,
}

/// Makes threads for half of the processors.
impl Default for Offload {
    fn default() -> Self {
        Self::on((processors() / 2).max(1))
    }
}

impl Offload {
    /// Makes threads for all processors, for work before anything is served.
    pub fn on_all_processors() -> Self {
        Self::on(processors())
    }

    fn on(threads: usize) -> Self {
        Offload { turns: Arc::new(Semaphore::new(threads)), most: threads }
    }

    /// Returns the largest number of threads that it uses.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Runs `work` when it is its turn. If the future is dropped before that, `work` does not run. Work that has begun
    /// goes on to its end.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        // The semaphore is never closed, so this never fails.
        let turn = self.turns.clone().acquire_owned().await.ok();
        let done = spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        match done.await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // Only a runtime that shuts down cancels the work, and then it drops this future as well.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn only_some_work_runs_at_once_and_all_of_it_is_done() {
        let offload = Offload::on(2);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let work = (0..20).map(|index| {
            let (now, most) = (now.clone(), most.clone());
            offload.run(move || {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::yield_now();
                now.fetch_sub(1, Ordering::SeqCst);
                index
            })
        });
        assert_eq!(futures::future::join_all(work).await, (0..20).collect::<Vec<_>>());
        assert!(most.load(Ordering::SeqCst) <= 2);
    }

    #[tokio::test]
    #[should_panic(expected = "for a test")]
    async fn a_panic_of_the_work_reaches_its_caller() {
        Offload::default().run(|| panic!("for a test")).await
    }
}
