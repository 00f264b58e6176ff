//! Buffers.

use std::ops::Range;
use std::sync::Arc;

use wgpu::custom::{
    BufferInterface, BufferMapCallback, DispatchBuffer, DispatchBufferMappedRange, QueueWriteBufferInterface,
};
use wgpu::{BufferUsages, MapMode, MapRangeError, WriteOnly};

use super::device::Device;
use super::mapping::Memory;
use super::object::ours;
use super::shared::{Shared, absent};
use crate::gpu::Error;
use crate::host::chainlet::host::gpu as host;

/// Each usage of the host, and the same usage of wgpu.
const USAGES: [(host::BufferUsages, BufferUsages); 8] = [
    (host::BufferUsages::MAP_READ, BufferUsages::MAP_READ),
    (host::BufferUsages::MAP_WRITE, BufferUsages::MAP_WRITE),
    (host::BufferUsages::COPY_SRC, BufferUsages::COPY_SRC),
    (host::BufferUsages::COPY_DST, BufferUsages::COPY_DST),
    (host::BufferUsages::UNIFORM, BufferUsages::UNIFORM),
    (host::BufferUsages::STORAGE, BufferUsages::STORAGE),
    (host::BufferUsages::INDIRECT, BufferUsages::INDIRECT),
    (host::BufferUsages::QUERY_RESOLVE, BufferUsages::QUERY_RESOLVE),
];

/// Usages for rendering. Buffers may have them besides others; they are
/// ignored.
const UNUSED: BufferUsages = BufferUsages::VERTEX.union(BufferUsages::INDEX);

#[derive(Debug)]
pub struct Buffer {
    /// `None` for the buffer that is never mapped and is not on the GPU.
    memory: Option<Arc<Memory>>,
}

impl Buffer {
    pub fn new(shared: &Arc<Shared>, descriptor: &wgpu::BufferDescriptor<'_>) -> Self {
        let made = shared.made("Device::create_buffer", descriptor.label, make(shared, descriptor));
        Buffer { memory: Some(Memory::new(shared, descriptor, made)) }
    }

    /// Makes a buffer that serves one purpose: to produce the error that it is
    /// not mapped.
    pub fn never_mapped() -> Self {
        Buffer { memory: None }
    }
}

fn make(shared: &Shared, descriptor: &wgpu::BufferDescriptor<'_>) -> Result<host::Buffer, Error> {
    if descriptor.mapped_at_creation && !descriptor.size.is_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT) {
        return Err(Error::invalid(format!(
            "the size of a buffer that is mapped when it is made is a multiple of {}, not {}",
            wgpu::COPY_BUFFER_ALIGNMENT,
            descriptor.size
        )));
    }
    let known = USAGES.into_iter().filter(|(_, usage)| descriptor.usage.contains(*usage));
    let (usage, names) =
        known.fold((host::BufferUsages::empty(), UNUSED), |(usage, names), (one, name)| (usage | one, names | name));
    let unknown = descriptor.usage.difference(names);
    if !unknown.is_empty() {
        return Err(absent(&format!("buffers for {unknown:?}")));
    }
    let label = descriptor.label.map(str::to_owned);
    Ok(shared.host.create_buffer(&host::BufferDescriptor { label, size: descriptor.size, usage })?)
}

impl BufferInterface for Buffer {
    fn map_async(&self, mode: MapMode, range: Range<u64>, callback: BufferMapCallback) {
        match &self.memory {
            Some(memory) => memory.request_map(mode, range, callback),
            None => callback(Err(wgpu::BufferAsyncError)),
        }
    }

    fn get_mapped_range(&self, range: Range<u64>) -> Result<DispatchBufferMappedRange, MapRangeError> {
        let Some(memory) = &self.memory else {
            // wgpu never hands this out, because such a buffer is not mapped.
            return Ok(DispatchBufferMappedRange::custom(StagingBytes::default()));
        };
        match memory.view(&range) {
            Some(view) => Ok(DispatchBufferMappedRange::custom(view)),
            None => not_mapped(&memory.shared),
        }
    }

    fn unmap(&self) {
        if let Some(memory) = &self.memory {
            memory.unmap();
        }
    }

    fn destroy(&self) {
        if let Some(memory) = &self.memory {
            memory.destroy();
        }
    }
}

/// Makes wgpu's error that a buffer is not mapped. Only wgpu can make it, so
/// this asks for the range of a buffer that was never mapped.
fn not_mapped(shared: &Arc<Shared>) -> Result<DispatchBufferMappedRange, MapRangeError> {
    let device = wgpu::Device::from_custom(Device::detached(Arc::clone(shared)));
    let usage = BufferUsages::MAP_READ | BufferUsages::COPY_DST;
    let buffer =
        device.create_buffer(&wgpu::BufferDescriptor { label: None, size: 8, usage, mapped_at_creation: false });
    let view = buffer.get_mapped_range(..)?;
    Ok(DispatchBufferMappedRange::custom(StagingBytes(view.to_vec())))
}

/// Returns the memory behind a buffer of wgpu.
pub fn memory(buffer: &wgpu::Buffer) -> Result<&Arc<Memory>, Error> {
    memory_of(buffer.as_custom())
}

/// Returns the memory behind a buffer that wgpu passes to its backend.
pub fn dispatched(buffer: &DispatchBuffer) -> Result<&Arc<Memory>, Error> {
    memory_of(buffer.as_custom())
}

fn memory_of(buffer: Option<&Buffer>) -> Result<&Arc<Memory>, Error> {
    ours(buffer.and_then(|buffer| buffer.memory.as_ref()))
}

/// Bytes on their way to a buffer.
#[derive(Debug, Default)]
pub struct StagingBytes(pub Vec<u8>);

impl QueueWriteBufferInterface for StagingBytes {
    fn len(&self) -> usize {
        self.0.len()
    }

    unsafe fn write_slice(&mut self) -> WriteOnly<'_, [u8]> {
        WriteOnly::from_mut(self.0.as_mut_slice())
    }
}

impl wgpu::custom::BufferMappedRangeInterface for StagingBytes {
    fn len(&self) -> usize {
        self.0.len()
    }

    unsafe fn read_slice(&self) -> &[u8] {
        &self.0
    }

    unsafe fn write_slice(&mut self) -> WriteOnly<'_, [u8]> {
        WriteOnly::from_mut(self.0.as_mut_slice())
    }

    #[cfg(target_arch = "wasm32")]
    fn as_uint8array(&self) -> &wgpu::web_sys::js_sys::Uint8Array {
        super::absent::javascript()
    }
}
