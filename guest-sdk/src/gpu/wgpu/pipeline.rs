//! Compute pipelines, and the query sets to which passes write times.

use std::sync::Arc;

use wgpu::QueryType;
use wgpu::custom::{ComputePipelineInterface, DispatchBindGroupLayout, QuerySetInterface};

use super::bind::{LAYOUT, PipelineLayout};
use super::object::{Object, ours};
use super::shader::ShaderModule;
use super::shared::{Shared, absent};
use crate::gpu::Error;
use crate::host::chainlet::host::gpu as host;

pub type QuerySet = Object<host::QuerySet>;

#[derive(Debug)]
pub struct ComputePipeline {
    pub pipeline: Object<host::ComputePipeline>,
    /// The device, which raises the error if there is no such layout.
    shared: Arc<Shared>,
}

impl ComputePipeline {
    pub fn new(shared: Arc<Shared>, descriptor: &wgpu::ComputePipelineDescriptor<'_>) -> Self {
        let made = shared.made("Device::create_compute_pipeline", descriptor.label, make(&shared, descriptor));
        ComputePipeline { pipeline: Object::new("ComputePipeline", descriptor.label, made), shared }
    }
}

fn make(shared: &Shared, descriptor: &wgpu::ComputePipelineDescriptor<'_>) -> Result<host::ComputePipeline, Error> {
    let layout = match descriptor.layout {
        Some(layout) => Some(&**ours(layout.as_custom::<PipelineLayout>())?.get()?),
        None => None,
    };
    let options = &descriptor.compilation_options;
    Ok(shared.host.create_compute_pipeline(&host::ComputePipelineDescriptor {
        label: descriptor.label.map(str::to_owned),
        layout,
        module: ours(descriptor.module.as_custom::<ShaderModule>())?.module.get()?,
        entry_point: descriptor.entry_point.map(str::to_owned),
        constants: options.constants.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
        zero_initialize_workgroup_memory: options.zero_initialize_workgroup_memory,
    })?)
}

impl ComputePipelineInterface for ComputePipeline {
    fn get_bind_group_layout(&self, index: u32) -> DispatchBindGroupLayout {
        let layout = self.pipeline.get().and_then(|pipeline| Ok(pipeline.get_bind_group_layout(index)?));
        let layout = self.shared.made("ComputePipeline::get_bind_group_layout", None, layout);
        DispatchBindGroupLayout::custom(Object::new(LAYOUT, None, layout))
    }
}

pub fn query_set(shared: &Shared, descriptor: &wgpu::QuerySetDescriptor<'_>) -> QuerySet {
    let made = match descriptor.ty {
        QueryType::Timestamp => shared.host.create_query_set(descriptor.label, descriptor.count).map_err(Error::from),
        _ => Err(absent("queries but timestamps")),
    };
    let made = shared.made("Device::create_query_set", descriptor.label, made);
    Object::new("QuerySet", descriptor.label, made)
}

impl QuerySetInterface for QuerySet {
    /// Does nothing: dropping the query set frees it.
    fn destroy(&self) {}
}
