//! Functions with arguments that they must take and others that they must refuse.

use chainlet::Result;

use super::gpu::{
    self, BindGroupEntry, BindGroupLayoutEntry, BufferBindingKind, BufferClear, BufferCopy, BufferUsages, Command,
    ComputePass, ComputePipelineDescriptor, DeviceDescriptor, ErrorKind, Features, IndirectDispatch, Limits,
    PassCommand, PassTimestamps, QueryResolve, Workgroups,
};
use super::{buffer, device, fine, holds, pass, pipeline, refused, run, storage};

const DOUBLE: &str = "
    @group(0) @binding(0) var<storage, read_write> all: array<u32>;
    @compute @workgroup_size(1) fn main(@builtin(global_invocation_id) id: vec3<u32>) { all[id.x] *= 2u; }
";

pub fn requests() -> Result<()> {
    let adapters = gpu::adapters();
    let adapter = adapters.first().ok_or("there is no adapter")?;
    let request = |features, limits| {
        let descriptor =
            DeviceDescriptor { label: Some("x".repeat(1_000)), required_features: features, required_limits: limits };
        adapter.request_device(&descriptor)
    };
    let plain = fine(request(Features::empty(), None))?;
    holds("without features", plain.features().is_empty())?;
    holds("the limits of WebGPU", plain.limits().max_compute_workgroups_per_dimension == 65_535)?;
    let most = adapter.limits();
    refused(
        "more groups than there are",
        ErrorKind::Unsupported,
        "max_bind_groups",
        request(Features::empty(), Some(Limits { max_bind_groups: u32::MAX, ..most })),
    )?;
    let quota = most.max_buffer_size;
    let beyond = Limits { max_buffer_size: quota + 1, ..most };
    refused(
        "more than the quota",
        ErrorKind::Unsupported,
        "max_buffer_size",
        request(Features::empty(), Some(beyond)),
    )?;
    for alignment in [0, 1, 3, 100] {
        let limits = Limits { min_storage_buffer_offset_alignment: alignment, ..most };
        refused("an odd alignment", ErrorKind::Unsupported, "", request(Features::empty(), Some(limits)))?;
    }
    let missing = Features::all() - adapter.features();
    if !missing.is_empty() {
        refused("features that are not there", ErrorKind::Unsupported, "features", request(missing, None))?;
    }
    let all = fine(request(adapter.features(), Some(most)))?;
    holds("all features", all.features() == adapter.features())?;
    holds("a tick", all.timestamp_period() > 0.0)
}

pub fn buffers() -> Result<()> {
    let device = device()?;
    let make = |size, usage| buffer(&device, size, usage);
    fine(make(0, BufferUsages::STORAGE))?;
    fine(make(64, BufferUsages::all() - BufferUsages::MAP_READ - BufferUsages::MAP_WRITE))?;
    fine(make(64, BufferUsages::MAP_READ | BufferUsages::COPY_DST))?;
    fine(make(64, BufferUsages::MAP_WRITE | BufferUsages::COPY_SRC))?;
    refused("no usage", ErrorKind::Invalid, "usage", make(64, BufferUsages::empty()))?;
    let (read, write) = (BufferUsages::MAP_READ, BufferUsages::MAP_WRITE);
    refused("map-read and storage", ErrorKind::Invalid, "copy-dst", make(64, read | BufferUsages::STORAGE))?;
    refused("map-write and storage", ErrorKind::Invalid, "copy-src", make(64, write | BufferUsages::STORAGE))?;
    for (usage, with) in [(read, BufferUsages::COPY_DST), (write, BufferUsages::COPY_SRC)] {
        refused("an odd size", ErrorKind::Invalid, "multiple", make(6, usage | with))?;
    }
    refused("more than there is", ErrorKind::Quota, "resources.gpu.memory", make(1 << 40, BufferUsages::STORAGE))?;
    refused("all that a number holds", ErrorKind::Quota, "", make(u64::MAX, BufferUsages::STORAGE))
}

pub async fn ranges() -> Result<()> {
    let device = device()?;
    let usages = [BufferUsages::STORAGE, BufferUsages::MAP_READ | BufferUsages::COPY_DST, BufferUsages::UNIFORM];
    for usage in usages {
        let buffer = fine(buffer(&device, 64, usage))?;
        fine(buffer.write(0, &[1; 64]))?;
        fine(buffer.write(4, &[2; 8]))?;
        fine(buffer.write(64, &[]))?;
        let mut expected = [1; 64];
        expected[4..12].fill(2);
        holds("what was written, at once", fine(buffer.read_blocking(0, 64))? == expected)?;
        holds("a part of it, later", fine(buffer.read(4, 12).await)? == expected[4..16])?;
        holds("nothing of it", fine(buffer.read(64, 0).await)?.is_empty())?;
        refused("a write beyond the end", ErrorKind::Invalid, "64", buffer.write(60, &[0; 8]))?;
        refused("a write far beyond", ErrorKind::Invalid, "", buffer.write(u64::MAX - 3, &[0; 4]))?;
        refused("an odd offset", ErrorKind::Invalid, "multiples", buffer.write(2, &[0; 4]))?;
        refused("an odd size", ErrorKind::Invalid, "multiples", buffer.write(0, &[0; 3]))?;
        refused("a read beyond the end", ErrorKind::Invalid, "64", buffer.read_blocking(0, 68))?;
        refused("a read far beyond", ErrorKind::Invalid, "", buffer.read(u64::MAX - 3, 8).await)?;
        refused("an odd read", ErrorKind::Invalid, "multiples", buffer.read(0, 2).await)?;
        holds("still what it was", fine(buffer.read_blocking(0, 64))? == expected)?;
    }
    Ok(())
}

pub fn groups() -> Result<()> {
    let device = device()?;
    let entry = |binding, kind| BindGroupLayoutEntry { binding, kind, has_dynamic_offset: false, min_binding_size: 16 };
    let layout = |entries: &[BindGroupLayoutEntry]| device.create_bind_group_layout(Some("layout"), entries);
    let [first, second] = [0, 1].map(|binding| entry(binding, BufferBindingKind::Storage));
    refused("a binding twice", ErrorKind::Invalid, "0", layout(&[first, first]))?;
    refused("a binding too far", ErrorKind::Invalid, "", layout(&[entry(u32::MAX, BufferBindingKind::Uniform)]))?;
    let layout = fine(layout(&[first, second]))?;
    let (storage, uniform) = (storage(&device, 64)?, fine(buffer(&device, 64, BufferUsages::UNIFORM))?);
    let bind = |buffers: &[(u32, &gpu::Buffer, u64, Option<u64>)]| {
        let entries: Vec<_> = buffers
            .iter()
            .map(|(binding, buffer, offset, size)| BindGroupEntry {
                binding: *binding,
                buffer,
                offset: *offset,
                size: *size,
            })
            .collect();
        device.create_bind_group(None, &layout, &entries)
    };
    fine(bind(&[(0, &storage, 0, Some(32)), (1, &storage, 32, None)]).or_else(|_| {
        // Offsets have to be aligned as the adapter says.
        bind(&[(0, &storage, 0, None), (1, &storage, 0, None)])
    }))?;
    refused("a binding left out", ErrorKind::Invalid, "", bind(&[(0, &storage, 0, None)]))?;
    refused("a wrong usage", ErrorKind::Invalid, "", bind(&[(0, &storage, 0, None), (1, &uniform, 0, None)]))?;
    refused("too few bytes", ErrorKind::Invalid, "", bind(&[(0, &storage, 0, Some(4)), (1, &storage, 0, None)]))?;
    refused("no bytes", ErrorKind::Invalid, "no bytes", bind(&[(0, &storage, 0, Some(0)), (1, &storage, 0, None)]))?;
    refused("beyond the end", ErrorKind::Invalid, "", bind(&[(0, &storage, 0, Some(128)), (1, &storage, 0, None)]))?;
    let too_many: Vec<_> = (0..64).map(|_| Some(&layout)).collect();
    refused("too many groups", ErrorKind::Invalid, "", device.create_pipeline_layout(None, &too_many, 0))?;
    refused("immediates", ErrorKind::Invalid, "", device.create_pipeline_layout(None, &[Some(&layout)], 64))
}

pub fn shaders() -> Result<()> {
    let device = device()?;
    let wrong = "@compute @workgroup_size(1) fn main() {\n    let x: u32 = 1.5;\n}";
    refused("a wrong type", ErrorKind::Invalid, ":2:", device.create_shader_module(None, wrong))?;
    refused("no WGSL at all", ErrorKind::Invalid, "", device.create_shader_module(None, "#include <stdio.h>"))?;
    fine(device.create_shader_module(Some("empty"), ""))?;
    let big = "@compute @workgroup_size(65536, 65536) fn main() {}";
    match device.create_shader_module(None, big) {
        Ok(_) => refused("a workgroup too large", ErrorKind::Invalid, "", pipeline(&device, big)),
        Err(error) => holds("the workgroup is invalid", error.kind == ErrorKind::Invalid),
    }
}

pub fn pipelines() -> Result<()> {
    let device = device()?;
    let wgsl = "
        override factor: u32 = 2u;
        @id(7) override other: f32;
        @group(0) @binding(0) var<storage, read_write> all: array<u32>;
        @compute @workgroup_size(1) fn one() { all[0] = factor; }
        @compute @workgroup_size(1) fn two() { all[0] = factor * u32(other); }
    ";
    let module = fine(device.create_shader_module(None, wgsl))?;
    let make = |entry_point: Option<&str>, constants: &[(&str, f64)]| {
        device.create_compute_pipeline(&ComputePipelineDescriptor {
            label: None,
            layout: None,
            module: &module,
            entry_point: entry_point.map(str::to_owned),
            constants: constants.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
            zero_initialize_workgroup_memory: true,
        })
    };
    let all = storage(&device, 64)?;
    fine(run(&device, &fine(make(Some("two"), &[("factor", 3.0), ("7", 5.0)]))?, &all, 1))?;
    holds("the constants", fine(all.read_blocking(0, 4))? == [15, 0, 0, 0])?;
    refused("which of two", ErrorKind::Invalid, "", make(None, &[("7", 1.0)]))?;
    refused("no such function", ErrorKind::Invalid, "", make(Some("three"), &[]))?;
    refused("no such constant", ErrorKind::Invalid, "", make(Some("one"), &[("nothing", 1.0)]))?;
    refused("a constant without a value", ErrorKind::Invalid, "", make(Some("two"), &[]))?;
    refused("no number", ErrorKind::Invalid, "", make(Some("one"), &[("factor", f64::NAN)]))?;
    let large = "var<workgroup> all: array<u32, 1000000>; @compute @workgroup_size(1) fn main() { all[1] = 1u; }";
    refused("too much workgroup memory", ErrorKind::Invalid, "max-compute-workgroup", pipeline(&device, large))?;
    let made = fine(make(Some("one"), &[]))?;
    refused("a group that is not there", ErrorKind::Invalid, "", made.get_bind_group_layout(9))
}

pub fn dispatches() -> Result<()> {
    let device = device()?;
    let double = fine(pipeline(&device, DOUBLE))?;
    let all = storage(&device, 64)?;
    fine(all.write(0, &[1; 64]))?;
    fine(run(&device, &double, &all, 0))?;
    fine(run(&device, &double, &all, 16))?;
    holds("twice the number", fine(all.read_blocking(0, 64))? == [2; 64])?;
    refused("too many", ErrorKind::Invalid, "", run(&device, &double, &all, u32::MAX))?;
    let dispatch = || PassCommand::Dispatch(Workgroups { x: 1, y: 1, z: 1 });
    refused("without a pipeline", ErrorKind::Invalid, "", device.submit(&[pass(vec![dispatch()])]))?;
    let commands = vec![PassCommand::SetPipeline(&double), dispatch()];
    refused("without a group", ErrorKind::Invalid, "", device.submit(&[pass(commands)]))?;
    fine(device.submit(&[]))?;

    let sizes = fine(buffer(&device, 16, BufferUsages::INDIRECT))?;
    fine(sizes.write(0, &[16_u32, 1, 1, 0].map(u32::to_le_bytes).concat()))?;
    let layout = fine(double.get_bind_group_layout(0))?;
    let entry = BindGroupEntry { binding: 0, buffer: &all, offset: 0, size: None };
    let group = fine(device.create_bind_group(None, &layout, &[entry]))?;
    let indirect = |offset| {
        device.submit(&[pass(vec![
            PassCommand::SetPipeline(&double),
            PassCommand::SetBindGroup(gpu::BindGroupSetting {
                index: 0,
                group: Some(&group),
                dynamic_offsets: Vec::new(),
            }),
            PassCommand::DispatchIndirect(IndirectDispatch { buffer: &sizes, offset }),
        ])])
    };
    fine(indirect(0))?;
    holds("twice again", fine(all.read_blocking(0, 64))? == [4; 64])?;
    refused("sizes beyond the end", ErrorKind::Invalid, "", indirect(8))?;
    refused("sizes at an odd place", ErrorKind::Invalid, "", indirect(2))
}

pub fn copies() -> Result<()> {
    let device = device()?;
    let (from, to) = (storage(&device, 64)?, storage(&device, 64)?);
    let bare = fine(buffer(&device, 64, BufferUsages::STORAGE))?;
    fine(from.write(0, &[7; 64]))?;
    let copy = |source, source_offset, destination, destination_offset, size| {
        let copy = BufferCopy { source, source_offset, destination, destination_offset, size };
        device.submit(&[Command::CopyBuffer(copy)])
    };
    fine(copy(&from, 0, &to, 32, 16))?;
    let mut expected = [0; 64];
    expected[32..48].fill(7);
    holds("a copied part", fine(to.read_blocking(0, 64))? == expected)?;
    refused("beyond the end", ErrorKind::Invalid, "", copy(&from, 60, &to, 0, 8))?;
    refused("far beyond the end", ErrorKind::Invalid, "", copy(&from, u64::MAX - 3, &to, 0, 8))?;
    refused("at an odd place", ErrorKind::Invalid, "", copy(&from, 2, &to, 0, 4))?;
    refused("within itself", ErrorKind::Invalid, "", copy(&from, 0, &from, 32, 16))?;
    refused("out of what may not", ErrorKind::Invalid, "copy-src", copy(&bare, 0, &to, 0, 4))?;
    refused("into what may not", ErrorKind::Invalid, "copy-dst", copy(&from, 0, &bare, 0, 4))?;
    let clear = |buffer, offset, size| device.submit(&[Command::ClearBuffer(BufferClear { buffer, offset, size })]);
    fine(clear(&to, 32, Some(8)))?;
    expected[32..40].fill(0);
    holds("a cleared part", fine(to.read_blocking(0, 64))? == expected)?;
    fine(clear(&to, 0, None))?;
    holds("a cleared whole", fine(to.read_blocking(0, 64))? == [0; 64])?;
    refused("a clear beyond the end", ErrorKind::Invalid, "", clear(&to, 60, Some(8)))?;
    refused("a clear of what may not", ErrorKind::Invalid, "copy-dst", clear(&bare, 0, None))
}

pub fn nothing_of_a_bad_submission() -> Result<()> {
    let device = device()?;
    let (from, to) = (storage(&device, 64)?, storage(&device, 64)?);
    fine(from.write(0, &[7; 64]))?;
    let copy = |source_offset| {
        let (source, destination) = (&from, &to);
        Command::CopyBuffer(BufferCopy { source, source_offset, destination, destination_offset: 0, size: 16 })
    };
    refused("a good command and a bad one", ErrorKind::Invalid, "", device.submit(&[copy(0), copy(60)]))?;
    holds("nothing was copied", fine(to.read_blocking(0, 64))? == [0; 64])?;
    fine(device.submit(&[copy(0)])).map(drop)
}

pub fn another_device() -> Result<()> {
    let (one, two) = (device()?, device()?);
    let double = fine(pipeline(&one, DOUBLE))?;
    let theirs = storage(&two, 64)?;
    refused("a foreign buffer in a group", ErrorKind::Invalid, "another device", run(&one, &double, &theirs, 1))?;
    refused("a foreign pipeline", ErrorKind::Invalid, "", run(&two, &double, &theirs, 1))?;
    let clear = Command::ClearBuffer(BufferClear { buffer: &theirs, offset: 0, size: None });
    refused("a foreign buffer in a command", ErrorKind::Invalid, "another device", one.submit(&[clear]))?;
    fine(run(&two, &fine(pipeline(&two, DOUBLE))?, &theirs, 1)).map(drop)
}

pub async fn waits() -> Result<()> {
    let device = device()?;
    holds("none is done", device.completed() == 0)?;
    fine(device.wait(None).await)?;
    fine(device.wait_blocking(None))?;
    refused("one that is not", ErrorKind::Invalid, "5", device.wait(Some(5)).await)?;
    let double = fine(pipeline(&device, DOUBLE))?;
    let all = storage(&device, 64)?;
    let first = fine(run(&device, &double, &all, 16))?;
    let second = fine(run(&device, &double, &all, 16))?;
    holds("numbers grow", second > first)?;
    fine(device.wait(Some(first)).await)?;
    fine(device.wait_blocking(Some(second)))?;
    holds("both are done", device.completed() >= second)?;
    refused("one that is not yet", ErrorKind::Invalid, "", device.wait_blocking(Some(second + 1)))
}

pub fn destroyed() -> Result<()> {
    let one = device()?;
    let double = fine(pipeline(&one, DOUBLE))?;
    let (gone, stays) = (storage(&one, 64)?, storage(&one, 64)?);
    let layout = fine(double.get_bind_group_layout(0))?;
    let entry = BindGroupEntry { binding: 0, buffer: &gone, offset: 0, size: None };
    let group = fine(one.create_bind_group(None, &layout, &[entry]))?;
    gone.destroy();
    gone.destroy();
    refused("a write to a destroyed buffer", ErrorKind::Invalid, "destroyed", gone.write(0, &[0; 4]))?;
    refused("a read of a destroyed buffer", ErrorKind::Invalid, "destroyed", gone.read_blocking(0, 4))?;
    let with_group = one.submit(&[pass(vec![
        PassCommand::SetPipeline(&double),
        PassCommand::SetBindGroup(gpu::BindGroupSetting { index: 0, group: Some(&group), dynamic_offsets: Vec::new() }),
        PassCommand::Dispatch(Workgroups { x: 1, y: 1, z: 1 }),
    ])]);
    // The buffer is destroyed aside, so that the group may be good for a moment longer.
    if with_group.is_err() {
        refused("a group with a destroyed buffer", ErrorKind::Invalid, "destroyed", with_group)?;
    }
    fine(run(&one, &double, &stays, 1))?;
    one.destroy();
    let lost = ErrorKind::DeviceLost;
    refused("a write on a destroyed device", lost, "destroyed", stays.write(0, &[0; 4]))?;
    refused("a read on a destroyed device", lost, "destroyed", stays.read_blocking(0, 4))?;
    refused("a submission to a destroyed device", lost, "destroyed", run(&one, &double, &stays, 1))?;
    refused("a buffer of a destroyed device", lost, "destroyed", buffer(&one, 64, BufferUsages::STORAGE))?;
    refused("a wait for a destroyed device", lost, "destroyed", one.wait_blocking(None))?;
    let other = device()?;
    fine(run(&other, &fine(pipeline(&other, DOUBLE))?, &storage(&other, 64)?, 1)).map(drop)
}

pub fn timestamps() -> Result<()> {
    let device = device()?;
    holds("the adapter of the tests has timestamps", device.features().contains(Features::TIMESTAMP_QUERY))?;
    let queries = fine(device.create_query_set(None, 2))?;
    refused("too many queries", ErrorKind::Invalid, "", device.create_query_set(None, 1 << 20))?;
    let times = fine(buffer(&device, 512, BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC))?;
    let double = fine(pipeline(&device, DOUBLE))?;
    let all = storage(&device, 64)?;
    let layout = fine(double.get_bind_group_layout(0))?;
    let entry = BindGroupEntry { binding: 0, buffer: &all, offset: 0, size: None };
    let group = fine(device.create_bind_group(None, &layout, &[entry]))?;
    let timed = |end, first, offset| {
        let timestamps = PassTimestamps { query_set: &queries, beginning: Some(0), end: Some(end) };
        let commands = vec![
            PassCommand::SetPipeline(&double),
            PassCommand::SetBindGroup(gpu::BindGroupSetting {
                index: 0,
                group: Some(&group),
                dynamic_offsets: Vec::new(),
            }),
            PassCommand::Dispatch(Workgroups { x: 16, y: 1, z: 1 }),
        ];
        let (query_set, destination) = (&queries, &times);
        device.submit(&[
            Command::ComputePass(ComputePass { label: None, timestamps: Some(timestamps), commands }),
            Command::ResolveQueries(QueryResolve {
                query_set,
                first,
                count: 2,
                destination,
                destination_offset: offset,
            }),
        ])
    };
    fine(timed(1, 0, 256))?;
    let read = fine(times.read_blocking(256, 16))?;
    let ticks: Vec<_> =
        read.chunks_exact(8).map(|tick| u64::from_le_bytes(tick.try_into().unwrap_or_default())).collect();
    holds("time goes on", matches!(ticks.as_slice(), [begin, end] if *begin > 0 && end >= begin))?;
    refused("a query that is not there", ErrorKind::Invalid, "", timed(7, 0, 0))?;
    refused("queries that are not there", ErrorKind::Invalid, "", timed(1, u32::MAX, 0))?;
    refused("an odd place for times", ErrorKind::Invalid, "", timed(1, 0, 8))
}
