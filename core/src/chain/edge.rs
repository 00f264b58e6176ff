//! One chainlet's dependency on another, and the path that its calls take.
//!
//! An edge is a stack of tower services. From the outside in:
//!
//! 1. [`deadline`]: ends a call at its caller's deadline, or after the edge's timeout.
//! 2. [`concurrency`]: limits the concurrent calls. Further calls wait.
//! 3. [`attempts`]: repeats a failed call that is safe to repeat (tower's own retry).
//! 4. [`breaker`]: rejects calls for a while after many failures in a row.
//! 5. The [`Callee`].
//!
//! The guest's side of an edge is its [`import`]. If the import is fallible, it gives the guest a [`failure`] as a value.

mod attempts;
mod breaker;
mod concurrency;
mod deadline;
pub(crate) mod failure;
mod import;

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::Instant;
use tower::retry::Retry;
use tower::util::ServiceExt;
use tower::{Service, ServiceBuilder};
use tracing::field::display;

use self::attempts::Attempts;
use self::breaker::{Breaker, BreakerLayer};
use self::concurrency::{Concurrency, ConcurrencyLayer};
use self::deadline::{DeadlineLayer, WithDeadline};
pub(super) use self::import::EdgeImport;
use crate::chainlet::call::{CallAnswer, CallContext, Outcome};
use crate::chainlet::callee::Callee;
use crate::chainlet::streams::{Pace, ReadingGuest, Surroundings};
use crate::config::{ByteSize, DependencySpec};
use crate::deadline::{Deadline, TimeLimit, earlier, moment_after};
use crate::error::{CallError, EdgeName, ErrorKind, ErrorOrigin};
use crate::log_fields::log_call_error;
use crate::memory::{NoRoom, Reservation};
use crate::value::Value;

/// A live edge: the target of its calls, and their limits. A version of a chain has one for each dependency of a chainlet,
/// and all replicas of that chainlet share it.
pub(super) struct Edge {
    name: Arc<EdgeName>,
    /// True if failed calls may be repeated.
    repeats: bool,
    timeout: Option<Duration>,
    /// The time until the first item of an answer's stream.
    first_item: Option<Duration>,
    /// The time from one item to the next.
    between_items: Option<Duration>,
    service: WithDeadline<Concurrency<Retry<Attempts, Breaker<Target>>>>,
}

/// One call through an edge.
#[derive(Clone)]
struct EdgeCall {
    params: Vec<Value>,
    context: CallContext,
    /// Until when the first item of its answer's stream must have come.
    first: Option<Deadline>,
    /// When the edge's own timeout ends it.
    times_out: Option<Instant>,
}

impl Edge {
    pub(super) fn new(name: EdgeName, target: Arc<dyn Callee>, policy: &DependencySpec) -> Self {
        let name = Arc::new(name);
        let streams = target.signature().result.as_ref().is_some_and(|result| result.has_streams());
        let service = ServiceBuilder::new()
            .layer(DeadlineLayer(target.name().clone()))
            .layer(ConcurrencyLayer(policy.concurrency))
            .retry(Attempts::new(policy, target.signature()))
            .layer(BreakerLayer::new(name.clone(), policy))
            .service(Target(target));
        Edge {
            name,
            repeats: policy.attempts > 1,
            timeout: policy.timeout,
            first_item: policy.first_item_timeout.filter(|_| streams),
            between_items: policy.item_timeout,
            service,
        }
    }

    /// Returns how many copies of a call's parameters are in memory at once: two if the call may be repeated.
    fn copies(&self) -> usize {
        if self.repeats { 2 } else { 1 }
    }

    /// Makes the failure of a call whose parameters the host has no room for.
    fn refuse(&self, no_room: NoRoom) -> CallError {
        let limit = no_room.option;
        CallError::new(ErrorKind::Overloaded, &self.name.to, no_room).limited_by(limit).through(&self.name)
    }

    /// Rejects an answer that is larger than `memory`, the caller's limit in bytes. Such an answer would end the
    /// caller's replica and all other calls in it.
    fn fits_memory(&self, answered: &CallAnswer, memory: usize) -> Result<(), CallError> {
        let bytes = answered.reservation.as_ref().map_or(0, Reservation::bytes);
        if bytes <= memory {
            return Ok(());
        }
        let size = |bytes: usize| ByteSize::bytes(u64::try_from(bytes).unwrap_or(u64::MAX));
        let (from, to) = (&self.name.from, &self.name.to);
        let message = format_args!(
            "its answer of {} is more than the memory of its caller, which has {}: raise resources.memory of the chainlet {from}",
            size(bytes),
            size(memory)
        );
        let limit = format!("chainlets.{from}.resources.memory");
        Err(CallError::new(ErrorKind::AnswerTooLarge, to, message).limited_by(limit).through(&self.name))
    }

    /// Calls the dependency for `reader`, within the caller's deadline and the edge's own limits.
    async fn call(&self, params: Vec<Value>, mut context: CallContext, reader: ReadingGuest) -> Outcome {
        context.span = tracing::debug_span!(parent: &context.span, "edge", edge = %self.name);
        let (request, span) = (context.request.clone(), context.span.clone());
        let now = Instant::now();
        let timeout = self.timeout.map(|time| Deadline::after(now, time, TimeLimit::Edge(self.name.clone())));
        let times_out = timeout.as_ref().map(|timeout| timeout.at);
        let deadline = earlier(context.deadline.take().map(|deadline| deadline.sooner(now)), timeout);
        context.deadline.clone_from(&deadline);
        let pace =
            Pace { first: self.first_item.map(|time| (moment_after(now, time), time)), between: self.between_items };
        let first = self.first_item.map(|time| Deadline::after(now, time, TimeLimit::FirstItem(self.name.clone())));
        let outcome = self.service.clone().oneshot(EdgeCall { params, context, first, times_out }).await;
        match outcome {
            Ok(mut answered) => {
                let surroundings = Surroundings { deadline, pace, edge: Some(self.name.clone()), reader: Some(reader) };
                surroundings.surround(&mut answered, &self.name.to);
                if let Some(Value::Result(Err(_))) = &answered.value {
                    let came_here = answered.origin.take();
                    let mut origin =
                        came_here.unwrap_or_else(|| ErrorOrigin { chainlet: self.name.to.clone(), path: Vec::new() });
                    origin.path.insert(0, self.name.clone());
                    answered.origin = Some(origin);
                }
                Ok(answered)
            }
            Err(error) => {
                span.in_scope(|| {
                    let request = request.as_deref().map(display);
                    let edge = display(&self.name);
                    log_call_error!(debug, &error, "a call through an edge failed", request = request, edge = edge);
                });
                Err(error.through(&self.name))
            }
        }
    }
}

/// The callee at the end of an edge. It is always ready, because the callee itself decides which calls wait and which
/// it rejects.
#[derive(Clone)]
struct Target(Arc<dyn Callee>);

impl Service<EdgeCall> for Target {
    type Response = CallAnswer;
    type Error = CallError;
    type Future = BoxFuture<'static, Outcome>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, EdgeCall { params, context, .. }: EdgeCall) -> Self::Future {
        self.0.clone().call(params.into(), context)
    }
}
