//! The call that is running: who asked, how long it may take, and whether
//! anybody still wants its answer.
//!
//! ```no_run
//! # async fn example() -> chainlet::Result<()> {
//! use std::time::Duration;
//!
//! if chainlet::call::time_left().is_some_and(|time| time < Duration::from_millis(50)) {
//!     return Err("there is no time for a better answer".into());
//! }
//! # Ok(()) }
//! ```
//!
//! In `init` and `is_healthy` no call is running. There, and outside a host, in
//! a unit test on the developer's machine, there is no id, no deadline and no
//! trace context, and nothing is ever cancelled.

use std::time::Duration;

use crate::Failure;
pub use crate::host::chainlet::host::call::TraceContext;

#[cfg(target_arch = "wasm32")]
use crate::host::chainlet::host::call as host;
#[cfg(not(target_arch = "wasm32"))]
use absent as host;

/// The id of the request that the call belongs to. It is the same in every
/// chainlet, in the host's log, and in the answer's header `x-request-id`.
pub fn id() -> Option<String> {
    host::id()
}

/// How long it is until the call's deadline, zero after it; `None` without one.
pub fn time_left() -> Option<Duration> {
    host::time_left().map(Duration::from_nanos)
}

/// The [W3C trace context](https://www.w3.org/TR/trace-context/) of the call,
/// for the headers of requests to other services.
pub fn trace_context() -> Option<TraceContext> {
    host::get_trace_context()
}

/// Returns when nobody wants the call's answer any more.
///
/// The macro waits for this beside `run_remote`, which it drops then. So it is
/// for work that goes on by itself.
pub async fn cancelled() {
    host::cancelled().await;
}

/// Whether nobody wants the call's answer any more: for work that computes for
/// long without an `await`.
pub fn is_cancelled() -> bool {
    host::is_cancelled()
}

/// Fails the call: its caller gets `failure` in place of an answer, or at the
/// end of the answer's streams. Only the first failure of a call counts.
///
/// The failure of a dependency is passed on as it was. Any other begins in
/// this chainlet. An async `run_remote` is dropped at its next `await`. For
/// failures of dependencies, `?` and [`OrFail`](crate::OrFail) do this.
pub fn fail(failure: &Failure) {
    host::fail(failure);
}

/// The error with which the call is about to end is the one that `dependency`
/// returned.
pub(crate) fn pass_on(dependency: &str) {
    host::pass_on(dependency);
}

#[cfg(not(target_arch = "wasm32"))]
mod absent {
    use super::{Failure, TraceContext};

    pub fn id() -> Option<String> {
        None
    }

    pub fn time_left() -> Option<u64> {
        None
    }

    pub fn get_trace_context() -> Option<TraceContext> {
        None
    }

    pub async fn cancelled() {
        std::future::pending().await
    }

    pub fn is_cancelled() -> bool {
        false
    }

    pub fn fail(_: &Failure) {}

    pub fn pass_on(_: &str) {}
}
