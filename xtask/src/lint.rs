//! `cargo xtask lint`: what needs no test to be wrong.

use std::path::Path;

use crate::cargo::{WASM, cargo, succeed};
use crate::failure::Failure;
use crate::step::Steps;
use crate::{guests, toolchain};

/// The docs of a module also tell those who work on it which private parts it has; for others such a name is plain text.
const DOC_FLAGS: &str = "--deny warnings --allow rustdoc::private-intra-doc-links";

/// Checks the format, the lints of host and guests, and the documentation; warnings are errors.
pub fn run(root: &Path) -> Result<(), Failure> {
    let mut steps = Steps::new(5);
    steps.run("Check the toolchain", || toolchain::ensure(root))?;
    steps.run("Check the format", || succeed(cargo(root, "fmt").args(["--all", "--check"])))?;
    steps.run("Clippy for the guests, as they are compiled", || {
        let mut command = cargo(root, "clippy");
        command.args(["--release", "--target", WASM]);
        for package in guests::packages(root)? {
            command.args(["--package", &package]);
        }
        succeed(command.args(["--", "--deny", "warnings"]))
    })?;
    steps.run("Clippy for everything, here", || {
        succeed(cargo(root, "clippy").args(["--workspace", "--all-targets", "--", "--deny", "warnings"]))
    })?;
    steps.run("Build the documentation", || {
        let mut command = cargo(root, "doc");
        command.args(["--workspace", "--no-deps"]).env("RUSTDOCFLAGS", DOC_FLAGS);
        succeed(&mut command)
    })?;
    steps.finish("Nothing to complain about.");
    Ok(())
}
