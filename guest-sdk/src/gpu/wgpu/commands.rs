//! Recorded commands, and their form for the host.

use std::sync::Arc;

use super::mapping::Memory;
use crate::gpu::Error;
use crate::host::chainlet::host::gpu as host;

/// A bind group, and the buffers in it.
#[derive(Debug)]
pub struct Group {
    pub host: host::BindGroup,
    pub memories: Vec<Arc<Memory>>,
}

#[derive(Debug)]
pub enum Command {
    Pass { label: Option<String>, timestamps: Option<Timestamps>, commands: Vec<PassCommand> },
    Copy { source: Arc<Memory>, source_offset: u64, destination: Arc<Memory>, destination_offset: u64, size: u64 },
    Clear { memory: Arc<Memory>, offset: u64, size: Option<u64> },
    Resolve { queries: Arc<host::QuerySet>, first: u32, count: u32, destination: Arc<Memory>, destination_offset: u64 },
}

#[derive(Debug)]
pub struct Timestamps {
    pub queries: Arc<host::QuerySet>,
    pub beginning: Option<u32>,
    pub end: Option<u32>,
}

#[derive(Debug)]
pub enum PassCommand {
    SetPipeline(Arc<host::ComputePipeline>),
    SetGroup { index: u32, group: Option<Arc<Group>>, offsets: Vec<u32> },
    SetImmediates { offset: u32, data: Vec<u8> },
    Dispatch(host::Workgroups),
    DispatchIndirect { memory: Arc<Memory>, offset: u64 },
}

impl Command {
    /// Returns the buffers that the command uses.
    pub fn memories(&self) -> Vec<&Arc<Memory>> {
        match self {
            Command::Pass { commands, .. } => commands.iter().flat_map(PassCommand::memories).collect(),
            Command::Copy { source, destination, .. } => vec![source, destination],
            Command::Clear { memory, .. } => vec![memory],
            Command::Resolve { destination, .. } => vec![destination],
        }
    }

    /// Returns the command as the host takes it.
    pub fn to_host(&self) -> Result<host::Command<'_>, Error> {
        Ok(match self {
            Command::Pass { label, timestamps, commands } => host::Command::ComputePass(host::ComputePass {
                label: label.clone(),
                timestamps: timestamps.as_ref().map(Timestamps::to_host),
                commands: commands.iter().map(PassCommand::to_host).collect::<Result<_, _>>()?,
            }),
            Command::Copy { source, source_offset, destination, destination_offset, size } => {
                host::Command::CopyBuffer(host::BufferCopy {
                    source: source.get()?,
                    source_offset: *source_offset,
                    destination: destination.get()?,
                    destination_offset: *destination_offset,
                    size: *size,
                })
            }
            Command::Clear { memory, offset, size } => {
                host::Command::ClearBuffer(host::BufferClear { buffer: memory.get()?, offset: *offset, size: *size })
            }
            Command::Resolve { queries, first, count, destination, destination_offset } => {
                host::Command::ResolveQueries(host::QueryResolve {
                    query_set: queries,
                    first: *first,
                    count: *count,
                    destination: destination.get()?,
                    destination_offset: *destination_offset,
                })
            }
        })
    }
}

impl Timestamps {
    fn to_host(&self) -> host::PassTimestamps<'_> {
        host::PassTimestamps { query_set: &self.queries, beginning: self.beginning, end: self.end }
    }
}

impl PassCommand {
    fn memories(&self) -> &[Arc<Memory>] {
        match self {
            PassCommand::SetGroup { group: Some(group), .. } => &group.memories,
            PassCommand::DispatchIndirect { memory, .. } => std::slice::from_ref(memory),
            _ => &[],
        }
    }

    fn to_host(&self) -> Result<host::PassCommand<'_>, Error> {
        Ok(match self {
            PassCommand::SetPipeline(pipeline) => host::PassCommand::SetPipeline(pipeline),
            PassCommand::SetGroup { index, group, offsets } => {
                host::PassCommand::SetBindGroup(host::BindGroupSetting {
                    index: *index,
                    group: group.as_ref().map(|group| &group.host),
                    dynamic_offsets: offsets.clone(),
                })
            }
            PassCommand::SetImmediates { offset, data } => {
                host::PassCommand::SetImmediates(host::ImmediatesSetting { offset: *offset, data: data.clone() })
            }
            PassCommand::Dispatch(workgroups) => host::PassCommand::Dispatch(*workgroups),
            PassCommand::DispatchIndirect { memory, offset } => {
                host::PassCommand::DispatchIndirect(host::IndirectDispatch { buffer: memory.get()?, offset: *offset })
            }
        })
    }
}
