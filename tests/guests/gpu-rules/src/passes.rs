//! Passes: dispatches, their bindings and their order.

use chainlet::Result;

use crate::gpu::BufferBindingKind::Storage;
use crate::gpu::{
    BindGroup, BindGroupSetting, Buffer, BufferUsages, ComputePipeline, ComputePipelineDescriptor, Features,
    ImmediatesSetting, IndirectDispatch, PassCommand,
};
use crate::lab::{INCREMENT, Lab, Told, copy, described, dispatch, entry, numbers, pass, read, set, set_at};
use crate::layouts::{dynamic, layout};
use crate::steps::Steps;

const COUNT: &str = "
    @group(0) @binding(0) var<storage, read_write> count: array<atomic<u32>>;
    @compute @workgroup_size(1) fn main() { atomicAdd(&count[0], 1u); }
";

/// Returns commands that follow a pipeline and its only group.
fn with<'a>(
    pipeline: &'a ComputePipeline,
    group: &'a BindGroup,
    commands: impl IntoIterator<Item = PassCommand<'a>>,
) -> Vec<PassCommand<'a>> {
    [PassCommand::SetPipeline(pipeline), set(0, group)].into_iter().chain(commands).collect()
}

pub fn dispatches() -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::plain()?;
    let count = lab.storage(64)?;
    let pipeline = lab.pipeline(COUNT)?;
    let group = lab.group_of(&pipeline, &[&count])?;
    let run = |x, y, z| lab.submit(with(&pipeline, &group, [dispatch(x, y, z)]));
    let mut expected = 0;
    for (x, y, z) in [(1, 1, 1), (0, 0, 0), (0, 5, 5), (5, 0, 5), (5, 5, 0), (3, 4, 5), (65_535, 1, 1), (1, 1, 3_000)] {
        steps.ok(&format!("{x}, {y}, {z}"), run(x, y, z));
        expected += x * y * z;
        steps.equal("one for each", read(&count, 1)?, vec![expected]);
    }
    for (x, y, z) in [(65_536, 1, 1), (1, 65_536, 1), (1, 1, 65_536), (u32::MAX, u32::MAX, u32::MAX), (65_536, 0, 0)] {
        steps.invalid(&format!("{x}, {y}, {z}"), run(x, y, z));
    }
    steps.equal("nothing of it", read(&count, 1)?, vec![expected]);
    steps.ok("an empty pass", lab.submit(Vec::new()));
    steps.ok("a pass without a dispatch", lab.submit(with(&pipeline, &group, [])));
    steps.invalid("without a pipeline", lab.submit(vec![set(0, &group), dispatch(1, 1, 1)]));
    steps.invalid("without either, of nothing", lab.submit(vec![dispatch(0, 0, 0)]));
    steps.invalid("without a group", lab.submit(vec![PassCommand::SetPipeline(&pipeline), dispatch(1, 1, 1)]));
    let away = PassCommand::SetBindGroup(BindGroupSetting { index: 0, group: None, dynamic_offsets: Vec::new() });
    let commands = with(&pipeline, &group, [away, dispatch(1, 1, 1)]);
    steps.invalid("a group that is taken away", lab.submit(commands));
    let other = PassCommand::SetPipeline(&pipeline);
    steps.invalid("a group at another place", lab.submit(vec![other, set(1, &group), dispatch(1, 1, 1)]));
    steps.invalid("a group beyond the last", lab.submit(vec![set(4, &group)]));
    steps.invalid("a group far beyond", lab.submit(vec![set(u32::MAX, &group)]));
    let late = lab.submit(vec![set(0, &group), PassCommand::SetPipeline(&pipeline), dispatch(1, 1, 1)]);
    steps.ok("the group before the pipeline", late);

    // A layout that a pipeline made for itself fits only that pipeline.
    let twin = lab.pipeline(COUNT)?;
    steps.invalid("a group of another pipeline", lab.submit(with(&twin, &group, [dispatch(1, 1, 1)])));
    let sized = lab.pipeline(
        "@group(0) @binding(0) var<storage, read_write> all: array<vec4<u32>, 64>;
         @compute @workgroup_size(1) fn main() { all[0] = vec4(1u); }",
    )?;
    steps.invalid("a buffer smaller than its type", lab.run(&sized, &[&count], 1));
    let both = lab.pipeline(
        "@group(0) @binding(0) var<storage, read_write> all: array<u32>;
         @group(0) @binding(1) var<storage, read> same: array<u32>;
         @compute @workgroup_size(1) fn main() { all[0] = same[1]; }",
    )?;
    steps.invalid("one buffer to read and to write", lab.run(&both, &[&count, &count], 1));
    steps.ok("two buffers to read and to write", lab.run(&both, &[&count, &lab.storage(64)?], 1));
    steps.end()
}

/// A dispatch sees the writes of the one before, within a pass and after it.
pub fn order() -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::plain()?;
    let all = lab.numbers(&[1, 0, 0, 0])?;
    let double = lab.pipeline(&INCREMENT.replace("+= 1u", "*= 2u"))?;
    let increment = lab.pipeline(INCREMENT)?;
    let (doubling, incrementing) = (lab.group_of(&double, &[&all])?, lab.group_of(&increment, &[&all])?);
    let step = |pipeline, group| with(pipeline, group, [dispatch(1, 1, 1)]);
    let round = || {
        let steps = [step(&double, &doubling), step(&increment, &incrementing), step(&double, &doubling)];
        steps.into_iter().flatten().collect()
    };
    let kept = lab.storage(16)?;
    let copy = || copy(&all, 0, &kept, 0, 4);
    lab.device.submit(&[pass(round()), copy(), pass(round())])?;
    steps.equal("within passes and between them", (read(&all, 1)?, read(&kept, 1)?), (vec![26], vec![6]));
    let many = (0..1_000).flat_map(|_| step(&increment, &incrementing)).collect();
    lab.submit(many)?;
    steps.equal("a thousand in a pass", read(&all, 1)?, vec![1_026]);
    lab.device.submit(&(0..500).map(|_| pass(step(&increment, &incrementing))).collect::<Vec<_>>())?;
    steps.equal("five hundred passes", read(&all, 1)?, vec![1_526]);
    steps.end()
}

fn at(buffer: &Buffer, offset: u64) -> PassCommand<'_> {
    PassCommand::DispatchIndirect(IndirectDispatch { buffer, offset })
}

pub fn indirect() -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::open()?;
    let count = lab.storage(64)?;
    let pipeline = lab.pipeline(COUNT)?;
    let group = lab.group_of(&pipeline, &[&count])?;

    let run = |buffer: &Buffer, offset| lab.submit(with(&pipeline, &group, [at(buffer, offset)]));
    let most = lab.device.limits().max_compute_workgroups_per_dimension;
    let sizes = lab.numbers(&[2, 3, 1, 5, 1, 0, 0, 0, most + 1, 1, 1, u32::MAX, u32::MAX, u32::MAX])?;
    steps.ok("the first three", run(&sizes, 0));
    steps.equal("six", read(&count, 1)?, vec![6]);
    steps.ok("from the second", run(&sizes, 4));
    steps.equal("three times one times five more", read(&count, 1)?, vec![21]);
    steps.ok("with a zero in it", run(&sizes, 12));
    for (what, offset) in [("more than there may be", 32), ("as many as numbers hold", 44)] {
        steps.ok(what, run(&sizes, offset));
        steps.equal(&format!("{what} are none"), read(&count, 1)?, vec![21]);
    }
    for offset in [1, 2, 48, 52, 56, 1 << 40, u64::MAX - 3] {
        steps.invalid(&format!("from {offset}"), run(&sizes, offset));
    }
    for usage in BufferUsages::all() - BufferUsages::INDIRECT {
        steps.invalid(&format!("sizes in {usage:?}"), run(&lab.buffer(64, usage)?, 0));
    }
    steps.invalid("without a pipeline", lab.submit(vec![at(&sizes, 0)]));
    // An earlier dispatch of the same pass has written the sizes.
    let planned = lab.storage(16)?;
    let plan = lab.pipeline(&INCREMENT.replace("all[id.x] += 1u", "all[id.x] = id.x + 2u"))?;
    let planning = lab.group_of(&plan, &[&planned])?;
    let mut commands = with(&plan, &planning, [dispatch(3, 1, 1)]);
    commands.extend(with(&pipeline, &group, [at(&planned, 0)]));
    steps.ok("sizes of this pass", lab.submit(commands));
    steps.equal("two times three times four more", read(&count, 1)?, vec![45]);
    // A dispatch cannot write the buffer from which it takes its sizes.
    let own = lab.group_of(&pipeline, &[&sizes])?;
    let commands = with(&pipeline, &own, [at(&sizes, 0)]);
    steps.invalid("sizes that are written", lab.submit(commands));
    steps.end()
}

pub fn dynamic_offsets() -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::plain()?;
    let moving = layout(&lab, &[dynamic(0, Storage)])?;
    let of_all = lab.device.create_pipeline_layout(None, &[Some(&moving)], 0)?;
    let module = lab.module(INCREMENT)?;
    let descriptor = ComputePipelineDescriptor { layout: Some(&of_all), ..described(&module) };
    let pipeline = lab.device.create_compute_pipeline(&descriptor)?;
    let all = lab.storage(1024)?;
    let group = lab.device.create_bind_group(None, &moving, &[entry(0, &all, 256, Some(256))])?;
    let run = |offsets: &[u32]| {
        lab.submit(vec![PassCommand::SetPipeline(&pipeline), set_at(0, &group, offsets), dispatch(1, 1, 1)])
    };
    for offset in [0, 256, 512] {
        steps.ok(&format!("{offset} bytes on"), run(&[offset]));
    }
    steps.invalid("beyond the end", run(&[768]));
    steps.invalid("far beyond the end", run(&[!255]));
    steps.invalid("an odd offset", run(&[4]));
    steps.invalid("none", run(&[]));
    steps.invalid("two", run(&[0, 0]));
    steps.invalid("very many", run(&vec![0; 100_000]));
    let found = read(&all, 256)?;
    let ones: Vec<_> = (0..).zip(&found).filter(|(_, value)| **value == 1).map(|(place, _)| place).collect();
    steps.equal("each at its place", ones, vec![64, 128, 192]);
    steps.end()
}

pub fn immediates() -> Result<String> {
    const SHADER: &str = "
        struct Given { one: u32, two: u32, three: u32, four: u32 }
        var<immediate> given: Given;
        @group(0) @binding(0) var<storage, read_write> all: array<u32>;
        @compute @workgroup_size(1) fn main() {
            all[0] = given.one; all[1] = given.two; all[2] = given.three; all[3] = given.four;
        }
    ";
    let mut steps = Steps::default();
    let give = |offset, data: &[u8]| PassCommand::SetImmediates(ImmediatesSetting { offset, data: data.to_vec() });
    let plain = Lab::plain()?;
    steps.invalid("a shader without the feature", plain.pipeline(SHADER));
    steps.invalid("data without the feature", plain.submit(vec![give(0, &[0; 4])]));

    let lab = Lab::open()?;
    steps.holds("the adapter has immediates", lab.device.features().contains(Features::IMMEDIATES));
    let most = lab.device.limits().max_immediate_size;
    let pipeline = lab.pipeline(SHADER)?;
    let all = lab.storage(16)?;
    let group = lab.group_of(&pipeline, &[&all])?;
    let run = |given: Vec<PassCommand<'static>>| -> Told<Vec<u32>> {
        lab.submit(with(&pipeline, &group, given.into_iter().chain([dispatch(1, 1, 1)])))?;
        Ok(numbers(&all.read_blocking(0, 16)?))
    };
    let bytes: Vec<u8> = (1..=16).collect();
    let expected = numbers(&bytes);
    let whole = steps.ok("whole", run(vec![give(0, &bytes)]));
    steps.equal("whole", whole, Some(expected.clone()));
    let (first, last) = bytes.split_at(8);
    let parts = steps.ok("in parts", run(vec![give(8, last), give(0, first)]));
    steps.equal("in parts", parts, Some(expected.clone()));
    let over = steps.ok("one over another", run(vec![give(0, &[9; 16]), give(0, &bytes)]));
    steps.equal("the last counts", over, Some(expected));
    steps.invalid("an odd offset", run(vec![give(2, &bytes)]));
    steps.invalid("an odd size", run(vec![give(0, &[0; 6])]));
    steps.invalid("beyond the end", run(vec![give(most, &bytes)]));
    steps.invalid("far beyond the end", run(vec![give(u32::MAX - 3, &bytes)]));
    steps.invalid("too much", run(vec![give(0, &vec![0; most as usize + 4])]));
    steps.invalid("very much", run(vec![give(0, &vec![0; 1 << 20])]));
    let layout = |size| lab.device.create_pipeline_layout(None, &[], size);
    steps.ok("a layout with all", layout(most));
    steps.invalid("a layout with more", layout(most + 4));
    steps.invalid("a layout with an odd size", layout(6));
    steps.end()
}

/// Drops buffers of a group, a pipeline or a list as soon as they are used.
pub fn dropped() -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::open()?;
    let result = lab.numbers(&[0; 16])?;
    for _ in 0..20 {
        let pipeline = lab.pipeline(INCREMENT)?;
        let group = lab.group_of(&pipeline, &[&result])?;
        lab.submit(with(&pipeline, &group, [dispatch(16, 1, 1)]))?;
        drop((group, pipeline));
        let passing = lab.numbers(&[7; 16])?;
        lab.device.submit(&[copy(&passing, 0, &result, 32, 4)])?;
        drop(passing);
    }
    steps.equal("all was done", read(&result, 9)?, [vec![20; 8], vec![7]].concat());
    // A group keeps its buffers alive.
    let pipeline = lab.pipeline(INCREMENT)?;
    let (kept, group) = {
        let buffer: Buffer = lab.numbers(&[1; 16])?;
        let kept = lab.storage(64)?;
        let sum = lab.pipeline(
            "@group(0) @binding(0) var<storage, read_write> to: array<u32>;
             @group(0) @binding(1) var<storage, read> source: array<u32>;
             @compute @workgroup_size(1) fn main(@builtin(workgroup_id) id: vec3<u32>) { to[id.x] = source[id.x] + 1u; }",
        )?;
        let group = lab.group_of(&sum, &[&kept, &buffer])?;
        (kept, (sum, group))
    };
    steps.ok("a group whose buffer is dropped", lab.submit(with(&group.0, &group.1, [dispatch(16, 1, 1)])));
    steps.equal("its buffer is there", read(&kept, 16)?, vec![2; 16]);
    // Drops everything that work needs while it is under way.
    let slow = lab.pipeline(crate::lab::SLOW)?;
    let numbers = lab.numbers(&[1; 16])?;
    lab.run(&slow, &[&numbers], 100)?;
    lab.run(&pipeline, &[&numbers], 1)?;
    drop((slow, pipeline, numbers));
    steps.ok("it ends", lab.device.wait_blocking(None));
    // A device lives as long as one of its objects.
    let Lab { device } = lab;
    drop(device);
    steps.ok("a write without the device's handle", kept.write(0, &[5; 4]));
    steps.equal("a read without the device's handle", kept.read_blocking(0, 4)?, vec![5; 4]);
    steps.end()
}
