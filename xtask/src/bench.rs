//! `cargo xtask bench`: the benchmarks, from nothing.

use std::path::Path;

use crate::cargo::{cargo, succeed};
use crate::failure::Failure;
use crate::step::Steps;
use crate::{guests, toolchain};

/// Runs all benchmarks, or those that `arguments` name.
pub fn run(root: &Path, arguments: &[&str]) -> Result<(), Failure> {
    let mut steps = Steps::new(3);
    steps.run("Check the toolchain", || toolchain::ensure(root))?;
    steps.run("Build the guests", || guests::build(root))?;
    steps.run("Build and run the benchmarks (the first time takes many minutes)", || {
        succeed(cargo(root, "run").args(["--release", "--package", "chainhost-benches", "--"]).args(arguments))
    })?;
    steps.finish("The figures are above.");
    Ok(())
}
