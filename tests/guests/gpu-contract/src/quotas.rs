//! What an instance may hold, and that it gets back what it drops. The chain gives it 64 MiB.

use std::pin::pin;
use std::task::Poll;

use chainlet::Result;

use super::gpu::{BindGroupEntry, BufferUsages, ErrorKind};
use super::{buffer, device, fine, holds, pipeline, refused, run, storage};

const ALL: u64 = 64 << 20;
const NOTHING: &str = "@group(0) @binding(0) var<storage, read_write> all: array<u32>;
    @compute @workgroup_size(1) fn main() { all[0] += 1u; }";

pub fn memory() -> Result<()> {
    let device = device()?;
    for _ in 0..3 {
        let whole = fine(buffer(&device, ALL, BufferUsages::STORAGE))?;
        refused("one more", ErrorKind::Quota, "in use", buffer(&device, 4, BufferUsages::STORAGE))?;
        drop(whole);
        let destroyed = fine(buffer(&device, ALL, BufferUsages::STORAGE))?;
        destroyed.destroy();
        let half = fine(buffer(&device, ALL / 2, BufferUsages::STORAGE))?;
        // A write holds it until it is submitted, which whoever wants the room sees to.
        fine(half.write(0, &[1; 64]))?;
        drop(half);
        refused("too much", ErrorKind::Quota, "", buffer(&device, ALL + 4, BufferUsages::STORAGE))?;
        // What fails takes nothing.
        refused("no usage", ErrorKind::Invalid, "", buffer(&device, ALL, BufferUsages::empty()))?;
        // A read holds as much again.
        let most = fine(buffer(&device, ALL - 1024, BufferUsages::STORAGE))?;
        refused("a read without room", ErrorKind::Quota, "", most.read_blocking(0, 4096))?;
        fine(most.read_blocking(0, 512))?;
    }
    Ok(())
}

pub fn devices() -> Result<()> {
    let mut devices = Vec::new();
    for _ in 0..4 {
        devices.push(device()?);
    }
    let adapter = super::gpu::adapters().into_iter().next().ok_or("there is no adapter")?;
    let descriptor =
        super::DeviceDescriptor { label: None, required_features: super::Features::empty(), required_limits: None };
    refused("a fifth device", ErrorKind::Quota, "4 devices", adapter.request_device(&descriptor))?;
    let in_all = devices.iter().map(|device| buffer(device, ALL / 4, BufferUsages::STORAGE)).collect::<Vec<_>>();
    for made in &in_all {
        holds("a quarter for each", made.is_ok())?;
    }
    let first = devices.first().ok_or("there is no device")?;
    refused("more than all have together", ErrorKind::Quota, "", buffer(first, 4, BufferUsages::STORAGE))
}

pub fn destroyed_devices() -> Result<()> {
    let mut kept = Vec::new();
    for _ in 0..6 {
        let device = device()?;
        let most = fine(buffer(&device, ALL - (1 << 20), BufferUsages::STORAGE))?;
        device.destroy();
        // Its handles are held, and hold nothing.
        kept.push((device, most));
    }
    Ok(())
}

pub fn text() -> Result<()> {
    let device = device()?;
    let long = format!("// {}\n", "x".repeat(1 << 20));
    refused("a long text", ErrorKind::Quota, "longer", device.create_shader_module(None, &long))?;
    let text = format!("// {}\n", "x".repeat(200 << 10));
    let mut modules = Vec::new();
    loop {
        match device.create_shader_module(None, &text) {
            Ok(module) => modules.push(module),
            Err(error) => {
                holds("a quota", error.kind == ErrorKind::Quota)?;
                break;
            }
        }
    }
    holds("there was room for some", modules.len() > 10)?;
    modules.clear();
    fine(device.create_shader_module(None, &text)).map(drop)
}

pub fn create_and_drop() -> Result<()> {
    let device = device()?;
    let module = fine(device.create_shader_module(None, NOTHING))?;
    let kernel = fine(pipeline(&device, NOTHING))?;
    let layout = fine(kernel.get_bind_group_layout(0))?;
    let own = fine(device.create_bind_group_layout(None, &[]))?;
    for round in 0..10_000 {
        let buffer = fine(buffer(&device, 1 << 20, BufferUsages::STORAGE | BufferUsages::COPY_SRC))?;
        let entry = BindGroupEntry { binding: 0, buffer: &buffer, offset: 0, size: None };
        let group = fine(device.create_bind_group(None, &layout, &[entry]))?;
        drop(fine(kernel.get_bind_group_layout(0))?);
        drop(fine(device.create_pipeline_layout(None, &[Some(&own)], 0))?);
        if round % 100 == 0 {
            drop(fine(device.create_shader_module(None, NOTHING))?);
            drop(fine(pipeline(&device, NOTHING))?);
            drop(fine(device.create_query_set(None, 16))?);
            fine(run(&device, &kernel, &buffer, 1))?;
        }
        drop((group, buffer));
    }
    drop(module);
    fine(buffer(&device, ALL - (4 << 20), BufferUsages::STORAGE)).map(drop)
}

pub async fn queue() -> Result<()> {
    let device = device()?;
    let kernel = fine(pipeline(&device, NOTHING))?;
    let all = storage(&device, 64)?;
    for _ in 0..500 {
        fine(run(&device, &kernel, &all, 1))?;
    }
    holds("each has run once", fine(all.read(0, 4).await)? == 500_u32.to_le_bytes())
}

pub fn flood() -> Result<()> {
    let device = device()?;
    let buffer = storage(&device, ALL / 4)?;
    let bytes = vec![3; usize::try_from(ALL / 4)?];
    // 4 GiB, none of it submitted by the guest.
    for _ in 0..256 {
        fine(buffer.write(0, &bytes))?;
    }
    holds("the last one counts", fine(buffer.read_blocking(64, 8))? == [3; 8])
}

/// Leaves the instance with what it made.
pub fn hold() -> Result<()> {
    let device = device()?;
    let buffer = storage(&device, ALL / 2)?;
    fine(run(&device, &fine(pipeline(&device, NOTHING))?, &buffer, 1))?;
    std::mem::forget((device, buffer));
    Ok(())
}

pub async fn cancel() -> Result<()> {
    let device = device()?;
    let all = storage(&device, ALL / 4)?;
    for _ in 0..50 {
        let mut read = pin!(all.read(0, 4096));
        // Begun, and left at once.
        std::future::poll_fn(|cx| {
            let _ = read.as_mut().poll(cx);
            Poll::Ready(())
        })
        .await;
    }
    fine(device.wait(None).await)?;
    holds("a read that is not left", fine(all.read(0, 8).await)? == [0; 8])?;
    let [one, two] = [all.read(0, 64), all.read(64, 64)];
    let (one, two) = chainlet::join(one, two).await;
    holds("two at once", fine(one)? == [0; 64] && fine(two)? == [0; 64])
}
