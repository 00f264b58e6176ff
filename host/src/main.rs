//! The program `chainhost`. Its commands are in [`cli`], one file each.

mod allocator;
mod cli;
mod telemetry;

use std::process::ExitCode;

fn main() -> ExitCode {
    // On Linux, the loader has called this already.
    allocator::configure();
    // This comes before the branch for GPU workers, so that it holds for them, too.
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
