//! The questions that the host asks a guest for itself, rather than for a caller: `init`, and `is-healthy`.

use wasmtime::component::{Accessor, Instance, TypedFunc};
use wasmtime::{AsContextMut, Result, Store};

use super::call::{Call, Reply};
use super::state::ReplicaState;
use crate::error::CallError;

/// A function of a guest that takes nothing, and returns nothing or a sentence that says what is wrong.
#[derive(Clone, Copy)]
pub(super) struct Question(TypedFunc<(), (Result<(), String>,)>);

/// The reason why a question got no good answer.
pub(super) enum Unwell {
    /// The guest says in these words what is wrong.
    Guest(String),
    /// A dependency that the guest called failed, so the guest waits for an answer that never comes.
    Dependency(CallError),
}

impl Question {
    /// Finds the function `name` of the exported `interface`.
    pub(super) fn new(
        store: &mut Store<ReplicaState>,
        instance: &Instance,
        interface: &str,
        name: &str,
    ) -> Result<Self, String> {
        instance
            .get_export_index(&mut *store, None, interface)
            .and_then(|parent| instance.get_export_index(&mut *store, Some(&parent), name))
            .and_then(|index| instance.get_typed_func(&mut *store, index).ok())
            .map(Question)
            .ok_or_else(|| format!("`{interface}` is exported without `{name}: async func() -> result<_, string>`"))
    }

    /// Asks the guest, which may call its dependencies.
    ///
    /// # Errors
    ///
    /// Fails if the guest breaks the canonical ABI. A trap is an error of the `run_concurrent` that drives the store
    /// instead.
    pub(super) async fn ask(&self, accessor: &Accessor<ReplicaState>) -> Result<Result<(), Unwell>> {
        let Question(func) = *self;
        let (call, mut failure) = Call::question();
        let (task, work) = accessor.with(|mut access| {
            let work = func.start_call_concurrent(access.as_context_mut(), ())?;
            let task = work.task();
            access.as_context_mut().data_mut().begin(task, call.clone());
            Ok::<_, wasmtime::Error>((task, work))
        })?;
        let answer = tokio::select! {
            biased;
            Ok(Reply::Answer(Err(error))) = &mut failure => Err(Unwell::Dependency(error)),
            answer = func.finish_call_concurrent(accessor, work) => answer?.0.map_err(Unwell::Guest),
        };
        accessor.with(|mut access| access.as_context_mut().data_mut().end(task, &call));
        Ok(answer)
    }
}
