//! The queue of calls on their way into a replica.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::call::{Call, PendingCall};

/// The calls that callers have left for a replica. The pool bounds it: the calls in the inbox and in flight are at most
/// the chainlet's concurrency. A caller that leaves a call nudges the replica's driver, so the inbox itself wakes
/// nobody.
pub(super) struct Inbox(Mutex<Option<VecDeque<PendingCall>>>);

impl Inbox {
    pub(super) fn new() -> Self {
        Inbox(Mutex::new(Some(VecDeque::new())))
    }

    /// Adds a call. A closed inbox gives it back.
    pub(super) fn push(&self, pending: PendingCall) {
        let refused = match &mut *self.lock() {
            Some(calls) => {
                calls.push_back(pending);
                None
            }
            None => Some(pending),
        };
        if let Some(pending) = refused {
            pending.give_back();
        }
    }

    pub(super) fn pop(&self) -> Option<PendingCall> {
        self.lock().as_mut()?.pop_front()
    }

    /// Removes `call`, which nobody wants any more, if it is still here.
    pub(super) fn forget(&self, call: &Call) {
        let pending = {
            let mut inbox = self.lock();
            let Some(calls) = &mut *inbox else { return };
            let place = calls.iter().position(|pending| pending.is_of(call));
            place.and_then(|place| calls.remove(place))
        };
        // Dropped after the lock is free, because the freed place may bring another call here.
        drop(pending);
    }

    /// Takes no more calls, and gives back the calls that are here.
    pub(super) fn close(&self) {
        let calls = self.lock().take();
        calls.into_iter().flatten().for_each(PendingCall::give_back);
    }

    fn lock(&self) -> MutexGuard<'_, Option<VecDeque<PendingCall>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
