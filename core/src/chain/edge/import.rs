//! The import of a guest, which an edge answers.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::Instant;
use wasmtime::StoreContextMut;

use super::{Edge, failure};
use crate::chainlet::call::{Call, CallAnswer, CallContext, Outcome};
use crate::chainlet::limits::ParameterLimit;
use crate::chainlet::state::ReplicaState;
use crate::chainlet::streams::ReadingGuest;
use crate::deadline::{Deadline, TimeLimit};
use crate::error::{CallError, ErrorKind};
use crate::log_fields::log_call_error;
use crate::memory::NoRoom;
use crate::value::Value;
use crate::value::abi::call::{Import, Passed};

/// The longest time for a call that a guest makes on behalf of no call, with the streams of its answer, unless the edge
/// has a timeout. Such a call has no caller's deadline, so without this limit it could keep its place in the callee for
/// ever.
const BACKGROUND_LIMIT: Duration = Duration::from_mins(10);

/// Connects an import to an edge.
///
/// A **fallible** import has the callee's type inside a `result`. Its guest is always resumed: with the answer, or with
/// the failure as a value. If the running call is over, the dependency's call is dropped. A guest that waits for the
/// end of the running call is told of it and drops the import; any other guest gets the failure `cancelled`.
///
/// A **plain** import has the callee's own type, which has no place for a failure of the host. So the failure goes
/// straight to the caller of this guest, and the guest is not resumed: what it holds for this one call is lost until
/// its replica is replaced, and its other calls go on. A plain `func` is different: it blocks its instance while it
/// waits, so a failure ends the instance and all other calls in it. If the running call is over, an async guest is not
/// resumed either. The host waits for a plain `func`, because ending its instance would cost more than it saves.
pub(in super::super) struct EdgeImport {
    pub(in super::super) edge: Arc<Edge>,
    pub(in super::super) is_async: bool,
    pub(in super::super) is_fallible: bool,
}

impl Import<ReplicaState> for EdgeImport {
    fn call(
        &self,
        mut store: StoreContextMut<'_, ReplicaState>,
        params: Result<Passed, NoRoom>,
    ) -> BoxFuture<'static, wasmtime::Result<Option<Value>>> {
        // Work that goes on after its call was answered belongs to no call.
        let caller = ReplicaState::current_call(&mut store);
        let unasked = || {
            let limit = || TimeLimit::Background(self.edge.name.clone());
            self.edge.timeout.is_none().then(|| Deadline::after(Instant::now(), BACKGROUND_LIMIT, limit()))
        };
        let context = match &caller {
            Some(call) if call.is_done() => CallContext { deadline: unasked(), ..call.context.clone() },
            Some(call) => call.context.clone(),
            None => CallContext { deadline: unasked(), ..CallContext::default() },
        };
        let caller = caller.filter(|call| !call.is_done());
        let edge = self.edge.clone();
        let memory = store.data().memory_limit();
        let held = params.and_then(|passed| {
            let held = ParameterLimit::hold(&mut store, &passed.values, edge.copies(), passed.reservation)?;
            Ok((held, passed.values))
        });
        let reader = ReadingGuest { chainlet: edge.name.from.clone(), call: caller.clone() };
        let call = async move {
            let (_held, params) = held.map_err(|no_room| edge.refuse(no_room))?;
            let answered = edge.call(params, context, reader).await?;
            edge.fits_memory(&answered, memory)?;
            Ok(answered)
        };
        let edge = self.edge.clone();
        match (self.is_fallible, self.is_async) {
            (true, _) => Box::pin(async move { Ok(Some(fallible(&edge, caller, call).await)) }),
            (false, true) => Box::pin(async move {
                match plain(&edge, caller, call).await {
                    Some(value) => Ok(value),
                    None => std::future::pending().await,
                }
            }),
            (false, false) => Box::pin(async move {
                match call.await {
                    Ok(answered) => Ok(taken(&edge, caller.as_deref(), answered)),
                    Err(error) => {
                        let reason = wasmtime::format_err!("a dependency failed: {error}");
                        if let Some(caller) = caller {
                            caller.fail(error);
                        }
                        Err(reason)
                    }
                }
            }),
        }
    }
}

/// Returns the answer inside a `result` whose error is a failure.
async fn fallible(edge: &Edge, caller: Option<Arc<Call>>, call: impl Future<Output = Outcome>) -> Value {
    let outcome = match &caller {
        Some(caller) => {
            let outcome = if caller.is_over() {
                None
            } else {
                tokio::select! {
                    biased;
                    outcome = call => Some(outcome),
                    () = caller.over() => None,
                }
            };
            match outcome {
                Some(outcome) => outcome,
                None => {
                    // If the dependency's call had begun, `select!` has dropped it here.
                    caller.resumes().await;
                    let message = "the call on whose behalf it was made is over";
                    Err(CallError::new(ErrorKind::Cancelled, &edge.name.from, message))
                }
            }
        }
        None => call.await,
    };
    match outcome {
        Ok(answered) => Value::Result(Ok(taken(edge, caller.as_deref(), answered).map(Box::new))),
        Err(error) => {
            let value = failure::value(&error);
            if let Some(caller) = caller {
                caller.remember(error);
            }
            Value::Result(Err(Some(Box::new(value))))
        }
    }
}

/// Returns the answer as it is. Returns `None` if there is none and the guest must not be resumed.
async fn plain(edge: &Edge, caller: Option<Arc<Call>>, call: impl Future<Output = Outcome>) -> Option<Option<Value>> {
    let Some(caller) = caller else {
        return match call.await {
            Ok(answered) => Some(taken(edge, None, answered)),
            Err(error) => {
                log_call_error!(debug, &error, "a call of a dependency failed that belongs to no call");
                None
            }
        };
    };
    let _waits = caller.wait();
    let outcome = tokio::select! {
        biased;
        outcome = call => Some(outcome),
        () = caller.pointless() => None,
    };
    match outcome {
        Some(Ok(answered)) => return Some(taken(edge, Some(&caller), answered)),
        Some(Err(error)) => caller.fail(error),
        None => {}
    }
    caller.strand();
    None
}

/// Returns the value of an answer. If it is an error, notes the chainlet in which the error began.
fn taken(edge: &Edge, caller: Option<&Call>, answered: CallAnswer) -> Option<Value> {
    let CallAnswer { value, origin, .. } = answered;
    if let Some((caller, origin)) = caller.zip(origin)
        && let Some(Value::Result(Err(error))) = &value
    {
        caller.note_declared(&edge.name.dependency, error.as_deref(), origin);
    }
    value
}
