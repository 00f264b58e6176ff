//! Compares 1 GiB of bytes through two edges with copying as much.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::read::{Read, chain, read};
use super::{memory, runtime};
use crate::median;

const GIB: u64 = 1 << 30;
const SAMPLES: usize = 5;

/// The ways in which the relay handles the stream, each with the name of its interface.
const WAYS: [Way; 2] = [
    // Each edge copies out of one guest and into the next.
    Way { interface: "read-and-written", shown: "read and written by the relay", copies: 4 },
    // The bytes are copied out of the source and into the reader.
    Way { interface: "handed-on", shown: "handed on by the relay unread", copies: 2 },
];

const CHUNKS: [(u32, &str); 2] = [(64 << 10, "64 KiB"), (1 << 20, "1 MiB")];

struct Way {
    interface: &'static str,
    shown: &'static str,
    /// The number of times that each byte is copied.
    copies: usize,
}

/// Results in GiB per second.
#[derive(Default)]
struct Samples {
    stream: Vec<f64>,
    made: Vec<f64>,
    once: Vec<f64>,
    copies: Vec<f64>,
}

pub fn run() -> anyhow::Result<()> {
    println!("### 1 GiB of `stream<u8>` through two edges: source, relay, reader, in GiB/s\n");
    println!(
        "| stream, and bytes a write | **three chainlets** | made and checked in one | memcpy | as many memcpys | stream / as many memcpys | peak memory, MiB |"
    );
    println!("|---|---|---|---|---|---|---|");
    for way in &WAYS {
        for (chunk, size) in CHUNKS {
            let samples = measure(way, chunk)?;
            let (stream, made) = (median(samples.stream), median(samples.made));
            let (once, copies) = (median(samples.once), median(samples.copies));
            println!(
                "| {}, {size} | **{stream:.2}** | {made:.2} | {once:.2} | {}: {copies:.2} | **{:.2}** | **{}** |",
                way.shown,
                way.copies,
                stream / copies,
                memory::of(&["bytes", way.interface, &chunk.to_string()])?
            );
        }
    }
    println!("\n{}\n", memory::HOW);
    Ok(())
}

/// Measures all sides in turn, so that a change in the machine's speed affects all of them.
fn measure(way: &Way, chunk: u32) -> anyhow::Result<Samples> {
    runtime()?.block_on(async {
        let chain = chain(Some(way.interface)).await?;
        let mut samples = Samples::default();
        for _ in 0..SAMPLES {
            let stream = read(&chain, gib("bytes", chunk)).await?;
            let made = read(&chain, gib("made-bytes", chunk)).await?;
            ensure!(stream.sum == made.sum, "the bytes that came are not those that were sent");
            samples.stream.push(rate(stream.took));
            samples.made.push(rate(made.took));
            samples.once.push(rate(copied(chunk, 1)));
            samples.copies.push(rate(copied(chunk, way.copies)));
        }
        Ok(samples)
    })
}

/// Sends it once, to measure the memory that it takes.
pub async fn once(interface: &str, chunk: u32) -> anyhow::Result<u64> {
    let chain = chain(Some(interface)).await?;
    let peak = memory::Peak::start();
    read(&chain, gib("bytes", chunk)).await?;
    peak.above()
}

fn gib(what: &'static str, chunk: u32) -> Read {
    Read { what, count: GIB, batch: chunk, room: chunk }
}

fn rate(took: Duration) -> f64 {
    1.0 / took.as_secs_f64()
}

/// Returns the time for 1 GiB in chunks that are each copied `times` times, from one buffer to the next.
fn copied(chunk: u32, times: usize) -> Duration {
    let mut buffers = vec![vec![1_u8; chunk as usize]; times + 1];
    let start = Instant::now();
    for _ in 0..GIB / u64::from(chunk) {
        let mut buffers = black_box(buffers.as_mut_slice());
        while let [from, rest @ ..] = buffers {
            if let Some(to) = rest.first_mut() {
                to.copy_from_slice(from);
            }
            buffers = rest;
        }
    }
    start.elapsed()
}
