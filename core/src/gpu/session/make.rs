//! Makes objects from their descriptions.

use std::num::NonZeroU64;

use super::objects::{BindGroup, Buffer, Object, ShaderModule};
use super::scopes::{caught, scoped};
use super::{Device, shader};
use crate::gpu::protocol::{BindingKind, Create, GpuFailure, ObjectDescriptor, Pipeline, Result};

impl Device {
    /// Makes an object. This takes long for shaders and pipelines.
    pub(super) fn create(&self, Create { label, what }: &Create) -> Result<Object> {
        let label = label.as_deref();
        match what {
            ObjectDescriptor::Buffer { size, usage } => {
                let descriptor =
                    wgpu::BufferDescriptor { label, size: *size, usage: real_usage(*usage), mapped_at_creation: false };
                let raw = scoped(&self.raw, || self.raw.create_buffer(&descriptor))?;
                Ok(Object::Buffer(Buffer::new(raw, *usage)))
            }
            ObjectDescriptor::BindGroupLayout(entries) => {
                let entries: Vec<_> = entries
                    .iter()
                    .map(|entry| wgpu::BindGroupLayoutEntry {
                        binding: entry.binding,
                        visibility: wgpu::ShaderStages::COMPUTE,
                        ty: wgpu::BindingType::Buffer {
                            ty: match entry.kind {
                                BindingKind::Uniform => wgpu::BufferBindingType::Uniform,
                                BindingKind::Storage => wgpu::BufferBindingType::Storage { read_only: false },
                                BindingKind::ReadOnlyStorage => wgpu::BufferBindingType::Storage { read_only: true },
                            },
                            has_dynamic_offset: entry.has_dynamic_offset,
                            min_binding_size: NonZeroU64::new(entry.min_binding_size),
                        },
                        count: None,
                    })
                    .collect();
                let descriptor = wgpu::BindGroupLayoutDescriptor { label, entries: &entries };
                scoped(&self.raw, || self.raw.create_bind_group_layout(&descriptor)).map(Object::BindGroupLayout)
            }
            ObjectDescriptor::BindGroup { layout, entries } => {
                let objects = self.objects();
                let mut buffers = Vec::with_capacity(entries.len());
                let entries = entries
                    .iter()
                    .map(|entry| {
                        let size = match entry.size {
                            Some(size) => Some(NonZeroU64::new(size).ok_or_else(|| {
                                GpuFailure::invalid(format_args!("binding {} would have no bytes", entry.binding))
                            })?),
                            None => None,
                        };
                        let buffer = &objects.buffer(entry.buffer)?.raw;
                        buffers.push(entry.buffer);
                        let resource =
                            wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset: entry.offset, size });
                        Ok(wgpu::BindGroupEntry { binding: entry.binding, resource })
                    })
                    .collect::<Result<Vec<_>>>()?;
                let layout = objects.bind_group_layout(*layout)?;
                let descriptor = wgpu::BindGroupDescriptor { label, layout, entries: &entries };
                let raw = scoped(&self.raw, || self.raw.create_bind_group(&descriptor))?;
                Ok(Object::BindGroup(BindGroup::new(raw, buffers)))
            }
            ObjectDescriptor::PipelineLayout { groups, immediate_size } => {
                let most = usize::try_from(self.raw.limits().max_bind_groups).unwrap_or(usize::MAX);
                if groups.len() > most {
                    let words = format_args!("{} bind groups are more than the {most} of the device", groups.len());
                    return Err(GpuFailure::invalid(words));
                }
                let objects = self.objects();
                let groups = groups
                    .iter()
                    .map(|group| group.map(|group| objects.bind_group_layout(group)).transpose())
                    .collect::<Result<Vec<_>>>()?;
                let descriptor = wgpu::PipelineLayoutDescriptor {
                    label,
                    bind_group_layouts: &groups,
                    immediate_size: *immediate_size,
                };
                scoped(&self.raw, || self.raw.create_pipeline_layout(&descriptor)).map(Object::PipelineLayout)
            }
            ObjectDescriptor::ShaderModule { wgsl } => {
                let workgroup = caught(|| shader::check(wgsl))??;
                let source = wgpu::ShaderSource::Wgsl(wgsl.as_str().into());
                let descriptor = wgpu::ShaderModuleDescriptor { label, source };
                // The safe kind, which bounds the memory that a shader reaches and the time that it loops. The host
                // uses no other.
                let raw = scoped(&self.raw, || self.raw.create_shader_module(descriptor))?;
                Ok(Object::ShaderModule(ShaderModule { raw, workgroup }))
            }
            ObjectDescriptor::ComputePipeline(pipeline) => {
                self.create_pipeline(label, pipeline).map(Object::ComputePipeline)
            }
            ObjectDescriptor::LayoutOf { pipeline, index } => {
                let pipeline = self.objects().compute_pipeline(*pipeline)?.clone();
                scoped(&self.raw, || pipeline.get_bind_group_layout(*index)).map(Object::BindGroupLayout)
            }
            ObjectDescriptor::QuerySet { count } => {
                let descriptor = wgpu::QuerySetDescriptor { label, ty: wgpu::QueryType::Timestamp, count: *count };
                scoped(&self.raw, || self.raw.create_query_set(&descriptor)).map(Object::QuerySet)
            }
        }
    }

    fn create_pipeline(&self, label: Option<&str>, pipeline: &Pipeline) -> Result<wgpu::ComputePipeline> {
        // Cloned to release the lock: compiling takes long, and other calls need the objects meanwhile.
        let (layout, module) = {
            let objects = self.objects();
            let layout = pipeline.layout.map(|layout| objects.pipeline_layout(layout).cloned()).transpose()?;
            (layout, objects.shader_module(pipeline.module)?.clone())
        };
        let most = self.raw.limits().max_compute_workgroup_storage_size;
        module.workgroup.check(pipeline.entry_point.as_deref(), most)?;
        let constants: Vec<_> = pipeline.constants.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let cache = self.cache.current();
        let descriptor = wgpu::ComputePipelineDescriptor {
            label,
            layout: layout.as_ref(),
            module: &module.raw,
            entry_point: pipeline.entry_point.as_deref(),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &constants,
                zero_initialize_workgroup_memory: pipeline.zero_workgroup_memory,
            },
            cache: cache.as_ref(),
        };
        scoped(&self.raw, || self.raw.create_compute_pipeline(&descriptor))
    }
}

/// Returns the usage of the real buffer, with which every buffer can be read and written.
fn real_usage(usage: wgpu::BufferUsages) -> wgpu::BufferUsages {
    use wgpu::BufferUsages as Usages;
    // Guests do not map buffers. They use writes for what they request `MAP_WRITE` for.
    let usage = usage.difference(Usages::MAP_WRITE);
    match usage.contains(Usages::MAP_READ) {
        true => usage | Usages::COPY_DST,
        false => usage | Usages::COPY_SRC | Usages::COPY_DST,
    }
}
