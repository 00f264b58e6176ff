//! The thread that waits for one device, so that no other thread has to.
//!
//! wgpu calls back only from within `poll`, and only a thread in `poll` learns at once that the GPU is done. The poller
//! reports finished work through [`Events`] and the callbacks of reads. Its thread is also the last to hold the device,
//! its queue and its objects, except for a thread that is still compiling or submitting. Dropping them may wait for the
//! GPU, for as long as the driver likes, and their memory is reported as free only after that.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::gpu::protocol::{DeviceId, Events, GpuFailure, Result};

/// The work that a device's poller waits for.
pub(super) struct Poller {
    state: Mutex<State>,
    changed: Condvar,
    /// Locked during a submission, so that the numbers are in the order of the queue.
    submitting: Mutex<()>,
}

#[derive(Default)]
struct State {
    submitted: u64,
    in_flight: VecDeque<(u64, wgpu::SubmissionIndex)>,
    /// The last submission whose end another thread has seen.
    seen: u64,
    /// The number of reads whose callbacks have not come.
    reads: usize,
    /// The number of reads whose bytes are still held.
    views: usize,
    closing: bool,
    /// Called when the device is dropped.
    last: Option<Box<dyn FnOnce() + Send>>,
    /// True once the poller no longer calls `last`. From then on, `close` calls it.
    ended: bool,
}

/// Counts as a holder of a read's bytes until it is dropped.
pub(super) struct View(Arc<Poller>);

impl Poller {
    /// Starts the poller of `device`, whose queue is `queue`. At its end it calls `let_go`, after which nobody else can
    /// reach the device.
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
                    events.lost(
                        id,
                        GpuFailure::lost("waiting for the GPU failed, which is a bug of chainhost or of wgpu"),
                    );
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

    /// Calls `submit` and counts its submission, with no other submission of the device in between. Returns the number.
    pub(super) fn submitted(&self, submit: impl FnOnce() -> Result<wgpu::SubmissionIndex>) -> Result<u64> {
        let _order = self.submitting.lock().unwrap_or_else(PoisonError::into_inner);
        // Not under the lock of the state: `submit` may call the callbacks of reads, which take that lock.
        let index = submit()?;
        let mut state = self.state();
        state.submitted += 1;
        let number = state.submitted;
        state.in_flight.push_back((number, index));
        drop(state);
        self.changed.notify_one();
        Ok(number)
    }

    /// Notes that a read begins. Its callback comes from a poll.
    pub(super) fn reading(&self) {
        self.state().reads += 1;
        self.changed.notify_one();
    }

    /// Notes that the callback of a read has come.
    pub(super) fn read(&self) {
        let mut state = self.state();
        state.reads = state.reads.saturating_sub(1);
    }

    /// Returns true if the GPU is not known to be done with all its work.
    pub(super) fn is_busy(&self) -> bool {
        let state = self.state();
        state.in_flight.back().is_some_and(|(last, _)| *last > state.seen)
    }

    /// Returns the number of the last submission.
    pub(super) fn submissions(&self) -> u64 {
        self.state().submitted
    }

    /// Notes that another thread has seen the end of all submissions up to `number`. Only the poller reports it.
    pub(super) fn has_seen(&self, number: u64) {
        let mut state = self.state();
        state.seen = state.seen.max(number);
    }

    /// Counts a holder of a read's bytes.
    pub(super) fn view(self: &Arc<Self>) -> View {
        self.state().views += 1;
        View(self.clone())
    }

    /// Waits until nobody holds the bytes of a read, which are memory of the device.
    fn until_unseen(&self) {
        let mut state = self.state();
        while state.views > 0 {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Closes the device. Calls `last` when the GPU is done with it.
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

    /// Marks the poller as ended, and returns the function to call at the end.
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
                // Without a timeout: if one passes just as another thread polls, wgpu finds its own state inconsistent.
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
                    events.lost(id, GpuFailure::lost(format_args!("the GPU stopped working: {error}")));
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
