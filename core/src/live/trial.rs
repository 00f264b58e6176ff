//! The trial of a new version of a chain with a share of the calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Version;
use crate::error::ErrorKind;

/// A version on trial.
pub(super) struct Trial {
    pub version: Arc<Version>,
    /// The share of the calls that go to it.
    pub share: f64,
    /// The outcomes of the other version up to the beginning of the trial.
    pub against: Tally,
}

impl Trial {
    /// Returns the outcomes since the trial began: those of the version on trial, and those of the other version, whose
    /// outcomes so far are `old`.
    pub(super) fn results(&self, old: Tally) -> (Tally, Tally) {
        (self.version.counts.tally(), old.since(self.against))
    }
}

/// The counts of the outcomes of a version's calls.
#[derive(Debug, Default)]
pub(super) struct Counts {
    answered: AtomicU64,
    failed: AtomicU64,
}

/// The outcomes up to some moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub answered: u64,
    /// The calls that failed by a fault of the chain.
    pub failed: u64,
}

impl Counts {
    /// Counts a call that ended, with its `failure` if it failed. Faults of the caller, the chainlet's own typed
    /// errors, and overload are not faults of a version, so they count as answered.
    pub(super) fn count(&self, failure: Option<ErrorKind>) {
        use ErrorKind::{Deadline, Internal, NotReady, Trap, Unreachable};
        match failure {
            Some(Trap | Internal | NotReady | Unreachable | Deadline) => self.failed.fetch_add(1, Ordering::Relaxed),
            _ => self.answered.fetch_add(1, Ordering::Relaxed),
        };
    }

    pub(super) fn tally(&self) -> Tally {
        Tally { answered: self.answered.load(Ordering::Relaxed), failed: self.failed.load(Ordering::Relaxed) }
    }
}

impl Tally {
    fn since(self, earlier: Tally) -> Tally {
        Tally {
            answered: self.answered.saturating_sub(earlier.answered),
            failed: self.failed.saturating_sub(earlier.failed),
        }
    }

    /// Returns true if a larger part of its calls failed than of the other's. A version without calls is not worse.
    pub(super) fn is_worse_than(self, other: Tally) -> bool {
        let (calls, others) = (self.answered + self.failed, other.answered + other.failed);
        u128::from(self.failed) * u128::from(others.max(1)) > u128::from(other.failed) * u128::from(calls)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tally(answered: u64, failed: u64) -> Tally {
        Tally { answered, failed }
    }

    #[test]
    fn the_parts_that_failed_are_compared_and_not_the_numbers() {
        assert!(tally(9, 1).is_worse_than(tally(99, 1)));
        assert!(!tally(90, 1).is_worse_than(tally(9, 1)));
        assert!(!tally(9, 1).is_worse_than(tally(90, 10)));
    }

    #[test]
    fn without_calls_there_is_nothing_to_hold_against_it() {
        assert!(!tally(0, 0).is_worse_than(tally(10, 0)));
        assert!(!tally(10, 0).is_worse_than(tally(0, 0)));
        assert!(tally(10, 1).is_worse_than(tally(0, 0)));
    }

    #[test]
    fn only_faults_of_the_chain_count_as_failures() {
        let counts = Counts::default();
        for failure in [None, Some(ErrorKind::InvalidInput), Some(ErrorKind::Chainlet), Some(ErrorKind::Overloaded)] {
            counts.count(failure);
        }
        assert_eq!(counts.tally(), tally(4, 0));
        for failure in [ErrorKind::Trap, ErrorKind::Deadline, ErrorKind::NotReady, ErrorKind::Internal] {
            counts.count(Some(failure));
        }
        assert_eq!(counts.tally().since(tally(4, 1)), tally(0, 3));
    }

    proptest! {
        #[test]
        fn of_two_versions_at_most_one_is_worse(a in 0..1_000u64, b in 0..1_000u64, c in 0..1_000u64, d in 0..1_000u64) {
            let (one, other) = (tally(a, b), tally(c, d));
            prop_assert!(!(one.is_worse_than(other) && other.is_worse_than(one)));
            prop_assert!(!one.is_worse_than(one));
        }
    }
}
