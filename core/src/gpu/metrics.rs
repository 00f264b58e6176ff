//! The measurements of a chainlet's use of its GPU.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use crate::capability::{Measure, MeasureUnit};

/// The measurements of one chainlet. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct GpuMetrics {
    /// Bytes of GPU memory that all replicas hold.
    pub memory: Gauge,
    /// Seconds that the GPU worked on each submission, as the host sees it.
    pub submissions: Histogram,
    /// Seconds that the GPU worked on some of them, by its own clock.
    pub executions: Histogram,
    /// Devices that were lost because of a fault, a deadline or the end of a worker.
    pub lost: Counter,
}

impl GpuMetrics {
    pub(super) fn new() -> Self {
        // From 20 µs to some 20 s.
        let seconds = || Histogram::new(exponential_buckets(20e-6, 4.0, 11));
        GpuMetrics { memory: Gauge::default(), submissions: seconds(), executions: seconds(), lost: Counter::default() }
    }

    /// Returns the current values, for `GET /metrics`.
    pub(crate) fn measures(&self) -> Vec<Measure> {
        let lost = "Devices that were lost, by a fault, a deadline or the end of a worker";
        let (submission, execution) = ("submission", "execution");
        vec![
            Measure::gauge("memory", "Bytes of GPU memory that all replicas hold.", self.memory.get())
                .unit(MeasureUnit::Bytes),
            Measure::counter("devices_lost", lost, self.lost.get()),
            Measure::histogram(submission, "How long a GPU worked on each submission.", self.submissions.clone())
                .unit(MeasureUnit::Seconds),
            Measure::histogram(
                execution,
                "How long a GPU worked on some submissions, by its own clock.",
                self.executions.clone(),
            )
            .unit(MeasureUnit::Seconds),
        ]
    }

    pub(super) fn memory(&self, change: i64) {
        self.memory.inc_by(change);
    }

    pub(super) fn submission(&self, time: Duration) {
        self.submissions.observe(time.as_secs_f64());
    }

    pub(super) fn execution(&self, time: Duration) {
        self.executions.observe(time.as_secs_f64());
    }
}
