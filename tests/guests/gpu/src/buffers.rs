//! Buffers return the values that were written to them.

use chainlet::Result;
use chainlet::gpu::bytemuck::{Pod, Zeroable};
use chainlet::gpu::{Buffer, Gpu};

use crate::kernels::ADD;
use crate::{holds, numbers, same};

pub async fn ranges(gpu: &Gpu) -> Result<()> {
    let buffer = gpu.upload(&(0..100).collect::<Vec<u32>>())?;
    same("its length", (buffer.len(), buffer.is_empty()), (100, false))?;
    same("all", buffer.read().await?, (0..100).collect())?;
    same("a range", buffer.read_range(10..13).await?, vec![10, 11, 12])?;
    same("an end", buffer.read_range(98..).await?, vec![98, 99])?;
    same("a beginning", buffer.read_range(..=1).await?, vec![0, 1])?;
    same("nothing", buffer.read_range(50..50).await?, vec![])?;
    buffer.write(50, &[7, 8])?;
    buffer.write(99, &[9])?;
    buffer.write(100, &[])?;
    same("after writes", buffer.read_range(49..53).await?, vec![49, 7, 8, 52])?;
    same("after a write to the end", buffer.read_range(99..).await?, vec![9])
}

/// Elements that are smaller than the GPU's unit of writes.
pub async fn small_elements(gpu: &Gpu) -> Result<()> {
    let text = gpu.upload(b"seventeen letters")?;
    same("bytes", text.read().await?, b"seventeen letters".to_vec())?;
    same("some of them", text.read_range(5..9).await?, b"teen".to_vec())?;
    same("the last", text.read_range(16..).await?, b"s".to_vec())?;
    text.write(12, b"ruler")?;
    same("after a write", text.read().await?, b"seventeen leruler".to_vec())?;
    holds("a write in the middle of a word is refused", text.write(1, b"xxxx").is_err())?;
    holds("a write to the middle of a word is refused", text.write(4, b"x").is_err())?;

    let words: Buffer<u16> = gpu.zeros(3)?;
    words.write(2, &[3])?;
    words.write(0, &[1, 2])?;
    same("numbers of 16 bits", words.read().await?, vec![1, 2, 3])?;

    let copy: Buffer<u8> = gpu.zeros(17)?;
    let mut batch = gpu.batch();
    batch.copy(&text, &copy)?;
    batch.submit()?;
    same("a copy", copy.read().await?, text.read().await?)
}

#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[bytemuck(crate = "chainlet::gpu::bytemuck")]
#[repr(C)]
struct Particle {
    position: [f32; 4],
    velocity: [f32; 2],
    kind: u32,
    age: u32,
}

pub async fn structs(gpu: &Gpu) -> Result<()> {
    let kernel = gpu.kernel(
        "
        struct Particle { position: vec4<f32>, velocity: vec2<f32>, kind: u32, age: u32 }
        @group(0) @binding(0) var<storage, read_write> particles: array<Particle>;

        @compute @workgroup_size(64)
        fn step(@builtin(global_invocation_id) id: vec3<u32>) {
            if id.x < arrayLength(&particles) {
                let particle = &particles[id.x];
                (*particle).position += vec4((*particle).velocity, 0.0, 1.0);
                (*particle).age += (*particle).kind;
            }
        }
        ",
    )?;
    let particle = |number: u16| Particle {
        position: [f32::from(number); 4],
        velocity: [0.5, -0.5],
        kind: u32::from(number),
        age: 1,
    };
    let particles = gpu.upload(&(0..10).map(particle).collect::<Vec<_>>())?;
    gpu.run(&kernel, &[&particles], [1, 1, 1])?;
    let stepped = |number: u16| {
        let Particle { position: [x, y, z, w], velocity, kind, age } = particle(number);
        Particle { position: [x + 0.5, y - 0.5, z, w + 1.0], velocity, kind, age: age + kind }
    };
    same("particles", particles.read().await?, (0..10).map(stepped).collect())
}

pub async fn empty(gpu: &Gpu) -> Result<()> {
    let nothing: Buffer<u32> = gpu.upload(&[])?;
    same("its length", (nothing.len(), nothing.is_empty()), (0, true))?;
    same("its elements", nothing.read().await?, vec![])?;
    nothing.write(0, &[])?;
    holds("nothing fits in", nothing.write(0, &[1]).is_err())?;
    // An empty buffer can be bound like any other.
    gpu.run(&gpu.shader(ADD)?.kernel("add")?, &[&nothing], [1, 1, 1])?;
    same("its elements after a kernel", nothing.read().await?, vec![])
}

pub fn blocking(gpu: &Gpu) -> Result<()> {
    let buffer = gpu.upload(&[1_u32, 2, 3])?;
    gpu.run(&gpu.shader(ADD)?.kernel("add")?, &[&buffer], [1, 1, 1])?;
    same("all", buffer.read_blocking()?, vec![2, 3, 4])?;
    same("a range", buffer.read_range_blocking(1..2)?, vec![3])?;
    gpu.wait_blocking()?;
    Ok(())
}

pub async fn copies(gpu: &Gpu) -> Result<()> {
    let (from, to): (Buffer<f32>, Buffer<f32>) = (gpu.upload(&[1.0, 2.0, 3.0, 4.0])?, gpu.zeros(6)?);
    let mut batch = gpu.batch();
    batch.copy_range(&from, 1..3, &to, 0)?;
    batch.copy_range(&from, 3.., &to, 5)?;
    batch.copy_range(&from, 4.., &to, 6)?;
    holds("a copy of more than fits is refused", batch.copy_range(&from, .., &to, 3).is_err())?;
    holds("a copy between lengths is refused", batch.copy(&from, &to).is_err())?;
    batch.submit()?;
    same("copies", to.read().await?, vec![2.0, 3.0, 0.0, 0.0, 0.0, 4.0])
}

pub async fn clones(gpu: &Gpu) -> Result<()> {
    let buffer = gpu.upload(&[1_u32])?;
    let clone = buffer.clone();
    buffer.write(0, &[2])?;
    same("a clone", clone.read().await?, vec![2])?;
    drop(buffer);
    same("the last clone", clone.read().await?, vec![2])
}

/// Dropping a buffer frees its memory: this is far more than the quota of the
/// tests.
pub async fn freed(gpu: &Gpu) -> Result<()> {
    let kernel = gpu.shader(ADD)?.kernel("add")?;
    for round in 0..40_u32 {
        let buffer: Buffer<u32> = gpu.zeros(2 << 20)?;
        buffer.write(0, &[round])?;
        // Buffers that were bound are freed as well.
        gpu.run(&kernel, &[&buffer], [1, 1, 1])?;
        same("what was written", buffer.read_range(..1).await?, vec![round + 1])?;
    }
    Ok(())
}

pub async fn large(gpu: &Gpu) -> Result<()> {
    let numbers = numbers(4 << 20, 1);
    let buffer = gpu.upload(&numbers)?;
    holds("all of much is the same", buffer.read().await? == numbers)
}
