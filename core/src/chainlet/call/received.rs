//! The errors that a guest got from its dependencies during a call. If the guest passes one on, its caller learns where
//! the error came from.

use std::collections::VecDeque;

use crate::config::DependencyName;
use crate::error::{CallError, ErrorOrigin};
use crate::value::Value;

/// The most failures that a call remembers. It remembers as many declared errors.
const REMEMBERED: usize = 32;
/// The most bytes of a declared error that is remembered. The sentences of failures are about as long, so a call
/// remembers some 128 KiB at most.
const REMEMBERED_ERROR: usize = 2 * 1024;

/// The last errors of dependencies that a guest got during a call.
#[derive(Default)]
pub(super) struct ReceivedErrors {
    failures: VecDeque<CallError>,
    declared: VecDeque<Received>,
    /// The dependency whose error the guest is about to return, if the guest has said so.
    passes_on: Option<String>,
}

impl ReceivedErrors {
    pub(super) fn failure(&mut self, error: CallError) {
        push(&mut self.failures, error);
    }

    /// Returns the last failure for which `is_it` returns true.
    pub(super) fn find_failure(&self, is_it: impl FnMut(&&CallError) -> bool) -> Option<CallError> {
        self.failures.iter().rev().find(is_it).cloned()
    }

    pub(super) fn declared(&mut self, error: Received) {
        push(&mut self.declared, error);
    }

    /// Notes that the guest is about to return an error of `dependency`.
    pub(super) fn pass_on(&mut self, dependency: String) {
        self.passes_on = Some(dependency);
    }

    /// Returns the origin of the error in `answer`, if the guest has said that it passes on an error of a dependency
    /// and the answer is such an error.
    pub(super) fn origin_of(&mut self, answer: Option<&Value>) -> Option<ErrorOrigin> {
        let dependency = self.passes_on.take()?;
        let Some(Value::Result(Err(error))) = answer else { return None };
        let mut of_dependency = self.declared.iter().rev().filter(|one| one.dependency.as_str() == dependency);
        of_dependency.find(|one| one.is(error.as_deref())).map(|one| one.origin.clone())
    }
}

/// Adds `item`, in place of the oldest one if there are many.
fn push<T>(items: &mut VecDeque<T>, item: T) {
    if items.len() == REMEMBERED {
        items.pop_front();
    }
    items.push_back(item);
}

/// A declared error that a dependency returned.
pub(super) struct Received {
    dependency: DependencyName,
    error: Option<Value>,
    origin: ErrorOrigin,
}

impl Received {
    /// Returns `None` for an error that is too large to remember.
    pub(super) fn new(dependency: &DependencyName, error: Option<&Value>, origin: ErrorOrigin) -> Option<Self> {
        let is_small = error.is_none_or(|error| error.weight() <= REMEMBERED_ERROR);
        is_small.then(|| Self { dependency: dependency.clone(), error: error.cloned(), origin })
    }

    /// Returns true if `error` is this error, unchanged or as its sentence alone.
    fn is(&self, error: Option<&Value>) -> bool {
        match (&self.error, error) {
            (Some(Value::Record(fields)), Some(Value::String(text))) => {
                fields.iter().any(|field| matches!(field, Value::String(sentence) if sentence == text))
            }
            (received, error) => received.as_ref() == error,
        }
    }
}
