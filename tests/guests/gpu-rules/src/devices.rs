//! Adapters and devices.

use std::result::Result as Told;

use chainlet::Result;

use crate::gpu::{self, BufferUsages, Device, DeviceDescriptor, Error, ErrorKind, Features, Limits};
use crate::lab::{INCREMENT, Lab, adapter, copy, described, read, request, soon};
use crate::layouts::{binding, layout};
use crate::steps::Steps;

/// All limits for which more is better: their names, how to read them, and how to set them.
macro_rules! maxima {
    ($($name:ident)+) => {
        const MAXIMA: &[(&str, fn(&Limits) -> u64, fn(&mut Limits) -> bool)] = &[
            $((
                stringify!($name),
                |limits| limits.$name.into(),
                |limits| limits.$name.checked_add(1).map(|more| limits.$name = more).is_some(),
            ),)+
        ];
    };
}

maxima! {
    max_bind_groups
    max_bindings_per_bind_group
    max_dynamic_uniform_buffers_per_pipeline_layout
    max_dynamic_storage_buffers_per_pipeline_layout
    max_storage_buffers_per_shader_stage
    max_uniform_buffers_per_shader_stage
    max_uniform_buffer_binding_size
    max_storage_buffer_binding_size
    max_buffer_size
    max_compute_workgroup_storage_size
    max_compute_invocations_per_workgroup
    max_compute_workgroup_size_x
    max_compute_workgroup_size_y
    max_compute_workgroup_size_z
    max_compute_workgroups_per_dimension
    max_immediate_size
}

fn same(one: &Limits, other: &Limits) -> bool {
    format!("{one:?}") == format!("{other:?}")
}

/// Describes the adapters in one line each.
pub fn describe() -> String {
    let lines = gpu::adapters().into_iter().map(|adapter| {
        let info = adapter.info();
        format!("{} {:?} {}", info.name, info.kind, info.backend)
    });
    lines.collect::<Vec<_>>().join(", ")
}

pub fn adapters() -> Result<String> {
    let mut steps = Steps::default();
    steps.equal("one adapter", gpu::adapters().len(), 1);
    let (one, other) = (adapter()?, adapter()?);
    let info = one.info();
    steps.equal("the same each time", format!("{info:?}"), format!("{:?}", other.info()));
    steps.holds("it has a name", !info.name.is_empty());
    steps.holds("it has a backend", ["vulkan", "metal", "dx12"].contains(&info.backend.as_str()));
    let (least, most) = (info.subgroup_min_size, info.subgroup_max_size);
    steps.holds("subgroups have sizes", least.is_power_of_two() && most.is_power_of_two() && least <= most);
    let limits = one.limits();
    steps.holds("the same limits each time", same(&limits, &other.limits()));
    steps.equal("the same features each time", one.features(), other.features());
    steps.equal("no buffer is larger than the quota", limits.max_buffer_size, 64 << 20);
    for alignment in [limits.min_uniform_buffer_offset_alignment, limits.min_storage_buffer_offset_alignment] {
        steps.holds("an alignment is a power of two", alignment.is_power_of_two());
    }
    let guaranteed = request(Features::empty(), None)??.limits();
    for (name, get, _) in MAXIMA {
        steps.holds(&format!("{name} is what WebGPU guarantees, or more"), get(&limits) >= get(&guaranteed));
    }
    steps.end()
}

pub fn requests() -> Result<String> {
    let mut steps = Steps::default();
    let adapter = adapter()?;
    let (features, limits) = (adapter.features(), adapter.limits());
    let plain = request(Features::empty(), None)??;
    steps.holds("no features unless asked for", plain.features().is_empty());
    let defaults = plain.limits();
    steps.equal("guaranteed groups", defaults.max_bind_groups, 4);
    steps.equal("guaranteed bindings", defaults.max_bindings_per_bind_group, 1000);
    steps.equal("guaranteed storage buffers", defaults.max_storage_buffers_per_shader_stage, 8);
    steps.equal("guaranteed storage bindings", defaults.max_storage_buffer_binding_size, 128 << 20);
    steps.equal("guaranteed workgroups", defaults.max_compute_workgroups_per_dimension, 65_535);
    steps.equal("guaranteed invocations", defaults.max_compute_invocations_per_workgroup, 256);
    steps.equal("no immediates", defaults.max_immediate_size, 0);
    drop(plain);
    for feature in features.iter() {
        let got = steps.ok(&format!("{feature:?} alone"), request(feature, None)?).map(|device| device.features());
        steps.equal("that feature and no other", got, Some(feature));
    }
    let all = steps.ok("all features and limits", request(features, Some(limits))?);
    if let Some(all) = all {
        steps.equal("all features", all.features(), features);
        steps.holds("all limits", same(&all.limits(), &limits));
        steps.holds("a tick takes time", all.timestamp_period() > 0.0);
    }
    let without = steps.ok("all limits without features", request(Features::empty(), Some(limits))?);
    let immediates = without.map(|device| device.limits().max_immediate_size);
    steps.equal("no immediates without the feature", immediates, Some(0));
    let missing = Features::all() - features;
    for feature in missing.iter() {
        steps.refused(&format!("{feature:?}, which is not there"), ErrorKind::Unsupported, request(feature, None)?);
    }
    for (name, _, more) in MAXIMA {
        let mut wanted = limits;
        if more(&mut wanted) {
            steps.refused(&format!("more {name}"), ErrorKind::Unsupported, request(features, Some(wanted))?);
        }
    }
    for alignment in [0, 1, 3, 100] {
        let uniform = Limits { min_uniform_buffer_offset_alignment: alignment, ..limits };
        let storage = Limits { min_storage_buffer_offset_alignment: alignment, ..limits };
        for wanted in [uniform, storage] {
            let what = format!("an alignment of {alignment}");
            steps.refused(&what, ErrorKind::Unsupported, request(features, Some(wanted))?);
        }
    }
    for label in ["x".repeat(100_000), "two\nlines\0and a zero".to_owned(), String::new()] {
        let descriptor =
            DeviceDescriptor { label: Some(label), required_features: Features::empty(), required_limits: None };
        steps.ok("any label", adapter.request_device(&descriptor));
    }
    steps.end()
}

/// One device more than allowed, and one that replaces a device that is gone.
pub fn many() -> Result<String> {
    let mut steps = Steps::default();
    let more = || request(Features::empty(), None);
    let mut devices: Vec<Device> = Vec::new();
    let refusal = loop {
        match more()? {
            Ok(device) if devices.len() < 100 => devices.push(device),
            Ok(_) => return Err("there is no end of devices".into()),
            Err(error) => break error,
        }
    };
    steps.holds("several devices at once", devices.len() >= 2);
    steps.refused("one device too many", ErrorKind::Quota, Told::<(), Error>::Err(refusal));
    drop(devices.pop());
    let again = soon(|| more().unwrap_or_else(|_| Err(Error { kind: ErrorKind::Invalid, message: String::new() })));
    devices.extend(steps.ok("one in the place of a dropped one", again));
    if let Some(device) = devices.pop() {
        device.destroy();
    }
    let again = soon(|| more().unwrap_or_else(|_| Err(Error { kind: ErrorKind::Invalid, message: String::new() })));
    steps.ok("one in the place of a destroyed one", again);
    steps.end()
}

/// Uses everything that a destroyed device has made.
pub async fn destroyed() -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::open()?;
    let module = lab.module(INCREMENT)?;
    let pipeline = lab.pipeline(INCREMENT)?;
    let layout = pipeline.get_bind_group_layout(0)?;
    let (buffer, other) = (lab.storage(64)?, lab.storage(64)?);
    let mapped = lab.buffer(64, BufferUsages::MAP_READ | BufferUsages::COPY_DST)?;
    lab.device.destroy();
    lab.device.destroy();
    let lost = ErrorKind::DeviceLost;
    steps.refused("a buffer", lost, lab.storage(64));
    steps.refused("a layout", lost, lab.device.create_bind_group_layout(None, &[]));
    steps.refused("a group", lost, lab.group(&layout, &[&buffer]));
    steps.refused("a pipeline's layout", lost, lab.device.create_pipeline_layout(None, &[Some(&layout)], 0));
    steps.refused("a shader", lost, lab.module(INCREMENT));
    steps.refused("a bad shader", lost, lab.module("no shader"));
    steps.refused("a pipeline", lost, lab.device.create_compute_pipeline(&described(&module)));
    steps.refused("a layout of a pipeline", lost, pipeline.get_bind_group_layout(0));
    steps.refused("queries", lost, lab.device.create_query_set(None, 2));
    steps.refused("nothing submitted", lost, lab.device.submit(&[]));
    steps.refused("a copy", lost, lab.device.submit(&[copy(&buffer, 0, &other, 0, 4)]));
    steps.refused("a wait", lost, lab.device.wait(None).await);
    steps.refused("a wait for the first", lost, lab.device.wait_blocking(Some(0)));
    steps.refused("a write", lost, buffer.write(0, &[0; 4]));
    steps.refused("a read", lost, buffer.read(0, 4).await);
    steps.refused("a read that blocks", lost, buffer.read_blocking(0, 4));
    steps.refused("a read of what can be mapped", lost, mapped.read(0, 4).await);
    buffer.destroy();
    let _ = (lab.device.completed(), lab.device.features(), lab.device.limits(), lab.device.timestamp_period());
    // Another device of the same instance is not affected.
    let other = Lab::plain()?;
    let numbers = other.numbers(&[1; 8])?;
    steps.ok("work on another device", other.run_shader(INCREMENT, &[&numbers], 8));
    steps.equal("its result", read(&numbers, 8)?, vec![2; 8]);
    steps.end()
}

/// Uses objects of one device with another.
pub fn strangers() -> Result<String> {
    let mut steps = Steps::default();
    let (ours, theirs) = (Lab::open()?, Lab::open()?);
    let (buffer, strange) = (ours.storage(512)?, theirs.storage(512)?);
    let (module, strange_module) = (ours.module(INCREMENT)?, theirs.module(INCREMENT)?);
    let (pipeline, strange_pipeline) = (ours.pipeline(INCREMENT)?, theirs.pipeline(INCREMENT)?);
    // A layout that a pipeline made for itself cannot be used for another pipeline.
    let entries = [binding(0, gpu::BufferBindingKind::Storage)];
    let (layout, strange_layout) = (layout(&ours, &entries)?, layout(&theirs, &entries)?);
    let strange_group = theirs.group(&strange_layout, &[&strange])?;
    let strange_group_of = theirs.group_of(&strange_pipeline, &[&strange])?;
    let (group, group_of) = (ours.group(&layout, &[&buffer])?, ours.group_of(&pipeline, &[&buffer])?);
    let strange_pipeline_layout = theirs.device.create_pipeline_layout(None, &[Some(&strange_layout)], 0)?;
    steps.invalid("a buffer in a group", ours.group(&layout, &[&strange]));
    steps.invalid("a layout of a group", ours.group(&strange_layout, &[&buffer]));
    steps.invalid("a layout in a layout", ours.device.create_pipeline_layout(None, &[Some(&strange_layout)], 0));
    steps.invalid("a shader", ours.device.create_compute_pipeline(&described(&strange_module)));
    let with_layout = gpu::ComputePipelineDescriptor { layout: Some(&strange_pipeline_layout), ..described(&module) };
    steps.invalid("a pipeline's layout", ours.device.create_compute_pipeline(&with_layout));
    let run = |pipeline, group| {
        use crate::lab::{dispatch, set};
        ours.submit(vec![gpu::PassCommand::SetPipeline(pipeline), set(0, group), dispatch(1, 1, 1)])
    };
    steps.invalid("a pipeline in a pass", run(&strange_pipeline, &group_of));
    for strange in [&strange_group, &strange_group_of] {
        steps.invalid("a group in a pass", run(&pipeline, strange));
    }
    steps.invalid("the source of a copy", ours.device.submit(&[copy(&strange, 0, &buffer, 0, 4)]));
    steps.invalid("the destination of a copy", ours.device.submit(&[copy(&buffer, 0, &strange, 0, 4)]));
    let clear = gpu::BufferClear { buffer: &strange, offset: 0, size: None };
    steps.invalid("a clear", ours.device.submit(&[gpu::Command::ClearBuffer(clear)]));
    let indirect = gpu::IndirectDispatch { buffer: &strange, offset: 0 };
    steps.invalid("sizes", ours.submit(vec![gpu::PassCommand::DispatchIndirect(indirect)]));
    if ours.device.features().contains(Features::TIMESTAMP_QUERY) {
        let (queries, strange_queries) =
            (ours.device.create_query_set(None, 2)?, theirs.device.create_query_set(None, 2)?);
        let resolve = |query_set, destination| {
            let resolve = gpu::QueryResolve { query_set, first: 0, count: 2, destination, destination_offset: 0 };
            ours.device.submit(&[gpu::Command::ResolveQueries(resolve)])
        };
        steps.invalid("queries that are resolved", resolve(&strange_queries, &buffer));
        steps.invalid("where queries go", resolve(&queries, &strange));
        let timestamps = gpu::PassTimestamps { query_set: &strange_queries, beginning: Some(0), end: Some(1) };
        let pass = gpu::ComputePass { label: None, timestamps: Some(timestamps), commands: Vec::new() };
        steps.invalid("queries of a pass", ours.device.submit(&[gpu::Command::ComputePass(pass)]));
    }
    drop(group);
    steps.ok("what is one's own", run(&pipeline, &group_of));
    steps.end()
}

/// Two devices that work in turns.
pub fn two() -> Result<String> {
    let mut steps = Steps::default();
    let labs = [Lab::open()?, Lab::plain()?];
    let made: Vec<_> = labs
        .iter()
        .map(|lab| Ok((lab, lab.numbers(&[0; 16])?, lab.pipeline(INCREMENT)?)))
        .collect::<Told<_, Error>>()?;
    for round in 0..20 {
        for (lab, numbers, pipeline) in &made {
            steps.ok(&format!("round {round}"), lab.run(pipeline, &[numbers], 16));
        }
    }
    for (_, numbers, _) in &made {
        steps.equal("each its own", read(numbers, 16)?, vec![20; 16]);
    }
    steps.end()
}
