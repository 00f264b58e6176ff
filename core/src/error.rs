//! The reasons why a call got no answer, in a form on which both a program and a person can act.

#[doc(hidden)]
pub mod declared;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use self::declared::{DeclaredError, DeclaredKind};
use crate::config::{ChainletName, DependencyName, KeyPath};

/// The kind of failure that ended a call. It decides what a caller should do, and over HTTP the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input does not fit the WIT type of the function that was called.
    InvalidInput,
    /// The values of the input take more bytes than the `resources.value_limit` of the called chainlet.
    TooLarge,
    /// The caller wanted the streams of an answer as one value, but they hold more bytes than the
    /// `resources.value_limit` of the called chainlet; item by item, they may be of any length. Or the answer is larger
    /// than the `resources.memory` of the chainlet that called.
    AnswerTooLarge,
    /// The chainlet answered with the error that its own signature declares.
    Chainlet,
    /// The chainlet has as many calls in flight and waiting as it may. Try again later.
    Overloaded,
    /// The chainlet has no replica that can serve, for example because its `init` fails. Or an edge's circuit breaker
    /// rejects calls.
    NotReady,
    /// The answer did not come in time.
    Deadline,
    /// The guest trapped: it panicked, exited, overran its stack, or broke the canonical ABI.
    Trap,
    /// The chain is stopping and takes no new calls.
    Stopping,
    /// The machine or service of a chainlet cannot be reached.
    Unreachable,
    /// Nobody wants the answer any more.
    Cancelled,
    /// A fault of the host itself.
    Internal,
}

impl ErrorKind {
    /// All kinds.
    pub const ALL: [ErrorKind; 12] = [
        ErrorKind::InvalidInput,
        ErrorKind::TooLarge,
        ErrorKind::AnswerTooLarge,
        ErrorKind::Chainlet,
        ErrorKind::Overloaded,
        ErrorKind::NotReady,
        ErrorKind::Deadline,
        ErrorKind::Trap,
        ErrorKind::Stopping,
        ErrorKind::Unreachable,
        ErrorKind::Cancelled,
        ErrorKind::Internal,
    ];

    /// Returns the time after which another attempt makes sense, for failures that pass by themselves.
    pub const fn retry_after(self) -> Option<Duration> {
        match self {
            ErrorKind::Overloaded | ErrorKind::Stopping => Some(Duration::from_secs(1)),
            ErrorKind::NotReady | ErrorKind::Unreachable => Some(Duration::from_secs(5)),
            _ => None,
        }
    }

    /// Returns its name in the log. If guests get failures of this kind, it is the name in `failure-kind` of
    /// `chainlet:host/call`.
    pub const fn name(self) -> &'static str {
        match self {
            ErrorKind::InvalidInput => "invalid-input",
            ErrorKind::TooLarge => "too-large",
            ErrorKind::AnswerTooLarge => "answer-too-large",
            ErrorKind::Chainlet => "chainlet-error",
            ErrorKind::Overloaded => "overloaded",
            ErrorKind::NotReady => "not-ready",
            ErrorKind::Deadline => "deadline",
            ErrorKind::Trap => "trap",
            ErrorKind::Stopping => "stopping",
            ErrorKind::Unreachable => "unreachable",
            ErrorKind::Cancelled => "cancelled",
            ErrorKind::Internal => "internal",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The chainlet in which a declared error began, and the way to it, as its caller sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[doc(hidden)]
pub struct ErrorOrigin {
    /// The chainlet in which the error began.
    pub chainlet: ChainletName,
    /// The edges to that chainlet, outermost first.
    pub path: Vec<Arc<EdgeName>>,
}

/// One chainlet's dependency on another, as the path of a failure names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeName {
    /// The chainlet that calls.
    pub from: ChainletName,
    /// The caller's name for the dependency.
    pub dependency: DependencyName,
    /// The chainlet that the dependency resolves to.
    pub to: ChainletName,
}

impl EdgeName {
    /// Returns the place of `key` of this edge in chain.toml, such as `chainlets.rank.depends.store.timeout`.
    pub(crate) fn key(&self, key: &str) -> String {
        let edge = ["chainlets", self.from.as_str(), "depends", self.dependency.as_str(), key];
        KeyPath::from(edge).to_string()
    }
}

impl fmt::Display for EdgeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} → {}", self.from, self.to)?;
        if self.dependency.as_str() != self.to.as_str() {
            write!(f, " (as {})", self.dependency)?;
        }
        Ok(())
    }
}

/// A call that got no answer.
#[derive(Debug, Clone)]
pub struct CallError(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    chainlet: ChainletName,
    path: Vec<Arc<EdgeName>>,
    pointer: Option<String>,
    guest_error: Option<Box<serde_json::value::RawValue>>,
    declared: Option<DeclaredError>,
    backtrace: Option<String>,
    limit: Option<Cow<'static, str>>,
    /// The time after which another attempt makes sense, if it is known better than from the kind.
    retry_after: Option<Duration>,
    /// True if the guest has begun the call, whatever the kind of the failure says.
    has_begun: bool,
    /// True if the machine or a limit of this process is at fault.
    is_of_the_machine: bool,
}

impl CallError {
    /// Makes a failure of `chainlet`, which the sentence `message` describes.
    #[doc(hidden)]
    pub fn new(kind: ErrorKind, chainlet: &ChainletName, message: impl fmt::Display) -> Self {
        CallError(Box::new(Inner {
            kind,
            message: message.to_string(),
            chainlet: chainlet.clone(),
            path: Vec::new(),
            pointer: None,
            guest_error: None,
            declared: None,
            backtrace: None,
            limit: None,
            retry_after: None,
            has_begun: false,
            is_of_the_machine: false,
        }))
    }

    /// Sets the place in the input that does not fit, as a JSON pointer (RFC 6901).
    #[doc(hidden)]
    pub fn at(mut self, pointer: String) -> Self {
        self.0.pointer = Some(pointer);
        self
    }

    /// Sets the chainlet's own error, as JSON.
    #[doc(hidden)]
    pub fn with_guest_error(mut self, error: Box<serde_json::value::RawValue>) -> Self {
        self.0.guest_error = Some(error);
        self
    }

    /// Sets the contents of the chainlet's own error, if it is of the standard type.
    #[doc(hidden)]
    pub fn with_declared(mut self, declared: DeclaredError) -> Self {
        self.0.message.clone_from(&declared.message);
        self.0.declared = Some(declared);
        self
    }

    /// Sets the chainlet in which the error began, and the path through which it came.
    pub(crate) fn began_in(mut self, origin: ErrorOrigin) -> Self {
        (self.0.chainlet, self.0.path) = (origin.chainlet, origin.path);
        self
    }

    /// Sets the guest's frames, innermost first.
    #[doc(hidden)]
    pub fn with_backtrace(mut self, backtrace: Option<String>) -> Self {
        self.0.backtrace = backtrace;
        self
    }

    /// Sets the limit that was reached, by the name under which its user sets it.
    #[doc(hidden)]
    pub fn limited_by(mut self, limit: impl Into<Cow<'static, str>>) -> Self {
        self.0.limit = Some(limit.into());
        self
    }

    /// Sets the limit that was reached: `key` of the chainlet that failed, in chain.toml.
    #[doc(hidden)]
    pub fn limited_by_key(self, key: &str) -> Self {
        let limit = format!("chainlets.{}.{key}", self.0.chainlet);
        self.limited_by(limit)
    }

    /// Sets the time after which another attempt makes sense.
    #[doc(hidden)]
    pub fn with_retry_after(mut self, time: Duration) -> Self {
        self.0.retry_after = Some(time);
        self
    }

    /// Notes that the guest has begun the call, although failures of this kind usually reject a call before that.
    #[doc(hidden)]
    pub fn after_the_call_began(mut self) -> Self {
        self.0.has_begun = true;
        self
    }

    /// Notes that the machine does not give the process what the chainlet needs, or that a limit does not let it have
    /// more.
    pub(crate) fn of_the_machine(mut self) -> Self {
        self.0.is_of_the_machine = true;
        self
    }

    /// Adds `edge` to the front of the path, because the failure reaches the caller of that edge.
    #[doc(hidden)]
    pub fn through(mut self, edge: &Arc<EdgeName>) -> Self {
        self.0.path.insert(0, edge.clone());
        self
    }

    /// Returns true if the called chainlet is known not to have begun the call, because it rejected the call before its
    /// guest saw it. The caller is `edges` edges away from it. A failure that came through further edges shows that the
    /// guest was at work.
    pub(crate) fn has_not_begun(&self, edges: usize) -> bool {
        let refused = matches!(self.kind(), ErrorKind::Overloaded | ErrorKind::NotReady | ErrorKind::Unreachable);
        refused && !self.0.has_begun && self.0.path.len() <= edges
    }

    /// Returns what happened, for readers outside of the host. Leaves out the words of a guest, which may hold
    /// anything, such as data of other requests, file names or secrets.
    #[doc(hidden)]
    pub fn public_message(&self) -> String {
        let what = match self.kind() {
            ErrorKind::Trap => "trapped",
            ErrorKind::NotReady => "cannot serve now",
            ErrorKind::Internal => "could not be served, by a fault of the host",
            _ => return self.0.message.clone(),
        };
        format!("the chainlet `{}` {what}", self.0.chainlet)
    }

    /// Returns true if a chainlet does not start because of the machine or a limit of this process. The same chain
    /// starts on another machine, or with another limit.
    pub fn is_of_the_machine(&self) -> bool {
        self.0.is_of_the_machine
    }

    /// Returns the kind of the failure.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns what happened, in one sentence.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the chainlet that failed: the root cause.
    pub fn chainlet(&self) -> &ChainletName {
        &self.0.chainlet
    }

    /// Returns the edges between the called chainlet and the one that failed, outermost first.
    pub fn path(&self) -> impl ExactSizeIterator<Item = &EdgeName> {
        self.0.path.iter().map(|edge| &**edge)
    }

    /// Returns the path in one text, `a → b, b → c`; `None` if the called chainlet itself failed.
    #[doc(hidden)]
    pub fn path_text(&self) -> Option<String> {
        let edges: Vec<_> = self.0.path.iter().map(ToString::to_string).collect();
        (!edges.is_empty()).then(|| edges.join(", "))
    }

    /// Returns the limit that was reached, by the name under which its user sets it: a key of chain.toml, such as
    /// `chainlets.index.queue`; an option of `chainhost serve`, such as `--memory-limit`; the header
    /// `x-request-timeout`; or `timeout` for [`CallOptions::timeout`](crate::chain::CallOptions::timeout). Returns
    /// `None` if the failure has another cause.
    pub fn limit(&self) -> Option<&str> {
        self.0.limit.as_deref()
    }

    /// Returns the time after which another attempt makes sense, for failures that pass by themselves.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after.or_else(|| self.kind().retry_after())
    }

    /// Returns the place in the input that does not fit, as a JSON pointer (RFC 6901), for [`ErrorKind::InvalidInput`]
    /// and [`ErrorKind::TooLarge`].
    pub fn pointer(&self) -> Option<&str> {
        self.0.pointer.as_deref()
    }

    /// Returns the error that the chainlet's signature declares, as JSON, for [`ErrorKind::Chainlet`].
    pub fn guest_error(&self) -> Option<&serde_json::value::RawValue> {
        self.0.guest_error.as_deref()
    }

    /// Returns the contents of the chainlet's error, for [`ErrorKind::Chainlet`], if it is of the standard type
    /// `chainlet:host/errors.error`.
    pub fn declared(&self) -> Option<&DeclaredError> {
        self.0.declared.as_ref()
    }

    /// Returns the guest's frames at a trap, innermost first, if the component has them.
    pub fn backtrace(&self) -> Option<&str> {
        self.0.backtrace.as_deref()
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "chainlet {}", self.0.chainlet)?;
        if !self.0.path.is_empty() {
            f.write_str(", called through ")?;
            for (index, edge) in self.0.path.iter().enumerate() {
                write!(f, "{}{edge}", if index > 0 { ", " } else { "" })?;
            }
        }
        write!(f, ": {}", self.0.message)?;
        if let Some(pointer) = self.0.pointer.as_deref().filter(|pointer| !pointer.is_empty()) {
            write!(f, " (at {pointer})")?;
        }
        Ok(())
    }
}

impl std::error::Error for CallError {}
