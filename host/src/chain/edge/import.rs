//! A guest's import that an edge answers.

use std::sync::Arc;

use futures::future::BoxFuture;
use wasmtime::{Result, StoreContextMut};

use super::Edge;
use crate::chainlet::call::{Call, CallContext};
use crate::chainlet::limits::{Held, Parameters};
use crate::chainlet::state::State;
use crate::chainlet::streams::feed;
use crate::config::ChainletName;
use crate::error::CallError;
use crate::value::Value;
use crate::value::abi::call::Import;
use crate::value::stream::Wrap;

/// Connects an import to an edge.
///
/// A guest has no way to receive a failure of the host, such as a trap of its dependency: the import's type is the
/// other chainlet's own. So the failure goes straight to whoever called this guest, and the guest is never resumed: what
/// it holds for this one call is lost until its replica is replaced, and its other calls go on. A function that is not
/// async blocks its instance while it waits, so there the instance is ended instead, and with it its other calls.
///
/// A caller who left ends the guest's calls of dependencies in the same way, so that a chain does not go on working for
/// nobody. Only a function that is not async is waited for: ending its instance would cost more than it saves.
pub(in super::super) struct EdgeImport {
    pub(in super::super) edge: Arc<Edge>,
    pub(in super::super) is_async: bool,
}

impl Import<State> for EdgeImport {
    fn call(
        &self,
        mut store: StoreContextMut<'_, State>,
        params: Vec<Value>,
    ) -> BoxFuture<'static, Result<Option<Value>>> {
        let caller = State::current_call(&mut store);
        let read_by = (caller.clone(), self.edge.name.from.clone());
        let call = Underway { read_by, held: Parameters::hold(&mut store, &params), edge: self.edge.clone(), params };
        match (caller, self.is_async) {
            (Some(caller), true) => Box::pin(async move {
                match for_as_long_as_it_is_wanted(call, &caller).await {
                    Some(value) => Ok(value),
                    None => std::future::pending().await,
                }
            }),
            // What a guest does after its call was answered has nobody who could be told.
            (None, true) => Box::pin(async move {
                match call.finish(CallContext::default()).await {
                    Ok(value) => Ok(value),
                    Err(error) => {
                        tracing::debug!(%error, "a call of a dependency failed that belongs to no call");
                        std::future::pending().await
                    }
                }
            }),
            (caller, false) => Box::pin(async move {
                let context = caller.as_ref().map(|call| call.context.clone()).unwrap_or_default();
                call.finish(context).await.map_err(|error| {
                    let reason = wasmtime::format_err!("a dependency failed: {error}");
                    if let Some(caller) = caller {
                        caller.fail(error);
                    }
                    reason
                })
            }),
        }
    }
}

/// A guest's call of its dependency.
struct Underway {
    edge: Arc<Edge>,
    params: Vec<Value>,
    held: Held,
    /// For whom the guest reads the streams of the answer.
    read_by: (Option<Arc<Call>>, ChainletName),
}

impl Underway {
    async fn finish(self, context: CallContext) -> Result<Option<Value>, CallError> {
        let Underway { edge, params, held, read_by: (caller, reader) } = self;
        let mut answer = edge.call(params, context).await;
        drop(held);
        if edge.has_streams
            && let Ok(Some(value)) = &mut answer
        {
            let wrap: Wrap = Arc::new(move |items| feed(items, caller.clone(), reader.clone()));
            value.wrap_streams(&wrap);
        }
        answer
    }
}

/// The dependency's answer for `caller`; `None` where there is none and the guest is not to be resumed.
async fn for_as_long_as_it_is_wanted(call: Underway, caller: &Call) -> Option<Option<Value>> {
    let _waits = caller.wait();
    let answer = tokio::select! {
        biased;
        () = caller.abandoned() => None,
        // Those who read its streams have left, too.
        () = caller.given_up() => None,
        answer = call.finish(caller.context.clone()) => Some(answer),
    };
    match answer {
        Some(Ok(value)) => Some(value),
        Some(Err(error)) => {
            caller.fail(error);
            None
        }
        None => {
            caller.give_up();
            None
        }
    }
}
