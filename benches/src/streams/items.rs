//! Compares items per second through one edge with a channel, and with one call for each item.

use std::time::Duration;

use anyhow::ensure;
use chainhost::chain::Chain;

use super::read::{Answer, Read, chain, fused, read};
use super::{channel, runtime};
use crate::median;

const SAMPLES: usize = 11;
/// The calls in a sample in which each call carries one item.
const HOPS: u64 = 20_000;
const TEXT: &str = "twenty characters...";

struct Row {
    shown: &'static str,
    read: Read,
    hop: &'static str,
}

const ROWS: [Row; 7] = [
    Row { shown: "`stream<u32>`, 1 a write", read: numbers(20_000, 1, 1), hop: "number" },
    Row { shown: "`stream<u32>`, 64 a write", read: numbers(1 << 20, 64, 64), hop: "number" },
    Row { shown: "`stream<u32>`, 4096 a write", read: numbers(1 << 24, 4096, 4096), hop: "number" },
    Row { shown: "`stream<u32>`, 4096 a write, read one by one", read: numbers(1 << 16, 4096, 1), hop: "number" },
    Row { shown: "`stream<string>`, 1 a write", read: texts(20_000, 1, 1), hop: "text" },
    Row { shown: "`stream<string>`, 64 a write", read: texts(1 << 19, 64, 64), hop: "text" },
    Row { shown: "`stream<string>`, 64 a write, read one by one", read: texts(1 << 16, 64, 1), hop: "text" },
];

const fn numbers(count: u64, batch: u32, room: u32) -> Read {
    Read { what: "numbers", count, batch, room }
}

const fn texts(count: u64, batch: u32, room: u32) -> Read {
    Read { what: "texts", count, batch, room }
}

/// Results in millions of items per second.
#[derive(Default)]
struct Samples {
    stream: Vec<f64>,
    fused: Vec<f64>,
    channel: Vec<f64>,
    hop: Vec<f64>,
}

pub fn run() -> anyhow::Result<()> {
    runtime()?.block_on(async {
        let (separate, fused) = (chain(None).await?, fused().await?);
        println!("### Items of a stream through one edge, in millions a second\n");
        println!(
            "| stream | **two chainlets** | fused | tokio channel | a call an item | stream / fused | stream / channel | stream / calls |"
        );
        println!("|---|---|---|---|---|---|---|---|");
        for row in &ROWS {
            let samples = measure(&separate, &fused, row).await?;
            let (stream, fused) = (median(samples.stream), median(samples.fused));
            let (channel, hop) = (median(samples.channel), median(samples.hop));
            println!(
                "| {} | **{stream:.2}** | {fused:.2} | {channel:.2} | {hop:.2} | {:.2} | **{:.3}** | **{:.1}** |",
                row.shown,
                stream / fused,
                stream / channel,
                stream / hop
            );
        }
        println!();
        Ok(())
    })
}

/// Measures all sides in turn, so that a change in the machine's speed affects all of them.
async fn measure(separate: &Chain, fused: &Chain, row: &Row) -> anyhow::Result<Samples> {
    let hops = Read { what: row.hop, count: HOPS, batch: 1, room: 1 };
    let mut samples = Samples::default();
    for _ in 0..SAMPLES {
        let stream = read(separate, row.read).await?;
        let within = read(fused, row.read).await?;
        let (took, sum) = through_a_channel(row.read).await?;
        let hop = read(separate, hops).await?;
        ensure!(stream.sum == sum && within.sum == sum, "{}: the items add up to something else", row.shown);
        samples.stream.push(rate(&stream));
        samples.fused.push(rate(&within));
        samples.channel.push(millions(row.read.count, took));
        samples.hop.push(rate(&hop));
    }
    Ok(samples)
}

/// Sends the same items in the batches in which they are written, because a channel cannot take a part of a batch.
async fn through_a_channel(read: Read) -> anyhow::Result<(Duration, u64)> {
    let Read { what, count, batch, .. } = read;
    match what {
        "numbers" => channel::all(count, batch, |number| number as u32, |item| u64::from(*item)).await,
        _ => channel::all(count, batch, |_| TEXT.to_owned(), |item| item.len() as u64).await,
    }
}

fn rate(answer: &Answer) -> f64 {
    millions(answer.items, answer.took)
}

fn millions(items: u64, took: Duration) -> f64 {
    items as f64 / took.as_secs_f64() / 1e6
}
