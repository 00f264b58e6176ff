//! The end of a call that nobody wants any more.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// Runs the work of a call to its end. If the call is over before, drops the work and returns the value of `blank`,
/// which the host ignores.
pub async fn serve<T>(work: impl Future<Output = T>, blank: impl FnOnce() -> T) -> T {
    match until_cancelled(work).await {
        Some(value) => value,
        None => blank(),
    }
}

/// Runs `work` to its end. If the running call is over before, drops the work and returns `None`.
pub async fn until_cancelled<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(Some(work));
    // Most calls end at the first poll, so they need not ask the host for the end of the call.
    let first = poll_fn(|cx| {
        Poll::Ready(match work.as_mut().as_pin_mut() {
            Some(work) => work.poll(cx),
            None => Poll::Pending,
        })
    });
    if let Poll::Ready(value) = first.await {
        return Some(value);
    }
    let mut cancelled = pin!(crate::call::cancelled());
    let ended = poll_fn(|cx| {
        if let Some(work) = work.as_mut().as_pin_mut()
            && let Poll::Ready(value) = work.poll(cx)
        {
            return Poll::Ready(Some(value));
        }
        cancelled.as_mut().poll(cx).map(|()| None)
    });
    let value = ended.await;
    if value.is_none() {
        // The work must be dropped before the call returns, so that its memory is free when its place is.
        work.set(None);
    }
    value
}
