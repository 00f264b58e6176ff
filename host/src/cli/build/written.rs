//! Checks whether a build command wrote the component that chain.toml names.
//!
//! A command can succeed without writing it. For example, cargo compiles a library that is not a `cdylib`, makes no
//! component of it, and leaves the component of an earlier build in its place.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::SystemTime;

use chainhost::config::{ChainSpec, ChainletName, ComponentSource, ConfigError, KeyPath};
use serde::Deserialize;
use tokio::process::Command;

use super::Step;

/// The component of a chainlet, as it was before the build command ran.
pub struct Component {
    chainlet: ChainletName,
    path: PathBuf,
    stamp: Option<Stamp>,
}

/// The properties of a file that a build changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
}

impl Stamp {
    /// Returns `None` if there is no such file.
    fn of(file: &Path) -> Option<Self> {
        let metadata = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
        Some(Self { modified: metadata.modified().ok(), length: metadata.len() })
    }
}

/// Returns the components that `step` should write.
pub fn before(spec: &ChainSpec, step: &Step) -> Vec<Component> {
    let component = |name: &ChainletName| match &spec.chainlets.get(name)?.component {
        ComponentSource::File(path) => {
            let path = spec.resolve(path);
            Some(Component { chainlet: name.clone(), stamp: Stamp::of(&path), path })
        }
        ComponentSource::Bytes(_) => None,
    };
    step.chainlets.iter().filter_map(component).collect()
}

impl Component {
    /// Rejects a component that is missing after `step` has succeeded, or that the package cannot have made.
    pub async fn check(&self, spec: &ChainSpec, step: &Step) -> Result<(), ConfigError> {
        let now = Stamp::of(&self.path);
        // An unchanged file is no mistake yet: a build that had nothing to do leaves it as it is.
        if now.is_some() && now != self.stamp {
            return Ok(());
        }
        let manifest = match self.path.file_stem().and_then(|stem| stem.to_str()) {
            Some(stem) => manifest_without_cdylib(step, stem).await,
            None => None,
        };
        let path = self.path.display();
        let what = match (now, &manifest) {
            (Some(_), None) => return Ok(()),
            (Some(_), Some(_)) => format!("the component at {path} is of an earlier build"),
            (None, _) => format!("there is no component at {path}"),
        };
        let help = match manifest {
            Some(path) => format!(
                "add `crate-type = [\"cdylib\"]` to the section `[lib]` of {}: cargo makes no component of this package \
                 without it",
                path.display()
            ),
            None => {
                "correct the path, which is relative to chain.toml, or the command, so that it writes this file".into()
            }
        };
        let location = spec.at(KeyPath::from(["chainlets", self.chainlet.as_str(), "component"]));
        let message = format!("the build command of {} ended well, but {what}", self.chainlet);
        Err(ConfigError::new(location, message, help))
    }
}

/// The part of `cargo metadata` that says which files a build makes.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    crate_types: Vec<String>,
}

/// Returns the Cargo.toml of the package whose component would be called `stem`, if the package makes no component.
/// Also returns `None` if the step does not run cargo in a Cargo workspace.
async fn manifest_without_cdylib(step: &Step, stem: &str) -> Option<PathBuf> {
    if !step.command.contains("cargo") {
        return None;
    }
    let mut command = Command::new("cargo");
    command.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(&step.folder);
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).output().await.ok()?;
    let metadata: Metadata = serde_json::from_slice(&output.stdout).ok()?;
    metadata.without_cdylib(stem)
}

impl Metadata {
    fn without_cdylib(self, stem: &str) -> Option<PathBuf> {
        // The file of a library has underscores in place of hyphens. A program becomes a component under its own name.
        let makes =
            |target: &Target, kinds: &[&str]| target.crate_types.iter().any(|kind| kinds.contains(&kind.as_str()));
        let targets = || self.packages.iter().flat_map(|package| &package.targets);
        let is_made = targets().any(|target| {
            makes(target, &["cdylib"]) && target.name.replace('-', "_") == stem
                || makes(target, &["bin"]) && target.name == stem
        });
        if is_made {
            return None;
        }
        let package = self.packages.into_iter().find(|package| {
            let mut libraries = package.targets.iter().filter(|target| makes(target, &["lib", "rlib", "staticlib"]));
            libraries.any(|target| target.name.replace('-', "_") == stem)
        })?;
        Some(package.manifest_path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(targets: &str, stem: &str) -> Option<PathBuf> {
        let json =
            format!(r#"{{"packages": [{{"name": "p", "manifest_path": "/p/Cargo.toml", "targets": [{targets}]}}]}}"#);
        serde_json::from_str::<Metadata>(&json).unwrap().without_cdylib(stem)
    }

    #[test]
    fn a_library_that_is_no_cdylib_makes_no_component() {
        let library = r#"{"name": "say_hello", "kind": ["lib"], "crate_types": ["lib"]}"#;
        assert_eq!(manifest(library, "say_hello"), Some("/p/Cargo.toml".into()));
        assert_eq!(manifest(library, "say-hello"), None);
        assert_eq!(manifest(library, "other"), None);
        // Older versions of cargo keep the hyphens of the package.
        let hyphens = r#"{"name": "say-hello", "kind": ["rlib"], "crate_types": ["rlib"]}"#;
        assert_eq!(manifest(hyphens, "say_hello"), Some("/p/Cargo.toml".into()));
    }

    #[test]
    fn a_cdylib_or_a_program_is_a_component() {
        let both = r#"{"name": "say_hello", "kind": ["cdylib", "rlib"], "crate_types": ["cdylib", "rlib"]}"#;
        assert_eq!(manifest(both, "say_hello"), None);
        let program = r#"{"name": "hello", "kind": ["lib"], "crate_types": ["lib"]},
                         {"name": "hello", "kind": ["bin"], "crate_types": ["bin"]}"#;
        assert_eq!(manifest(program, "hello"), None);
    }
}
