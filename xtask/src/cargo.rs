//! Runs cargo: always in this workspace, with the versions in Cargo.lock, and with the output in its `target/`. The
//! build commands of the examples write to that folder whatever `CARGO_TARGET_DIR` is, so everything else does, too.

use std::ffi::OsStr;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

use crate::failure::Failure;
use crate::step::say;
use crate::{quiet, step};

/// The target of all components.
pub const WASM: &str = "wasm32-wasip2";

/// Makes the command `cargo SUBCOMMAND`, with the toolchain that runs this task.
pub fn cargo(root: &Path, subcommand: &str) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).arg(subcommand);
    if subcommand != "fmt" {
        command.arg("--locked").arg("--target-dir").arg(target_dir(root));
    }
    forget_this_package(&mut command);
    command
}

/// Removes from `command` the variables with which cargo and its user describe the build of this program, because they
/// are wrong for the program that the command builds.
pub fn forget_this_package(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if is_of_this_package(&name) {
            command.env_remove(name);
        }
    }
}

fn is_of_this_package(variable: &OsStr) -> bool {
    variable.to_str().is_some_and(|name| {
        name == "CARGO_TARGET_DIR" || name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
    })
}

/// Returns the folder of all build output.
pub fn target_dir(root: &Path) -> PathBuf {
    root.join("target")
}

/// Returns the path of the program `chainhost`, once [`build_host`] has built it.
pub fn chainhost(root: &Path) -> PathBuf {
    target_dir(root).join("debug").join(format!("chainhost{}", std::env::consts::EXE_SUFFIX))
}

/// Builds `chainhost` with the profile of the tests, which then find it built.
pub fn build_host(root: &Path) -> Result<(), Failure> {
    build(cargo(root, "build").args(["--package", "chainhost"]))
}

/// Runs `command` to its end. Its output goes where the output of this task goes.
pub fn succeed(command: &mut Command) -> Result<(), Failure> {
    step::make_room();
    let status = command.status().map_err(|error| not_started(command, &error))?;
    ended(command, status)
}

/// Runs a `command` that compiles something. While it runs, the line of the step counts the crates. Its output is shown
/// only if it fails.
pub fn build(command: &mut Command) -> Result<(), Failure> {
    if std::io::stdout().is_terminal() && ["CARGO_TERM_COLOR", "NO_COLOR"].iter().all(|name| !is_set(name)) {
        command.env("CARGO_TERM_COLOR", "always");
    }
    let finished = quiet::run(command).map_err(|error| not_started(command, &error))?;
    ended(command, finished.status).map_err(|failure| failure.with_output(&finished.output))
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// Runs `command` instead of this program, and returns its exit code.
pub fn exit_code(command: &mut Command) -> ExitCode {
    let code = match command.status() {
        Ok(status) => status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1),
        Err(error) => {
            say(not_started(command, &error));
            1
        }
    };
    code.into()
}

/// Makes the failure of a `command` that does not start.
pub fn not_started(command: &Command, error: &std::io::Error) -> Failure {
    let line = line(command);
    Failure::new(format_args!("`{line}` does not start: {error}"), "install Rust from https://rustup.rs")
}

fn ended(command: &Command, status: ExitStatus) -> Result<(), Failure> {
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(
        format_args!("`{}` failed ({status})", line(command)),
        "read what it printed above; the same line can be run by itself",
    ))
}

/// Returns the command as a user would type it.
fn line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_stem().unwrap_or(command.get_program());
    let words: Vec<_> = std::iter::once(program).chain(command.get_args()).map(OsStr::to_string_lossy).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_a_user_types_it() {
        let mut command = Command::new("/home/me/.cargo/bin/cargo");
        command.args(["build", "--package", "chainhost"]);
        assert_eq!(line(&command), "cargo build --package chainhost");
    }

    #[test]
    fn cargo_takes_the_versions_of_the_lock_file() {
        let is_locked =
            |subcommand| cargo(Path::new("."), subcommand).get_args().any(|argument| argument == "--locked");
        assert!(["build", "clippy", "doc", "install", "run", "test"].into_iter().all(is_locked));
        assert!(!is_locked("fmt"), "`cargo fmt` knows no such argument");
    }

    /// Returns the commands `cargo SUBCOMMAND …` in `text`, each up to the end of its line, of its quotes or of its
    /// backticks.
    fn commands(text: &str) -> impl Iterator<Item = &str> {
        let needs_lock = |command: &&str| {
            let subcommand = command.split(' ').nth(1).unwrap_or_default();
            ["bench", "build", "check", "clippy", "doc", "fetch", "install", "run", "test", "tree"]
                .contains(&subcommand)
        };
        text.lines()
            .flat_map(|line| line.match_indices("cargo ").filter_map(move |(at, _)| line.get(at..)))
            .filter_map(|rest| rest.split(['`', '"', '#']).next())
            .map(str::trim_end)
            .filter(needs_lock)
    }

    /// Finds the files below `folder`, except for cargo's output and hidden files.
    fn find(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
            let is_source = entry.file_name() != "target" && !entry.file_name().to_string_lossy().starts_with('.');
            match entry.file_type().unwrap() {
                kind if kind.is_dir() && is_source => find(&entry.path(), files),
                kind if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }

    #[test]
    fn documented_commands_take_the_versions_of_the_lock_file() {
        let root = crate::root();
        let mut files = vec![root.join("README.md"), root.join("CONTRIBUTING.md")];
        for folder in [".ci", "docs", "examples", "tests"] {
            find(&root.join(folder), &mut files);
        }
        let is_read = |file: &&PathBuf| {
            let is_chain = file.starts_with(root.join("examples")) && file.extension() == Some(OsStr::new("toml"));
            file.extension() == Some(OsStr::new("md")) || file.starts_with(root.join(".ci")) || is_chain
        };
        let mut found = 0;
        for file in files.iter().filter(is_read) {
            for command in commands(&std::fs::read_to_string(file).unwrap()) {
                found += 1;
                // A new chain has no Cargo.lock before its first build.
                let is_of_a_new_chain =
                    command == "cargo test" || file.starts_with(root.join("docs")) && command.contains("-p say-hello");
                assert!(command.contains(" --locked") || is_of_a_new_chain, "{}: {command}", file.display());
            }
        }
        assert!(found > 20, "only {found} commands are found");
    }

    #[test]
    fn a_build_that_fails_shows_its_output() {
        let failure = build(Command::new("rustc").arg("--no-such-flag")).unwrap_err();
        assert!(failure.output().contains("no-such-flag"), "{failure:?}");
        assert!(failure.to_string().starts_with("`rustc --no-such-flag` failed ("), "{failure}");
    }

    #[test]
    fn only_the_variables_about_the_running_package_are_dropped() {
        assert!(is_of_this_package("CARGO_PKG_NAME".as_ref()));
        assert!(is_of_this_package("CARGO_MANIFEST_DIR".as_ref()));
        assert!(!is_of_this_package("CARGO_HOME".as_ref()));
        assert!(!is_of_this_package("CARGO_INCREMENTAL".as_ref()));
    }
}
