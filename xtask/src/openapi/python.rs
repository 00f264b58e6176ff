//! The tools in Python: schemathesis, which makes requests from a document, and openapi-python-client, which makes a
//! client.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::tools::{fetched, quietly};
use crate::cargo::succeed;
use crate::failure::Failure;
use crate::machine;
use crate::step::say;

/// The folder of a virtual environment with its programs.
const PROGRAMS: &str = if cfg!(windows) { "Scripts" } else { "bin" };

/// A virtual environment with the tools.
pub struct Python {
    programs: PathBuf,
    settings: PathBuf,
}

impl Python {
    /// Makes the environment in the cache, unless it is there.
    ///
    /// # Errors
    /// Fails without Python, or if PyPI cannot be reached.
    pub fn prepare(settings: &Path) -> Result<Self, Failure> {
        let list = settings.join("requirements.txt");
        let folder = fetched("python", &list, |folder| {
            if !has_venv() {
                say("missing: python3 with its module venv");
                machine::install_as_root(&["python3", "python3-venv"]);
            }
            quietly(
                Command::new("python3").args(["-m", "venv"]).arg(folder),
                "install Python 3.10 or newer with its module venv (Debian's python3-venv)",
            )?;
            install(&folder.join(PROGRAMS), &["--requirement".as_ref(), list.as_os_str()])
        })?;
        Ok(Python { programs: folder.join(PROGRAMS), settings: settings.to_owned() })
    }

    /// Installs one more package, at a version, and returns the folder of its programs.
    pub fn add(&self, package: &str) -> Result<&Path, Failure> {
        install(&self.programs, &[package.as_ref()])?;
        Ok(&self.programs)
    }

    /// Tests the server at `url` with schemathesis and the server's own document. `folder` gets the files that
    /// schemathesis keeps for the next run.
    pub fn test(&self, url: &str, requests: u32, folder: &Path) -> Result<(), Failure> {
        let mut command = Command::new(self.programs.join("schemathesis"));
        command
            .current_dir(folder)
            .env("SCHEMATHESIS_HOOKS", self.settings.join("hooks.py"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .arg("--config-file")
            .arg(self.settings.join("schemathesis.toml"))
            .args(["run", "--checks", "all", "--max-examples", &requests.to_string()])
            .arg(format!("{url}/openapi.json"));
        succeed(&mut command)
    }

    /// Makes a client for `document` in `folder`, and calls the chain at `url` with it.
    pub fn call(&self, document: &Path, folder: &Path, url: &str) -> Result<(), Failure> {
        succeed(
            Command::new(self.programs.join("openapi-python-client"))
                .args(["generate", "--meta", "none"])
                .arg("--path")
                .arg(document)
                .arg("--output-path")
                .arg(folder.join("hello_client"))
                .arg("--config")
                .arg(self.settings.join("generator.yaml")),
        )?;
        succeed(Command::new(self.programs.join("python")).arg(self.settings.join("call.py")).arg(folder).arg(url))
    }
}

/// Returns true if the machine's Python can make a virtual environment with pip.
fn has_venv() -> bool {
    let modules = Command::new("python3").args(["-c", "import ensurepip, venv"]).output();
    modules.is_ok_and(|output| output.status.success())
}

fn install(programs: &Path, what: &[&OsStr]) -> Result<(), Failure> {
    quietly(
        Command::new(programs.join("python"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(what),
        "look whether PyPI, or the index that pip is set to, can be reached",
    )
}
