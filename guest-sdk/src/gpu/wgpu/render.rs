//! Stand-ins for rendering, which a chainlet's GPU does not do. Making one was
//! already an error, so everything recorded here is ignored.

use std::ops::Range;

use wgpu::custom::{
    DispatchAdapter, DispatchBindGroup, DispatchBuffer, DispatchDevice, DispatchQuerySet, DispatchRenderBundle,
    DispatchRenderPipeline, DispatchSurfaceOutputDetail, DispatchTexture, RenderBundleEncoderInterface,
    RenderBundleInterface, RenderPassInterface, SurfaceInterface, SurfaceOutputDetailInterface,
};

use super::device::Device;

#[derive(Debug)]
pub struct RenderPass;

impl RenderPassInterface for RenderPass {
    fn set_pipeline(&mut self, _: &DispatchRenderPipeline) {}

    fn set_bind_group(&mut self, _: u32, _: Option<&DispatchBindGroup>, _: &[u32]) {}

    fn set_index_buffer(&mut self, _: &DispatchBuffer, _: wgpu::IndexFormat, _: u64, _: Option<wgpu::BufferSize>) {}

    fn set_vertex_buffer(&mut self, _: u32, _: Option<&DispatchBuffer>, _: u64, _: Option<wgpu::BufferSize>) {}

    fn set_immediates(&mut self, _: u32, _: &[u8]) {}

    fn set_blend_constant(&mut self, _: wgpu::Color) {}

    fn set_scissor_rect(&mut self, _: u32, _: u32, _: u32, _: u32) {}

    fn set_viewport(&mut self, _: f32, _: f32, _: f32, _: f32, _: f32, _: f32) {}

    fn set_stencil_reference(&mut self, _: u32) {}

    fn draw(&mut self, _: Range<u32>, _: Range<u32>) {}

    fn draw_indexed(&mut self, _: Range<u32>, _: i32, _: Range<u32>) {}

    fn draw_mesh_tasks(&mut self, _: u32, _: u32, _: u32) {}

    fn draw_indirect(&mut self, _: &DispatchBuffer, _: u64) {}

    fn draw_indexed_indirect(&mut self, _: &DispatchBuffer, _: u64) {}

    fn draw_mesh_tasks_indirect(&mut self, _: &DispatchBuffer, _: u64) {}

    fn multi_draw_indirect(&mut self, _: &DispatchBuffer, _: u64, _: u32) {}

    fn multi_draw_indexed_indirect(&mut self, _: &DispatchBuffer, _: u64, _: u32) {}

    fn multi_draw_indirect_count(&mut self, _: &DispatchBuffer, _: u64, _: &DispatchBuffer, _: u64, _: u32) {}

    fn multi_draw_mesh_tasks_indirect(&mut self, _: &DispatchBuffer, _: u64, _: u32) {}

    fn multi_draw_indexed_indirect_count(&mut self, _: &DispatchBuffer, _: u64, _: &DispatchBuffer, _: u64, _: u32) {}

    fn multi_draw_mesh_tasks_indirect_count(&mut self, _: &DispatchBuffer, _: u64, _: &DispatchBuffer, _: u64, _: u32) {
    }

    fn insert_debug_marker(&mut self, _: &str) {}

    fn push_debug_group(&mut self, _: &str) {}

    fn pop_debug_group(&mut self) {}

    fn write_timestamp(&mut self, _: &DispatchQuerySet, _: u32) {}

    fn begin_occlusion_query(&mut self, _: u32) {}

    fn end_occlusion_query(&mut self) {}

    fn begin_pipeline_statistics_query(&mut self, _: &DispatchQuerySet, _: u32) {}

    fn end_pipeline_statistics_query(&mut self) {}

    fn execute_bundles(&mut self, _: &mut dyn Iterator<Item = &DispatchRenderBundle>) {}
}

impl Drop for RenderPass {
    fn drop(&mut self) {}
}

/// A render bundle, and its encoder.
#[derive(Debug)]
pub struct RenderBundle;

impl RenderBundleEncoderInterface for RenderBundle {
    fn set_pipeline(&mut self, _: &DispatchRenderPipeline) {}

    fn set_bind_group(&mut self, _: u32, _: Option<&DispatchBindGroup>, _: &[u32]) {}

    fn set_index_buffer(&mut self, _: &DispatchBuffer, _: wgpu::IndexFormat, _: u64, _: Option<wgpu::BufferSize>) {}

    fn set_vertex_buffer(&mut self, _: u32, _: Option<&DispatchBuffer>, _: u64, _: Option<wgpu::BufferSize>) {}

    fn set_immediates(&mut self, _: u32, _: &[u8]) {}

    fn draw(&mut self, _: Range<u32>, _: Range<u32>) {}

    fn draw_indexed(&mut self, _: Range<u32>, _: i32, _: Range<u32>) {}

    fn draw_indirect(&mut self, _: &DispatchBuffer, _: u64) {}

    fn draw_indexed_indirect(&mut self, _: &DispatchBuffer, _: u64) {}

    fn finish(self, _: &wgpu::RenderBundleDescriptor<'_>) -> DispatchRenderBundle {
        DispatchRenderBundle::custom(RenderBundle)
    }

    fn finish_boxed(self: Box<Self>, descriptor: &wgpu::RenderBundleDescriptor<'_>) -> DispatchRenderBundle {
        (*self).finish(descriptor)
    }
}

impl RenderBundleInterface for RenderBundle {}

/// A surface, and its output.
#[derive(Debug)]
pub struct Surface;

impl SurfaceInterface for Surface {
    fn get_capabilities(&self, _: &DispatchAdapter) -> wgpu::SurfaceCapabilities {
        wgpu::SurfaceCapabilities {
            alpha_modes: Vec::new(),
            usages: wgpu::TextureUsages::empty(),
            ..Default::default()
        }
    }

    fn configure(&self, device: &DispatchDevice, _: &wgpu::SurfaceConfiguration) {
        if let Some(device) = device.as_custom::<Device>() {
            device.absent("Surface::configure", "surfaces");
        }
    }

    fn get_current_texture(&self) -> (Option<DispatchTexture>, wgpu::SurfaceStatus, DispatchSurfaceOutputDetail) {
        (None, wgpu::SurfaceStatus::Lost, DispatchSurfaceOutputDetail::custom(Surface))
    }
}

impl SurfaceOutputDetailInterface for Surface {
    fn texture_discard(&self) {}

    fn texture_release(&self) {}
}
