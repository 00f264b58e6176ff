//! The objects of a device, by number.

use std::collections::{HashMap, HashSet};

use super::shader::Workgroup;
use crate::gpu::protocol::{GpuFailure, ObjectId, Result};

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
    /// The workgroup memory that its entry points take.
    pub workgroup: Workgroup,
}

pub(super) struct Buffer {
    pub raw: wgpu::Buffer,
    /// The usage that the guest requested; `raw` may have more.
    pub usage: wgpu::BufferUsages,
    /// The bind groups that use it.
    groups: HashSet<ObjectId>,
}

pub(super) struct BindGroup {
    /// `None` once one of its buffers is destroyed.
    raw: Option<wgpu::BindGroup>,
    buffers: Vec<ObjectId>,
}

/// A destroyed buffer and the bind groups that used it, to be dropped without the lock of the objects.
pub(super) struct Remains {
    _buffer: Buffer,
    _groups: Vec<wgpu::BindGroup>,
}

impl BindGroup {
    /// Makes a bind group that uses `buffers`.
    pub(super) fn new(raw: wgpu::BindGroup, buffers: Vec<ObjectId>) -> Self {
        BindGroup { raw: Some(raw), buffers }
    }

    /// Returns the group for a pass. Fails if one of its buffers is destroyed.
    pub(super) fn usable(&self) -> Result<&wgpu::BindGroup> {
        self.raw.as_ref().ok_or_else(|| GpuFailure::invalid("a buffer of the bind group has been destroyed"))
    }
}

impl Buffer {
    pub(super) fn new(raw: wgpu::Buffer, usage: wgpu::BufferUsages) -> Self {
        Buffer { raw, usage, groups: HashSet::new() }
    }

    /// Returns true if it is read without a copy on the GPU.
    pub(super) fn is_mappable(&self) -> bool {
        self.usage.contains(wgpu::BufferUsages::MAP_READ)
    }
}

macro_rules! find {
    ($($name:ident: $Case:ident -> $Type:ty, $what:literal;)+) => {
        $(pub(super) fn $name(&self, id: ObjectId) -> Result<&$Type> {
            match self.0.get(&id) {
                Some(Object::$Case(object)) => Ok(object),
                _ => Err(GpuFailure::invalid(concat!("the ", $what, " has been destroyed"))),
            }
        })+
    };
}

impl Objects {
    pub(super) fn insert(&mut self, id: ObjectId, object: Object) {
        if let Object::BindGroup(group) = &object {
            for buffer in &group.buffers {
                if let Some(Object::Buffer(buffer)) = self.0.get_mut(buffer) {
                    buffer.groups.insert(id);
                }
            }
        }
        self.0.insert(id, object);
    }

    pub(super) fn remove(&mut self, id: ObjectId) -> Option<Object> {
        let object = self.0.remove(&id);
        if let Some(Object::BindGroup(group)) = &object {
            for buffer in &group.buffers {
                if let Some(Object::Buffer(buffer)) = self.0.get_mut(buffer) {
                    buffer.groups.remove(&id);
                }
            }
        }
        object
    }

    /// Removes a buffer from everything that uses it, so that its memory is free when the GPU and all readers are done.
    ///
    /// wgpu's `destroy` has this purpose, but must not be called (in wgpu 30). It frees mapped memory that is still
    /// read. It frees memory that another thread submits at that moment. It leaves bind groups behind, and the next
    /// poll waits to free them for as long as another thread polls.
    pub(super) fn destroy(&mut self, id: ObjectId) -> Option<Remains> {
        let Some(Object::Buffer(buffer)) = self.0.remove(&id) else { return None };
        let raw_group = |id| match self.0.get_mut(id) {
            Some(Object::BindGroup(group)) => group.raw.take(),
            _ => None,
        };
        let groups = buffer.groups.iter().filter_map(raw_group).collect();
        Some(Remains { _buffer: buffer, _groups: groups })
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
