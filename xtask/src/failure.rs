//! Why a task stopped.

use std::fmt::{self, Display};

/// What is wrong, and what to do about it.
#[derive(Debug)]
pub struct Failure {
    what: String,
    help: String,
}

impl Failure {
    /// A failure, as two sentences without a full stop.
    pub fn new(what: impl Display, help: impl Display) -> Self {
        Failure { what: what.to_string(), help: help.to_string() }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  what to do: {}", self.what, self.help)
    }
}
