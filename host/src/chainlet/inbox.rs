//! Calls on their way into a replica.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::call::{Call, Job};

/// Where callers leave calls for a replica. The pool keeps it bounded: no more than the chainlet's concurrency are ever
/// in it or in flight. Whoever leaves one nudges the replica's driver, so the inbox itself wakes nobody.
pub(super) struct Inbox(Mutex<Option<VecDeque<Job>>>);

impl Inbox {
    pub(super) fn new() -> Self {
        Inbox(Mutex::new(Some(VecDeque::new())))
    }

    /// Leaves a call. A closed inbox gives it back.
    pub(super) fn push(&self, job: Job) {
        let refused = match &mut *self.lock() {
            Some(jobs) => {
                jobs.push_back(job);
                None
            }
            None => Some(job),
        };
        if let Some(job) = refused {
            job.give_back();
        }
    }

    pub(super) fn pop(&self) -> Option<Job> {
        self.lock().as_mut()?.pop_front()
    }

    /// Removes `call`, which nobody wants any more, if it is still here.
    pub(super) fn forget(&self, call: &Call) {
        let job = {
            let mut jobs = self.lock();
            let Some(jobs) = &mut *jobs else { return };
            let place = jobs.iter().position(|job| job.is_of(call));
            place.and_then(|place| jobs.remove(place))
        };
        // Its place comes free, which may bring another call here.
        drop(job);
    }

    /// Takes no more calls, and gives back those that it has.
    pub(super) fn close(&self) {
        let jobs = self.lock().take();
        jobs.into_iter().flatten().for_each(Job::give_back);
    }

    fn lock(&self) -> MutexGuard<'_, Option<VecDeque<Job>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
