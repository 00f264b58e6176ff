//! `cargo xtask api`: compares the public items of the published libraries with the listings in `tests/api`. A change of
//! the API is then a visible change of a file, and a user of the library can read in one place what it has.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::cargo::{build, cargo, exit_code, not_started, target_dir};
use crate::failure::Failure;
use crate::step::Steps;
use crate::toolchain;

/// The libraries.
const PACKAGES: [&str; 3] = ["chainhost", "chainhost-core", "chainlet"];

/// The variable that makes this program run rustdoc; see [`document`].
const AS_RUSTDOC: &str = "CHAINHOST_XTASK_AS_RUSTDOC";

/// If this program runs instead of rustdoc, with `arguments`, runs it and returns its exit code; else returns `None`.
///
/// rustdoc writes JSON only where unstable features are allowed. If cargo had that variable, it would compile all
/// dependencies again, so only rustdoc has it. The format of the JSON belongs to the version of Rust, which
/// `rust-toolchain.toml` fixes.
pub fn document(arguments: &[OsString]) -> Option<ExitCode> {
    let rustdoc = std::env::var_os(AS_RUSTDOC)?;
    let mut command = Command::new(rustdoc);
    command.args(arguments).env("RUSTC_BOOTSTRAP", "1").env_remove(AS_RUSTDOC);
    Some(exit_code(&mut command))
}

/// Compares the listings, or writes them with `write`.
pub fn run(root: &Path, write: bool) -> Result<(), Failure> {
    let mut steps = Steps::new(2 + PACKAGES.len());
    steps.run("Check the toolchain", || toolchain::ensure(root))?;
    steps.run("Build the program that lists the items", || {
        build(cargo(root, "build").args(["--package", "api-listing"]))
    })?;
    let mut changed = Vec::new();
    for package in PACKAGES {
        let path = root.join("tests/api").join(package).with_extension("txt");
        let unusable = |error| Failure::new(format_args!("{}: {error}", path.display()), "check the permissions");
        let listing = steps.run(&format!("List the public items of {package}"), || listing(root, package))?;
        if write {
            std::fs::write(&path, &listing).map_err(unusable)?;
        }
        let committed = std::fs::read_to_string(&path).map_err(unusable)?;
        changed.extend(difference(&committed, &listing).map(|lines| format!("{package}\n{lines}")));
    }
    if changed.is_empty() {
        steps.finish("The listings in tests/api are those of the code.");
        return Ok(());
    }
    Err(Failure::new(
        "the public items of the libraries have changed (- gone, + new)",
        "if this is meant, run `cargo xtask api --write`, commit tests/api, and tell users in CHANGELOG.md",
    )
    .with_output(&changed.join("\n")))
}

/// Returns the listing of `package`.
fn listing(root: &Path, package: &str) -> Result<String, Failure> {
    let this = std::env::current_exe()
        .map_err(|error| Failure::new(format_args!("this program does not know where it is: {error}"), "report it"))?;
    let rustdoc = std::env::var_os("RUSTDOC").unwrap_or_else(|| "rustdoc".into());
    let mut command = cargo(root, "rustdoc");
    command.args(["--package", package, "--lib", "--", "-Z", "unstable-options", "--output-format", "json"]);
    build(command.env("RUSTDOC", this).env(AS_RUSTDOC, rustdoc))?;
    let json = target_dir(root).join("doc").join(package.replace('-', "_")).with_extension("json");
    let mut command = Command::new(program(root));
    command.arg(&json);
    let output = command.output().map_err(|error| not_started(&command, &error))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Failure::new(format_args!("{} cannot be read", json.display()), "see above").with_output(&said))
    }
}

fn program(root: &Path) -> PathBuf {
    target_dir(root).join("debug").join(format!("api-listing{}", std::env::consts::EXE_SUFFIX))
}

/// Returns the lines that only one of two listings has, each with a sign; `None` if there are none.
fn difference(old: &str, new: &str) -> Option<String> {
    let lines_of = |text: &str| text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    let (old, new) = (lines_of(old), lines_of(new));
    let gone = old.difference(&new).map(|line| format!("- {line}"));
    let added = new.difference(&old).map(|line| format!("+ {line}"));
    let lines: Vec<_> = gone.chain(added).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_what_is_gone_and_what_is_new() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(difference("a\nb\nd\n", "a\nc\nd\n").as_deref(), Some("- b\n+ c"));
    }
}
