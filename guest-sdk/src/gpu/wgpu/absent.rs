//! Stand-ins for objects that a chainlet's GPU does not have. Making one was
//! already an error, so these do nothing.

use wgpu::custom::{
    BlasCompactCallback, BlasInterface, DispatchBindGroupLayout, DispatchTextureView, ExternalTextureInterface,
    PipelineCacheInterface, RenderPipelineInterface, SamplerInterface, TextureInterface, TextureViewInterface,
    TlasInterface,
};

use super::bind::{BindGroupLayout, LAYOUT};

#[derive(Debug)]
pub struct Absent;

/// Stands in for a JavaScript array of mapped bytes. Only code for browsers
/// asks for one.
#[cfg(target_arch = "wasm32")]
pub fn javascript() -> ! {
    unreachable!("a chainlet has no JavaScript, in which mapped bytes could be an array")
}

impl TextureInterface for Absent {
    fn create_view(&self, _: &wgpu::TextureViewDescriptor<'_>) -> DispatchTextureView {
        DispatchTextureView::custom(Absent)
    }

    fn destroy(&self) {}
}

impl TextureViewInterface for Absent {}

impl ExternalTextureInterface for Absent {
    fn destroy(&self) {}
}

impl SamplerInterface for Absent {}

impl BlasInterface for Absent {
    fn prepare_compact_async(&self, callback: BlasCompactCallback) {
        callback(Err(wgpu::BlasAsyncError));
    }

    fn ready_for_compaction(&self) -> bool {
        false
    }
}

impl TlasInterface for Absent {}

impl RenderPipelineInterface for Absent {
    fn get_bind_group_layout(&self, _: u32) -> DispatchBindGroupLayout {
        DispatchBindGroupLayout::custom(BindGroupLayout::invalid(LAYOUT))
    }
}

impl PipelineCacheInterface for Absent {
    fn get_data(&self) -> Option<Vec<u8>> {
        None
    }
}
