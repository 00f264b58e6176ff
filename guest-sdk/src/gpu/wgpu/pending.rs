//! Mappings and callbacks that wait for the GPU.
//!
//! Each waits for a submission. The first of these completes it: a poll, a submission, or a task that waits for the
//! GPU. The task exists so that code which only awaits need not poll.

use std::fmt::{self, Debug};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use wgpu::custom::BoxSubmittedWorkDoneCallback;
use wgpu::{PollError, PollStatus};

use super::mapping::{Memory, Ticket};
use super::shared::{Shared, lock};

/// The pause between two checks in a wait with a timeout.
const PAUSE: Duration = Duration::from_micros(100);

#[derive(Default)]
pub struct Pending {
    waiting: Mutex<Vec<Waiting>>,
    /// The number of the last submission.
    submitted: AtomicU64,
    /// The last submission that the GPU is known to have done.
    done: AtomicU64,
    /// True if a task that will complete the present entries is about to start.
    scheduled: AtomicBool,
}

struct Waiting {
    /// The submission that this entry waits for.
    submission: u64,
    then: Then,
}

enum Then {
    Map(Arc<Memory>, Ticket),
    WorkDone(BoxSubmittedWorkDoneCallback),
}

impl Pending {
    pub fn submitted(&self) -> u64 {
        self.submitted.load(Ordering::Relaxed)
    }

    pub fn has_submitted(&self, submission: u64) {
        self.submitted.store(submission, Ordering::Relaxed);
    }

    /// Ends all waiting, after the loss of the device.
    pub fn fail(&self) {
        for waiting in std::mem::take(&mut *lock(&self.waiting)) {
            match waiting.then {
                Then::Map(memory, ticket) => memory.fail_map(ticket),
                Then::WorkDone(callback) => callback(),
            }
        }
    }

    /// Returns the first submission, up to `last`, that an entry waits for.
    fn next(&self, last: u64) -> Option<u64> {
        lock(&self.waiting).iter().map(|waiting| waiting.submission).filter(|submission| *submission <= last).min()
    }

    /// Removes and returns the entries that wait for `done` or an earlier submission, in order.
    fn take(&self, done: u64) -> Vec<Waiting> {
        lock(&self.waiting).extract_if(.., |waiting| waiting.submission <= done).collect()
    }

    fn is_empty(&self) -> bool {
        lock(&self.waiting).is_empty()
    }
}

impl Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pending({} submitted)", self.submitted())
    }
}

impl Shared {
    /// Maps a buffer when the GPU has done its work with it.
    pub fn map_later(self: &Arc<Self>, memory: Arc<Memory>, ticket: Ticket) {
        let submission = memory.last_submission();
        self.later(submission, Then::Map(memory, ticket));
    }

    /// Calls back when everything that was submitted is done.
    pub fn work_done_later(self: &Arc<Self>, callback: BoxSubmittedWorkDoneCallback) {
        self.later(self.pending.submitted(), Then::WorkDone(callback));
    }

    fn later(self: &Arc<Self>, submission: u64, then: Then) {
        lock(&self.pending.waiting).push(Waiting { submission, then });
        if self.is_lost() {
            self.pending.fail();
        } else if !self.pending.scheduled.swap(true, Ordering::Relaxed) {
            let scheduled = Scheduled(Arc::clone(self));
            // The task runs in the call that is running now. If that call is not async, the task runs in the next async
            // call, or never. Never is fine: code without an async call cannot await anything.
            wit_bindgen::rt::async_support::spawn_local(scheduled.run());
        }
    }

    /// Completes the entries that wait for submissions that are done.
    pub fn complete(&self) {
        if !self.pending.is_empty() && !self.is_lost() {
            self.complete_until(self.done());
        }
    }

    /// Returns the last submission that the GPU has done.
    fn done(&self) -> u64 {
        let last = self.pending.submitted();
        if self.pending.done.load(Ordering::Relaxed) < last {
            self.is_done(self.host.completed());
        }
        self.pending.done.load(Ordering::Relaxed)
    }

    fn is_done(&self, submission: u64) {
        self.pending.done.fetch_max(submission, Ordering::Relaxed);
    }

    fn complete_until(&self, done: u64) {
        // Nothing is locked while a callback runs, because it may use the device.
        for waiting in self.pending.take(done) {
            match waiting.then {
                Then::Map(memory, ticket) => drop(memory.finish_map(ticket)),
                Then::WorkDone(callback) => callback(),
            }
        }
    }

    /// Completes the entries that wait for submissions up to `last`. Holds up the instance until these are done.
    fn wait_and_complete(&self, last: u64) {
        for waiting in self.pending.take(last) {
            match waiting.then {
                // A read waits for the GPU itself.
                Then::Map(memory, ticket) if memory.is_to_be_read(ticket) => {
                    if memory.finish_map(ticket).is_ok() {
                        self.is_done(waiting.submission);
                    }
                }
                Then::Map(memory, ticket) => {
                    self.wait(waiting.submission);
                    drop(memory.finish_map(ticket));
                }
                Then::WorkDone(callback) => {
                    self.wait(waiting.submission);
                    callback();
                }
            }
        }
        self.wait(last);
    }

    /// Holds up the instance until all submissions are done.
    pub fn wait_for_all(&self) {
        self.wait(self.pending.submitted());
    }

    /// Holds up the instance until a submission is done.
    fn wait(&self, submission: u64) {
        if submission <= self.pending.done.load(Ordering::Relaxed) || self.is_lost() {
            return;
        }
        match self.host.wait_blocking(Some(submission)) {
            Ok(()) => self.is_done(submission),
            Err(error) => self.raise("Device::poll", "", error),
        }
    }

    /// Waits like [`wait`](Shared::wait), but for at most `timeout`. Returns false if the submission is not done by
    /// then.
    fn wait_for(&self, submission: u64, timeout: Duration) -> bool {
        let start = Instant::now();
        while !self.is_lost() && self.done() < submission {
            if start.elapsed() >= timeout {
                return false;
            }
            sleep(PAUSE);
        }
        true
    }

    /// Returns true if the GPU has done everything that was submitted.
    pub fn is_idle(&self) -> bool {
        let submitted = self.pending.submitted();
        self.is_lost() || self.done() >= submitted
    }

    pub fn poll(&self, poll: wgpu::wgt::PollType<u64>) -> Result<PollStatus, PollError> {
        let waits = poll.is_wait();
        if let wgpu::wgt::PollType::Wait { submission_index, timeout } = poll {
            let last = self.pending.submitted();
            let submission = submission_index.unwrap_or(last);
            if submission > last {
                return Err(PollError::WrongSubmissionIndex(submission, last));
            }
            match timeout {
                Some(timeout) if !self.wait_for(submission, timeout) => return Err(PollError::Timeout),
                Some(_) => {}
                None => self.wait_and_complete(submission),
            }
        }
        let idle = self.is_idle();
        self.complete();
        Ok(match (idle, waits) {
            (true, _) => PollStatus::QueueEmpty,
            (false, true) => PollStatus::WaitSucceeded,
            (false, false) => PollStatus::Poll,
        })
    }
}

/// A task that completes the entries that exist when it starts. Later entries get another task, because this one may
/// belong to a call that ends early.
struct Scheduled(Arc<Shared>);

impl Scheduled {
    async fn run(self) {
        let shared = Arc::clone(&self.0);
        drop(self);
        let last = shared.pending.submitted();
        while let Some(submission) = shared.pending.next(last) {
            if submission > shared.done() {
                match shared.host.wait(Some(submission)).await {
                    Ok(()) => shared.is_done(submission),
                    Err(error) => return shared.raise("Device::poll", "", error),
                }
            }
            shared.complete_until(submission);
        }
    }
}

impl Drop for Scheduled {
    fn drop(&mut self) {
        self.0.pending.scheduled.store(false, Ordering::Relaxed);
    }
}
