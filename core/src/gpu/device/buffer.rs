//! The buffers of a device: their usages, and how bytes are written and read.

use std::future::Future;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{FutureExt, TryFutureExt};
use tokio::sync::oneshot;

use super::{Device, Object};
use crate::gpu::operation::{Bulk, GpuOperation};
use crate::gpu::protocol::{BufferPosition, GpuFailure, GpuFailureKind, ObjectDescriptor, ObjectId, Result};
use crate::gpu::quota::Charge;
use crate::gpu::session::Bytes;

/// The most bytes that are written at once. As many again may be on their way.
const PIECE: u64 = 32 << 20;
/// The least number of bytes that a write counts as, because the driver has a buffer of its own for each write.
const WRITE: u64 = 4 << 10;
/// The most bytes that are read at once. A longer read is collected from pieces.
const READ: u64 = 64 << 20;
/// The size of a buffer is charged in steps of this many bytes.
const GRAIN: u64 = 256;
/// Offsets and sizes of reads and writes are multiples of this.
const ALIGNMENT: u64 = wgpu::COPY_BUFFER_ALIGNMENT;

/// A buffer. It lives as long as its guest or a read holds it.
pub(crate) struct Buffer {
    object: Object,
    size: u64,
    /// True if it is read without a copy on the GPU.
    is_mappable: bool,
    /// Its current use.
    usage: Mutex<Usage>,
}

#[derive(Default)]
struct Usage {
    /// The number of reads that wait for their bytes or hold them.
    reads: usize,
    destroyed: bool,
}

/// The bytes of a read. Their memory is charged until this is dropped.
pub(crate) struct Content {
    bytes: Bytes,
    _held: Arc<ReadHold>,
}

/// The buffer and the charge of a read, held until its bytes are dropped.
struct ReadHold {
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
        let object = device.create(label, ObjectDescriptor::Buffer { size, usage }).await?;
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

    /// Waits until there is room for a write, and returns how many of `bytes` may be written at once. Written bytes are
    /// held twice until the GPU has them.
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

    /// Writes `data`. [`Buffer::room`] must have returned at least its length.
    pub(crate) fn write(&self, offset: u64, data: &[u8]) -> impl Future<Output = Result<()>> + Send + use<> {
        let device = self.device().clone();
        let write = GpuOperation::Write(self.position(offset));
        let written = device.backend.execute(device.id, write, Bulk::ToGpu(data.into())).map_ok(drop);
        device.progress.steps().unsubmitted += u64::try_from(data.len()).unwrap_or(u64::MAX).max(WRITE);
        async move { device.progress.unless_lost(written).await.map_err(|failure| device.explain(failure)) }
    }

    fn position(&self, offset: u64) -> BufferPosition {
        BufferPosition { buffer: self.object.id, offset }
    }

    /// Rejects a range that is not aligned, or not within the buffer.
    pub(crate) fn check(&self, offset: u64, size: u64) -> Result<()> {
        if !offset.is_multiple_of(ALIGNMENT) || !size.is_multiple_of(ALIGNMENT) {
            return Err(GpuFailure::invalid(format_args!(
                "an offset of {offset} and a size of {size}: both must be multiples of {ALIGNMENT}"
            )));
        }
        match offset.checked_add(size).is_some_and(|end| end <= self.size) {
            true => Ok(()),
            false => Err(GpuFailure::invalid(format_args!(
                "{size} bytes from {offset} are not all within the buffer's {}",
                self.size
            ))),
        }
    }

    /// Reads a part of the buffer, as it is after all earlier submissions and writes.
    pub(crate) async fn read(self: Arc<Self>, offset: u64, size: u64) -> Result<Content> {
        self.check(offset, size)?;
        let device = self.device().clone();
        device.progress.check()?;
        let held = Arc::new(ReadHold::new(&self, device.charge(size).await?));
        if self.is_mappable && device.progress.steps().unsubmitted > 0 {
            // Otherwise wgpu itself submits the writes, and the host does not know of that submission.
            device.submit(Vec::new()).await?;
        }
        if size <= READ {
            return self.piece(offset, size, held).await;
        }
        let mut all: Vec<u8> = Vec::new();
        let room = usize::try_from(size).ok().and_then(|size| all.try_reserve_exact(size).ok());
        room.ok_or_else(|| GpuFailure::new(GpuFailureKind::OutOfMemory, "the host has no memory for so large a read"))?;
        while (all.len() as u64) < size {
            let begin = all.len() as u64;
            let piece = self.piece(offset + begin, (size - begin).min(READ), held.clone()).await?;
            all.extend_from_slice(&piece);
        }
        Ok(Content { bytes: all.into(), _held: held })
    }

    /// Reads a part of at most [`READ`] bytes.
    async fn piece(&self, offset: u64, size: u64, held: Arc<ReadHold>) -> Result<Content> {
        let device = self.device();
        let (sender, receiver) = oneshot::channel();
        let done = Box::new(move |read: Result<Bytes>| {
            let read = read.map(|bytes| Content { bytes, _held: held });
            // This fails if the reader no longer waits.
            let _ = sender.send(read);
        });
        // A mappable buffer is read without a submission, so it needs no turn.
        let turn = if self.is_mappable { None } else { Some(device.turn().await?) };
        let read = GpuOperation::Read { from: self.position(offset), size };
        let asked = device.backend.execute(device.id, read, Bulk::FromGpu(done));
        device.handed_over(asked, turn).await?;
        let read = receiver.map(|read| read.unwrap_or_else(|_| Err(GpuFailure::lost("the device is gone"))));
        device.progress.unless_lost(read).await.map_err(|failure| device.explain(failure))
    }

    /// Frees the buffer's memory, even if bind groups use the buffer. If a read has it mapped, the memory is freed
    /// after the read.
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
        device.backend.send(device.id, GpuOperation::DestroyBuffer(self.object.id));
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

impl ReadHold {
    fn new(buffer: &Arc<Buffer>, charge: Charge) -> Self {
        buffer.usage().reads += 1;
        ReadHold { buffer: buffer.clone(), _charge: charge }
    }
}

impl Drop for ReadHold {
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

/// Rejects a size and usage that WebGPU does not allow. wgpu cannot, because it sees the usage of the real buffer.
fn check_usage(size: u64, usage: wgpu::BufferUsages) -> Result<()> {
    use wgpu::BufferUsages as Usages;
    if usage.is_empty() {
        return Err(GpuFailure::invalid("a buffer needs a usage"));
    }
    let alone = [
        (Usages::MAP_READ, Usages::COPY_DST, "map-read", "copy-dst"),
        (Usages::MAP_WRITE, Usages::COPY_SRC, "map-write", "copy-src"),
    ];
    for (map, with, map_name, with_name) in alone {
        if usage.contains(map) && !size.is_multiple_of(ALIGNMENT) {
            return Err(GpuFailure::invalid(format_args!(
                "a buffer with the usage `{map_name}` has a size that is a multiple of {ALIGNMENT}, and not {size}"
            )));
        }
        if usage.contains(map) && !(map | with).contains(usage) {
            return Err(GpuFailure::invalid(format_args!("the usage `{map_name}` goes with `{with_name}` alone")));
        }
    }
    Ok(())
}
