//! Deadlines of calls. The callers keep a deadline; the callee does not.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::chainlet::call::Outcome;
use crate::config::ChainletName;
use crate::error::{CallError, ErrorKind};

/// The most by which a call's deadline is earlier than that of its caller.
const MARGIN: Duration = Duration::from_millis(50);

/// Returns the deadline of a call that is made on behalf of a call with `deadline`. It is somewhat earlier, so that the
/// failure that names the slow chainlet comes up the chain before the chainlets above run out of time themselves.
pub(super) fn sooner(deadline: Instant, now: Instant) -> Instant {
    deadline - (deadline.saturating_duration_since(now) / 20).min(MARGIN)
}

/// Returns the earlier of two deadlines; `None` means never.
pub(super) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Returns the outcome of `call`, which `callee` serves, or a failure if the outcome does not come before `deadline`.
pub(crate) async fn within(
    callee: &ChainletName,
    deadline: Option<Instant>,
    call: impl Future<Output = Outcome>,
) -> Outcome {
    let Some(deadline) = deadline else { return call.await };
    timeout_at(deadline, call)
        .await
        .unwrap_or_else(|_| Err(CallError::new(ErrorKind::Deadline, callee, "no answer before the deadline")))
}
