//! Command encoders, which record commands, and command buffers, which are
//! submitted.

use std::sync::{Arc, Mutex};

use wgpu::custom::{
    CommandBufferInterface, CommandEncoderInterface, DispatchBuffer, DispatchCommandBuffer, DispatchComputePass,
    DispatchQuerySet, DispatchRenderPass, DispatchTexture,
};
use wgpu::wgt::{BufferTransition, TextureTransition};

use super::buffer::dispatched;
use super::commands::{Command, Timestamps};
use super::mapping::Memory;
use super::object::ours;
use super::pass::ComputePass;
use super::pipeline::QuerySet;
use super::render::RenderPass;
use super::shared::{Shared, absent, lock};
use crate::gpu::Error;

#[derive(Debug)]
pub struct CommandEncoder {
    shared: Arc<Shared>,
    label: String,
    recording: Arc<Mutex<Recording>>,
}

/// The commands that an encoder and its passes record. As in WebGPU, the first
/// mistake becomes an error when the encoder is finished.
#[derive(Debug, Default)]
pub struct Recording {
    commands: Vec<Command>,
    pass: bool,
    mistake: Option<Error>,
}

impl Recording {
    pub fn mistake(&mut self, error: Error) {
        self.mistake.get_or_insert(error);
    }

    pub fn end_pass(&mut self, pass: Command) {
        self.pass = false;
        self.commands.push(pass);
    }

    fn begin_pass(&mut self) {
        self.check_no_pass();
        self.pass = true;
    }

    fn record(&mut self, command: Result<Command, Error>) {
        self.check_no_pass();
        match command {
            Ok(command) => self.commands.push(command),
            Err(error) => self.mistake(error),
        }
    }

    fn check_no_pass(&mut self) {
        if self.pass {
            self.mistake(Error::invalid("the encoder was used before a compute pass of it was ended"));
        }
    }

    fn finish(&mut self) -> Result<Vec<Command>, Error> {
        self.check_no_pass();
        match self.mistake.take() {
            Some(error) => Err(error),
            None => Ok(std::mem::take(&mut self.commands)),
        }
    }
}

impl CommandEncoder {
    pub fn new(shared: Arc<Shared>, label: Option<&str>) -> Self {
        CommandEncoder { shared, label: label.unwrap_or_default().to_owned(), recording: Arc::default() }
    }

    fn record(&self, command: Result<Command, Error>) {
        lock(&self.recording).record(command);
    }

    fn absent(&self, what: &str) {
        self.record(Err(absent(what)));
    }
}

fn copy(
    source: &DispatchBuffer,
    source_offset: u64,
    destination: &DispatchBuffer,
    destination_offset: u64,
    size: Option<u64>,
) -> Result<Command, Error> {
    let (source, destination) = (valid(source)?, valid(destination)?);
    let size = size.unwrap_or_else(|| source.size.saturating_sub(source_offset));
    Ok(Command::Copy { source, source_offset, destination, destination_offset, size })
}

fn resolve(
    queries: &DispatchQuerySet,
    (first, count): (u32, u32),
    destination: &DispatchBuffer,
    destination_offset: u64,
) -> Result<Command, Error> {
    let queries = Arc::clone(ours(queries.as_custom::<QuerySet>())?.get()?);
    Ok(Command::Resolve { queries, first, count, destination: valid(destination)?, destination_offset })
}

/// Returns memory that commands may use. Whether it is mapped is checked later,
/// when the commands are submitted.
pub fn valid(buffer: &DispatchBuffer) -> Result<Arc<Memory>, Error> {
    let memory = dispatched(buffer)?;
    memory.get()?;
    Ok(Arc::clone(memory))
}

impl CommandEncoderInterface for CommandEncoder {
    fn copy_buffer_to_buffer(
        &self,
        source: &DispatchBuffer,
        source_offset: u64,
        destination: &DispatchBuffer,
        destination_offset: u64,
        size: Option<u64>,
    ) {
        self.record(copy(source, source_offset, destination, destination_offset, size));
    }

    fn copy_buffer_to_texture(
        &self,
        _: wgpu::TexelCopyBufferInfo<'_>,
        _: wgpu::TexelCopyTextureInfo<'_>,
        _: wgpu::Extent3d,
    ) {
        self.absent("textures");
    }

    fn copy_texture_to_buffer(
        &self,
        _: wgpu::TexelCopyTextureInfo<'_>,
        _: wgpu::TexelCopyBufferInfo<'_>,
        _: wgpu::Extent3d,
    ) {
        self.absent("textures");
    }

    fn copy_texture_to_texture(
        &self,
        _: wgpu::TexelCopyTextureInfo<'_>,
        _: wgpu::TexelCopyTextureInfo<'_>,
        _: wgpu::Extent3d,
    ) {
        self.absent("textures");
    }

    fn begin_compute_pass(&self, descriptor: &wgpu::ComputePassDescriptor<'_>) -> DispatchComputePass {
        let timestamps = descriptor.timestamp_writes.as_ref().map(|writes| {
            let queries = Arc::clone(ours(writes.query_set.as_custom::<QuerySet>())?.get()?);
            let (beginning, end) = (writes.beginning_of_pass_write_index, writes.end_of_pass_write_index);
            Ok(Timestamps { queries, beginning, end })
        });
        let mut recording = lock(&self.recording);
        recording.begin_pass();
        let timestamps = timestamps.transpose().unwrap_or_else(|error| {
            recording.mistake(error);
            None
        });
        let label = descriptor.label.map(str::to_owned);
        DispatchComputePass::custom(ComputePass::new(label, timestamps, Arc::clone(&self.recording)))
    }

    fn begin_render_pass(&self, _: &wgpu::RenderPassDescriptor<'_>) -> DispatchRenderPass {
        self.absent("rendering");
        DispatchRenderPass::custom(RenderPass)
    }

    fn finish(&mut self) -> DispatchCommandBuffer {
        let commands = lock(&self.recording).finish();
        let commands = self.shared.made("CommandEncoder::finish", Some(&self.label), commands);
        DispatchCommandBuffer::custom(CommandBuffer(Mutex::new(commands)))
    }

    fn clear_texture(&self, _: &DispatchTexture, _: &wgpu::ImageSubresourceRange) {
        self.absent("textures");
    }

    fn clear_buffer(&self, buffer: &DispatchBuffer, offset: u64, size: Option<u64>) {
        self.record(valid(buffer).map(|memory| Command::Clear { memory, offset, size }));
    }

    fn insert_debug_marker(&self, _: &str) {}

    fn push_debug_group(&self, _: &str) {}

    fn pop_debug_group(&self) {}

    fn write_timestamp(&self, _: &DispatchQuerySet, _: u32) {
        self.absent("timestamps but those at the beginning and the end of a pass");
    }

    fn resolve_query_set(
        &self,
        queries: &DispatchQuerySet,
        first: u32,
        count: u32,
        destination: &DispatchBuffer,
        destination_offset: u64,
    ) {
        self.record(resolve(queries, (first, count), destination, destination_offset));
    }

    fn mark_acceleration_structures_built<'a>(
        &self,
        _: &mut dyn Iterator<Item = &'a wgpu::Blas>,
        _: &mut dyn Iterator<Item = &'a wgpu::Tlas>,
    ) {
        self.absent("acceleration structures");
    }

    fn build_acceleration_structures<'a>(
        &self,
        _: &mut dyn Iterator<Item = &'a wgpu::BlasBuildEntry<'a>>,
        _: &mut dyn Iterator<Item = &'a wgpu::Tlas>,
    ) {
        self.absent("acceleration structures");
    }

    /// Does nothing, because the host tracks the state of buffers itself.
    fn transition_resources<'a>(
        &mut self,
        _: &mut dyn Iterator<Item = BufferTransition<&'a DispatchBuffer>>,
        _: &mut dyn Iterator<Item = TextureTransition<&'a DispatchTexture>>,
    ) {
    }
}

/// Commands that can be submitted once; `None` after a mistake.
#[derive(Debug)]
pub struct CommandBuffer(Mutex<Option<Vec<Command>>>);

impl CommandBuffer {
    pub fn take(buffer: &DispatchCommandBuffer) -> Option<Vec<Command>> {
        lock(&buffer.as_custom::<CommandBuffer>()?.0).take()
    }
}

impl CommandBufferInterface for CommandBuffer {}
