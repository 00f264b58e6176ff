//! The guests: every crate of an example or a test that is compiled to a component.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo::{self, WASM, cargo};
use crate::failure::Failure;
use crate::step::Steps;
use crate::toolchain;

/// The folders whose subfolders may be guests. `*` stands for any folder.
const PLACES: [&str; 3] = ["examples/*", "tests/guests", "benches/guests"];

/// Runs `cargo xtask guests`.
pub fn run(root: &Path) -> Result<(), Failure> {
    let mut steps = Steps::new(2);
    steps.run("Check the toolchain", || toolchain::ensure(root))?;
    steps.run("Build the guests", || build(root))?;
    steps.finish(format_args!("The components are in target/{WASM}/release."));
    Ok(())
}

/// Builds all guests. One command builds all of a workspace, so that shared crates are compiled once.
pub fn build(root: &Path) -> Result<(), Failure> {
    workspaces(root)?.iter().try_for_each(|workspace| cargo::build(&mut workspace.cargo(root, "build")))
}

/// A workspace with guests: that of this repository, or that of an example with its own dependencies.
pub struct Workspace {
    folder: PathBuf,
    /// The packages that are guests, in the order of their folders.
    guests: Vec<String>,
}

impl Workspace {
    /// Makes the command `cargo SUBCOMMAND` for the guests, with the options of their builds.
    pub fn cargo(&self, root: &Path, subcommand: &str) -> Command {
        let mut command = cargo(root, subcommand);
        command.args(["--release", "--target", WASM]);
        if self.folder != root {
            command.arg("--manifest-path").arg(self.folder.join("Cargo.toml"));
        }
        for guest in &self.guests {
            command.args(["--package", guest]);
        }
        command
    }

    /// Makes the command `cargo fmt` for all packages.
    pub fn fmt(&self, root: &Path) -> Command {
        let mut command = cargo(root, "fmt");
        command.current_dir(&self.folder).arg("--all");
        command
    }
}

/// Returns all workspaces with guests, that of this repository first.
pub fn workspaces(root: &Path) -> Result<Vec<Workspace>, Failure> {
    let mut workspaces = vec![Workspace { folder: root.to_owned(), guests: Vec::new() }];
    for place in PLACES {
        let parents = match place.strip_suffix("/*") {
            Some(parent) => folders(&root.join(parent))?,
            None => vec![root.join(place)],
        };
        for parent in parents {
            let mut guests = Vec::new();
            for folder in folders(&parent)? {
                guests.extend(guest_in(&folder)?);
            }
            match workspaces.first_mut() {
                Some(ours) if !is_workspace(&parent)? => ours.guests.append(&mut guests),
                _ => workspaces.push(Workspace { folder: parent, guests }),
            }
        }
    }
    Ok(workspaces)
}

fn is_workspace(folder: &Path) -> Result<bool, Failure> {
    Ok(manifest_in(folder)?.is_some_and(|text| text.lines().any(|line| line == "[workspace]")))
}

/// Returns the folders in `parent`, sorted; none if `parent` does not exist.
fn folders(parent: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !parent.is_dir() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(parent).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.map_err(|error| unreadable(parent, &error))?;
    let mut folders: Vec<_> = entries.iter().map(std::fs::DirEntry::path).filter(|path| path.is_dir()).collect();
    folders.sort();
    Ok(folders)
}

fn guest_in(folder: &Path) -> Result<Option<String>, Failure> {
    Ok(manifest_in(folder)?.and_then(|text| guest(&text).map(str::to_owned)))
}

/// Returns the text of the folder's Cargo.toml, if it has one.
fn manifest_in(folder: &Path) -> Result<Option<String>, Failure> {
    let manifest = folder.join("Cargo.toml");
    if !manifest.is_file() {
        return Ok(None);
    }
    std::fs::read_to_string(&manifest).map(Some).map_err(|error| unreadable(&manifest, &error))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format_args!("{} cannot be read: {error}", path.display()), "check the folder and its permissions")
}

/// Returns the package's name, if its Cargo.toml makes a component: a `cdylib`. Reads only the TOML that these
/// manifests use.
fn guest(manifest: &str) -> Option<&str> {
    let mut section = "";
    let (mut name, mut is_component) = (None, false);
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        match (section, key.trim()) {
            ("[package]", "name") => name = Some(value.trim().trim_matches('"')),
            ("[lib]", "crate-type") => is_component = value.contains("\"cdylib\""),
            _ => {}
        }
    }
    name.filter(|_| is_component)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_is_a_crate_that_becomes_a_cdylib() {
        let manifest = "[package]\nname = \"say-hello\"\n\n[lib]\ncrate-type = [\"cdylib\", \"rlib\"]\n[dependencies]\nname = \"x\"\n";
        assert_eq!(guest(manifest), Some("say-hello"));
        assert_eq!(guest("[package]\nname = \"retrieval\"\n[dependencies]\n"), None);
        assert_eq!(guest("[lib]\ncrate-type = [\"cdylib\"]\n"), None);
    }

    #[test]
    fn the_guests_of_the_examples_and_of_the_tests_are_found() {
        let workspaces = workspaces(&crate::root()).unwrap();
        let packages = &workspaces.first().unwrap().guests;
        for expected in ["say-hello", "hello-all", "search", "search-index", "guest-faulty", "guest-values"] {
            assert!(packages.iter().any(|package| package == expected), "{expected} is not among {packages:?}");
        }
        assert!(!packages.iter().any(|package| package == "retrieval"), "{packages:?}");
    }

    #[test]
    fn an_example_may_have_a_workspace_of_its_own() {
        let root = crate::root();
        let workspaces = workspaces(&root).unwrap();
        let of_examples: Vec<_> =
            workspaces.iter().skip(1).map(|own| (own.folder.clone(), own.guests.clone())).collect();
        assert_eq!(of_examples, [(root.join("examples/burn"), vec!["burn-classify".to_owned()])]);
        let ours = workspaces.first().unwrap();
        assert!(!ours.guests.iter().any(|guest| guest == "burn-classify"), "{:?}", ours.guests);
    }
}
