//! A host for chains of sandboxed services.
//!
//! A **Chainlet** is a WASI component with one typed function, `run-remote`. A **chain** is a set of Chainlets that call
//! each other, described in a chain.toml, with one entrypoint. This library compiles the components, checks that they fit
//! each other, runs each in sandboxes of its own, moves typed values between them, and serves the entrypoint as JSON over
//! HTTP. The program `chainhost` is a command line around it.
//!
//! ```no_run
//! use chainhost::{CallOptions, Host};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let host = Host::new()?;
//! let chain = host.load_file("examples/hello/chain.toml").await?;
//!
//! let args = serde_json::json!({ "names": ["Ada", "Grace"] });
//! let greetings: Vec<String> = chain.call(&args, CallOptions::default()).await?;
//! assert_eq!(greetings, ["Hello, Ada!", "Hello, Grace!"]);
//! # Ok(())
//! # }
//! ```
//!
//! # The way of a request
//! Each part knows those below it and none above:
//!
//! 1. [`server`] takes an HTTP request, and hands its body to the chain: to the version of it that is [`live`].
//! 2. [`chain`] reads the body by the entrypoint's types, and calls the chainlet. It has resolved every dependency to an
//!    edge when it was loaded.
//! 3. [`chainlet`] finds a replica, or a place in line, and leaves the call in the replica's inbox. Whoever drives the
//!    replica takes it from there: often the caller, else the replica's task.
//! 4. There, [`value::abi`] lowers the parameters into the guest's memory, and the guest runs. When it calls a dependency,
//!    its edge begins again at 3, with another chainlet.
//! 5. The result is lifted out of the guest's memory, and goes back the same way. The streams in it ([`value::stream`]) are
//!    read batch by batch afterwards, and the call lasts until they have ended.
//!
//! Bytes that clients, guests and peers make the host hold on this way are reserved of one budget, in `memory`. Reading and writing
//! that takes long is done on other threads, in `offload`.
//!
//! A chain starts the other way round: [`config`] makes a [`config::ChainSpec`] of a chain.toml, [`component`] compiles
//! each component and reads its types, [`chain`] checks them against each other, and each chainlet starts with what
//! [`capability`] grants it; what a GPU does for a chainlet is done in [`gpu`].

mod bounded_file;
pub mod capability;
pub mod chain;
pub mod chainlet;
pub mod component;
pub mod config;
mod deadline;
mod engine;
pub mod error;
mod forward;
mod gpu;
mod guest_words;
pub mod host;
pub mod live;
mod log_fields;
mod log_rate;
pub mod machine;
mod memory;
mod offload;
pub mod server;
mod threads;
pub mod trace;
pub mod value;

pub use crate::capability::Capability;
pub use crate::chain::{CallOptions, Chain, ChainletHandle, LoadError, StartProgress, Streaming};
pub use crate::config::{ChainSpec, ChainletSpec, ConfigErrors, Rollout, Secret, SecretStore};
pub use crate::error::{CallError, ErrorKind};
pub use crate::host::{Host, HostBuilder, HostError};
pub use crate::live::{LiveChain, ReloadError};
pub use crate::server::HttpOptions;
pub use crate::value::Value;

/// Does the GPU work of a host that started this process for it, and returns how it ended; returns none at once where no
/// host did. See [`HostBuilder::gpu_worker`](host::HostBuilder::gpu_worker).
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     if let Some(ended) = chainhost::gpu_worker() {
///         return ended;
///     }
///     // …
///     std::process::ExitCode::SUCCESS
/// }
/// ```
#[must_use]
pub fn gpu_worker() -> Option<std::process::ExitCode> {
    gpu::work_if_asked()
}
