//! Functions of wgpu that a chainlet's GPU does not have: each is an error that
//! says so.

use chainlet::Result;
use wgpu::{
    BindGroupLayoutDescriptor, BindGroupLayoutEntry, BindingType, BufferUsages, Extent3d, LoadOp, Operations,
    RenderPassColorAttachment, RenderPassDescriptor, SamplerBindingType, SamplerDescriptor, ShaderStages, StoreOp,
    TexelCopyBufferInfo, TexelCopyBufferLayout, TextureDescriptor, TextureDimension, TextureFormat, TextureUsages,
    TextureViewDescriptor,
};

use crate::gpu::{Gpu, STORAGE};
use crate::same;

const SIZE: Extent3d = Extent3d { width: 4, height: 4, depth_or_array_layers: 1 };

const TEXTURE: TextureDescriptor<'static> = TextureDescriptor {
    label: Some("a picture"),
    size: SIZE,
    mip_level_count: 1,
    sample_count: 1,
    dimension: TextureDimension::D2,
    format: TextureFormat::Rgba8Unorm,
    usage: TextureUsages::COPY_DST.union(TextureUsages::RENDER_ATTACHMENT),
    view_formats: &[],
};

pub async fn objects() -> Result<()> {
    let gpu = Gpu::open().await?;
    let texture = gpu.fails("a texture", "no textures", || gpu.device.create_texture(&TEXTURE)).await?;
    gpu.succeeds("a view of nothing", || texture.create_view(&TextureViewDescriptor::default())).await?;
    texture.destroy();
    gpu.fails("a sampler", "no samplers", || gpu.device.create_sampler(&SamplerDescriptor::default())).await?;
    let entry = |ty| BindGroupLayoutEntry { binding: 0, visibility: ShaderStages::COMPUTE, ty, count: None };
    gpu.fails("a sampler to bind", "samplers", || {
        let entries = &[entry(BindingType::Sampler(SamplerBindingType::Filtering))];
        gpu.device.create_bind_group_layout(&BindGroupLayoutDescriptor { label: None, entries })
    })
    .await?;
    let module = gpu.shader("@vertex fn main() -> @builtin(position) vec4<f32> { return vec4(); }");
    let pipeline = gpu
        .fails("a render pipeline", "no rendering", || {
            gpu.device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
                label: None,
                layout: None,
                vertex: wgpu::VertexState {
                    module: &module,
                    entry_point: None,
                    compilation_options: wgpu::PipelineCompilationOptions::default(),
                    buffers: &[],
                },
                primitive: wgpu::PrimitiveState::default(),
                depth_stencil: None,
                multisample: wgpu::MultisampleState::default(),
                fragment: None,
                multiview_mask: None,
                cache: None,
            })
        })
        .await?;
    let layout = pipeline.get_bind_group_layout(0);
    gpu.fails("a group of nothing", "invalid", || gpu.group_of(&layout, &[])).await?;
    gpu.fails("a bundle", "no rendering", || {
        gpu.device.create_render_bundle_encoder(&wgpu::RenderBundleEncoderDescriptor::default())
    })
    .await
    .map(drop)
}

pub async fn commands() -> Result<()> {
    let gpu = Gpu::open().await?;
    let texture = gpu.fails("a texture", "no textures", || gpu.device.create_texture(&TEXTURE)).await?;
    let view = texture.create_view(&TextureViewDescriptor::default());
    let buffer = gpu.numbers(&[1; 1024], BufferUsages::empty());
    let layout = TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(256), rows_per_image: None };
    gpu.fails("a write to a texture", "no textures", || {
        gpu.queue.write_texture(texture.as_image_copy(), &[0; 1024], layout, SIZE);
    })
    .await?;
    gpu.fails("a copy to a texture", "no textures", || {
        gpu.record(|encoder| {
            let source = TexelCopyBufferInfo { buffer: &buffer, layout };
            encoder.copy_buffer_to_texture(source, texture.as_image_copy(), SIZE);
        })
    })
    .await?;
    gpu.fails("a render pass", "no rendering", || {
        gpu.record(|encoder| {
            let mut pass = encoder.begin_render_pass(&RenderPassDescriptor {
                color_attachments: &[Some(RenderPassColorAttachment {
                    view: &view,
                    depth_slice: None,
                    resolve_target: None,
                    ops: Operations { load: LoadOp::Load, store: StoreOp::Store },
                })],
                ..RenderPassDescriptor::default()
            });
            pass.draw(0..3, 0..1);
        })
    })
    .await?;
    same("all else goes on", gpu.read(&gpu.buffer(4, STORAGE)).await?, vec![0])
}
