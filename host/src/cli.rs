//! The command line: its arguments, and the commands that do the work.
//!
//! Only the answer of a command goes to stdout. Progress, the log and errors go to stderr. The one table of exit codes
//! is in [`exit`].

mod args;
mod blocking;
pub mod bug;
mod build;
mod cache;
mod call;
mod check;
mod completions;
mod exit;
mod gpus;
mod hints;
mod near;
mod new;
mod output;
mod serve;
pub mod signals;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use chainhost::machine;
use clap::{Parser, Subcommand};

pub use exit::{Exit, Failure};
pub use output::{stderr_has_colours, write_printable};

use crate::telemetry::{self, LogFormat, Verbosity};

/// Hosts chains of sandboxed WebAssembly components.
///
/// A Chainlet is a WASI component with one typed function, `run-remote`. A chain is a set of Chainlets that call each
/// other, described in a chain.toml. chainhost builds a chain, checks that its parts fit, and serves its entrypoint as
/// JSON over HTTP.
#[derive(Debug, Parser)]
#[command(
    name = "chainhost",
    version,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "Try `chainhost new hello` for a first chain, and `chainhost help COMMAND` for examples.",
    after_long_help = long_help()
)]
pub struct Cli {
    /// The format of log lines on stderr
    #[arg(
        long,
        global = true,
        display_order = 100,
        value_enum,
        value_name = "FORMAT",
        env = "CHAINHOST_LOG_FORMAT",
        hide_env_values = true,
        default_value_t
    )]
    log: LogFormat,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<serve::Serve>),
    Call(call::Call),
    Check(check::Check),
    Build(build::BuildCommand),
    New(new::New),
    Gpus(gpus::Gpus),
    Cache(cache::Cache),
    Completions(completions::Completions),
}

/// Reads the command line. If it asks for help or is wrong, prints that and returns the exit code.
pub fn parse() -> Result<Cli, ExitCode> {
    let hint = |error| {
        let command = std::env::args().skip(1).find(|word| !word.starts_with('-'));
        hints::with_hint(error, command.as_deref())
    };
    Cli::try_parse().map_err(hint).map_err(|error| match error.print() {
        Err(cause) if !error.use_stderr() && cause.kind() != io::ErrorKind::BrokenPipe => {
            let failure = Failure::system("the help could not be written to stdout", &cause);
            failure.report();
            failure.code()
        }
        _ => u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from),
    })
}

/// Runs the command that the command line asks for.
pub fn run(cli: Cli) -> Result<(), Failure> {
    let verbosity = match &cli.command {
        Command::Serve(_) => Verbosity::Service,
        Command::Call(_) => Verbosity::Guests,
        _ => Verbosity::Quiet,
    };
    let log = telemetry::start(cli.log, verbosity)?;
    match cli.command {
        Command::Serve(serve) => in_runtime(serve.run(cli.log, log.left_out())),
        Command::Call(call) => in_runtime(signals::or_signal(call.run())),
        Command::Check(check) => in_runtime(signals::or_signal(check.run())),
        Command::Build(build) => in_runtime(signals::or_signal(build.run())),
        Command::New(new) => new.run(),
        Command::Gpus(gpus) => gpus.run(),
        Command::Cache(cache) => cache.run(),
        Command::Completions(completions) => completions.run(),
    }
}

fn in_runtime(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    // One more thread is for work that blocks.
    machine::has_threads(threads.saturating_add(1), "connections")?;
    machine::has_files(machine::FILES_OF_A_RUNTIME, "connections")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        // The blocking thread that is started below never ends. It does all blocking work if the system starts no more
        // threads.
        .thread_keep_alive(Duration::MAX)
        .enable_all()
        .build()
        .map_err(|error| Failure::system("the async runtime does not start", &error))?;
    drop(runtime.spawn_blocking(|| {}));
    let result = runtime.block_on(command);
    // This does not wait: a read of stdin or a compilation may still hold a thread, and nobody needs its result any
    // more.
    runtime.shutdown_background();
    result
}

fn long_help() -> String {
    format!(
        "A first chain:
  chainhost new hello                          write a chain of two Chainlets
  chainhost build hello/chain.toml             build their components
  chainhost check hello/chain.toml             see who calls whom, and with what types
  chainhost call hello/chain.toml '{{\"names\": [\"Ada\"]}}'
  chainhost serve hello/chain.toml             POST http://127.0.0.1:8080/run_remote

Environment:
  CHAINHOST_LOG  what is logged, such as `warn` or `info,chainhost=debug`; else RUST_LOG
  NO_COLOR       no colours, even on a terminal
  and a variable for each secret: see `chainhost help serve`

Exit codes:
{}",
        exit::table()
    )
}
