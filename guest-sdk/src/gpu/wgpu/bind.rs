//! Bind groups and layouts.

use std::sync::Arc;

use wgpu::custom::{BindGroupInterface, BindGroupLayoutInterface, PipelineLayoutInterface};
use wgpu::{BindingResource, BindingType, BufferBindingType};

use super::buffer::memory;
use super::commands::Group;
use super::mapping::Memory;
use super::object::{Object, ours};
use super::shared::{Shared, absent};
use crate::gpu::Error;
use crate::host::chainlet::host::gpu as host;

pub type BindGroupLayout = Object<host::BindGroupLayout>;
pub type BindGroup = Object<Group>;
pub type PipelineLayout = Object<host::PipelineLayout>;

impl BindGroupLayoutInterface for BindGroupLayout {}
impl BindGroupInterface for BindGroup {}
impl PipelineLayoutInterface for PipelineLayout {}

/// The name of layouts in errors.
pub const LAYOUT: &str = "BindGroupLayout";

pub fn bind_group_layout(shared: &Shared, descriptor: &wgpu::BindGroupLayoutDescriptor<'_>) -> BindGroupLayout {
    let made = make_layout(shared, descriptor);
    let made = shared.made("Device::create_bind_group_layout", descriptor.label, made);
    Object::new(LAYOUT, descriptor.label, made)
}

fn make_layout(
    shared: &Shared,
    descriptor: &wgpu::BindGroupLayoutDescriptor<'_>,
) -> Result<host::BindGroupLayout, Error> {
    let entries = descriptor.entries.iter().map(layout_entry).collect::<Result<Vec<_>, _>>()?;
    Ok(shared.host.create_bind_group_layout(descriptor.label, &entries)?)
}

fn layout_entry(entry: &wgpu::BindGroupLayoutEntry) -> Result<host::BindGroupLayoutEntry, Error> {
    let BindingType::Buffer { ty, has_dynamic_offset, min_binding_size } = entry.ty else {
        return Err(absent("textures, samplers or acceleration structures to bind"));
    };
    if entry.count.is_some() {
        return Err(absent("arrays of bindings"));
    }
    let kind = match ty {
        BufferBindingType::Uniform => host::BufferBindingKind::Uniform,
        BufferBindingType::Storage { read_only: false } => host::BufferBindingKind::Storage,
        BufferBindingType::Storage { read_only: true } => host::BufferBindingKind::ReadOnlyStorage,
    };
    let min_binding_size = min_binding_size.map_or(0, u64::from);
    Ok(host::BindGroupLayoutEntry { binding: entry.binding, kind, has_dynamic_offset, min_binding_size })
}

pub fn bind_group(shared: &Shared, descriptor: &wgpu::BindGroupDescriptor<'_>) -> BindGroup {
    let made = shared.made("Device::create_bind_group", descriptor.label, make_group(shared, descriptor));
    Object::new("BindGroup", descriptor.label, made)
}

fn make_group(shared: &Shared, descriptor: &wgpu::BindGroupDescriptor<'_>) -> Result<Group, Error> {
    let layout = ours(descriptor.layout.as_custom::<BindGroupLayout>())?.get()?;
    let bound = descriptor.entries.iter().map(Bound::of).collect::<Result<Vec<_>, _>>()?;
    let entries = bound.iter().map(Bound::to_host).collect::<Result<Vec<_>, _>>()?;
    let host = shared.host.create_bind_group(descriptor.label, layout, &entries)?;
    Ok(Group { host, memories: bound.iter().map(|bound| Arc::clone(bound.memory)).collect() })
}

/// A buffer that is bound to a number.
struct Bound<'a> {
    binding: u32,
    memory: &'a Arc<Memory>,
    offset: u64,
    size: Option<u64>,
}

impl<'a> Bound<'a> {
    fn of(entry: &wgpu::BindGroupEntry<'a>) -> Result<Self, Error> {
        let BindingResource::Buffer(bound) = &entry.resource else {
            return Err(absent("textures, samplers, acceleration structures or arrays to bind"));
        };
        let size = bound.size.map(u64::from);
        Ok(Bound { binding: entry.binding, memory: memory(bound.buffer)?, offset: bound.offset, size })
    }

    fn to_host(&self) -> Result<host::BindGroupEntry<'a>, Error> {
        let Bound { binding, memory, offset, size } = *self;
        Ok(host::BindGroupEntry { binding, buffer: memory.get()?, offset, size })
    }
}

pub fn pipeline_layout(shared: &Shared, descriptor: &wgpu::PipelineLayoutDescriptor<'_>) -> PipelineLayout {
    let made = make_pipeline_layout(shared, descriptor);
    let made = shared.made("Device::create_pipeline_layout", descriptor.label, made);
    Object::new("PipelineLayout", descriptor.label, made)
}

fn make_pipeline_layout(
    shared: &Shared,
    descriptor: &wgpu::PipelineLayoutDescriptor<'_>,
) -> Result<host::PipelineLayout, Error> {
    let layouts = descriptor
        .bind_group_layouts
        .iter()
        .map(|layout| layout.map(|layout| Ok(&**ours(layout.as_custom::<BindGroupLayout>())?.get()?)).transpose())
        .collect::<Result<Vec<_>, Error>>()?;
    Ok(shared.host.create_pipeline_layout(descriptor.label, &layouts, descriptor.immediate_size)?)
}
