//! The alarm that ends the streams of an answer at their deadline, whether or not anybody reads them.
//!
//! A stream that nobody polls cannot look at the clock, and a task for each stream would cost more than most streams.
//! So a timer has a waker of its own, which ends the call when it is woken. That costs no task.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use tokio::task::coop::{Unconstrained, unconstrained};
use tokio::time::{Sleep, sleep_until};

use super::super::call::{Tail, TailHandle};
use crate::config::ChainletName;
use crate::deadline::Deadline;

/// A timer that is set. Dropping it cancels it.
pub(super) struct Alarm {
    _timer: Pin<Box<Unconstrained<Sleep>>>,
}

/// The action at the deadline.
struct Ring {
    tail: TailHandle,
    callee: ChainletName,
    deadline: Deadline,
}

impl Alarm {
    /// Ends the call of `tail`, which `callee` serves, at `deadline`.
    pub(super) fn set(deadline: Deadline, tail: &Tail, callee: ChainletName) -> Self {
        let _runtime = tail.runtime().map(|runtime| runtime.enter());
        // A timer that is held back by tokio's budget for tasks would be woken before its time.
        let mut timer = Box::pin(unconstrained(sleep_until(deadline.at)));
        let ring = Arc::new(Ring { tail: tail.handle(), callee, deadline });
        if timer.as_mut().poll(&mut Context::from_waker(&Waker::from(ring.clone()))).is_ready() {
            ring.wake();
        }
        Alarm { _timer: timer }
    }
}

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        self.tail.fail(self.deadline.missed_by_streams(&self.callee));
    }
}
