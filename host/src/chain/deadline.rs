//! When a call ends at the latest. A callee keeps no deadline; its callers do.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::chainlet::call::Outcome;
use crate::config::ChainletName;
use crate::error::{CallError, ErrorKind};

/// How much sooner a call ends than its caller's, at most.
const MARGIN: Duration = Duration::from_millis(50);

/// The deadline of a call that is made on behalf of one with `deadline`: somewhat sooner, so that the failure of the slow
/// chainlet comes up the chain, and names it, before every chainlet above runs out of time itself.
pub(super) fn sooner(deadline: Instant, now: Instant) -> Instant {
    deadline - (deadline.saturating_duration_since(now) / 20).min(MARGIN)
}

/// The earlier of two deadlines, where none is never.
pub(super) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// The outcome of `call`, which `callee` serves, or a failure if it does not come before `deadline`.
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
