//! The GPU of a chainlet as a backend of wgpu.
//!
//! [`shared`] has the common part of everything made from one device. Each kind of object has a file of its own. If
//! making an object fails, there is an empty object, as WebGPU requires, and using it is an error.
//!
//! Outside wasm, and with its feature `fragile-send-sync-non-atomic-wasm`, wgpu requires `Send` and `Sync`. So shared
//! state is in `Arc`s and mutexes, though a chainlet has one thread. In a chainlet, they cost nothing.
#![allow(clippy::arc_with_non_send_sync, reason = "without that feature, callbacks are not `Send`, and need not be")]

mod absent;
mod adapter;
mod bind;
mod buffer;
mod capabilities;
mod commands;
mod device;
mod encoder;
mod errors;
mod instance;
mod mapping;
mod object;
mod pass;
mod pending;
mod pipeline;
mod queue;
mod render;
mod shader;
mod shared;

/// Returns the GPU of this chainlet for code that computes with [wgpu](https://docs.rs/wgpu).
///
/// ```
/// # async fn example() -> chainlet::Result<()> {
/// let instance = chainlet::gpu::wgpu_instance();
/// let adapter = instance.request_adapter(&wgpu::RequestAdapterOptions::default()).await?;
/// let (device, queue) = adapter.request_device(&wgpu::DeviceDescriptor::default()).await?;
/// # Ok(()) }
/// ```
///
/// It supports all compute functions of wgpu: buffers and their mapping, shaders in WGSL, bind groups, compute
/// pipelines, command encoders, timestamps, error scopes. A chainlet needs only a few of wgpu's features; its other
/// default features do no harm:
///
/// ```toml
/// chainlet = { version = "0.1", features = ["wgpu"] }
/// wgpu = { version = "30", default-features = false, features = ["std", "wgsl"] }
/// ```
///
/// # Waiting
///
/// Callbacks of `map_async` and `on_submitted_work_done` run when a device is polled, as wgpu describes. They also run
/// without a poll: in an async function, await the future that the callback completes. `poll` with `PollType::Wait`
/// holds up all other calls of the instance, so prefer to await.
///
/// # Errors
///
/// Errors come as in wgpu: to the innermost error scope of their kind, else to the handler of uncaptured errors, else
/// as a panic. A request beyond the quota of chain.toml is an out-of-memory error. Mistakes in commands are reported
/// when the commands are submitted, not when their encoder is finished.
///
/// # What is missing
///
/// Textures, samplers, rendering, surfaces, ray tracing, and shaders in other languages than WGSL are missing. Using
/// them is a validation error, which says so. Limits for them have the values that WebGPU guarantees, and mean nothing.
///
/// Outside a host, there are no adapters.
pub fn wgpu_instance() -> wgpu::Instance {
    wgpu::Instance::from_custom(instance::Instance::default())
}
