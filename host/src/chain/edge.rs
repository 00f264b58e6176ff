//! One chainlet's dependency on another, as its calls go through it.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use wasmtime::{Result, StoreContextMut};

use crate::chainlet::call::CallContext;
use crate::chainlet::state::State;
use crate::chainlet::{Chainlet, earlier};
use crate::config::DependencySpec;
use crate::error::{CallError, EdgeName, ErrorKind};
use crate::value::Value;
use crate::value::abi::call::Import;

/// The pause before the second attempt; it doubles with each further one, and each is shortened at random by up to half
/// so that callers who failed together do not come back together.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A live edge: where calls go, and how they are bounded.
pub(super) struct Edge {
    name: Arc<EdgeName>,
    target: Arc<Chainlet>,
    timeout: Option<Duration>,
    attempts: u32,
    concurrency: Option<Semaphore>,
}

impl Edge {
    pub(super) fn new(name: EdgeName, target: Arc<Chainlet>, policy: &DependencySpec) -> Self {
        let concurrency = policy.concurrency.map(|limit| Semaphore::new(usize::try_from(limit).unwrap_or(usize::MAX)));
        Edge { name: Arc::new(name), target, timeout: policy.timeout, attempts: policy.attempts, concurrency }
    }

    /// Calls the dependency, within the caller's deadline and the edge's own bounds.
    async fn call(&self, params: Vec<Value>, context: CallContext) -> Result<Option<Value>, CallError> {
        let deadline = earlier(context.deadline, self.timeout.map(|timeout| Instant::now() + timeout));
        let request = context.request.clone();
        let context = CallContext { deadline, ..context };
        let answer = self.target.within(deadline, self.attempt(params, context)).await;
        answer.map_err(|error| {
            tracing::debug!(request = request.as_deref(), edge = %self.name, %error, "a call through an edge failed");
            error.through(&self.name)
        })
    }

    async fn attempt(&self, params: Vec<Value>, context: CallContext) -> Result<Option<Value>, CallError> {
        // The semaphore is never closed, so a permit always comes.
        let _permit = match &self.concurrency {
            Some(concurrency) => concurrency.acquire().await.ok(),
            None => None,
        };
        let mut pause = FIRST_PAUSE;
        for _ in 1..self.attempts {
            match self.target.call(params.clone(), context.clone()).await {
                Err(error) if is_safe_to_repeat(error.kind()) => {
                    tokio::time::sleep(pause.mul_f64(1.0 - fastrand::f64() / 2.0)).await;
                    pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
                }
                answer => return answer,
            }
        }
        self.target.call(params, context).await
    }
}

/// Whether a call that failed in this way has certainly not begun.
fn is_safe_to_repeat(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Overloaded | ErrorKind::NotReady)
}

/// A guest's import that an edge answers.
///
/// A guest has no way to receive a failure of the host, such as a trap of its dependency: the import's type is the
/// other chainlet's own. So the failure goes straight to whoever called this guest, and the guest is never resumed: what
/// it holds for this one call is lost until its replica is replaced, and its other calls go on. A function that is not
/// async blocks its instance while it waits, so there the instance is ended instead.
pub(super) struct EdgeImport {
    pub(super) edge: Arc<Edge>,
    pub(super) is_async: bool,
}

impl Import<State> for EdgeImport {
    fn call(
        &self,
        mut store: StoreContextMut<'_, State>,
        params: Vec<Value>,
    ) -> BoxFuture<'static, Result<Option<Value>>> {
        let caller = State::current_call(&mut store);
        let context = caller.as_ref().map(|call| call.context.clone()).unwrap_or_default();
        let (edge, is_async) = (self.edge.clone(), self.is_async);
        Box::pin(async move {
            let error = match edge.call(params, context).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            match (caller, is_async) {
                (Some(caller), true) => {
                    caller.fail(error);
                    std::future::pending().await
                }
                (caller, _) => {
                    let reason = wasmtime::format_err!("a dependency failed: {error}");
                    if let Some(caller) = caller {
                        caller.fail(error);
                    }
                    Err(reason)
                }
            }
        })
    }
}
