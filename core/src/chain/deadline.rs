//! Deadlines of calls. The callers keep a deadline; the callee does not.

use tokio::time::timeout_at;

use crate::chainlet::call::Outcome;
use crate::config::ChainletName;
use crate::deadline::Deadline;

/// Returns the outcome of `call`, which `callee` serves, or a failure if the outcome does not come before `deadline`.
pub(crate) async fn within(
    callee: &ChainletName,
    deadline: Option<Deadline>,
    call: impl Future<Output = Outcome>,
) -> Outcome {
    let Some(deadline) = deadline else { return call.await };
    timeout_at(deadline.at, call).await.unwrap_or_else(|_| Err(deadline.missed(callee)))
}
