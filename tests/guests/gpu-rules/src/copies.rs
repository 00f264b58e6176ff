//! Copies and clears, and lists of commands as a whole.

use chainlet::Result;

use crate::gpu::{Buffer, BufferClear, BufferUsages, Command};
use crate::lab::{INCREMENT, Lab, Told, copy, dispatch, pass, read, set};
use crate::steps::Steps;

fn clear(buffer: &Buffer, offset: u64, size: Option<u64>) -> Command<'_> {
    Command::ClearBuffer(BufferClear { buffer, offset, size })
}

pub fn copies() -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::plain()?;
    let from = lab.numbers(&(1..=16).collect::<Vec<_>>())?;
    let to = lab.storage(64)?;
    let submit = |command: Command<'_>| lab.device.submit(&[command]);
    steps.ok("a whole", submit(copy(&from, 0, &to, 0, 64)));
    steps.equal("a whole", read(&to, 16)?, (1..=16).collect());
    steps.ok("a part", submit(copy(&from, 4, &to, 60, 4)));
    steps.ok("nothing", submit(copy(&from, 8, &to, 12, 0)));
    steps.ok("nothing at the ends", submit(copy(&from, 64, &to, 64, 0)));
    let expected: Vec<_> = (1..=15).chain([2]).collect();
    steps.equal("a part", read(&to, 16)?, expected.clone());
    for (what, one, other, size) in [
        ("beyond the end of the source", 4, 0, 64),
        ("beyond the end of the destination", 0, 4, 64),
        ("from beyond the end", 68, 0, 4),
        ("to beyond the end", 0, 68, 4),
        ("from far beyond", u64::MAX - 3, 0, 4),
        ("to far beyond", 0, u64::MAX - 3, 4),
        ("more than numbers hold", 4, 4, u64::MAX - 3),
        ("an odd offset of the source", 2, 0, 4),
        ("an odd offset of the destination", 0, 2, 4),
        ("an odd size", 0, 0, 6),
    ] {
        steps.invalid(what, submit(copy(&from, one, &to, other, size)));
    }
    steps.invalid("over itself", submit(copy(&to, 0, &to, 4, 16)));
    steps.invalid("within itself", submit(copy(&to, 0, &to, 32, 16)));
    for usage in BufferUsages::all() {
        let buffer = lab.buffer(64, usage)?;
        let (source, destination) = (submit(copy(&buffer, 0, &to, 0, 4)), submit(copy(&from, 0, &buffer, 0, 4)));
        let what = format!("out of {usage:?}");
        match usage == BufferUsages::COPY_SRC {
            true => drop(steps.ok(&what, source)),
            false => steps.invalid(&what, source),
        }
        let what = format!("into {usage:?}");
        match usage == BufferUsages::COPY_DST {
            true => drop(steps.ok(&what, destination)),
            false => steps.invalid(&what, destination),
        }
    }
    let mapped = lab.buffer(64, BufferUsages::MAP_READ | BufferUsages::COPY_DST)?;
    steps.ok("into what can be mapped", submit(copy(&from, 0, &mapped, 0, 64)));
    steps.equal("into what can be mapped", read(&mapped, 16)?, (1..=16).collect());
    let mapped = lab.buffer(64, BufferUsages::MAP_WRITE | BufferUsages::COPY_SRC)?;
    mapped.write(0, &[8; 64])?;
    steps.ok("out of what can be mapped", submit(copy(&mapped, 0, &to, 0, 64)));
    steps.equal("out of what can be mapped", to.read_blocking(0, 64)?, vec![8; 64]);
    steps.end()
}

pub fn clears() -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::plain()?;
    let all = lab.numbers(&[7; 16])?;
    let submit = |command: Command<'_>| lab.device.submit(&[command]);
    steps.ok("a part", submit(clear(&all, 4, Some(8))));
    steps.ok("nothing", submit(clear(&all, 20, Some(0))));
    steps.ok("the last", submit(clear(&all, 60, None)));
    steps.ok("nothing at the end", submit(clear(&all, 64, Some(0))));
    let expected = [vec![7, 0, 0], vec![7; 12], vec![0]].concat();
    steps.equal("zeros", read(&all, 16)?, expected.clone());
    for (offset, size) in [
        (2, Some(4)),
        (0, Some(6)),
        (60, Some(8)),
        (68, Some(0)),
        (68, None),
        (0, Some(u64::MAX - 3)),
        (u64::MAX - 3, Some(4)),
        (u64::MAX - 3, Some(u64::MAX - 3)),
        (u64::MAX - 3, None),
    ] {
        steps.invalid(&format!("{size:?} from {offset}"), submit(clear(&all, offset, size)));
    }
    steps.equal("nothing of it", read(&all, 16)?, expected);
    for usage in BufferUsages::all() - BufferUsages::COPY_DST {
        steps.invalid(&format!("of {usage:?}"), submit(clear(&lab.buffer(64, usage)?, 0, None)));
    }
    steps.ok("all", submit(clear(&all, 0, None)));
    steps.equal("all", read(&all, 16)?, vec![0; 16]);
    steps.end()
}

/// A list with a mistake has no effect, wherever the mistake is.
pub fn all_or_nothing() -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::plain()?;
    let all = lab.numbers(&[1; 16])?;
    let other = lab.numbers(&[5; 16])?;
    let pipeline = lab.pipeline(INCREMENT)?;
    let group = lab.group_of(&pipeline, &[&all])?;
    use crate::gpu::PassCommand::SetPipeline;
    let good = || pass(vec![SetPipeline(&pipeline), set(0, &group), dispatch(16, 1, 1)]);
    let bad = |mistake| match mistake {
        "a copy beyond the end" => copy(&all, 0, &other, 64, 4),
        "a clear at an odd place" => clear(&all, 2, None),
        "a pass without a pipeline" => pass(vec![dispatch(1, 1, 1)]),
        _ => pass(vec![SetPipeline(&pipeline), set(0, &group), dispatch(65_536, 1, 1)]),
    };
    let first = lab.device.submit(&[])?;
    for what in
        ["a copy beyond the end", "a clear at an odd place", "a pass without a pipeline", "a dispatch too large"]
    {
        steps.invalid(what, lab.device.submit(&[good(), copy(&other, 0, &all, 0, 4), bad(what)]));
        steps.invalid(&format!("{what}, first"), lab.device.submit(&[bad(what), good()]));
        steps.equal("nothing is done", read(&all, 16)?, vec![1; 16]);
    }
    // Earlier writes are not lost with the list.
    all.write(0, &[9, 0, 0, 0])?;
    steps.invalid("a bad list after a write", lab.device.submit(&[clear(&all, 2, None)]));
    let next = lab.device.submit(&[good()])?;
    steps.holds("numbers grow", next > first);
    steps.equal("the write and the good list", read(&all, 2)?, vec![10, 2]);
    steps.end()
}

/// Lists of many commands, up to the limit and above it.
pub fn many() -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::plain()?;
    let (all, other) = (lab.numbers(&[0; 16])?, lab.numbers(&[0; 16])?);
    let pipeline = lab.pipeline(INCREMENT)?;
    let group = lab.group_of(&pipeline, &[&all])?;
    let step = |count| {
        let begin = [crate::gpu::PassCommand::SetPipeline(&pipeline), set(0, &group)];
        pass(begin.into_iter().chain((0..count).map(|_| dispatch(1, 1, 1))).collect())
    };
    let done: Told<u64> = lab.device.submit(&[step(10_000)]);
    steps.ok("ten thousand dispatches", done);
    steps.equal("ten thousand", read(&all, 1)?, vec![10_000]);
    // Each object that a list names is a handle during the call, and an instance has at most 16,384.
    let copies: Vec<_> = (0..5_000).map(|_| copy(&all, 0, &other, 0, 4)).collect();
    steps.ok("five thousand copies", lab.device.submit(&copies));
    steps.equal("ten thousand", read(&other, 1)?, vec![10_000]);
    // Far too many commands are done or rejected, and never end anything.
    if let Err(error) = lab.device.submit(&[step(1_000_000)]) {
        steps.equal("a million dispatches", error.kind, crate::gpu::ErrorKind::Unsupported);
        steps.equal("nothing of them", read(&all, 1)?, vec![10_000]);
    }
    steps.ok("it goes on", lab.device.submit(&[step(1)]));
    steps.end()
}
