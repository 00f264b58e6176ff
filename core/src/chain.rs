//! Chains: chainlets that call each other. The outside calls one of them, the entrypoint.
//!
//! A [`Plan`] lists the chainlets and the edges between them; `chainhost check` needs no more. A [`Chain`] is a running
//! plan.

#[doc(hidden)]
pub mod answer;
pub(crate) mod deadline;
pub(crate) mod edge;
mod handle;
mod link;
mod load;
mod plan;
mod progress;
mod streaming;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use indexmap::IndexMap;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tracing::Span;

use self::answer::{Answer, own_error};
use self::deadline::within;
pub use self::handle::ChainletHandle;
pub(crate) use self::load::{plan, start};
pub use self::plan::{Plan, PlannedEdge};
pub use self::progress::StartProgress;
pub use self::streaming::Streaming;
use crate::capability::Measure;
use crate::chainlet::call::{CallAnswer, CallContext};
use crate::chainlet::callee::Callee;
use crate::chainlet::params::Params;
use crate::chainlet::streams::Surroundings;
use crate::chainlet::{Chainlet, Status};
use crate::config::{ChainletName, ConfigErrors};
use crate::deadline::{Deadline, TimeLimit, earlier, moment_after};
use crate::error::{CallError, EdgeName};
use crate::machine::MachineError;
use crate::memory::MemoryBudget;
use crate::trace::TraceContext;
use crate::value::format::Format;
use crate::value::{Signature, Type, Value};

/// The reason why a chain does not load.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// chain.toml, or a component that it names, is not valid.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// A chainlet does not start.
    #[error("the chain does not start: {0}")]
    Start(CallError),
    /// The machine, or a limit of this process, does not let the chain run, whatever is in it.
    #[error(transparent)]
    Machine(#[from] MachineError),
}

/// A running chain. Clones are handles of the same chain.
#[derive(Clone)]
pub struct Chain(Arc<Inner>);

struct Inner {
    name: String,
    entrypoint: Arc<Chainlet>,
    /// Ordered so that every chainlet comes after those that it calls.
    chainlets: IndexMap<ChainletName, Arc<Chainlet>>,
    edges: Vec<EdgeName>,
    /// The memory budget of the host.
    memory: MemoryBudget,
}

/// Options of one call.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct CallOptions {
    /// The longest time to wait for the answer. By default, there is no limit.
    pub timeout: Option<Duration>,
    /// The name of the request in logs.
    pub request_id: Option<Arc<str>>,
    /// The trace to which the request belongs. Requests that guests make for it carry the trace on.
    pub trace_context: Option<TraceContext>,
    /// The latest end of the call, if more is known about it than the timeout.
    #[doc(hidden)]
    pub deadline: Option<Deadline>,
    /// The span around the call; by default the current one.
    #[doc(hidden)]
    pub span: Option<Span>,
}

impl CallOptions {
    /// Limits the time to wait for the answer.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Names the request in logs.
    #[must_use]
    pub fn request_id(mut self, id: impl Into<Arc<str>>) -> Self {
        self.request_id = Some(id.into());
        self
    }

    /// Makes the call a part of a trace.
    #[must_use]
    pub fn trace_context(mut self, trace: TraceContext) -> Self {
        self.trace_context = Some(trace);
        self
    }
}

/// The formats of one call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Formats {
    /// The format of the parameters.
    pub input: Format,
    /// The format of the answer.
    pub answer: Format,
}

impl Chain {
    /// Returns the chain's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the name of the chainlet that [`Chain::call`] calls.
    pub fn entrypoint(&self) -> &ChainletName {
        self.0.entrypoint.name()
    }

    /// Returns the chainlets and their current state, each after those that it calls.
    pub fn status(&self) -> impl Iterator<Item = (&ChainletName, Status)> {
        self.0.chainlets.iter().map(|(name, chainlet)| (name, chainlet.status()))
    }

    /// Returns the declared errors with which chainlets answered: the chainlet's name, the kind of error, and the
    /// count.
    #[doc(hidden)]
    pub fn errors(&self) -> impl Iterator<Item = (&ChainletName, &'static str, u64)> {
        self.0
            .chainlets
            .iter()
            .flat_map(|(name, chainlet)| chainlet.errors().map(move |(kind, count)| (name, kind, count)))
    }

    /// Returns the current values of the metrics of the chainlets' capabilities, by chainlet and capability.
    #[doc(hidden)]
    pub fn measures(&self) -> impl Iterator<Item = (&ChainletName, &'static str, Measure)> {
        let chainlets = self.0.chainlets.iter();
        chainlets.flat_map(|(name, chainlet)| chainlet.measures().map(move |(of, measure)| (name, of, measure)))
    }

    /// Returns true if every chainlet has a replica that takes calls, or would start one for the next call.
    pub fn is_ready(&self) -> bool {
        self.0.chainlets.values().all(|chainlet| chainlet.status().is_ready())
    }

    /// Returns the edges: which chainlet calls which.
    pub fn edges(&self) -> impl Iterator<Item = &EdgeName> {
        self.0.edges.iter()
    }

    /// Returns a handle to call the chainlet `name`; `None` if the chain has no chainlet of this name.
    ///
    /// ```no_run
    /// # use chainhost_core as chainhost;
    /// # use chainhost::{CallError, CallOptions, Chain};
    /// # async fn example(chain: Chain) -> Result<(), CallError> {
    /// if let Some(say_hello) = chain.chainlet("say-hello") {
    ///     let args = serde_json::json!({ "name": "Ada" });
    ///     let greeting: String = say_hello.call(&args, CallOptions::default()).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn chainlet(&self, name: &str) -> Option<ChainletHandle> {
        self.0.chainlets.get(name).cloned().map(ChainletHandle)
    }

    fn entrypoint_handle(&self) -> ChainletHandle {
        ChainletHandle(self.0.entrypoint.clone())
    }

    /// Returns the type of the `run-remote` of `chainlet`; `None` if the chain has no chainlet of this name.
    pub fn signature(&self, chainlet: &str) -> Option<&Arc<Signature>> {
        self.0.chainlets.get(chainlet).map(|chainlet| chainlet.signature())
    }

    /// Calls the entrypoint with Rust values.
    ///
    /// `args` is a struct or a map with a field for each parameter, and the answer is read as an `R`. Both follow the
    /// rules of the JSON mapping: a WIT `list<u8>` is a base64 string, and any other list is a sequence.
    ///
    /// # Errors
    ///
    /// Fails if `args` do not fit the parameters, the call fails, or the answer is not an `R`. The chainlet's own typed
    /// error is an error, too: see [`CallError::guest_error`].
    pub async fn call<R: DeserializeOwned>(&self, args: &impl Serialize, options: CallOptions) -> Result<R, CallError> {
        self.entrypoint_handle().call(args, options).await
    }

    /// Calls the entrypoint with Rust values, and returns the items of its answer as they are made. The answer must be
    /// a stream, or have one beside other members. Each item is read as an `R`. The timeout in `options` covers the
    /// whole stream.
    ///
    /// ```no_run
    /// # use chainhost_core as chainhost;
    /// # use chainhost::chain::{CallOptions, Chain};
    /// use futures::StreamExt;
    ///
    /// # async fn example(chain: Chain) -> Result<(), chainhost::error::CallError> {
    /// // For a `run-remote: async func(prompt: string) -> stream<string>`:
    /// let args = serde_json::json!({ "prompt": "Call me" });
    /// let mut tokens = chain.stream::<String>(&args, CallOptions::default()).await?;
    /// while let Some(token) = tokens.next().await {
    ///     print!("{}", token?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Fails like [`Chain::call`], and if the answer is not a stream.
    pub async fn stream<R: DeserializeOwned + Unpin>(
        &self,
        args: &impl Serialize,
        options: CallOptions,
    ) -> Result<Streaming<R>, CallError> {
        self.entrypoint_handle().stream(args, options).await
    }

    /// Calls the entrypoint with a JSON object keyed by parameter name. The answer is bare JSON.
    ///
    /// # Errors
    ///
    /// Fails if `body` does not fit the parameters, or the call fails. The chainlet's own typed error is an error, too:
    /// see [`CallError::guest_error`].
    pub async fn call_json(&self, body: &[u8], options: CallOptions) -> Result<Vec<u8>, CallError> {
        self.entrypoint_handle().call_json(body, options).await
    }

    /// Calls the entrypoint with parameters in one format, and returns its answer in the same or another one.
    ///
    /// ```no_run
    /// # use chainhost_core as chainhost;
    /// # use bytes::Bytes;
    /// # use chainhost::chain::{CallOptions, Chain, Formats};
    /// # use chainhost::value::format::Format;
    /// # async fn example(chain: Chain, image: Bytes) -> Result<(), chainhost::error::CallError> {
    /// // For a `run-remote: async func(image: list<u8>) -> result<list<u8>, string>`:
    /// let formats = Formats { input: Format::Bytes, answer: Format::Bytes };
    /// let thumbnail: Bytes = chain.call_bytes(&image, formats, CallOptions::default()).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Fails like [`Chain::call_json`], and if the parameters or the answer cannot be written in that format.
    pub async fn call_bytes(&self, input: &Bytes, formats: Formats, options: CallOptions) -> Result<Bytes, CallError> {
        self.entrypoint_handle().call_bytes(input, formats, options).await
    }

    /// Returns the memory budget of the host.
    #[doc(hidden)]
    pub fn memory(&self) -> &MemoryBudget {
        &self.0.memory
    }

    /// Stops the chain: rejects new calls, serves the accepted calls for at most `limit`, then ends every replica.
    pub async fn stop(&self, limit: Duration) {
        let deadline = moment_after(Instant::now(), limit);
        // Stops callers before their callees, so that calls in flight can still be served.
        for chainlet in self.0.chainlets.values().rev() {
            chainlet.stop(deadline.saturating_duration_since(Instant::now())).await;
        }
    }

    /// Returns the chainlet `name`; the entrypoint if `name` is `None`.
    #[doc(hidden)]
    pub fn callee(&self, name: Option<&str>) -> Option<&Arc<Chainlet>> {
        match name {
            Some(name) => self.0.chainlets.get(name),
            None => Some(&self.0.entrypoint),
        }
    }
}

/// Calls `run-remote` and splits its result: the `T` is the answer, the `E` is an error.
#[doc(hidden)]
pub async fn answer(
    chainlet: &Arc<Chainlet>,
    params: impl Into<Params>,
    options: CallOptions,
) -> Result<Answer, CallError> {
    let timeout = options.timeout.map(|time| Deadline::after(Instant::now(), time, TimeLimit::Options));
    let deadline = earlier(options.deadline, timeout);
    let context = CallContext {
        request: options.request_id,
        deadline: deadline.clone(),
        trace: options.trace_context.map(Arc::new),
        span: options.span.unwrap_or_else(Span::current),
    };
    let errors = chainlet.has_streams().then(|| (chainlet.error_counts().clone(), context.clone()));
    let mut answered = within(chainlet.name(), deadline.clone(), chainlet.clone().call(params.into(), context)).await?;
    Surroundings { deadline, ..Surroundings::default() }.surround(&mut answered, chainlet.name());
    let CallAnswer { value, origin, reservation, .. } = answered;
    let value = match (&chainlet.signature().result, value) {
        (Some(Type::Result { ok, .. }), Some(Value::Result(Ok(value)))) => ok.clone().zip(value.map(|value| *value)),
        (Some(Type::Result { err, .. }), Some(Value::Result(Err(value)))) => {
            let value = match (err, value) {
                (Some(ty), Some(value)) => {
                    let error = Answer::new(chainlet, Some((ty.clone(), *value)), reservation, errors);
                    error.whole().await?.0.map(|(_, value)| value)
                }
                _ => None,
            };
            let error = own_error(chainlet.name(), err.as_deref(), value.as_ref());
            return Err(match origin {
                Some(origin) => error.began_in(origin),
                None => error,
            });
        }
        (ty, value) => ty.clone().map(Arc::new).zip(value),
    };
    Ok(Answer::new(chainlet, value, reservation, errors))
}
