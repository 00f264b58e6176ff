//! `chainlet:host/call`: the call that a guest is serving.
//!
//! All of it is about the call whose guest task calls, which is known from the store alone; so the functions are defined
//! here by hand, with the store as what they are given.

use std::sync::Arc;

use tokio::time::Instant;
use wasmtime::StoreContextMut;
use wasmtime::component::{Accessor, ComponentType, Lift, Linker, Lower};
use wasmtime_wasi::WasiCtxBuilder;

use super::{Capability, GrantRequest, StateError};
use crate::chain::edge::failure::{KINDS, is_repeatable, retry_after};
use crate::chainlet::call::Call;
use crate::chainlet::state::ReplicaState;
use crate::config::ConfigError;
use crate::error::{CallError, ErrorKind};
use crate::guest_words::{SENTENCE, clip};

const INTERFACE: &str = "chainlet:host/call@0.1.0";

/// The capability.
pub(super) struct CurrentCall;

impl Capability for CurrentCall {
    type Grant = ();
    type State = ();

    fn name(&self) -> &'static str {
        "call"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &["chainlet:host/call"]
    }

    fn add_to_linker(&self, linker: &mut Linker<ReplicaState>) -> wasmtime::Result<()> {
        add_to_linker(linker)
    }

    async fn grant(&self, _: &GrantRequest<'_>) -> Result<(), ConfigError> {
        Ok(())
    }

    fn state(&self, _: &Arc<()>, _: u32, _: &mut WasiCtxBuilder) -> Result<(), StateError> {
        Ok(())
    }
}

/// The record `failure`.
#[derive(Debug, Clone, PartialEq, ComponentType, Lift, Lower)]
#[component(record)]
struct WitFailure {
    kind: WitFailureKind,
    message: String,
    chainlet: String,
    path: Vec<WitEdge>,
    repeatable: bool,
    #[component(name = "retry-after")]
    retry_after: Option<u64>,
}

/// The record `edge`.
#[derive(Debug, Clone, PartialEq, ComponentType, Lift, Lower)]
#[component(record)]
struct WitEdge {
    caller: String,
    dependency: String,
    callee: String,
}

/// The enum `failure-kind`, in the order of [`KINDS`].
#[derive(Debug, Clone, Copy, PartialEq, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "wasmtime makes them")]
enum WitFailureKind {
    #[component(name = "invalid-input")]
    InvalidInput,
    #[component(name = "too-large")]
    TooLarge,
    #[component(name = "answer-too-large")]
    AnswerTooLarge,
    #[component(name = "overloaded")]
    Overloaded,
    #[component(name = "not-ready")]
    NotReady,
    #[component(name = "deadline")]
    Deadline,
    #[component(name = "trap")]
    Trap,
    #[component(name = "stopping")]
    Stopping,
    #[component(name = "unreachable")]
    Unreachable,
    #[component(name = "cancelled")]
    Cancelled,
    #[component(name = "internal")]
    Internal,
}

/// The record `trace-context`.
#[derive(Debug, Clone, ComponentType, Lift, Lower)]
#[component(record)]
struct WitTraceContext {
    traceparent: String,
    tracestate: String,
}

impl WitFailureKind {
    fn kind(self) -> ErrorKind {
        KINDS.get(self as usize).copied().unwrap_or(ErrorKind::Internal)
    }
}

impl WitFailure {
    /// Returns true if it is the failure that a guest was given for `error`.
    fn is(&self, error: &CallError) -> bool {
        let path = error.path().map(|edge| (edge.from.as_str(), edge.dependency.as_str(), edge.to.as_str()));
        self.kind.kind() == error.kind()
            && self.message == error.public_message()
            && self.chainlet == error.chainlet().as_str()
            && self.path.iter().map(|edge| (&*edge.caller, &*edge.dependency, &*edge.callee)).eq(path)
            && self.repeatable == is_repeatable(error)
            && self.retry_after == retry_after(error)
    }
}

/// Adds the interface.
fn add_to_linker(linker: &mut Linker<ReplicaState>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(INTERFACE)?;
    interface.func_wrap("id", |mut store, (): ()| {
        let request = ReplicaState::current_call(&mut store).and_then(|call| call.context.request.clone());
        Ok((request.map(|id| id.to_string()),))
    })?;
    interface.func_wrap("time-left", |mut store, (): ()| {
        // Work that goes on after its call was answered has no deadline.
        let call = ReplicaState::current_call(&mut store).filter(|call| !call.is_done());
        let left =
            call.and_then(|call| Some(call.context.deadline.as_ref()?.at.saturating_duration_since(Instant::now())));
        Ok((left.map(|left| u64::try_from(left.as_nanos()).unwrap_or(u64::MAX)),))
    })?;
    interface.func_wrap("get-trace-context", |mut store, (): ()| {
        let trace = ReplicaState::current_call(&mut store).and_then(|call| call.context.trace.clone());
        let trace = trace.map(|trace| WitTraceContext {
            traceparent: trace.parent().to_owned(),
            tracestate: trace.state().to_owned(),
        });
        Ok((trace,))
    })?;
    interface.func_wrap_concurrent("cancelled", |accessor, (): ()| {
        let call = running_call(accessor).map(|call| (call.listen(), call));
        Box::pin(async move {
            match call {
                Some((_listener, call)) => call.over().await,
                None => std::future::pending().await,
            }
            Ok(())
        })
    })?;
    interface.func_wrap("is-cancelled", |mut store, (): ()| {
        Ok((ReplicaState::current_call(&mut store).is_some_and(|call| call.is_over()),))
    })?;
    interface.func_wrap("fail", |mut store: StoreContextMut<'_, ReplicaState>, (failure,): (WitFailure,)| {
        if let Some(call) = ReplicaState::current_call(&mut store) {
            let given = call.recall(|error| failure.is(error));
            let chainlet = store.data().chainlet();
            let own = || CallError::new(failure.kind.kind(), chainlet, clip(failure.message.clone(), SENTENCE));
            // The guest is at work on the call, whatever it says of it.
            call.fail(given.unwrap_or_else(own).after_the_call_began());
        }
        Ok(())
    })?;
    interface.func_wrap("pass-on", |mut store: StoreContextMut<'_, ReplicaState>, (dependency,): (String,)| {
        if let Some(call) = ReplicaState::current_call(&mut store) {
            call.pass_on(dependency);
        }
        Ok(())
    })?;
    interface.func_wrap_concurrent("keep-place", |accessor, (): ()| {
        let kept = running_call(accessor).filter(|call| !call.is_done()).map(|call| call.keep_place());
        Box::pin(async move {
            let _kept = kept;
            std::future::pending::<()>().await;
            Ok(())
        })
    })?;
    Ok(())
}

/// The call whose guest task makes the present call of an async function.
fn running_call(accessor: &Accessor<ReplicaState>) -> Option<Arc<Call>> {
    accessor.with(|mut access| ReplicaState::current_call(&mut wasmtime::AsContextMut::as_context_mut(&mut access)))
}
