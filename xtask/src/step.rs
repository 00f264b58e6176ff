//! Progress: the running step, the number of steps, how far the step is, and how long it took.

use std::fmt::Display;
use std::io::{IsTerminal as _, Stdout, Write};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::failure::Failure;

/// The most characters in the line of a running step. A longer line would wrap, and a wrapped line cannot be rewritten.
const WIDTH: usize = 79;
/// The time between two reports of a step if lines cannot be rewritten, as in the log of CI.
const INTERVAL: Duration = Duration::from_secs(60);

/// The steps of a task, counted.
pub struct Steps {
    total: usize,
    begun: usize,
    start: Instant,
}

impl Steps {
    /// Begins a task of `total` steps.
    pub fn new(total: usize) -> Self {
        Steps { total, begun: 0, start: Instant::now() }
    }

    /// Runs the next step, and prints its beginning and its end.
    pub fn run<T>(&mut self, title: &str, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        self.begun += 1;
        screen().begin(format!("[{}/{}] {title}", self.begun, self.total));
        let start = Instant::now();
        let done = work()?;
        screen().end(start.elapsed());
        Ok(done)
    }

    /// Prints that the whole task is done.
    pub fn finish(self, what: impl Display) {
        say(format_args!("\n{what} ({:.0} s)", self.start.elapsed().as_secs_f64()));
    }
}

/// Prints a line to stdout, below the line of the running step.
pub fn say(line: impl Display) {
    screen().say(&line);
}

/// Reports how far the running step is. A terminal shows it in the step's line.
pub fn progress(how_far: impl Display) {
    screen().progress(&how_far);
}

/// Prepares for the output of a program that writes to the terminal itself.
pub fn make_room() {
    screen().make_room();
}

fn screen() -> MutexGuard<'static, Screen<Stdout>> {
    static SCREEN: LazyLock<Mutex<Screen<Stdout>>> =
        LazyLock::new(|| Mutex::new(Screen::new(std::io::stdout(), std::io::stdout().is_terminal())));
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The lines that a task prints. All writes ignore errors, because a task should not stop halfway if its reader leaves.
struct Screen<W> {
    out: W,
    /// True if lines can be rewritten.
    is_terminal: bool,
    /// The running step, such as `[1/5] Check the toolchain`.
    label: String,
    /// True if the cursor is at the end of the step's line.
    open: bool,
    /// True if other lines followed the step's line.
    has_output: bool,
    /// The time of the step's last report.
    told: Instant,
}

impl<W: Write> Screen<W> {
    fn new(out: W, is_terminal: bool) -> Self {
        Screen { out, is_terminal, label: String::new(), open: false, has_output: false, told: Instant::now() }
    }

    fn begin(&mut self, label: String) {
        self.close();
        if std::mem::take(&mut self.has_output) {
            let _ = writeln!(self.out);
        }
        self.label = label;
        self.told = Instant::now();
        if self.is_terminal {
            self.rewrite("");
        } else {
            let _ = writeln!(self.out, "{} …", self.label);
        }
    }

    fn progress(&mut self, how_far: &dyn Display) {
        if self.is_terminal {
            self.rewrite(&how_far.to_string());
        } else if self.told.elapsed() >= INTERVAL {
            self.told = Instant::now();
            let _ = writeln!(self.out, "      {how_far}");
        }
    }

    fn end(&mut self, took: Duration) {
        let start = if std::mem::take(&mut self.open) { "\r\x1b[K" } else { "" };
        let _ = writeln!(self.out, "{start}{}: done in {:.1} s", self.label, took.as_secs_f64());
    }

    fn say(&mut self, line: &dyn Display) {
        self.make_room();
        let _ = writeln!(self.out, "{line}");
    }

    fn make_room(&mut self) {
        self.close();
        self.has_output = true;
    }

    /// Ends the step's line.
    fn close(&mut self) {
        if std::mem::take(&mut self.open) {
            let _ = writeln!(self.out);
        }
    }

    fn rewrite(&mut self, how_far: &str) {
        let line: String = format!("{} … {how_far}", self.label).chars().take(WIDTH).collect();
        let _ = write!(self.out, "\r\x1b[K{line}");
        let _ = self.out.flush();
        self.open = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(is_terminal: bool, act: impl FnOnce(&mut Screen<Vec<u8>>)) -> String {
        let mut screen = Screen::new(Vec::new(), is_terminal);
        act(&mut screen);
        String::from_utf8(screen.out).unwrap()
    }

    #[test]
    fn a_terminal_shows_a_step_in_one_line_that_is_rewritten() {
        let shown = shown(true, |screen| {
            screen.begin("[1/2] Build".into());
            screen.progress(&"1 of 2 crates");
            screen.end(Duration::from_millis(1500));
            screen.begin("[2/2] Ask".into());
        });
        assert_eq!(
            shown,
            "\r\x1b[K[1/2] Build … \r\x1b[K[1/2] Build … 1 of 2 crates\r\x1b[K[1/2] Build: done in 1.5 s\n\
             \r\x1b[K[2/2] Ask … "
        );
    }

    #[test]
    fn a_log_shows_a_step_when_it_begins_and_when_it_ends() {
        let shown = shown(false, |screen| {
            screen.begin("[1/1] Build".into());
            screen.progress(&"1 of 2 crates");
            screen.told = Instant::now().checked_sub(INTERVAL).unwrap();
            screen.progress(&"2 of 2 crates");
            screen.progress(&"still 2 of 2 crates");
            screen.end(Duration::from_secs(2));
        });
        assert_eq!(shown, "[1/1] Build …\n      2 of 2 crates\n[1/1] Build: done in 2.0 s\n");
    }

    #[test]
    fn the_output_of_a_step_is_below_its_line() {
        let shown = shown(true, |screen| {
            screen.begin("[1/2] Look".into());
            screen.say(&"found");
            screen.end(Duration::ZERO);
            screen.begin("[2/2] Go".into());
        });
        assert_eq!(shown, "\r\x1b[K[1/2] Look … \nfound\n[1/2] Look: done in 0.0 s\n\n\r\x1b[K[2/2] Go … ");
    }

    #[test]
    fn a_rewritten_line_is_not_wrapped() {
        let shown = shown(true, |screen| {
            screen.begin("x".repeat(200));
            screen.progress(&"1 of 2 crates");
        });
        assert!(shown.split("\r\x1b[K").all(|line| line.chars().count() <= WIDTH), "{shown}");
    }
}
