//! The command `chainhost`. What it can do is in [`cli`], one file a command.

mod allocator;
mod cli;
mod telemetry;

use std::process::ExitCode;

fn main() -> ExitCode {
    allocator::configure();
    let survives = cli::signals::survive_long_files();
    if let Some(ended) = chainhost::gpu_worker() {
        return ended;
    }
    cli::bug::report_panics_in_one_line();
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(ended) => return ended,
    };
    match survives.and_then(|()| cli::run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            failure.code()
        }
    }
}
