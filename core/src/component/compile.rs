//! Turns a component's bytes into code that runs. Errors tell whether the component or the machine is at fault.

use std::error::Error as _;
use std::io;
use std::sync::OnceLock;

use bytes::Bytes;

use rayon::{ThreadPool, ThreadPoolBuilder};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::cache::{Uses, functions_key};
use super::functions::{self, FunctionCompiler};
use crate::engine::HostParts;
use crate::machine::MachineError;

/// The reason why a component has no code.
#[derive(Debug)]
pub(crate) enum CompileError {
    /// The component is not valid, or uses something that the engine does not support.
    Component(wasmtime::Error),
    /// The machine does not let this process compile, or run what it compiled.
    Machine(MachineError),
}

impl CompileError {
    /// Returns the error that the machine refused something to the engine.
    pub(super) fn machine(error: &wasmtime::Error) -> Self {
        CompileError::Machine(MachineError::code(error))
    }
}

/// Compiles the components of one chain.
#[derive(Debug, Default)]
pub(super) struct Compiler {
    /// They compile all functions of a component in parallel. They start when there is something to compile. Without
    /// them, the engine would use the threads of the whole process, and panic if the system does not start them.
    threads: OnceLock<Result<ThreadPool, MachineError>>,
    /// Made for the first component with much code; `None` if it cannot be made.
    functions: OnceLock<Option<FunctionCompiler>>,
}

impl Compiler {
    /// Compiles `wasm` to code for [`load`] by the engine of the host.
    pub(super) fn compile(&self, host: &HostParts, uses: &Uses, wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
        let threads = self.threads.get_or_init(threads).as_ref();
        let threads = threads.map_err(|error| CompileError::Machine(error.clone()))?;
        let compiled = match functions::shared_code(wasm).zip(self.function_compiler(host)) {
            None => threads.install(|| host.engine.precompile_component(wasm)),
            Some((code, functions)) => {
                let cache = host.cache.as_deref();
                let key = functions_key(&host.engine, code);
                let read = || cache.and_then(|cache| cache.functions(&key, uses)).map(Bytes::from);
                let write = |pack: &[u8]| {
                    if let Some(cache) = cache {
                        cache.put_functions(&key, uses, pack);
                    }
                };
                functions.compile(threads, wasm, code.len(), read, write)
            }
        };
        compiled.map_err(CompileError::Component)
    }

    fn function_compiler(&self, host: &HostParts) -> Option<&FunctionCompiler> {
        let make = || {
            FunctionCompiler::new(host.compiler_config.clone())
                .inspect_err(|error| tracing::warn!(%error, "components do not share the functions that they compile"))
                .ok()
        };
        self.functions.get_or_init(make).as_ref()
    }
}

fn threads() -> Result<ThreadPool, MachineError> {
    let threads = ThreadPoolBuilder::new().thread_name(|index| format!("compile-{index}")).build();
    threads.map_err(|error| match error.source().and_then(|cause| cause.downcast_ref::<io::Error>()) {
        Some(cause) => MachineError::threads("compiling components", cause),
        None => MachineError::threads("compiling components", &io::Error::other(error)),
    })
}

/// Makes `code`, which [`Compiler::compile`] made for the same engine, ready to run.
pub(super) fn load(engine: &Engine, code: &[u8]) -> Result<Component, CompileError> {
    // SAFETY: `deserialize` needs the bytes that `precompile_component` returned, unchanged. `code` has these bytes: it
    // has not left this process.
    unsafe { Component::deserialize(engine, code) }.map_err(|error| CompileError::machine(&error))
}
