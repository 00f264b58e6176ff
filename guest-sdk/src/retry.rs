//! Repeats work that failed, with growing pauses.
//!
//! ```no_run
//! # async fn fetch() -> Result<String, chainlet::Error> { Ok(String::new()) }
//! # async fn example() -> chainlet::Result<()> {
//! use chainlet::retry::Policy;
//!
//! let text = Policy::new(4).run(async || fetch().await).await?;
//! # Ok(()) }
//! ```
//!
//! An error says whether another attempt makes sense: see [`Repeatable`]. The longest possible pause is 50 ms before
//! the second attempt. It doubles with each attempt, up to 5 s. Each pause is a random part of that ("full jitter",
//! <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>), so that many callers that failed
//! together do not come back together. If an error says after which time another attempt makes sense, the pause is that
//! time, plus up to the same again for jitter. If the error says more than a minute, there is no other attempt. There
//! is also none if the running call ends before the pause does.
//!
//! For calls of dependencies, prefer `attempts` of their edge in chain.toml, because operators can change it.

use std::time::Duration;

use crate::host::chainlet::host::errors;
use crate::{CallError, Error, Failure, FailureKind, call, time};

/// The longest wait that an error may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(60);

/// The number of attempts, and the lengths of the pauses.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    attempts: u32,
    first: Duration,
    longest: Duration,
}

impl Policy {
    /// Makes a policy of at most `attempts` in total. The first attempt is always made.
    pub fn new(attempts: u32) -> Self {
        Policy { attempts, first: Duration::from_millis(50), longest: Duration::from_secs(5) }
    }

    /// Sets the longest possible pause before the second attempt.
    #[must_use]
    pub fn first_pause(mut self, pause: Duration) -> Self {
        self.first = pause;
        self
    }

    /// Sets the longest possible pause. A time that an error itself asks for may be longer.
    #[must_use]
    pub fn longest_pause(mut self, pause: Duration) -> Self {
        self.longest = pause;
        self
    }

    /// Tries `work` until it succeeds, until its error says that another attempt makes no sense, or until no attempt or
    /// time is left.
    ///
    /// # Errors
    ///
    /// Returns the error of the last attempt.
    pub async fn run<T, E: Repeatable>(&self, mut work: impl AsyncFnMut() -> Result<T, E>) -> Result<T, E> {
        let mut attempt = 1;
        loop {
            let error = match work().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if attempt >= self.attempts || !error.is_repeatable() {
                return Err(error);
            }
            let asked = error.retry_delay();
            if asked.is_some_and(|asked| asked > LONGEST_ASKED) {
                return Err(error);
            }
            let pause = self.pause(attempt, fastrand::f64(), asked);
            if call::time_left().is_some_and(|left| left <= pause) {
                return Err(error);
            }
            time::sleep(pause).await;
            attempt += 1;
        }
    }

    /// Returns the pause after attempt number `attempt`. `part`, between 0 and 1, is chosen at random.
    fn pause(&self, attempt: u32, part: f64, asked: Option<Duration>) -> Duration {
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1)));
        let pause = doubled.min(self.longest).mul_f64(part.clamp(0.0, 1.0));
        asked.map_or(pause, |asked| asked.saturating_add(pause.min(asked)))
    }
}

/// An error that says whether another attempt makes sense.
pub trait Repeatable {
    /// Returns true if the same may succeed later, and a repetition does no harm.
    fn is_repeatable(&self) -> bool;

    /// Returns the time after which another attempt makes sense, if it is known.
    fn retry_delay(&self) -> Option<Duration> {
        None
    }
}

impl Repeatable for Error {
    fn is_repeatable(&self) -> bool {
        self.is_repeatable()
    }

    fn retry_delay(&self) -> Option<Duration> {
        self.retry_delay()
    }
}

impl Repeatable for errors::Error {
    fn is_repeatable(&self) -> bool {
        self.repeatable
    }
}

impl Repeatable for Failure {
    /// Returns true if the call had not begun, unless nobody wants its answer any more.
    fn is_repeatable(&self) -> bool {
        self.repeatable && !matches!(self.kind, FailureKind::Cancelled | FailureKind::Stopping)
    }

    fn retry_delay(&self) -> Option<Duration> {
        self.retry_delay()
    }
}

impl<E: Repeatable> Repeatable for CallError<E> {
    fn is_repeatable(&self) -> bool {
        match self {
            CallError::Failure(failure) => Repeatable::is_repeatable(failure),
            CallError::Declared { error, .. } => error.is_repeatable(),
        }
    }

    fn retry_delay(&self) -> Option<Duration> {
        match self {
            CallError::Failure(failure) => failure.retry_delay(),
            CallError::Declared { error, .. } => error.retry_delay(),
        }
    }
}

impl Repeatable for String {
    /// Returns false, because a text does not say whether a repetition does harm.
    fn is_repeatable(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn pauses_double_up_to_a_limit_and_are_a_random_part_of_it() {
        let policy = Policy::new(9).first_pause(10 * MS).longest_pause(35 * MS);
        let longest: Vec<_> = (1..5).map(|attempt| policy.pause(attempt, 1.0, None)).collect();
        assert_eq!(longest, [10 * MS, 20 * MS, 35 * MS, 35 * MS]);
        assert_eq!(policy.pause(2, 0.5, None), 10 * MS);
        assert_eq!(policy.pause(3, 0.0, None), Duration::ZERO);
        assert_eq!(policy.pause(u32::MAX, 1.0, None), 35 * MS);
    }

    #[test]
    fn the_pause_is_the_requested_time_plus_jitter() {
        let policy = Policy::new(9).first_pause(10 * MS);
        assert_eq!(policy.pause(1, 0.5, Some(1000 * MS)), 1005 * MS);
        assert_eq!(policy.pause(1, 0.5, Some(Duration::ZERO)), Duration::ZERO);
    }

    fn attempts(error: &Error, allowed: u32) -> u32 {
        let tried = Cell::new(0);
        let policy = Policy::new(allowed).first_pause(Duration::ZERO);
        let outcome = futures::executor::block_on(policy.run(async || {
            tried.set(tried.get() + 1);
            if tried.get() == 3 { Ok(()) } else { Err(error.clone()) }
        }));
        assert_eq!(outcome.is_ok(), tried.get() == 3);
        tried.get()
    }

    #[test]
    fn repeatable_errors_are_retried_until_no_attempt_is_left() {
        let passing = Error::unavailable("not now").repeatable(true);
        assert_eq!(attempts(&passing, 5), 3);
        assert_eq!(attempts(&passing, 2), 2);
        assert_eq!(attempts(&Error::not_found("there is none"), 5), 1);
    }
}
