//! The GPU of this chainlet, as burn's device.

use burn::tensor::Device;
use burn::tensor::wgpu::{WgpuSetup, wgpu};
use chainlet::{Context as _, Result};

/// Opens the GPU with all its features and limits. burn uses those that it
/// needs.
pub async fn open() -> Result<Device> {
    let instance = chainlet::gpu::wgpu_instance();
    let adapter = instance.request_adapter(&wgpu::RequestAdapterOptions::default()).await?;
    let (device, queue) = adapter
        .request_device(&wgpu::DeviceDescriptor {
            required_features: adapter.features(),
            required_limits: adapter.limits(),
            ..Default::default()
        })
        .await?;
    let info = adapter.get_info();
    println!("computing on {}", info.name);
    let setup = WgpuSetup { instance, adapter, device, queue, backend: info.backend };
    Device::wgpu_options().setup(setup).init().context("burn cannot use the GPU")
}
