//! Pauses between attempts, each twice as long as the one before.
//!
//! The crates for this bring their own loop of attempts, and none of them fits. `backon` rounds its pauses to `f32`, and
//! its iterator cannot be cloned, which a policy of tower must be. `exponential-backoff` copies its source of jitter
//! with each clone, so callers that failed together would come back together.

use std::time::Duration;

/// The pauses before the attempts that are still to come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    next: Duration,
    /// The first pause that is not zero.
    first: Duration,
    longest: Duration,
}

impl Backoff {
    /// Begins with the pause `first`. Pauses double up to `longest`.
    pub(crate) const fn new(first: Duration, longest: Duration) -> Self {
        Backoff { next: first, first, longest }
    }

    /// Begins without a pause. Then come the pauses of [`Backoff::new`].
    pub(crate) const fn at_once(first: Duration, longest: Duration) -> Self {
        Backoff { next: Duration::ZERO, first, longest }
    }

    /// Returns the next pause.
    pub(crate) fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = pause.saturating_mul(2).max(self.first).min(self.longest);
        pause
    }

    /// Returns the next pause, shortened at random by up to half, so that callers that failed together do not come back
    /// together.
    pub(crate) fn shortened_pause(&mut self) -> Duration {
        self.pause().mul_f64(1.0 - fastrand::f64() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(10);
    const LONGEST: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_double_up_to_a_limit() {
        let mut backoff = Backoff::new(FIRST, LONGEST);
        let pauses: Vec<_> = (0..12).map(|_| backoff.pause().as_millis()).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1000, 1000, 1000, 1000, 1000]);
    }

    #[test]
    fn a_backoff_that_begins_at_once_has_the_same_pauses_afterwards() {
        let (mut at_once, mut other) = (Backoff::at_once(FIRST, LONGEST), Backoff::new(FIRST, LONGEST));
        assert_eq!(at_once.pause(), Duration::ZERO);
        for _ in 0..12 {
            assert_eq!(at_once.pause(), other.pause());
        }
    }

    #[test]
    fn pauses_are_shortened_by_half_at_most() {
        let (mut shortened, mut whole) = (Backoff::new(FIRST, LONGEST), Backoff::new(FIRST, LONGEST));
        for _ in 0..12 {
            let (pause, whole) = (shortened.shortened_pause(), whole.pause());
            assert!(pause <= whole && pause >= whole / 2, "{pause:?} of {whole:?}");
        }
    }
}
