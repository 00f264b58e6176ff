//! Passes and encoders.

use chainlet::{Context as _, Result};
use wgpu::{BufferUsages, ComputePassDescriptor, ComputePassTimestampWrites, Features, QuerySetDescriptor, QueryType};

use crate::gpu::{DOUBLE, Gpu, STORAGE};
use crate::{holds, same};

/// Each dispatch sees the writes of those before it, in its pass and in others.
pub async fn in_order() -> Result<()> {
    let gpu = Gpu::open().await?;
    let (double, add) = (gpu.pipeline(DOUBLE, &[]), gpu.pipeline(DOUBLE, &[("7", 1.0), ("plus", 1.0)]));
    let buffer = gpu.numbers(&[1], BufferUsages::empty());
    let groups = [gpu.group(&double, &[&buffer]), gpu.group(&add, &[&buffer])];
    let mut encoders = [gpu.encoder(), gpu.encoder()];
    for encoder in &mut encoders {
        for _ in 0..2 {
            let mut pass =
                encoder.begin_compute_pass(&ComputePassDescriptor { label: Some("a pass"), ..Default::default() });
            for (pipeline, group) in [&double, &add].into_iter().zip(&groups) {
                pass.set_pipeline(pipeline);
                pass.set_bind_group(0, group, &[]);
                pass.dispatch_workgroups(1, 1, 1);
            }
        }
    }
    gpu.queue.submit(encoders.map(wgpu::CommandEncoder::finish));
    same("doubled and added in turn", gpu.read(&buffer).await?, vec![31])
}

/// One dispatch computes the size of another.
pub async fn indirect() -> Result<()> {
    let gpu = Gpu::open().await?;
    let plan = gpu.pipeline(
        "
        @group(0) @binding(0) var<storage, read_write> size: array<u32>;
        @compute @workgroup_size(1) fn plan() { size[1] = 3; size[2] = 1; size[3] = 1; }
        ",
        &[],
    );
    let count = gpu.pipeline(
        "
        @group(0) @binding(0) var<storage, read_write> count: atomic<u32>;
        @compute @workgroup_size(4) fn main() { atomicAdd(&count, 1); }
        ",
        &[],
    );
    let (size, total) = (gpu.buffer(16, STORAGE | BufferUsages::INDIRECT), gpu.buffer(4, STORAGE));
    let groups = (gpu.group(&plan, &[&size]), gpu.group(&count, &[&total]));
    gpu.submit(|encoder| {
        let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
        pass.set_pipeline(&plan);
        pass.set_bind_group(0, &groups.0, &[]);
        pass.dispatch_workgroups(1, 1, 1);
        pass.set_pipeline(&count);
        pass.set_bind_group(0, &groups.1, &[]);
        pass.dispatch_workgroups_indirect(&size, 4);
    });
    same("invocations", gpu.read(&total).await?, vec![12])
}

pub async fn timestamps() -> Result<()> {
    let Some(gpu) = Gpu::with_features(Features::TIMESTAMP_QUERY).await? else { return Ok(()) };
    holds("a tick takes time", gpu.queue.get_timestamp_period() > 0.0)?;
    let queries = gpu.device.create_query_set(&QuerySetDescriptor { label: None, ty: QueryType::Timestamp, count: 2 });
    let pipeline = gpu.pipeline(DOUBLE, &[]);
    let (buffer, times) =
        (gpu.numbers(&[1; 64], BufferUsages::empty()), gpu.buffer(16, STORAGE | BufferUsages::QUERY_RESOLVE));
    let group = gpu.group(&pipeline, &[&buffer]);
    gpu.submit(|encoder| {
        let timestamp_writes = Some(ComputePassTimestampWrites {
            query_set: &queries,
            beginning_of_pass_write_index: Some(0),
            end_of_pass_write_index: Some(1),
        });
        let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor { label: None, timestamp_writes });
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(1, 1, 1);
        drop(pass);
        encoder.resolve_query_set(&queries, 0..2, &times, 0);
    });
    let words = gpu.read(&times).await?;
    let [beginning, end] = bytemuck::cast_slice::<u32, [u32; 2]>(&words) else { return Err("not two times".into()) };
    let number = |[low, high]: [u32; 2]| u64::from(low) | u64::from(high) << 32;
    holds("time passes", number(*beginning) <= number(*end) && number(*end) > 0)?;
    gpu.fails("another kind of query", "timestamps", || {
        gpu.device.create_query_set(&QuerySetDescriptor { label: None, ty: QueryType::Occlusion, count: 2 })
    })
    .await
    .map(drop)
}

pub async fn left_open() -> Result<()> {
    let gpu = Gpu::open().await?;
    let buffer = gpu.buffer(8, STORAGE);
    let mut encoder = gpu.encoder();
    let pass = encoder.begin_compute_pass(&ComputePassDescriptor::default()).forget_lifetime();
    encoder.clear_buffer(&buffer, 0, None);
    drop(pass);
    let commands = gpu.fails("an encoder used with a pass open", "pass", || encoder.finish()).await?;
    gpu.fails("what comes of it", "invalid", || gpu.queue.submit([commands])).await?;

    let mut encoder = gpu.encoder();
    let pass = encoder.begin_compute_pass(&ComputePassDescriptor::default()).forget_lifetime();
    gpu.fails("an encoder finished with a pass open", "pass", || encoder.finish()).await?;
    drop(pass);
    Ok(())
}

/// One invalid list makes its whole submission fail, and nothing else.
pub async fn spoilt() -> Result<()> {
    let gpu = Gpu::open().await?;
    let buffer = gpu.numbers(&[1], BufferUsages::empty());
    let pipeline = gpu.pipeline(DOUBLE, &[]);
    let group = gpu.group(&pipeline, &[&buffer]);
    let doubling = || {
        let mut encoder = gpu.encoder();
        let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(1, 1, 1);
        drop(pass);
        encoder.finish()
    };
    let mut encoder = gpu.encoder();
    // No buffer is as large as this copy.
    encoder.copy_buffer_to_buffer(&buffer, 0, &gpu.buffer(4, STORAGE), 0, 400);
    let broken = encoder.finish();
    gpu.fails("a submission with an invalid part", "", || gpu.queue.submit([doubling(), broken, doubling()])).await?;
    same("after nothing", gpu.read(&buffer).await?, vec![1])?;
    gpu.queue.submit([doubling(), doubling()]);
    same("after both", gpu.read(&buffer).await?, vec![4])
}

pub async fn debug_groups() -> Result<()> {
    let gpu = Gpu::open().await?;
    let buffer = gpu.numbers(&[1], BufferUsages::empty());
    let pipeline = gpu.pipeline(DOUBLE, &[]);
    let group = gpu.group(&pipeline, &[&buffer]);
    gpu.succeeds("names for parts", || {
        gpu.submit(|encoder| {
            encoder.push_debug_group("outer");
            let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
            pass.push_debug_group("inner");
            pass.insert_debug_marker("here");
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &group, &[]);
            pass.dispatch_workgroups(1, 1, 1);
            pass.pop_debug_group();
            drop(pass);
            encoder.pop_debug_group();
        });
    })
    .await
    .context("debug groups")?;
    same("doubled", gpu.read(&buffer).await?, vec![2])
}
