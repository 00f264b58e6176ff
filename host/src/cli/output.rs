//! The two streams: the answer on stdout, everything else on stderr.

use std::fmt::{self, Display};
use std::io::{self, IsTerminal as _, Write as _};

use super::Failure;

const RED: &str = "\x1b[1;31m";
const PLAIN: &str = "\x1b[0m";

/// Writes the answer of a command to stdout.
///
/// A reader that has gone, as `head` does, has read enough. So a broken pipe is no failure.
pub fn answer(text: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::system("the answer could not be written to stdout", &error))
        }
        _ => Ok(()),
    }
}

/// Writes a line to stderr that is no part of the answer.
pub fn note(line: impl Display) {
    // If stderr is closed, the error cannot be told to anybody.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Writes the line to stderr that says why the program ends.
pub fn error(message: &str) {
    let (red, plain) = if stderr_has_colours() { (RED, PLAIN) } else { ("", "") };
    note(format_args!("{red}error:{plain} {}", Printable(message)));
}

/// A text of several lines. A part of it may come from a guest: see [`write_printable`].
struct Printable<'t>(&'t str);

impl Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_printable(f, self.0, &['\n', '\t'])
    }
}

/// Writes `text` with its control characters escaped, except for those in `keep`. Logs and errors hold words of guests,
/// which must not be able to steer the operator's terminal or to forge lines.
pub fn write_printable(out: &mut impl fmt::Write, text: &str, keep: &[char]) -> fmt::Result {
    for c in text.chars() {
        if (c.is_control() || is_format(c)) && !keep.contains(&c) {
            write!(out, "{}", c.escape_default())?;
        } else {
            out.write_char(c)?;
        }
    }
    Ok(())
}

/// Returns true if `c` moves the text around it to another line or into another direction.
fn is_format(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns true if stderr is a terminal whose user has not asked for plain text (see <https://no-color.org>).
pub fn stderr_has_colours() -> bool {
    io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guests_words_in_an_error_cannot_steer_the_terminal() {
        assert_eq!(Printable("a\x1b[2J\u{9b}\r\n\tb é").to_string(), "a\\u{1b}[2J\\u{9b}\\r\n\tb é");
    }
}
