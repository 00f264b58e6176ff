//! `matmul`: multiplies matrices on a GPU.

mod shape;

use chainlet::gpu::{self, Buffer, Gpu, Kernel};
use chainlet::{Context as _, Result, chainlet};
use shape::Shape;

/// The side of the square tile that a workgroup computes. The shader has the
/// same number.
const SIDE: u32 = 16;

struct Matmul {
    gpu: Gpu,
    kernel: Kernel,
}

#[chainlet]
impl Matmul {
    /// Compiles the kernel once, for all calls.
    async fn init() -> Result<Self> {
        let gpu = Gpu::open()?;
        let kernel = gpu.kernel(include_str!("matmul.wgsl")).context("cannot compile the kernel")?;
        println!("multiplying on {}", gpu.info().name);
        Ok(Self { gpu, kernel })
    }

    async fn run_remote(&self, a: Matrix, b: Matrix) -> Result<Matrix, MatmulError> {
        let shape = Shape::of(&a, &b)?;
        let (rows, columns) = (shape.rows, shape.columns);
        let product: Buffer<f32> = self.gpu.zeros(rows as usize * columns as usize)?;
        if !product.is_empty() {
            let shape = self.gpu.uniform(&shape)?;
            let (a, b) = (self.gpu.upload(&a.values)?, self.gpu.upload(&b.values)?);
            let workgroups = [columns.div_ceil(SIDE), rows.div_ceil(SIDE), 1];
            self.gpu.run(&self.kernel, &[&shape, &a, &b, &product], workgroups)?;
        }
        // Other calls continue while the GPU computes.
        Ok(Matrix { rows, columns, values: product.read().await? })
    }
}

impl From<gpu::Error> for MatmulError {
    fn from(error: gpu::Error) -> Self {
        MatmulError::Gpu(error.to_string())
    }
}
