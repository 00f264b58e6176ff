//! `chain.toml`, or the same said in code, as a checked [`ChainSpec`].
//!
//! Text becomes a spec in three steps, each a pure function: the TOML is parsed with its spans, read key by key by what
//! each has to be, and checked for what no single key can know. All mistakes that do not follow from one another are
//! reported in one go, and every [`ConfigError`] names the file, the line, the column and the key, says what was found
//! and what was expected, and what to do. A spec remembers its text, so that whoever wires the chain later can point
//! into the file as well: see [`ChainSpec::at`].
//!
//! ```
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

mod builder;
mod component;
mod error;
mod files;
mod gpu;
mod key;
mod location;
mod name;
mod network;
mod parse;
pub(crate) mod policy;
pub(crate) mod reader;
mod retry;
mod schema;
mod secrets;
mod settings;
mod size;
mod source;
mod spec;
mod validate;

#[cfg(test)]
mod golden;

pub use builder::{ChainBuilder, ChainletBuilder};
pub use component::ComponentSource;
pub use error::{ConfigError, ConfigErrors};
pub use gpu::{AdapterChoice, AdapterChoiceError, AdapterKind, Gpu, GpuHost, Isolation};
pub use key::KeyPath;
pub use location::Location;
pub use name::{
    ChainName, ChainletName, DependencyName, EnvironmentName, InterfaceName, NameError, SecretName, StoreName,
};
pub use network::{HostRule, Network, NetworkRuleError, SocketRule, is_public};
pub use policy::{Breaker, Canary, DependencySpec, Health, Replicas, Rollout};
pub use retry::{RetryKind, UnknownRetryKind};
pub use secrets::{ChainSecrets, Secret, SecretStore, SecretUnavailable};
pub use settings::{SettingValue, Settings};
pub use size::{ByteSize, ByteSizeError};
pub use spec::{Assets, Build, ChainSpec, ChainletSpec, FileMount, Resources};

pub use crate::capability::keyvalue::{ChainletStores, StoreBackend, StoreSpec};
