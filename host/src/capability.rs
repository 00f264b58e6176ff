//! What a guest may use of the host, one file an interface.
//!
//! Each says what it adds to a linker (the same for every replica of a chainlet) and what state it puts into a store. A
//! chainlet sees no file, socket, environment variable or secret but those that its [`Grants`] hold; the interfaces of
//! WASI are all there, and empty.
//!
//! - [`call`]: the call that a guest is serving (`chainlet:host/call`).
//! - [`context`]: settings, secrets and deployment facts (`chainlet:host/context`).
//! - [`gpu`]: compute on the GPU that chain.toml gives a chainlet (`chainlet:host/gpu`).
//! - [`files`]: the folders that chain.toml mounts, through `wasi:filesystem`.
//! - [`http`]: requests to the hosts that chain.toml names (`wasi:http`); [`network`] decides which, and which sockets.
//! - [`log`]: log lines that carry the request's id (`chainlet:host/log`).
//! - [`output`]: stdout and stderr as log lines.
//! - [`refused`]: what the sandbox refuses, told in the log with the key of chain.toml that would allow it.

mod call;
mod context;
mod files;
mod gpu;
mod http;
mod log;
mod network;
pub(crate) mod output;
mod refused;

use std::sync::Arc;

use wasmtime::component::Linker;
use wasmtime_wasi::WasiCtx;

use self::context::{Context, Facts};
use self::files::Mounts;
use self::gpu::Gpu;
pub(crate) use self::http::Http;
use self::http::Outgoing;
use self::network::Network;
use self::output::Output;
use self::refused::Refusals;
use crate::chainlet::state::ReplicaState;
use crate::config::{ChainSpec, ChainletName, ChainletSpec, Secret, SecretName};
use crate::gpu::{Grant, Meter};
use crate::log_rate::LogRate;

/// What one chainlet's guests may use of the host: the part that all its replicas share.
pub(crate) struct Grants {
    facts: Arc<Facts>,
    mounts: Mounts,
    network: Arc<Network>,
    outgoing: Arc<Outgoing>,
    refusals: Arc<Refusals>,
    log_rate: Arc<LogRate>,
    gpu: Option<Arc<Grant>>,
}

/// What the store of one replica holds for its guest's use of the host.
pub(crate) struct Capabilities {
    pub(crate) context: Context,
    pub(crate) output: Output,
    pub(crate) http: Http,
    pub(crate) gpu: Gpu,
    refusals: Arc<Refusals>,
}

impl Grants {
    /// What chain.toml grants `chainlet`, with the values of its `secrets`. It must be made inside a tokio runtime, which
    /// then has the connections of the guests' requests.
    pub(crate) fn new(
        chain: &ChainSpec,
        name: &ChainletName,
        chainlet: &ChainletSpec,
        secrets: indexmap::IndexMap<SecretName, Secret>,
        gpu: Option<Arc<Grant>>,
    ) -> Self {
        let refusals = Arc::new(Refusals::new(name));
        let network = Arc::new(Network::new(&refusals, &chainlet.network));
        Grants {
            facts: Arc::new(Facts::new(chain, name, chainlet, secrets)),
            mounts: Mounts::new(chain, chainlet),
            outgoing: Arc::new(Outgoing::new(network.clone(), chainlet.network.concurrency)),
            network,
            refusals,
            log_rate: Arc::new(LogRate::new()),
            gpu,
        }
    }

    /// The state for the store of replica `number`.
    pub(crate) fn capabilities(&self, number: u32) -> Capabilities {
        Capabilities {
            context: Context::new(self.facts.clone(), number),
            output: Output::new(self.facts.chainlet(), number, &self.log_rate),
            http: self.outgoing.replica(),
            gpu: Gpu::new(self.gpu.as_ref()),
            refusals: self.refusals.clone(),
        }
    }

    /// What is measured of its GPU, if it has one.
    pub(crate) fn gpu(&self) -> Option<&Meter> {
        self.gpu.as_deref().map(Grant::meter)
    }

    /// The WASI context for the store of a replica: its mounts, its sockets and its output, and nothing else.
    ///
    /// # Errors
    ///
    /// Where a mounted folder can't be opened.
    pub(crate) fn wasi(&self, output: &Output) -> Result<WasiCtx, files::MountError> {
        let mut builder = WasiCtx::builder();
        builder.stdout(output.stdout()).stderr(output.stderr());
        self.network.open(&mut builder);
        self.mounts.open(&mut builder)?;
        Ok(builder.build())
    }
}

/// Adds everything that a guest may import of the host; the GPU for those alone that have one.
///
/// # Errors
///
/// Where two interfaces share a name.
pub(crate) fn add_to_linker(linker: &mut Linker<ReplicaState>, gpu: bool) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    wasmtime_wasi::p3::add_to_linker(linker)?;
    http::add_to_linker(linker)?;
    // These stand in for functions of the above.
    linker.allow_shadowing(true);
    output::add_to_linker(linker)?;
    refused::add_to_linker(linker)?;
    linker.allow_shadowing(false);
    if gpu {
        gpu::add_to_linker(linker)?;
    }
    call::add_to_linker(linker)?;
    log::add_to_linker(linker)?;
    context::add_to_linker(linker)
}

#[cfg(test)]
mod tests {
    use wasmtime::{Config, Engine};

    use super::*;

    /// Whether wasmtime-wasi has the function `name` in `interface`, so that another stands in for it and not beside it, and
    /// whether everything can be added over it.
    pub(super) fn stands_in((interface, name): (&str, &str)) -> bool {
        let mut config = Config::new();
        config.wasm_component_model_async(true);
        let engine = Engine::new(&config).unwrap();
        add_to_linker(&mut Linker::new(&engine), true).unwrap();
        let mut linker = Linker::<ReplicaState>::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
        // A second function of the same name is refused.
        linker.instance(interface).unwrap().func_wrap(name, |_, (): ()| Ok(())).is_err()
    }
}
