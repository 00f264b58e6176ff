//! `cargo xtask test`: builds and runs the whole test suite.

use std::path::Path;
use std::process::Command;

use crate::cargo::{build, cargo, succeed};
use crate::failure::Failure;
use crate::step::Steps;
use crate::toolchain;
use crate::{fuzz, guests, machine, models, python};

/// Packages whose tests are built together.
struct Group {
    what: &'static str,
    packages: &'static [&'static str],
    features: &'static [&'static str],
}

/// The packages with tests, from quick to slow. Those that depend on the host are one group, so that the host is built
/// once. The others are separate: the dependencies of the host are then built with the same features as in `cargo build
/// -p chainhost`, and not once more for these tests.
const GROUPS: [Group; 2] = [
    Group {
        what: "the guest SDK, the examples' own code and these tasks",
        packages: &[
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
        features: &["--features", "chainlet/wgpu"],
    },
    Group {
        what: "the host, by itself, end to end and embedded",
        packages: &["chainhost-core", "chainhost", "embed", "stream-page"],
        features: &[],
    },
];

/// Runs everything. `arguments` go to each `cargo test`.
pub fn run(root: &Path, arguments: &[&str]) -> Result<(), Failure> {
    let mut steps = Steps::new(6 + python::STEPS + 2 * GROUPS.len());
    steps.run("Check the toolchain", || toolchain::ensure(root))?;
    let machine = steps.run("Check the machine", machine::prepare)?;
    steps.run("Build the guests", || guests::build(root))?;
    steps.run("Fetch the model of examples/embeddings", || models::ensure(root))?;
    let python = python::check(root, &mut steps)?;
    for group in GROUPS {
        steps.run(&format!("Build the tests of {}", group.what), || build(&mut group.test(root, &["--no-run"])))?;
        steps.run(&format!("Run the tests of {}", group.what), || {
            succeed(machine.equip(&mut group.test(root, &machine.test_arguments(arguments))))
        })?;
    }
    // The tests of the host have built the program.
    python.test_with_host(root, &mut steps)?;
    steps.run("Build the fuzz targets", || fuzz::build(root))?;
    steps.run("Fuzz for a short time what reads what others wrote", || fuzz::run_shortly(root))?;
    machine.require_gpu("all tests pass but those of GPUs, which were left out")?;
    steps.finish("All tests pass.");
    Ok(())
}

impl Group {
    /// Makes the command `cargo test` for the group, with `arguments`.
    fn test(&self, root: &Path, arguments: &[&str]) -> Command {
        let mut command = cargo(root, "test");
        for package in self.packages {
            command.args(["--package", package]);
        }
        command.args(self.features).args(arguments);
        command
    }
}
