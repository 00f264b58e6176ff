//! The buffers of a device: what they may be used for, and how bytes get in and out.

use std::future::Future;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use tokio::sync::oneshot;

use super::{Device, Object};
use crate::gpu::protocol::{Blueprint, Failure, FailureKind, ObjectId, Position, Result};
use crate::gpu::quota::Charge;
use crate::gpu::session::Bytes;

/// How many bytes are written in one go. As many again may be on their way.
const PIECE: u64 = 32 << 20;
/// What the smallest write is counted as, in bytes: the driver has a buffer of its own for each.
const WRITE: u64 = 4 << 10;
/// How many bytes are read in one go; more are gathered first.
const READ: u64 = 64 << 20;
/// What a buffer's size is counted in, in bytes.
const GRAIN: u64 = 256;
/// What offsets and sizes of reads and writes are multiples of.
const ALIGNMENT: u64 = wgpu::COPY_BUFFER_ALIGNMENT;

/// A buffer, for as long as its guest or a read has it.
pub(crate) struct Buffer {
    object: Object,
    size: u64,
    /// Whether it is read without a copy on the GPU.
    is_mappable: bool,
    /// How it is used now.
    usage: Mutex<Usage>,
}

#[derive(Default)]
struct Usage {
    /// Reads whose bytes are asked for or held.
    reads: usize,
    destroyed: bool,
}

/// What a read gave. Its memory counts for as long as it is held.
pub(crate) struct Content {
    bytes: Bytes,
    _held: Arc<Held>,
}

/// What a read holds, until its bytes are let go.
struct Held {
    buffer: Arc<Buffer>,
    _charge: Charge,
}

impl Buffer {
    /// Makes a buffer of `device`.
    pub(crate) async fn create(
        device: &Arc<Device>,
        label: Option<String>,
        size: u64,
        usage: wgpu::BufferUsages,
    ) -> Result<Arc<Self>> {
        check_usage(size, usage)?;
        let charge = device.charge(size.checked_next_multiple_of(GRAIN).unwrap_or(u64::MAX).max(GRAIN)).await?;
        let object = device.create(label, Blueprint::Buffer { size, usage }).await?;
        let is_mappable = usage.contains(wgpu::BufferUsages::MAP_READ);
        device.progress.hold(object.id, charge);
        Ok(Arc::new(Buffer { object, size, is_mappable, usage: Mutex::default() }))
    }

    pub(crate) fn id(&self) -> ObjectId {
        self.object.id
    }

    pub(crate) fn device(&self) -> &Arc<Device> {
        &self.object.device
    }

    /// How many of `bytes` may be written at once, when it is time: what is written is held twice until the GPU has it.
    pub(crate) async fn room(&self, bytes: u64) -> Result<u64> {
        let device = self.device();
        device.progress.check()?;
        if device.progress.steps().unsubmitted >= PIECE {
            device.submit(Vec::new()).await?;
        }
        loop {
            let beyond = device.progress.steps().written_beyond(PIECE);
            match beyond {
                Some(number) => device.wait(Some(number)).await?,
                None => break,
            }
        }
        Ok(bytes.min(PIECE))
    }

    /// Writes `data`, of which there is [`Buffer::room`] for.
    pub(crate) fn write(&self, offset: u64, data: &[u8]) -> impl Future<Output = Result<()>> + Send + use<> {
        let device = self.device().clone();
        let written = device.backend.write(device.id, self.position(offset), data);
        device.progress.steps().unsubmitted += u64::try_from(data.len()).unwrap_or(u64::MAX).max(WRITE);
        async move { device.progress.unless_lost(written).await.map_err(|failure| device.explain(failure)) }
    }

    fn position(&self, offset: u64) -> Position {
        Position { buffer: self.object.id, offset }
    }

    /// Whether a part of the buffer is one.
    pub(crate) fn check(&self, offset: u64, size: u64) -> Result<()> {
        if !offset.is_multiple_of(ALIGNMENT) || !size.is_multiple_of(ALIGNMENT) {
            return Err(Failure::invalid(format_args!(
                "an offset of {offset} and a size of {size}: both must be multiples of {ALIGNMENT}"
            )));
        }
        match offset.checked_add(size).is_some_and(|end| end <= self.size) {
            true => Ok(()),
            false => Err(Failure::invalid(format_args!(
                "{size} bytes from {offset} are not all within the buffer's {}",
                self.size
            ))),
        }
    }

    /// Reads a part of the buffer, as it is after all that was submitted and written before.
    pub(crate) async fn read(self: Arc<Self>, offset: u64, size: u64) -> Result<Content> {
        self.check(offset, size)?;
        let device = self.device().clone();
        device.progress.check()?;
        let held = Arc::new(Held::new(&self, device.charge(size).await?));
        if self.is_mappable && device.progress.steps().unsubmitted > 0 {
            // Else wgpu submits them, and nobody knows of it.
            device.submit(Vec::new()).await?;
        }
        if size <= READ {
            return self.piece(offset, size, held).await;
        }
        let mut all: Vec<u8> = Vec::new();
        let room = usize::try_from(size).ok().and_then(|size| all.try_reserve_exact(size).ok());
        room.ok_or_else(|| Failure::new(FailureKind::OutOfMemory, "the host has no memory for so large a read"))?;
        while (all.len() as u64) < size {
            let begin = all.len() as u64;
            let piece = self.piece(offset + begin, (size - begin).min(READ), held.clone()).await?;
            all.extend_from_slice(&piece);
        }
        Ok(Content { bytes: all.into(), _held: held })
    }

    /// Reads a part in one go.
    async fn piece(&self, offset: u64, size: u64, held: Arc<Held>) -> Result<Content> {
        let device = self.device();
        let (sender, receiver) = oneshot::channel();
        let done = Box::new(move |read: Result<Bytes>| {
            let read = read.map(|bytes| Content { bytes, _held: held });
            // Whoever reads may have gone.
            let _ = sender.send(read);
        });
        let turn = if self.is_mappable { None } else { Some(device.turn().await?) };
        let asked = device.backend.read(device.id, self.position(offset), size, done);
        device.handed_over(asked, turn).await?;
        let read = receiver.map(|read| read.unwrap_or_else(|_| Err(Failure::lost("the device is gone"))));
        device.progress.unless_lost(read).await.map_err(|failure| device.explain(failure))
    }

    /// Frees its memory, even if bind groups have it; where it is being read, when that is over.
    pub(crate) fn destroy(&self) {
        let is_read = {
            let mut usage = self.usage();
            if usage.destroyed {
                return;
            }
            usage.destroyed = true;
            usage.reads > 0
        };
        let device = self.device();
        device.backend.destroy_buffer(device.id, self.object.id);
        if !(self.is_mappable && is_read) {
            device.progress.retire(self.object.id);
        }
    }

    fn usage(&self) -> MutexGuard<'_, Usage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.device().progress.retire(self.object.id);
    }
}

impl Held {
    fn new(buffer: &Arc<Buffer>, charge: Charge) -> Self {
        buffer.usage().reads += 1;
        Held { buffer: buffer.clone(), _charge: charge }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let is_over = {
            let mut usage = self.buffer.usage();
            usage.reads = usage.reads.saturating_sub(1);
            usage.destroyed && usage.reads == 0
        };
        if is_over {
            self.buffer.device().progress.retire(self.buffer.object.id);
        }
    }
}

impl Deref for Content {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Whether a buffer is one that WebGPU allows; the real one's usage may be another.
fn check_usage(size: u64, usage: wgpu::BufferUsages) -> Result<()> {
    use wgpu::BufferUsages as Usages;
    if usage.is_empty() {
        return Err(Failure::invalid("a buffer needs a usage"));
    }
    let alone = [
        (Usages::MAP_READ, Usages::COPY_DST, "map-read", "copy-dst"),
        (Usages::MAP_WRITE, Usages::COPY_SRC, "map-write", "copy-src"),
    ];
    for (map, with, map_name, with_name) in alone {
        if usage.contains(map) && !size.is_multiple_of(ALIGNMENT) {
            return Err(Failure::invalid(format_args!(
                "a buffer with the usage `{map_name}` has a size that is a multiple of {ALIGNMENT}, and not {size}"
            )));
        }
        if usage.contains(map) && !(map | with).contains(usage) {
            return Err(Failure::invalid(format_args!("the usage `{map_name}` goes with `{with_name}` alone")));
        }
    }
    Ok(())
}
