//! The layer that ends a call through an edge at its deadline.

use std::task::{Context, Poll};

use futures::future::BoxFuture;
use tower::{Layer, Service, ServiceExt};

use super::EdgeCall;
use crate::chain::deadline::{earlier, within};
use crate::chainlet::call::{Answered, Outcome};
use crate::config::ChainletName;
use crate::error::CallError;

/// Ends calls to the chainlet `self.0` at the deadline that they carry, or when the first item of their answer is late.
pub(super) struct DeadlineLayer(pub ChainletName);

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;

    fn layer(&self, inner: S) -> Deadline<S> {
        Deadline { callee: self.0.clone(), inner }
    }
}

#[derive(Clone)]
pub(super) struct Deadline<S> {
    callee: ChainletName,
    inner: S,
}

impl<S> Service<EdgeCall> for Deadline<S>
where
    S: Service<EdgeCall, Response = Answered, Error = CallError> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Answered;
    type Error = CallError;
    type Future = BoxFuture<'static, Outcome>;

    /// Always ready: waiting for the inner service counts against the deadline, too.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: EdgeCall) -> Self::Future {
        let Deadline { callee, inner } = self.clone();
        let deadline = earlier(call.context.deadline, call.first);
        Box::pin(async move { within(&callee, deadline, inner.oneshot(call)).await })
    }
}
