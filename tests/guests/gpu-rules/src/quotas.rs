//! The limits of an instance. The chain of the tests gives it 64 MiB.

use chainlet::Result;

use crate::gpu::{BufferUsages, ErrorKind};
use crate::lab::{INCREMENT, Lab, dispatch, pass, read, set, soon};
use crate::layouts::{binding, layout};
use crate::steps::{Steps, words};

const MIB: u64 = 1 << 20;

pub async fn memory() -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::open()?;
    let take = |mib: u64| lab.storage(mib * MIB);
    let refused = |steps: &mut Steps, what: &str| {
        steps.refused(what, ErrorKind::Quota, lab.storage(4));
        steps.refused(what, ErrorKind::Quota, lab.buffer(4, BufferUsages::MAP_READ));
    };
    let mut held = (0..4).map(|_| take(16)).collect::<std::result::Result<Vec<_>, _>>()?;
    refused(&mut steps, "all is taken");
    drop(held.pop());
    held.extend(steps.ok("what is dropped", soon(|| take(16))));
    refused(&mut steps, "all is taken again");
    if let Some(buffer) = held.pop() {
        buffer.destroy();
        let other = steps.ok("what is destroyed", soon(|| take(16)));
        drop(buffer);
        refused(&mut steps, "a destroyed one is counted once");
        held.extend(other);
    }
    held.clear();
    let all = steps.ok("all in one", soon(|| take(64)));
    refused(&mut steps, "all is taken by one");
    drop(all);
    for (what, size, usage) in
        [("no usage", 64 * MIB, BufferUsages::empty()), ("bad usages", 64 * MIB, BufferUsages::all())]
    {
        steps.invalid(what, lab.buffer(size, usage));
        drop(steps.ok("what fails takes nothing", soon(|| take(64))));
    }

    // A group keeps its buffers, and their memory.
    let pipeline = lab.pipeline(INCREMENT)?;
    let buffer = soon(|| take(48))?;
    let group = lab.group_of(&pipeline, &[&buffer])?;
    drop(buffer);
    steps.refused("what a group keeps", ErrorKind::Quota, take(32));
    let run = lab.device.submit(&[pass(vec![
        crate::gpu::PassCommand::SetPipeline(&pipeline),
        set(0, &group),
        dispatch(16, 1, 1),
    ])]);
    steps.ok("a group with a dropped buffer", run);
    drop(group);
    steps.ok("once the group is dropped", soon(|| take(64)).map(drop));

    // A read counts as a buffer while it lasts.
    let buffer = soon(|| take(60))?;
    steps.refused("a read for which there is no room", ErrorKind::Quota, buffer.read(0, 8 * MIB).await);
    steps.refused("a blocking one", ErrorKind::Quota, buffer.read_blocking(0, 8 * MIB));
    for _ in 0..20 {
        steps.ok("a read for which there is", buffer.read(0, 3 * MIB).await);
    }
    drop(buffer);

    // All devices share one quota. A device that is dropped gives its part back.
    let other = Lab::plain()?;
    let of_other = soon(|| other.storage(40 * MIB))?;
    steps.refused("what another device has", ErrorKind::Quota, take(32));
    other.device.destroy();
    steps.ok("once it is destroyed", soon(|| take(64)).map(drop));
    drop(of_other);
    steps.end()
}

/// Makes objects again and again, and drops them.
pub fn churn() -> Result<String> {
    const TIMES: usize = 10_000;
    let mut steps = Steps::default();
    let lab = Lab::open()?;
    let module = lab.module(INCREMENT)?;
    let pipeline = lab.pipeline(INCREMENT)?;
    let one = layout(&lab, &[binding(0, crate::gpu::BufferBindingKind::Storage)])?;
    let all = lab.numbers(&[0; 16])?;
    let mut each = |what: &str, times: usize, make: &dyn Fn() -> std::result::Result<(), crate::gpu::Error>| {
        if let Some(error) = (0..times).find_map(|_| make().err()) {
            steps.holds(&format!("{what}: {}", words(&error)), false);
        }
    };
    each("buffers", TIMES, &|| lab.storage(MIB / 4).map(drop));
    each("buffers that were written", 1_000, &|| lab.numbers(&[5; 1024]).map(drop));
    each("layouts", TIMES, &|| layout(&lab, &[binding(0, crate::gpu::BufferBindingKind::Uniform)]).map(drop));
    each("groups", TIMES, &|| lab.group(&one, &[&all]).map(drop));
    each("layouts of pipelines", TIMES, &|| lab.device.create_pipeline_layout(None, &[Some(&one)], 0).map(drop));
    each("layouts that pipelines have", TIMES, &|| pipeline.get_bind_group_layout(0).map(drop));
    each("shaders", TIMES, &|| lab.module(INCREMENT).map(drop));
    each("pipelines", 2_000, &|| lab.device.create_compute_pipeline(&crate::lab::described(&module)).map(drop));
    each("queries", TIMES, &|| lab.device.create_query_set(None, 64).map(drop));
    each("submissions", TIMES, &|| lab.device.submit(&[]).map(drop));
    each("mistakes", TIMES, &|| match lab.module("no shader") {
        Err(error) if error.kind == ErrorKind::Invalid => Ok(()),
        other => other.map(drop),
    });
    lab.run(&pipeline, &[&all], 16)?;
    steps.equal("all works", read(&all, 16)?, vec![1; 16]);
    steps.ok("all memory is there", soon(|| lab.storage(60 * MIB)).map(drop));
    steps.end()
}

/// Keeps objects of one kind until no more are allowed. It stops below the limit of handles, above which it would trap.
pub fn hoard() -> Result<String> {
    const MOST: usize = 12_000;
    let mut steps = Steps::default();
    let lab = Lab::open()?;
    let module = lab.module(INCREMENT)?;
    let text = format!("// {}\n{INCREMENT}", "x".repeat(100_000));
    let one = layout(&lab, &[binding(0, crate::gpu::BufferBindingKind::Storage)])?;
    let all = lab.numbers(&[0; 16])?;
    type Make<'a> = &'a dyn Fn() -> std::result::Result<Box<dyn Kept>, crate::gpu::Error>;
    let kinds: [(&str, Make<'_>); 5] = [
        ("small buffers", &|| Ok(Box::new(lab.storage(4)?))),
        ("long shaders", &|| Ok(Box::new(lab.module(&text)?))),
        ("pipelines", &|| Ok(Box::new(lab.device.create_compute_pipeline(&crate::lab::described(&module))?))),
        ("groups", &|| Ok(Box::new(lab.group(&one, &[&all])?))),
        ("queries", &|| Ok(Box::new(lab.device.create_query_set(None, 4096)?))),
    ];
    for (what, make) in kinds {
        let mut kept = Vec::new();
        let refusal = loop {
            match make() {
                Ok(object) if kept.len() < MOST => kept.push(object),
                Ok(_) => break None,
                Err(error) => break Some(error),
            }
        };
        if let Some(error) = refusal {
            let refused = matches!(error.kind, ErrorKind::Quota | ErrorKind::OutOfMemory);
            steps.holds(&format!("{what}, of which there are {}: {}", kept.len(), words(&error)), refused);
        }
        steps.holds(&format!("{what}: enough of them"), kept.len() >= 100);
        drop(kept);
        steps.ok(&format!("{what}, once they are dropped"), soon(make).map(drop));
    }
    steps.end()
}

/// An object that can be kept.
trait Kept {}
impl<T> Kept for T {}
