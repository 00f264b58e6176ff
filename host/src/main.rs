//! The command `chainhost`. What it can do is in [`cli`], one file a command.

mod allocator;
mod cli;
mod telemetry;

use std::process::ExitCode;

fn main() -> ExitCode {
    allocator::configure();
    if let Some(ended) = chainhost::gpu_worker() {
        return ended;
    }
    cli::bug::report_panics_in_one_line();
    match cli::run(cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            failure.code()
        }
    }
}
