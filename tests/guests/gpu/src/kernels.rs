//! Compares the results of kernels with the same computation in Rust.

use chainlet::gpu::bytemuck::{Pod, Zeroable};
use chainlet::gpu::{Buffer, Gpu, KernelOptions};
use chainlet::{Result, try_join_all};

use crate::{close, holds, numbers, same};

/// Adds a constant to each number.
pub const ADD: &str = "
    override amount: u32 = 1;
    @group(0) @binding(0) var<storage, read_write> numbers: array<u32>;

    @compute @workgroup_size(64)
    fn add(@builtin(global_invocation_id) id: vec3<u32>) {
        if id.x < arrayLength(&numbers) {
            numbers[id.x] += amount;
        }
    }

    @compute @workgroup_size(64)
    fn double(@builtin(global_invocation_id) id: vec3<u32>) {
        if id.x < arrayLength(&numbers) {
            numbers[id.x] *= 2;
        }
    }
";

const SAXPY: &str = "
    @group(0) @binding(0) var<uniform> scale: f32;
    @group(0) @binding(1) var<storage, read> x: array<f32>;
    @group(0) @binding(2) var<storage, read> y: array<f32>;
    @group(0) @binding(3) var<storage, read_write> out: array<f32>;

    @compute @workgroup_size(64)
    fn saxpy(@builtin(global_invocation_id) id: vec3<u32>) {
        if id.x < arrayLength(&out) {
            out[id.x] = scale * x[id.x] + y[id.x];
        }
    }
";

const MATMUL: &str = "
    struct Shape { rows: u32, inner: u32, columns: u32 }
    @group(0) @binding(0) var<uniform> shape: Shape;
    @group(0) @binding(1) var<storage, read> a: array<f32>;
    @group(0) @binding(2) var<storage, read> b: array<f32>;
    @group(0) @binding(3) var<storage, read_write> product: array<f32>;

    @compute @workgroup_size(8, 8)
    fn matmul(@builtin(global_invocation_id) id: vec3<u32>) {
        if id.y < shape.rows && id.x < shape.columns {
            var sum = 0.0;
            for (var k = 0u; k < shape.inner; k++) {
                sum += a[id.y * shape.inner + k] * b[k * shape.columns + id.x];
            }
            product[id.y * shape.columns + id.x] = sum;
        }
    }
";

/// Takes some seconds on one core for 10,000 workgroups, and then ends. llvmpipe ends all loops of an invocation after
/// 65,535 rounds.
const LONG: &str = "
    @group(0) @binding(0) var<storage, read_write> numbers: array<u32>;

    @compute @workgroup_size(1)
    fn long(@builtin(workgroup_id) id: vec3<u32>) {
        var number = numbers[0] + id.x;
        for (var i = 0u; i < 60000u; i++) {
            // Each step needs the one before, and no compiler can shorten this.
            number = (number * number) ^ (number >> 3u) ^ i;
        }
        numbers[0] = number;
    }
";

/// Works for some seconds if `cores` processors do the work of the GPU.
pub async fn long(gpu: &Gpu, cores: u32) -> Result<()> {
    let kernel = gpu.kernel(LONG)?;
    let numbers = gpu.upload(&[1_u32])?;
    gpu.run(&kernel, &[&numbers], [10_000, cores, 1])?;
    numbers.read().await?;
    Ok(())
}

pub async fn saxpy(gpu: &Gpu) -> Result<()> {
    let kernel = gpu.kernel(SAXPY)?;
    // The length is more than one workgroup, and not a multiple of it.
    let (x, y) = (numbers(1000, 1), numbers(1000, 2));
    let out: Buffer<f32> = gpu.zeros(x.len())?;
    for scale in [0.5, -3.0] {
        let bindings = (gpu.uniform(&scale)?, gpu.upload(&x)?, gpu.upload(&y)?);
        gpu.run(&kernel, &[&bindings.0, &bindings.1, &bindings.2, &out], [1000_u32.div_ceil(64), 1, 1])?;
        let expected: Vec<f32> = x.iter().zip(&y).map(|(x, y)| scale * x + y).collect();
        close("saxpy", &out.read().await?, &expected)?;
    }
    Ok(())
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[bytemuck(crate = "chainlet::gpu::bytemuck")]
#[repr(C)]
struct Shape {
    rows: u32,
    inner: u32,
    columns: u32,
}

pub async fn matmul(gpu: &Gpu) -> Result<()> {
    let kernel = gpu.kernel(MATMUL)?;
    for (rows, inner, columns) in [(1, 1, 1), (3, 5, 7), (17, 33, 9)] {
        let (a, b) = (numbers((rows * inner) as usize, 1), numbers((inner * columns) as usize, 2));
        let product: Buffer<f32> = gpu.zeros((rows * columns) as usize)?;
        let shape = gpu.uniform(&Shape { rows, inner, columns })?;
        let bindings = (gpu.upload(&a)?, gpu.upload(&b)?);
        let workgroups = [columns.div_ceil(8), rows.div_ceil(8), 1];
        gpu.run(&kernel, &[&shape, &bindings.0, &bindings.1, &product], workgroups)?;
        let mut expected = Vec::new();
        for row in a.chunks(inner as usize) {
            for column in 0..columns as usize {
                let column = b.iter().skip(column).step_by(columns as usize);
                expected.push(row.iter().zip(column).map(|(a, b)| a * b).sum::<f32>());
            }
        }
        close("matmul", &product.read().await?, &expected)?;
    }
    Ok(())
}

pub async fn constants(gpu: &Gpu) -> Result<()> {
    let buffer = gpu.upload(&[0_u32, 10, 20])?;
    let options = KernelOptions { entry_point: Some("add"), constants: &[("amount", 7.0)], label: Some("add seven") };
    gpu.run(&gpu.kernel_with(ADD, &options)?, &[&buffer], [1, 1, 1])?;
    same("with a constant", buffer.read().await?, vec![7, 17, 27])?;
    let default = KernelOptions { entry_point: Some("add"), ..KernelOptions::default() };
    gpu.run(&gpu.kernel_with(ADD, &default)?, &[&buffer], [1, 1, 1])?;
    same("with its default", buffer.read().await?, vec![8, 18, 28])
}

pub async fn entry_points(gpu: &Gpu) -> Result<()> {
    let shader = gpu.shader(ADD)?;
    let (add, double) = (shader.kernel("add")?, shader.kernel("double")?);
    let buffer = gpu.upload(&[1_u32, 2, 3])?;
    gpu.run(&add, &[&buffer], [1, 1, 1])?;
    gpu.run(&double, &[&buffer], [1, 1, 1])?;
    gpu.run(&add, &[&buffer], [1, 1, 1])?;
    same("two entry points", buffer.read().await?, vec![5, 7, 9])
}

pub async fn without_bindings(gpu: &Gpu) -> Result<()> {
    let kernel = gpu.kernel("@compute @workgroup_size(1) fn nothing() {}")?;
    gpu.run(&kernel, &[], [1, 1, 1])?;
    gpu.wait().await?;
    Ok(())
}

/// Kernels, copies and clears see the writes of those before them.
pub async fn batch(gpu: &Gpu) -> Result<()> {
    let shader = gpu.shader(ADD)?;
    let (add, double) = (shader.kernel("add")?, shader.kernel("double")?);
    let (first, second): (Buffer<u32>, Buffer<u32>) = (gpu.upload(&[1, 2, 3])?, gpu.zeros(3)?);
    let mut batch = gpu.batch();
    batch.run(&add, &[&first], [1, 1, 1])?;
    batch.run(&add, &[&first], [1, 1, 1])?;
    batch.run(&double, &[&first], [1, 1, 1])?;
    batch.copy(&first, &second)?;
    batch.run(&double, &[&second], [1, 1, 1])?;
    batch.run(&double, &[&first], [1, 1, 1])?;
    batch.clear(&first)?;
    batch.run(&add, &[&first], [1, 1, 1])?;
    same("before it is submitted", first.read().await?, vec![1, 2, 3])?;
    batch.submit()?;
    same("the first", first.read().await?, vec![1, 1, 1])?;
    same("the second", second.read().await?, vec![12, 16, 20])?;

    let mut dropped = gpu.batch();
    dropped.clear(&second)?;
    drop(dropped);
    gpu.batch().submit()?;
    same("after a batch that was dropped", second.read().await?, vec![12, 16, 20])
}

pub async fn many_dispatches(gpu: &Gpu) -> Result<()> {
    let kernel = gpu.shader(ADD)?.kernel("add")?;
    let buffers: Vec<Buffer<u32>> = (0..100).map(|_| gpu.zeros(64)).collect::<Result<_, _>>()?;
    let mut batch = gpu.batch();
    for round in 0..20 {
        for buffer in buffers.iter().skip(round) {
            batch.run(&kernel, &[buffer], [1, 1, 1])?;
        }
    }
    batch.submit()?;
    for (place, buffer) in buffers.iter().enumerate() {
        let expected = place.min(19) as u32 + 1;
        same("times that it was run", buffer.read_range(..1).await?, vec![expected])?;
    }
    Ok(())
}

/// Several parts of one call wait at once for work.
pub async fn at_once(gpu: &Gpu) -> Result<()> {
    let kernel = gpu.shader(ADD)?.kernel("add")?;
    let works = (0..16_u32).map(async |number| {
        let buffer = gpu.upload(&[number; 64])?;
        for _ in 0..4 {
            gpu.run(&kernel, &[&buffer], [1, 1, 1])?;
            gpu.wait().await?;
        }
        same("work at once", buffer.read().await?, vec![number + 4; 64])
    });
    try_join_all(works).await.map(drop)
}

pub async fn waiting(gpu: &Gpu) -> Result<()> {
    let kernel = gpu.shader(ADD)?.kernel("add")?;
    let buffer: Buffer<u32> = gpu.zeros(64)?;
    let mut batch = gpu.batch();
    batch.run(&kernel, &[&buffer], [1, 1, 1])?;
    let first = batch.submit()?;
    let mut batch = gpu.batch();
    batch.run(&kernel, &[&buffer], [1, 1, 1])?;
    let second = batch.submit()?;
    first.wait().await?;
    holds("what was waited for is done", first.is_done())?;
    second.wait_blocking()?;
    holds("what was waited for without async is done", second.is_done())?;
    second.wait().await?;
    gpu.wait().await?;
    gpu.wait_blocking()?;
    same("after all", buffer.read_range(63..).await?, vec![2])
}
