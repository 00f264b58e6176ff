//! `cargo xtask bench`: builds everything and runs the benchmarks.

use std::path::Path;

use crate::cargo::{build, cargo, succeed};
use crate::failure::Failure;
use crate::step::Steps;
use crate::{guests, toolchain};

/// Runs all benchmarks, or those in `arguments`.
pub fn run(root: &Path, arguments: &[&str]) -> Result<(), Failure> {
    let mut steps = Steps::new(4);
    steps.run("Check the toolchain", || toolchain::ensure(root))?;
    steps.run("Build the guests", || guests::build(root))?;
    let cargo = |subcommand| {
        let mut command = cargo(root, subcommand);
        command.args(["--release", "--package", "chainhost-benches"]);
        command
    };
    steps.run("Build the benchmarks (many minutes the first time)", || build(&mut cargo("build")))?;
    steps.run("Run the benchmarks", || succeed(cargo("run").arg("--").args(arguments)))?;
    steps.finish("The figures are above.");
    Ok(())
}
