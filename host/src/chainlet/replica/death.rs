//! How a replica ended, in words for its callers and its operator.

use tokio::task::JoinError;
use wasmtime::WasmBacktrace;
use wasmtime::component::ResourceTableError;

use super::{frames, traps};
use crate::chainlet::limits::HOST_RESOURCES;
use crate::chainlet::state::State;
use crate::config::ChainletName;
use crate::error::{CallError, ErrorKind};
use crate::guest_words::{BACKTRACE, SENTENCE, clip};

/// How a replica ended.
#[derive(Debug, Clone)]
pub(in crate::chainlet) struct Death {
    pub kind: ErrorKind,
    pub message: String,
    pub backtrace: Option<String>,
    /// The requests whose calls were in it, as the log names them.
    pub requests: Option<String>,
}

impl Death {
    /// An end that is no trap.
    pub(super) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Death { kind, message: message.into(), backtrace: None, requests: None }
    }

    /// What it means for a call of `chainlet` that was in the replica.
    pub(in crate::chainlet) fn error(&self, chainlet: &ChainletName) -> CallError {
        CallError::new(self.kind, chainlet, &self.message).with_backtrace(self.backtrace.clone())
    }

    /// The end of a replica that was stopped or replaced.
    pub(in crate::chainlet) fn stopped() -> Self {
        Death::new(ErrorKind::Stopping, "the replica was stopped before the call was done")
    }

    /// The end of a replica whose guest did not come back from a call that nobody waits for.
    pub(in crate::chainlet) fn stuck() -> Self {
        let message = "the guest did not return to its event loop while another call of it was over, and was ended";
        Death::new(ErrorKind::Trap, message)
    }

    /// The end of a replica whose task is gone without a word.
    pub(in crate::chainlet) fn of_task(error: &JoinError) -> Self {
        Death::new(ErrorKind::Internal, format!("the replica's task ended: {error}"))
    }

    /// The end by a trap, in words that name what the guest did.
    pub(super) fn of(error: &wasmtime::Error, state: &State, chainlet: &ChainletName) -> Self {
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
            return Death::new(ErrorKind::NotReady, message);
        } else if let Some(lack) = lack_of_memory(error) {
            return Death::new(ErrorKind::NotReady, lack);
        } else {
            let explained = state.parameters.explain(error, chainlet);
            format!("the guest trapped: {}", explained.unwrap_or_else(|| error.root_cause().to_string()))
        };
        let mut message = cause;
        if let Some(limit) = state.memory.refused() {
            message.push_str(&format!("; it had been refused memory beyond its limit of {limit} bytes"));
        }
        if let Some(words) = state.capabilities.output.last_words() {
            message.push_str(&format!("; its last words on stderr: {words}"));
        }
        let backtrace = backtrace.map(|backtrace| clip(frames::lines(backtrace), BACKTRACE));
        Death { kind: ErrorKind::Trap, message: clip(message, 4 * SENTENCE), backtrace, requests: state.requests() }
    }
}

/// What the machine lacks for another replica, where that is how it ended.
fn lack_of_memory(error: &wasmtime::Error) -> Option<String> {
    let cause = error.root_cause();
    let code = match cause.downcast_ref::<std::io::Error>() {
        Some(error) => error.raw_os_error(),
        None => cause.downcast_ref::<rustix::io::Errno>().map(|error| error.raw_os_error()),
    };
    (code == Some(rustix::io::Errno::NOMEM.raw_os_error())).then(|| {
        "the system gives the process no more memory or address space: see `ulimit -v`, and the limit of its control group"
            .to_owned()
    })
}
