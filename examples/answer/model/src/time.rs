//! Ends of work that nobody waits for any longer.

use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};
use wasip3::clocks::monotonic_clock;

use crate::wit::bindings::chainlet::host::call;

/// What `work` returns, if it returns within `limit`. Otherwise `work` is dropped.
pub async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    let nanoseconds = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
    match select(pin!(work), pin!(monotonic_clock::wait_for(nanoseconds))).await {
        Either::Left((value, _)) => Some(value),
        Either::Right(((), _)) => None,
    }
}

/// What `work` returns. If the caller no longer wants the answer, `work` is dropped with all that it holds.
pub async fn while_wanted<T>(work: impl Future<Output = T>) -> Option<T> {
    match select(pin!(work), pin!(call::cancelled())).await {
        Either::Left((value, _)) => Some(value),
        Either::Right(((), _)) => None,
    }
}
