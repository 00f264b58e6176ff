//! Running cargo, always in this workspace and always into `target/` there: the build commands of the examples write to
//! that folder whatever `CARGO_TARGET_DIR` says, and so the rest does too.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;

/// The components are built for this target.
pub const WASM: &str = "wasm32-wasip2";

/// `cargo SUBCOMMAND`, with the toolchain that runs this task.
pub fn cargo(root: &Path, subcommand: &str) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).arg(subcommand);
    if subcommand != "fmt" {
        command.arg("--target-dir").arg(target_dir(root));
    }
    forget_this_package(&mut command);
    command
}

/// Takes from `command` what cargo and its user say about where this program was built: it is not true of what the
/// command builds.
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

/// Where everything is built.
pub fn target_dir(root: &Path) -> PathBuf {
    root.join("target")
}

/// The program `chainhost`, once [`build_host`] has built it.
pub fn chainhost(root: &Path) -> PathBuf {
    target_dir(root).join("debug").join(format!("chainhost{}", std::env::consts::EXE_SUFFIX))
}

/// Builds `chainhost` with the profile of the tests, which then find it built.
pub fn build_host(root: &Path) -> Result<(), Failure> {
    succeed(cargo(root, "build").args(["--package", "chainhost"]))
}

/// Runs `command` to its end, with its output going where ours goes.
pub fn succeed(command: &mut Command) -> Result<(), Failure> {
    let line = line(command);
    let status = command.status().map_err(|error| {
        Failure::new(format_args!("`{line}` does not start: {error}"), "install Rust from https://rustup.rs")
    })?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(
        format_args!("`{line}` failed ({status})"),
        "read what it printed above; the same line can be run by itself",
    ))
}

/// The command as one would type it.
fn line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_stem().unwrap_or(command.get_program());
    let words: Vec<_> = std::iter::once(program).chain(command.get_args()).map(OsStr::to_string_lossy).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_one_would_type_it() {
        let mut command = Command::new("/home/me/.cargo/bin/cargo");
        command.args(["build", "--package", "chainhost"]);
        assert_eq!(line(&command), "cargo build --package chainhost");
    }

    #[test]
    fn only_the_variables_about_the_running_package_are_dropped() {
        assert!(is_of_this_package("CARGO_PKG_NAME".as_ref()));
        assert!(is_of_this_package("CARGO_MANIFEST_DIR".as_ref()));
        assert!(!is_of_this_package("CARGO_HOME".as_ref()));
        assert!(!is_of_this_package("CARGO_INCREMENTAL".as_ref()));
    }
}
