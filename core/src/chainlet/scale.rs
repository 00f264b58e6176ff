//! Decides how many replicas a chainlet needs. It is a plain state machine over the load, and its caller passes the
//! time.
//!
//! A replica is busy enough when it serves the part `target` of its concurrency. The load is averaged over `window`, so
//! that a short burst does not start a replica that is no longer needed when it is ready. Calls that wait while no
//! replica is on its way are the exception: they start one. The number of replicas falls only after fewer have sufficed
//! for all of `idle`.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Replicas;

/// The load of a chainlet at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Load {
    /// Calls in flight.
    pub active: usize,
    /// Calls in line.
    pub waiting: usize,
    /// Replicas that take calls.
    pub ready: usize,
    /// True if any call has come since the last look. Calls of microseconds are rarely seen in flight.
    pub used: bool,
}

#[derive(Debug)]
pub(super) struct Scale {
    bounds: Replicas,
    concurrency: usize,
    /// The calls in flight and in line at each look of the last `window`, and at one look before it.
    looks: VecDeque<(Instant, usize)>,
    /// The numbers of replicas that were needed during the last `idle`, each with the time of its look. They fall from
    /// front to back, because a later look that needs as many or more makes an earlier one irrelevant.
    needs: VecDeque<(Instant, u32)>,
}

impl Scale {
    /// Decides within `bounds`, for replicas that each serve `concurrency` calls at once.
    pub(super) fn new(bounds: Replicas, concurrency: usize) -> Self {
        Scale { bounds, concurrency, looks: VecDeque::new(), needs: VecDeque::new() }
    }

    /// Returns the time from one look to the next.
    pub(super) fn interval(&self) -> Duration {
        (self.bounds.window / 10).clamp(Duration::from_millis(10), Duration::from_secs(1))
    }

    /// Returns how many replicas there should be from now on. `wanted` is the number so far.
    pub(super) fn look(&mut self, load: Load, wanted: u32, now: Instant) -> u32 {
        self.looks.push_back((now, load.active + load.waiting));
        while self.looks.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= self.bounds.window) {
            self.looks.pop_front();
        }
        let all_are_ready = load.ready >= usize::try_from(wanted).unwrap_or(usize::MAX);
        let need = match load.waiting > 0 && all_are_ready {
            true => self.replicas_for(self.average(now)).max(wanted.saturating_add(1)),
            false => self.replicas_for(self.average(now)),
        };
        let need = if load.used { need.max(1) } else { need };
        // A replica that is on its way is still needed by the calls that wait for it.
        let need = if load.waiting > 0 { need.max(wanted) } else { need };
        self.needs.retain(|(_, needed)| *needed > need);
        self.needs.push_back((now, need));
        while self.needs.front().is_some_and(|(at, _)| now.duration_since(*at) > self.bounds.idle) {
            self.needs.pop_front();
        }
        let most = self.needs.front().map_or(need, |(_, needed)| *needed);
        most.clamp(self.bounds.min, self.bounds.max)
    }

    /// Returns the average number of calls in flight and in line over the window.
    fn average(&self, now: Instant) -> f64 {
        let Some((first, _)) = self.looks.front() else { return 0.0 };
        let begin = now.checked_sub(self.bounds.window).map_or(*first, |begin| begin.max(*first));
        let ends = self.looks.iter().skip(1).map(|(at, _)| *at).chain([now]);
        let mut sum = 0.0;
        for ((at, demand), end) in self.looks.iter().zip(ends) {
            sum += *demand as f64 * end.saturating_duration_since((*at).max(begin)).as_secs_f64();
        }
        // Divides by the whole window: before it has passed once, the missing part counts as no calls.
        sum / self.bounds.window.as_secs_f64()
    }

    fn replicas_for(&self, demand: f64) -> u32 {
        // Subtracts more than the rounding error of the sum. The conversion from a float saturates.
        (demand / (self.concurrency as f64 * self.bounds.target) - 1e-6).ceil() as u32
    }
}

#[cfg(test)]
mod tests;
