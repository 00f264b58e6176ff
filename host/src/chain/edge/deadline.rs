//! When a call through an edge ends at the latest: at its caller's deadline, or after the edge's timeout.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::Instant;
use tower::{Layer, Service};

use super::EdgeCall;
use crate::chainlet::{Chainlet, earlier};
use crate::error::CallError;
use crate::value::Value;

/// How much sooner a call ends than its caller's, at most.
const MARGIN: Duration = Duration::from_millis(50);

/// The deadline of a call that is made for one with `deadline`: somewhat sooner, so that the failure of whoever is slow comes
/// up the chain, and says who that was, before all above it run out of time themselves.
fn within(deadline: Instant, now: Instant) -> Instant {
    deadline - (deadline.saturating_duration_since(now) / 20).min(MARGIN)
}

pub(super) struct DeadlineLayer {
    target: Arc<Chainlet>,
    timeout: Option<Duration>,
}

impl DeadlineLayer {
    pub(super) fn new(target: Arc<Chainlet>, timeout: Option<Duration>) -> Self {
        DeadlineLayer { target, timeout }
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;

    fn layer(&self, inner: S) -> Deadline<S> {
        Deadline { target: self.target.clone(), timeout: self.timeout, inner }
    }
}

#[derive(Clone)]
pub(super) struct Deadline<S> {
    target: Arc<Chainlet>,
    timeout: Option<Duration>,
    inner: S,
}

impl<S> Service<EdgeCall> for Deadline<S>
where
    S: Service<EdgeCall, Response = Option<Value>, Error = CallError> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Option<Value>;
    type Error = CallError;
    type Future = BoxFuture<'static, Result<Option<Value>, CallError>>;

    /// Always: waiting for what is within counts against the deadline, too.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut call: EdgeCall) -> Self::Future {
        let Deadline { target, timeout, inner } = self.clone();
        let now = Instant::now();
        let deadline =
            earlier(call.context.deadline.map(|deadline| within(deadline, now)), timeout.map(|timeout| now + timeout));
        call.context.deadline = deadline;
        Box::pin(async move { target.within(deadline, tower::ServiceExt::oneshot(inner, call)).await })
    }
}
