//! The memory that one replica may hold for its GPU. It is counted before it is allocated.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::metrics::GpuMetrics;
use super::protocol::{GpuFailure, ObjectDescriptor, Result};
use crate::config::ByteSize;

/// The most memory of the host that the objects of a replica may cost, in bytes, without the bytes of buffers. It is
/// far more than normal programs need.
const OBJECTS: u64 = 256 << 20;

/// A limited amount of memory, of which parts are taken and given back.
pub(crate) struct Quota {
    limit: u64,
    used: AtomicU64,
    of: Kind,
}

enum Kind {
    /// The GPU's memory, which chain.toml limits.
    Buffers(GpuMetrics),
    /// The host's memory.
    Objects,
}

/// A part of a quota. Dropping it gives the part back.
pub(crate) struct Charge {
    quota: Arc<Quota>,
    bytes: u64,
}

impl Quota {
    /// Makes the quota for the memory of buffers.
    pub(super) fn buffers(limit: ByteSize, meter: GpuMetrics) -> Arc<Self> {
        Arc::new(Quota { limit: limit.as_bytes(), used: AtomicU64::new(0), of: Kind::Buffers(meter) })
    }

    /// Makes the quota for the host's memory that objects cost.
    pub(super) fn objects() -> Arc<Self> {
        Arc::new(Quota { limit: OBJECTS, used: AtomicU64::new(0), of: Kind::Objects })
    }

    pub(super) fn charge(self: &Arc<Self>, bytes: u64) -> Result<Charge> {
        let more = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        // `Relaxed` suffices, because the counter guards no other data.
        let before = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        match (before, &self.of) {
            (Ok(_), of) => {
                of.changed(i64::try_from(bytes).unwrap_or(i64::MAX));
                Ok(Charge { quota: self.clone(), bytes })
            }
            (Err(used), Kind::Buffers(_)) => Err(GpuFailure::quota(format_args!(
                "{} more would be over the {} that `resources.gpu.memory` in chain.toml allows, of which {} are in use",
                ByteSize::bytes(bytes),
                ByteSize::bytes(self.limit),
                ByteSize::bytes(used)
            ))),
            (Err(_), Kind::Objects) => Err(GpuFailure::quota(
                "there are too many buffers, shaders, pipelines, bind groups and queries: drop some first",
            )),
        }
    }
}

impl Kind {
    fn changed(&self, bytes: i64) {
        if let Kind::Buffers(meter) = self {
            meter.memory(bytes);
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.quota.used.fetch_sub(self.bytes, Ordering::Relaxed);
        self.quota.of.changed(-i64::try_from(self.bytes).unwrap_or(i64::MAX));
    }
}

/// Returns about how many bytes of the host's memory an object costs, its driver's part included.
pub(super) fn cost(what: &ObjectDescriptor) -> u64 {
    let count = |len: usize| u64::try_from(len).unwrap_or(u64::MAX);
    match what {
        ObjectDescriptor::Buffer { .. } => 1 << 10,
        // A parsed shader is many times as large as its text.
        ObjectDescriptor::ShaderModule { wgsl } => (4 << 10) + 16 * count(wgsl.len()),
        ObjectDescriptor::ComputePipeline(_) => 64 << 10,
        ObjectDescriptor::BindGroup { entries, .. } => (1 << 10) + 128 * count(entries.len()),
        ObjectDescriptor::BindGroupLayout(entries) => (1 << 10) + 128 * count(entries.len()),
        ObjectDescriptor::PipelineLayout { .. } | ObjectDescriptor::LayoutOf { .. } => 1 << 10,
        ObjectDescriptor::QuerySet { count } => (1 << 10) + 8 * u64::from(*count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_taken_to_its_last_byte_and_given_back() {
        let quota = Quota::buffers(ByteSize::bytes(100), GpuMetrics::new());
        let all = quota.charge(100).unwrap_or_else(|error| panic!("{error}"));
        assert!(quota.charge(1).is_err());
        drop(all);
        let part = quota.charge(60).unwrap_or_else(|error| panic!("{error}"));
        let refusal = quota.charge(41).err().map(|error| error.message).unwrap_or_default();
        assert!(refusal.contains("60") && refusal.contains("100"), "{refusal}");
        drop(part);
        assert!(quota.charge(u64::MAX).is_err());
    }

    #[test]
    fn the_meter_shows_what_is_held() {
        let meter = GpuMetrics::new();
        let quota = Quota::buffers(ByteSize::bytes(100), meter.clone());
        let held = quota.charge(70).ok();
        assert_eq!(meter.memory.get(), 70);
        drop(held);
        assert_eq!(meter.memory.get(), 0);
    }
}
