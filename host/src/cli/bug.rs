//! The message for a panic, which is always a bug in chainhost.

use std::panic::{self, PanicHookInfo};

use super::output;

const ISSUES: &str = "https://github.com/chainhost/chainhost/issues";

/// Makes a panic print one line to stderr that says what to do, in place of Rust's message and backtrace.
pub fn report_panics_in_one_line() {
    panic::set_hook(Box::new(|panic| output::error(&line(panic))));
}

fn line(panic: &PanicHookInfo<'_>) -> String {
    let what = panic.payload_as_str().unwrap_or("a panic without a message").replace('\n', " ");
    let place = panic.location().map(|location| format!(" ({}:{})", location.file(), location.line()));
    format!(
        "this is a bug in chainhost {}: {what}{}; please report it at {ISSUES}",
        env!("CARGO_PKG_VERSION"),
        place.unwrap_or_default()
    )
}
