//! How a replica ended, in words for its callers and its operator.

use tokio::task::JoinError;
use wasmtime::WasmBacktrace;
use wasmtime::component::ResourceTableError;

use crate::chainlet::limits::HOST_RESOURCES;
use crate::chainlet::state::State;
use crate::config::ChainletName;
use crate::error::{CallError, ErrorKind};
use crate::guest_words::{BACKTRACE, SENTENCE, clip};
use crate::machine;

/// How a replica ended.
#[derive(Debug, Clone)]
pub(in crate::chainlet) struct Death {
    pub kind: ErrorKind,
    pub message: String,
    pub backtrace: Option<String>,
}

impl Death {
    /// What it means for a call of `chainlet` that was in the replica.
    pub(in crate::chainlet) fn error(&self, chainlet: &ChainletName) -> CallError {
        CallError::new(self.kind, chainlet, &self.message).with_backtrace(self.backtrace.clone())
    }

    /// The end of a replica that was stopped or replaced.
    pub(in crate::chainlet) fn stopped() -> Self {
        Death {
            kind: ErrorKind::Stopping,
            message: "the replica was stopped before the call was done".into(),
            backtrace: None,
        }
    }

    /// The end of a replica whose guest did not come back from a call that nobody waits for.
    pub(in crate::chainlet) fn stuck() -> Self {
        Death {
            kind: ErrorKind::Trap,
            message: "the guest did not return to its event loop while another call of it was over, and was ended"
                .into(),
            backtrace: None,
        }
    }

    /// The end of a replica whose task is gone without a word.
    pub(in crate::chainlet) fn of_task(error: &JoinError) -> Self {
        Death { kind: ErrorKind::Internal, message: format!("the replica's task ended: {error}"), backtrace: None }
    }

    /// The end by a trap, in words that name what the guest did.
    pub(super) fn of(error: &wasmtime::Error, state: &State, chainlet: &ChainletName) -> Self {
        let cause = if let Some(ResourceTableError::Full) = error.downcast_ref() {
            format!(
                "the guest trapped: it holds {HOST_RESOURCES} open files, sockets, requests and timers, and wants another"
            )
        } else if let Some(exit) = error.downcast_ref::<wasmtime_wasi::I32Exit>() {
            format!("the guest exited with status {}", exit.0)
        } else if let Some(trap) = error.downcast_ref::<wasmtime::Trap>() {
            let trap = trap.to_string();
            format!("the guest trapped: {}", trap.strip_prefix("wasm trap: ").unwrap_or(&trap))
        } else if error.is::<wasmtime::PoolConcurrencyLimitError>() {
            return Death {
                kind: ErrorKind::NotReady,
                message: "the host has as many replicas as it may: raise --max-replicas".to_owned(),
                backtrace: None,
            };
        } else if let Some(lack) = lack(error) {
            return Death { kind: ErrorKind::NotReady, message: lack, backtrace: None };
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
        let backtrace = error.downcast_ref::<WasmBacktrace>().map(|frames| clip(frames.to_string(), BACKTRACE));
        Death { kind: ErrorKind::Trap, message: clip(message, 4 * SENTENCE), backtrace }
    }
}

/// What the machine lacks for another replica, where that is how it ended.
pub(super) fn lack(error: &wasmtime::Error) -> Option<String> {
    let cause = machine::system_error(error)?;
    let help = machine::remedy(&cause)?;
    Some(format!("the system does not give the process what a replica needs: {cause}; {help}"))
}
