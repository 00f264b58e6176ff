//! The objects of a device, by number.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::shader::Workgroup;
use crate::gpu::protocol::{Failure, ObjectId, Result};

/// Everything that a guest made from one device and has not dropped.
#[derive(Default)]
pub(super) struct Objects(HashMap<ObjectId, Object>);

pub(super) enum Object {
    Buffer(Buffer),
    BindGroupLayout(wgpu::BindGroupLayout),
    BindGroup(BindGroup),
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
    pub destroyed: Destroyed,
}

pub(super) struct BindGroup {
    pub raw: wgpu::BindGroup,
    /// Whether they have been destroyed since.
    pub buffers: Vec<Destroyed>,
}

/// Whether a buffer has been destroyed, from the moment that its guest says so: wgpu learns of it later.
#[derive(Clone, Default)]
pub(super) struct Destroyed(Arc<AtomicBool>);

impl Destroyed {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl BindGroup {
    /// What a pass is given, unless one of its buffers has been destroyed.
    pub(super) fn usable(&self) -> Result<&wgpu::BindGroup> {
        match self.buffers.iter().any(Destroyed::is_set) {
            true => Err(Failure::invalid("a buffer of the bind group has been destroyed")),
            false => Ok(&self.raw),
        }
    }
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
        bind_group: BindGroup -> BindGroup, "bind group";
        pipeline_layout: PipelineLayout -> wgpu::PipelineLayout, "pipeline layout";
        shader_module: ShaderModule -> ShaderModule, "shader module";
        compute_pipeline: ComputePipeline -> wgpu::ComputePipeline, "compute pipeline";
        query_set: QuerySet -> wgpu::QuerySet, "query set";
    }
}
