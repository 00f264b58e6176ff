//! One chainlet's dependency on another, as its calls go through it.
//!
//! An edge is a stack of tower services. From the outside in:
//!
//! 1. [`deadline`]: a call ends at its caller's deadline, or after the edge's timeout.
//! 2. At most the edge's `concurrency` go on, and others wait (tower's own limit).
//! 3. [`attempts`]: what failed and is safe to repeat is tried again (tower's own retry).
//! 4. [`breaker`]: after many failures in a row, calls are refused for a while.
//! 5. The chainlet that is called.

mod attempts;
mod breaker;
mod deadline;
mod import;

use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use tower::limit::{ConcurrencyLimit, ConcurrencyLimitLayer};
use tower::retry::Retry;
use tower::util::{Either, ServiceExt};
use tower::{Service, ServiceBuilder};

use self::attempts::Attempts;
use self::breaker::{Breaker, BreakerLayer};
use self::deadline::{Deadline, DeadlineLayer};
pub(super) use self::import::EdgeImport;
use crate::chainlet::Chainlet;
use crate::chainlet::call::CallContext;
use crate::config::DependencySpec;
use crate::error::{CallError, EdgeName};
use crate::value::Value;

/// A live edge: where calls go, and how they are bounded.
pub(super) struct Edge {
    name: Arc<EdgeName>,
    service: Deadline<Either<ConcurrencyLimit<Attempted>, Attempted>>,
}

type Attempted = Retry<Attempts, Breaker<Target>>;

/// One call through an edge.
#[derive(Clone)]
struct EdgeCall {
    params: Vec<Value>,
    context: CallContext,
}

impl Edge {
    pub(super) fn new(name: EdgeName, target: Arc<Chainlet>, policy: &DependencySpec) -> Self {
        let name = Arc::new(name);
        let concurrency = policy.concurrency.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let service = ServiceBuilder::new()
            .layer(DeadlineLayer::new(target.clone(), policy.timeout))
            .option_layer(concurrency.map(ConcurrencyLimitLayer::new))
            .retry(Attempts::new(policy))
            .layer(BreakerLayer::new(name.clone(), policy))
            .service(Target(target));
        Edge { name, service }
    }

    /// Calls the dependency, within the caller's deadline and the edge's own bounds.
    async fn call(&self, params: Vec<Value>, context: CallContext) -> Result<Option<Value>, CallError> {
        let request = context.request.clone();
        self.service.clone().oneshot(EdgeCall { params, context }).await.map_err(|error| {
            tracing::debug!(request = request.as_deref(), edge = %self.name, %error, "a call through an edge failed");
            error.through(&self.name)
        })
    }
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
