//! The GPU of a chainlet as a backend of wgpu.
//!
//! What everything made from one device has in common is in [`shared`]; each
//! kind of object has a file of its own. Objects whose making failed are there,
//! too, as WebGPU wants it: empty ones, whose use is an error.
//!
//! wgpu asks for `Send` and `Sync` where its feature
//! `fragile-send-sync-non-atomic-wasm` is on, and outside wasm. So what is
//! shared is in `Arc`s and mutexes, though a chainlet has one thread; there, they
//! cost nothing.
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

/// The GPU of this chainlet, for code that computes with
/// [wgpu](https://docs.rs/wgpu).
///
/// ```
/// # async fn example() -> chainlet::Result<()> {
/// let instance = chainlet::gpu::wgpu_instance();
/// let adapter = instance.request_adapter(&wgpu::RequestAdapterOptions::default()).await?;
/// let (device, queue) = adapter.request_device(&wgpu::DeviceDescriptor::default()).await?;
/// # Ok(()) }
/// ```
///
/// It has all of wgpu that computes: buffers and their mapping, shaders in WGSL,
/// bind groups, compute pipelines, command encoders, timestamps, error scopes.
/// Few of wgpu's features are needed; the others that it has by default do no
/// harm:
///
/// ```toml
/// chainlet = { version = "0.1", features = ["wgpu"] }
/// wgpu = { version = "30", default-features = false, features = ["std", "wgsl"] }
/// ```
///
/// # Waiting
///
/// Callbacks of `map_async` and `on_submitted_work_done` run when a device is
/// polled, as wgpu describes, and also without: in an async function, await
/// whatever the callback completes. `poll` with `PollType::Wait` holds up every
/// other call of the instance, so awaiting is better where there is a choice.
///
/// # Errors
///
/// They come as wgpu's do: to the innermost error scope of their kind, else to
/// the handler of uncaptured errors, else as a panic. What the quota of
/// chain.toml does not allow is out of memory. What is wrong with commands is
/// found when they are submitted, not when their encoder is finished.
///
/// # What there is not
///
/// Textures, samplers, rendering, surfaces, ray tracing, and shaders in other
/// languages than WGSL. Asking for them is a validation error, which says so.
/// Limits that are about them are those that WebGPU guarantees, and mean
/// nothing.
///
/// Outside a host, there are no adapters.
pub fn wgpu_instance() -> wgpu::Instance {
    wgpu::Instance::from_custom(instance::Instance::default())
}
