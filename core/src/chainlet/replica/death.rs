//! The end of a replica, in words for its callers and its operator.

use tokio::task::JoinError;
use wasmtime::WasmBacktrace;
use wasmtime::component::ResourceTableError;

use super::{frames, traps};
use crate::capability::StandardOutput;
use crate::chainlet::limits::{HOST_RESOURCES, Limit};
use crate::chainlet::state::ReplicaState;
use crate::config::ChainletName;
use crate::error::{CallError, ErrorKind};
use crate::guest_words::{BACKTRACE, SENTENCE, clip};
use crate::machine;

/// The end of a replica, and its cause.
#[derive(Debug, Clone)]
pub(in crate::chainlet) struct Death {
    pub kind: ErrorKind,
    pub message: String,
    pub backtrace: Option<String>,
    /// The limit that was reached, if that is the cause.
    pub limit: Option<Limit>,
    /// The requests whose calls were in the replica, as the log names them.
    pub requests: Option<String>,
}

impl Death {
    /// Returns an end of which only the kind and a message are known.
    pub(super) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Death { kind, message: message.into(), backtrace: None, limit: None, requests: None }
    }

    /// Returns the failure of a call of `chainlet` that was in the replica.
    pub(in crate::chainlet) fn error(&self, chainlet: &ChainletName) -> CallError {
        self.as_failure(CallError::new(self.kind, chainlet, &self.message))
    }

    /// Adds the backtrace and the limit to `error`, which tells of this end.
    pub(in crate::chainlet) fn as_failure(&self, error: CallError) -> CallError {
        let error = error.with_backtrace(self.backtrace.clone());
        self.limit.into_iter().fold(error, |error, limit| limit.name_in(error))
    }

    /// Returns the end of a replica that was stopped or replaced.
    pub(in crate::chainlet) fn stopped() -> Self {
        Self::new(ErrorKind::Stopping, "the replica was stopped before the call was done")
    }

    /// Returns the end of a replica whose guest did not come back from a call that nobody waits for.
    pub(in crate::chainlet) fn stuck() -> Self {
        let message = "the guest did not return to its event loop while another call of it was over, and was ended";
        Death { limit: Some(Limit::Key("grace")), ..Self::new(ErrorKind::Trap, message) }
    }

    /// Returns the end of a replica whose task panicked or was aborted.
    pub(in crate::chainlet) fn of_task(error: &JoinError) -> Self {
        Self::new(ErrorKind::Internal, format!("the replica's task ended: {error}"))
    }

    /// Returns the end by `error`, in words that name what the guest did or what the host lacks.
    pub(super) fn of(error: &wasmtime::Error, state: &ReplicaState, chainlet: &ChainletName) -> Self {
        let mut limit = None;
        let backtrace = error.downcast_ref::<WasmBacktrace>();
        let cause = if let Some(ResourceTableError::Full) = error.downcast_ref() {
            format!(
                "the guest trapped: it holds {HOST_RESOURCES} open files, sockets, requests and timers, and wants another"
            )
        } else if let Some(exit) = error.downcast_ref::<wasmtime_wasi::I32Exit>() {
            format!("the guest exited with status {}", exit.0)
        } else if let Some(trap) = error.downcast_ref::<wasmtime::Trap>() {
            traps::sentence(*trap, &backtrace.map(frames::functions).unwrap_or_default())
        } else if error.is::<wasmtime::PoolConcurrencyLimitError>() {
            let message = "the host has as many replicas as it may: raise --max-replicas";
            let limit = Some(Limit::Option("--max-replicas"));
            return Death { limit, ..Self::new(ErrorKind::NotReady, message) };
        } else if let Some(lack) = lack(error) {
            return Self::new(ErrorKind::NotReady, lack);
        } else {
            let (explained, passed) = state.parameters.explain(error, chainlet).unzip();
            limit = passed;
            format!("the guest trapped: {}", explained.unwrap_or_else(|| error.root_cause().to_string()))
        };
        let mut message = cause;
        if let Some(bytes) = state.memory.refused() {
            message.push_str(&format!("; it had been refused memory beyond its limit of {bytes} bytes"));
            limit = limit.or(Some(Limit::Key("resources.memory")));
        }
        if let Some(words) = state.of::<StandardOutput>().last_words() {
            message.push_str(&format!("; its last words on stderr: {words}"));
        }
        let backtrace = backtrace.map(|backtrace| clip(frames::lines(backtrace), BACKTRACE));
        let requests = state.requests();
        Death { backtrace, limit, requests, ..Self::new(ErrorKind::Trap, clip(message, 4 * SENTENCE)) }
    }
}

/// Returns what the machine lacks for another replica, if that is the cause of `error`.
pub(super) fn lack(error: &wasmtime::Error) -> Option<String> {
    let cause = machine::system_error(error)?;
    let help = machine::remedy(&cause)?;
    Some(format!("the system does not give the process what a replica needs: {cause}; {help}"))
}
