//! `cargo xtask lint`: checks that need no tests.

use std::path::Path;

use crate::cargo::{build, cargo, succeed};
use crate::failure::Failure;
use crate::step::Steps;
use crate::{guests, toolchain};

/// Module docs may link to private items, for people who work on the module. In the public docs, such a link becomes
/// plain text.
const DOC_FLAGS: &str = "--deny warnings --allow rustdoc::private-intra-doc-links";

/// Checks the format, the lints of the host and the guests, and the documentation. Warnings are errors.
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
