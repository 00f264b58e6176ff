//! Waits while the other calls of the instance continue.
//!
//! ```no_run
//! # async fn ask() -> String { String::new() }
//! # async fn example() -> chainlet::Result<()> {
//! use std::time::Duration;
//! use chainlet::time;
//!
//! time::sleep(Duration::from_millis(20)).await;
//! // If it takes too long, the question is dropped, and so cancelled.
//! let answer = time::timeout(Duration::from_secs(2), ask()).await?;
//! # Ok(()) }
//! ```
//!
//! Outside a host, such as in a unit test on the developer's machine, [`sleep`]
//! blocks its thread.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures::future::{Either, select};

/// Waits for this time.
pub async fn sleep(time: Duration) {
    #[cfg(target_arch = "wasm32")]
    wasip3::clocks::monotonic_clock::wait_for(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)).await;
    #[cfg(not(target_arch = "wasm32"))]
    std::thread::sleep(time);
}

/// Waits until this moment. Returns at once if the moment has passed.
pub async fn sleep_until(moment: Instant) {
    let time = moment.saturating_duration_since(Instant::now());
    if !time.is_zero() {
        sleep(time).await;
    }
}

/// Returns the result of `work`. If it takes longer than `limit`, drops it,
/// which cancels the calls and requests that it waits for.
///
/// # Errors
///
/// Fails with [`Elapsed`] after the limit.
pub async fn timeout<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, Elapsed> {
    let mut work = pin!(work);
    // Work that is done at its first poll needs no timer.
    let first = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx)));
    if let Poll::Ready(value) = first.await {
        return Ok(value);
    }
    match select(work, pin!(sleep(limit))).await {
        Either::Left((value, _)) => Ok(value),
        Either::Right(_) => Err(Elapsed::new(limit)),
    }
}

/// The error of [`timeout`]: something took longer than its limit. `?` turns it
/// into a [`chainlet::Error`](crate::Error) of the kind `timeout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed {
    limit: Duration,
}

impl Elapsed {
    pub(crate) fn new(limit: Duration) -> Self {
        Elapsed { limit }
    }

    /// Returns what happened, in a sentence.
    pub fn message(&self) -> String {
        format!("it took longer than {:?}", self.limit)
    }

    /// Returns the limit that was exceeded.
    pub fn limit(&self) -> Duration {
        self.limit
    }
}

impl From<Elapsed> for crate::Error {
    fn from(elapsed: Elapsed) -> Self {
        crate::Error::timeout(elapsed.message())
    }
}

/// Ticks every `period`, for the first time at once. The shortest period is one
/// millisecond.
pub fn interval(period: Duration) -> Interval {
    Interval { next: Instant::now(), period: period.max(Duration::from_millis(1)) }
}

/// A clock that ticks; see [`interval`].
#[derive(Debug)]
pub struct Interval {
    next: Instant,
    period: Duration,
}

impl Interval {
    /// Waits for the next tick. Leaves out ticks that were missed: the next one
    /// is at the next multiple of the period.
    pub async fn tick(&mut self) {
        sleep_until(self.next).await;
        self.next = following(self.next, self.period, Instant::now());
    }
}

/// Returns the first tick after `now`.
fn following(tick: Instant, period: Duration, now: Instant) -> Instant {
    let late = now.saturating_duration_since(tick).as_nanos() / period.as_nanos();
    let periods = u32::try_from(late).unwrap_or(u32::MAX).saturating_add(1);
    tick.checked_add(period.saturating_mul(periods)).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_millis(10);

    #[test]
    fn ticks_that_were_missed_are_left_out() {
        let start = Instant::now();
        assert_eq!(following(start, PERIOD, start), start + PERIOD);
        assert_eq!(following(start, PERIOD, start + PERIOD / 2), start + PERIOD);
        assert_eq!(following(start, PERIOD, start + PERIOD), start + 2 * PERIOD);
        assert_eq!(following(start, PERIOD, start + 35 * PERIOD / 10), start + 4 * PERIOD);
    }

    #[test]
    fn work_that_is_done_in_time_is_not_lost() {
        let done = futures::executor::block_on(timeout(PERIOD, async { 7 }));
        assert_eq!(done, Ok(7));
        let late = futures::executor::block_on(timeout(PERIOD, std::future::pending::<()>()));
        assert_eq!(late.unwrap_err().message(), "it took longer than 10ms");
    }
}
