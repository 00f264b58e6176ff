//! The buffers of a device: what they may be used for, and how bytes get in and out.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Device, Object};
use crate::gpu::protocol::{Blueprint, Failure, ObjectId, Position, Result};
use crate::gpu::session::Bytes;

/// How many bytes are written or read in one go. As many again may be on their way.
const PIECE: u64 = 32 << 20;
/// How many bytes are read in one go; more are gathered first.
const READ: u64 = 64 << 20;
/// What a buffer's size is counted in, in bytes.
const GRAIN: u64 = 256;
/// What offsets and sizes of reads and writes are multiples of.
const ALIGNMENT: u64 = wgpu::COPY_BUFFER_ALIGNMENT;

/// A buffer, or what bind groups and submissions keep of it.
pub(crate) struct Buffer {
    object: Object,
    size: u64,
    /// Whether it is read without a copy on the GPU.
    is_mapped: bool,
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
        let is_mapped = usage.contains(wgpu::BufferUsages::MAP_READ);
        device.progress.hold(object.id, charge);
        Ok(Arc::new(Buffer { object, size, is_mapped }))
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
        let (unsubmitted, flushed) = {
            let steps = device.progress.steps();
            (steps.unsubmitted, steps.flushed)
        };
        if unsubmitted >= PIECE {
            device.wait(Some(flushed)).await?;
            let number = device.submit(Vec::new()).await?;
            device.progress.steps().flushed = number;
        }
        Ok(bytes.min(PIECE))
    }

    /// Writes `data`, of which there is [`Buffer::room`] for.
    pub(crate) fn write(&self, offset: u64, data: &[u8]) -> impl Future<Output = Result<()>> + Send + use<> {
        let device = self.device().clone();
        let written = device.backend.write(device.id, self.position(offset), data);
        device.progress.steps().unsubmitted += u64::try_from(data.len()).unwrap_or(u64::MAX);
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
    pub(crate) async fn read(self: Arc<Self>, offset: u64, size: u64) -> Result<Bytes> {
        self.check(offset, size)?;
        let device = self.device().clone();
        device.progress.check()?;
        // What is read is held once by the driver and once by the host, until the guest has it.
        let charge = Arc::new(device.charge(size).await?);
        let mut bytes: Vec<u8> = Vec::new();
        while (bytes.len() as u64) < size {
            let begin = bytes.len() as u64;
            let piece = (size - begin).min(READ);
            let (sender, receiver) = oneshot::channel();
            let done = {
                let charge = charge.clone();
                Box::new(move |result| {
                    drop(charge);
                    // Whoever reads may have gone.
                    let _ = sender.send(result);
                })
            };
            let turn = if self.is_mapped { None } else { Some(device.turn().await?) };
            let read = device.backend.read(device.id, self.position(offset + begin), piece, done);
            let number = device.progress.unless_lost(read).await.map_err(|failure| device.explain(failure))?;
            if let (Some(number), Some(turn)) = (number, turn) {
                device.progress.steps().unsubmitted = 0;
                device.progress.submitted(number, turn);
            }
            let read = receiver.await.unwrap_or_else(|_| Err(Failure::lost("the device is gone")));
            let read = read.map_err(|failure| device.explain(failure))?;
            if piece == size {
                return Ok(read);
            }
            bytes.extend_from_slice(&read);
        }
        Ok(bytes.into())
    }

    /// Frees its memory, even if bind groups have it.
    pub(crate) fn destroy(&self) {
        let device = self.device();
        device.backend.destroy_buffer(device.id, self.object.id);
        device.progress.retire(self.object.id);
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.device().progress.retire(self.object.id);
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
