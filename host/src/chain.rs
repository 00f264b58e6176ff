//! Chains: chainlets that call each other. The outside calls one of them, the entrypoint.
//!
//! A [`Plan`] lists the chainlets and the edges between them; `chainhost check` needs no more. A [`Chain`] is a running
//! plan.

pub(crate) mod answer;
pub(crate) mod deadline;
pub(crate) mod edge;
mod gpu;
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

use self::answer::{Answer, own_error};
use self::deadline::within;
pub(crate) use self::load::{plan, start};
pub use self::plan::{Edge, Plan};
pub use self::progress::StartProgress;
pub use self::streaming::Streaming;
use crate::chainlet::call::{Answered, CallContext};
use crate::chainlet::callee::Callee;
use crate::chainlet::params::Params;
pub(crate) use crate::chainlet::params::invalid;
use crate::chainlet::streams::Surroundings;
use crate::chainlet::{Chainlet, Status};
use crate::config::{ChainletName, ConfigErrors};
use crate::deadline::{Deadline, TimeLimit, earlier};
use crate::error::{CallError, EdgeName, ErrorKind};
use crate::gpu::Meter;
use crate::machine::MachineError;
use crate::memory::MemoryBudget;
use crate::trace::TraceContext;
use crate::value::format::Format;
use crate::value::rust::{self, RustError};
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
    Start(#[source] CallError),
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
    pub(crate) deadline: Option<Deadline>,
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
    pub(crate) fn errors(&self) -> impl Iterator<Item = (&ChainletName, &'static str, u64)> {
        self.0
            .chainlets
            .iter()
            .flat_map(|(name, chainlet)| chainlet.errors().map(move |(kind, count)| (name, kind, count)))
    }

    /// Returns the GPU meters of the chainlets that have a GPU.
    pub(crate) fn gpus(&self) -> impl Iterator<Item = (&ChainletName, &Meter)> {
        self.0.chainlets.iter().filter_map(|(name, chainlet)| Some((name, chainlet.gpu()?)))
    }

    /// Returns true if every chainlet has a replica that takes calls, or would start one for the next call.
    pub fn is_ready(&self) -> bool {
        self.0.chainlets.values().all(|chainlet| chainlet.status().is_ready())
    }

    /// Returns the edges: which chainlet calls which.
    pub fn edges(&self) -> impl Iterator<Item = &EdgeName> {
        self.0.edges.iter()
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
        let chainlet = &self.0.entrypoint;
        let params = arguments(chainlet, args)?;
        let answer = match answer(chainlet, params, options).await?.whole().await?.0 {
            Some((ty, value)) => rust::from_value(&ty, &value).map_err(|error| error.to_string()),
            None => serde_json::from_str("null").map_err(|_| "the chainlet returns nothing".to_string()),
        };
        answer.map_err(|error| {
            CallError::new(ErrorKind::Internal, chainlet.name(), format_args!("the answer does not fit: {error}"))
        })
    }

    /// Calls the entrypoint with Rust values, and returns the items of its answer as they are made. The answer must be
    /// a stream, or have one beside other members. Each item is read as an `R`. The timeout in `options` covers the
    /// whole stream.
    ///
    /// ```no_run
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
        let chainlet = &self.0.entrypoint;
        let params = arguments(chainlet, args)?;
        let answer = answer(chainlet, params, options).await?;
        answer.streamed().map(Streaming::new).map_err(|_| {
            CallError::new(ErrorKind::InvalidInput, chainlet.name(), "its answer is no stream: use `Chain::call`")
        })
    }

    /// Calls the entrypoint with a JSON object keyed by parameter name. The answer is bare JSON.
    ///
    /// # Errors
    ///
    /// Fails if `body` does not fit the parameters, or the call fails. The chainlet's own typed error is an error, too:
    /// see [`CallError::guest_error`].
    pub async fn call_json(&self, body: &[u8], options: CallOptions) -> Result<Vec<u8>, CallError> {
        self.call_json_of(&self.0.entrypoint, body, options).await
    }

    /// Like [`Chain::call_json`], for any chainlet of the chain. Returns `None` if the chain has no chainlet of this
    /// name.
    ///
    /// # Errors
    ///
    /// Fails like [`Chain::call_json`].
    pub async fn call_chainlet_json(
        &self,
        chainlet: &str,
        body: &[u8],
        options: CallOptions,
    ) -> Option<Result<Vec<u8>, CallError>> {
        let chainlet = self.0.chainlets.get(chainlet)?;
        Some(self.call_json_of(chainlet, body, options).await)
    }

    /// Calls the entrypoint with parameters in one format, and returns its answer in the same or another one.
    ///
    /// ```no_run
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
        self.call_bytes_of(&self.0.entrypoint, input, formats, options).await
    }

    /// Like [`Chain::call_bytes`], for any chainlet of the chain. Returns `None` if the chain has no chainlet of this
    /// name.
    ///
    /// # Errors
    ///
    /// Fails like [`Chain::call_bytes`].
    pub async fn call_chainlet_bytes(
        &self,
        chainlet: &str,
        input: &Bytes,
        formats: Formats,
        options: CallOptions,
    ) -> Option<Result<Bytes, CallError>> {
        let chainlet = self.0.chainlets.get(chainlet)?;
        Some(self.call_bytes_of(chainlet, input, formats, options).await)
    }

    /// Returns the memory budget of the host.
    pub(crate) fn memory(&self) -> &MemoryBudget {
        &self.0.memory
    }

    /// Stops the chain: rejects new calls, serves the accepted calls for at most `limit`, then ends every replica.
    pub async fn stop(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        // Stops callers before their callees, so that calls in flight can still be served.
        for chainlet in self.0.chainlets.values().rev() {
            chainlet.stop(deadline.saturating_duration_since(Instant::now())).await;
        }
    }

    async fn call_json_of(
        &self,
        chainlet: &Arc<Chainlet>,
        body: &[u8],
        options: CallOptions,
    ) -> Result<Vec<u8>, CallError> {
        let formats = Formats::default();
        let text = self.call_bytes_of(chainlet, &Bytes::copy_from_slice(body), formats, options).await?;
        Ok(text.into())
    }

    async fn call_bytes_of(
        &self,
        chainlet: &Arc<Chainlet>,
        input: &Bytes,
        formats: Formats,
        options: CallOptions,
    ) -> Result<Bytes, CallError> {
        if !formats.answer.fits_answer(chainlet.signature().result.as_ref()) {
            let message = format_args!("its answer cannot be {}", formats.answer.media_type());
            return Err(CallError::new(ErrorKind::InvalidInput, chainlet.name(), message));
        }
        let params = Params::Encoded { format: formats.input, bytes: input.clone() };
        let (written, _) = answer(chainlet, params, options).await?.written(formats.answer).await?;
        Ok(written)
    }

    /// Returns the chainlet `name`; the entrypoint if `name` is `None`.
    pub(crate) fn chainlet(&self, name: Option<&str>) -> Option<&Arc<Chainlet>> {
        match name {
            Some(name) => self.0.chainlets.get(name),
            None => Some(&self.0.entrypoint),
        }
    }
}

fn arguments(chainlet: &Chainlet, args: &impl Serialize) -> Result<Vec<Value>, CallError> {
    rust::to_values(&chainlet.signature().params, args).map_err(|error| match error {
        RustError::Arguments(error) => invalid(chainlet, error),
        error => CallError::new(ErrorKind::InvalidInput, chainlet.name(), error),
    })
}

/// Calls `run-remote` and splits its result: the `T` is the answer, the `E` is an error.
pub(crate) async fn answer(
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
        span: tracing::Span::current(),
    };
    let errors = chainlet.has_streams().then(|| (chainlet.error_counts().clone(), context.clone()));
    let mut answered = within(chainlet.name(), deadline.clone(), chainlet.clone().call(params.into(), context)).await?;
    Surroundings { deadline, ..Surroundings::default() }.surround(&mut answered, chainlet.name());
    let Answered { value, origin, reservation, .. } = answered;
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
