//! The contract between the host and a capability.

use std::fmt::{self, Display};
use std::future::{Future, ready};
use std::sync::Arc;

use futures::future::BoxFuture;
use indexmap::IndexMap;
use serde::de::DeserializeOwned;
use wasmtime::component::Linker;
use wasmtime_wasi::WasiCtxBuilder;

use super::measure::Measure;
use crate::chainlet::state::ReplicaState;
use crate::component::Component;
use crate::config::{ChainSpec, ChainletName, ChainletSpec, ConfigError, KeyPath, Secret, SecretName, StoreName};

/// A part of the host that guests may import: its interfaces, and the code behind them.
///
/// The host calls the methods of a capability in this order:
///
/// 1. [`allows`](Capability::allows), for each chainlet, while a chain is checked or loaded. No guest runs yet. After
///    it, `chainhost check` calls [`rows`](Capability::rows). When a chain is loaded, it runs once more before `grant`.
/// 2. [`grant`](Capability::grant), for each chainlet that may use the capability, before its first replica starts. The
///    grant is shared by all replicas of the chainlet.
/// 3. [`add_to_linker`](Capability::add_to_linker), for the same chainlets. The linker of any other chainlet does not
///    have the interfaces. It also runs when the host is built and when a component is checked, whatever `allows` says.
/// 4. [`state`](Capability::state), for each replica that starts. The state lives in the replica's store, where the
///    functions of the capability find it by [`ReplicaState::of_mut`]. The host drops it when the replica ends, and
///    drops the grant after the last replica.
///
/// `examples/embed` has a whole capability with its guest.
pub trait Capability: Send + Sync + 'static {
    /// The part that all replicas of one chainlet share.
    type Grant: Send + Sync + 'static;
    /// The part that the store of one replica holds.
    type State: Send + 'static;

    /// Returns the name of the capability, such as `gpu`: lowercase words joined by hyphens.
    ///
    /// The names of its metrics begin with `chainhost_chainlet_THIS_`. The settings of a capability that an embedder adds
    /// are in `[chainlets.NAME.capabilities.THIS]` of chain.toml. Those of this crate have keys of their own.
    fn name(&self) -> &'static str;

    /// Returns the interfaces that the capability adds, without versions, such as `example:clock/now`.
    fn interfaces(&self) -> &'static [&'static str];

    /// Adds the functions of the capability to the linker of a chainlet.
    ///
    /// # Errors
    ///
    /// Fails if the linker has one of the names already.
    fn add_to_linker(&self, linker: &mut Linker<ReplicaState>) -> wasmtime::Result<()>;

    /// Returns true if a chainlet may use the capability. By default every chainlet may. If it may not and its component
    /// imports an interface of the capability, the chain does not load.
    ///
    /// Check here everything that a user can get wrong, because this also runs for `chainhost check`. Change nothing:
    /// the chain may never start.
    ///
    /// # Errors
    ///
    /// Fails if the settings of the chainlet are wrong, or if the machine cannot give what they ask for.
    fn allows(&self, chainlet: &GrantRequest<'_>) -> impl Future<Output = Result<bool, ConfigError>> + Send {
        let _ = chainlet;
        ready(Ok(true))
    }

    /// Makes the part that the replicas of a chainlet share. The host calls this inside its tokio runtime, after
    /// `allows` returned true.
    ///
    /// # Errors
    ///
    /// Fails if the chainlet cannot have the capability after all. The chain then does not start.
    fn grant(&self, chainlet: &GrantRequest<'_>) -> impl Future<Output = Result<Self::Grant, ConfigError>> + Send;

    /// Makes the part that the store of replica number `replica` holds. `wasi` becomes the replica's WASI context.
    ///
    /// # Errors
    ///
    /// Fails if the replica cannot start without something that is missing.
    fn state(
        &self,
        grant: &Arc<Self::Grant>,
        replica: u32,
        wasi: &mut WasiCtxBuilder,
    ) -> Result<Self::State, StateError>;

    /// Returns a future that is ready when the replica that holds `state` can no longer do its work; then the host
    /// replaces the replica. By default there is none.
    fn lost(&self, state: &Self::State) -> Option<BoxFuture<'static, Loss>> {
        let _ = state;
        None
    }

    /// Returns the rows that `chainhost check` prints for a chainlet that may use the capability.
    fn rows(&self, chainlet: &GrantRequest<'_>) -> Vec<Row> {
        let _ = chainlet;
        Vec::new()
    }

    /// Returns the current values of the metrics of one chainlet. They must have the same names for all chainlets.
    fn measures(&self, grant: &Self::Grant) -> Vec<Measure> {
        let _ = grant;
        Vec::new()
    }
}

/// A chainlet that is to get a capability.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct GrantRequest<'a> {
    /// The whole chain.
    pub chain: &'a ChainSpec,
    /// The name of the chainlet.
    pub name: &'a ChainletName,
    /// The chainlet as chain.toml describes it.
    pub chainlet: &'a ChainletSpec,
    /// The component of the chainlet.
    pub component: &'a Component,
    /// The values of the chainlet's secrets. It is empty in [`Capability::allows`] and [`Capability::rows`].
    pub secrets: &'a IndexMap<SecretName, Secret>,
    /// The URLs of stores that are secrets. It is empty when `secrets` is.
    pub(crate) store_urls: &'a IndexMap<StoreName, Secret>,
}

impl GrantRequest<'_> {
    /// Returns the key of the chainlet in chain.toml, `chainlets.NAME`, for the place of an error.
    #[must_use]
    pub fn key(&self) -> KeyPath {
        KeyPath::root().key("chainlets").key(self.name)
    }

    /// Returns the first import of the component, with its version, that is one of `interfaces`.
    #[must_use]
    pub fn import_of(&self, interfaces: &[&str]) -> Option<&str> {
        let is_one = |import: &&String| interfaces.contains(&without_version(import));
        self.component.capabilities.iter().find(is_one).map(String::as_str)
    }

    /// Reads `[chainlets.NAME.capabilities.CAPABILITY]` of chain.toml. An absent table reads as an empty one.
    ///
    /// # Errors
    ///
    /// Fails, with the place in chain.toml, if the table does not fit `T`.
    pub fn settings<T: DeserializeOwned>(&self, capability: &str) -> Result<T, ConfigError> {
        let key = self.key().key("capabilities").key(capability);
        let settings = self.chainlet.capabilities.get(capability).cloned().unwrap_or_default();
        settings.read().map_err(|(path, error)| {
            let place = path.iter().fold(key, |key, segment| key.key(segment));
            ConfigError::new(
                self.chain.at(place),
                error,
                format!("see the documentation of the capability {capability}"),
            )
        })
    }
}

/// Returns the name of an interface without its version.
pub(super) fn without_version(interface: &str) -> &str {
    interface.split_once('@').map_or(interface, |(name, _)| name)
}

/// A line of `chainhost check` about one chainlet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The first column, of one word.
    pub title: String,
    /// The rest of the line.
    pub value: String,
}

impl Row {
    /// Makes a row.
    pub fn new(title: impl Into<String>, value: impl Display) -> Self {
        Row { title: title.into(), value: value.to_string() }
    }
}

/// The reason why a replica can no longer do its work, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// One word for the field `reason`, such as `device-lost`.
    pub reason: &'static str,
    /// The message, with the replica as its subject: `replica has lost its GPU device`.
    pub message: &'static str,
}

/// The reason why a replica cannot have the state of a capability.
#[derive(Debug)]
pub struct StateError {
    pub(crate) message: String,
    pub(crate) help: Option<String>,
    pub(crate) is_of_the_machine: bool,
}

impl StateError {
    /// Makes an error from a message that says what is missing.
    pub fn new(message: impl Display) -> Self {
        StateError { message: message.to_string(), help: None, is_of_the_machine: false }
    }

    /// Adds what to do, for an error of the machine or of a limit of this process.
    pub(crate) fn of_the_machine(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self.is_of_the_machine = true;
        self
    }
}

impl Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for StateError {}
