//! A host for chains of sandboxed services.
//!
//! A **Chainlet** is a WASI component with one typed function, `run-remote`. A **chain** is a set of Chainlets that
//! call each other, described in a chain.toml, with one entrypoint. This library compiles the components, checks that
//! they fit each other, runs each in sandboxes of its own, moves typed values between them, and serves the entrypoint
//! as JSON over HTTP. The program `chainhost` is a command line around it.
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
//! Each part knows only the parts below it, with the exceptions that `docs/internals.md` lists:
//!
//! 1. [`server`] takes an HTTP request, and passes its body to the chain, in the version that is [`live`].
//! 2. [`chain`] calls the chainlet of the entrypoint. It has resolved every dependency to an edge when it was loaded.
//! 3. [`chainlet`] finds a replica, or a place in line. Then it reads the body by the types of the chainlet, and puts
//!    the call into the replica's inbox. The driver of the replica takes it from there: often on the caller's thread,
//!    else in the replica's task.
//! 4. There, [`value::abi`] lowers the parameters into the guest's memory, and the guest runs. When it calls a
//!    dependency, the call goes through its edge and begins again at 3, with another chainlet.
//! 5. The result is lifted out of the guest's memory, and goes back the same way. The streams in it ([`value::stream`])
//!    are read batch by batch afterwards, and the call lasts until they have ended.
//!
//! Bytes that clients, guests and peers make the host hold on this way are reserved in one budget, in `memory`. Reading
//! and writing that takes long is done on other threads, in `offload`.
//!
//! At the start of a chain, [`config`] makes a [`config::ChainSpec`] of a chain.toml, [`component`] compiles each
//! component and reads its types, [`chain`] checks them against each other, and each chainlet starts with the host
//! interfaces that [`capability`] grants it. Work for GPUs is done in `gpu`.
//!
//! All parts but [`server`] are the crate `chainhost_core`, in `core/src`.

pub mod server;

// The path begins in the folder of this file.
#[cfg(test)]
#[allow(dead_code, reason = "the tests of the core use the rest")]
#[path = "../../core/src/value/json/arbitrary.rs"]
mod arbitrary;

pub use chainhost_core::{
    CallError, CallOptions, Capability, Chain, ChainSpec, ChainletHandle, ChainletSpec, ConfigErrors, ErrorKind, Host,
    HostBuilder, HostError, LiveChain, LoadError, ReloadError, Rollout, Secret, SecretStore, StartProgress, Streaming,
    Value, gpu_worker,
};
pub use chainhost_core::{capability, chain, chainlet, component, config, error, host, live, machine, trace, value};

pub use crate::server::HttpOptions;
