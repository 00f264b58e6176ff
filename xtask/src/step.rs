//! Progress: which step of how many, and how long it took.

use std::fmt::Display;
use std::io::Write as _;
use std::time::Instant;

use crate::failure::Failure;

/// The steps of a task, counted.
pub struct Steps {
    total: usize,
    begun: usize,
    start: Instant,
}

impl Steps {
    /// A task of `total` steps.
    pub fn new(total: usize) -> Self {
        Steps { total, begun: 0, start: Instant::now() }
    }

    /// Does the next step, and says so before and after.
    pub fn run<T>(&mut self, title: &str, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        self.begun += 1;
        let label = format!("[{}/{}] {title}", self.begun, self.total);
        say(format_args!("\n{label} …"));
        let start = Instant::now();
        let done = work()?;
        say(format_args!("{label}: done in {:.1} s", start.elapsed().as_secs_f64()));
        Ok(done)
    }

    /// Says that the whole task is done.
    pub fn finish(self, what: impl Display) {
        say(format_args!("\n{what} ({:.0} s)", self.start.elapsed().as_secs_f64()));
    }
}

/// A line on stdout. Whoever reads it may have gone, which is no reason to stop halfway.
pub fn say(line: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
