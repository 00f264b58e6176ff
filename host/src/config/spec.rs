//! The types into which chain.toml is read, with their defaults.
//!
//! The doc comments on these items are also the descriptions in the JSON Schema that editors show, so they speak to the
//! author of a chain.toml.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Serialize;

use super::assets::Assets;
use super::build::Build;
use super::builder::{ChainBuilder, ChainletBuilder};
use super::component::ComponentSource;
use super::error::{ConfigError, ConfigErrors};
use super::gpu::GpuHost;
use super::key::KeyPath;
use super::location::Location;
use super::name::{ChainName, ChainletName, DependencyName, EnvironmentName, InterfaceName, StoreName};
use super::network::NetworkAccess;
use super::policy::{DependencySpec, Health, Replicas, Rollout};
use super::reader::nearest;
use super::resources::Resources;
use super::settings::Settings;
use super::source::Source;
use super::{parse, policy, schema, validate};
use crate::capability::keyvalue::{ChainletStores, StoreSpec};

/// The folder in which a build command runs by default: that of chain.toml.
pub(super) const DEFAULT_WORKDIR: &str = ".";

/// A whole chain, checked: every name in it is well-formed, every limit makes sense, and every chainlet to which it
/// refers exists. It is not checked yet whether components and files exist, and whether they fit each other.
///
/// Its fields may be changed afterwards. [`ChainSpec::validate`] then tells whether they still make sense.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ChainSpec {
    /// The name of the chain, for people, logs and metrics.
    pub name: ChainName,
    /// The chainlet that serves the chain's callers. With `None`, it is the one chainlet that is nobody's dependency,
    /// which is found when the chain is loaded.
    pub entrypoint: Option<ChainletName>,
    /// The environment in which the chain runs, as its chainlets are told.
    pub environment: EnvironmentName,
    /// The way in which a new version of the chain replaces the running one.
    pub rollout: Rollout,
    /// The settings of GPU work for the whole chain.
    pub gpu: GpuHost,
    /// The stores of keys and values by name, in the order of the file.
    pub stores: IndexMap<StoreName, StoreSpec>,
    /// The chainlets by name, in the order of the file.
    pub chainlets: IndexMap<ChainletName, ChainletSpec>,
    /// The folder from which relative paths start: that of chain.toml.
    #[serde(skip)]
    pub base_dir: PathBuf,
    #[serde(skip)]
    pub(super) source: Option<Arc<Source>>,
}

/// One chainlet of the chain, for example
///
/// ```toml
/// [chainlets.say-hello]
/// component = "say_hello.wasm"
/// replicas = 2
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[non_exhaustive]
pub struct ChainletSpec {
    /// The component file, relative to chain.toml, for example `component = "say_hello.wasm"`.
    #[schemars(schema_with = "schema::component")]
    pub component: ComponentSource,

    /// The exported interface whose `run-remote` is served, for example `export = "demo:hello/greeter@1.0.0"`. It is
    /// needed only if the component exports several.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default, with = "InterfaceName")]
    pub export: Option<InterfaceName>,

    /// The way to build the component file, for `chainhost build` and `serve --build`. Either the command alone,
    /// `build = "cargo build --release --target wasm32-wasip2"`, or with its folder,
    /// `build = { command = "make", workdir = "say-hello" }`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default, schema_with = "schema::row_type::<Build>")]
    pub build: Option<Build>,

    /// The number of live instances, each of which runs `init` once. Either a number, `replicas = 2`, or bounds between
    /// which it follows the load, `replicas = { min = 1, max = 4 }`.
    #[schemars(default, schema_with = "schema::row_type::<Replicas>")]
    pub replicas: Replicas,

    /// The most calls that one replica serves at once, for example `concurrency = 4`. A `run-remote` that is not async
    /// serves one call at a time, whatever this says.
    #[schemars(default = "defaults::concurrency", range(min = 1))]
    pub concurrency: u32,

    /// The most calls that may wait for a replica, for example `queue = 64`. Further calls are rejected as overloaded.
    /// With `queue = 0`, every call that cannot start at once is rejected.
    #[schemars(default = "defaults::queue")]
    pub queue: u32,

    /// The longest time that a replica may take to start, including its `init`, for example `start_timeout = "10m"`. A
    /// replica that takes longer is ended.
    #[serde(serialize_with = "policy::duration")]
    #[schemars(default = "defaults::start_timeout_text", with = "String")]
    pub start_timeout: Duration,

    /// The longest time for which a guest may hold a call that nobody waits for any more, for example `grace = "2m"`.
    /// After that, another replica takes its place. The guest is told at once that the call is over.
    #[serde(serialize_with = "policy::duration")]
    #[schemars(default = "defaults::grace_text", with = "String")]
    pub grace: Duration,

    /// The longest time for which a guest may compute without returning to its event loop while a call of it is over,
    /// for example `stall = "5s"`. After that, another replica takes its place. A guest that computes can let go of no
    /// call meanwhile.
    #[serde(serialize_with = "policy::duration")]
    #[schemars(default = "defaults::stall_text", with = "String")]
    pub stall: Duration,

    /// The health checks, for a component that exports `chainlet:host/health`, for example
    /// `health = { interval = "1s", failures = 3 }`.
    #[schemars(default)]
    pub health: Health,

    /// The parts of the machine that the chainlet may use, for example `resources = { memory = "256MiB" }`.
    #[schemars(default)]
    pub resources: Resources,

    /// The parts of its surroundings that the chainlet may see, for example
    /// `assets = { secrets = ["hf_access_token"] }`. It sees nothing that is not named here.
    #[schemars(default)]
    pub assets: Assets,

    /// The hosts and addresses that the chainlet may reach over the network, for example
    /// `network = { hosts = ["api.example.com"] }`. It reaches nothing that is not named here.
    #[schemars(default)]
    pub network: NetworkAccess,

    /// The stores of keys and values that the chainlet may open through `wasi:keyvalue`: their names, for example
    /// `stores = ["sessions"]`, or the names that the chainlet has for them, `stores = { default = "sessions" }`.
    #[serde(skip_serializing_if = "ChainletStores::is_empty")]
    #[schemars(default)]
    pub stores: ChainletStores,

    /// Plain settings of any shape, which the chainlet reads as JSON, for example `config = { greeting = "Hello" }`. Do
    /// not put secrets here. Put their names into `assets.secrets`.
    #[schemars(default, with = "serde_json::Map<String, serde_json::Value>")]
    pub config: Settings,

    /// Settings of capabilities that the program which embeds the host adds, each in a table of the capability's name, for
    /// example `capabilities.search = { index = "products" }`.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    #[schemars(default, with = "serde_json::Map<String, serde_json::Value>")]
    pub capabilities: IndexMap<String, Settings>,

    /// The chainlet's dependencies, by the name under which it imports them. A dependency that is not listed here is
    /// the chainlet of the same name, or else the only one that exports the imported interface.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    #[schemars(default, schema_with = "schema::row_type::<IndexMap<DependencyName, DependencySpec>>")]
    pub depends: IndexMap<DependencyName, DependencySpec>,
}

impl ChainSpec {
    /// Begins a chain in code.
    pub fn builder(name: impl Into<String>) -> ChainBuilder {
        ChainBuilder::new(name.into())
    }

    /// Reads a chain.toml. Relative paths in it start from its folder.
    ///
    /// # Errors
    /// Fails if the file cannot be read, or if anything is wrong with it. The errors say everything that is wrong.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ConfigErrors> {
        parse::chain_file(path.as_ref())
    }

    /// Reads the text of a chain.toml that is, or could be, at `origin`. Errors name that path, and relative paths
    /// start from its folder.
    ///
    /// # Errors
    /// Fails if anything is wrong with the text. The errors say everything that is wrong.
    pub fn from_toml(text: &str, origin: &Path) -> Result<Self, ConfigErrors> {
        parse::chain_text(text, origin)
    }

    /// Repeats the checks that were made when the spec was made, for a spec that was changed since.
    ///
    /// # Errors
    /// Fails if anything no longer makes sense. The errors say everything that does not.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        ConfigErrors::check(validate::check(
            &self.chainlets,
            &self.stores,
            self.entrypoint.as_ref(),
            self.rollout,
            &|key| self.at(key),
        ))
    }

    /// Returns an error for each table of `capabilities` that is not one of `known`.
    pub(crate) fn unknown_capabilities(&self, known: impl Iterator<Item = &'static str> + Clone) -> Vec<ConfigError> {
        let chainlets = self.chainlets.iter();
        let settings = chainlets.flat_map(|(name, chainlet)| chainlet.capabilities.keys().map(move |key| (name, key)));
        let unknown = settings.filter(|(_, key)| !known.clone().any(|known| known == key.as_str()));
        let errors = unknown.map(|(name, key)| {
            let place = KeyPath::root().key("chainlets").key(name).key("capabilities").key(key);
            let help = match nearest(key, known.clone()) {
                Some(near) => format!("did you mean {near}?"),
                None => "remove the table, or run the chain in the program that adds this capability".to_owned(),
            };
            ConfigError::new(self.at(place), format!("this host has no capability named {key}"), help)
        });
        errors.collect()
    }

    /// Returns the place where `key` was set, for an error about it. If the file does not have the key, returns the
    /// nearest table around it. For a spec that was built in code, returns only the key's path.
    ///
    /// ```
    /// # use chainhost::config::{ChainSpec, ConfigErrors};
    /// # use std::path::Path;
    /// let text = "[chain]\nname = \"c\"\n[chainlets.a]\ncomponent = \"a.wasm\"\n";
    /// let spec = ChainSpec::from_toml(text, Path::new("chain.toml"))?;
    /// assert_eq!(spec.at(["chainlets", "a", "component"]).to_string(), "chain.toml:4:13: chainlets.a.component");
    /// # Ok::<(), ConfigErrors>(())
    /// ```
    #[must_use]
    pub fn at(&self, key: impl Into<KeyPath>) -> Location {
        let key = key.into();
        match &self.source {
            Some(source) => source.locate(&key),
            None => Location::in_code(key),
        }
    }

    /// Returns the path of a file that the spec names: `path` itself if it is absolute, or else `path` as seen from the
    /// folder of chain.toml.
    #[must_use]
    pub fn resolve(&self, path: impl AsRef<Path>) -> PathBuf {
        // Joining "." would only make the paths in messages longer.
        if self.base_dir == Path::new(DEFAULT_WORKDIR) {
            return path.as_ref().to_owned();
        }
        self.base_dir.join(path)
    }

    /// Returns the JSON Schema of chain.toml, with which editors complete and check it.
    #[must_use]
    pub fn json_schema() -> serde_json::Value {
        schema::json_schema()
    }
}

impl ChainletSpec {
    /// Begins a chainlet in code, from the path or the bytes of its component.
    pub fn builder(component: impl Into<ComponentSource>) -> ChainletBuilder {
        ChainletBuilder::new(component.into())
    }

    /// Returns a chainlet with defaults for everything but its component.
    #[must_use]
    pub fn new(component: impl Into<ComponentSource>) -> Self {
        Self {
            component: component.into(),
            export: None,
            build: None,
            replicas: Replicas::default(),
            concurrency: defaults::concurrency(),
            queue: defaults::queue(),
            start_timeout: defaults::START_TIMEOUT,
            grace: defaults::GRACE,
            stall: defaults::STALL,
            health: Health::default(),
            resources: Resources::default(),
            assets: Assets::default(),
            network: NetworkAccess::default(),
            stores: ChainletStores::default(),
            config: Settings::default(),
            capabilities: IndexMap::new(),
            depends: IndexMap::new(),
        }
    }
}

/// The defaults that are not simply "nothing".
pub(super) mod defaults {
    use std::time::Duration;

    use super::policy;

    /// Loading a model from a slow disk takes minutes. But a start that hangs should come to light before somebody
    /// gives up on it.
    pub(in super::super) const START_TIMEOUT: Duration = Duration::from_secs(5 * 60);

    /// Longer than most calls take: a client that leaves, or that waits only for a moment, must not cause the end of a
    /// replica.
    pub(in super::super) const GRACE: Duration = Duration::from_secs(30);

    /// Longer than a guest should compute in one piece, and short enough that a chainlet which hangs is soon back.
    pub(in super::super) const STALL: Duration = Duration::from_secs(1);

    pub(in super::super) fn stall_text() -> String {
        policy::defaults::text(STALL)
    }

    pub(in super::super) fn grace_text() -> String {
        policy::defaults::text(GRACE)
    }

    pub(in super::super) fn start_timeout_text() -> String {
        policy::defaults::text(START_TIMEOUT)
    }

    pub(in super::super) fn concurrency() -> u32 {
        16
    }

    pub(in super::super) fn queue() -> u32 {
        1024
    }
}
