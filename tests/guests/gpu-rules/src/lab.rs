//! A device, and short functions for the things that most scenarios do with it.

use chainlet::Result;

use crate::gpu::{
    self, Adapter, BindGroup, BindGroupEntry, BindGroupLayout, BindGroupSetting, Buffer, BufferCopy, BufferDescriptor,
    BufferUsages, Command, ComputePass, ComputePipeline, ComputePipelineDescriptor, Device, DeviceDescriptor, Error,
    Features, Limits, PassCommand, ShaderModule, Workgroups,
};

/// The result of a function of the GPU.
pub type Told<T> = std::result::Result<T, Error>;

/// Adds one to as many numbers as there are workgroups.
pub const INCREMENT: &str = "
    @group(0) @binding(0) var<storage, read_write> all: array<u32>;
    @compute @workgroup_size(1) fn main(@builtin(workgroup_id) id: vec3<u32>) { all[id.x] += 1u; }
";

/// Work that takes a driver in software some tenths of a second.
pub const SLOW: &str = "
    @group(0) @binding(0) var<storage, read_write> all: array<u32>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
        var x = id.x;
        for (var i = 0u; i < 40000u; i++) { x = x * 1664525u + all[i % 8u + 8u]; }
        all[1] = x | 1u;
    }
";

/// A device with all features and limits of its adapter.
pub struct Lab {
    pub device: Device,
}

/// Returns the first adapter.
pub fn adapter() -> Result<Adapter> {
    let first = gpu::adapters().into_iter().next();
    first.ok_or_else(|| {
        "there is no adapter; a driver in software comes with `apt-get install mesa-vulkan-drivers libvulkan1`".into()
    })
}

/// Requests a device of the first adapter.
pub fn request(features: Features, limits: Option<Limits>) -> Result<Told<Device>> {
    let descriptor = DeviceDescriptor { label: None, required_features: features, required_limits: limits };
    Ok(adapter()?.request_device(&descriptor))
}

impl Lab {
    /// Opens a device with all features and limits.
    pub fn open() -> Result<Self> {
        let adapter = adapter()?;
        let device = request(adapter.features(), Some(adapter.limits()))??;
        Ok(Lab { device })
    }

    /// Opens a device with the limits that WebGPU guarantees.
    pub fn plain() -> Result<Self> {
        Ok(Lab { device: request(Features::empty(), None)?? })
    }

    pub fn buffer(&self, size: u64, usage: BufferUsages) -> Told<Buffer> {
        self.device.create_buffer(&BufferDescriptor { label: None, size, usage })
    }

    /// Makes a buffer with all usages except mapping.
    pub fn storage(&self, size: u64) -> Told<Buffer> {
        self.buffer(size, BufferUsages::all() - BufferUsages::MAP_READ - BufferUsages::MAP_WRITE)
    }

    /// Makes a buffer with these numbers.
    pub fn numbers(&self, numbers: &[u32]) -> Told<Buffer> {
        let bytes = bytes(numbers);
        let buffer = self.storage(bytes.len() as u64)?;
        buffer.write(0, &bytes)?;
        Ok(buffer)
    }

    pub fn module(&self, wgsl: &str) -> Told<ShaderModule> {
        self.device.create_shader_module(None, wgsl)
    }

    /// Makes the pipeline of a shader with one entry point and a layout of its own.
    pub fn pipeline(&self, wgsl: &str) -> Told<ComputePipeline> {
        self.device.create_compute_pipeline(&described(&self.module(wgsl)?))
    }

    /// Binds whole buffers to the numbers from 0 on.
    pub fn group(&self, layout: &BindGroupLayout, buffers: &[&Buffer]) -> Told<BindGroup> {
        let entries: Vec<_> = (0..).zip(buffers).map(|(binding, buffer)| entry(binding, buffer, 0, None)).collect();
        self.device.create_bind_group(None, layout, &entries)
    }

    /// Makes the group 0 of `pipeline`.
    pub fn group_of(&self, pipeline: &ComputePipeline, buffers: &[&Buffer]) -> Told<BindGroup> {
        self.group(&pipeline.get_bind_group_layout(0)?, buffers)
    }

    /// Submits one dispatch with whole buffers.
    pub fn run(&self, pipeline: &ComputePipeline, buffers: &[&Buffer], x: u32) -> Told<u64> {
        let group = self.group_of(pipeline, buffers)?;
        self.device.submit(&[pass(vec![PassCommand::SetPipeline(pipeline), set(0, &group), dispatch(x, 1, 1)])])
    }

    /// Submits one dispatch of a shader.
    pub fn run_shader(&self, wgsl: &str, buffers: &[&Buffer], x: u32) -> Told<u64> {
        self.run(&self.pipeline(wgsl)?, buffers, x)
    }

    /// Submits one pass.
    pub fn submit(&self, commands: Vec<PassCommand<'_>>) -> Told<u64> {
        self.device.submit(&[pass(commands)])
    }
}

/// Describes a pipeline with as little as possible.
pub fn described(module: &ShaderModule) -> ComputePipelineDescriptor<'_> {
    ComputePipelineDescriptor {
        label: None,
        layout: None,
        module,
        entry_point: None,
        constants: Vec::new(),
        zero_initialize_workgroup_memory: true,
    }
}

pub fn entry(binding: u32, buffer: &Buffer, offset: u64, size: Option<u64>) -> BindGroupEntry<'_> {
    BindGroupEntry { binding, buffer, offset, size }
}

pub fn pass(commands: Vec<PassCommand<'_>>) -> Command<'_> {
    Command::ComputePass(ComputePass { label: None, timestamps: None, commands })
}

pub fn set(index: u32, group: &BindGroup) -> PassCommand<'_> {
    set_at(index, group, &[])
}

pub fn set_at<'a>(index: u32, group: &'a BindGroup, offsets: &[u32]) -> PassCommand<'a> {
    PassCommand::SetBindGroup(BindGroupSetting { index, group: Some(group), dynamic_offsets: offsets.to_vec() })
}

pub fn dispatch(x: u32, y: u32, z: u32) -> PassCommand<'static> {
    PassCommand::Dispatch(Workgroups { x, y, z })
}

pub fn copy<'a>(
    source: &'a Buffer,
    source_offset: u64,
    destination: &'a Buffer,
    destination_offset: u64,
    size: u64,
) -> Command<'a> {
    Command::CopyBuffer(BufferCopy { source, source_offset, destination, destination_offset, size })
}

pub fn bytes(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// Reads the first `count` numbers of a buffer.
pub fn read(buffer: &Buffer, count: u64) -> Told<Vec<u32>> {
    Ok(numbers(&buffer.read_blocking(0, 4 * count)?))
}

pub fn numbers(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect()
}

/// Calls `take` until it succeeds, or has failed many times: memory that was dropped is free once the GPU has finished
/// with it.
pub fn soon<T>(mut take: impl FnMut() -> Told<T>) -> Told<T> {
    let mut left = 1_000;
    loop {
        match take() {
            Err(_) if left > 0 => left -= 1,
            result => return result,
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
