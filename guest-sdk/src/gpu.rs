//! Compute on a GPU: kernels in WGSL, and buffers of plain Rust values.
//!
//! A chainlet has a GPU where chain.toml says so:
//!
//! ```toml
//! [chainlets.saxpy.resources]
//! gpu = true
//! ```
//!
//! [`Gpu::open`] is the GPU, a [`Kernel`] is a compiled shader, and a
//! [`Buffer`] is memory on the GPU. All three are usually made in `init`, where
//! they cost nothing later:
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
//! The GPU does one thing after the other, in the order in which they were
//! asked for: a kernel sees what was uploaded and computed before it, and
//! [`Buffer::read`] waits for what it reads. So there is seldom a reason to
//! [wait](Gpu::wait). While a call awaits a read, others go on.
//!
//! # What it costs
//!
//! Handing work to the GPU costs far more than describing it, so where a call
//! has several kernels to run, put them in one [`Batch`]:
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
//! Buffers that every call needs are worth keeping, too: the GPU's memory is
//! slow to get, and is zeroed first. What an instance may hold, how much may be
//! under way and how long it may take is limited by chain.toml.
//!
//! # Elements
//!
//! A buffer is of any type that is nothing but its bytes, [`bytemuck::Pod`]:
//! numbers, arrays, and structs that say so.
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
//! Its layout must be that of the WGSL type, which
//! [has rules of its own](https://www.w3.org/TR/WGSL/#memory-layouts): a
//! `vec3<f32>` stands at multiples of 16 bytes, for one.
//!
//! # Beyond it
//!
//! With the feature `wgpu`, `wgpu_instance` gives code that computes with
//! [wgpu](https://docs.rs/wgpu) the GPU of a chainlet. What neither offers can
//! be done with the host's own interface, `chainlet:host/gpu`, which a world may
//! import.
//!
//! # Outside a host
//!
//! In a unit test on the developer's machine there is no GPU: [`Gpu::find`]
//! finds none.

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
/// Clones are the same GPU. What is made from it keeps it alive.
#[derive(Debug, Clone)]
pub struct Gpu(Rc<Inner>);

/// What everything made from a GPU holds on to.
#[derive(Debug)]
struct Inner {
    info: AdapterInfo,
    features: Features,
    limits: Limits,
    device: host::Device,
}

impl Gpu {
    /// The GPU that chain.toml gives this chainlet.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if there is none.
    pub fn open() -> Result<Gpu, Error> {
        Gpu::find()?.ok_or_else(|| {
            let message = "there is no GPU here; a chain gives one to a chainlet with `gpu` in its `resources`";
            Error::new(ErrorKind::Unsupported, message)
        })
    }

    /// The GPU that chain.toml gives this chainlet, or none where it is
    /// optional and the machine has none that fits.
    ///
    /// # Errors
    /// If the GPU cannot be used.
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

    /// What the GPU is called, and more about it.
    pub fn info(&self) -> &AdapterInfo {
        &self.0.info
    }

    /// What it can do that not every GPU can.
    pub fn features(&self) -> Features {
        self.0.features
    }

    /// How much of what it can do.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Checks the text of a shader, from which several kernels can be made.
    ///
    /// # Errors
    /// If it is not WGSL; the message shows the place.
    pub fn shader(&self, wgsl: &str) -> Result<Shader, Error> {
        Shader::new(self, wgsl)
    }

    /// Compiles the only entry point of a shader.
    ///
    /// # Errors
    /// If it is not WGSL, or has not exactly one function with `@compute`, or
    /// needs more than this GPU has.
    pub fn kernel(&self, wgsl: &str) -> Result<Kernel, Error> {
        self.kernel_with(wgsl, &KernelOptions::default())
    }

    /// Compiles an entry point of a shader, with values for its `override`s.
    ///
    /// # Errors
    /// If it is not WGSL, does not have what `options` names, or needs more than
    /// this GPU has.
    pub fn kernel_with(&self, wgsl: &str, options: &KernelOptions<'_>) -> Result<Kernel, Error> {
        self.shader(wgsl)?.kernel_with(options)
    }

    /// A buffer of `elements`, for `var<storage>`.
    ///
    /// # Errors
    /// [`ErrorKind::Quota`] or [`ErrorKind::OutOfMemory`] if there is no room.
    pub fn upload<T: Element>(&self, elements: &[T]) -> Result<Buffer<T>, Error> {
        let buffer = self.zeros(elements.len())?;
        buffer.write(0, elements)?;
        Ok(buffer)
    }

    /// A buffer of `len` elements whose bytes are all 0, for `var<storage>`.
    ///
    /// # Errors
    /// [`ErrorKind::Quota`] or [`ErrorKind::OutOfMemory`] if there is no room.
    pub fn zeros<T: Element>(&self, len: usize) -> Result<Buffer<T>, Error> {
        Buffer::new(self, len, host::BufferUsages::STORAGE)
    }

    /// A buffer of one value, for `var<uniform>`.
    ///
    /// # Errors
    /// [`ErrorKind::Quota`] or [`ErrorKind::OutOfMemory`] if there is no room.
    pub fn uniform<T: Element>(&self, value: &T) -> Result<Buffer<T>, Error> {
        let buffer = Buffer::new(self, 1, host::BufferUsages::UNIFORM)?;
        buffer.write(0, std::slice::from_ref(value))?;
        Ok(buffer)
    }

    /// Runs a kernel once, in `workgroups` in each dimension, and does not wait
    /// for it. `bindings` are those of group 0, from 0 on.
    ///
    /// # Errors
    /// If the bindings do not fit the kernel, or the workgroups the GPU.
    pub fn run(&self, kernel: &Kernel, bindings: &[&dyn Binding], workgroups: [u32; 3]) -> Result<(), Error> {
        let mut batch = self.batch();
        batch.run(kernel, bindings, workgroups)?;
        batch.submit().map(drop)
    }

    /// Work that is to be submitted at once.
    pub fn batch(&self) -> Batch {
        Batch::new(self)
    }

    /// Returns when the GPU is done with all that was submitted.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] if it took longer than it may.
    pub async fn wait(&self) -> Result<(), Error> {
        Ok(self.device().wait(None).await?)
    }

    /// As [`wait`](Gpu::wait), for code that is not async. No other call of this
    /// instance goes on meanwhile.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] if it took longer than it may.
    pub fn wait_blocking(&self) -> Result<(), Error> {
        Ok(self.device().wait_blocking(None)?)
    }

    fn device(&self) -> &host::Device {
        &self.0.device
    }
}

/// The adapters that chain.toml gives this chainlet, the best first.
fn adapters() -> Vec<host::Adapter> {
    // Outside a host, there is nothing behind the bindings.
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
