//! Turns the handles in the arguments of a guest into the numbers of objects.
//!
//! Every object must be of the device whose function is called.

use std::sync::Arc;

use wasmtime::component::{Resource, ResourceTable, ResourceTableError};

use super::{
    BindGroupHandle, BindGroupLayout, BufferHandle, ComputePipeline, DeviceHandle, GpuState, PipelineLayout, QuerySet,
    ShaderModuleHandle, wit,
};
use crate::gpu::device::{Buffer, Device};
use crate::gpu::protocol::{
    BufferPosition, GpuCommand, GpuFailure, GroupEntry, ObjectDescriptor, ObjectId, PassCommand, Pipeline, Timestamps,
};

/// The most commands of one submission, including those of its passes.
const COMMANDS: usize = 1 << 16;

/// An object that was made from a device and that its guest knows by a handle.
pub(super) trait Made: Send + 'static {
    const WHAT: &'static str;
    fn device(&self) -> &Arc<Device>;
    fn id(&self) -> ObjectId;
}

macro_rules! made {
    ($($Type:ty: $what:literal;)+) => {
        $(impl Made for $Type {
            const WHAT: &'static str = $what;
            fn device(&self) -> &Arc<Device> {
                &self.0.device
            }
            fn id(&self) -> ObjectId {
                self.0.id
            }
        })+
    };
}

made! {
    BindGroupLayout: "bind group layout";
    BindGroupHandle: "bind group";
    PipelineLayout: "pipeline layout";
    ShaderModuleHandle: "shader module";
    ComputePipeline: "compute pipeline";
    QuerySet: "query set";
}

impl Made for BufferHandle {
    const WHAT: &'static str = "buffer";

    fn device(&self) -> &Arc<Device> {
        self.0.device()
    }

    fn id(&self) -> ObjectId {
        self.0.id()
    }
}

/// Resolves the handles that a guest gives to a function of a device.
struct Handles<'a> {
    table: &'a ResourceTable,
    device: &'a Arc<Device>,
}

impl Handles<'_> {
    /// Returns the number of an object, which must be of this device.
    fn id<T: Made>(&self, handle: &Resource<T>) -> Refusable<ObjectId> {
        let object = self.table.get(handle)?;
        match Arc::ptr_eq(object.device(), self.device) {
            true => Ok(object.id()),
            false => Err(GpuFailure::invalid(format_args!("the {} was made from another device", T::WHAT)).into()),
        }
    }

    fn position(&self, buffer: &Resource<BufferHandle>, offset: u64) -> Refusable<BufferPosition> {
        Ok(BufferPosition { buffer: self.id(buffer)?, offset })
    }
}

/// The reason why a function does not do what its guest asked.
pub(super) enum GpuRefusal {
    /// A mistake of the guest, or something that it may not have.
    Failure(GpuFailure),
    /// A handle that the guest does not have, or one handle too many.
    Trap(wasmtime::Error),
}

impl From<GpuFailure> for GpuRefusal {
    fn from(failure: GpuFailure) -> Self {
        GpuRefusal::Failure(failure)
    }
}

impl From<ResourceTableError> for GpuRefusal {
    fn from(error: ResourceTableError) -> Self {
        GpuRefusal::Trap(error.into())
    }
}

pub(super) type Refusable<T> = Result<T, GpuRefusal>;

impl GpuState {
    pub(super) fn device(&self, handle: &Resource<DeviceHandle>) -> Result<Arc<Device>, ResourceTableError> {
        Ok(self.table.get(handle)?.0.clone())
    }

    pub(super) fn group(
        &self,
        device: &Arc<Device>,
        layout: &Resource<BindGroupLayout>,
        entries: Vec<wit::BindGroupEntry>,
    ) -> Refusable<(ObjectDescriptor, Vec<Arc<Buffer>>)> {
        let handles = Handles { table: &self.table, device };
        let layout = handles.id(layout)?;
        let mut buffers = Vec::with_capacity(entries.len());
        let mut numbered = Vec::with_capacity(entries.len());
        for wit::BindGroupEntry { binding, buffer, offset, size } in entries {
            numbered.push(GroupEntry { binding, buffer: handles.id(&buffer)?, offset, size });
            buffers.push(self.table.get(&buffer)?.0.clone());
        }
        Ok((ObjectDescriptor::BindGroup { layout, entries: numbered }, buffers))
    }

    pub(super) fn layouts(
        &self,
        device: &Arc<Device>,
        layouts: &[Option<Resource<BindGroupLayout>>],
        immediate_size: u32,
    ) -> Refusable<ObjectDescriptor> {
        let handles = Handles { table: &self.table, device };
        let groups = layouts.iter().map(|layout| layout.as_ref().map(|layout| handles.id(layout)).transpose());
        Ok(ObjectDescriptor::PipelineLayout { groups: groups.collect::<Refusable<_>>()?, immediate_size })
    }

    pub(super) fn pipeline(
        &self,
        device: &Arc<Device>,
        descriptor: wit::ComputePipelineDescriptor,
    ) -> Refusable<ObjectDescriptor> {
        let handles = Handles { table: &self.table, device };
        Ok(ObjectDescriptor::ComputePipeline(Pipeline {
            layout: descriptor.layout.map(|layout| handles.id(&layout)).transpose()?,
            module: handles.id(&descriptor.module)?,
            entry_point: descriptor.entry_point,
            constants: descriptor.constants,
            zero_workgroup_memory: descriptor.zero_initialize_workgroup_memory,
        }))
    }

    pub(super) fn commands(&self, device: &Arc<Device>, commands: Vec<wit::Command>) -> Refusable<Vec<GpuCommand>> {
        let handles = Handles { table: &self.table, device };
        let commands = commands.into_iter().map(|command| handles.command(command)).collect::<Refusable<Vec<_>>>()?;
        let within = |command: &GpuCommand| match command {
            GpuCommand::ComputePass { commands, .. } => 1 + commands.len(),
            _ => 1,
        };
        match commands.iter().map(within).sum::<usize>() {
            ..=COMMANDS => Ok(commands),
            count => {
                let words = format_args!("{count} commands are more than the {COMMANDS} of one submission");
                Err(GpuFailure::unsupported(words).into())
            }
        }
    }
}

impl Handles<'_> {
    fn command(&self, command: wit::Command) -> Refusable<GpuCommand> {
        Ok(match command {
            wit::Command::ComputePass(pass) => {
                let timestamps = match pass.timestamps {
                    Some(timestamps) => Some(Timestamps {
                        queries: self.id(&timestamps.query_set)?,
                        beginning: timestamps.beginning,
                        end: timestamps.end,
                    }),
                    None => None,
                };
                let commands = pass.commands.into_iter().map(|command| self.pass_command(command));
                GpuCommand::ComputePass { label: pass.label, timestamps, commands: commands.collect::<Refusable<_>>()? }
            }
            wit::Command::CopyBuffer(copy) => GpuCommand::Copy {
                source: self.position(&copy.source, copy.source_offset)?,
                destination: self.position(&copy.destination, copy.destination_offset)?,
                size: copy.size,
            },
            wit::Command::ClearBuffer(clear) => {
                GpuCommand::Clear { from: self.position(&clear.buffer, clear.offset)?, size: clear.size }
            }
            wit::Command::ResolveQueries(resolve) => GpuCommand::Resolve {
                queries: self.id(&resolve.query_set)?,
                first: resolve.first,
                count: resolve.count,
                destination: self.position(&resolve.destination, resolve.destination_offset)?,
            },
        })
    }

    fn pass_command(&self, command: wit::PassCommand) -> Refusable<PassCommand> {
        Ok(match command {
            wit::PassCommand::SetPipeline(pipeline) => PassCommand::SetPipeline(self.id(&pipeline)?),
            wit::PassCommand::SetBindGroup(setting) => PassCommand::SetBindGroup {
                index: setting.index,
                group: setting.group.map(|group| self.id(&group)).transpose()?,
                offsets: setting.dynamic_offsets,
            },
            wit::PassCommand::SetImmediates(setting) => {
                PassCommand::SetImmediates { offset: setting.offset, data: setting.data }
            }
            wit::PassCommand::Dispatch(wit::Workgroups { x, y, z }) => PassCommand::Dispatch([x, y, z]),
            wit::PassCommand::DispatchIndirect(dispatch) => {
                PassCommand::DispatchIndirect(self.position(&dispatch.buffer, dispatch.offset)?)
            }
        })
    }
}
