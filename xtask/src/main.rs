//! The project's tasks: `cargo xtask COMMAND`.
//!
//! It depends on two small crates beside the standard library, so that a newcomer sees it start at once.

mod api;
mod bench;
mod cache;
mod cargo;
mod demo;
mod environment;
mod failure;
mod fuzz;
mod guests;
mod http;
mod lint;
mod machine;
mod models;
mod openapi;
mod python;
mod quiet;
mod readme;
mod served;
mod step;
mod suite;
mod toolchain;
mod tools;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::failure::Failure;
use crate::step::say;

const HELP: &str = "\
The tasks of this repository.

  cargo xtask demo             build everything, serve examples/search, and ask it three questions
  cargo xtask test [ARGS]      run the whole test suite; ARGS go to each `cargo test`
  cargo xtask guests           build the components of the examples and of the tests
  cargo xtask machine [COMMAND]
                               fetch what the tests need of the machine, and run COMMAND as `test` runs them
  cargo xtask models           fetch the model of examples/embeddings, which is too large for the repository
  cargo xtask lint             format, clippy and docs, as CI checks them
  cargo xtask api [--write]    compare the public items of the libraries with tests/api, or write them there
  cargo xtask readme           run the commands of README.md and examples/answer/README.md, and compare what they print
                               with what the documents say
  cargo xtask python           check the SDK for Python, and run its tests with and without chainhost
  cargo xtask openapi          have tools of others test the OpenAPI documents of the examples
  cargo xtask bench [NAME]     run the benchmarks
  cargo xtask fuzz [TARGET [SECONDS|FILE]]
                               run the fuzz targets, or one of them: for ten minutes each, for so many seconds, or on
                               one input

What is missing for them is installed where rustup, or apt-get, can do it, and named where they cannot.";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if let Some(code) = fuzz::compile(&arguments).or_else(|| api::document(&arguments)) {
        return code;
    }
    let arguments: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.output().is_empty() {
                say(format_args!("\n{}", failure.output().trim_end()));
            }
            say(format_args!("\nxtask: {failure}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), Failure> {
    let root = root();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["demo"] => demo::run(&root),
        ["test", rest @ ..] => suite::run(&root, rest),
        ["guests"] => guests::run(&root),
        ["machine", command @ ..] => machine::run(command),
        ["models"] => models::run(&root),
        ["lint"] => lint::run(&root),
        ["api"] => api::run(&root, false),
        ["api", "--write"] => api::run(&root, true),
        ["readme"] => readme::run(&root),
        ["python"] => python::run(&root),
        ["openapi"] => openapi::run(&root),
        ["bench", rest @ ..] => bench::run(&root, rest),
        ["fuzz", rest @ ..] => fuzz::run(&root, rest),
        [] | ["help" | "-h" | "--help"] => {
            say(HELP);
            Ok(())
        }
        [unknown, ..] => Err(Failure::new(
            format_args!("there is no task `{}`", words.join(" ")),
            format_args!("`{unknown}` is unknown or takes no such argument; see `cargo xtask help`"),
        )),
    }
}

/// Returns the top of the repository in which this runs. Another checkout may have built this program, if both share a
/// target folder.
fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    here.parent().unwrap_or(&here).to_owned()
}
