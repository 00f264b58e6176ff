//! The objects of a device, by number.

use std::collections::HashMap;

use super::shader::Workgroup;
use crate::gpu::protocol::{Failure, ObjectId, Result};

/// Everything that a guest made from one device and has not dropped.
#[derive(Default)]
pub(super) struct Objects(HashMap<ObjectId, Object>);

pub(super) enum Object {
    Buffer(Buffer),
    BindGroupLayout(wgpu::BindGroupLayout),
    BindGroup(wgpu::BindGroup),
    PipelineLayout(wgpu::PipelineLayout),
    ShaderModule(ShaderModule),
    ComputePipeline(wgpu::ComputePipeline),
    QuerySet(wgpu::QuerySet),
}

#[derive(Clone)]
pub(super) struct ShaderModule {
    pub raw: wgpu::ShaderModule,
    /// What its entry points take of the memory of a workgroup.
    pub workgroup: Workgroup,
}

#[derive(Clone)]
pub(super) struct Buffer {
    pub raw: wgpu::Buffer,
    /// What the guest asked for; `raw` may be used for more.
    pub usage: wgpu::BufferUsages,
}

impl Buffer {
    /// Whether it is read without a copy on the GPU.
    pub(super) fn is_mapped(&self) -> bool {
        self.usage.contains(wgpu::BufferUsages::MAP_READ)
    }
}

macro_rules! find {
    ($($name:ident: $Case:ident -> $Type:ty, $what:literal;)+) => {
        $(pub(super) fn $name(&self, id: ObjectId) -> Result<&$Type> {
            match self.0.get(&id) {
                Some(Object::$Case(object)) => Ok(object),
                _ => Err(Failure::invalid(concat!("the ", $what, " has been destroyed"))),
            }
        })+
    };
}

impl Objects {
    pub(super) fn insert(&mut self, id: ObjectId, object: Object) {
        self.0.insert(id, object);
    }

    pub(super) fn remove(&mut self, id: ObjectId) -> Option<Object> {
        self.0.remove(&id)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    find! {
        buffer: Buffer -> Buffer, "buffer";
        bind_group_layout: BindGroupLayout -> wgpu::BindGroupLayout, "bind group layout";
        bind_group: BindGroup -> wgpu::BindGroup, "bind group";
        pipeline_layout: PipelineLayout -> wgpu::PipelineLayout, "pipeline layout";
        shader_module: ShaderModule -> ShaderModule, "shader module";
        compute_pipeline: ComputePipeline -> wgpu::ComputePipeline, "compute pipeline";
        query_set: QuerySet -> wgpu::QuerySet, "query set";
    }
}
