//! Computes on a GPU with the SDK, and checks the results.

mod buffers;
mod kernels;
mod mistakes;

use std::fmt::Debug;

use chainlet::gpu::Gpu;
use chainlet::{Context as _, Result, chainlet};

struct Scenarios {
    gpu: Gpu,
}

#[chainlet]
impl Scenarios {
    async fn init() -> Result<Self> {
        Ok(Self { gpu: Gpu::open()? })
    }

    async fn run_remote(&self, scenario: String) -> Result<String> {
        let gpu = &self.gpu;
        if let Some(cores) = scenario.strip_prefix("long:") {
            kernels::long(gpu, cores.parse().context("no number of cores")?).await?;
            return Ok("ok".to_owned());
        }
        match scenario.as_str() {
            "info" => return Ok(info(gpu)),
            "find" => same("the GPU that is found", Gpu::find()?.map(|gpu| info(&gpu)), Some(info(gpu)))?,
            "saxpy" => kernels::saxpy(gpu).await?,
            "matmul" => kernels::matmul(gpu).await?,
            "constants" => kernels::constants(gpu).await?,
            "entry-points" => kernels::entry_points(gpu).await?,
            "without-bindings" => kernels::without_bindings(gpu).await?,
            "batch" => kernels::batch(gpu).await?,
            "many-dispatches" => kernels::many_dispatches(gpu).await?,
            "at-once" => kernels::at_once(gpu).await?,
            "waiting" => kernels::waiting(gpu).await?,
            "ranges" => buffers::ranges(gpu).await?,
            "small-elements" => buffers::small_elements(gpu).await?,
            "structs" => buffers::structs(gpu).await?,
            "empty" => buffers::empty(gpu).await?,
            "blocking" => buffers::blocking(gpu)?,
            "copies" => buffers::copies(gpu).await?,
            "clones" => buffers::clones(gpu).await?,
            "freed" => buffers::freed(gpu).await?,
            "large" => buffers::large(gpu).await?,
            "shader-mistakes" => mistakes::shaders(gpu)?,
            "binding-mistakes" => mistakes::bindings(gpu)?,
            "range-mistakes" => mistakes::ranges(gpu).await?,
            "quota" => mistakes::quota(gpu)?,
            "foreign" => mistakes::foreign(gpu)?,
            unknown => return Err(format!("there is no scenario `{unknown}`").into()),
        }
        Ok("ok".to_owned())
    }
}

fn info(gpu: &Gpu) -> String {
    let (info, limits) = (gpu.info(), gpu.limits());
    format!("{} by {}, {:?}, buffers of {}", info.name, info.backend, info.kind, limits.max_buffer_size)
}

/// Fails if two values differ.
fn same<T: PartialEq + Debug>(what: &str, found: T, expected: T) -> Result<()> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?}, and not {expected:?}").into()) }
}

/// Fails if a condition is false.
fn holds(what: &str, holds: bool) -> Result<()> {
    if holds { Ok(()) } else { Err(format!("it does not hold that {what}").into()) }
}

/// Fails if numbers differ by more than rounding explains.
fn close(what: &str, found: &[f32], expected: &[f32]) -> Result<()> {
    same(what, found.len(), expected.len())?;
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        if (found - expected).abs() > 1e-4 * expected.abs().max(1.0) {
            return Err(format!("{what}: {found} at {place}, and not {expected}").into());
        }
    }
    Ok(())
}

/// Returns numbers from -1 to 1 that look random, but are the same each time.
fn numbers(count: usize, mut seed: u32) -> Vec<f32> {
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}
