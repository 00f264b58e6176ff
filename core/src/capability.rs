//! The parts of the host that guests may import. Each is one file or folder, and implements [`Capability`].
//!
//! A chainlet sees no file, socket, environment variable or secret but those that its grants hold. The other interfaces of
//! WASI are all there, and empty.
//!
//! To add a capability, write one file and name it in [`built_in`]. A program that embeds the host adds its own by
//! [`HostBuilder::capability`](crate::host::HostBuilder::capability).
//!
//! | capability | interfaces |
//! |---|---|
//! | `call` | `chainlet:host/call`: the call that a guest is serving |
//! | `context` | `chainlet:host/context`: settings, secrets and facts of the deployment |
//! | `files` | `wasi:filesystem`: the folders that chain.toml mounts |
//! | `gpu` | `chainlet:host/gpu`: compute on the GPU that chain.toml gives a chainlet |
//! | `http` | `wasi:http`: requests to the hosts that chain.toml names |
//! | `keyvalue` | `wasi:keyvalue`: the stores that chain.toml names |
//! | `log` | `chainlet:host/log` and `wasi:logging`: log lines with a level, fields, and the id of the request |
//! | `output` | stdout and stderr, as log lines |
//! | `sockets` | `wasi:sockets`: connections to the addresses that chain.toml names |
//!
//! Beside them, `refusals` logs what the sandbox refuses, with the key of chain.toml that would allow it.

mod call;
mod context;
mod contract;
mod files;
pub(crate) mod gpu;
pub(crate) mod http;
pub(crate) mod keyvalue;
mod log;
mod measure;
pub(crate) mod output;
mod refusals;
mod set;
pub(crate) mod sockets;

#[cfg(test)]
mod tests;

use std::fmt::Display;
use std::sync::Arc;

use wasmtime::component::Linker;

pub use self::contract::{Capability, GrantRequest, Loss, Row, StateError};
pub use self::measure::{Measure, MeasureUnit};
pub(crate) use self::output::StandardOutput;
pub(crate) use self::set::{Capabilities, Grants, States};
pub use crate::chainlet::state::ReplicaState;
use crate::gpu::Gpus;
/// The version of wasmtime that a capability must use: `wasmtime::component::bindgen!` makes its functions from WIT.
pub use ::{wasmtime, wasmtime_wasi};

/// Returns the capabilities of this crate, in the order in which `chainhost check` shows their rows.
pub(crate) fn built_in(gpus: &Arc<Gpus>) -> Capabilities {
    let mut all = Capabilities::default();
    all.add(context::Context);
    all.add(call::CurrentCall);
    all.add(output::StandardOutput);
    all.add(log::Log);
    all.add(http::OutgoingHttp);
    all.add(sockets::Sockets);
    all.add(files::Files);
    all.add(keyvalue::KeyValue::default());
    all.add(gpu::Gpu(gpus.clone()));
    all.are_built_in()
}

/// Adds the interfaces of WASI that need no grant. Some capabilities replace functions of them.
///
/// # Errors
///
/// Fails if the linker has one of the names already.
pub(crate) fn add_wasi(linker: &mut Linker<ReplicaState>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    wasmtime_wasi::p3::add_to_linker(linker)
}

/// Joins `items` with commas, for a [`Row`].
fn listed(items: &[impl Display]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
