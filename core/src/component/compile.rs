//! Turns a component's bytes into code that runs. Errors tell whether the component or the machine is at fault.

use std::error::Error as _;
use std::io;
use std::sync::OnceLock;

use rayon::{ThreadPool, ThreadPoolBuilder};
use wasmtime::Engine;
use wasmtime::component::Component;

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

/// The threads that compile the components of one chain. They compile all functions of a component in parallel. They
/// start when there is something to compile.
///
/// Without them, the engine would use the threads of the whole process, and panic if the system does not start them.
#[derive(Debug, Default)]
pub(super) struct Compiler(OnceLock<Result<ThreadPool, MachineError>>);

impl Compiler {
    /// Compiles `wasm` to code for [`load`] of the same engine.
    pub(super) fn compile(&self, engine: &Engine, wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
        let threads = self.0.get_or_init(threads).as_ref().map_err(|error| CompileError::Machine(error.clone()))?;
        threads.install(|| engine.precompile_component(wasm)).map_err(CompileError::Component)
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
