//! The circuit breaker of an edge: after many failures in a row, it rejects calls for a while, and then lets one call
//! through as a probe.
//!
//! The pattern with its three states is M. Nygard's (Release It!, 2007).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::Instant;
use tower::{Layer, Service};

use super::EdgeCall;
use crate::chainlet::call::{CallAnswer, Outcome};
use crate::config::{self, DependencySpec};
use crate::deadline::moment_after;
use crate::error::{CallError, EdgeName, ErrorKind};
use crate::log_fields::millis;

/// The layer that puts a breaker before a service.
pub(super) struct BreakerLayer(Option<Arc<Shared>>);

struct Shared {
    edge: Arc<EdgeName>,
    settings: config::BreakerPolicy,
    circuit: Mutex<Circuit>,
}

impl BreakerLayer {
    pub(super) fn new(edge: Arc<EdgeName>, policy: &DependencySpec) -> Self {
        BreakerLayer(policy.breaker.map(|settings| {
            let circuit = Mutex::new(Circuit::new(settings));
            Arc::new(Shared { edge, settings, circuit })
        }))
    }
}

impl<S> Layer<S> for BreakerLayer {
    type Service = Breaker<S>;

    fn layer(&self, inner: S) -> Breaker<S> {
        Breaker { shared: self.0.clone(), inner }
    }
}

#[derive(Clone)]
pub(super) struct Breaker<S> {
    shared: Option<Arc<Shared>>,
    inner: S,
}

impl<S> Service<EdgeCall> for Breaker<S>
where
    S: Service<EdgeCall, Response = CallAnswer, Error = CallError>,
    S::Future: Send + 'static,
{
    type Response = CallAnswer;
    type Error = CallError;
    type Future = BoxFuture<'static, Outcome>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: EdgeCall) -> Self::Future {
        let Some(shared) = &self.shared else { return Box::pin(self.inner.call(call)) };
        let now = Instant::now();
        match shared.circuit().admit(now) {
            Ok(admission) => {
                let admitted =
                    Admitted { shared: shared.clone(), admission, times_out: call.times_out, decided: false };
                let answer = self.inner.call(call);
                Box::pin(async move {
                    let answer = answer.await;
                    admitted.decide(&answer);
                    answer
                })
            }
            Err(left) => {
                let error = shared.refusal(left);
                Box::pin(async move { Err(error) })
            }
        }
    }
}

impl Shared {
    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refusal(&self, left: Duration) -> CallError {
        let config::BreakerPolicy { failures, pause } = self.settings;
        let (key, pause) = (self.edge.key("breaker"), humantime::format_duration(pause));
        let message = format_args!(
            "its last {failures} calls or more through this edge failed, so the edge's breaker refuses calls, for \
             another {:.1} s: {key}.pause in chain.toml is {pause}",
            left.as_secs_f64()
        );
        CallError::new(ErrorKind::NotReady, &self.edge.to, message).limited_by(key.clone()).with_retry_after(left)
    }

    fn tell(&self, change: Option<Change>) {
        let Self { edge, settings: config::BreakerPolicy { failures, pause }, .. } = self;
        match change {
            Some(Change::Opened) => tracing::warn!(%edge, chainlet = %edge.to, limit = %edge.key("breaker"), failures,
                pause_ms = millis(*pause), "the breaker of an edge opens: calls through it are refused for a while"),
            Some(Change::Closed) => {
                tracing::info!(%edge, chainlet = %edge.to, "the breaker of an edge closes: calls go through again")
            }
            None => {}
        }
    }
}

/// A call that the breaker let through, and whose outcome it will count.
struct Admitted {
    shared: Arc<Shared>,
    admission: Admission,
    /// The time at which the edge's own timeout ends the call. A call that is dropped after that counts as failed. A
    /// call that its caller drops earlier counts as nothing; otherwise a client with tiny deadlines could block an edge
    /// for all others.
    times_out: Option<Instant>,
    decided: bool,
}

impl Admitted {
    fn decide(mut self, answer: &Outcome) {
        self.decided = true;
        let now = Instant::now();
        let change = match answer {
            Ok(_) => self.shared.circuit().succeeded(self.admission),
            Err(error) if is_a_failure_of(&self.shared.edge, error) => {
                self.shared.circuit().failed(self.admission, now)
            }
            Err(_) => self.shared.circuit().undecided(self.admission, now),
        };
        self.shared.tell(change);
    }
}

/// A call that was dropped before it had an outcome.
impl Drop for Admitted {
    fn drop(&mut self) {
        if self.decided {
            return;
        }
        let now = Instant::now();
        let timed_out = self.times_out.is_some_and(|end| now >= end);
        let change = match timed_out {
            true => self.shared.circuit().failed(self.admission, now),
            false => self.shared.circuit().undecided(self.admission, now),
        };
        self.shared.tell(change);
    }
}

/// Returns true if `error` is a fault of the chainlet at the end of `edge`. Errors of the input, of the chainlet's own
/// dependencies, and of too many callers are not. An overloaded chainlet rejects calls quickly enough itself, and a
/// breaker would reject all of them instead of some.
fn is_a_failure_of(edge: &EdgeName, error: &CallError) -> bool {
    *error.chainlet() == edge.to && matches!(error.kind(), ErrorKind::Trap | ErrorKind::NotReady | ErrorKind::Internal)
}

/// The reason for which the breaker let a call through.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Admission {
    /// The circuit was closed.
    Ordinary,
    /// A single call tries whether the chainlet works again.
    Probe,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Change {
    Opened,
    Closed,
}

/// The state machine.
#[derive(Debug)]
struct Circuit {
    settings: config::BreakerPolicy,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    /// Calls go through. `failures` calls in a row have failed.
    Closed { failures: u32 },
    /// Calls are rejected.
    Open { until: Instant },
    /// The breaker let one call through, whose outcome decides. It rejects others, but lets another one through if the
    /// first takes longer than the pause.
    HalfOpen { until: Instant },
}

impl Circuit {
    fn new(settings: config::BreakerPolicy) -> Self {
        Circuit { settings, state: State::Closed { failures: 0 } }
    }

    /// Lets a call through. If the circuit is open, returns the time for which calls are still rejected.
    fn admit(&mut self, now: Instant) -> Result<Admission, Duration> {
        match self.state {
            State::Closed { .. } => Ok(Admission::Ordinary),
            State::Open { until } if now < until => Err(until - now),
            State::HalfOpen { until } if now < until => Err(until - now),
            State::Open { .. } | State::HalfOpen { .. } => {
                self.state = State::HalfOpen { until: moment_after(now, self.settings.pause) };
                Ok(Admission::Probe)
            }
        }
    }

    fn succeeded(&mut self, admission: Admission) -> Option<Change> {
        match (self.state, admission) {
            (State::HalfOpen { .. }, Admission::Probe) => {
                self.state = State::Closed { failures: 0 };
                Some(Change::Closed)
            }
            (State::Closed { .. }, _) => {
                self.state = State::Closed { failures: 0 };
                None
            }
            // The call began before the circuit opened.
            _ => None,
        }
    }

    fn failed(&mut self, admission: Admission, now: Instant) -> Option<Change> {
        let open = State::Open { until: moment_after(now, self.settings.pause) };
        match (self.state, admission) {
            (State::HalfOpen { .. }, Admission::Probe) => {
                self.state = open;
                None
            }
            (State::Closed { failures }, _) => {
                let failures = failures.saturating_add(1);
                let opens = failures >= self.settings.failures;
                self.state = if opens { open } else { State::Closed { failures } };
                opens.then_some(Change::Opened)
            }
            _ => None,
        }
    }

    /// The call counts as nothing. If it was the probe, the next call is the probe.
    fn undecided(&mut self, admission: Admission, now: Instant) -> Option<Change> {
        if let (State::HalfOpen { .. }, Admission::Probe) = (self.state, admission) {
            self.state = State::Open { until: now };
        }
        None
    }
}

#[cfg(test)]
mod tests;
