//! The types into which chain.toml is read, with their defaults.
//!
//! The doc comments on these items are also the descriptions in the JSON Schema that editors show, so they speak to the
//! author of a chain.toml.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;
use serde::Serialize;

use super::builder::ChainBuilder;
use super::chainlet::ChainletSpec;
use super::error::{ConfigError, ConfigErrors};
use super::key::KeyPath;
use super::location::Location;
use super::name::{ChainName, ChainletName, EnvironmentName, StoreName};
use super::parse::Sources;
use super::policy::Rollout;
use super::reader::nearest;
use super::source::Source;
use super::{parse, schema, validate};
use crate::capability::gpu::GpuHost;
use crate::capability::keyvalue::StoreSpec;

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
        parse::chain_file(path.as_ref(), Sources::Built)
    }

    /// Does the same as [`ChainSpec::from_file`], but leaves out what the sources of its chainlets declare: a build is
    /// about to write that.
    ///
    /// # Errors
    /// Fails as [`ChainSpec::from_file`] does.
    pub fn from_file_before_build(path: impl AsRef<Path>) -> Result<Self, ConfigErrors> {
        parse::chain_file(path.as_ref(), Sources::NotBuilt)
    }

    /// Reads the text of a chain.toml that is, or could be, at `origin`. Errors name that path, and relative paths
    /// start from its folder.
    ///
    /// # Errors
    /// Fails if anything is wrong with the text. The errors say everything that is wrong.
    pub fn from_toml(text: &str, origin: &Path) -> Result<Self, ConfigErrors> {
        parse::chain_text(text, origin, Sources::Built)
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
    /// # use chainhost_core as chainhost;
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
