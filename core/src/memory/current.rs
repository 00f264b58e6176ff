//! The budget of the replica that this thread polls.
//!
//! wasmtime takes values out of a guest in functions that see nothing of the store's data. They find the budget here, and
//! reserve in it what they are about to copy.

use std::cell::RefCell;
use std::future::poll_fn;
use std::marker::PhantomData;

use super::MemoryBudget;

thread_local! {
    static CURRENT: RefCell<Option<MemoryBudget>> = const { RefCell::new(None) };
}

/// Makes a budget the current one of this thread until it is dropped.
struct Entered {
    before: Option<MemoryBudget>,
    /// It belongs to its thread.
    _not_send: PhantomData<*const ()>,
}

impl MemoryBudget {
    /// Returns the budget of the replica that this thread polls; `None` outside of such a poll.
    pub fn current() -> Option<MemoryBudget> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// Returns `future` with this budget as the current one of each of its polls. One replica may poll another one.
    pub fn around<T>(self, future: impl Future<Output = T> + Send) -> impl Future<Output = T> + Send {
        let mut future = Box::pin(future);
        poll_fn(move |cx| {
            let _entered = Entered { before: CURRENT.replace(Some(self.clone())), _not_send: PhantomData };
            future.as_mut().poll(cx)
        })
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.replace(self.before.take());
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn a_poll_inside_another_one_has_its_own_budget() {
        let limit = || MemoryBudget::current().map(|budget| budget.limit());
        let inner = MemoryBudget::new(1).around(async move { limit() });
        let outer = MemoryBudget::new(2).around(async move {
            let before = limit();
            (before, inner.await, limit())
        });
        assert_eq!(outer.now_or_never(), Some((Some(2), Some(1), Some(2))));
        assert_eq!(limit(), None);
    }
}
