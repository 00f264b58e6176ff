//! Why a task stopped.

use std::fmt::{self, Display};

/// What is wrong, and what to do about it.
#[derive(Debug)]
pub struct Failure {
    what: String,
    help: String,
    output: String,
}

impl Failure {
    /// A failure, as two sentences without a full stop.
    pub fn new(what: impl Display, help: impl Display) -> Self {
        Failure { what: what.to_string(), help: help.to_string(), output: String::new() }
    }

    /// Adds the output of a program that nobody has seen yet. It is printed above the failure.
    pub fn with_output(mut self, output: &str) -> Self {
        self.output.push_str(output);
        self
    }

    /// The output that explains the failure; empty if there is none.
    pub fn output(&self) -> &str {
        &self.output
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  what to do: {}", self.what, self.help)
    }
}
