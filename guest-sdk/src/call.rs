//! The running call: the id of its request, its deadline, and its end.
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
//! Some code runs without a call: `init`, `is_healthy`, and code outside a host, such as a unit test on the developer's
//! machine. There is then no id, no deadline and no trace context, and nothing is ever cancelled.

use std::time::Duration;

use crate::Failure;
pub use crate::host::chainlet::host::call::TraceContext;

#[cfg(target_arch = "wasm32")]
use crate::host::chainlet::host::call as host;
#[cfg(not(target_arch = "wasm32"))]
use absent as host;

/// Returns the id of the request that the call belongs to. It is the same in every chainlet, in the host's log, and in
/// the answer's header `x-request-id`.
pub fn id() -> Option<String> {
    host::id()
}

/// Returns the time until the call's deadline: zero after it, `None` if the call has no deadline.
pub fn time_left() -> Option<Duration> {
    host::time_left().map(Duration::from_nanos)
}

/// Returns the [W3C trace context](https://www.w3.org/TR/trace-context/) of the call, for the headers of requests to
/// other services.
pub fn trace_context() -> Option<TraceContext> {
    host::get_trace_context()
}

/// Waits until nobody wants the call's answer any more.
///
/// The macro drops the future of `run_remote` at that moment, so only work that runs apart from that future needs this
/// function.
pub async fn cancelled() {
    host::cancelled().await;
}

/// Returns true if nobody wants the call's answer any more. Use it in computations that run long without an `await`.
pub fn is_cancelled() -> bool {
    host::is_cancelled()
}

/// Fails the call: its caller gets `failure` instead of an answer, or at the end of the answer's streams. Only the
/// first failure of a call counts.
///
/// The host passes on the failure of a dependency unchanged. Any other failure begins in this chainlet. The macro drops
/// an async `run_remote` at its next `await`. For failures of dependencies, `?` and [`OrFail`](crate::OrFail) call this
/// function.
pub fn fail(failure: &Failure) {
    host::fail(failure);
}

/// Tells the host that the call is about to end with the error that `dependency` returned.
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
