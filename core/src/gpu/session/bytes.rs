//! The bytes that a read gives. If possible they stay where the driver maps them, so that they are copied only once, to
//! the guest.

use std::ops::{Deref, Range};
use std::sync::{Arc, Mutex, PoisonError};

use super::poller::View;
use super::scopes::unmap;
use crate::gpu::protocol::{GpuFailure, Result};

/// Bytes of a buffer.
pub(crate) struct Bytes(Kind);

enum Kind {
    Owned(Vec<u8>),
    Mapped {
        /// Dropped before the buffer is unmapped.
        view: Option<wgpu::BufferView>,
        skip: usize,
        buffer: wgpu::Buffer,
        device: wgpu::Device,
        /// Takes the buffer afterwards, if it was made only for this read.
        spare: Option<Spare>,
        /// Dropped last, because it says that everything else is dropped.
        _seen: View,
    },
}

/// A buffer for reads, kept for the next read, because the driver takes longer to make one than to fill it. It does not
/// count in a guest's quota. Each device has at most one, of at most [`Spare::MOST`] bytes.
#[derive(Clone, Default)]
pub(super) struct Spare(Arc<Mutex<Option<wgpu::Buffer>>>);

impl Spare {
    const MOST: u64 = 64 << 20;
    const SMALL: u64 = 64 << 10;

    /// Returns the kept buffer, if it has room for `size` bytes. A small read does not get a much larger buffer, which
    /// it would hold.
    pub(super) fn take(&self, size: u64) -> Option<wgpu::Buffer> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.take_if(|kept| kept.size() >= size && kept.size() <= size.saturating_mul(4).max(Self::SMALL))
    }

    fn put(&self, buffer: wgpu::Buffer) {
        if buffer.size() <= Self::MOST {
            let before = self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(buffer);
            drop(before);
        }
    }
}

impl Bytes {
    /// Makes the bytes of `range` in a mapped buffer, without the first `skip`. The buffer stays mapped while they are
    /// held, which `seen` counts.
    pub(super) fn mapped(
        (device, seen): (wgpu::Device, View),
        buffer: wgpu::Buffer,
        range: Range<u64>,
        skip: usize,
        spare: Option<Spare>,
    ) -> Result<Self> {
        match buffer.get_mapped_range(range) {
            Ok(view) => Ok(Bytes(Kind::Mapped { view: Some(view), skip, buffer, device, _seen: seen, spare })),
            Err(error) => {
                unmap(&device, &buffer);
                Err(GpuFailure::invalid(error))
            }
        }
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes(Kind::Owned(bytes))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Kind::Owned(bytes) => bytes,
            Kind::Mapped { view, skip, .. } => view.as_deref().and_then(|view| view.get(*skip..)).unwrap_or_default(),
        }
    }
}

impl Drop for Kind {
    fn drop(&mut self) {
        if let Kind::Mapped { view, buffer, device, spare, .. } = self {
            drop(view.take());
            unmap(device, buffer);
            if let Some(spare) = spare {
                spare.put(buffer.clone());
            }
        }
    }
}
