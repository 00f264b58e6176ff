//! Adapters and devices.

use std::sync::{Arc, Mutex};

use chainlet::Result;
use wgpu::{
    Backends, BufferUsages, DeviceDescriptor, DeviceLostReason, Features, Limits, MapMode, PollType, PowerPreference,
    RequestAdapterOptions,
};

use crate::gpu::{DOUBLE, Gpu, STORAGE, adapter, map};
use crate::{holds, same};

pub async fn adapters() -> Result<String> {
    let instance = chainlet::gpu::wgpu_instance();
    let all = instance.enumerate_adapters(Backends::all()).await;
    let info = adapter().await?.get_info();
    holds("the adapter is one of all", all.iter().any(|one| one.get_info() == info))?;
    for power_preference in [PowerPreference::LowPower, PowerPreference::HighPerformance] {
        instance.request_adapter(&RequestAdapterOptions { power_preference, ..Default::default() }).await?;
    }
    let fallback = RequestAdapterOptions { force_fallback_adapter: true, ..Default::default() };
    let fallback = instance.request_adapter(&fallback).await.map(|adapter| adapter.get_info().device_type);
    holds("a fallback is software", !matches!(fallback, Ok(kind) if kind != wgpu::DeviceType::Cpu))?;
    let none = instance.enumerate_adapters(Backends::NOOP).await;
    same("adapters that do nothing", none.len(), 0)?;
    let web = instance.enumerate_adapters(Backends::BROWSER_WEBGPU).await;
    same("adapters of WebGPU", web.len(), all.len())?;
    holds("nothing is shown", !adapter().await?.get_downlevel_capabilities().is_webgpu_compliant())?;
    Ok(format!("{} by {:?}, {:?}", info.name, info.backend, info.device_type))
}

pub async fn features() -> Result<()> {
    let adapter = adapter().await?;
    let (device, _queue) = adapter.request_device(&DeviceDescriptor::default()).await?;
    same("features that nobody asked for", device.features(), Features::empty())?;
    same("what the device says of its adapter", device.adapter_info(), adapter.get_info())?;
    let required_features = adapter.features();
    let all = DeviceDescriptor { required_features, required_limits: adapter.limits(), ..Default::default() };
    same("all features", adapter.request_device(&all).await?.0.features(), required_features)?;
    let textures = DeviceDescriptor { required_features: Features::TEXTURE_COMPRESSION_BC, ..Default::default() };
    let error = adapter.request_device(&textures).await.err().ok_or("there are textures")?;
    holds("the error names the feature", error.to_string().contains("TEXTURE_COMPRESSION_BC"))
}

pub async fn limits() -> Result<()> {
    let adapter = adapter().await?;
    let offered = adapter.limits();
    holds("WebGPU's limits are there", offered.max_compute_invocations_per_workgroup >= 256)?;
    let with = |required_limits| DeviceDescriptor { required_limits, ..Default::default() };
    let all = DeviceDescriptor { required_features: adapter.features(), ..with(offered.clone()) };
    let (device, _queue) = adapter.request_device(&all).await?;
    same("all limits", device.limits(), offered.clone())?;
    let small = Limits { max_bind_groups: 2, max_buffer_size: 1 << 16, ..Limits::downlevel_defaults() };
    let gpu = Gpu::with(&with(small.clone())).await?;
    same("a limit", gpu.device.limits().max_buffer_size, 1 << 16)?;
    gpu.fails("more than the limit", "", || gpu.buffer(1 << 17, STORAGE)).await?;
    let much = Limits { max_bind_groups: offered.max_bind_groups + 1, ..offered.clone() };
    holds("more than there is is refused", adapter.request_device(&with(much)).await.is_err())?;
    let large = Limits { max_buffer_size: 1 << 40, ..offered };
    holds("more than the quota is refused", adapter.request_device(&with(large)).await.is_err())
}

pub async fn destroyed() -> Result<()> {
    let gpu = Gpu::open().await?;
    let lost = Arc::new(Mutex::new(Vec::new()));
    let callback = |name: &'static str| {
        let lost = Arc::clone(&lost);
        move |reason: DeviceLostReason, message: String| {
            if let Ok(mut lost) = lost.lock() {
                lost.push((name, reason, message.is_empty()));
            }
        }
    };
    gpu.device.set_device_lost_callback(callback("before"));
    let buffer = gpu.numbers(&[1; 64], BufferUsages::empty());
    let pipeline = gpu.pipeline(DOUBLE, &[]);
    let copy = gpu.copy_of(&buffer);
    let failed = Arc::new(Mutex::new(None));
    let told = Arc::clone(&failed);
    copy.map_async(MapMode::Read, .., move |mapped| {
        if let Ok(mut told) = told.lock() {
            *told = Some(mapped.is_err());
        }
    });
    gpu.device.destroy();
    gpu.device.destroy();
    gpu.device.set_device_lost_callback(callback("after"));
    let destroyed = DeviceLostReason::Destroyed;
    let lost = lost.lock().map_err(|error| error.to_string())?.clone();
    same("who was told", lost, vec![("before", destroyed, false), ("after", destroyed, false)])?;
    same("whether a mapping failed", *failed.lock().map_err(|error| error.to_string())?, Some(true))?;
    // A lost device accepts everything without an error, and does nothing.
    gpu.succeeds("all that comes after", || {
        gpu.run(&pipeline, &[&buffer]);
        gpu.queue.write_buffer(&buffer, 0, &[0; 4]);
        gpu.run(&gpu.pipeline(DOUBLE, &[]), &[&gpu.buffer(64, STORAGE)]);
    })
    .await?;
    holds("it has nothing to wait for", gpu.device.poll(PollType::wait_indefinitely())?.is_queue_empty())?;
    copy.unmap();
    holds("a mapping fails", map(&copy, MapMode::Read).await?.is_err())?;
    let another = Gpu::open().await?;
    same("another device", another.read(&another.numbers(&[1], BufferUsages::empty())).await?, vec![1])
}

pub async fn two_devices() -> Result<()> {
    let (first, second) = (Gpu::open().await?, Gpu::open().await?);
    let buffer = second.numbers(&[1], BufferUsages::empty());
    let pipeline = first.pipeline(DOUBLE, &[]);
    first.fails("a foreign buffer", "", || first.group(&pipeline, &[&buffer])).await?;
    same("untouched", second.read(&buffer).await?, vec![1])
}

pub async fn texture_formats() -> Result<()> {
    let format = wgpu::TextureFormat::Rgba8Unorm;
    let features = adapter().await?.get_texture_format_features(format);
    holds("no texture is of any use", features.allowed_usages.is_empty())
}
