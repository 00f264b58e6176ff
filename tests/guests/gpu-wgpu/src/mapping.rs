//! Mapping: buffers as memory of the chainlet.

use std::sync::mpsc;

use chainlet::{Context as _, Result, try_join_all};
use futures::channel::oneshot;
use wgpu::{BufferDescriptor, BufferUsages, MapMode, PollType};

use crate::gpu::{DOUBLE, Gpu, READ, STORAGE, map, mapped};
use crate::{holds, same};

const WRITE: BufferUsages = BufferUsages::MAP_WRITE.union(BufferUsages::COPY_SRC);

pub async fn created_mapped() -> Result<()> {
    let gpu = Gpu::open().await?;
    let descriptor = BufferDescriptor { label: None, size: 16, usage: STORAGE, mapped_at_creation: true };
    let buffer = gpu.device.create_buffer(&descriptor);
    {
        let mut first = buffer.get_mapped_range_mut(..8)?;
        let mut second = buffer.get_mapped_range_mut(8..)?;
        first.copy_from_slice(bytemuck::cast_slice(&[1_u32, 2]));
        second.slice(4..).copy_from_slice(bytemuck::cast_slice(&[4_u32]));
        holds("a view cannot overlap another", buffer.get_mapped_range_mut(..).is_err())?;
    }
    // Unwritten bytes are 0, and written bytes can be changed.
    buffer.get_mapped_range_mut(..)?.slice(4..8).copy_from_slice(bytemuck::cast_slice(&[3_u32]));
    same("what is mapped", bytemuck::pod_collect_to_vec(&buffer.get_mapped_range(..)?), vec![1_u32, 3, 0, 4])?;
    buffer.unmap();
    same("what was written", gpu.read(&buffer).await?, vec![1, 3, 0, 4])?;
    gpu.fails("an odd size", "multiple of 4", || {
        gpu.device.create_buffer(&BufferDescriptor { size: 15, ..descriptor })
    })
    .await?
    .unmap();
    Ok(())
}

pub async fn read_and_poll() -> Result<()> {
    let gpu = Gpu::open().await?;
    let buffer = gpu.numbers(&[1, 2, 3], BufferUsages::empty());
    gpu.run(&gpu.pipeline(DOUBLE, &[]), &[&buffer]);
    let copy = gpu.copy_of(&buffer);
    for _ in 0..2 {
        let (sender, receiver) = mpsc::channel();
        copy.map_async(MapMode::Read, .., move |mapped| drop(sender.send(mapped)));
        gpu.device.poll(PollType::wait_indefinitely())?;
        receiver.try_recv().context("the callback did not run")??;
        same("what is read", mapped(&copy)?, vec![2, 4, 6])?;
    }
    Ok(())
}

pub async fn read_and_await() -> Result<()> {
    let gpu = Gpu::open().await?;
    let buffer = gpu.numbers(&[1, 2, 3], BufferUsages::empty());
    let pipeline = gpu.pipeline(DOUBLE, &[]);
    for times in [2, 4] {
        gpu.run(&pipeline, &[&buffer]);
        same("what is read", gpu.read(&buffer).await?, vec![times, 2 * times, 3 * times])?;
    }
    // This buffer was never used by the GPU.
    same("zeros", gpu.read(&gpu.buffer(8, STORAGE)).await?, vec![0, 0])
}

pub async fn read_part() -> Result<()> {
    let gpu = Gpu::open().await?;
    let copy = gpu.copy_of(&gpu.numbers(&[1, 2, 3, 4, 5, 6], BufferUsages::empty()));
    let (sender, receiver) = oneshot::channel();
    copy.map_async(MapMode::Read, 8..20, move |mapped| drop(sender.send(mapped)));
    receiver.await??;
    let slice = copy.slice(8..20);
    same("the part", bytemuck::pod_collect_to_vec(&slice.get_mapped_range()?), vec![3_u32, 4, 5])?;
    same("a part of it", bytemuck::pod_collect_to_vec(&copy.get_mapped_range(16..20)?), vec![5_u32])?;
    holds("there is no more", copy.get_mapped_range(8..24).is_err() && copy.get_mapped_range(0..12).is_err())?;
    copy.unmap();
    Ok(())
}

pub async fn write() -> Result<()> {
    let gpu = Gpu::open().await?;
    let (source, target) = (gpu.buffer(16, WRITE), gpu.buffer(16, STORAGE));
    for round in 0..3_u32 {
        map(&source, MapMode::Write).await??;
        // The rest keeps its contents.
        let place = u64::from(round) * 4;
        source
            .get_mapped_range_mut(..)?
            .slice(place as usize..place as usize + 4)
            .copy_from_slice(&[round as u8 + 1; 4]);
        source.unmap();
        gpu.submit(|encoder| encoder.copy_buffer_to_buffer(&source, 0, &target, 0, None));
    }
    same("what was written", gpu.read(&target).await?, vec![0x0101_0101, 0x0202_0202, 0x0303_0303, 0])
}

/// Views in any order, that overlap, and of parts of a mapping.
pub async fn write_parts() -> Result<()> {
    let gpu = Gpu::open().await?;
    let descriptor = BufferDescriptor { label: None, size: 32, usage: WRITE, mapped_at_creation: true };
    let source = gpu.device.create_buffer(&descriptor);
    let put = |start: u64, numbers: &[u32]| -> Result<()> {
        let end = start + 4 * numbers.len() as u64;
        source.get_mapped_range_mut(start..end)?.copy_from_slice(bytemuck::cast_slice(numbers));
        Ok(())
    };
    put(16, &[5, 6])?;
    put(0, &[1, 2])?;
    put(8, &[3, 4])?;
    put(8, &[7])?;
    source.unmap();
    let (sender, receiver) = oneshot::channel();
    source.map_async(MapMode::Write, 24.., move |mapped| drop(sender.send(mapped)));
    receiver.await??;
    put(24, &[8])?;
    holds("only what is mapped is written", put(0, &[9]).is_err())?;
    source.unmap();
    let target = gpu.buffer(32, STORAGE);
    gpu.submit(|encoder| encoder.copy_buffer_to_buffer(&source, 0, &target, 0, None));
    same("what was written", gpu.read(&target).await?, vec![1, 2, 7, 4, 5, 6, 8, 0])
}

pub async fn many_at_once() -> Result<()> {
    let gpu = Gpu::open().await?;
    let pipeline = gpu.pipeline(DOUBLE, &[]);
    let reads = (0..16).map(async |number| {
        let buffer = gpu.numbers(&[number; 64], BufferUsages::empty());
        gpu.run(&pipeline, &[&buffer]);
        same("one of many", gpu.read(&buffer).await?, vec![number * 2; 64])
    });
    try_join_all(reads).await.map(drop)
}

pub async fn on_submit() -> Result<()> {
    let gpu = Gpu::open().await?;
    let (buffer, copy) = (gpu.numbers(&[5, 6], BufferUsages::empty()), gpu.buffer(8, READ));
    let (sender, receiver) = oneshot::channel();
    gpu.submit(|encoder| {
        encoder.copy_buffer_to_buffer(&buffer, 0, &copy, 0, None);
        encoder.map_buffer_on_submit(&copy, MapMode::Read, .., move |mapped| drop(sender.send(mapped)));
    });
    receiver.await??;
    same("what is mapped", mapped(&copy)?, vec![5, 6])
}

/// Unmapped bytes cannot be seen, whatever the buffer waits for.
pub async fn not_mapped() -> Result<()> {
    let gpu = Gpu::open().await?;
    let buffer = gpu.buffer(8, READ);
    holds("a new buffer is not mapped", buffer.get_mapped_range(..).is_err())?;
    let (sender, mut receiver) = oneshot::channel();
    buffer.map_async(MapMode::Read, .., move |mapped| drop(sender.send(mapped)));
    holds("one that will be is not yet", buffer.get_mapped_range(..).is_err())?;
    let (second, refused) = mpsc::channel();
    buffer.map_async(MapMode::Read, .., move |mapped| drop(second.send(mapped)));
    holds("it cannot be asked for twice", refused.recv()?.is_err())?;
    buffer.unmap();
    holds("unmapping takes it back", matches!(receiver.try_recv(), Ok(Some(Err(_)))))?;
    map(&buffer, MapMode::Read).await??;
    same("it can be asked for again", mapped(&buffer)?, vec![0, 0])?;

    let (sender, mut receiver) = oneshot::channel();
    buffer.map_async(MapMode::Read, .., move |mapped| drop(sender.send(mapped)));
    buffer.destroy();
    holds("destroying takes it back", matches!(receiver.try_recv(), Ok(Some(Err(_)))))?;
    holds("what is destroyed is not mapped", buffer.get_mapped_range(..).is_err())
}

pub async fn mistakes() -> Result<()> {
    let gpu = Gpu::open().await?;
    let buffer = gpu.buffer(32, STORAGE);
    let refused = |buffer: &wgpu::Buffer, mode, range: std::ops::Range<u64>| {
        let (sender, receiver) = mpsc::channel();
        buffer.map_async(mode, range, move |mapped| drop(sender.send(mapped)));
        buffer.unmap();
        receiver.recv()
    };
    let callback = gpu.fails("no usage", "MAP_READ", || refused(&buffer, MapMode::Read, 0..8)).await?;
    holds("the callback is told", callback?.is_err())?;
    let copy = gpu.buffer(32, READ);
    let callback = gpu.fails("the wrong usage", "MAP_WRITE", || refused(&copy, MapMode::Write, 0..8)).await?;
    holds("the callback is told of the usage", callback?.is_err())?;
    let callback = gpu.fails("an odd place", "multiple of 8", || refused(&copy, MapMode::Read, 4..12)).await?;
    holds("the callback is told of the place", callback?.is_err())?;
    map(&copy, MapMode::Read).await??;
    same("after mistakes", mapped(&copy)?, vec![0; 8])
}

pub async fn used_while_mapped() -> Result<()> {
    let gpu = Gpu::open().await?;
    let (buffer, copy) = (gpu.numbers(&[1, 2], BufferUsages::empty()), gpu.buffer(8, READ));
    map(&copy, MapMode::Read).await??;
    let copies = || gpu.submit(|encoder| encoder.copy_buffer_to_buffer(&buffer, 0, &copy, 0, None));
    gpu.fails("a copy to it", "still mapped", copies).await?;
    gpu.fails("a write to it", "still mapped", || gpu.queue.write_buffer(&copy, 0, &[0; 4])).await?;
    copy.unmap();
    gpu.succeeds("a copy to what is unmapped", copies).await?;

    let descriptor = BufferDescriptor { label: None, size: 8, usage: STORAGE, mapped_at_creation: true };
    let bound = gpu.device.create_buffer(&descriptor);
    let pipeline = gpu.pipeline(DOUBLE, &[]);
    gpu.fails("a kernel on it", "still mapped", || gpu.run(&pipeline, &[&bound])).await?;
    bound.unmap();
    gpu.succeeds("a kernel on what is unmapped", || gpu.run(&pipeline, &[&bound])).await?;
    map(&copy, MapMode::Read).await??;
    same("what was copied", mapped(&copy)?, vec![1, 2])
}
