//! Runs programs whose output matters only if they fail, such as a build of hundreds of crates.

use std::io::{self, PipeReader, Read as _};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::step::progress;

/// The time between two updates of the time in the line of a step.
const TICK: Duration = Duration::from_secs(1);

/// The end of a program, and everything that it printed.
pub struct Finished {
    pub status: ExitStatus,
    pub output: String,
}

/// Runs `command` to its end and keeps its output. Meanwhile, the line of the step shows the time and, if cargo is
/// running, the number of compiled crates.
pub fn run(command: &mut Command) -> io::Result<Finished> {
    let (reader, writer) = io::pipe()?;
    // Cargo draws its progress only on a terminal, unless this variable is set.
    command.env("CARGO_TERM_PROGRESS_WHEN", "always").env("CARGO_TERM_PROGRESS_WIDTH", "100");
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let start = Instant::now();
    let spawned = command.spawn();
    // The command also holds ends of the pipe. The reader sees no end of the pipe until these are dropped.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = spawned?;

    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || read(reader, &sender));
    let (mut output, mut crates) = (String::new(), None);
    loop {
        match receiver.recv_timeout(TICK) {
            Ok(Piece::Line(line)) => {
                output.push_str(&line);
                output.push('\n');
                continue;
            }
            Ok(Piece::Drawn(line)) => crates = counted(&line).or(crates),
            // A process that the program left behind may hold the pipe forever.
            Err(RecvTimeoutError::Timeout) if process.try_wait()?.is_some() => break,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        let seconds = start.elapsed().as_secs();
        match crates {
            Some((done, all)) => progress(format_args!("{done} of {all} crates, {seconds} s")),
            None => progress(format_args!("{seconds} s")),
        }
    }
    Ok(Finished { status: process.wait()?, output })
}

/// A part of what a program prints.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    /// A line, which stays.
    Line(String),
    /// A line that the program itself overwrites, such as its progress.
    Drawn(String),
}

/// Sends the pieces of the pipe's text.
fn read(mut pipe: PipeReader, sender: &mpsc::Sender<Piece>) {
    let (mut pieces, mut buffer) = (Pieces::default(), [0; 8192]);
    loop {
        let read = match pipe.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        for byte in buffer.iter().take(read) {
            if pieces.push(*byte).is_some_and(|piece| sender.send(piece).is_err()) {
                return;
            }
        }
    }
    if let Some(last) = pieces.last() {
        // The receiver is gone if the process ended long ago.
        let _ = sender.send(last);
    }
}

/// Splits a stream of bytes into pieces.
#[derive(Default)]
struct Pieces {
    text: Vec<u8>,
    /// True if the last byte was a carriage return.
    returned: bool,
}

impl Pieces {
    /// Takes the next byte, and returns the piece that it ends. "\r\n" is one line end, but a line may at first be
    /// taken for an overwritten one.
    fn push(&mut self, byte: u8) -> Option<Piece> {
        let returned = std::mem::replace(&mut self.returned, byte == b'\r');
        match byte {
            b'\n' => Some(Piece::Line(self.take())),
            b'\r' if returned => None,
            b'\r' => Some(Piece::Drawn(String::from_utf8_lossy(&self.text).into_owned())),
            _ => {
                if returned {
                    self.text.clear();
                }
                self.text.push(byte);
                None
            }
        }
    }

    /// Returns the text after the last line end.
    fn last(mut self) -> Option<Piece> {
        (!self.text.is_empty() && !self.returned).then(|| Piece::Line(self.take()))
    }

    fn take(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.text)).into_owned()
    }
}

/// Returns the numbers in cargo's progress, `Building [=====>   ] 12/34: serde`: the compiled crates, and all crates.
fn counted(line: &str) -> Option<(u32, u32)> {
    let (_, rest) = line.split_once(" [")?.1.rsplit_once("] ")?;
    let (done, rest) = rest.split_once('/')?;
    let all: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((done.trim().parse().ok()?, all.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_progress_of_cargo_is_counted() {
        assert_eq!(counted("    Building [=======>       ] 120/563: wasmtime, serde(build)"), Some((120, 563)));
        assert_eq!(
            counted("\x1b[K\x1b[1m\x1b[96m    Building\x1b[0m [                ] 0/1: pp(bin)   "),
            Some((0, 1))
        );
        assert_eq!(counted("   Compiling serde v1.0.0 (/a/b [c] 1)"), None);
        assert_eq!(counted(" Downloading 3 crates"), None);
    }

    #[test]
    fn lines_are_kept_and_overwritten_lines_are_not() {
        let mut pieces = Pieces::default();
        let taken: Vec<_> = b"one\n  12/34\r\x1b[Ktwo\r\nthree\r\r".iter().filter_map(|b| pieces.push(*b)).collect();
        let line = |text: &str| Piece::Line(text.into());
        let drawn = |text: &str| Piece::Drawn(text.into());
        assert_eq!(taken, [line("one"), drawn("  12/34"), drawn("\x1b[Ktwo"), line("\x1b[Ktwo"), drawn("three")]);
        assert_eq!(pieces.last(), None, "what is drawn last is overwritten too");
        let mut pieces = Pieces::default();
        assert!(b"no end".iter().all(|byte| pieces.push(*byte).is_none()));
        assert_eq!(pieces.last(), Some(line("no end")));
    }

    #[test]
    fn a_program_is_run_to_its_end_and_all_that_it_prints_is_kept() {
        let finished = run(Command::new("rustc").arg("--no-such-flag")).unwrap();
        assert!(!finished.status.success());
        assert!(finished.output.contains("no-such-flag"), "{}", finished.output);
        let finished = run(Command::new("rustc").arg("--version")).unwrap();
        assert!(finished.status.success());
        assert!(finished.output.starts_with("rustc 1."), "{}", finished.output);
        assert!(run(&mut Command::new("no-such-program")).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_process_left_behind_does_not_hold_up_the_task() {
        let finished = run(Command::new("/bin/sh").args(["-c", "sleep 600 & echo $!"])).unwrap();
        let killed = Command::new("kill").arg(finished.output.trim()).status().unwrap();
        assert!(killed.success(), "{} runs no longer", finished.output);
    }
}
