//! What the crate `chainhost` is made of below its HTTP server. Depend on `chainhost`, which has all that is public here
//! under the same paths, and whose first page shows how the parts work together. This crate is apart so that a change of
//! the server or of the program compiles without it.

mod backoff;
#[doc(hidden)]
pub mod bounded_file;
pub mod capability;
pub mod chain;
pub mod chainlet;
pub mod component;
pub mod config;
#[doc(hidden)]
pub mod deadline;
mod engine;
pub mod error;
#[doc(hidden)]
pub mod forward;
mod gpu;
#[doc(hidden)]
pub mod guest_words;
pub mod host;
pub mod live;
#[doc(hidden)]
pub mod log_fields;
#[doc(hidden)]
pub mod log_rate;
pub mod machine;
#[doc(hidden)]
pub mod memory;
#[doc(hidden)]
pub mod offload;
mod threads;
pub mod trace;
pub mod value;

pub use crate::capability::Capability;
pub use crate::chain::{CallOptions, Chain, ChainletHandle, LoadError, StartProgress, Streaming};
pub use crate::config::{ChainSpec, ChainletSpec, ConfigErrors, Rollout, Secret, SecretStore};
pub use crate::error::{CallError, ErrorKind};
pub use crate::host::{Host, HostBuilder, HostError};
pub use crate::live::{LiveChain, ReloadError};
pub use crate::value::Value;

/// Does the GPU work of a host that started this process for it, and returns its exit code at the end. Returns `None`
/// at once if no host started this process. See [`HostBuilder::gpu_worker`].
///
/// ```no_run
/// # use chainhost_core as chainhost;
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
