//! `cargo xtask fuzz`: runs the fuzz targets, with libFuzzer and the stable compiler.
//!
//! The compiler adds the code that shows libFuzzer the effect of an input. It adds the code only to this workspace's
//! own crates: they are under test, and wasmtime would be slower with it. For this, cargo runs this program instead of
//! rustc for those crates ([`compile`]). Most other crates are shared with the tests, except for wasmtime:
//! libfuzzer-sys turns on a feature of the crate `cc`, so wasmtime is compiled once more.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::cargo::{self, cargo, exit_code, succeed, target_dir};
use crate::failure::Failure;
use crate::step::{Steps, say};

/// The targets, each a file in `fuzz/targets`, with the folders of their first inputs.
const TARGETS: [(&str, &[&str]); 4] = [
    ("cbor_to_value", &[]),
    ("chain_toml", &["tests/config/good", "tests/config/bad"]),
    ("component", &["fuzz/seeds/component"]),
    ("json_to_value", &[]),
];

/// The running times of each target in the tests, and by itself, in seconds.
const SHORT: u32 = 20;
const LONG: u32 = 600;

/// The number of lines of libFuzzer's output that are shown of a target that found something.
const LAST_LINES: usize = 60;

/// The variable that tells a copy of this program to run as the compiler.
const AS_COMPILER: &str = "CHAINHOST_XTASK_COMPILES_FOR_LIBFUZZER";

/// The flags with which LLVM counts the edges that an input takes in the program, and reports the operands of
/// comparisons.
const COVERAGE: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Runs the fuzz targets for a long time: all, or the target in `arguments`, for the seconds in `arguments`. If there
/// is a file in place of the seconds, runs the target only on that input.
pub fn run(root: &Path, arguments: &[&str]) -> Result<(), Failure> {
    let (target, rest) = match arguments.split_first() {
        Some((target, rest)) => (Some(*target), rest),
        None => (None, arguments),
    };
    let targets: Vec<_> = TARGETS.into_iter().filter(|(name, _)| target.is_none_or(|target| target == *name)).collect();
    let names = TARGETS.map(|(name, _)| name).join(", ");
    if targets.is_empty() {
        let unknown = target.unwrap_or_default();
        return Err(Failure::new(
            format_args!("there is no fuzz target `{unknown}`"),
            format_args!("name one of: {names}"),
        ));
    }
    let mut steps = Steps::new(1 + targets.len());
    steps.run("Build the fuzz targets", || build(root))?;
    for (name, seeds) in targets {
        steps.run(&format!("Fuzz {name}"), || match rest {
            [] => fuzz(root, name, seeds, LONG),
            [what] => match what.parse() {
                Ok(seconds) => fuzz(root, name, seeds, seconds),
                Err(_) => succeed(Command::new(program(root, name)).current_dir(root).arg(what)),
            },
            _ => Err(Failure::new("too many arguments", "see `cargo xtask help`")),
        })?;
    }
    steps.finish("Nothing was found.");
    Ok(())
}

/// Runs each target for a short time. [`build`] has built them.
pub fn run_shortly(root: &Path) -> Result<(), Failure> {
    TARGETS.into_iter().try_for_each(|(name, seeds)| fuzz(root, name, seeds, SHORT))
}

/// Builds the fuzz targets.
pub fn build(root: &Path) -> Result<(), Failure> {
    let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    if Command::new(&compiler).arg("--version").output().is_err() {
        return Err(Failure::new(
            format_args!("libFuzzer is written in C++, and the compiler `{}` does not start", compiler.display()),
            "install one (Debian: g++), or name one in the variable CXX",
        ));
    }
    let this = std::env::current_exe()
        .map_err(|error| Failure::new(format_args!("this program does not know where it is: {error}"), "report it"))?;
    let mut command = cargo(root, "build");
    command.args(["--package", "chainhost-fuzz"]).env("RUSTC_WORKSPACE_WRAPPER", this).env(AS_COMPILER, "1");
    cargo::build(&mut command)
}

fn program(root: &Path, target: &str) -> PathBuf {
    target_dir(root).join("debug").join(format!("{target}{}", std::env::consts::EXE_SUFFIX))
}

/// Runs a target for `seconds`. Keeps the inputs that it found for the next run. If the target found a mistake, shows
/// libFuzzer's output.
fn fuzz(root: &Path, target: &str, seeds: &[&str], seconds: u32) -> Result<(), Failure> {
    let folder = target_dir(root).join("fuzz").join(target);
    let (corpus, found, log) = (folder.join("corpus"), folder.join("found"), folder.join("log"));
    let unusable = |path: &Path, error: std::io::Error| {
        Failure::new(format_args!("{} cannot be used: {error}", path.display()), "check the permissions")
    };
    for folder in [&corpus, &found] {
        std::fs::create_dir_all(folder).map_err(|error| unusable(folder, error))?;
    }
    let into = std::fs::File::create(&log).map_err(|error| unusable(&log, error))?;
    let dictionary = root.join("fuzz/dictionaries").join(target).with_extension("dict");
    let mut command = Command::new(program(root, target));
    command.current_dir(root).arg(&corpus).args(seeds);
    command.args([
        format!("-max_total_time={seconds}"),
        format!("-dict={}", dictionary.display()),
        format!("-artifact_prefix={}/", found.display()),
        "-timeout=20".into(),
        "-rss_limit_mb=4096".into(),
        "-print_final_stats=1".into(),
    ]);
    let ended = succeed(command.stderr(into));
    let said = std::fs::read(&log).map_err(|error| unusable(&log, error))?;
    let said = String::from_utf8_lossy(&said);
    match ended {
        Ok(()) => {
            let tried = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
            say(format_args!("{target}: {} inputs in {seconds} s", tried.map_or("no", str::trim)));
            match tried {
                Some(_) => Ok(()),
                None => Err(Failure::new(
                    format_args!("libFuzzer does not say that {target} has tried anything"),
                    format_args!("read {}", log.display()),
                )),
            }
        }
        Err(_) => {
            let lines: Vec<_> = said.lines().collect();
            lines.iter().skip(lines.len().saturating_sub(LAST_LINES)).for_each(say);
            Err(Failure::new(
                format_args!("the fuzz target {target} found something, as said above"),
                format_args!("the input is in {}; try it again with `cargo xtask fuzz {target} FILE`", found.display()),
            ))
        }
    }
}

/// If this program runs instead of rustc, with `arguments`, runs the compiler and returns its exit code; else returns
/// `None`.
pub fn compile(arguments: &[OsString]) -> Option<ExitCode> {
    std::env::var_os(AS_COMPILER)?;
    let (rustc, arguments) = arguments.split_first()?;
    let mut command = Command::new(rustc);
    command.args(arguments);
    if is_to_be_watched(arguments) {
        command.args(COVERAGE);
    }
    Some(exit_code(&mut command))
}

/// Returns true if rustc's `arguments` are for code that becomes part of a fuzz target, and not for code that runs at
/// build time.
fn is_to_be_watched(arguments: &[OsString]) -> bool {
    let has = |name: &str, value: &str| {
        arguments.iter().zip(arguments.iter().skip(1)).any(|(one, next)| one == name && next == value)
    };
    let names = TARGETS.map(|(name, _)| name);
    names.into_iter().chain(["chainhost", "chainhost_core"]).any(|name| has("--crate-name", name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(line: &str) -> bool {
        is_to_be_watched(&line.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn only_the_library_and_the_targets_are_watched() {
        assert!(watched("--crate-name chainhost_core --edition=2024 core/src/lib.rs --crate-type lib"));
        assert!(watched("--crate-name chain_toml --crate-type bin"));
        assert!(!watched("--crate-name chainlet_macros --crate-type proc-macro"));
        assert!(!watched("--crate-name build_script_build --crate-type bin"));
        assert!(!watched("-vV"));
    }

    #[test]
    fn every_target_has_its_file_its_dictionary_and_its_seeds() {
        let root = crate::root();
        for (name, seeds) in TARGETS {
            assert!(root.join("fuzz/targets").join(name).with_extension("rs").is_file(), "{name}");
            assert!(root.join("fuzz/dictionaries").join(name).with_extension("dict").is_file(), "{name}");
            for seeds in seeds {
                assert!(root.join(seeds).read_dir().unwrap().next().is_some(), "{seeds}");
            }
        }
    }
}
