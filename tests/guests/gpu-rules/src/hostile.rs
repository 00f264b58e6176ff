//! Malicious guests and shaders.

use chainlet::Result;

use crate::gpu::{BufferUsages, ErrorKind};
use crate::lab::{INCREMENT, Lab, SLOW, read, soon};
use crate::steps::Steps;

const MIB: usize = 1 << 20;

/// Work for hours. A driver in software ends each loop after some rounds, but not the workgroups that begin it.
const ENDLESS: &str = "
    @group(0) @binding(0) var<storage, read_write> all: array<u32>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
        var x = id.x;
        loop {
            for (var i = 0u; i < 60000u; i++) { x = x * 1664525u + all[i % 8u]; }
            if x == 0u { break; }
        }
        all[1] = x;
    }
";

/// Checks that work without an end was stopped by its deadline.
fn ended(steps: &mut Steps, what: &str, result: std::result::Result<(), crate::gpu::Error>) {
    steps.refused(what, ErrorKind::Timeout, result);
}

/// A submission without an end fails at its deadline, and its device is lost.
pub async fn hang(blocking: bool) -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::open()?;
    let all = lab.numbers(&[1; 16])?;
    let pipeline = lab.pipeline(ENDLESS)?;
    lab.run(&pipeline, &[&all], 60_000)?;
    match blocking {
        true => ended(&mut steps, "a blocking wait", lab.device.wait_blocking(None)),
        false => {
            let (wait, read) = futures::join!(lab.device.wait(None), all.read(0, 4));
            ended(&mut steps, "a wait", wait);
            let lost = read.is_err_and(|error| matches!(error.kind, ErrorKind::Timeout | ErrorKind::DeviceLost));
            steps.holds("a read meanwhile", lost);
        }
    }
    steps.refused("a buffer of the lost device", ErrorKind::DeviceLost, lab.storage(4));
    steps.refused("a write to the lost device", ErrorKind::DeviceLost, all.write(0, &[0; 4]));
    steps.refused("a submission to the lost device", ErrorKind::DeviceLost, lab.device.submit(&[]));
    steps.end()
}

/// Several submissions without an end. A driver may wait for each before it takes the next.
pub fn hang_often() -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::open()?;
    let all = lab.numbers(&[1; 16])?;
    let pipeline = lab.pipeline(ENDLESS)?;
    let refusal = (0..1_000).find_map(|_| lab.run(&pipeline, &[&all], 60_000).err());
    let told = refusal.map(|error| error.kind);
    steps.holds(
        &format!("submissions come to an end: {told:?}"),
        matches!(told, Some(ErrorKind::Timeout | ErrorKind::DeviceLost)),
    );
    steps.end()
}

/// Work without an end stops even if its device is destroyed, and work of another device does not wait forever.
pub fn hang_destroyed() -> Result<String> {
    let mut steps = Steps::default();
    let (lab, other) = (Lab::plain()?, Lab::plain()?);
    let (all, own) = (lab.numbers(&[1; 16])?, other.numbers(&[0; 16])?);
    lab.run(&lab.pipeline(ENDLESS)?, &[&all], 60_000)?;
    lab.device.destroy();
    drop(lab);
    let waited = other.run_shader(INCREMENT, &[&own], 16).and_then(|_| other.device.wait_blocking(None));
    let told = waited.err().map(|error| error.kind);
    steps.holds(
        &format!("another device of the worker: {told:?}"),
        matches!(told, Some(ErrorKind::Timeout | ErrorKind::DeviceLost)),
    );
    steps.end()
}

/// Checks that a new device works.
pub fn works(steps: &mut Steps) -> Result<()> {
    let lab = Lab::open()?;
    let all = soon(|| lab.numbers(&[0; 16]))?;
    lab.run_shader(INCREMENT, &[&all], 16)?;
    steps.equal("a new device works", read(&all, 16)?, vec![1; 16]);
    Ok(())
}

/// Only shows that the guest is alive.
pub fn well() -> Result<String> {
    let mut steps = Steps::default();
    works(&mut steps)?;
    steps.end()
}

/// Accesses beyond the bounds, in every kind of memory.
pub fn out_of_bounds() -> Result<String> {
    let wgsl = "
        struct Held { numbers: array<u32, 4> }
        @group(0) @binding(0) var<storage, read_write> all: array<u32>;
        @group(0) @binding(1) var<uniform> fixed: array<vec4<u32>, 4>;
        @group(0) @binding(2) var<storage, read_write> sized: Held;
        var<workgroup> held: array<u32, 64>;
        var<private> own: array<u32, 8>;
        @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
            var local = array<u32, 4>(1u, 2u, 3u, 4u);
            for (var step = 0u; step < 32u; step++) {
                let far = (id.x + 1u) << step;
                all[far + 16u] = 0xdeadbeefu;
                all[0u - far] = 0xdeadbeefu;
                sized.numbers[far + 4u] = 0xdeadbeefu;
                held[far + 64u] = 0xdeadbeefu;
                own[far + 8u] = 0xdeadbeefu;
                local[far + 4u] = 0xdeadbeefu;
                let found = all[far + 16u] ^ fixed[far % 5u + far].x ^ sized.numbers[far + 4u] ^ held[far + 64u]
                    ^ own[far + 8u] ^ local[far + 4u] ^ vec4<u32>(1u)[far % 9u];
                all[far % 16u] = found;
            }
        }";
    let mut steps = Steps::default();
    let lab = Lab::plain()?;
    let around: Vec<_> = (0..16).map(|_| lab.numbers(&[0x5a5a_5a5a; 1024])).collect::<std::result::Result<_, _>>()?;
    let (all, fixed, sized) = (lab.storage(64)?, lab.buffer(64, BufferUsages::UNIFORM)?, lab.storage(16)?);
    lab.run_shader(wgsl, &[&all, &fixed, &sized], 256)?;
    steps.ok("it ends", lab.device.wait_blocking(None));
    for (number, buffer) in around.iter().enumerate() {
        steps.holds(&format!("buffer {number} beside it"), read(buffer, 1024)? == vec![0x5a5a_5a5a; 1024]);
    }
    steps.equal("a uniform is only read", fixed.read_blocking(0, 64)?, vec![0; 64]);
    steps.holds("nothing of another buffer is seen", !read(&all, 16)?.contains(&0x5a5a_5a5a));
    // A shader sees only the bound part of a buffer.
    let whole = lab.numbers(&[3; 256])?;
    let pipeline = lab.pipeline(
        "@group(0) @binding(0) var<storage, read_write> all: array<u32>;
         @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
             all[id.x] = 9u; all[id.x + 64u] = 9u; all[0u - id.x] = 9u;
         }",
    )?;
    let part = crate::lab::entry(0, &whole, 256, Some(256));
    let group = lab.device.create_bind_group(None, &pipeline.get_bind_group_layout(0)?, &[part])?;
    use crate::lab::{dispatch, set};
    lab.submit(vec![crate::gpu::PassCommand::SetPipeline(&pipeline), set(0, &group), dispatch(8, 1, 1)])?;
    let expected = [vec![3; 64], vec![9; 64], vec![3; 128]].concat();
    steps.equal("a part that is bound", read(&whole, 256)?, expected);
    steps.end()
}

/// Arithmetic that makes processors trap.
pub fn arithmetic() -> Result<String> {
    let wgsl = "
        @group(0) @binding(0) var<storage, read_write> all: array<i32>;
        @group(0) @binding(1) var<storage, read_write> unsigned: array<u32>;
        @group(0) @binding(2) var<storage, read_write> real: array<f32>;
        @compute @workgroup_size(1) fn main() {
            let zero = all[0]; let least = all[1]; let minus = all[2];
            all[3] = 7 / zero; all[4] = 7 % zero; all[5] = least / minus; all[6] = least % minus;
            all[7] = 1 << u32(zero + 40); all[8] = least >> u32(zero + 40); all[9] = -least; all[10] = abs(least);
            unsigned[0] = 7u / u32(zero); unsigned[1] = 7u % u32(zero); unsigned[2] = 1u << u32(zero + 40);
            unsigned[3] = extractBits(0xffffffffu, u32(zero + 30), u32(zero + 30));
            unsigned[4] = insertBits(0u, 0xffffffffu, u32(zero + 40), u32(zero + 40));
            real[0] = 1.0 / f32(zero); real[1] = f32(least) * 1e38 * 1e38; real[2] = sqrt(f32(minus));
            unsigned[5] = u32(real[1]); all[11] = i32(real[1]); unsigned[6] = u32(real[2]);
            unsigned[7] = firstLeadingBit(u32(zero)); real[3] = pow(f32(minus), 0.5); real[4] = log(f32(zero));
        }";
    let mut steps = Steps::default();
    let lab = Lab::plain()?;
    let least = i32::MIN.cast_unsigned();
    let all = lab.numbers(&[&[0, least, u32::MAX][..], &[0; 13]].concat())?;
    let (unsigned, real) = (lab.storage(64)?, lab.storage(64)?);
    lab.run_shader(wgsl, &[&all, &unsigned, &real], 1)?;
    let found = read(&all, 16)?;
    // By the rules of WGSL, a division without a result gives its first operand, a remainder 0, and a shift uses the
    // lowest bits of its count.
    let expected = vec![7, 0, least, 0, 1 << 8, (i32::MIN >> 8).cast_unsigned(), least, least];
    steps.equal("with signs", found.into_iter().skip(3).take(8).collect(), expected);
    let found = read(&unsigned, 3)?;
    steps.equal("without signs", found, vec![7, 0, 1 << 8]);
    steps.end()
}

/// Writes gigabytes and submits nothing.
pub fn flood() -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::plain()?;
    let all = lab.storage(8 * MIB as u64)?;
    for round in 0..256_u32 {
        steps.ok("a write", all.write(0, &vec![round.to_le_bytes()[0]; 8 * MIB]));
    }
    steps.holds("the last one counts", all.read_blocking(0, 8 * MIB as u64)?.iter().all(|byte| *byte == 255));
    let small = lab.storage(64)?;
    for round in 0..100_000_u32 {
        small.write(0, &round.to_le_bytes())?;
    }
    steps.equal("the last of many", read(&small, 1)?, vec![99_999]);
    steps.end()
}

/// Writes gigabytes to a buffer that rejects them, because it is being read.
pub async fn refused_flood() -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::plain()?;
    let numbers = lab.numbers(&[1; 16])?;
    let mapped = lab.buffer(8 * MIB as u64, BufferUsages::MAP_READ | BufferUsages::COPY_DST)?;
    let slow = lab.pipeline(SLOW)?;
    lab.run(&slow, &[&numbers], 8)?;
    lab.device.submit(&[crate::lab::copy(&numbers, 0, &mapped, 0, 64)])?;
    let mut read = Box::pin(mapped.read(0, 64));
    let early = futures::poll!(&mut read);
    steps.ok("a wait", lab.device.wait_blocking(None));
    let bytes = vec![1; 8 * MIB];
    for _ in 0..256 {
        // The write fails if the host itself maps the buffer. It succeeds if the read is done already.
        drop(mapped.write(0, &bytes));
    }
    match early {
        std::task::Poll::Ready(found) => drop(steps.ok("the read", found)),
        std::task::Poll::Pending => drop(steps.ok("the read", read.await)),
    }
    steps.ok("a write afterwards", mapped.write(0, &[2; 4]));
    steps.equal("it is there", mapped.read_blocking(0, 4)?, vec![2; 4]);
    steps.end()
}

/// Reads that are done but not taken, of more bytes than there is room for.
pub async fn reads_not_taken() -> Result<String> {
    const SIZE: u64 = 8 * MIB as u64;
    let mut steps = Steps::default();
    let lab = Lab::plain()?;
    let (numbers, large) = (lab.numbers(&[1; 16])?, lab.storage(SIZE)?);
    let slow = lab.pipeline(SLOW)?;
    let mut left = Vec::new();
    for _ in 0..32 {
        lab.run(&slow, &[&numbers], 1)?;
        let mut read = Box::pin(large.read(0, SIZE));
        if let std::task::Poll::Ready(found) = futures::poll!(&mut read) {
            drop(found);
            continue;
        }
        left.push(read);
        // The host gets no chance to hand over the bytes.
        steps.ok("a wait", lab.device.wait_blocking(None));
    }
    // The buffer takes 8 of the 64 MiB.
    let (mut given, mut refused) = (0, 0);
    for read in left {
        match read.await {
            Ok(_) => given += 1,
            Err(error) => {
                steps.equal("a read too many", error.kind, ErrorKind::Quota);
                refused += 1;
            }
        }
    }
    steps.holds(&format!("some are refused: {given} were not, and {refused} were"), refused > 0);
    steps.ok("room for all again", soon(|| lab.storage(48 * MIB as u64)));
    steps.end()
}

/// Destroys a buffer in the middle of work, and reads another while the GPU does work without an end.
pub fn read_beside_endless() -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::plain()?;
    let (numbers, gone) = (lab.numbers(&[1; 16])?, lab.numbers(&[1; 16])?);
    let mapped = lab.buffer(64, BufferUsages::MAP_READ | BufferUsages::COPY_DST)?;
    let (slow, endless) = (lab.pipeline(SLOW)?, lab.pipeline(ENDLESS)?);
    let group = lab.group_of(&slow, &[&gone])?;
    lab.run(&slow, &[&numbers], 8)?;
    gone.destroy();
    lab.run(&endless, &[&numbers], 60_000)?;
    lab.device.wait_blocking(Some(1))?;
    let _ = mapped.read_blocking(0, 4);
    ended(&mut steps, "a wait", lab.device.wait_blocking(None));
    drop(group);
    steps.end()
}

/// Traps while work without an end is under way.
pub fn trap_endless() -> Result<String> {
    let lab = Lab::plain()?;
    let all = lab.numbers(&[1; 16])?;
    lab.run(&lab.pipeline(ENDLESS)?, &[&all], 60_000)?;
    std::process::abort()
}

/// Traps while all kinds of work are under way.
pub fn trap() -> Result<String> {
    let lab = Lab::open()?;
    let all = soon(|| lab.storage(24 * MIB as u64))?;
    all.write(0, &vec![1; 4 * MIB])?;
    let slow = lab.pipeline(SLOW)?;
    for _ in 0..4 {
        lab.run(&slow, &[&all], 1)?;
    }
    all.write(0, &vec![1; 4 * MIB])?;
    std::process::abort()
}

/// Keeps its objects after the call.
pub fn keep() -> Result<String> {
    let lab = Lab::plain()?;
    let all = lab.storage(24 * MIB as u64)?;
    lab.run_shader(INCREMENT, &[&all], 16)?;
    std::mem::forget((lab, all));
    Ok("ok".to_owned())
}

/// Submits and never waits.
pub fn never_wait() -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::plain()?;
    let all = lab.numbers(&[1; 16])?;
    let slow = lab.pipeline(SLOW)?;
    for _ in 0..40 {
        steps.ok("a submission", lab.run(&slow, &[&all], 1));
    }
    steps.end()
}
