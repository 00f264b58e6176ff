//! The common part of the scenarios: a device, and the usual work with it.

use chainlet::{Context as _, Result};
use futures::channel::oneshot;
use wgpu::util::{BufferInitDescriptor, DeviceExt as _};
use wgpu::{
    BindGroup, Buffer, BufferAsyncError, BufferDescriptor, BufferUsages, CommandBuffer, CommandEncoder,
    ComputePipeline, ComputePipelineDescriptor, Device, DeviceDescriptor, ErrorFilter, MapMode,
    PipelineCompilationOptions, Queue, ShaderModule, ShaderModuleDescriptor, ShaderSource,
};

use crate::holds;

/// Doubles each number, and adds a constant.
pub const DOUBLE: &str = "
    override plus: u32 = 0;
    @id(7) override times: u32 = 2;
    @group(0) @binding(0) var<storage, read_write> numbers: array<u32>;

    @compute @workgroup_size(64)
    fn double(@builtin(global_invocation_id) id: vec3<u32>) {
        if id.x < arrayLength(&numbers) {
            numbers[id.x] = numbers[id.x] * times + plus;
        }
    }
";

pub const STORAGE: BufferUsages = BufferUsages::STORAGE.union(BufferUsages::COPY_SRC).union(BufferUsages::COPY_DST);
pub const READ: BufferUsages = BufferUsages::MAP_READ.union(BufferUsages::COPY_DST);

pub struct Gpu {
    pub device: Device,
    pub queue: Queue,
}

/// Returns the first adapter.
pub async fn adapter() -> Result<wgpu::Adapter> {
    Ok(chainlet::gpu::wgpu_instance().request_adapter(&wgpu::RequestAdapterOptions::default()).await?)
}

impl Gpu {
    pub async fn open() -> Result<Self> {
        Self::with(&DeviceDescriptor::default()).await
    }

    /// Opens a device with these features; returns `None` if the adapter does not have all of them.
    pub async fn with_features(required_features: wgpu::Features) -> Result<Option<Self>> {
        let adapter = adapter().await?;
        if !adapter.features().contains(required_features) {
            return Ok(None);
        }
        let required_limits = adapter.limits();
        let descriptor = DeviceDescriptor { required_features, required_limits, ..DeviceDescriptor::default() };
        Self::with(&descriptor).await.map(Some)
    }

    pub async fn with(descriptor: &DeviceDescriptor<'_>) -> Result<Self> {
        let (device, queue) = adapter().await?.request_device(descriptor).await?;
        Ok(Gpu { device, queue })
    }

    pub fn buffer(&self, size: u64, usage: BufferUsages) -> Buffer {
        self.device.create_buffer(&BufferDescriptor { label: Some("a buffer"), size, usage, mapped_at_creation: false })
    }

    /// Makes a buffer of numbers, with the usages of [`STORAGE`] and `more`.
    pub fn numbers(&self, numbers: &[u32], more: BufferUsages) -> Buffer {
        let contents = bytemuck::cast_slice(numbers);
        self.device.create_buffer_init(&BufferInitDescriptor { label: None, contents, usage: STORAGE | more })
    }

    pub fn shader(&self, wgsl: &str) -> ShaderModule {
        self.device
            .create_shader_module(ShaderModuleDescriptor { label: None, source: ShaderSource::Wgsl(wgsl.into()) })
    }

    /// Makes the pipeline of a shader's only entry point, with a layout taken from the shader.
    pub fn pipeline(&self, wgsl: &str, constants: &[(&str, f64)]) -> ComputePipeline {
        self.device.create_compute_pipeline(&ComputePipelineDescriptor {
            label: None,
            layout: None,
            module: &self.shader(wgsl),
            entry_point: None,
            compilation_options: PipelineCompilationOptions { constants, ..PipelineCompilationOptions::default() },
            cache: None,
        })
    }

    /// Binds buffers of group 0 to the numbers from 0 on.
    pub fn group(&self, pipeline: &ComputePipeline, buffers: &[&Buffer]) -> BindGroup {
        self.group_of(&pipeline.get_bind_group_layout(0), buffers)
    }

    pub fn group_of(&self, layout: &wgpu::BindGroupLayout, buffers: &[&Buffer]) -> BindGroup {
        let entries: Vec<_> = (0..)
            .zip(buffers)
            .map(|(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() })
            .collect();
        self.device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries })
    }

    pub fn encoder(&self) -> CommandEncoder {
        self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }

    /// Runs a pipeline once on buffers of group 0.
    pub fn run(&self, pipeline: &ComputePipeline, buffers: &[&Buffer]) {
        let group = self.group(pipeline, buffers);
        self.submit(|encoder| {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, &group, &[]);
            pass.dispatch_workgroups(4, 1, 1);
        });
    }

    pub fn record(&self, record: impl FnOnce(&mut CommandEncoder)) -> CommandBuffer {
        let mut encoder = self.encoder();
        record(&mut encoder);
        encoder.finish()
    }

    pub fn submit(&self, record: impl FnOnce(&mut CommandEncoder)) {
        self.queue.submit([self.record(record)]);
    }

    /// Returns the contents of a buffer, through a mapped copy.
    pub async fn read(&self, buffer: &Buffer) -> Result<Vec<u32>> {
        let copy = self.copy_of(buffer);
        map(&copy, MapMode::Read).await?.context("mapping to read")?;
        mapped(&copy)
    }

    /// Copies a buffer to a new one that can be mapped.
    pub fn copy_of(&self, buffer: &Buffer) -> Buffer {
        let copy = self.buffer(buffer.size(), READ);
        self.submit(|encoder| encoder.copy_buffer_to_buffer(buffer, 0, &copy, 0, None));
        copy
    }

    /// Checks that a function raises a validation error that contains `part`.
    pub async fn fails<T>(&self, what: &str, part: &str, make: impl FnOnce() -> T) -> Result<T> {
        let scope = self.device.push_error_scope(ErrorFilter::Validation);
        let made = make();
        match scope.pop().await {
            Some(wgpu::Error::Validation { description, .. }) => {
                holds(&format!("{what}: `{description}` has `{part}` in it"), description.contains(part))?;
                Ok(made)
            }
            Some(error) => Err(format!("{what}: this is no validation error: {error:?}").into()),
            None => Err(format!("{what}: there was no error").into()),
        }
    }

    /// Checks that a function raises no error.
    pub async fn succeeds<T>(&self, what: &str, make: impl FnOnce() -> T) -> Result<T> {
        let scopes = [ErrorFilter::Validation, ErrorFilter::OutOfMemory, ErrorFilter::Internal]
            .map(|filter| self.device.push_error_scope(filter));
        let made = make();
        for scope in scopes.into_iter().rev() {
            if let Some(error) = scope.pop().await {
                return Err(format!("{what}: {error}").into());
            }
        }
        Ok(made)
    }
}

/// Maps all of a buffer, and only awaits the callback.
pub async fn map(buffer: &Buffer, mode: MapMode) -> Result<Result<(), BufferAsyncError>> {
    let (sender, receiver) = oneshot::channel();
    buffer.map_async(mode, .., move |mapped| drop(sender.send(mapped)));
    receiver.await.context("the callback was dropped")
}

/// Returns the numbers in a mapped buffer, and unmaps it.
pub fn mapped(buffer: &Buffer) -> Result<Vec<u32>> {
    let view = buffer.get_mapped_range(..)?;
    let numbers = bytemuck::pod_collect_to_vec(&view);
    drop(view);
    buffer.unmap();
    Ok(numbers)
}
