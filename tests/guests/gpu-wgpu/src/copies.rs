//! Writes, copies and clears.

use chainlet::Result;
use wgpu::util::{BufferInitDescriptor, DeviceExt as _, StagingBelt};
use wgpu::{BufferSize, BufferUsages};

use crate::gpu::{DOUBLE, Gpu, READ, STORAGE};
use crate::{holds, same};

pub async fn writes() -> Result<()> {
    let gpu = Gpu::open().await?;
    let buffer = gpu.buffer(16, STORAGE);
    gpu.queue.write_buffer(&buffer, 4, bytemuck::cast_slice(&[1_u32, 2]));
    gpu.queue.write_buffer(&buffer, 16, &[]);
    gpu.run(&gpu.pipeline(DOUBLE, &[]), &[&buffer]);
    gpu.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(&[7_u32]));
    same("writes before and after a kernel", gpu.read(&buffer).await?, vec![7, 2, 4, 0])
}

pub async fn staged_writes() -> Result<()> {
    let gpu = Gpu::open().await?;
    let buffer = gpu.buffer(16, STORAGE);
    let size = BufferSize::new(8).ok_or("no size")?;
    let mut view = gpu.queue.write_buffer_with(&buffer, 8, size).ok_or("no view")?;
    same("its length", view.len(), 8)?;
    view.copy_from_slice(bytemuck::cast_slice(&[3_u32, 4]));
    drop(view);
    same("what was staged", gpu.read(&buffer).await?, vec![0, 0, 3, 4])?;
    let beyond = gpu.fails("beyond the end", "16", || gpu.queue.write_buffer_with(&buffer, 12, size)).await?;
    holds("there is no view beyond the end", beyond.is_none())
}

pub async fn copies() -> Result<()> {
    let gpu = Gpu::open().await?;
    let source = gpu.numbers(&[1, 2, 3, 4], BufferUsages::empty());
    let target = gpu.buffer(24, STORAGE);
    gpu.submit(|encoder| {
        encoder.copy_buffer_to_buffer(&source, 4, &target, 0, 8);
        encoder.copy_buffer_to_buffer(&source, 12, &target, 16, None);
        encoder.copy_buffer_to_buffer(&target, 0, &source, 8, 8);
    });
    same("the target", gpu.read(&target).await?, vec![2, 3, 0, 0, 4, 0])?;
    same("the source", gpu.read(&source).await?, vec![1, 2, 2, 3])
}

pub async fn clears() -> Result<()> {
    let gpu = Gpu::open().await?;
    let buffer = gpu.numbers(&[1, 2, 3, 4, 5], BufferUsages::empty());
    gpu.submit(|encoder| encoder.clear_buffer(&buffer, 4, Some(8)));
    same("a part", gpu.read(&buffer).await?, vec![1, 0, 0, 4, 5])?;
    gpu.submit(|encoder| encoder.clear_buffer(&buffer, 12, None));
    same("the rest", gpu.read(&buffer).await?, vec![1, 0, 0, 0, 0])
}

pub async fn buffer_init() -> Result<()> {
    let gpu = Gpu::open().await?;
    let init = |contents: &[u8]| {
        gpu.device.create_buffer_init(&BufferInitDescriptor { label: None, contents, usage: STORAGE })
    };
    let buffer = init(&[1, 2, 3, 4, 5]);
    same("the size", buffer.size(), 8)?;
    same("an odd length", gpu.read(&buffer).await?, vec![0x0403_0201, 5])?;
    same("nothing", init(&[]).size(), 0)?;
    let much: Vec<u32> = (0..1 << 20).collect();
    holds("much is the same", gpu.read(&gpu.numbers(&much, BufferUsages::empty())).await? == much)
}

/// wgpu's helper for writes through mapped buffers, which reuses them.
pub async fn staging_belt() -> Result<()> {
    let gpu = Gpu::open().await?;
    let mut belt = StagingBelt::new(gpu.device.clone(), 1024);
    let buffer = gpu.buffer(256, STORAGE);
    let size = BufferSize::new(16).ok_or("no size")?;
    for round in 0..16_u32 {
        let mut encoder = gpu.encoder();
        let mut view = belt.write_buffer(&mut encoder, &buffer, u64::from(round) * 16, size);
        view.copy_from_slice(bytemuck::cast_slice(&[round; 4]));
        drop(view);
        belt.finish();
        gpu.queue.submit([encoder.finish()]);
        belt.recall();
        gpu.device.poll(wgpu::PollType::wait_indefinitely())?;
    }
    let expected: Vec<u32> = (0..64).map(|place| place / 4).collect();
    same("what went over the belt", gpu.read(&buffer).await?, expected)
}

pub async fn mistakes() -> Result<()> {
    let gpu = Gpu::open().await?;
    let (buffer, small) = (gpu.numbers(&[1, 2, 3, 4], BufferUsages::empty()), gpu.buffer(8, STORAGE));
    let source = gpu.buffer(16, BufferUsages::COPY_SRC);
    let copy = |from: &wgpu::Buffer, offset, to: &wgpu::Buffer, size: u64| {
        gpu.submit(|encoder| encoder.copy_buffer_to_buffer(from, offset, to, 0, size));
    };
    gpu.fails("a copy beyond the end", "", || copy(&buffer, 0, &small, 16)).await?;
    gpu.fails("a copy from an odd place", "", || copy(&buffer, 2, &small, 4)).await?;
    gpu.fails("a copy of an odd size", "", || copy(&buffer, 0, &small, 3)).await?;
    gpu.fails("a copy to a source", "", || copy(&buffer, 0, &source, 4)).await?;
    gpu.fails("a copy to itself", "", || copy(&buffer, 0, &buffer, 4)).await?;
    gpu.fails("an odd clear", "", || gpu.submit(|encoder| encoder.clear_buffer(&buffer, 1, None))).await?;
    gpu.fails("a write to a source", "COPY_DST", || gpu.queue.write_buffer(&source, 0, &[0; 4])).await?;
    gpu.fails("a write of an odd size", "multiple", || gpu.queue.write_buffer(&buffer, 0, &[0; 3])).await?;
    gpu.fails("a write beyond the end", "16", || gpu.queue.write_buffer(&buffer, 16, &[0; 4])).await?;
    buffer.destroy();
    gpu.fails("a write to nothing", "destroyed", || gpu.queue.write_buffer(&buffer, 0, &[0; 4])).await?;
    gpu.fails("a copy from nothing", "destroyed", || copy(&buffer, 0, &small, 4)).await?;
    gpu.succeeds("a copy after mistakes", || copy(&source, 0, &gpu.buffer(16, READ), 16)).await
}
