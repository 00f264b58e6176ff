//! Compute on a GPU: kernels in WGSL, and buffers of plain Rust values.
//!
//! A chainlet has a GPU if chain.toml gives it one:
//!
//! ```toml
//! [chainlets.saxpy.resources]
//! gpu = true
//! ```
//!
//! [`Gpu::open`] returns the GPU, a [`Kernel`] is a compiled shader, and a [`Buffer`] is memory on the GPU. Make all
//! three in `init` if you can, so that calls do not pay for it:
//!
//! ```
//! # mod saxpy {
//! use chainlet::gpu::{Buffer, Gpu, Kernel};
//!
//! /// `out[i] = scale * x[i] + y[i]`
//! const SAXPY: &str = "
//!     @group(0) @binding(0) var<uniform> scale: f32;
//!     @group(0) @binding(1) var<storage, read> x: array<f32>;
//!     @group(0) @binding(2) var<storage, read> y: array<f32>;
//!     @group(0) @binding(3) var<storage, read_write> out: array<f32>;
//!
//!     @compute @workgroup_size(64)
//!     fn saxpy(@builtin(global_invocation_id) id: vec3<u32>) {
//!         if id.x < arrayLength(&out) {
//!             out[id.x] = scale * x[id.x] + y[id.x];
//!         }
//!     }
//! ";
//!
//! struct Saxpy {
//!     gpu: Gpu,
//!     kernel: Kernel,
//! }
//!
//! #[chainlet::chainlet(inline = "
//!     package example:saxpy;
//!
//!     world saxpy {
//!         export run-remote: async func(scale: f32, x: list<f32>, y: list<f32>) -> result<list<f32>, string>;
//!     }
//! ")]
//! impl Saxpy {
//!     async fn init() -> chainlet::Result<Self> {
//!         let gpu = Gpu::open()?;
//!         let kernel = gpu.kernel(SAXPY)?;
//!         Ok(Saxpy { gpu, kernel })
//!     }
//!
//!     async fn run_remote(&self, scale: f32, x: Vec<f32>, y: Vec<f32>) -> chainlet::Result<Vec<f32>> {
//!         if x.len() != y.len() {
//!             return Err("x and y differ in length".into());
//!         }
//!         let scale = self.gpu.uniform(&scale)?;
//!         let out: Buffer<f32> = self.gpu.zeros(x.len())?;
//!         let (x, y) = (self.gpu.upload(&x)?, self.gpu.upload(&y)?);
//!
//!         let workgroups = u32::try_from(out.len().div_ceil(64))?;
//!         self.gpu.run(&self.kernel, &[&scale, &x, &y, &out], [workgroups, 1, 1])?;
//!         Ok(out.read().await?)
//!     }
//! }
//! # }
//! ```
//!
//! # Order
//!
//! The GPU does one thing after the other, in the order of the requests: a kernel sees everything that was uploaded and
//! computed before it, and [`Buffer::read`] waits for the data that it reads. So you seldom need to [wait](Gpu::wait).
//! While one call awaits a read, other calls continue.
//!
//! # Costs
//!
//! Handing work to the GPU costs far more than describing it. If a call runs several kernels, put them in one
//! [`Batch`]:
//!
//! ```
//! # use chainlet::gpu::{Buffer, Gpu, Kernel, Error};
//! # fn example(gpu: &Gpu, up: &Kernel, relu: &Kernel, down: &Kernel, w: &[Buffer<f32>; 2], x: &[Buffer<f32>; 3]) -> Result<(), Error> {
//! let mut batch = gpu.batch();
//! batch.run(up, &[&w[0], &x[0], &x[1]], [64, 64, 1])?;
//! batch.run(relu, &[&x[1]], [256, 1, 1])?;
//! batch.run(down, &[&w[1], &x[1], &x[2]], [64, 64, 1])?;
//! batch.submit()?;
//! # Ok(()) }
//! ```
//!
//! Keep buffers that every call needs: the GPU's memory is slow to get, and the GPU zeroes it first. chain.toml limits
//! how much memory an instance may hold, how much work may be under way, and how long it may take.
//!
//! # Elements
//!
//! The elements of a buffer have any type that consists only of its bytes, [`bytemuck::Pod`]: numbers, arrays, and
//! structs that implement it.
//!
//! ```
//! use chainlet::gpu::bytemuck::{Pod, Zeroable};
//!
//! #[derive(Clone, Copy, Pod, Zeroable)]
//! #[bytemuck(crate = "chainlet::gpu::bytemuck")]
//! #[repr(C)]
//! struct Shape {
//!     rows: u32,
//!     inner: u32,
//!     columns: u32,
//! }
//! ```
//!
//! The layout of the Rust type must be the layout of the WGSL type, which [has rules of its
//! own](https://www.w3.org/TR/WGSL/#memory-layouts): for example, a `vec3<f32>` begins at a multiple of 16 bytes.
//!
//! # Other ways to the GPU
//!
//! With the feature `wgpu`, `wgpu_instance` gives the GPU to code that uses [wgpu](https://docs.rs/wgpu). For
//! everything else, a world may import the host's own interface, `chainlet:host/gpu`.
//!
//! # Outside a host
//!
//! In a unit test on the developer's machine there is no GPU: [`Gpu::find`] returns `None`.

mod batch;
mod buffer;
mod error;
mod kernel;
#[cfg(feature = "wgpu")]
mod wgpu;

use std::rc::Rc;

pub use batch::{Batch, Submission};
pub use buffer::{Binding, Buffer, Element};
pub use bytemuck;
pub use error::{Error, ErrorKind};
pub use kernel::{Kernel, KernelOptions, Shader};
#[cfg(feature = "wgpu")]
pub use wgpu::wgpu_instance;

pub use crate::host::chainlet::host::gpu::{AdapterInfo, AdapterKind, Features, Limits};

use crate::host::chainlet::host::gpu as host;

/// A GPU that this chainlet may use, with all its features and limits.
///
/// Clones are the same GPU. Everything made from it keeps it alive.
#[derive(Debug, Clone)]
pub struct Gpu(Rc<Inner>);

/// The shared part of a GPU and of everything made from it.
#[derive(Debug)]
struct Inner {
    info: AdapterInfo,
    features: Features,
    limits: Limits,
    device: host::Device,
}

impl Gpu {
    /// Returns the GPU that chain.toml gives this chainlet.
    ///
    /// # Errors
    /// Fails with [`ErrorKind::Unsupported`] if there is none.
    pub fn open() -> Result<Gpu, Error> {
        Gpu::find()?.ok_or_else(|| {
            let message = "there is no GPU here; a chain gives one to a chainlet with `gpu` in its `resources`";
            Error::new(ErrorKind::Unsupported, message)
        })
    }

    /// Returns the GPU that chain.toml gives this chainlet. Returns `None` if the GPU is optional and the machine has
    /// none that fits.
    ///
    /// # Errors
    /// Fails if the GPU cannot be used.
    pub fn find() -> Result<Option<Gpu>, Error> {
        adapters().first().map(Gpu::of).transpose()
    }

    fn of(adapter: &host::Adapter) -> Result<Gpu, Error> {
        let (features, limits) = (adapter.features(), adapter.limits());
        let device = adapter.request_device(&host::DeviceDescriptor {
            label: None,
            required_features: features,
            required_limits: Some(limits),
        })?;
        Ok(Gpu(Rc::new(Inner { info: adapter.info(), features, limits, device })))
    }

    /// Returns the name of the GPU and more about it.
    pub fn info(&self) -> &AdapterInfo {
        &self.0.info
    }

    /// Returns the optional features that it has.
    pub fn features(&self) -> Features {
        self.0.features
    }

    /// Returns its limits.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Checks the text of a shader, from which several kernels can be made.
    ///
    /// # Errors
    /// Fails if the text is not WGSL. The message shows the place.
    pub fn shader(&self, wgsl: &str) -> Result<Shader, Error> {
        Shader::new(self, wgsl)
    }

    /// Compiles the only entry point of a shader.
    ///
    /// # Errors
    /// Fails if the text is not WGSL, if it has not exactly one function with `@compute`, or if it needs more than this
    /// GPU has.
    pub fn kernel(&self, wgsl: &str) -> Result<Kernel, Error> {
        self.kernel_with(wgsl, &KernelOptions::default())
    }

    /// Compiles an entry point of a shader, with values for its `override`s.
    ///
    /// # Errors
    /// Fails if the text is not WGSL, if it lacks something that `options` names, or if it needs more than this GPU
    /// has.
    pub fn kernel_with(&self, wgsl: &str, options: &KernelOptions<'_>) -> Result<Kernel, Error> {
        self.shader(wgsl)?.kernel_with(options)
    }

    /// Makes a buffer of `elements`, for `var<storage>`.
    ///
    /// # Errors
    /// Fails with [`ErrorKind::Quota`] or [`ErrorKind::OutOfMemory`] if there is no room.
    pub fn upload<T: Element>(&self, elements: &[T]) -> Result<Buffer<T>, Error> {
        let buffer = self.zeros(elements.len())?;
        buffer.write(0, elements)?;
        Ok(buffer)
    }

    /// Makes a buffer of `len` elements whose bytes are all 0, for `var<storage>`.
    ///
    /// # Errors
    /// Fails with [`ErrorKind::Quota`] or [`ErrorKind::OutOfMemory`] if there is no room.
    pub fn zeros<T: Element>(&self, len: usize) -> Result<Buffer<T>, Error> {
        Buffer::new(self, len, host::BufferUsages::STORAGE)
    }

    /// Makes a buffer of one value, for `var<uniform>`.
    ///
    /// # Errors
    /// Fails with [`ErrorKind::Quota`] or [`ErrorKind::OutOfMemory`] if there is no room.
    pub fn uniform<T: Element>(&self, value: &T) -> Result<Buffer<T>, Error> {
        let buffer = Buffer::new(self, 1, host::BufferUsages::UNIFORM)?;
        buffer.write(0, std::slice::from_ref(value))?;
        Ok(buffer)
    }

    /// Runs a kernel once, with `workgroups` in each dimension, and does not wait for it. `bindings` are the bindings
    /// of group 0, counted from 0.
    ///
    /// # Errors
    /// Fails if the bindings do not fit the kernel, or if the workgroups exceed the GPU's limits.
    pub fn run(&self, kernel: &Kernel, bindings: &[&dyn Binding], workgroups: [u32; 3]) -> Result<(), Error> {
        let mut batch = self.batch();
        batch.run(kernel, bindings, workgroups)?;
        batch.submit().map(drop)
    }

    /// Makes an empty batch of work, which is submitted all at once.
    pub fn batch(&self) -> Batch {
        Batch::new(self)
    }

    /// Waits until the GPU has done everything that was submitted.
    ///
    /// # Errors
    /// Fails with [`ErrorKind::Timeout`] if it took longer than it may.
    pub async fn wait(&self) -> Result<(), Error> {
        Ok(self.device().wait(None).await?)
    }

    /// Waits like [`wait`](Gpu::wait), for code that is not async. All other calls of this instance are held up
    /// meanwhile.
    ///
    /// # Errors
    /// Fails with [`ErrorKind::Timeout`] if it took longer than it may.
    pub fn wait_blocking(&self) -> Result<(), Error> {
        Ok(self.device().wait_blocking(None)?)
    }

    fn device(&self) -> &host::Device {
        &self.0.device
    }
}

/// The adapters that chain.toml gives this chainlet, the best first.
fn adapters() -> Vec<host::Adapter> {
    // Outside a host, the functions of the bindings cannot be called.
    if cfg!(target_arch = "wasm32") { host::adapters() } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_a_host_there_is_no_gpu() {
        assert!(Gpu::find().unwrap().is_none());
        let error = Gpu::open().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().starts_with("there is no GPU here"), "{error}");
    }
}
