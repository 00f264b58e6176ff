//! The time until the first item of a stream, measured by the guest that reads
//! it.

use super::channel::Source;
use super::read::{Read, chain, fused, read};
use super::runtime;
use crate::median;

const SAMPLES: usize = 2001;

const STREAM: Read = Read { what: "numbers", count: 1, batch: 1, room: 1 };
const CALL: Read = Read { what: "number", count: 1, batch: 1, room: 1 };

pub fn run() -> anyhow::Result<()> {
    runtime()?.block_on(async {
        let (separate, fused, source) = (chain(None).await?, fused().await?, Source::new());
        let (mut stream, mut within, mut call, mut channel) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..SAMPLES {
            stream.push(read(&separate, STREAM).await?.first.as_secs_f64() * 1e6);
            within.push(read(&fused, STREAM).await?.first.as_secs_f64() * 1e6);
            call.push(read(&separate, CALL).await?.first.as_secs_f64() * 1e6);
            channel.push(source.first().await?.as_secs_f64() * 1e6);
        }
        let (stream, within, call, channel) = (median(stream), median(within), median(call), median(channel));
        println!("### Time to the first item of a stream\n");
        println!("| from a guest's start to | µs |\n|---|---|");
        println!("| **the first item of another chainlet's stream** | **{stream:.2}** |");
        println!("| the same, both components fused | {within:.2} |");
        println!("| the answer of another chainlet, a value | {call:.2} |");
        println!("| a task's first item through a new tokio channel | {channel:.2} |");
        println!(
            "\nFirst item / a value: **{:.2}**; first item / channel: **{:.2}**.\n",
            stream / call,
            stream / channel
        );
        Ok(())
    })
}
