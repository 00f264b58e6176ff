//! Pipelines, layouts and bind groups.

use std::num::NonZero;

use chainlet::Result;
use wgpu::{
    BindGroupDescriptor, BindGroupEntry, BindGroupLayoutDescriptor, BindGroupLayoutEntry, BindingResource, BindingType,
    BufferBinding, BufferBindingType, BufferUsages, ComputePassDescriptor, ComputePipelineDescriptor, Features,
    PipelineCompilationOptions, PipelineLayoutDescriptor, ShaderStages,
};

use crate::gpu::{DOUBLE, Gpu, STORAGE};
use crate::same;

/// Adds a uniform to each number.
const ADD: &str = "
    @group(0) @binding(0) var<storage, read_write> numbers: array<u32>;
    @group(0) @binding(1) var<uniform> amount: u32;

    @compute @workgroup_size(64)
    fn add(@builtin(global_invocation_id) id: vec3<u32>) {
        if id.x < arrayLength(&numbers) {
            numbers[id.x] += amount;
        }
    }
";

pub async fn compute() -> Result<()> {
    let gpu = Gpu::open().await?;
    let numbers: Vec<u32> = (0..200).collect();
    let buffer = gpu.numbers(&numbers, BufferUsages::empty());
    gpu.run(&gpu.pipeline(DOUBLE, &[]), &[&buffer]);
    same("doubled", gpu.read(&buffer).await?, numbers.iter().map(|number| number * 2).collect())
}

pub async fn constants() -> Result<()> {
    let gpu = Gpu::open().await?;
    let buffer = gpu.numbers(&[1, 2], BufferUsages::empty());
    gpu.run(&gpu.pipeline(DOUBLE, &[("plus", 1.0)]), &[&buffer]);
    same("by name", gpu.read(&buffer).await?, vec![3, 5])?;
    gpu.run(&gpu.pipeline(DOUBLE, &[("7", 10.0)]), &[&buffer]);
    same("by number", gpu.read(&buffer).await?, vec![30, 50])?;
    gpu.fails("an unknown one", "minus", || gpu.pipeline(DOUBLE, &[("minus", 1.0)])).await.map(drop)
}

fn entry(binding: u32, ty: BufferBindingType, has_dynamic_offset: bool) -> BindGroupLayoutEntry {
    let ty = BindingType::Buffer { ty, has_dynamic_offset, min_binding_size: NonZero::new(4) };
    BindGroupLayoutEntry { binding, visibility: ShaderStages::COMPUTE, ty, count: None }
}

/// Makes the pipeline of `ADD` with an explicit layout, with or without a
/// dynamic offset for the uniform.
fn add_pipeline(gpu: &Gpu, dynamic: bool) -> (wgpu::ComputePipeline, wgpu::BindGroupLayout) {
    let layout = gpu.device.create_bind_group_layout(&BindGroupLayoutDescriptor {
        label: None,
        entries: &[
            entry(0, BufferBindingType::Storage { read_only: false }, false),
            entry(1, BufferBindingType::Uniform, dynamic),
        ],
    });
    let pipeline_layout = gpu.device.create_pipeline_layout(&PipelineLayoutDescriptor {
        label: None,
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let pipeline = gpu.device.create_compute_pipeline(&ComputePipelineDescriptor {
        label: None,
        layout: Some(&pipeline_layout),
        module: &gpu.shader(ADD),
        entry_point: Some("add"),
        compilation_options: PipelineCompilationOptions::default(),
        cache: None,
    });
    (pipeline, layout)
}

pub async fn explicit_layout() -> Result<()> {
    let gpu = Gpu::open().await?;
    let (pipeline, layout) = add_pipeline(&gpu, false);
    let (buffer, amount) = (gpu.numbers(&[1, 2], BufferUsages::empty()), gpu.numbers(&[40], BufferUsages::UNIFORM));
    let group = gpu.group_of(&layout, &[&buffer, &amount]);
    gpu.submit(|encoder| {
        let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
        pass.set_bind_group(0, &group, &[]);
        pass.set_pipeline(&pipeline);
        pass.dispatch_workgroups(1, 1, 1);
    });
    same("added", gpu.read(&buffer).await?, vec![41, 42])?;
    gpu.run(&pipeline, &[&buffer, &amount]);
    same("with the layout that the pipeline gives", gpu.read(&buffer).await?, vec![81, 82])
}

pub async fn dynamic_offsets() -> Result<()> {
    let gpu = Gpu::open().await?;
    let (pipeline, layout) = add_pipeline(&gpu, true);
    let step = gpu.device.limits().min_uniform_buffer_offset_alignment;
    let (buffer, amounts) =
        (gpu.numbers(&[1, 2], BufferUsages::empty()), gpu.buffer(u64::from(step) * 3, STORAGE | BufferUsages::UNIFORM));
    for (place, amount) in [10_u32, 200, 3000].into_iter().enumerate() {
        gpu.queue.write_buffer(&amounts, u64::from(step) * place as u64, &amount.to_ne_bytes());
    }
    let amount = BufferBinding { buffer: &amounts, offset: 0, size: NonZero::new(4) };
    let group = gpu.device.create_bind_group(&BindGroupDescriptor {
        label: None,
        layout: &layout,
        entries: &[
            BindGroupEntry { binding: 0, resource: buffer.as_entire_binding() },
            BindGroupEntry { binding: 1, resource: BindingResource::Buffer(amount) },
        ],
    });
    gpu.submit(|encoder| {
        let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
        pass.set_pipeline(&pipeline);
        for place in [0, 2] {
            pass.set_bind_group(0, &group, &[step * place]);
            pass.dispatch_workgroups(1, 1, 1);
        }
    });
    same("added", gpu.read(&buffer).await?, vec![3011, 3012])
}

pub async fn two_groups() -> Result<()> {
    let gpu = Gpu::open().await?;
    let pipeline = gpu.pipeline(
        "
        @group(0) @binding(3) var<storage, read_write> out: array<u32>;
        @group(1) @binding(1) var<storage, read> numbers: array<u32>;
        @compute @workgroup_size(2)
        fn copy(@builtin(local_invocation_id) id: vec3<u32>) { out[id.x] = numbers[id.x] + 1; }
        ",
        &[],
    );
    let (out, numbers) = (gpu.buffer(8, STORAGE), gpu.numbers(&[5, 6], BufferUsages::empty()));
    let group = |index, binding, buffer: &wgpu::Buffer| {
        gpu.device.create_bind_group(&BindGroupDescriptor {
            label: None,
            layout: &pipeline.get_bind_group_layout(index),
            entries: &[BindGroupEntry { binding, resource: buffer.as_entire_binding() }],
        })
    };
    let groups = [group(0, 3, &out), group(1, 1, &numbers)];
    gpu.submit(|encoder| {
        let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
        pass.set_pipeline(&pipeline);
        for (index, group) in (0..).zip(&groups) {
            pass.set_bind_group(index, group, &[]);
        }
        pass.dispatch_workgroups(1, 1, 1);
    });
    same("from one group to another", gpu.read(&out).await?, vec![6, 7])
}

pub async fn immediates() -> Result<()> {
    let Some(gpu) = Gpu::with_features(Features::IMMEDIATES).await? else { return Ok(()) };
    let pipeline = gpu.pipeline(
        "
        struct Add { first: u32, second: u32 }
        var<immediate> add: Add;
        @group(0) @binding(0) var<storage, read_write> numbers: array<u32>;
        @compute @workgroup_size(1) fn main() { numbers[0] += add.first; numbers[1] += add.second; }
        ",
        &[],
    );
    let buffer = gpu.numbers(&[1, 2], BufferUsages::empty());
    let group = gpu.group(&pipeline, &[&buffer]);
    gpu.submit(|encoder| {
        let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.set_immediates(0, bytemuck::cast_slice(&[10_u32, 20]));
        pass.dispatch_workgroups(1, 1, 1);
        pass.set_immediates(4, bytemuck::cast_slice(&[300_u32]));
        pass.dispatch_workgroups(1, 1, 1);
    });
    same("added", gpu.read(&buffer).await?, vec![21, 322])
}

pub async fn half_floats() -> Result<()> {
    let Some(gpu) = Gpu::with_features(Features::SHADER_F16).await? else { return Ok(()) };
    let pipeline = gpu.pipeline(
        "
        enable f16;
        @group(0) @binding(0) var<storage, read_write> numbers: array<vec2<f16>>;
        @compute @workgroup_size(1) fn main() { numbers[0] *= 2h; }
        ",
        &[],
    );
    let buffer = gpu.numbers(&[0x3e00_3c00], BufferUsages::empty());
    let group = gpu.group(&pipeline, &[&buffer]);
    gpu.submit(|encoder| {
        let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(1, 1, 1);
    });
    // 1.0 and 1.5 became 2.0 and 3.0.
    same("doubled", gpu.read(&buffer).await?, vec![0x4200_4000])
}
