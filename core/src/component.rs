//! From a component file to a [`Component`]: compiled code, its `run-remote`, and what it imports.
//!
//! Everything that can be known of a component without running it is found out here, so that a chain is checked whole
//! before any guest code runs.
//!
//! - [`compile`]: from the file's bytes to code.
//! - [`functions`]: compiled functions that several components share.
//! - [`cache`]: compiled code on disk.
//! - [`types`]: the types in the file, with their names.
//! - [`signature`]: those types to our [`Signature`]s.
//! - [`introspect`]: finding `run-remote` and the dependencies.
//! - [`docs`]: the doc comments that a component may carry.

pub(crate) mod cache;
mod compile;
mod docs;
mod functions;
mod introspect;
mod signature;
mod types;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use wasmparser::{Parser, Payload};
use wasmtime::component::Component as Compiled;

use self::cache::Uses;
pub use self::cache::folder::{CacheContents, CacheFolder, CacheLimits};
use self::compile::{CompileError, Compiler};
use crate::engine::HostParts;
use crate::machine::MachineError;
use crate::value::Signature;

/// The package whose interfaces a chain host offers to guests and asks of them.
pub(crate) const HOST_PACKAGE: &str = "chainlet:host/";

/// A chainlet's component: compiled, and known by its types.
#[derive(Clone)]
pub struct Component {
    pub(crate) compiled: Compiled,
    /// The one function that the component offers to others.
    pub run_remote: RunRemote,
    /// The chainlets that the component calls.
    pub dependencies: Vec<Dependency>,
    /// The interfaces that the component imports from the host, with their versions, sorted.
    pub capabilities: Vec<String>,
    /// The exported instance `chainlet:host/init`, as the component names it.
    pub init: Option<String>,
    /// The exported instance `chainlet:host/health`, as the component names it.
    pub health: Option<String>,
    /// The initial size in bytes of its largest memory.
    pub initial_memory: u64,
    /// The answer to the question whether the host offers all that the component imports. Clones share it, because it
    /// takes longer to find than the rest of a chainlet that shares its component with others.
    pub(crate) imports: Arc<OnceLock<Result<(), String>>>,
}

/// The `run-remote` that a component exports, and its type.
#[derive(Debug, Clone)]
pub struct RunRemote {
    /// The exported interface that holds it; `None` if it is at the root of the world.
    pub interface: Option<String>,
    /// Its type.
    pub signature: Arc<Signature>,
}

/// One chainlet that a component wants to call: an imported instance with a `run-remote`.
#[derive(Debug, Clone)]
pub struct Dependency {
    /// Its name in chain.toml: the plain name of the import, or the last segment of the name of its interface. If several
    /// imports have the same last segment, it is the whole name of the interface.
    pub name: String,
    /// The import's whole name.
    pub import: String,
    /// The type of the `run-remote` that it expects.
    pub signature: Arc<Signature>,
}

/// The reason why a component cannot be a chainlet. The message says what was found.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct ComponentError {
    message: String,
    /// The remedy, in one sentence.
    pub help: Option<String>,
}

impl ComponentError {
    fn new(message: impl fmt::Display) -> Self {
        ComponentError { message: message.to_string(), help: None }
    }

    fn help(mut self, help: impl fmt::Display) -> Self {
        self.help = Some(help.to_string());
        self
    }
}

/// The reason why a component does not load.
#[derive(Debug)]
pub(crate) enum LoadError {
    /// It cannot be a chainlet.
    Component(ComponentError),
    /// The machine does not let this process compile it, or run its code.
    Machine(MachineError),
}

impl From<ComponentError> for LoadError {
    fn from(error: ComponentError) -> Self {
        LoadError::Component(error)
    }
}

impl From<CompileError> for LoadError {
    fn from(error: CompileError) -> Self {
        match error {
            CompileError::Component(error) => {
                let error = ComponentError::new(format_args!("the component does not compile: {error:#}"));
                LoadError::Component(
                    error.help("build it again with the current toolchain; a component must be valid for wasmtime 48"),
                )
            }
            CompileError::Machine(error) => LoadError::Machine(error),
        }
    }
}

/// The components of one chain while it loads. Chainlets of the same component share its code and its types.
#[derive(Default)]
pub(crate) struct Loading {
    /// By the hash of the file.
    compiled: Mutex<HashMap<blake3::Hash, Compiled>>,
    /// By the hash of the file and the `export` that was asked for.
    components: Mutex<HashMap<(blake3::Hash, Option<String>), Component>>,
    compiler: Compiler,
    uses: Uses,
}

impl Loading {
    /// Returns the component in `wasm`, and remembers it.
    fn component(&self, shared: &HostParts, wasm: &[u8], export: Option<&str>) -> Result<Component, LoadError> {
        let hash = blake3::hash(wasm);
        let key = (hash, export.map(str::to_owned));
        let known = || self.components.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(component) = known().get(&key) {
            return Ok(component.clone());
        }
        let compiled = self.code(shared, wasm, hash)?;
        let (types, docs) = (types::ComponentTypes::read(wasm)?, docs::ComponentDocs::of(wasm));
        let reader = signature::TypeReader::new(&types, &docs);
        let component = introspect::component(compiled, &reader, initial_memory(wasm), export, |import| {
            shared.capabilities.offer(import)
        })?;
        Ok(known().entry(key).or_insert(component).clone())
    }

    /// Returns the code of `wasm`, which has the header of a component and the hash `key`.
    fn code(&self, shared: &HostParts, wasm: &[u8], key: blake3::Hash) -> Result<Compiled, CompileError> {
        let known = || self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(compiled) = known().get(&key) {
            return Ok(compiled.clone());
        }
        // Not under the lock: others compile meanwhile. Of two that compile the same, one is kept.
        let compile = || self.compiler.compile(shared, &self.uses, wasm);
        let compiled = match &shared.cache {
            Some(cache) => cache.get_or_compile(&shared.engine, wasm, &self.uses, compile)?,
            None => compile::load(&shared.engine, &compile()?)?,
        };
        Ok(known().entry(key).or_insert(compiled).clone())
    }

    /// Ends the load: the cache of compiled code may now remove what it has no room for.
    pub(crate) fn end(&self, shared: &HostParts) {
        if let Some(cache) = &shared.cache {
            cache.prune(&self.uses);
        }
    }
}

impl Component {
    /// Compiles `wasm`, or takes its code from the cache or from what is `loading`, and reads its types.
    ///
    /// `export` names the interface whose `run-remote` is served, for components that export several.
    ///
    /// This takes seconds for a large component that is not cached, and blocks the thread.
    ///
    /// # Errors
    /// Fails if `wasm` is no component, if it does not fit the component contract, or if the machine does not let it run.
    pub(crate) fn load(
        shared: &HostParts,
        wasm: &[u8],
        export: Option<&str>,
        loading: &Loading,
    ) -> Result<Self, LoadError> {
        check_header(wasm)?;
        loading.component(shared, wasm, export)
    }
}

/// Returns the initial size in bytes of the largest memory that a module in `wasm` defines.
fn initial_memory(wasm: &[u8]) -> u64 {
    let memories = Parser::new(0).parse_all(wasm).map_while(Result::ok).filter_map(|payload| match payload {
        Payload::MemorySection(section) => Some(section),
        _ => None,
    });
    let sizes = memories.flatten().filter_map(Result::ok).map(|memory| {
        let page = 1_u64.checked_shl(memory.page_size_log2.unwrap_or(16)).unwrap_or(u64::MAX);
        memory.initial.saturating_mul(page)
    });
    sizes.max().unwrap_or_default()
}

/// Says early, and in words, what a file is that is no component.
fn check_header(wasm: &[u8]) -> Result<(), ComponentError> {
    match wasm.first_chunk::<8>() {
        Some([0, b'a', b's', b'm', 1, 0, 0, 0]) => {
            Err(ComponentError::new("the file is a core WebAssembly module, not a component")
                .help("build for the target wasm32-wasip2 (not wasm32-wasip1 or wasm32-unknown-unknown), as a cdylib"))
        }
        Some([0, b'a', b's', b'm', _, _, 1, 0]) => Ok(()),
        _ => Err(ComponentError::new(format_args!(
            "the file is not WebAssembly ({} bytes that do not begin as a component does)",
            wasm.len()
        ))
        .help("point `component` at the .wasm file that `cargo build --target wasm32-wasip2` wrote")),
    }
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Component")
            .field("run_remote", &self.run_remote)
            .field("dependencies", &self.dependencies)
            .field("capabilities", &self.capabilities)
            .finish_non_exhaustive()
    }
}
