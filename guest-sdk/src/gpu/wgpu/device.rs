//! Devices, from which all objects are made.

use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;

use wgpu::custom::{
    BoxDeviceLostCallback, DeviceInterface, DispatchBindGroup, DispatchBindGroupLayout, DispatchBlas, DispatchBuffer,
    DispatchCommandEncoder, DispatchComputePipeline, DispatchExternalTexture, DispatchPipelineCache,
    DispatchPipelineLayout, DispatchQuerySet, DispatchRenderBundleEncoder, DispatchRenderPipeline, DispatchSampler,
    DispatchShaderModule, DispatchTexture, DispatchTlas, PopErrorScopeFuture,
};
use wgpu::{
    AdapterInfo, DeviceLostReason, ErrorFilter, Features, Limits, PollError, PollStatus, UncapturedErrorHandler,
};

use super::absent::Absent;
use super::bind::{bind_group, bind_group_layout, pipeline_layout};
use super::buffer::Buffer;
use super::encoder::CommandEncoder;
use super::pipeline::{ComputePipeline, query_set};
use super::render::RenderBundle;
use super::shader::ShaderModule;
use super::shared::Shared;

#[derive(Debug)]
pub struct Device {
    shared: Arc<Shared>,
    detached: bool,
}

impl Device {
    pub fn new(shared: Arc<Shared>) -> Self {
        Device { shared, detached: false }
    }

    /// Makes a device whose buffers are never mapped and are not on the GPU.
    pub fn detached(shared: Arc<Shared>) -> Self {
        Device { shared, detached: true }
    }

    pub fn absent(&self, function: &'static str, what: &str) {
        self.shared.absent(function, None, what);
    }
}

impl DeviceInterface for Device {
    fn features(&self) -> Features {
        self.shared.features
    }

    fn limits(&self) -> Limits {
        self.shared.limits.clone()
    }

    fn adapter_info(&self) -> AdapterInfo {
        self.shared.info.clone()
    }

    /// Ignores which checks to leave out: the host does not trust a chainlet's
    /// shaders, so it keeps all checks.
    fn create_shader_module(
        &self,
        descriptor: wgpu::ShaderModuleDescriptor<'_>,
        _: wgpu::ShaderRuntimeChecks,
    ) -> DispatchShaderModule {
        DispatchShaderModule::custom(ShaderModule::new(&self.shared, &descriptor))
    }

    unsafe fn create_shader_module_passthrough(
        &self,
        descriptor: &wgpu::ShaderModuleDescriptorPassthrough<'_>,
    ) -> DispatchShaderModule {
        let what = "shaders in other languages than WGSL";
        self.shared.absent("Device::create_shader_module_passthrough", descriptor.label, what);
        DispatchShaderModule::custom(ShaderModule::invalid(descriptor.label))
    }

    fn create_bind_group_layout(&self, descriptor: &wgpu::BindGroupLayoutDescriptor<'_>) -> DispatchBindGroupLayout {
        DispatchBindGroupLayout::custom(bind_group_layout(&self.shared, descriptor))
    }

    fn create_bind_group(&self, descriptor: &wgpu::BindGroupDescriptor<'_>) -> DispatchBindGroup {
        DispatchBindGroup::custom(bind_group(&self.shared, descriptor))
    }

    fn create_pipeline_layout(&self, descriptor: &wgpu::PipelineLayoutDescriptor<'_>) -> DispatchPipelineLayout {
        DispatchPipelineLayout::custom(pipeline_layout(&self.shared, descriptor))
    }

    fn create_render_pipeline(&self, descriptor: &wgpu::RenderPipelineDescriptor<'_>) -> DispatchRenderPipeline {
        self.shared.absent("Device::create_render_pipeline", descriptor.label, "rendering");
        DispatchRenderPipeline::custom(Absent)
    }

    fn create_mesh_pipeline(&self, descriptor: &wgpu::MeshPipelineDescriptor<'_>) -> DispatchRenderPipeline {
        self.shared.absent("Device::create_mesh_pipeline", descriptor.label, "rendering");
        DispatchRenderPipeline::custom(Absent)
    }

    fn create_compute_pipeline(&self, descriptor: &wgpu::ComputePipelineDescriptor<'_>) -> DispatchComputePipeline {
        DispatchComputePipeline::custom(ComputePipeline::new(Arc::clone(&self.shared), descriptor))
    }

    /// A chainlet needs no pipeline cache, because the host keeps compiled
    /// pipelines itself.
    unsafe fn create_pipeline_cache(&self, descriptor: &wgpu::PipelineCacheDescriptor<'_>) -> DispatchPipelineCache {
        self.shared.absent("Device::create_pipeline_cache", descriptor.label, "pipeline caches");
        DispatchPipelineCache::custom(Absent)
    }

    fn create_buffer(&self, descriptor: &wgpu::BufferDescriptor<'_>) -> DispatchBuffer {
        let buffer = if self.detached { Buffer::never_mapped() } else { Buffer::new(&self.shared, descriptor) };
        DispatchBuffer::custom(buffer)
    }

    fn create_texture(&self, descriptor: &wgpu::TextureDescriptor<'_>) -> DispatchTexture {
        self.shared.absent("Device::create_texture", descriptor.label, "textures");
        DispatchTexture::custom(Absent)
    }

    fn create_external_texture(
        &self,
        descriptor: &wgpu::ExternalTextureDescriptor<'_>,
        _: &[&wgpu::TextureView],
    ) -> DispatchExternalTexture {
        self.shared.absent("Device::create_external_texture", descriptor.label, "textures");
        DispatchExternalTexture::custom(Absent)
    }

    fn create_blas(
        &self,
        descriptor: &wgpu::CreateBlasDescriptor<'_>,
        _: wgpu::BlasGeometrySizeDescriptors,
    ) -> (Option<u64>, DispatchBlas) {
        self.shared.absent("Device::create_blas", descriptor.label, "acceleration structures");
        (None, DispatchBlas::custom(Absent))
    }

    fn create_tlas(&self, descriptor: &wgpu::CreateTlasDescriptor<'_>) -> DispatchTlas {
        self.shared.absent("Device::create_tlas", descriptor.label, "acceleration structures");
        DispatchTlas::custom(Absent)
    }

    fn create_sampler(&self, descriptor: &wgpu::SamplerDescriptor<'_>) -> DispatchSampler {
        self.shared.absent("Device::create_sampler", descriptor.label, "samplers");
        DispatchSampler::custom(Absent)
    }

    fn create_query_set(&self, descriptor: &wgpu::QuerySetDescriptor<'_>) -> DispatchQuerySet {
        DispatchQuerySet::custom(query_set(&self.shared, descriptor))
    }

    fn create_command_encoder(&self, descriptor: &wgpu::CommandEncoderDescriptor<'_>) -> DispatchCommandEncoder {
        DispatchCommandEncoder::custom(CommandEncoder::new(Arc::clone(&self.shared), descriptor.label))
    }

    fn create_render_bundle_encoder(
        &self,
        descriptor: &wgpu::RenderBundleEncoderDescriptor<'_>,
    ) -> DispatchRenderBundleEncoder {
        self.shared.absent("Device::create_render_bundle_encoder", descriptor.label, "rendering");
        DispatchRenderBundleEncoder::custom(RenderBundle)
    }

    fn set_device_lost_callback(&self, callback: BoxDeviceLostCallback) {
        self.shared.when_lost(callback);
    }

    fn on_uncaptured_error(&self, handler: Arc<dyn UncapturedErrorHandler>) {
        self.shared.errors.handle_uncaptured(handler);
    }

    fn push_error_scope(&self, filter: ErrorFilter) -> u32 {
        self.shared.errors.push(filter)
    }

    fn pop_error_scope(&self, index: u32) -> Pin<Box<dyn PopErrorScopeFuture>> {
        Box::pin(ready(self.shared.errors.pop(index)))
    }

    unsafe fn start_graphics_debugger_capture(&self) {}

    unsafe fn stop_graphics_debugger_capture(&self) {}

    fn poll(&self, poll: wgpu::wgt::PollType<u64>) -> Result<PollStatus, PollError> {
        self.shared.poll(poll)
    }

    fn get_internal_counters(&self) -> wgpu::InternalCounters {
        wgpu::InternalCounters::default()
    }

    fn generate_allocator_report(&self) -> Option<wgpu::AllocatorReport> {
        None
    }

    fn destroy(&self) {
        self.shared.host.destroy();
        self.shared.lose(DeviceLostReason::Destroyed, "the device was destroyed".to_owned());
    }
}
