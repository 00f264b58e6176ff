//! The layer that ends a call through an edge at its deadline.

use std::task::{Context, Poll};

use futures::future::BoxFuture;
use tower::{Layer, Service, ServiceExt};

use super::EdgeCall;
use crate::chain::deadline::within;
use crate::chainlet::call::{CallAnswer, Outcome};
use crate::config::ChainletName;
use crate::deadline::earlier;
use crate::error::CallError;

/// Ends calls to the chainlet `self.0` at the deadline that they carry, or when the first item of their answer is late.
pub(super) struct DeadlineLayer(pub ChainletName);

impl<S> Layer<S> for DeadlineLayer {
    type Service = WithDeadline<S>;

    fn layer(&self, inner: S) -> WithDeadline<S> {
        WithDeadline { callee: self.0.clone(), inner }
    }
}

#[derive(Clone)]
pub(super) struct WithDeadline<S> {
    callee: ChainletName,
    inner: S,
}

impl<S> Service<EdgeCall> for WithDeadline<S>
where
    S: Service<EdgeCall, Response = CallAnswer, Error = CallError> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = CallAnswer;
    type Error = CallError;
    type Future = BoxFuture<'static, Outcome>;

    /// Always ready: waiting for the inner service counts against the deadline, too.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: EdgeCall) -> Self::Future {
        let WithDeadline { callee, inner } = self.clone();
        let deadline = earlier(call.context.deadline.clone(), call.first.clone());
        Box::pin(async move { within(&callee, deadline, inner.oneshot(call)).await })
    }
}
