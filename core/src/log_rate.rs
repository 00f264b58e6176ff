//! Limits how often one cause writes to the host's log. A guest or a client may trigger such a cause as often as it
//! likes.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The number of events a second that go out. A burst may have as many at once.
const A_SECOND: f64 = 100.0;

/// A token bucket of log events.
#[derive(Debug)]
pub struct LogRate(Mutex<Bucket>);

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    last: Instant,
    left_out: u64,
}

/// Makes a limit that admits events at once.
impl Default for LogRate {
    fn default() -> Self {
        LogRate(Mutex::new(Bucket::new(Instant::now())))
    }
}

impl LogRate {
    /// Returns how many events were left out before this one; `None` if this one must not go out now.
    pub fn admit(&self) -> Option<u64> {
        self.lock().admit(Instant::now())
    }

    /// Returns how many events were left out since the last one that went out, and forgets them.
    pub fn left_out(&self) -> u64 {
        std::mem::take(&mut self.lock().left_out)
    }

    fn lock(&self) -> MutexGuard<'_, Bucket> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bucket {
    fn new(now: Instant) -> Self {
        Bucket { tokens: A_SECOND, last: now, left_out: 0 }
    }

    fn admit(&mut self, now: Instant) -> Option<u64> {
        let passed = now.saturating_duration_since(self.last).as_secs_f64();
        self.last = now;
        self.tokens = (self.tokens + passed * A_SECOND).min(A_SECOND);
        if self.tokens < 1.0 {
            self.left_out += 1;
            return None;
        }
        self.tokens -= 1.0;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_goes_out_then_a_steady_share_and_the_rest_is_counted() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start);
        let burst = (0..1000).filter(|_| bucket.admit(start).is_some()).count();
        assert_eq!(burst, 100);
        assert_eq!(bucket.admit(start + Duration::from_millis(11)), Some(900));
        assert_eq!(bucket.admit(start + Duration::from_millis(12)), None);
        assert_eq!(bucket.admit(start + Duration::from_secs(100)), Some(1));
    }
}
