//! Submissions, their numbers, and waits for them.

use chainlet::Result;

use crate::gpu::{
    Buffer, BufferUsages, Command, ComputePass, ErrorKind, Features, PassTimestamps, QueryResolve, QuerySet,
};
use crate::lab::{INCREMENT, Lab, SLOW, read};
use crate::steps::Steps;

pub async fn numbers() -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::plain()?;
    let device = &lab.device;
    steps.equal("none is done", device.completed(), 0);
    steps.ok("a wait for nothing", device.wait(None).await);
    steps.ok("a blocking wait for nothing", device.wait_blocking(None));
    steps.ok("a wait for none", device.wait(Some(0)).await);
    for number in [1, 2, 1_000, u64::MAX] {
        steps.invalid(&format!("a wait for {number}"), device.wait(Some(number)).await);
        steps.invalid(&format!("a blocking wait for {number}"), device.wait_blocking(Some(number)));
    }
    let mut last = 0;
    for _ in 0..50 {
        let number = device.submit(&[])?;
        steps.holds("numbers grow", number > last);
        steps.holds("what is done was submitted", device.completed() <= number);
        last = number;
    }
    steps.ok("a wait for one before the last", device.wait(Some(last - 20)).await);
    steps.holds("it is done", device.completed() >= last - 20);
    steps.ok("a wait for the last", device.wait(Some(last)).await);
    steps.equal("it is done", device.completed(), last);
    steps.ok("a wait for one that is long done", device.wait(Some(1)).await);
    steps.ok("a blocking wait for it", device.wait_blocking(Some(1)));
    steps.invalid("a wait for the next", device.wait(Some(last + 1)).await);

    // Many waits at once, in any order, for slow work.
    let all = lab.numbers(&[1; 16])?;
    let slow = lab.pipeline(SLOW)?;
    let mut submitted = Vec::new();
    for _ in 0..5 {
        submitted.push(lab.run(&slow, &[&all], 10)?);
    }
    let waits = submitted.iter().rev().chain(&submitted).map(|number| device.wait(Some(*number)));
    let waits = futures::future::join_all(waits.chain([device.wait(None)])).await;
    for wait in waits {
        steps.ok("one of many who wait", wait);
    }
    steps.holds("all are done", submitted.iter().all(|number| *number <= device.completed()));
    steps.end()
}

/// More submissions than may be under way at once.
pub async fn queue() -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::plain()?;
    let all = lab.numbers(&[0; 16])?;
    let pipeline = lab.pipeline(INCREMENT)?;
    for _ in 0..200 {
        steps.ok("a submission", lab.run(&pipeline, &[&all], 16));
    }
    steps.equal("each was done once", read(&all, 16)?, vec![200; 16]);
    let slow = lab.pipeline(SLOW)?;
    for _ in 0..30 {
        steps.ok("a slow submission", lab.run(&slow, &[&all], 2));
    }
    steps.ok("a wait for all", lab.device.wait(None).await);
    steps.end()
}

fn timed<'a>(query_set: &'a QuerySet, beginning: Option<u32>, end: Option<u32>) -> Command<'a> {
    let timestamps = Some(PassTimestamps { query_set, beginning, end });
    Command::ComputePass(ComputePass { label: Some("timed".to_owned()), timestamps, commands: Vec::new() })
}

fn resolve<'a>(
    query_set: &'a QuerySet,
    first: u32,
    count: u32,
    destination: &'a Buffer,
    destination_offset: u64,
) -> Command<'a> {
    Command::ResolveQueries(QueryResolve { query_set, first, count, destination, destination_offset })
}

pub fn timestamps() -> Result<String> {
    let mut steps = Steps::default();
    let plain = Lab::plain()?;
    steps.refused("queries without the feature", ErrorKind::Unsupported, plain.device.create_query_set(None, 2));
    let lab = Lab::open()?;
    steps.holds("the adapter has timestamps", lab.device.features().contains(Features::TIMESTAMP_QUERY));
    for count in [1, 2, 4096] {
        steps.ok(&format!("{count} queries"), lab.device.create_query_set(None, count));
    }
    steps.invalid("4097 queries", lab.device.create_query_set(None, 4097));
    steps.holds("as many queries as numbers hold", lab.device.create_query_set(None, u32::MAX).is_err());
    let queries = lab.device.create_query_set(Some("times"), 8)?;
    let times = lab.storage(1024)?;
    let all = lab.numbers(&[1; 16])?;
    let slow = lab.pipeline(SLOW)?;
    let group = lab.group_of(&slow, &[&all])?;
    let mut pass = timed(&queries, Some(0), Some(1));
    if let Command::ComputePass(pass) = &mut pass {
        use crate::gpu::PassCommand::SetPipeline;
        pass.commands = vec![SetPipeline(&slow), crate::lab::set(0, &group), crate::lab::dispatch(2, 1, 1)];
    }
    let list =
        [pass, timed(&queries, Some(2), None), timed(&queries, None, Some(3)), resolve(&queries, 0, 4, &times, 256)];
    steps.ok("passes with times", lab.device.submit(&list));
    let found: Vec<_> =
        times.read_blocking(256, 32)?.as_chunks().0.iter().map(|tick| u64::from_le_bytes(*tick)).collect();
    match found.as_slice() {
        [begin, end, next, last] => {
            steps.holds("time has begun", *begin > 0);
            steps.holds(&format!("time goes on in {found:?}"), begin <= end && end <= next && next <= last);
        }
        _ => steps.holds("four times", false),
    }
    for (what, pass) in [
        ("a beginning that is not there", timed(&queries, Some(8), None)),
        ("an end that is not there", timed(&queries, None, Some(u32::MAX))),
        ("both in one", timed(&queries, Some(1), Some(1))),
    ] {
        steps.invalid(what, lab.device.submit(&[pass]));
    }
    let short = lab.storage(32)?;
    for (what, command) in [
        ("queries beyond the last", resolve(&queries, 6, 3, &times, 0)),
        ("queries far beyond", resolve(&queries, u32::MAX, 1, &times, 0)),
        ("more than numbers hold", resolve(&queries, u32::MAX, u32::MAX, &times, 0)),
        ("to an odd place", resolve(&queries, 0, 2, &times, 8)),
        ("to beyond the end", resolve(&queries, 0, 8, &times, 1024)),
        ("over the end", resolve(&queries, 0, 8, &short, 0)),
        ("to far beyond", resolve(&queries, 0, 8, &times, !255)),
    ] {
        steps.invalid(what, lab.device.submit(&[command]));
    }
    for usage in BufferUsages::all() - BufferUsages::QUERY_RESOLVE {
        let to = lab.buffer(1024, usage)?;
        steps.invalid(&format!("into {usage:?}"), lab.device.submit(&[resolve(&queries, 0, 2, &to, 0)]));
    }
    steps.ok("none at all", lab.device.submit(&[resolve(&queries, 0, 0, &times, 0)]));
    steps.end()
}
