//! Does the same as `caller`, through plain functions; see its WIT.

use std::cell::Cell;

use chainlet::{CallError, Failure, FailureKind};

#[derive(Default)]
struct CallerSync {
    calls: Cell<u32>,
}

#[chainlet::chainlet]
impl CallerSync {
    fn run_remote(&self, what: String) -> chainlet::Result<String> {
        self.calls.set(self.calls.get() + 1);
        let (word, argument) = what.split_once(':').unwrap_or((&what, ""));
        match word {
            "fallback" => match next::run_remote(argument) {
                Err(CallError::Failure(failure)) => {
                    let answer = other::run_remote(argument)?;
                    Ok(format!("{} instead: {answer}", name(&failure)))
                }
                answer => Ok(answer?),
            },
            "kind" => match next::run_remote(argument) {
                Err(CallError::Failure(failure)) => {
                    Ok(format!("{} {} {}", name(&failure), failure.chainlet, failure.repeatable))
                }
                answer => Ok(answer?),
            },
            "calls" => Ok(self.calls.get().to_string()),
            _ => Ok(next::run_remote(&what)?),
        }
    }
}

/// Returns the kind of a failure, as its problem document would name it.
fn name(failure: &Failure) -> &'static str {
    match failure.kind {
        FailureKind::Overloaded => "overloaded",
        FailureKind::NotReady => "not-ready",
        FailureKind::Deadline => "deadline",
        FailureKind::Trap => "trap",
        FailureKind::Cancelled => "cancelled",
        _ => "other",
    }
}
