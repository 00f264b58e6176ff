//! Runs one device's queue operations in order: on the caller's thread, or on a thread of the device.
//!
//! Some drivers block a thread that submits until the GPU is done with earlier work. A guest's thread must not be
//! blocked, because other guests need it. So if the GPU has work, the next submission goes to the device's thread.
//! While that thread has jobs, later operations go there, too.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use tokio::sync::oneshot;

use crate::gpu::protocol::{GpuFailure, Result};

type QueueJob = Box<dyn FnOnce() + Send>;

#[derive(Default)]
pub(super) struct Lane {
    /// The number of jobs that the thread has not done.
    waiting: Arc<AtomicUsize>,
    /// Sends jobs to the thread, which is started for the first job and ends with the lane.
    thread: Mutex<Option<mpsc::Sender<QueueJob>>>,
}

impl Lane {
    /// Returns true if all earlier jobs are done.
    pub(super) fn is_free(&self) -> bool {
        self.waiting.load(Ordering::Acquire) == 0
    }

    /// Makes the thread do `work` after all earlier jobs.
    pub(super) fn queue<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> BoxFuture<'static, Result<T>> {
        let (sender, receiver) = oneshot::channel();
        let waiting = self.waiting.clone();
        // Counted before the job is sent, so that later operations queue behind it.
        waiting.fetch_add(1, Ordering::AcqRel);
        let job: QueueJob = Box::new(move || {
            let done = work();
            // Counted as done before the result is sent, so that the caller's next operation finds the lane free.
            waiting.fetch_sub(1, Ordering::AcqRel);
            // This fails if the caller no longer waits.
            let _ = sender.send(done);
        });
        match self.hand_over(job) {
            Ok(()) => {
                async move { receiver.await.unwrap_or_else(|_| Err(GpuFailure::lost("the device is gone"))) }.boxed()
            }
            Err(failure) => {
                self.waiting.fetch_sub(1, Ordering::AcqRel);
                ready(Err(failure)).boxed()
            }
        }
    }

    fn hand_over(&self, job: QueueJob) -> Result<()> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = match &*thread {
            Some(sender) => sender,
            None => {
                let (sender, jobs) = mpsc::channel::<QueueJob>();
                let spawned = std::thread::Builder::new().name("gpu-lane".into()).spawn(move || {
                    jobs.into_iter().for_each(|job| job());
                });
                spawned.map_err(GpuFailure::threadless)?;
                thread.insert(sender)
            }
        };
        // The thread outlives its sender, because its jobs cannot panic.
        sender.send(job).map_err(|_| GpuFailure::lost("the device is gone"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn jobs_are_done_in_their_order_and_the_lane_is_free_again() {
        let lane = Lane::default();
        assert!(lane.is_free());
        let (hold, held) = mpsc::channel::<()>();
        let done = Arc::new(Mutex::new(Vec::new()));
        let first = lane.queue(move || held.recv().map_err(GpuFailure::invalid));
        let others: Vec<_> = (0..5)
            .map(|number| {
                let done = done.clone();
                lane.queue(move || {
                    done.lock().unwrap().push(number);
                    Ok(number)
                })
            })
            .collect();
        assert!(!lane.is_free());
        hold.send(()).unwrap();
        first.await.unwrap();
        for (number, other) in others.into_iter().enumerate() {
            assert_eq!(other.await, Ok(number));
        }
        assert!(lane.is_free());
        assert_eq!(*done.lock().unwrap(), [0, 1, 2, 3, 4]);
    }
}
