//! The thread that waits for one device, so that no other has to.
//!
//! wgpu calls back from within `poll` alone, and only a thread that is in it learns at once that the GPU is done. What is
//! done is told through [`Events`] and the callbacks of reads. The thread is also the last to hold the device, its queue and
//! its objects, but for a thread that is still compiling or submitting: dropping them may wait for the GPU, for as long as
//! the driver likes, and none of their memory is told to be free before it is.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::gpu::protocol::{DeviceId, Events, Failure, Result};

/// What a device's poller has to wait for.
pub(super) struct Poller {
    state: Mutex<State>,
    changed: Condvar,
    /// Held while something is submitted, so that numbers are in the order of the queue.
    submitting: Mutex<()>,
}

#[derive(Default)]
struct State {
    submitted: u64,
    in_flight: VecDeque<(u64, wgpu::SubmissionIndex)>,
    /// The last submission that another thread has seen the end of.
    seen: u64,
    /// Reads whose callbacks have not come.
    reads: usize,
    /// Reads whose bytes are still held.
    views: usize,
    closing: bool,
    /// What is done when the device is let go.
    last: Option<Box<dyn FnOnce() + Send>>,
    /// Whether that has been done.
    ended: bool,
}

/// Says that what a read gave is held.
pub(super) struct View(Arc<Poller>);

impl Poller {
    /// Starts the poller of `device`, whose queue is `queue`. At its end it calls `let_go`, after which nobody else gets at
    /// the device.
    pub(super) fn start(
        device: wgpu::Device,
        queue: wgpu::Queue,
        id: DeviceId,
        events: Arc<dyn Events>,
        let_go: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<Arc<Self>> {
        let poller =
            Arc::new(Poller { state: Mutex::default(), changed: Condvar::new(), submitting: Mutex::default() });
        let thread = std::thread::Builder::new().name(format!("gpu-{id}"));
        thread.spawn({
            let poller = poller.clone();
            move || {
                let run = catch_unwind(AssertUnwindSafe(|| poller.run(&device, id, events.as_ref())));
                if run.is_err() {
                    events
                        .lost(id, Failure::lost("waiting for the GPU failed, which is a bug of chainhost or of wgpu"));
                }
                // Dropping may wait for the GPU, or for its driver.
                let dropped = catch_unwind(AssertUnwindSafe(|| {
                    let_go();
                    if let Some(last) = poller.end() {
                        last();
                    }
                    poller.until_unseen();
                    drop(queue);
                    drop(device);
                }));
                if dropped.is_err() {
                    tracing::error!("a GPU's device could not be dropped, which is a bug of wgpu");
                }
                events.closed(id);
            }
        })?;
        Ok(poller)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a submission by calling `submit`, with no other submission of the device in between. Returns its number.
    pub(super) fn submitted(&self, submit: impl FnOnce() -> Result<wgpu::SubmissionIndex>) -> Result<u64> {
        let _order = self.submitting.lock().unwrap_or_else(PoisonError::into_inner);
        // Callbacks of reads may come from within, which take the lock of the state.
        let index = submit()?;
        let mut state = self.state();
        state.submitted += 1;
        let number = state.submitted;
        state.in_flight.push_back((number, index));
        drop(state);
        self.changed.notify_one();
        Ok(number)
    }

    /// A read begins, whose callback comes from a poll.
    pub(super) fn reading(&self) {
        self.state().reads += 1;
        self.changed.notify_one();
    }

    /// Its callback has come.
    pub(super) fn read(&self) {
        let mut state = self.state();
        state.reads = state.reads.saturating_sub(1);
    }

    /// Whether the GPU has work that it is not known to be done with.
    pub(super) fn is_busy(&self) -> bool {
        let state = self.state();
        state.in_flight.back().is_some_and(|(last, _)| *last > state.seen)
    }

    /// The number of the last submission.
    pub(super) fn submissions(&self) -> u64 {
        self.state().submitted
    }

    /// Another thread has seen that the GPU is done with all submissions up to `number`. Telling so remains the poller's.
    pub(super) fn has_seen(&self, number: u64) {
        let mut state = self.state();
        state.seen = state.seen.max(number);
    }

    /// Counts one who holds what a read gave.
    pub(super) fn view(self: &Arc<Self>) -> View {
        self.state().views += 1;
        View(self.clone())
    }

    /// Waits until nobody holds what a read gave, which is memory of the device.
    fn until_unseen(&self) {
        let mut state = self.state();
        while state.views > 0 {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets the device go, for which `last` is to be done when the GPU is done with it.
    pub(super) fn close(&self, last: impl FnOnce() + Send + 'static) {
        let mut state = self.state();
        state.closing = true;
        if state.ended {
            drop(state);
            return last();
        }
        state.last = Some(Box::new(last));
        drop(state);
        self.changed.notify_one();
    }

    /// What was left to the end, which this is.
    fn end(&self) -> Option<Box<dyn FnOnce() + Send>> {
        let mut state = self.state();
        state.ended = true;
        state.last.take()
    }

    fn run(&self, device: &wgpu::Device, id: DeviceId, events: &dyn Events) {
        loop {
            let mut state = self.state();
            while state.in_flight.is_empty() && state.reads == 0 && !state.closing {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let (oldest, closing) = (state.in_flight.front().cloned(), state.closing);
            drop(state);
            if closing {
                device.destroy();
            }
            let poll = match &oldest {
                // Without a time limit: where one passes just as another thread polls, wgpu finds the two at odds.
                Some((_, index)) => wgpu::PollType::Wait { submission_index: Some(index.clone()), timeout: None },
                None => wgpu::PollType::Poll,
            };
            match (device.poll(poll), oldest) {
                (Ok(_), Some((number, _))) => {
                    self.state().in_flight.pop_front();
                    events.completed(id, number);
                }
                (Ok(_), None) if closing => return,
                (Ok(_), None) => {}
                (Err(error), _) => {
                    events.lost(id, Failure::lost(format_args!("the GPU stopped working: {error}")));
                    return;
                }
            }
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.views = state.views.saturating_sub(1);
        drop(state);
        self.0.changed.notify_one();
    }
}
