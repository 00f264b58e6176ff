//! Virtual environments of Python in the cache, each with the packages of one list.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;
use crate::machine::python;
use crate::tools::{fetched, quietly};

/// The folder of a virtual environment with its programs.
const PROGRAMS: &str = if cfg!(windows) { "Scripts" } else { "bin" };

/// A virtual environment.
pub struct Environment {
    programs: PathBuf,
}

impl Environment {
    /// Makes an environment in `folder` with the packages of `list`, which pip reads. An environment that is there stays,
    /// unless the list or the machine's Python has changed.
    ///
    /// # Errors
    /// Fails without a Python that is new enough, or if PyPI cannot be reached.
    pub fn prepare(folder: &Path, list: &Path) -> Result<Self, Failure> {
        let python = python::ensure()?;
        let packages = fs::read_to_string(list).map_err(|error| {
            Failure::new(format_args!("{}: {error}", list.display()), "look whether the file is there")
        })?;
        let environment = Environment { programs: folder.join(PROGRAMS) };
        fetched(folder, &format!("# {python}\n{packages}"), || {
            quietly(
                Command::new(python::PROGRAM).args(["-m", "venv"]).arg(folder),
                "install Python with its module venv (Debian's python3-venv)",
            )?;
            environment.install(&["--requirement".as_ref(), list.as_os_str()])
        })?;
        Ok(environment)
    }

    /// Installs one more package, at a version.
    pub fn add(&self, package: &str) -> Result<(), Failure> {
        self.install(&[package.as_ref()])
    }

    /// Returns the folder of its programs.
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    /// Makes a command for one of its programs.
    pub fn program(&self, name: &str) -> Command {
        Command::new(self.programs.join(name))
    }

    fn install(&self, what: &[&OsStr]) -> Result<(), Failure> {
        quietly(
            self.program("python").args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(what),
            "look whether PyPI, or the index that pip is set to, can be reached",
        )
    }
}
