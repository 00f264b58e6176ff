//! Records a list of commands as one of wgpu's command buffers.

use super::objects::{Buffer, Objects};
use super::timer::Timing;
use crate::gpu::protocol::{GpuCommand, GpuFailure, ObjectId, PassCommand, Result, Timestamps};

/// Records `commands`, and the times at their beginning and end if they are timed. It checks the objects that they
/// name. wgpu finds all other mistakes when the recording is finished.
pub(super) fn encode(
    device: &wgpu::Device,
    objects: &Objects,
    commands: &[GpuCommand],
    timing: Option<&Timing>,
) -> Result<wgpu::CommandBuffer> {
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None });
    if let Some(timing) = timing {
        timing.begin(&mut encoder);
    }
    for command in commands {
        match command {
            GpuCommand::ComputePass { label, timestamps, commands } => {
                pass(&mut encoder, objects, label.as_deref(), *timestamps, commands)?;
            }
            GpuCommand::Copy { source, destination, size } => {
                let from =
                    used(objects, source.buffer, wgpu::BufferUsages::COPY_SRC, "the source of a copy", "copy-src")?;
                let to = used(
                    objects,
                    destination.buffer,
                    wgpu::BufferUsages::COPY_DST,
                    "the destination of a copy",
                    "copy-dst",
                )?;
                encoder.copy_buffer_to_buffer(&from.raw, source.offset, &to.raw, destination.offset, Some(*size));
            }
            GpuCommand::Clear { from, size } => {
                let buffer = used(objects, from.buffer, wgpu::BufferUsages::COPY_DST, "a buffer to clear", "copy-dst")?;
                encoder.clear_buffer(&buffer.raw, from.offset, *size);
            }
            GpuCommand::Resolve { queries, first, count, destination } => {
                let to = objects.buffer(destination.buffer)?;
                let end =
                    first.checked_add(*count).ok_or_else(|| GpuFailure::invalid("the last query has no number"))?;
                encoder.resolve_query_set(objects.query_set(*queries)?, *first..end, &to.raw, destination.offset);
            }
        }
    }
    if let Some(timing) = timing {
        timing.end(&mut encoder);
    }
    Ok(encoder.finish())
}

/// Returns the buffer `id`, if its guest requested it with `usage`. wgpu does not check that, because the real buffer
/// may have more usages.
fn used<'a>(
    objects: &'a Objects,
    id: ObjectId,
    usage: wgpu::BufferUsages,
    role: &str,
    name: &str,
) -> Result<&'a Buffer> {
    let buffer = objects.buffer(id)?;
    match buffer.usage.contains(usage) {
        true => Ok(buffer),
        false => Err(GpuFailure::invalid(format_args!("{role} has not the usage `{name}`"))),
    }
}

fn pass(
    encoder: &mut wgpu::CommandEncoder,
    objects: &Objects,
    label: Option<&str>,
    timestamps: Option<Timestamps>,
    commands: &[PassCommand],
) -> Result<()> {
    let timestamp_writes = match timestamps {
        None => None,
        Some(Timestamps { queries, beginning, end }) => Some(wgpu::ComputePassTimestampWrites {
            query_set: objects.query_set(queries)?,
            beginning_of_pass_write_index: beginning,
            end_of_pass_write_index: end,
        }),
    };
    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label, timestamp_writes });
    for command in commands {
        match command {
            PassCommand::SetPipeline(pipeline) => pass.set_pipeline(objects.compute_pipeline(*pipeline)?),
            PassCommand::SetBindGroup { index, group, offsets } => {
                let group = group.map(|group| objects.bind_group(group)?.usable()).transpose()?;
                pass.set_bind_group(*index, group, offsets);
            }
            PassCommand::SetImmediates { offset, data } => pass.set_immediates(*offset, data),
            PassCommand::Dispatch([x, y, z]) => pass.dispatch_workgroups(*x, *y, *z),
            PassCommand::DispatchIndirect(from) => {
                pass.dispatch_workgroups_indirect(&objects.buffer(from.buffer)?.raw, from.offset);
            }
        }
    }
    Ok(())
}
