//! Compares the results of shaders with the same computation in Rust.

use chainlet::Result;

use crate::gpu::{BufferUsages, ComputePipelineDescriptor};
use crate::lab::{Lab, bytes, described, numbers, read};
use crate::steps::Steps;

/// Returns whole numbers that look random, and are so small that sums of their products are exact in `f32`.
fn values(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|place| ((place * 7 + seed * 13) % 23) as f32 - 11.0).collect()
}

fn floats(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

pub async fn saxpy() -> Result<String> {
    const COUNT: usize = 100_000;
    let mut steps = Steps::default();
    let lab = Lab::plain()?;
    let (x, y) = (values(COUNT, 1), values(COUNT, 2));
    let (xs, ys) = (lab.numbers(&floats(&x))?, lab.numbers(&floats(&y))?);
    let a = lab.buffer(16, BufferUsages::UNIFORM)?;
    a.write(0, &bytes(&[3.0_f32.to_bits(), 0, 0, 0]))?;
    let wgsl = "
        @group(0) @binding(0) var<storage, read> x: array<f32>;
        @group(0) @binding(1) var<storage, read_write> y: array<f32>;
        @group(0) @binding(2) var<uniform> a: f32;
        @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
            if id.x < arrayLength(&y) { y[id.x] += a * x[id.x]; }
        }";
    lab.run_shader(wgsl, &[&xs, &ys, &a], COUNT.div_ceil(64) as u32)?;
    let expected: Vec<_> = x.iter().zip(&y).map(|(x, y)| 3.0 * x + y).collect();
    let found = numbers(&ys.read(0, 4 * COUNT as u64).await?);
    steps.holds("as on the processor", found == floats(&expected));
    steps.end()
}

/// Sums in the memory of workgroups, level by level.
pub fn reduction() -> Result<String> {
    const COUNT: u32 = 256 * 200;
    let mut steps = Steps::default();
    let lab = Lab::plain()?;
    let all: Vec<u32> = (0..COUNT).map(|place| place.wrapping_mul(2_654_435_761)).collect();
    let (from, sums) = (lab.numbers(&all)?, lab.storage(4 * 200)?);
    let wgsl = "
        @group(0) @binding(0) var<storage, read> all: array<u32>;
        @group(0) @binding(1) var<storage, read_write> sums: array<u32>;
        var<workgroup> part: array<u32, 256>;
        @compute @workgroup_size(256) fn main(
            @builtin(global_invocation_id) id: vec3<u32>,
            @builtin(local_invocation_index) local: u32,
            @builtin(workgroup_id) group: vec3<u32>,
        ) {
            part[local] = all[id.x];
            workgroupBarrier();
            for (var half = 128u; half > 0u; half >>= 1u) {
                if local < half { part[local] += part[local + half]; }
                workgroupBarrier();
            }
            if local == 0u { sums[group.x] = part[0]; }
        }";
    lab.run_shader(wgsl, &[&from, &sums], 200)?;
    let expected: Vec<u32> = all.chunks(256).map(|part| part.iter().copied().fold(0, u32::wrapping_add)).collect();
    steps.equal("as on the processor", read(&sums, 200)?, expected);
    steps.end()
}

pub fn atomics() -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::plain()?;
    let wgsl = "
        struct Found { sum: atomic<u32>, least: atomic<u32>, most: atomic<u32>, mixed: atomic<u32>, seen: array<atomic<u32>, 32> }
        @group(0) @binding(0) var<storage, read_write> found: Found;
        @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
            let value = id.x * 2654435761u;
            atomicAdd(&found.sum, value);
            atomicMin(&found.least, value);
            atomicMax(&found.most, value);
            atomicXor(&found.mixed, value);
            atomicOr(&found.seen[id.x >> 10u], 1u << (id.x % 32u));
        }";
    let found = lab.numbers(&[[0, u32::MAX, 0, 0].as_slice(), &[0; 32]].concat())?;
    lab.run_shader(wgsl, &[&found], 512)?;
    let values = || (0..512 * 64_u32).map(|place| place.wrapping_mul(2_654_435_761));
    let expected = vec![
        values().fold(0, u32::wrapping_add),
        values().min().unwrap_or_default(),
        values().max().unwrap_or_default(),
        values().fold(0, |mixed, value| mixed ^ value),
    ];
    steps.equal("as on the processor", read(&found, 36)?, [expected, vec![u32::MAX; 32]].concat());
    steps.end()
}

pub fn matmul() -> Result<String> {
    const SIDE: usize = 64;
    let mut steps = Steps::default();
    let lab = Lab::plain()?;
    let (a, b) = (values(SIDE * SIDE, 3), values(SIDE * SIDE, 4));
    let wgsl = "
        override side: u32;
        @group(0) @binding(0) var<storage, read> a: array<f32>;
        @group(0) @binding(1) var<storage, read> b: array<f32>;
        @group(0) @binding(2) var<storage, read_write> c: array<f32>;
        var<workgroup> tile_a: array<array<f32, 8>, 8>;
        var<workgroup> tile_b: array<array<f32, 8>, 8>;
        @compute @workgroup_size(8, 8) fn main(
            @builtin(global_invocation_id) id: vec3<u32>, @builtin(local_invocation_id) at: vec3<u32>,
        ) {
            var sum = 0.0;
            for (var tile = 0u; tile < side; tile += 8u) {
                tile_a[at.y][at.x] = a[id.y * side + tile + at.x];
                tile_b[at.y][at.x] = b[(tile + at.y) * side + id.x];
                workgroupBarrier();
                for (var k = 0u; k < 8u; k++) { sum += tile_a[at.y][k] * tile_b[k][at.x]; }
                workgroupBarrier();
            }
            c[id.y * side + id.x] = sum;
        }";
    let module = lab.module(wgsl)?;
    let constants = vec![("side".to_owned(), SIDE as f64)];
    let pipeline =
        lab.device.create_compute_pipeline(&ComputePipelineDescriptor { constants, ..described(&module) })?;
    let (a_on_gpu, b_on_gpu) = (lab.numbers(&floats(&a))?, lab.numbers(&floats(&b))?);
    let c = lab.storage(4 * (SIDE * SIDE) as u64)?;
    let group = lab.group_of(&pipeline, &[&a_on_gpu, &b_on_gpu, &c])?;
    use crate::lab::{dispatch, set};
    let side = SIDE as u32 / 8;
    lab.submit(vec![crate::gpu::PassCommand::SetPipeline(&pipeline), set(0, &group), dispatch(side, side, 1)])?;
    let mut expected = Vec::new();
    for row in a.chunks(SIDE) {
        for column in 0..SIDE {
            expected.push(row.iter().zip(b.iter().skip(column).step_by(SIDE)).map(|(a, b)| a * b).sum::<f32>());
        }
    }
    steps.holds("as on the processor", read(&c, (SIDE * SIDE) as u64)? == floats(&expected));
    steps.end()
}

/// The memory of a workgroup is zero at first, whatever used it before.
pub fn workgroup_memory() -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::plain()?;
    let all = lab.numbers(&[0; 16])?;
    let shader = |body: &str| {
        format!(
            "@group(0) @binding(0) var<storage, read_write> all: array<atomic<u32>>;
             var<workgroup> held: array<u32, 4096>;
             @compute @workgroup_size(64) fn main(@builtin(local_invocation_index) local: u32) {{
                 for (var place = local; place < 4096u; place += 64u) {{ {body} }}
             }}"
        )
    };
    let dirty = lab.pipeline(&shader("held[place] = 0xdeadbeefu; atomicAdd(&all[1], held[4095u - place] & 1u);"))?;
    let look = lab.pipeline(&shader("if held[place] != 0u { atomicAdd(&all[0], 1u); }"))?;
    for _ in 0..10 {
        lab.run(&dirty, &[&all], 100)?;
        lab.run(&look, &[&all], 100)?;
    }
    steps.equal("nothing is left", read(&all, 1)?, vec![0]);
    steps.end()
}
