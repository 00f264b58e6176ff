//! The command `chainhost`. What it can do is in [`cli`], one file a command.

mod cli;
mod telemetry;

use std::process::ExitCode;

use clap::Parser as _;

/// Calls are begun on one thread and ended on another, which costs the system's allocator much: see docs/performance.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if let Some(ended) = chainhost::gpu_worker() {
        return ended;
    }
    cli::bug::report_panics_in_one_line();
    match cli::run(cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            failure.code()
        }
    }
}
