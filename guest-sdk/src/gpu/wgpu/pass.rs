//! Compute passes.

use std::sync::{Arc, Mutex};

use wgpu::custom::{
    ComputePassInterface, DispatchBindGroup, DispatchBuffer, DispatchComputePipeline, DispatchQuerySet,
    DispatchTextureView,
};
use wgpu::wgt::{BufferTransition, TextureTransition};

use super::bind::BindGroup;
use super::commands::{Command, PassCommand, Timestamps};
use super::encoder::{Recording, valid};
use super::object::ours;
use super::pipeline::ComputePipeline;
use super::shared::{absent, lock};
use crate::gpu::Error;
use crate::host::chainlet::host::gpu as host;

/// A pass that is being recorded. It becomes a command of its encoder when it
/// ends.
#[derive(Debug)]
pub struct ComputePass {
    label: Option<String>,
    timestamps: Option<Timestamps>,
    commands: Vec<PassCommand>,
    recording: Arc<Mutex<Recording>>,
}

impl ComputePass {
    pub fn new(label: Option<String>, timestamps: Option<Timestamps>, recording: Arc<Mutex<Recording>>) -> Self {
        ComputePass { label, timestamps, commands: Vec::new(), recording }
    }

    fn record(&mut self, command: Result<PassCommand, Error>) {
        match command {
            Ok(command) => self.commands.push(command),
            Err(error) => lock(&self.recording).mistake(error),
        }
    }
}

fn set_pipeline(pipeline: &DispatchComputePipeline) -> Result<PassCommand, Error> {
    let pipeline = ours(pipeline.as_custom::<ComputePipeline>())?;
    Ok(PassCommand::SetPipeline(Arc::clone(pipeline.pipeline.get()?)))
}

fn set_group(index: u32, group: Option<&DispatchBindGroup>, offsets: &[u32]) -> Result<PassCommand, Error> {
    let group = match group {
        Some(group) => Some(Arc::clone(ours(group.as_custom::<BindGroup>())?.get()?)),
        None => None,
    };
    Ok(PassCommand::SetGroup { index, group, offsets: offsets.to_vec() })
}

impl ComputePassInterface for ComputePass {
    fn set_pipeline(&mut self, pipeline: &DispatchComputePipeline) {
        self.record(set_pipeline(pipeline));
    }

    fn set_bind_group(&mut self, index: u32, group: Option<&DispatchBindGroup>, offsets: &[u32]) {
        self.record(set_group(index, group, offsets));
    }

    fn set_immediates(&mut self, offset: u32, data: &[u8]) {
        self.record(Ok(PassCommand::SetImmediates { offset, data: data.to_vec() }));
    }

    fn insert_debug_marker(&mut self, _: &str) {}

    fn push_debug_group(&mut self, _: &str) {}

    fn pop_debug_group(&mut self) {}

    fn write_timestamp(&mut self, _: &DispatchQuerySet, _: u32) {
        self.record(Err(absent("timestamps but those at the beginning and the end of a pass")));
    }

    fn begin_pipeline_statistics_query(&mut self, _: &DispatchQuerySet, _: u32) {
        self.record(Err(absent("pipeline statistics")));
    }

    fn end_pipeline_statistics_query(&mut self) {
        self.record(Err(absent("pipeline statistics")));
    }

    fn dispatch_workgroups(&mut self, x: u32, y: u32, z: u32) {
        self.record(Ok(PassCommand::Dispatch(host::Workgroups { x, y, z })));
    }

    fn dispatch_workgroups_indirect(&mut self, buffer: &DispatchBuffer, offset: u64) {
        self.record(valid(buffer).map(|memory| PassCommand::DispatchIndirect { memory, offset }));
    }

    /// Does nothing, because the host tracks the state of buffers itself.
    fn transition_resources<'a>(
        &mut self,
        _: &mut dyn Iterator<Item = BufferTransition<&'a DispatchBuffer>>,
        _: &mut dyn Iterator<Item = TextureTransition<&'a DispatchTextureView>>,
    ) {
    }
}

impl Drop for ComputePass {
    fn drop(&mut self) {
        let (label, timestamps, commands) =
            (self.label.take(), self.timestamps.take(), std::mem::take(&mut self.commands));
        lock(&self.recording).end_pass(Command::Pass { label, timestamps, commands });
    }
}
