//! `cargo xtask python`: checks the SDK for Python, and runs its tests.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache;
use crate::cargo::{build_host, chainhost, forget_this_package, target_dir};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::step::{self, Steps};
use crate::tools::quietly;

/// The package, relative to the top of the repository.
const SDK: &str = "guest-sdk/python";
/// The example in Python, relative to the top of the repository.
const EXAMPLE: &str = "examples/hello-python";
/// The list of tools in the folder of the package, with all that they need. The first lines of the file have the command
/// that makes it anew, with newer versions.
const LIST: &str = "requirements-dev.txt";

/// The number of steps of [`check`] and [`Checked::test_with_host`] together.
pub const STEPS: usize = 4;

/// The number of components that the cache keeps. The tests build four for each state of the SDK, of 28 MB each.
const KEPT: usize = 16;

/// The SDK, once its checks and its tests without the host have passed.
pub struct Checked {
    sdk: PathBuf,
    environment: Environment,
    /// The folder that pytest keeps for the next run. The tests put components there, which take minutes to build.
    kept: PathBuf,
}

/// Does everything in this file.
pub fn run(root: &Path) -> Result<(), Failure> {
    let mut steps = Steps::new(1 + STEPS);
    let checked = check(root, &mut steps)?;
    steps.run("Build chainhost", || build_host(root))?;
    checked.test_with_host(root, &mut steps)?;
    steps.finish("The Python SDK passes its checks and tests.");
    Ok(())
}

/// Fetches the tools, and does what needs no `chainhost`.
pub fn check(root: &Path, steps: &mut Steps) -> Result<Checked, Failure> {
    let sdk = root.join(SDK);
    let cache = cache::folder("python-sdk")?;
    let environment = steps.run("Fetch the tools of the Python SDK", || {
        Environment::prepare(&cache.join("environment"), &sdk.join(LIST))
    })?;
    let checked = Checked { sdk, environment, kept: cache.join("pytest") };
    steps.run("Check the Python SDK with ruff and mypy", || checked.lint(&target_dir(root).join("python")))?;
    steps.run("Run the tests of the Python SDK and its example under plain Python", || {
        checked.pytest(&checked.sdk, &["-m", "not host"], |_| {})?;
        let source = checked.sdk.join("src");
        checked.pytest(&root.join(EXAMPLE), &["test_hello_chain.py"], |pytest| {
            pytest.env("PYTHONPATH", source);
        })
    })?;
    Ok(checked)
}

impl Checked {
    /// Runs the tests that serve chains with the program `chainhost`, which is built.
    pub fn test_with_host(&self, root: &Path, steps: &mut Steps) -> Result<(), Failure> {
        steps.run("Run the tests of the Python SDK under chainhost", || {
            self.pytest(&self.sdk, &["-m", "host"], |pytest| {
                pytest.env("CHAINHOST", chainhost(root));
            })?;
            let components = self.kept.join("d/components");
            keep_newest(&components, KEPT).map_err(|error| {
                Failure::new(
                    format_args!("{}: {error}", components.display()),
                    format_args!("look whether {SDK}/tests/conftest.py still puts components there"),
                )
            })
        })
    }

    /// Checks style, format and types. `folder` gets what the tools keep for the next run.
    fn lint(&self, folder: &Path) -> Result<(), Failure> {
        let files = ["src", "tests"];
        let mut ruff = self.tool("ruff", &self.sdk);
        ruff.arg("check").args(files).arg("--cache-dir").arg(folder.join("ruff"));
        quietly(&mut ruff, &format!("correct it; in {SDK}, `ruff check --fix src tests` corrects some of it"))?;
        let mut format = self.tool("ruff", &self.sdk);
        format.args(["format", "--check"]).args(files).arg("--cache-dir").arg(folder.join("ruff"));
        quietly(&mut format, &format!("in {SDK}, run `ruff format src tests`"))?;
        // The settings in pyproject.toml name the files, and make mypy strict.
        let mut mypy = self.tool("mypy", &self.sdk);
        mypy.arg("--cache-dir").arg(folder.join("mypy"));
        quietly(&mut mypy, &format!("correct the types in {SDK}"))
    }

    /// Runs pytest in `folder`, with `arguments` and with what `adapt` adds.
    fn pytest(&self, folder: &Path, arguments: &[&str], adapt: impl FnOnce(&mut Command)) -> Result<(), Failure> {
        let mut pytest = self.tool("pytest", folder);
        pytest.args(["--quiet", "-rs", "-o"]).arg(format!("cache_dir={}", self.kept.display())).args(arguments);
        adapt(&mut pytest);
        step::make_room();
        let status = pytest.status().map_err(|error| {
            Failure::new(format_args!("pytest does not start: {error}"), "remove its environment, and run this again")
        })?;
        if status.success() {
            return Ok(());
        }
        Err(Failure::new(
            format_args!("pytest failed ({status}) in {}", folder.display()),
            format_args!("read what it printed above; {SDK}/README.md says how to run a part of the tests"),
        ))
    }

    /// Makes a command for a tool, with nothing from the user's own Python.
    fn tool(&self, name: &str, folder: &Path) -> Command {
        let mut command = self.environment.program(name);
        forget_this_package(&mut command);
        for variable in ["PYTHONPATH", "PYTHONHOME", "MYPYPATH", "CHAINHOST"] {
            command.env_remove(variable);
        }
        command.current_dir(folder).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }
}

/// Removes all files in `folder` but the `number` that were written last.
fn keep_newest(folder: &Path, number: usize) -> io::Result<()> {
    let mut files: Vec<_> = fs::read_dir(folder)?
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    files.sort();
    for (_, file) in files.iter().rev().skip(number) {
        // Another checkout may remove the same file.
        let _ = fs::remove_file(file);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn the_newest_components_are_kept() {
        let folder = std::env::temp_dir().join(format!("xtask-python-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for (name, age) in [("old", 30), ("new", 10), ("older", 40), ("newer", 5)] {
            let file = fs::File::create(folder.join(name)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        }
        keep_newest(&folder, 2).unwrap();
        keep_newest(&folder, 2).unwrap();
        let mut left: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["new", "newer"]);
        fs::remove_dir_all(&folder).unwrap();
    }

    /// Returns the requirements of the extra `dev` in pyproject.toml.
    fn tools(project: &str) -> Vec<&str> {
        let line = project.lines().find_map(|line| line.strip_prefix("dev = [")).unwrap();
        line.trim_end_matches(']').split(", ").map(|tool| tool.trim_matches('"')).collect()
    }

    #[test]
    fn the_list_has_all_tools_of_the_project_with_their_hashes() {
        let sdk = crate::root().join(SDK);
        let list = fs::read_to_string(sdk.join(LIST)).unwrap();
        let project = fs::read_to_string(sdk.join("pyproject.toml")).unwrap();
        let tools = tools(&project);
        assert!(tools.len() > 3, "{tools:?}");
        for tool in tools {
            let name = tool.split(['=', '>']).next().unwrap();
            // A version of the project that is exact is that of the list.
            let start = if tool.contains("==") { tool.to_owned() } else { format!("{name}==") };
            let mut lines = list.lines().skip_while(|line| !line.starts_with(&start));
            assert!(lines.next().is_some(), "{LIST} has no {tool}");
            assert!(lines.next().unwrap().trim().starts_with("--hash=sha256:"), "{tool} has no hash");
        }
    }
}
