//! What a read gives: where they can be, the bytes as the driver shows them, so that they are copied once, to the guest.

use std::ops::{Deref, Range};
use std::sync::{Arc, Mutex, PoisonError};

use super::poller::View;
use super::scopes::unmap;
use crate::gpu::protocol::{Failure, Result};

/// Bytes of a buffer.
pub(crate) struct Bytes(Kind);

enum Kind {
    Owned(Vec<u8>),
    Mapped {
        /// Gone before the buffer is unmapped.
        view: Option<wgpu::BufferView>,
        skip: usize,
        buffer: wgpu::Buffer,
        device: wgpu::Device,
        /// Where the buffer goes afterwards, if it was only for this.
        spare: Option<Spare>,
        /// The last to go, as it says that all else has gone.
        _seen: View,
    },
}

/// A buffer for reads, kept for the next one: the driver takes longer to make one than to fill it. It is no part of a
/// guest's quota, and there is one of at most [`Spare::MOST`] bytes for each device.
#[derive(Clone, Default)]
pub(super) struct Spare(Arc<Mutex<Option<wgpu::Buffer>>>);

impl Spare {
    const MOST: u64 = 64 << 20;
    const SMALL: u64 = 64 << 10;

    /// The one that is kept, if it has room for `size` bytes, and not so much more that a small read would hold a large one.
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
    /// Those of `range` in a buffer that is mapped, but for the first `skip`. The buffer stays mapped as long as they are
    /// held, which `seen` says.
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
                Err(Failure::invalid(error))
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
