//! Links a component: connects each import to its implementation.

use std::sync::Arc;

use futures::future::BoxFuture;
use wasmtime::component::{InstancePre, Linker};
use wasmtime::{Engine, Result, StoreContextMut, bail};

use crate::capability;
use crate::chainlet::state::ReplicaState;
use crate::component::{Component, Dependency};
use crate::memory::NoRoom;
use crate::value::Value;
use crate::value::abi::call::{Import, Passed, define};

/// Connects the imports of `component`: WASI and what `add_capabilities` adds to the host, and each dependency to the
/// import that `answer` returns for it.
///
/// # Errors
///
/// The component imports an interface, a function or a version that the host does not offer.
pub(super) fn link(
    engine: &Engine,
    component: &Component,
    add_capabilities: impl FnOnce(&mut Linker<ReplicaState>) -> Result<()>,
    answer: impl Fn(&Dependency) -> Arc<dyn Import<ReplicaState>>,
) -> Result<InstancePre<ReplicaState>> {
    let mut linker = Linker::new(engine);
    capability::add_wasi(&mut linker)?;
    add_capabilities(&mut linker)?;
    for dependency in &component.dependencies {
        let mut instance = linker.instance(&dependency.import)?;
        define(&mut instance, "run-remote", &dependency.signature, answer(dependency))?;
    }
    linker.instantiate_pre(&component.compiled)
}

/// The import of a dependency while the host only checks that a component can be linked.
pub(super) struct Unresolved;

impl Import<ReplicaState> for Unresolved {
    fn call(
        &self,
        _: StoreContextMut<'_, ReplicaState>,
        _: Result<Passed, NoRoom>,
    ) -> BoxFuture<'static, Result<Option<Value>>> {
        Box::pin(async { bail!("a dependency was called that is not resolved") })
    }
}
