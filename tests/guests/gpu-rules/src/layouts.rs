//! Layouts and groups that fit together, and those that do not.

use chainlet::Result;

use crate::gpu::BufferBindingKind::{ReadOnlyStorage, Storage, Uniform};
use crate::gpu::{BindGroupEntry, BindGroupLayout, BindGroupLayoutEntry, BufferBindingKind, BufferUsages};
use crate::lab::{Lab, Told, entry};
use crate::steps::Steps;

/// A binding without a dynamic offset and without a smallest size.
pub const fn binding(number: u32, kind: BufferBindingKind) -> BindGroupLayoutEntry {
    BindGroupLayoutEntry { binding: number, kind, has_dynamic_offset: false, min_binding_size: 0 }
}

pub const fn dynamic(number: u32, kind: BufferBindingKind) -> BindGroupLayoutEntry {
    BindGroupLayoutEntry { binding: number, kind, has_dynamic_offset: true, min_binding_size: 0 }
}

pub fn layout(lab: &Lab, entries: &[BindGroupLayoutEntry]) -> Told<BindGroupLayout> {
    lab.device.create_bind_group_layout(None, entries)
}

/// Returns `count` bindings of one kind, numbered from 0.
fn several(count: u32, kind: BufferBindingKind) -> Vec<BindGroupLayoutEntry> {
    (0..count).map(|number| binding(number, kind)).collect()
}

pub fn layouts() -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::plain()?;
    let limits = lab.device.limits();
    let make = |entries: &[BindGroupLayoutEntry]| layout(&lab, entries);
    steps.ok("nothing", make(&[]));
    for kind in [Uniform, Storage, ReadOnlyStorage] {
        steps.ok(&format!("{kind:?}"), make(&[binding(0, kind)]));
        steps.ok(&format!("a moving {kind:?}"), make(&[dynamic(7, kind)]));
        let sized = BindGroupLayoutEntry { min_binding_size: 256, ..binding(0, kind) };
        steps.ok(&format!("a {kind:?} with a size"), make(&[sized]));
    }
    steps.ok("numbers in any order", make(&[binding(5, Storage), binding(2, Uniform), binding(9, ReadOnlyStorage)]));
    steps.invalid("a number twice", make(&[binding(3, Storage), binding(3, Uniform)]));
    let most = limits.max_bindings_per_bind_group;
    steps.ok("the last number", make(&[binding(most - 1, Storage)]));
    steps.invalid("a number beyond it", make(&[binding(most, Storage)]));
    steps.invalid("the last of all numbers", make(&[binding(u32::MAX, Storage)]));
    let most = limits.max_storage_buffers_per_shader_stage;
    steps.ok("as many storages as there may be", make(&several(most, Storage)));
    steps.invalid("one storage more", make(&several(most + 1, ReadOnlyStorage)));
    let most = limits.max_uniform_buffers_per_shader_stage;
    steps.ok("as many uniforms as there may be", make(&several(most, Uniform)));
    steps.invalid("one uniform more", make(&several(most + 1, Uniform)));
    let moving = |count, kind| (0..count).map(|number| dynamic(number, kind)).collect::<Vec<_>>();
    let most = limits.max_dynamic_storage_buffers_per_pipeline_layout;
    steps.ok("as many moving storages as there may be", make(&moving(most, Storage)));
    steps.invalid("one moving storage more", make(&moving(most + 1, Storage)));
    let most = limits.max_dynamic_uniform_buffers_per_pipeline_layout;
    steps.ok("as many moving uniforms as there may be", make(&moving(most, Uniform)));
    steps.invalid("one moving uniform more", make(&moving(most + 1, Uniform)));
    steps.end()
}

pub fn groups() -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::plain()?;
    let limits = lab.device.limits();
    let buffer = lab.storage(1024)?;
    let group =
        |layout: &BindGroupLayout, entries: &[BindGroupEntry<'_>]| lab.device.create_bind_group(None, layout, entries);
    let none = layout(&lab, &[])?;
    steps.ok("nothing for nothing", group(&none, &[]));
    steps.invalid("something for nothing", group(&none, &[entry(0, &buffer, 0, None)]));
    let two = layout(&lab, &[binding(1, Storage), binding(4, ReadOnlyStorage)])?;
    let (first, second) = (|| entry(1, &buffer, 0, None), || entry(4, &buffer, 256, Some(64)));
    steps.ok("each its own", group(&two, &[first(), second()]));
    steps.ok("in another order", group(&two, &[second(), first()]));
    steps.invalid("one is missing", group(&two, &[first()]));
    steps.invalid("none is there", group(&two, &[]));
    steps.invalid("one too many", group(&two, &[first(), second(), entry(5, &buffer, 0, None)]));
    steps.invalid("another number", group(&two, &[first(), entry(5, &buffer, 0, None)]));
    steps.invalid("one twice", group(&two, &[first(), first()]));

    let one = layout(&lab, &[binding(0, Storage)])?;
    let bound = |offset, size| group(&one, &[entry(0, &buffer, offset, size)]);
    let step = u64::from(limits.min_storage_buffer_offset_alignment);
    steps.ok("a part", bound(step, Some(4)));
    steps.ok("to the end", bound(step, None));
    steps.ok("exactly to the end", bound(step, Some(1024 - step)));
    steps.invalid("an odd offset", bound(4, None));
    steps.invalid("an odd size", bound(0, Some(6)));
    steps.invalid("no bytes", bound(0, Some(0)));
    steps.invalid("nothing left", bound(1024, None));
    steps.invalid("beyond the end", bound(step, Some(1024)));
    steps.invalid("from beyond the end", bound(2048, Some(4)));
    steps.invalid("far beyond the end", bound(!(step - 1), Some(4)));
    steps.invalid("more than numbers hold", bound(step, Some(u64::MAX - 3)));
    steps.invalid("an empty buffer", group(&one, &[entry(0, &lab.storage(0)?, 0, None)]));

    let sized = layout(&lab, &[BindGroupLayoutEntry { min_binding_size: 512, ..binding(0, Storage) }])?;
    steps.ok("as much as is wanted", group(&sized, &[entry(0, &buffer, 0, Some(512))]));
    steps.invalid("less than is wanted", group(&sized, &[entry(0, &buffer, 0, Some(508))]));
    steps.invalid("less left than is wanted", group(&sized, &[entry(0, &buffer, 768, None)]));

    for (kind, usage) in
        [(Uniform, BufferUsages::UNIFORM), (Storage, BufferUsages::STORAGE), (ReadOnlyStorage, BufferUsages::STORAGE)]
    {
        let layout = layout(&lab, &[binding(0, kind)])?;
        let of = |usage| lab.buffer(256, usage);
        steps.ok(&format!("{kind:?}"), group(&layout, &[entry(0, &of(usage)?, 0, None)]));
        for other in BufferUsages::all() - usage {
            let what = format!("{other:?} as {kind:?}");
            steps.invalid(&what, group(&layout, &[entry(0, &of(other)?, 0, None)]));
        }
    }

    let most = limits.max_uniform_buffer_binding_size;
    let (uniform, large) = (layout(&lab, &[binding(0, Uniform)])?, lab.storage(2 * most)?);
    steps.ok("a uniform as large as may be", group(&uniform, &[entry(0, &large, 0, Some(most))]));
    steps.invalid("a larger uniform", group(&uniform, &[entry(0, &large, 0, Some(most + 16))]));
    steps.invalid("a uniform too large by itself", group(&uniform, &[entry(0, &large, 0, None)]));
    steps.end()
}

pub fn pipeline_layouts() -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::plain()?;
    let limits = lab.device.limits();
    let make =
        |groups: &[Option<&BindGroupLayout>], immediates| lab.device.create_pipeline_layout(None, groups, immediates);
    let one = layout(&lab, &[binding(0, Storage)])?;
    steps.ok("no groups", make(&[], 0));
    steps.ok("one group", make(&[Some(&one)], 0));
    steps.ok("a group that is left out", make(&[None, Some(&one)], 0));
    steps.ok("groups that are all left out", make(&[None, None], 0));
    let most = limits.max_bind_groups as usize;
    steps.ok("as many as there may be", make(&vec![Some(&one); most], 0));
    steps.invalid("one more", make(&vec![Some(&one); most + 1], 0));
    steps.invalid("many more that are left out", make(&vec![None; 10_000], 0));
    let half = layout(&lab, &several(limits.max_storage_buffers_per_shader_stage / 2 + 1, Storage))?;
    steps.invalid("too many storages in all", make(&[Some(&half), Some(&half)], 0));
    for size in [4, 2, 128, u32::MAX] {
        steps.invalid(&format!("{size} bytes of immediates without the feature"), make(&[], size));
    }
    steps.end()
}
