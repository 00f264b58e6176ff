//! Mistakes of authors, and their errors.

use chainlet::Result;
use chainlet::gpu::{Buffer, Error, ErrorKind, Gpu, KernelOptions};

use crate::kernels::ADD;
use crate::{holds, same};

/// Fails unless `result` is an error of this kind with `part` in its message.
fn fails<T>(what: &str, result: Result<T, Error>, kind: ErrorKind, part: &str) -> Result<()> {
    match result {
        Ok(_) => Err(format!("{what}: it succeeded").into()),
        Err(error) => {
            same(what, error.kind(), kind)?;
            holds(&format!("`{}` has `{part}` in it", error.message()), error.message().contains(part))
        }
    }
}

pub fn shaders(gpu: &Gpu) -> Result<()> {
    let invalid = ErrorKind::Invalid;
    fails("an unknown name", gpu.kernel("fn broken() {\n    let x = nothing;\n}"), invalid, "nothing")?;
    fails("no text", gpu.kernel(""), invalid, "")?;
    fails("two entry points", gpu.kernel(ADD), invalid, "")?;
    let named = |entry_point| KernelOptions { entry_point: Some(entry_point), ..KernelOptions::default() };
    fails("an unknown entry point", gpu.kernel_with(ADD, &named("subtract")), invalid, "")?;
    let constants = KernelOptions { constants: &[("quantity", 1.0)], ..named("add") };
    fails("an unknown constant", gpu.kernel_with(ADD, &constants), invalid, "quantity")?;
    let texture = "
        @group(0) @binding(0) var image: texture_2d<f32>;
        @group(0) @binding(1) var<storage, read_write> out: array<f32>;
        @compute @workgroup_size(1) fn read() { out[0] = textureLoad(image, vec2(0), 0).x; }
    ";
    // If the shader compiles, there is nothing to bind to its texture.
    let out: Buffer<f32> = gpu.zeros(1)?;
    let run = gpu.kernel(texture).and_then(|kernel| gpu.run(&kernel, &[&out, &out], [1, 1, 1]));
    holds("a texture is refused", run.is_err())
}

pub fn bindings(gpu: &Gpu) -> Result<()> {
    let kernel = gpu.shader(ADD)?.kernel("add")?;
    let (numbers, uniform): (Buffer<u32>, _) = (gpu.zeros(64)?, gpu.uniform(&1_u32)?);
    let invalid = ErrorKind::Invalid;
    fails("too few", gpu.run(&kernel, &[], [1, 1, 1]), invalid, "")?;
    fails("too many", gpu.run(&kernel, &[&numbers, &numbers], [1, 1, 1]), invalid, "")?;
    fails("a uniform as storage", gpu.run(&kernel, &[&uniform], [1, 1, 1]), invalid, "")?;
    let most = gpu.limits().max_compute_workgroups_per_dimension;
    fails("too many workgroups", gpu.run(&kernel, &[&numbers], [most + 1, 1, 1]), invalid, "")?;
    // Nothing of the batch was done, and work continues.
    gpu.run(&kernel, &[&numbers], [1, 1, 1])?;
    same("after mistakes", numbers.read_range_blocking(..2)?, vec![1, 1])
}

pub async fn ranges(gpu: &Gpu) -> Result<()> {
    let buffer = gpu.upload(&[1_u32, 2, 3])?;
    let invalid = ErrorKind::Invalid;
    fails("a write beyond the end", buffer.write(2, &[1, 2]), invalid, "2")?;
    fails("a write far beyond the end", buffer.write(usize::MAX, &[1]), invalid, "")?;
    fails("a read beyond the end", buffer.read_range(1..4).await, invalid, "4")?;
    let (from, to) = (2, 1);
    fails("a read backwards", buffer.read_range(from..to).await, invalid, "")?;
    holds("more than there can be is refused", gpu.zeros::<[u64; 1 << 20]>(usize::MAX).is_err())?;
    same("after mistakes", buffer.read().await?, vec![1, 2, 3])
}

/// The tests give this chainlet 64 MiB.
pub fn quota(gpu: &Gpu) -> Result<()> {
    let held: Buffer<u8> = gpu.zeros(40 << 20)?;
    fails("more than is left", gpu.zeros::<u8>(40 << 20), ErrorKind::Quota, "")?;
    drop(held);
    gpu.zeros::<u8>(40 << 20).map(drop)?;
    Ok(())
}

/// Objects of one device cannot be used with another.
pub fn foreign(gpu: &Gpu) -> Result<()> {
    let other = Gpu::open()?;
    let kernel = gpu.shader(ADD)?.kernel("add")?;
    let buffer: Buffer<u32> = other.zeros(64)?;
    fails("a foreign buffer", gpu.run(&kernel, &[&buffer], [1, 1, 1]), ErrorKind::Invalid, "")?;
    fails("a foreign kernel", other.run(&kernel, &[&buffer], [1, 1, 1]), ErrorKind::Invalid, "")
}
