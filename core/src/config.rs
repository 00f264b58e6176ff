//! Reads `chain.toml`, or builds the same chain in code, into a checked [`ChainSpec`].
//!
//! Text becomes a spec in three steps. Each step is a pure function: parse the TOML with its spans; read it key by key;
//! check what goes beyond the form of one key. All mistakes are reported in one go, except those that only follow from
//! others. Every [`ConfigError`] names the file, the line, the column and the key, and says what was found, what was
//! expected and what to do. A spec keeps its text, so that later steps can point into the file as well: see
//! [`ChainSpec::at`].
//!
//! ```
//! # use chainhost_core as chainhost;
//! use chainhost::config::{ChainSpec, ChainletSpec};
//! # fn main() -> Result<(), chainhost::config::ConfigErrors> {
//! let spec = ChainSpec::builder("hello-all")
//!     .chainlet("say-hello", ChainletSpec::builder("say_hello.wasm").setting("greeting", "Hello"))
//!     .chainlet("hello-all", ChainletSpec::builder("hello_all.wasm").depends("say-hello", "say-hello"))
//!     .build()?;
//! assert_eq!(spec.chainlets.len(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! The reference of the file format is `docs/chain-toml.md`; its JSON Schema is [`ChainSpec::json_schema`].

pub(crate) mod address;
mod assets;
mod build;
mod builder;
mod chainlet;
mod component;
mod document;
mod error;
mod files;
mod key;
mod location;
mod name;
mod network;
mod parse;
pub(crate) mod place;
mod policy;
mod python;
pub(crate) mod reader;
mod resources;
mod retry;
pub(crate) mod row_type;
mod schema;
mod secrets;
mod settings;
mod size;
mod source;
mod spec;
pub(crate) mod table;
mod validate;

#[cfg(test)]
mod golden;

pub use address::is_public;
pub use assets::{Assets, FileMount};
pub use build::Build;
pub use builder::{ChainBuilder, ChainletBuilder};
pub use chainlet::ChainletSpec;
pub use component::ComponentSource;
pub use error::{ConfigError, ConfigErrors};
pub use key::KeyPath;
pub use location::Location;
pub use name::{
    ChainName, ChainletName, DependencyName, EnvironmentName, InterfaceName, NameError, SecretName, StoreName,
};
pub use network::{NetworkAccess, NetworkRuleError};
pub use policy::{BreakerPolicy, Canary, DependencySpec, Health, Replicas, Rollout};
pub use python::{PythonClass, PythonClassError};
pub use resources::Resources;
pub use retry::{RetryKind, UnknownRetryKind};
pub use secrets::{ChainSecrets, Secret, SecretStore, SecretUnavailable};
pub use settings::{SettingValue, Settings};
pub use size::{ByteSize, ByteSizeError};
pub use spec::ChainSpec;

pub use crate::capability::gpu::{AdapterChoice, AdapterChoiceError, AdapterKind, GpuHost, GpuResources, Isolation};
pub use crate::capability::http::HostRule;
pub use crate::capability::keyvalue::{ChainletStores, StoreBackend, StoreSpec};
pub use crate::capability::sockets::SocketRule;
