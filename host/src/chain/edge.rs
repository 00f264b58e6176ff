//! One chainlet's dependency on another, as its calls go through it.
//!
//! An edge is a stack of tower services. From the outside in:
//!
//! 1. [`deadline`]: a call ends at its caller's deadline, or after the edge's timeout.
//! 2. [`concurrency`]: at most so many go on, and others wait.
//! 3. [`attempts`]: what failed and is safe to repeat is tried again (tower's own retry).
//! 4. [`breaker`]: after many failures in a row, calls are refused for a while.
//! 5. The chainlet that is called.

mod attempts;
mod breaker;
mod concurrency;
mod deadline;
mod import;

use std::sync::Arc;
use std::task::{Context, Poll};

use futures::TryStreamExt;
use futures::future::BoxFuture;
use tower::retry::Retry;
use tower::util::ServiceExt;
use tower::{Service, ServiceBuilder};

use self::attempts::Attempts;
use self::breaker::{Breaker, BreakerLayer};
use self::concurrency::{Concurrency, ConcurrencyLayer};
use self::deadline::{Deadline, DeadlineLayer};
pub(super) use self::import::EdgeImport;
use crate::chainlet::Chainlet;
use crate::chainlet::call::CallContext;
use crate::config::DependencySpec;
use crate::error::{CallError, EdgeName};
use crate::value::Value;
use crate::value::stream::{StreamError, Wrap};

/// A live edge: where calls go, and how they are bounded.
pub(super) struct Edge {
    name: Arc<EdgeName>,
    /// Whether the answers hold streams.
    has_streams: bool,
    service: Deadline<Concurrency<Retry<Attempts, Breaker<Target>>>>,
}

/// One call through an edge.
#[derive(Clone)]
struct EdgeCall {
    params: Vec<Value>,
    context: CallContext,
}

impl Edge {
    pub(super) fn new(name: EdgeName, target: Arc<Chainlet>, policy: &DependencySpec) -> Self {
        let name = Arc::new(name);
        let has_streams = target.signature().has_streams();
        let service = ServiceBuilder::new()
            .layer(DeadlineLayer::new(target.clone(), policy.timeout))
            .layer(ConcurrencyLayer(policy.concurrency))
            .retry(Attempts::new(policy))
            .layer(BreakerLayer::new(name.clone(), policy))
            .service(Target(target));
        Edge { name, has_streams, service }
    }

    /// Calls the dependency, within the caller's deadline and the edge's own bounds.
    async fn call(&self, params: Vec<Value>, context: CallContext) -> Result<Option<Value>, CallError> {
        let request = context.request.clone();
        let mut answer = self.service.clone().oneshot(EdgeCall { params, context }).await;
        if self.has_streams
            && let Ok(Some(value)) = &mut answer
        {
            let (name, request) = (self.name.clone(), request.clone());
            let wrap: Wrap = Arc::new(move |items| {
                let (name, request) = (name.clone(), request.clone());
                Box::pin(items.map_err(move |error| match error {
                    StreamError::Call(error) => failed(&name, request.as_deref(), error).into(),
                    other => other,
                }))
            });
            value.wrap_streams(&wrap);
        }
        answer.map_err(|error| failed(&self.name, request.as_deref(), error))
    }
}

fn failed(edge: &Arc<EdgeName>, request: Option<&str>, error: CallError) -> CallError {
    tracing::debug!(request, %edge, %error, "a call through an edge failed");
    error.through(edge)
}

/// The chainlet at the end of an edge. It always takes calls, since it decides itself which wait and which it refuses.
#[derive(Clone)]
struct Target(Arc<Chainlet>);

impl Service<EdgeCall> for Target {
    type Response = Option<Value>;
    type Error = CallError;
    type Future = BoxFuture<'static, Result<Option<Value>, CallError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, EdgeCall { params, context }: EdgeCall) -> Self::Future {
        let chainlet = self.0.clone();
        Box::pin(async move { chainlet.call(params, context).await })
    }
}
