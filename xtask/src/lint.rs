//! `cargo xtask lint`: what needs no test to be wrong.

use std::path::Path;

use crate::cargo::{build, cargo, succeed};
use crate::failure::Failure;
use crate::step::Steps;
use crate::{guests, toolchain};

/// The docs of a module also tell those who work on it which private parts it has; for others such a name is plain text.
const DOC_FLAGS: &str = "--deny warnings --allow rustdoc::private-intra-doc-links";

/// Checks the format, the lints of host and guests, and the documentation; warnings are errors.
pub fn run(root: &Path) -> Result<(), Failure> {
    let mut steps = Steps::new(5);
    steps.run("Check the toolchain", || toolchain::ensure(root))?;
    let workspaces = guests::workspaces(root)?;
    steps.run("Check the format", || {
        workspaces.iter().try_for_each(|workspace| succeed(workspace.fmt(root).arg("--check")))
    })?;
    steps.run("Clippy for the guests, as they are compiled", || {
        workspaces
            .iter()
            .try_for_each(|workspace| build(workspace.cargo(root, "clippy").args(["--", "--deny", "warnings"])))
    })?;
    steps.run("Clippy for everything, here", || {
        build(cargo(root, "clippy").args(["--workspace", "--all-targets", "--", "--deny", "warnings"]))
    })?;
    steps.run("Build the documentation", || {
        let mut command = cargo(root, "doc");
        command.args(["--workspace", "--no-deps"]).env("RUSTDOCFLAGS", DOC_FLAGS);
        build(&mut command)
    })?;
    steps.finish("Nothing to complain about.");
    Ok(())
}
