//! `cargo xtask test`: the whole test suite from nothing.

use std::path::Path;

use crate::cargo::{cargo, succeed};
use crate::failure::Failure;
use crate::machine::{self, Machine};
use crate::step::Steps;
use crate::toolchain;
use crate::{fuzz, guests, models};

/// The packages with tests, in groups, from quick to slow, and the features that they are tested with. A group is built together: what depends on the host stands
/// beside it, so that the host is built once, and apart from the rest, so that what it depends on is built with the
/// features that `cargo build -p chainhost` gives it, and not for these tests alone.
const GROUPS: [(&str, &[&str], &[&str]); 2] = [
    (
        "Test the guest SDK, the examples' own code and these tasks",
        &[
            "answer-parts",
            "answer-stand-in",
            "chainlet",
            "chainlet-macros",
            "matmul",
            "minilm",
            "retrieval",
            "stream-filter",
            "stream-model",
            "xtask",
        ],
        &["--features", "chainlet/wgpu"],
    ),
    (
        "Test the host, by itself, end to end and embedded (the first time takes many minutes)",
        &["chainhost", "embed", "stream-page"],
        &[],
    ),
];

/// Runs everything; `arguments` go to each `cargo test`.
pub fn run(root: &Path, arguments: &[&str]) -> Result<(), Failure> {
    let mut steps = Steps::new(5 + GROUPS.len());
    steps.run("Check the toolchain", || toolchain::ensure(root))?;
    let machine = steps.run("Check the machine", machine::prepare)?;
    steps.run("Build the guests", || guests::build(root))?;
    steps.run("Fetch the model of examples/embeddings", || models::ensure(root))?;
    for (title, packages, features) in GROUPS {
        steps.run(title, || test(root, packages, features, arguments, &machine))?;
    }
    steps.run("Fuzz for a short time what reads what others wrote", || fuzz::run_shortly(root))?;
    match machine.without_gpu {
        None => {
            steps.finish("All tests pass.");
            Ok(())
        }
        Some(command) => Err(Failure::new(
            "all tests pass but those of GPUs, which were left out: the machine has no Vulkan driver",
            format_args!("as root: {command}"),
        )),
    }
}

fn test(
    root: &Path,
    packages: &[&str],
    features: &[&str],
    arguments: &[&str],
    machine: &Machine,
) -> Result<(), Failure> {
    let mut command = cargo(root, "test");
    command.envs(machine.variables.iter().map(|(name, value)| (name, value)));
    for package in packages {
        command.args(["--package", package]);
    }
    command.args(features).args(arguments);
    if machine.without_gpu.is_some() {
        if !arguments.contains(&"--") {
            command.arg("--");
        }
        command.args(["--skip", "gpu"]);
    }
    succeed(&mut command)
}
