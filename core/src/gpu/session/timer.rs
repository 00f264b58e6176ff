//! Measures how long the GPU works on a submission, by its own clock, if it has one.
//!
//! A measurement takes two timestamps and a read, which is more than a small submission takes. So it is done only now
//! and then, and never for two submissions at once.

use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::scopes::{scoped, unmap};
use crate::gpu::protocol::Result;

/// The features that a device needs for it.
pub(super) const FEATURES: wgpu::Features =
    wgpu::Features::TIMESTAMP_QUERY.union(wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS);
/// The least time between two measurements.
const INTERVAL: Duration = Duration::from_millis(100);
/// The bytes of the timestamps at the beginning and at the end.
const SIZE: u64 = 2 * wgpu::QUERY_SIZE as u64;

/// The clock of a device.
pub(super) struct Timer {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    landing: wgpu::Buffer,
    /// Nanoseconds in a tick.
    period: f64,
    /// The time from which a submission is measured; `None` during a measurement.
    next: Mutex<Option<Instant>>,
}

/// The timing of one submission.
pub(super) struct Timing(Arc<Timer>);

impl Timer {
    /// Makes the clock of `device`. Returns `None` if the device lacks the features, or the memory for a clock.
    pub(super) fn open(device: &wgpu::Device, queue: &wgpu::Queue) -> Option<Arc<Self>> {
        if !device.features().contains(FEATURES) {
            return None;
        }
        let buffer = |usage| {
            device.create_buffer(&wgpu::BufferDescriptor { label: None, size: SIZE, usage, mapped_at_creation: false })
        };
        let queries = wgpu::QuerySetDescriptor { label: None, ty: wgpu::QueryType::Timestamp, count: 2 };
        let opened = scoped(device, || Timer {
            queries: device.create_query_set(&queries),
            resolved: buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC),
            landing: buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST),
            period: queue.get_timestamp_period().into(),
            next: Mutex::new(Some(Instant::now())),
        });
        opened
            .inspect_err(|failure| tracing::warn!(error = %failure, "the work of a GPU device is not timed"))
            .ok()
            .map(Arc::new)
    }

    /// Begins to measure a submission, if one is due.
    pub(super) fn start(self: &Arc<Self>) -> Option<Timing> {
        let due = self.next().take_if(|next| *next <= Instant::now());
        due.map(|_| Timing(self.clone()))
    }

    fn next(&self) -> MutexGuard<'_, Option<Instant>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the time between the timestamps in `landing`, which is mapped; `None` if they contradict each other.
    fn elapsed(&self) -> Option<Duration> {
        let view = self.landing.get_mapped_range(..).ok()?;
        let (begin, rest) = view.deref().split_first_chunk()?;
        let ticks = u64::from_le_bytes(*rest.first_chunk()?).checked_sub(u64::from_le_bytes(*begin))?;
        Duration::try_from_secs_f64(ticks as f64 * self.period / 1e9).ok()
    }
}

impl Timing {
    /// Takes the first time, after everything in `encoder` so far.
    pub(super) fn begin(&self, encoder: &mut wgpu::CommandEncoder) {
        encoder.write_timestamp(&self.0.queries, 0);
    }

    /// Takes the second time, after everything in `encoder` since the first.
    pub(super) fn end(&self, encoder: &mut wgpu::CommandEncoder) {
        encoder.write_timestamp(&self.0.queries, 1);
        encoder.resolve_query_set(&self.0.queries, 0..2, &self.0.resolved, 0);
        encoder.copy_buffer_to_buffer(&self.0.resolved, 0, &self.0.landing, 0, SIZE);
    }

    /// Calls `told`, from a poll of `device`, with the time that the submission took, if it is known.
    pub(super) fn tell(
        self,
        device: &wgpu::Device,
        told: impl FnOnce(Option<Duration>) + Send + 'static,
    ) -> Result<()> {
        let landing = self.0.landing.clone();
        let take = {
            let device = device.clone();
            move |mapped: std::result::Result<(), wgpu::BufferAsyncError>| {
                let elapsed = mapped.is_ok().then(|| {
                    let elapsed = self.0.elapsed();
                    unmap(&device, &self.0.landing);
                    elapsed
                });
                drop(self);
                told(elapsed.flatten());
            }
        };
        scoped(device, || landing.map_async(wgpu::MapMode::Read, .., take))
    }
}

impl Drop for Timing {
    fn drop(&mut self) {
        *self.0.next() = Some(Instant::now() + INTERVAL);
    }
}
