//! The programs that the tests need beside Rust: a C++ compiler, programs that unpack archives, and a Vulkan driver.
//! This task looks for them before it builds anything, and fetches those that are missing.
//!
//! The tests compute on a GPU, or on a software driver if the machine has no GPU. Both need Vulkan's loader and a
//! driver, which are in Debian's packages. Root installs the packages. Other users unpack them into the cache, and
//! variables point the tests to that folder.

mod apt;
mod driver;

use std::ffi::OsString;
use std::process::{Command, Stdio};

pub use self::apt::install_as_root;
use crate::cargo::{forget_this_package, succeed};
use crate::failure::Failure;
use crate::step::say;

/// Debian's packages with Vulkan's loader and a software driver.
const VULKAN: [&str; 2] = ["libvulkan1", "mesa-vulkan-drivers"];

/// The result of preparing the machine.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// The variables that point the tests to the unpacked files.
    variables: Vec<(&'static str, OsString)>,
    /// True if the tests of GPUs cannot run.
    without_gpu: bool,
}

impl Machine {
    /// Points `command` to the unpacked driver, if there is one.
    pub fn equip<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.envs(self.variables.iter().map(|(name, value)| (name, value)))
    }

    /// Returns the arguments for `cargo test` with `arguments`. Without a GPU, these also skip the tests that need one.
    pub fn test_arguments<'a>(&self, arguments: &[&'a str]) -> Vec<&'a str> {
        let mut arguments = arguments.to_vec();
        if self.without_gpu {
            if !arguments.contains(&"--") {
                arguments.push("--");
            }
            arguments.extend(["--skip", "gpu"]);
        }
        arguments
    }

    /// Fails if there is no GPU, and names the command that would help. `done` says what is done in spite of that.
    pub fn require_gpu(&self, done: &str) -> Result<(), Failure> {
        if !self.without_gpu {
            return Ok(());
        }
        Err(Failure::new(
            format_args!("{done}: the machine has no Vulkan driver, not even in software"),
            format_args!("as root: {}", install_command(&VULKAN)),
        ))
    }
}

/// `cargo xtask machine [COMMAND]`: prepares the machine as the tests do, and runs a command as they do.
pub fn run(command: &[&str]) -> Result<(), Failure> {
    let machine = prepare()?;
    for (name, value) in &machine.variables {
        say(format_args!("{name}={}", value.display()));
    }
    machine.require_gpu("the tests of GPUs cannot run")?;
    match command.split_first() {
        None => Ok(()),
        Some((program, arguments)) => {
            let mut command = Command::new(program);
            forget_this_package(&mut command);
            succeed(machine.equip(command.args(arguments)))
        }
    }
}

/// Looks for the programs that are missing, and fetches them. Names all that cannot be fetched in one error.
///
/// # Errors
/// Fails without a C++ compiler, which the fuzz targets need. Also fails if there is neither python3 nor curl with unzip,
/// because one of these must fetch and unpack the model of examples/embeddings.
pub fn prepare() -> Result<Machine, Failure> {
    let mut packages = missing();
    if !packages.is_empty() {
        say(format_args!("missing: {}", packages.join(" ")));
        apt::install_as_root(&packages);
        packages = missing();
    }
    if packages.is_empty() {
        return Ok(Machine::default());
    }
    if packages.iter().any(|package| !VULKAN.contains(package)) {
        return Err(Failure::new(
            format_args!("this machine lacks what the tests need: {}", packages.join(" ")),
            format_args!("as root: {}", install_command(&packages)),
        ));
    }
    match driver::in_cache() {
        Ok(driver) => {
            say(format_args!("the Vulkan driver is {}", driver.description().display()));
            Ok(Machine { variables: driver.variables(), without_gpu: false })
        }
        Err(why) => {
            say(format_args!("no Vulkan driver ({why}): the tests of GPUs are left out"));
            Ok(Machine { variables: Vec::new(), without_gpu: true })
        }
    }
}

/// Returns Debian's packages with the programs that the machine lacks.
fn missing() -> Vec<&'static str> {
    let mut packages = Vec::new();
    if !runs(&std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned()), "--version") {
        packages.push("g++");
    }
    if !(runs("python3", "--version") || runs("curl", "--version") && runs("unzip", "-v")) {
        packages.extend(["curl", "unzip"]);
    }
    if !driver::is_found() {
        packages.extend(VULKAN);
    }
    packages
}

fn install_command(packages: &[&str]) -> String {
    format!("apt-get install --no-install-recommends {}", packages.join(" "))
}

fn runs(program: &str, argument: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(argument).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_gpu_its_tests_are_skipped_with_a_message() {
        let machine = Machine { without_gpu: true, ..Machine::default() };
        assert_eq!(machine.test_arguments(&[]), ["--", "--skip", "gpu"]);
        assert_eq!(
            machine.test_arguments(&["name", "--", "--nocapture"]),
            ["name", "--", "--nocapture", "--skip", "gpu"]
        );
        let failure = machine.require_gpu("all else is well").unwrap_err().to_string();
        assert!(failure.starts_with("all else is well: "), "{failure}");
        assert!(
            failure.ends_with("apt-get install --no-install-recommends libvulkan1 mesa-vulkan-drivers"),
            "{failure}"
        );
    }

    #[test]
    fn with_a_gpu_all_tests_run() {
        let machine = Machine::default();
        assert_eq!(machine.test_arguments(&["name"]), ["name"]);
        assert!(machine.require_gpu("").is_ok());
    }
}
