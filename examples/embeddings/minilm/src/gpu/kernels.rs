//! The kernels, compiled for the sizes of one model.

use chainlet::gpu::{Error, Gpu, Kernel, KernelOptions};

use crate::Shape;

/// The kernels of all steps.
pub struct Kernels {
    pub embed: Kernel,
    pub norm: Kernel,
    /// Turns rows into queries, keys and values.
    pub ask: Kernel,
    pub attend: Kernel,
    /// Adds the output of attention to the rows.
    pub take: Kernel,
    pub widen: Kernel,
    pub narrow: Kernel,
    pub mean: Kernel,
}

impl Kernels {
    pub fn new(gpu: &Gpu, shape: &Shape) -> Result<Self, Error> {
        let (width, inner) = (shape.width as f64, shape.inner as f64);
        let of_width = [("WIDTH", width)];
        let norm = [("WIDTH", width), ("EPSILON", f64::from(shape.epsilon))];
        let linear = gpu.shader(include_str!("linear.wgsl"))?;
        let linear = |label, inputs, outputs, flags: &[(&'static str, f64)]| {
            let constants = [&[("INPUTS", inputs), ("OUTPUTS", outputs)], flags].concat();
            linear.kernel_with(&KernelOptions { label: Some(label), constants: &constants, ..Default::default() })
        };
        let adds = [("ADDS", 1.0)];
        Ok(Kernels {
            embed: kernel(gpu, "embed", include_str!("embed.wgsl"), &of_width)?,
            norm: kernel(gpu, "norm", include_str!("norm.wgsl"), &norm)?,
            ask: linear("ask", width, 3.0 * width, &[])?,
            attend: kernel(gpu, "attend", include_str!("attend.wgsl"), &of_width)?,
            take: linear("take", width, width, &adds)?,
            widen: linear("widen", width, inner, &[("BENDS", 1.0)])?,
            narrow: linear("narrow", inner, width, &adds)?,
            mean: kernel(gpu, "mean", include_str!("mean.wgsl"), &of_width)?,
        })
    }
}

fn kernel(gpu: &Gpu, label: &str, wgsl: &str, constants: &[(&str, f64)]) -> Result<Kernel, Error> {
    gpu.kernel_with(wgsl, &KernelOptions { label: Some(label), constants, ..Default::default() })
}
