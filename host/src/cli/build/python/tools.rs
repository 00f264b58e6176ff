//! The tools that make components of Python: a Python, the SDK, componentize-py, and the packages of the chain.
//!
//! The user needs Python 3.10 or later, with `pip` or `uv`. Everything else comes from here: componentize-py is installed
//! once for each version, to the user's cache, and the SDK is a part of this program. Packages of the chain go to
//! `build/packages`. Python runs without those that it has already (`-S`), because a component must not depend on what
//! happens to be installed where it is built.

mod install;
mod sdk;

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, SystemTime};

use etcetera::BaseStrategy as _;
use serde::Deserialize;
use tokio::process::Command;

use self::install::Installer;
use crate::cli::{Exit, Failure};

/// The variable that names the Python to use.
const PYTHON: &str = "CHAINHOST_PYTHON";

/// The packages that the SDK needs to build, from `guest-sdk/python/requirements-dev.txt`: componentize-py in the one
/// version that the SDK works with, and pydantic, which reads the models.
const BUILDER: &str = include_str!("tools/requirements.txt");

/// The time after which a component of live mode that nobody uses is removed.
const UNUSED: Duration = Duration::from_hours(30 * 24);

/// The least version of Python on which the SDK runs.
const LEAST: (u32, u32) = (3, 10);

/// What a build of Python runs.
pub struct Tools {
    python: OsString,
    /// The folders in which that Python finds modules.
    path: Vec<PathBuf>,
    /// The folder with the program componentize-py.
    programs: PathBuf,
    /// The folder with the packages of the chain. It is missing if there are none.
    packages: PathBuf,
    /// The folder with the components of live mode.
    live: PathBuf,
}

impl Tools {
    /// Finds or installs everything for the chain in `folder`.
    pub async fn prepare(folder: &Path) -> Result<Self, Failure> {
        let python = std::env::var_os(PYTHON).unwrap_or_else(|| "python3".into());
        let version = version(&python).await?;
        let cache = etcetera::choose_base_strategy()
            .map(|strategy| strategy.cache_dir().join("chainhost").join("python"))
            .map_err(|error| {
                Failure::new(Exit::System, format_args!("there is no folder for a cache: {error}; set XDG_CACHE_HOME"))
            })?;
        let installer = Installer { python: python.clone(), version };
        let builder = cache.join(format!("builder-{}", install::name_of(BUILDER, &installer.version)));
        installer.install(BUILDER, &builder, install::What::Tool).await?;
        // The builder works in a folder of its own.
        let folder = std::path::absolute(folder)
            .map_err(|error| Failure::system(format_args!("{} has no path", folder.display()), &error))?;
        let packages = install::packages(&folder, &installer).await?;
        let sdk = sdk::folder(&cache)?;
        let programs = builder.join(if cfg!(windows) { "Scripts" } else { "bin" });
        let path = vec![sdk, builder, packages.clone()];
        Ok(Tools { python, path, programs, packages, live: cache.join("live") })
    }

    /// Returns the path of the component of live mode for `key` and the packages of the chain. It may be there already.
    /// Notes its use, and removes those that were not used for long.
    pub fn live_component(&self, key: &str) -> Result<PathBuf, Failure> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(key.as_bytes()).update(BUILDER.as_bytes());
        hasher.update(&install::stamp(&self.packages));
        let name = hasher.finalize().to_hex().chars().take(32).collect::<String>();
        let path = self.live.join(name).with_extension("wasm");
        let now = SystemTime::now();
        if let Ok(file) = std::fs::File::options().append(true).open(&path) {
            // Only the order of removal suffers if this fails.
            let _ = file.set_modified(now);
        }
        for file in std::fs::read_dir(&self.live).into_iter().flatten().flatten() {
            let used = file.metadata().and_then(|metadata| metadata.modified()).unwrap_or(now);
            if now.duration_since(used).is_ok_and(|time| time > UNUSED) {
                std::fs::remove_file(file.path()).map_err(|error| {
                    Failure::system(format_args!("{} cannot be removed", file.path().display()), &error)
                })?;
            }
        }
        Ok(path)
    }

    /// Returns the folder with the packages of the chain. It is missing if there are none.
    pub fn packages(&self) -> &Path {
        &self.packages
    }

    /// Runs `python -m chainlet.build` with `arguments`, one of which is `--json`, and returns what it wrote to stdout.
    pub async fn run(&self, arguments: &[&OsStr]) -> Result<Vec<u8>, Failure> {
        let join = |paths: Vec<PathBuf>| {
            std::env::join_paths(paths).map_err(|error| Failure::new(Exit::System, format_args!("{error}; rename it")))
        };
        let programs = std::env::var_os("PATH").unwrap_or_default();
        let programs = [self.programs.clone()].into_iter().chain(std::env::split_paths(&programs)).collect();
        let mut command = Command::new(&self.python);
        command.arg("-S").args(["-m", "chainlet.build"]).args(arguments);
        command.env("PYTHONPATH", join(self.path.clone())?).env("PATH", join(programs)?);
        command.env("PYTHONDONTWRITEBYTECODE", "1").env_remove("PYTHONHOME").env_remove("VIRTUAL_ENV");
        let output = output(&mut command).await?;
        match output.status.code() {
            Some(0) => Ok(output.stdout),
            // The user's mistake.
            Some(1) if let Ok(Refusal { error }) = serde_json::from_slice(&output.stdout) => {
                Err(Failure::new(Exit::Build, error.message()))
            }
            _ => {
                let said = String::from_utf8_lossy(&output.stderr);
                let what = format_args!("the build of the component failed ({}):\n{}", output.status, said.trim_end());
                Err(Failure::new(Exit::Build, what))
            }
        }
    }
}

/// The answer of a build that meets a mistake of the user.
#[derive(Deserialize)]
struct Refusal {
    error: Mistake,
}

/// A mistake of the user, or something that the user should know.
#[derive(Debug, Deserialize)]
pub struct Mistake {
    file: Option<String>,
    line: Option<u32>,
    message: String,
    help: String,
}

impl Mistake {
    /// Returns the text with its place and its help.
    pub fn message(&self) -> String {
        let place = match (&self.file, self.line) {
            (Some(file), Some(line)) => format!("{file}:{line}: "),
            (Some(file), None) => format!("{file}: "),
            (None, _) => String::new(),
        };
        format!("{place}{}\nhelp: {}", self.message, self.help)
    }
}

/// Returns the version of `python`, such as `3.12`.
async fn version(python: &OsStr) -> Result<String, Failure> {
    let mut command = Command::new(python);
    command.args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]);
    let help = format!("install Python {}.{} or later, or name one in the variable {PYTHON}", LEAST.0, LEAST.1);
    let name = python.display();
    let output = match output(&mut command).await {
        Ok(output) if output.status.success() => output,
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(Failure::new(Exit::Build, format_args!("{name} does not work: {}\nhelp: {help}", said.trim())));
        }
        Err(error) => return Err(Failure::new(Exit::Build, format_args!("{error}\nhelp: {help}"))),
    };
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let parts = version.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    match parts {
        Some(parts) if parts >= LEAST => Ok(version),
        _ => Err(Failure::new(Exit::Build, format_args!("{name} is Python {version}, which is too old\nhelp: {help}"))),
    }
}

/// Runs `command` to its end.
async fn output(command: &mut Command) -> Result<Output, Failure> {
    let started = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
    started.map_err(|error: io::Error| {
        let program = command.as_std().get_program().display().to_string();
        Failure::new(Exit::Build, format_args!("{program} cannot be run: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_told_with_its_place_and_its_help() {
        let read = |json: &str| serde_json::from_str::<Refusal>(json).unwrap().error.message();
        let json = r#"{"error": {"file": "c.py", "line": 3, "message": "`x` has no type", "help": "write its type"}}"#;
        assert_eq!(read(json), "c.py:3: `x` has no type\nhelp: write its type");
        let json = r#"{"error": {"file": null, "line": null, "message": "m", "help": "h"}}"#;
        assert_eq!(read(json), "m\nhelp: h");
    }

    #[tokio::test]
    async fn a_python_that_is_missing_is_named_with_the_remedy() {
        let message = version("no-such-python".as_ref()).await.unwrap_err().to_string();
        assert!(message.starts_with("no-such-python cannot be run: "), "{message}");
        assert!(message.ends_with("help: install Python 3.10 or later, or name one in the variable CHAINHOST_PYTHON"));
    }
}
