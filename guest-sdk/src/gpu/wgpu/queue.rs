//! The queue of a device, with its writes and submissions.

use std::sync::Arc;

use wgpu::custom::{
    BoxSubmittedWorkDoneCallback, DispatchBlas, DispatchBuffer, DispatchCommandBuffer, DispatchQueueWriteBuffer,
    DispatchSurfaceOutputDetail, QueueInterface,
};
use wgpu::{BufferSize, BufferUsages};

use super::absent::Absent;
use super::buffer::{StagingBytes, dispatched};
use super::commands::Command;
use super::encoder::CommandBuffer;
use super::mapping::Memory;
use super::shared::Shared;
use crate::gpu::Error;

#[derive(Debug)]
pub struct Queue {
    shared: Arc<Shared>,
}

impl Queue {
    pub fn new(shared: Arc<Shared>) -> Self {
        Queue { shared }
    }

    fn write(&self, buffer: &DispatchBuffer, offset: u64, data: &[u8]) -> Result<(), Error> {
        let memory = writable(buffer, offset, data.len() as u64)?;
        if data.is_empty() {
            return Ok(());
        }
        Ok(memory.usable()?.write(offset, data)?)
    }

    fn submit(&self, buffers: &mut dyn Iterator<Item = DispatchCommandBuffer>) -> Result<u64, Error> {
        // All of them are taken, even if one of them is not valid.
        let lists: Vec<Option<Vec<Command>>> = buffers.map(|buffer| CommandBuffer::take(&buffer)).collect();
        let Some(lists) = lists.into_iter().collect::<Option<Vec<_>>>() else {
            return Err(Error::invalid("a command buffer is invalid, or was submitted before"));
        };
        let commands = || lists.iter().flatten();
        for memory in commands().flat_map(Command::memories) {
            memory.usable()?;
        }
        let host = commands().map(Command::to_host).collect::<Result<Vec<_>, _>>()?;
        let submission = self.shared.host.submit(&host)?;
        for memory in commands().flat_map(Command::memories) {
            memory.is_used_by(submission);
        }
        self.shared.pending.has_submitted(submission);
        Ok(submission)
    }
}

/// Returns the memory of a buffer that may be written by the rules of WebGPU.
/// The host itself would write to any buffer.
fn writable(buffer: &DispatchBuffer, offset: u64, size: u64) -> Result<&Arc<Memory>, Error> {
    let memory = dispatched(buffer)?;
    memory.usable()?;
    if !memory.usage.contains(BufferUsages::COPY_DST) {
        return Err(Error::invalid(format!("Usage flags {:?} do not contain COPY_DST", memory.usage)));
    }
    if !offset.is_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT) || !size.is_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT) {
        return Err(Error::invalid(format!(
            "{size} bytes cannot be written at {offset}: both are multiples of {}",
            wgpu::COPY_BUFFER_ALIGNMENT
        )));
    }
    if offset.checked_add(size).is_none_or(|end| end > memory.size) {
        return Err(Error::invalid(format!(
            "{size} bytes at {offset} go beyond the end of a buffer of {}",
            memory.size
        )));
    }
    Ok(memory)
}

impl QueueInterface for Queue {
    fn write_buffer(&self, buffer: &DispatchBuffer, offset: u64, data: &[u8]) {
        self.shared.made("Queue::write_buffer", None, self.write(buffer, offset, data));
    }

    fn create_staging_buffer(&self, size: BufferSize) -> Option<DispatchQueueWriteBuffer> {
        let size = usize::try_from(size.get()).ok()?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(size).ok()?;
        bytes.resize(size, 0);
        Some(DispatchQueueWriteBuffer::custom(StagingBytes(bytes)))
    }

    fn validate_write_buffer(&self, buffer: &DispatchBuffer, offset: u64, size: BufferSize) -> Option<()> {
        let writable = writable(buffer, offset, size.get()).map(drop);
        self.shared.made("Queue::write_buffer_with", None, writable)
    }

    fn write_staging_buffer(&self, buffer: &DispatchBuffer, offset: u64, staging: &DispatchQueueWriteBuffer) {
        if let Some(StagingBytes(bytes)) = staging.as_custom() {
            self.shared.made("Queue::write_buffer_with", None, self.write(buffer, offset, bytes));
        }
    }

    fn write_texture(
        &self,
        _: wgpu::TexelCopyTextureInfo<'_>,
        _: &[u8],
        _: wgpu::TexelCopyBufferLayout,
        _: wgpu::Extent3d,
    ) {
        self.shared.absent("Queue::write_texture", None, "textures");
    }

    #[cfg(target_arch = "wasm32")]
    fn copy_external_image_to_texture(
        &self,
        _: &wgpu::CopyExternalImageSourceInfo,
        _: wgpu::CopyExternalImageDestInfo<&wgpu::Texture>,
        _: wgpu::Extent3d,
    ) {
        self.shared.absent("Queue::copy_external_image_to_texture", None, "textures");
    }

    fn submit(&self, buffers: &mut dyn Iterator<Item = DispatchCommandBuffer>) -> u64 {
        self.shared.made("Queue::submit", None, Queue::submit(self, buffers));
        self.shared.complete();
        self.shared.pending.submitted()
    }

    fn get_timestamp_period(&self) -> f32 {
        self.shared.host.timestamp_period()
    }

    fn on_submitted_work_done(&self, callback: BoxSubmittedWorkDoneCallback) {
        self.shared.work_done_later(callback);
    }

    fn compact_blas(&self, _: &DispatchBlas) -> (Option<u64>, DispatchBlas) {
        self.shared.absent("Queue::compact_blas", None, "acceleration structures");
        (None, DispatchBlas::custom(Absent))
    }

    fn present(&self, _: &DispatchSurfaceOutputDetail) {
        self.shared.absent("Queue::present", None, "surfaces");
    }
}
