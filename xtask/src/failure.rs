//! The reasons why a task stopped.

use std::fmt::{self, Display};

/// A failure: what is wrong, and what the user can do.
#[derive(Debug)]
pub struct Failure {
    what: String,
    help: String,
    output: String,
}

impl Failure {
    /// Makes a failure of two sentences without full stops.
    pub fn new(what: impl Display, help: impl Display) -> Self {
        Failure { what: what.to_string(), help: help.to_string(), output: String::new() }
    }

    /// Adds the output of a program that was not shown yet. It is printed above the failure.
    pub fn with_output(mut self, output: &str) -> Self {
        self.output.push_str(output);
        self
    }

    /// Returns the output that explains the failure; empty if there is none.
    pub fn output(&self) -> &str {
        &self.output
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  what to do: {}", self.what, self.help)
    }
}
