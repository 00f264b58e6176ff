//! What the batches of all streams that one guest writes may hold, from when they leave the guest until a reader takes them.
//!
//! There are two limits: that of the guest, and that of the host for all guests. A batch is weighed when it is here, so that
//! the first is exceeded by one batch at most, and the second by one batch for each guest: a store does one thing at a time,
//! and where a limit is reached, no stream of its guest takes another.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use crate::memory::{MemoryBudget, Reservation};

/// What a batch costs beside its items.
const BATCH: usize = 128;

#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    host: MemoryBudget,
    used: AtomicUsize,
    waiting: Mutex<Vec<Waker>>,
}

/// The part of the budget that a batch has until this is dropped.
#[derive(Debug)]
pub(super) struct Charge {
    budget: Arc<Budget>,
    bytes: usize,
    _reservation: Reservation,
}

impl Budget {
    pub(super) fn new(limit: usize, host: MemoryBudget) -> Arc<Self> {
        Arc::new(Budget { limit, host, used: AtomicUsize::new(0), waiting: Mutex::default() })
    }

    /// Whether there is room for another batch.
    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        let has_room = || self.used.load(Ordering::SeqCst) < self.limit;
        ready!(self.host.poll_room(cx));
        if has_room() {
            return Poll::Ready(());
        }
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                waiting.push(cx.waker().clone());
            }
        }
        // It may have come in between.
        if has_room() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Counts a batch of `bytes`.
    pub(super) fn charge(self: &Arc<Self>, bytes: usize) -> Charge {
        let bytes = bytes.saturating_add(BATCH);
        self.used.fetch_add(bytes, Ordering::SeqCst);
        let mut reservation = self.host.nothing();
        // It is here already.
        reservation.grow_anyway(bytes);
        Charge { budget: self.clone(), bytes, _reservation: reservation }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::SeqCst);
        let waiting = std::mem::take(&mut *self.budget.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        waiting.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use futures::task::noop_waker;

    use super::*;

    #[test]
    fn a_batch_more_waits_until_one_is_taken() {
        let budget = Budget::new(1000, MemoryBudget::unlimited());
        let waker = noop_waker();
        let cx = Context::from_waker(&waker);
        let one = budget.charge(400);
        assert!(budget.poll_room(&cx).is_ready());
        let other = budget.charge(5000);
        assert!(budget.poll_room(&cx).is_pending());
        drop(one);
        assert!(budget.poll_room(&cx).is_pending());
        drop(other);
        assert!(budget.poll_room(&cx).is_ready());
        assert_eq!(budget.used.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_guest_waits_where_the_host_has_no_room() {
        let host = MemoryBudget::new(1000);
        let (budget, other) = (Budget::new(usize::MAX, host.clone()), Budget::new(usize::MAX, host));
        let waker = noop_waker();
        let cx = Context::from_waker(&waker);
        let one = budget.charge(5000);
        assert!(budget.poll_room(&cx).is_pending() && other.poll_room(&cx).is_pending());
        drop(one);
        assert!(budget.poll_room(&cx).is_ready() && other.poll_room(&cx).is_ready());
    }

    #[tokio::test]
    async fn whoever_waits_is_woken() {
        let budget = Budget::new(1, MemoryBudget::unlimited());
        let charge = budget.charge(1);
        let waiting = tokio::spawn({
            let budget = budget.clone();
            std::future::poll_fn(move |cx| budget.poll_room(cx))
        });
        tokio::task::yield_now().await;
        drop(charge);
        waiting.await.unwrap();
    }
}
