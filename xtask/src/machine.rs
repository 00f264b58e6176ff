//! The programs that the tests need beside Rust: a C++ compiler, Python, a program that downloads files, a Vulkan driver,
//! and a Redis server. This task looks for them before it builds anything, and fetches those that are missing.
//!
//! The tests compute on a GPU, or on a software driver if the machine has no GPU. Both need Vulkan's loader and a
//! driver, which are in Debian's packages. Root installs the packages. Other users unpack them into the cache, and
//! variables point the tests to that folder.
//!
//! A Redis server is optional. It is unpacked into the cache for root as well, because Debian's package starts a server
//! of the whole machine.

mod apt;
mod driver;
pub mod python;
mod redis;

use std::ffi::OsString;
use std::process::{Command, Stdio};

use self::apt::install_as_root;
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
    /// Whether the tests of stores in Redis cannot run.
    without_redis: bool,
}

impl Machine {
    /// Points `command` to the unpacked driver and server, if there are any.
    pub fn equip<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.envs(self.variables.iter().map(|(name, value)| (name, value)))
    }

    /// Returns the arguments for `cargo test` with `arguments`. Without a GPU or a Redis server, these also skip the tests
    /// that need one.
    pub fn test_arguments<'a>(&self, arguments: &[&'a str]) -> Vec<&'a str> {
        let mut arguments = arguments.to_vec();
        for name in [self.without_gpu.then_some("gpu"), self.without_redis.then_some("redis")].into_iter().flatten() {
            if !arguments.contains(&"--") {
                arguments.push("--");
            }
            arguments.extend(["--skip", name]);
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
/// Fails without a C++ compiler, which the fuzz targets need, and without Python 3.11 or later, which the tests of the
/// Python SDK need. Also fails if there is neither pip nor curl, because one of these must fetch the model of
/// examples/embeddings.
pub fn prepare() -> Result<Machine, Failure> {
    let mut packages = missing();
    if !packages.is_empty() {
        say(format_args!("missing: {}", packages.join(" ")));
        install_as_root(&packages);
        packages = missing();
    }
    if packages.iter().any(|package| !VULKAN.contains(package)) {
        return Err(Failure::new(
            format_args!("this machine lacks what the tests need: {}", packages.join(" ")),
            format_args!("as root: {}", install_command(&packages)),
        ));
    }
    python::ensure()?;
    let mut machine = Machine::default();
    if !packages.is_empty() {
        machine.find_driver();
    }
    if !redis::is_found() {
        machine.find_redis();
    }
    Ok(machine)
}

impl Machine {
    /// Takes the driver from the cache.
    fn find_driver(&mut self) {
        match driver::in_cache() {
            Ok(driver) => {
                say(format_args!("the Vulkan driver is {}", driver.description().display()));
                self.variables.extend(driver.variables());
            }
            Err(why) => {
                say(format_args!("no Vulkan driver ({why}): the tests of GPUs are left out"));
                self.without_gpu = true;
            }
        }
    }

    /// Takes the Redis server from the cache.
    fn find_redis(&mut self) {
        match redis::in_cache() {
            Ok(server) => {
                say(format_args!("the Redis server is {}", server.program().display()));
                self.variables.extend(server.variable());
            }
            Err(why) => {
                say(format_args!("no Redis server ({why}): the tests of stores in Redis are left out"));
                self.without_redis = true;
            }
        }
    }
}

/// Returns Debian's packages with the programs that the machine lacks.
fn missing() -> Vec<&'static str> {
    let mut packages = Vec::new();
    if !runs(&std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned()), "--version") {
        packages.push("g++");
    }
    if !python::is_found() {
        packages.extend(python::PACKAGES);
    }
    if !["curl", "pip3", "pip"].iter().any(|program| runs(program, "--version")) {
        packages.push("curl");
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
    fn without_a_redis_server_its_tests_are_skipped_and_nothing_fails() {
        let machine = Machine { without_redis: true, ..Machine::default() };
        assert_eq!(machine.test_arguments(&["name"]), ["name", "--", "--skip", "redis"]);
        assert!(machine.require_gpu("").is_ok());
        let machine = Machine { without_gpu: true, ..machine };
        assert_eq!(machine.test_arguments(&[]), ["--", "--skip", "gpu", "--skip", "redis"]);
    }

    #[test]
    fn with_a_gpu_all_tests_run() {
        let machine = Machine::default();
        assert_eq!(machine.test_arguments(&["name"]), ["name"]);
        assert!(machine.require_gpu("").is_ok());
    }
}
