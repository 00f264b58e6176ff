//! The queue of calls on their way into a replica.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::call::{Call, Job};

/// The calls that callers have left for a replica. The pool bounds it: the calls in the inbox and in flight are at most
/// the chainlet's concurrency. A caller that leaves a call nudges the replica's driver, so the inbox itself wakes
/// nobody.
pub(super) struct Inbox(Mutex<Option<VecDeque<Job>>>);

impl Inbox {
    pub(super) fn new() -> Self {
        Inbox(Mutex::new(Some(VecDeque::new())))
    }

    /// Adds a call. A closed inbox gives it back.
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
        // Dropped after the lock is free, because the freed place may bring another call here.
        drop(job);
    }

    /// Takes no more calls, and gives back the calls that are here.
    pub(super) fn close(&self) {
        let jobs = self.lock().take();
        jobs.into_iter().flatten().for_each(Job::give_back);
    }

    fn lock(&self) -> MutexGuard<'_, Option<VecDeque<Job>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
