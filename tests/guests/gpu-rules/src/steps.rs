//! The findings of a scenario: all steps that broke the rules, so that one run shows all of them.

use std::fmt::Debug;

use chainlet::Result;

use crate::gpu::{Error, ErrorKind};

/// The steps of a scenario so far.
#[derive(Default)]
pub struct Steps {
    taken: usize,
    wrong: Vec<String>,
}

impl Steps {
    /// Checks that a step succeeds, and continues in any case.
    pub fn ok<T>(&mut self, what: &str, result: std::result::Result<T, Error>) -> Option<T> {
        self.taken += 1;
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.wrong.push(format!("{what}: {}", words(&error)));
                None
            }
        }
    }

    /// Checks that a step fails with this kind of error, and with a message that is not empty.
    pub fn refused<T>(&mut self, what: &str, kind: ErrorKind, result: std::result::Result<T, Error>) {
        self.refused_with(what, kind, "", result);
    }

    /// Checks like [`Steps::refused`], and that the message contains `part`.
    pub fn refused_with<T>(&mut self, what: &str, kind: ErrorKind, part: &str, result: std::result::Result<T, Error>) {
        self.taken += 1;
        match result {
            Ok(_) => self.wrong.push(format!("{what}: it succeeded")),
            Err(error) if error.message.trim().is_empty() => self.wrong.push(format!("{what}: without a message")),
            Err(error) if error.kind == kind && error.message.contains(part) => {}
            Err(error) => self.wrong.push(format!("{what}: {}", words(&error))),
        }
    }

    /// Checks like [`Steps::refused`] for steps that break a rule, as most mistakes do.
    pub fn invalid<T>(&mut self, what: &str, result: std::result::Result<T, Error>) {
        self.refused(what, ErrorKind::Invalid, result);
    }

    /// Checks that two values are the same.
    pub fn equal<T: PartialEq + Debug>(&mut self, what: &str, found: T, expected: T) {
        self.taken += 1;
        if found != expected {
            let [found, expected] = [found, expected].map(|value| clipped(&format!("{value:?}")));
            self.wrong.push(format!("{what}: found {found}, expected {expected}"));
        }
    }

    /// Checks that a condition is true.
    pub fn holds(&mut self, what: &str, condition: bool) {
        self.taken += 1;
        if !condition {
            self.wrong.push(format!("{what}: it is not so"));
        }
    }

    /// Returns `ok`, or the steps that went wrong.
    pub fn end(self) -> Result<String> {
        if self.taken == 0 {
            return Err("nothing was tried".into());
        }
        if self.wrong.is_empty() {
            return Ok("ok".to_owned());
        }
        Err(format!("{} of {} steps: {}", self.wrong.len(), self.taken, self.wrong.join("; ")).into())
    }
}

/// Writes an error as one line.
pub fn words(error: &Error) -> String {
    format!("{:?}: {}", error.kind, clipped(&error.message.replace('\n', " | ")))
}

fn clipped(text: &str) -> String {
    text.chars().take(300).collect()
}
