//! A replica's share of a processor: a token bucket of processor time.
//!
//! The processor time of a turn is known only after it, so a turn may overdraw the bucket. The replica then rests until
//! that is paid back. A turn is at most one tick of the engine's epoch long, which bounds the overdraft.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

/// The time for which a resting replica saves up its share: with half a processor, it may then use 10 ms of one at
/// once.
const SAVED: Duration = Duration::from_millis(20);

/// The longest rest of a replica before its balance is looked at again, however small its share.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// A share of one processor.
#[derive(Debug)]
pub(super) struct CpuShare {
    /// Seconds of processor time a second.
    rate: f64,
    /// Seconds of processor time that may be used at once. If negative, the debt that must be paid back first.
    balance: f64,
    at: Instant,
}

impl CpuShare {
    /// Makes a share of `rate` of one processor. Returns `None` for a whole one, which a replica cannot exceed.
    pub(super) fn new(rate: f64, now: Instant) -> Option<Self> {
        (rate < 1.0).then(|| CpuShare { rate, balance: rate * SAVED.as_secs_f64(), at: now })
    }

    /// Subtracts processor time that was used.
    pub(super) fn pay(&mut self, used: Duration, now: Instant) {
        self.earn(now);
        self.balance -= used.as_secs_f64();
    }

    /// Returns the time at which the replica may run again; `None` means now.
    pub(super) fn rests_until(&mut self, now: Instant) -> Option<Instant> {
        self.earn(now);
        (self.balance < 0.0).then(|| {
            let owed = Duration::try_from_secs_f64(-self.balance / self.rate).unwrap_or(LONGEST_REST);
            // Rounded up, so that a rest is never empty while time is still owed.
            now + owed.min(LONGEST_REST) + Duration::from_micros(1)
        })
    }

    fn earn(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.balance = (self.balance + passed * self.rate).min(self.rate * SAVED.as_secs_f64());
    }
}

thread_local! {
    /// The processor time of turns inside the current one; `None` if no turn on this thread is metered.
    static WITHIN: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// Measures the processor time of one turn, without the turns of other replicas inside it.
pub(super) struct CpuMeter {
    begun: Duration,
    outer: Option<Duration>,
}

impl CpuMeter {
    /// Begins to measure if `needed`, or if a turn around this one needs it.
    pub(super) fn start(needed: bool) -> Option<Self> {
        let outer = WITHIN.get();
        (needed || outer.is_some()).then(|| {
            WITHIN.set(Some(Duration::ZERO));
            CpuMeter { begun: processor_time(), outer }
        })
    }

    /// Returns the processor time that the turn used.
    pub(super) fn stop(self) -> Duration {
        let whole = processor_time().saturating_sub(self.begun);
        let within = WITHIN.replace(self.outer.map(|outer| outer + whole));
        whole.saturating_sub(within.unwrap_or_default())
    }
}

/// Returns the processor time of this thread so far.
#[cfg(unix)]
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Returns the time of the clock, on systems that do not tell a thread's processor time. A replica then gets at most
/// its share, and somewhat less if the machine is busy.
#[cfg(not(unix))]
fn processor_time() -> Duration {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TURN: Duration = Duration::from_millis(5);

    /// Runs a replica that always wants to run, in turns of [`TURN`], for `time`. Returns the processor time that it
    /// used.
    fn greedy(rate: f64, time: Duration) -> Duration {
        let start = Instant::now();
        let mut share = CpuShare::new(rate, start).unwrap();
        let (mut now, mut used) = (start, Duration::ZERO);
        while now < start + time {
            match share.rests_until(now) {
                Some(until) => now = until,
                None => {
                    now += TURN;
                    used += TURN;
                    share.pay(TURN, now);
                }
            }
        }
        used
    }

    #[test]
    fn a_whole_processor_needs_no_account() {
        assert!(CpuShare::new(1.0, Instant::now()).is_none());
        assert!(CpuShare::new(2.0, Instant::now()).is_none());
    }

    #[test]
    fn rest_is_saved_up_only_to_a_limit() {
        let start = Instant::now();
        let mut share = CpuShare::new(0.5, start).unwrap();
        let later = start + Duration::from_hours(1);
        share.pay(Duration::from_millis(10), later);
        assert_eq!(share.rests_until(later), None);
        share.pay(Duration::from_millis(10), later);
        assert_eq!(share.rests_until(later), Some(later + Duration::from_micros(20_001)));
    }

    #[test]
    fn a_turn_is_not_charged_for_the_turns_within_it() {
        let busy = |time: Duration| {
            let start = processor_time();
            while processor_time() - start < time {}
        };
        let outer = CpuMeter::start(true).unwrap();
        let inner = CpuMeter::start(false).unwrap();
        busy(Duration::from_millis(20));
        let inner = inner.stop();
        let outer = outer.stop();
        assert!(inner >= Duration::from_millis(20), "{inner:?}");
        assert!(outer < inner, "{outer:?} of its own, {inner:?} within");
        assert!(CpuMeter::start(false).is_none());
    }

    proptest! {
        #[test]
        fn no_more_is_used_than_the_share_and_what_was_saved(rate in 0.01..0.99f64, seconds in 1..20u64) {
            let time = Duration::from_secs(seconds);
            let used = greedy(rate, time).as_secs_f64();
            let share = rate * time.as_secs_f64();
            let saved = rate * SAVED.as_secs_f64() + 2.0 * TURN.as_secs_f64();
            prop_assert!(used <= share + saved, "{used} of {share}");
            prop_assert!(used >= share - saved, "{used} of {share}");
        }
    }
}
