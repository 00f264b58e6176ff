//! Buffers, and the rules for making, writing and reading them.

use std::task::Poll;
use std::time::{Duration, Instant};

use chainlet::Result;

use crate::gpu::{BufferDescriptor, BufferUsages, ErrorKind};
use crate::lab::{INCREMENT, Lab, copy, entry, pass, read};
use crate::steps::Steps;

const READ: BufferUsages = BufferUsages::MAP_READ;
const WRITE: BufferUsages = BufferUsages::MAP_WRITE;

/// Returns every usage alone, and the two pairs that are allowed for mapping.
fn usages() -> impl Iterator<Item = BufferUsages> {
    let pairs = [READ | BufferUsages::COPY_DST, WRITE | BufferUsages::COPY_SRC];
    BufferUsages::all().iter().chain(pairs)
}

pub fn make() -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::open()?;
    for usage in usages() {
        for size in [0, 4, 64, 65_536] {
            steps.ok(&format!("{size} bytes of {usage:?}"), lab.buffer(size, usage));
        }
        let mapped = usage.intersects(READ | WRITE);
        for size in [1, 3, 5, 1023] {
            let what = format!("{size} bytes of {usage:?}");
            match mapped {
                true => steps.invalid(&what, lab.buffer(size, usage)),
                false => drop(steps.ok(&what, lab.buffer(size, usage))),
            }
        }
    }
    steps.invalid("no usage", lab.buffer(64, BufferUsages::empty()));
    steps.invalid("both mappings", lab.buffer(64, READ | WRITE));
    for other in BufferUsages::all() - READ - WRITE {
        if other != BufferUsages::COPY_DST {
            steps.invalid(&format!("map-read with {other:?}"), lab.buffer(64, READ | other));
        }
        if other != BufferUsages::COPY_SRC {
            steps.invalid(&format!("map-write with {other:?}"), lab.buffer(64, WRITE | other));
        }
    }
    for size in [(64 << 20) + 4, 1 << 40, u64::MAX - 3, u64::MAX] {
        steps.refused(&format!("{size} bytes"), ErrorKind::Quota, lab.storage(size));
    }
    for label in ["x".repeat(100_000), "two\nlines\0and a zero".to_owned(), String::new(), "Größe 💥".to_owned()] {
        let descriptor = BufferDescriptor { label: Some(label), size: 4, usage: BufferUsages::STORAGE };
        steps.ok("any label", lab.device.create_buffer(&descriptor));
    }
    steps.end()
}

/// Every buffer can be written and read, in any part.
pub async fn ranges() -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::open()?;
    for usage in usages() {
        let about = |what: &str| format!("{what} of {usage:?}");
        let buffer = lab.buffer(64, usage)?;
        steps.equal(&about("zeros at first"), buffer.read_blocking(0, 64)?, vec![0; 64]);
        let mut expected: Vec<u8> = (0..64).collect();
        steps.ok(&about("a write"), buffer.write(0, &expected));
        for (offset, size) in [(0, 4), (4, 8), (12, 20), (60, 4), (64, 0), (0, 0)] {
            let part: Vec<u8> = (0..size).map(|place| 100 + place).collect();
            steps.ok(&about("a write"), buffer.write(offset.into(), &part));
            expected.splice(usize::from(offset)..usize::from(offset + size), part);
        }
        steps.equal(&about("a blocking read"), buffer.read_blocking(0, 64)?, expected.clone());
        steps.equal(&about("a read"), buffer.read(0, 64).await?, expected.clone());
        for (offset, size) in [(4, 56), (8, 4), (60, 4), (0, 0), (64, 0), (12, 20)] {
            let part = expected.iter().skip(offset).take(size).copied().collect::<Vec<_>>();
            let found = buffer.read(offset as u64, size as u64).await?;
            steps.equal(&about(&format!("{size} from {offset}")), found, part.clone());
            let found = buffer.read_blocking(offset as u64, size as u64)?;
            steps.equal(&about(&format!("{size} from {offset}, blocking")), found, part);
        }
        for (offset, size) in [(2, 4), (0, 2), (1, 1), (64, 4), (60, 8), (0, 68), (68, 0), (1 << 40, 4)] {
            let what = about(&format!("{size} from {offset}"));
            steps.invalid(&format!("a write: {what}"), buffer.write(offset, &vec![9; size as usize]));
            steps.invalid(&format!("a read: {what}"), buffer.read(offset, size).await);
            steps.invalid(&format!("a blocking read: {what}"), buffer.read_blocking(offset, size));
        }
        for (offset, size) in [(u64::MAX - 3, 4), (4, u64::MAX - 3), (u64::MAX - 3, u64::MAX - 3), (0, 1 << 62)] {
            let what = about(&format!("{size} from {offset}"));
            steps.invalid(&what, buffer.read(offset, size).await);
            steps.invalid(&what, buffer.read_blocking(offset, size));
        }
        steps.invalid("a write at the last number", buffer.write(u64::MAX - 3, &[9; 4]));
        steps.equal(&about("nothing of it was written"), buffer.read_blocking(0, 64)?, expected);
    }
    // The last bytes of a buffer cannot be reached if its size is no multiple of 4.
    let odd = lab.storage(7)?;
    steps.ok("the first four of seven", odd.write(0, &[7; 4]));
    steps.invalid("the next four of seven", odd.write(4, &[7; 4]));
    steps.equal("four of seven", odd.read_blocking(0, 4)?, vec![7; 4]);
    steps.invalid("eight of seven", odd.read_blocking(0, 8));
    steps.end()
}

/// A new buffer contains nothing of the memory's earlier contents.
pub fn zeroed() -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::open()?;
    for round in 0..8 {
        let dirty = lab.storage(4 << 20)?;
        dirty.write(0, &vec![0xab; 4 << 20])?;
        steps.holds("it was written", dirty.read_blocking(0, 4 << 20)?.iter().all(|byte| *byte == 0xab));
        if round % 2 == 0 {
            dirty.destroy();
        }
        drop(dirty);
        let new = lab.storage(4 << 20)?;
        steps.holds("a new one is zero", new.read_blocking(0, 4 << 20)?.iter().all(|byte| *byte == 0));
        // A shader also sees zeros if nothing was read before.
        let (seen, sum) = (lab.storage(4 << 20)?, lab.numbers(&[0; 4])?);
        let wgsl = "
            @group(0) @binding(0) var<storage, read_write> sum: array<atomic<u32>>;
            @group(0) @binding(1) var<storage, read> seen: array<u32>;
            @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
                if seen[id.x] != 0u { atomicAdd(&sum[0], 1u); }
            }";
        lab.run_shader(wgsl, &[&sum, &seen], (1 << 20) / 64)?;
        steps.equal("a shader sees zeros", read(&sum, 1)?, vec![0]);
    }
    steps.end()
}

pub async fn destroyed() -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::open()?;
    let (gone, other) = (lab.numbers(&[5; 16])?, lab.storage(64)?);
    let pipeline = lab.pipeline(INCREMENT)?;
    let layout = pipeline.get_bind_group_layout(0)?;
    let group = lab.group(&layout, &[&gone])?;
    let dispatch = || {
        use crate::gpu::PassCommand;
        use crate::lab::{dispatch, set};
        vec![PassCommand::SetPipeline(&pipeline), set(0, &group), dispatch(16, 1, 1)]
    };
    lab.submit(dispatch())?;
    // The GPU may still be using it, and then finishes.
    gone.destroy();
    gone.destroy();
    steps.ok("what was submitted before", lab.device.wait(None).await);
    steps.invalid("a write", gone.write(0, &[0; 4]));
    steps.invalid("a read", gone.read(0, 4).await);
    steps.invalid("a blocking read", gone.read_blocking(0, 4));
    steps.invalid("a group", lab.group(&layout, &[&gone]));
    steps.invalid("the source of a copy", lab.device.submit(&[copy(&gone, 0, &other, 0, 4)]));
    steps.invalid("the destination of a copy", lab.device.submit(&[copy(&other, 0, &gone, 0, 4)]));
    steps.invalid("a group that has it", lab.device.submit(&[pass(dispatch())]));
    let one = entry(0, &other, 0, None);
    steps.ok("another group", lab.device.create_bind_group(None, &layout, &[one]));
    steps.end()
}

/// Reads that overlap in time, and other work meanwhile.
pub async fn reads_at_once() -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::open()?;
    let buffer = lab.numbers(&(0..1024).collect::<Vec<_>>())?;
    let reads = (0..32).map(|part| buffer.read(part * 128, 128));
    let found = futures::future::try_join_all(reads).await?;
    steps.equal("32 at once", crate::lab::numbers(&found.concat()), (0..1024).collect());

    // A buffer that is being read cannot be in a submission until the read is done, which may be at once.
    let (numbers, mapped) = (lab.numbers(&[1; 16])?, lab.buffer(64, READ | BufferUsages::COPY_DST)?);
    let slow = lab.pipeline(crate::lab::SLOW)?;
    lab.run(&slow, &[&numbers], 50)?;
    lab.device.submit(&[copy(&numbers, 0, &mapped, 0, 64)])?;
    let mut first = Box::pin(mapped.read(0, 64));
    let (first, second) = match futures::poll!(&mut first) {
        Poll::Pending => {
            if let Err(error) = lab.device.submit(&[copy(&numbers, 0, &mapped, 0, 4)]) {
                steps.equal("a copy into what is read", error.kind, ErrorKind::Invalid);
            }
            steps.ok("other work meanwhile", lab.device.submit(&[copy(&numbers, 0, &buffer, 0, 4)]));
            futures::join!(first, mapped.read(0, 64))
        }
        Poll::Ready(first) => (first, mapped.read(0, 64).await),
    };
    let first = steps.ok("the first read", first);
    if let Ok(second) = second {
        steps.equal("a second one has the same", Some(second), first.clone());
    }
    steps.equal("after the work", first.map(|bytes| crate::lab::numbers(&bytes).split_off(8)), Some(vec![1; 8]));
    steps.ok("a copy once it is read", lab.device.submit(&[copy(&numbers, 0, &mapped, 0, 4)]));
    steps.ok("another read", mapped.read(0, 64).await);
    steps.end()
}

/// Buffers that are destroyed when a read of them is done but not taken yet.
pub async fn destroyed_while_read() -> Result<String> {
    const SIZE: u64 = 16 << 20;
    let mut steps = Steps::default();
    let lab = Lab::open()?;
    let (numbers, source) = (lab.numbers(&[1; 16])?, lab.storage(SIZE)?);
    source.write(0, &vec![7; usize::try_from(SIZE)?])?;
    let slow = lab.pipeline(crate::lab::SLOW)?;
    for _ in 0..4 {
        let mapped = lab.buffer(SIZE, READ | BufferUsages::COPY_DST)?;
        lab.run(&slow, &[&numbers], 50)?;
        let last = lab.device.submit(&[copy(&source, 0, &mapped, 0, SIZE)])?;
        let mut read = Box::pin(mapped.read(0, SIZE));
        let early = futures::poll!(&mut read);
        while lab.device.completed() < last {}
        spin();
        mapped.destroy();
        spin();
        let found = match early {
            Poll::Ready(found) => found,
            Poll::Pending => read.await,
        };
        let found = steps.ok("a read from before", found);
        steps.holds("it has what was there", found.is_some_and(|found| found.iter().all(|byte| *byte == 7)));
    }
    steps.end()
}

/// Computes for 20 ms, in which the host's threads can finish their work.
fn spin() {
    let until = Instant::now() + Duration::from_millis(20);
    while Instant::now() < until {}
}

/// Reads whose futures are dropped.
pub async fn cancelled() -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::open()?;
    let (numbers, large) = (lab.numbers(&[1; 16])?, lab.storage(16 << 20)?);
    let slow = lab.pipeline(crate::lab::SLOW)?;
    for _ in 0..5 {
        lab.run(&slow, &[&numbers], 50)?;
        let mut left: Vec<_> = (0..2).map(|_| Box::pin(large.read(0, 16 << 20))).collect();
        for read in &mut left {
            let _ = futures::poll!(read);
        }
        drop(left);
        let mut wait = Box::pin(lab.device.wait(None));
        let _ = futures::poll!(&mut wait);
    }
    steps.ok("a wait to its end", lab.device.wait(None).await);
    // The memory of the reads is free again.
    steps.ok("room for another", crate::lab::soon(|| lab.storage(40 << 20)));
    steps.equal("a read to its end", large.read(0, 1 << 20).await?, vec![0; 1 << 20]);
    steps.end()
}

/// A read returns the bytes that were written and submitted before it, and nothing that came later.
pub fn order() -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::open()?;
    let (one, two) = (lab.storage(4)?, lab.storage(8)?);
    one.write(0, &[1; 4])?;
    lab.device.submit(&[copy(&one, 0, &two, 0, 4)])?;
    one.write(0, &[2; 4])?;
    one.write(0, &[3; 4])?;
    steps.equal("the last write", one.read_blocking(0, 4)?, vec![3; 4]);
    lab.device.submit(&[copy(&one, 0, &two, 4, 4)])?;
    one.write(0, &[4; 4])?;
    steps.equal("each copy has what was there then", two.read_blocking(0, 8)?, vec![1, 1, 1, 1, 3, 3, 3, 3]);
    steps.equal("and the last write is there", one.read_blocking(0, 4)?, vec![4; 4]);
    steps.end()
}

/// The contents of a large buffer are the same after each way of moving them.
pub async fn large() -> Result<String> {
    const SIZE: usize = 16 << 20;
    const PIECE: usize = (1 << 20) + 4;
    let mut steps = Steps::default();
    let lab = Lab::open()?;
    let mut state = 7_u32;
    let all: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(SIZE)
    .collect();
    let (whole, pieces) = (lab.storage(SIZE as u64)?, lab.storage(SIZE as u64)?);
    whole.write(0, &all)?;
    for (number, piece) in all.chunks(PIECE).enumerate() {
        pieces.write((number * PIECE) as u64, piece)?;
    }
    for (name, buffer) in [("written whole", &whole), ("written in pieces", &pieces)] {
        steps.holds(&format!("{name}, read whole"), buffer.read(0, SIZE as u64).await? == all);
        steps.holds(&format!("{name}, read blocking"), buffer.read_blocking(0, SIZE as u64)? == all);
        let mut found = Vec::new();
        for offset in (0..SIZE).step_by(PIECE) {
            found.extend(buffer.read(offset as u64, PIECE.min(SIZE - offset) as u64).await?);
        }
        steps.holds(&format!("{name}, read in pieces"), found == all);
    }
    steps.end()
}
