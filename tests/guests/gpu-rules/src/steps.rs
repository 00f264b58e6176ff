//! What a scenario finds: each step that went otherwise than the rules say, so that one run tells them all.

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
    /// What must succeed, and goes on.
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

    /// What must fail in one way, with a message that has something to say.
    pub fn refused<T>(&mut self, what: &str, kind: ErrorKind, result: std::result::Result<T, Error>) {
        self.refused_with(what, kind, "", result);
    }

    /// As [`Steps::refused`], with a message that has `part` in it.
    pub fn refused_with<T>(&mut self, what: &str, kind: ErrorKind, part: &str, result: std::result::Result<T, Error>) {
        self.taken += 1;
        match result {
            Ok(_) => self.wrong.push(format!("{what}: it succeeded")),
            Err(error) if error.message.trim().is_empty() => self.wrong.push(format!("{what}: without a message")),
            Err(error) if error.kind == kind && error.message.contains(part) => {}
            Err(error) => self.wrong.push(format!("{what}: {}", words(&error))),
        }
    }

    /// As [`Steps::refused`] for what breaks a rule, as most mistakes do.
    pub fn invalid<T>(&mut self, what: &str, result: std::result::Result<T, Error>) {
        self.refused(what, ErrorKind::Invalid, result);
    }

    /// Two things that must be the same.
    pub fn equal<T: PartialEq + Debug>(&mut self, what: &str, found: T, expected: T) {
        self.taken += 1;
        if found != expected {
            let [found, expected] = [found, expected].map(|value| clipped(&format!("{value:?}")));
            self.wrong.push(format!("{what}: found {found}, expected {expected}"));
        }
    }

    /// Something that must be so.
    pub fn holds(&mut self, what: &str, condition: bool) {
        self.taken += 1;
        if !condition {
            self.wrong.push(format!("{what}: it is not so"));
        }
    }

    /// `ok`, or what went wrong.
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

/// An error as a line.
pub fn words(error: &Error) -> String {
    format!("{:?}: {}", error.kind, clipped(&error.message.replace('\n', " | ")))
}

fn clipped(text: &str) -> String {
    text.chars().take(300).collect()
}
