//! Errors, and the scopes and handlers that get them.

use std::sync::{Arc, Mutex};

use chainlet::Result;
use wgpu::{BufferDescriptor, BufferUsages, CompilationMessageType, ComputePassDescriptor, Error, ErrorFilter};

use crate::gpu::{DOUBLE, Gpu, STORAGE};
use crate::{holds, same};

/// More bytes than the tests give this chainlet.
const TOO_MUCH: u64 = 128 << 20;

/// Makes a copy that is invalid.
fn mistake(gpu: &Gpu) {
    let buffer = gpu.buffer(8, STORAGE);
    gpu.submit(|encoder| encoder.copy_buffer_to_buffer(&buffer, 0, &gpu.buffer(4, STORAGE), 0, 8));
}

pub async fn scopes() -> Result<()> {
    let gpu = Gpu::open().await?;
    let push = |filter| gpu.device.push_error_scope(filter);
    let scope = push(ErrorFilter::Validation);
    holds("there is no error without a mistake", scope.pop().await.is_none())?;

    let outer = push(ErrorFilter::Validation);
    let memory = push(ErrorFilter::OutOfMemory);
    let inner = push(ErrorFilter::Validation);
    let internal = push(ErrorFilter::Internal);
    mistake(&gpu);
    gpu.buffer(TOO_MUCH, STORAGE);
    holds("it is not internal", internal.pop().await.is_none())?;
    holds("the inner scope has it", matches!(inner.pop().await, Some(Error::Validation { .. })))?;
    mistake(&gpu);
    holds("memory is apart", matches!(memory.pop().await, Some(Error::OutOfMemory { .. })))?;
    holds("the outer scope has the next", matches!(outer.pop().await, Some(Error::Validation { .. })))?;

    let outer = push(ErrorFilter::Validation);
    let dropped = push(ErrorFilter::Validation);
    mistake(&gpu);
    drop(dropped);
    holds("what a dropped scope has is gone", outer.pop().await.is_none())
}

pub async fn uncaptured() -> Result<()> {
    let gpu = Gpu::open().await?;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    let handler = move |error: Error| {
        if let Ok(mut told) = told.lock() {
            told.push(error.to_string());
        }
    };
    gpu.device.on_uncaptured_error(Arc::new(handler));
    let scope = gpu.device.push_error_scope(ErrorFilter::OutOfMemory);
    mistake(&gpu);
    holds("the scope is for something else", scope.pop().await.is_none())?;
    gpu.buffer(TOO_MUCH, STORAGE);
    gpu.fails("what is captured", "", || mistake(&gpu)).await?;
    let seen = seen.lock().map_err(|error| error.to_string())?;
    same("how many the handler has seen", seen.len(), 2)?;
    holds("it says where", seen.first().is_some_and(|error| error.contains("Queue::submit")))?;
    same("what is out of memory", seen.get(1).map(String::as_str), Some("Out of Memory"))
}

pub async fn invalid_shader() -> Result<()> {
    let gpu = Gpu::open().await?;
    let wgsl = "@compute @workgroup_size(1)\nfn main() {\n    let x = nothing;\n}\n";
    let shader = gpu.fails("an unknown name", "nothing", || gpu.shader(wgsl)).await?;
    let info = shader.get_compilation_info().await;
    let [message] = &info.messages[..] else { return Err(format!("messages: {info:?}").into()) };
    same("its kind", message.message_type, CompilationMessageType::Error)?;
    holds("it names the name", message.message.contains("nothing"))?;
    let Some(location) = message.location else { return Err("it has no location".into()) };
    let start = location.offset as usize;
    same("its line", location.line_number, 3)?;
    same("what is there", wgsl.get(start..start + location.length as usize), Some("nothing"))?;

    let valid = gpu.shader(DOUBLE).get_compilation_info().await;
    same("messages about a valid shader", valid.messages.len(), 0)?;
    let empty = gpu.succeeds("an empty shader", || gpu.shader("")).await?;
    same("messages about an empty shader", empty.get_compilation_info().await.messages.len(), 0)
}

/// Using an invalid object is an error, and makes another invalid object.
pub async fn invalid_objects() -> Result<()> {
    let gpu = Gpu::open().await?;
    let pipeline = gpu.fails("an invalid shader", "", || gpu.shader("fn broken(")).await?;
    let pipeline = gpu
        .fails("a pipeline of it", "ShaderModule with '' label is invalid", || {
            gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some("broken"),
                layout: None,
                module: &pipeline,
                entry_point: None,
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: None,
            })
        })
        .await?;
    let layout = gpu
        .fails("a layout of that", "ComputePipeline with 'broken' label is invalid", || {
            pipeline.get_bind_group_layout(0)
        })
        .await?;
    let buffer = gpu.buffer(8, STORAGE);
    let group = gpu.fails("a group of that", "BindGroupLayout", || gpu.group_of(&layout, &[&buffer])).await?;
    let mut encoder = gpu.encoder();
    let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
    gpu.succeeds("recording it", || {
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(1, 1, 1);
    })
    .await?;
    drop(pass);
    let commands = gpu.fails("finishing it", "ComputePipeline with 'broken'", || encoder.finish()).await?;
    gpu.fails("submitting it", "invalid", || gpu.queue.submit([commands])).await?;

    let usages = BufferUsages::MAP_READ | BufferUsages::MAP_WRITE;
    let buffer = gpu.fails("usages that do not go together", "", || gpu.buffer(8, usages)).await?;
    gpu.fails("writing to it", "invalid", || gpu.queue.write_buffer(&buffer, 0, &[0; 4])).await
}

/// A request beyond the quota is an out-of-memory error.
pub async fn out_of_memory() -> Result<()> {
    let gpu = Gpu::open().await?;
    let make = async |mapped_at_creation| {
        let scope = gpu.device.push_error_scope(ErrorFilter::OutOfMemory);
        let descriptor = BufferDescriptor { label: None, size: 40 << 20, usage: STORAGE, mapped_at_creation };
        let buffer = gpu.device.create_buffer(&descriptor);
        (buffer, scope.pop().await.is_some())
    };
    let (held, failed) = make(false).await;
    holds("there is room for one", !failed)?;
    let (second, failed) = make(true).await;
    holds("there is none for two", failed)?;
    // Code that ignores errors writes to it all the same.
    second.get_mapped_range_mut(..8)?.copy_from_slice(&[1; 8]);
    second.unmap();
    gpu.fails("its use", "invalid", || gpu.queue.write_buffer(&second, 0, &[0; 4])).await?;
    held.destroy();
    let (third, failed) = make(true).await;
    holds("there is room again", !failed)?;
    third.get_mapped_range_mut(..8)?.copy_from_slice(bytemuck::cast_slice(&[7_u32, 8]));
    third.unmap();
    let start = gpu.buffer(8, STORAGE);
    gpu.submit(|encoder| encoder.copy_buffer_to_buffer(&third, 0, &start, 0, 8));
    same("what was written", gpu.read(&start).await?, vec![7, 8])
}

pub async fn dispatches() -> Result<()> {
    let gpu = Gpu::open().await?;
    let buffer = gpu.numbers(&[1], BufferUsages::empty());
    let pipeline = gpu.pipeline(DOUBLE, &[]);
    let group = gpu.group(&pipeline, &[&buffer]);
    let most = gpu.device.limits().max_compute_workgroups_per_dimension;
    let run = |pipeline: Option<&wgpu::ComputePipeline>, group: Option<&wgpu::BindGroup>, workgroups| {
        gpu.submit(|encoder| {
            let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
            if let Some(pipeline) = pipeline {
                pass.set_pipeline(pipeline);
            }
            pass.set_bind_group(0, group, &[]);
            pass.dispatch_workgroups(workgroups, 1, 1);
        });
    };
    gpu.fails("no pipeline", "", || run(None, Some(&group), 1)).await?;
    gpu.fails("no group", "", || run(Some(&pipeline), None, 1)).await?;
    gpu.fails("too many workgroups", "", || run(Some(&pipeline), Some(&group), most + 1)).await?;
    let uniform = gpu.buffer(8, BufferUsages::UNIFORM);
    gpu.fails("a buffer of the wrong kind", "", || gpu.group(&pipeline, &[&uniform])).await?;
    gpu.fails("no buffer", "", || gpu.group(&pipeline, &[])).await?;
    let groups = gpu.device.limits().max_bind_groups;
    gpu.fails("no such group", "", || pipeline.get_bind_group_layout(groups)).await?;
    gpu.succeeds("after mistakes", || run(Some(&pipeline), Some(&group), 1)).await?;
    same("doubled once", gpu.read(&buffer).await?, vec![2])
}
