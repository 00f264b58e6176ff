//! The guests: every crate of an example or a test that is compiled to a component.

use std::path::{Path, PathBuf};

use crate::cargo::{WASM, cargo, succeed};
use crate::failure::Failure;
use crate::step::Steps;
use crate::toolchain;

/// The folders whose folders may be guests; `*` is any folder.
const PLACES: [&str; 3] = ["examples/*", "tests/guests", "benches/guests"];

/// `cargo xtask guests`.
pub fn run(root: &Path) -> Result<(), Failure> {
    let mut steps = Steps::new(2);
    steps.run("Check the toolchain", || toolchain::ensure(root))?;
    steps.run("Build the guests", || build(root))?;
    steps.finish(format_args!("The components are in target/{WASM}/release."));
    Ok(())
}

/// Builds all guests with one command, so that what they share is compiled once.
pub fn build(root: &Path) -> Result<(), Failure> {
    let mut command = cargo(root, "build");
    command.args(["--release", "--target", WASM]);
    for package in packages(root)? {
        command.args(["--package", &package]);
    }
    succeed(&mut command)
}

/// The packages that are guests, in the order of their folders.
pub fn packages(root: &Path) -> Result<Vec<String>, Failure> {
    let mut packages = Vec::new();
    for place in PLACES {
        let parents = match place.strip_suffix("/*") {
            Some(parent) => folders(&root.join(parent))?,
            None => vec![root.join(place)],
        };
        for parent in parents {
            for folder in folders(&parent)? {
                packages.extend(guest_in(&folder)?);
            }
        }
    }
    Ok(packages)
}

/// The folders in `parent`, sorted; none where there is no `parent`.
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
    let manifest = folder.join("Cargo.toml");
    if !manifest.is_file() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&manifest).map_err(|error| unreadable(&manifest, &error))?;
    Ok(guest(&text).map(str::to_owned))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format_args!("{} cannot be read: {error}", path.display()), "check the folder and its permissions")
}

/// The package's name, if a Cargo.toml makes a component: a `cdylib`. As much TOML as the manifests here have.
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
        let packages = packages(&crate::root()).unwrap();
        for expected in ["say-hello", "hello-all", "search", "search-index", "guest-faulty", "guest-values"] {
            assert!(packages.iter().any(|package| package == expected), "{expected} is not among {packages:?}");
        }
        assert!(!packages.iter().any(|package| package == "retrieval"), "{packages:?}");
    }
}
