//! Which failures of a call are tried again, and after which pause.

use std::time::Duration;

use tokio::time::{Sleep, sleep};
use tower::retry::Policy;

use super::EdgeCall;
use crate::config::DependencySpec;
use crate::error::{CallError, ErrorKind};

/// The pause before the second attempt; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The attempts of one call.
///
/// The pauses are our own and not tower's: its source of jitter is copied with the policy, so that all callers of an edge
/// would pause for the same times, and come back together.
#[derive(Debug, Clone)]
pub(super) struct Attempts {
    /// How many are left, the one under way included.
    left: u32,
    idempotent: bool,
    pause: Duration,
}

impl Attempts {
    pub(super) fn new(policy: &DependencySpec) -> Self {
        Attempts { left: policy.attempts, idempotent: policy.idempotent, pause: FIRST_PAUSE }
    }

    fn may_repeat(&self, error: &CallError) -> bool {
        has_not_begun(error)
            || self.idempotent
                && matches!(
                    error.kind(),
                    ErrorKind::Overloaded | ErrorKind::NotReady | ErrorKind::Trap | ErrorKind::Internal
                )
    }

    /// Shortened at random by up to half, so that callers who failed together do not come back together.
    fn next_pause(&mut self) -> Duration {
        let pause = self.pause.mul_f64(1.0 - fastrand::f64() / 2.0);
        self.pause = self.pause.saturating_mul(2).min(LONGEST_PAUSE);
        pause
    }
}

/// Whether the chainlet that was called refused the call before its guest saw it. A failure that came through an edge of
/// its own says that the guest was at work.
fn has_not_begun(error: &CallError) -> bool {
    error.path().len() == 0 && matches!(error.kind(), ErrorKind::Overloaded | ErrorKind::NotReady)
}

/// Whether a stream among the parameters has gone to a guest, and cannot go to another.
fn is_spent(call: &EdgeCall) -> bool {
    let mut spent = false;
    call.params.iter().for_each(|param| param.for_each_stream(&mut |stream| spent |= stream.is_taken()));
    spent
}

impl<T> Policy<EdgeCall, T, CallError> for Attempts {
    type Future = Sleep;

    fn retry(&mut self, call: &mut EdgeCall, result: &mut Result<T, CallError>) -> Option<Sleep> {
        let error = result.as_ref().err()?;
        if self.left <= 1 || !self.may_repeat(error) || is_spent(call) {
            return None;
        }
        self.left -= 1;
        Some(sleep(self.next_pause()))
    }

    fn clone_request(&mut self, call: &EdgeCall) -> Option<EdgeCall> {
        (self.left > 1).then(|| call.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error::EdgeName;

    const KINDS: [ErrorKind; 8] = [
        ErrorKind::InvalidInput,
        ErrorKind::Chainlet,
        ErrorKind::Overloaded,
        ErrorKind::NotReady,
        ErrorKind::Deadline,
        ErrorKind::Trap,
        ErrorKind::Stopping,
        ErrorKind::Internal,
    ];

    fn attempts(idempotent: bool) -> Attempts {
        Attempts::new(&DependencySpec { attempts: 3, idempotent, ..DependencySpec::default() })
    }

    fn error(kind: ErrorKind) -> CallError {
        CallError::new(kind, &"b".parse().unwrap(), "for a test")
    }

    fn repeated(attempts: &Attempts) -> Vec<ErrorKind> {
        KINDS.into_iter().filter(|kind| attempts.may_repeat(&error(*kind))).collect()
    }

    #[test]
    fn only_a_call_that_has_not_begun_is_repeated_unless_the_edge_is_idempotent() {
        use ErrorKind::{Internal, NotReady, Overloaded, Trap};
        assert_eq!(repeated(&attempts(false)), [Overloaded, NotReady]);
        assert_eq!(repeated(&attempts(true)), [Overloaded, NotReady, Trap, Internal]);
    }

    #[test]
    fn a_refusal_further_down_the_chain_says_that_the_call_has_begun() {
        let edge = EdgeName { from: "b".parse().unwrap(), dependency: "c".parse().unwrap(), to: "c".parse().unwrap() };
        let error = error(ErrorKind::Overloaded).through(&Arc::new(edge));
        assert!(!attempts(false).may_repeat(&error));
        assert!(attempts(true).may_repeat(&error));
    }

    #[test]
    fn pauses_double_up_to_a_limit_and_are_shortened_by_half_at_most() {
        let mut attempts = attempts(false);
        let mut whole = FIRST_PAUSE;
        for _ in 0..12 {
            let pause = attempts.next_pause();
            assert!(pause <= whole && pause >= whole / 2, "{pause:?} of {whole:?}");
            whole = (whole * 2).min(LONGEST_PAUSE);
        }
        assert_eq!(whole, LONGEST_PAUSE);
    }
}
