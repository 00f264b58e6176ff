//! Compares a value from one chainlet to another and back with the same two components fused, and with an edge that is
//! written by hand.

use std::time::Instant;

use anyhow::{Context, anyhow};
use chainhost::chain::{CallOptions, Chain};
use chainhost::config::{ChainSpec, ChainletSpec};
use chainhost::host::Host;
use tokio::runtime::{Builder, Runtime};

use super::by_hand::{ByHand, Components};
use super::types::{Embedding, Score, Wide};
use crate::fuse::fuse;
use crate::{guest, median};

const SAMPLES: usize = 21;

/// The values that are sent, each through the interface of its name.
const SENT: [Sent; 6] = [
    Sent { what: "bytes", shown: "`list<u8>`, 1 MiB", length: 1 << 20, times: 200, dynamic_times: 1, target: TYPED },
    Sent { what: "floats", shown: "`list<f32>`, 1 MiB", length: 1 << 18, times: 200, dynamic_times: 1, target: TYPED },
    Sent {
        what: "embedding",
        shown: "a record of two numbers and a `list<f32>` of 1 MiB",
        length: 1 << 18,
        times: 200,
        dynamic_times: 1,
        target: TYPED,
    },
    Sent {
        what: "scores",
        shown: "`list<record { id: u32, score: f32 }>`, 1 MiB",
        length: 1 << 17,
        times: 20,
        dynamic_times: 1,
        target: TYPED,
    },
    Sent {
        what: "wide",
        shown: "a record of 100 fields: numbers, strings, options",
        length: 10,
        times: 2_000,
        dynamic_times: 500,
        target: DYNAMIC,
    },
    Sent {
        what: "texts",
        shown: "`list<string>`, 10,000 of 20 characters",
        length: 10_000,
        times: 20,
        dynamic_times: 5,
        target: DYNAMIC,
    },
];

/// Values that are plain data should take at most 1.2 times the time of static types.
const TYPED: Target = Target::Typed(1.2);
/// Other values should be at least 5 times as fast as wasmtime's dynamic values.
const DYNAMIC: Target = Target::Dynamic(5.0);

struct Sent {
    what: &'static str,
    shown: &'static str,
    length: u32,
    /// The round trips in one sample.
    times: u32,
    /// The round trips in one sample of wasmtime's dynamic values.
    dynamic_times: u32,
    target: Target,
}

enum Target {
    /// The highest time, as a multiple of the time with static types.
    Typed(f64),
    /// The lowest time with dynamic values, as a multiple of chainhost's time.
    Dynamic(f64),
}

/// Microseconds for a round trip.
#[derive(Default)]
struct Samples {
    chainhost: Vec<f64>,
    fused: Vec<f64>,
    typed: Vec<f64>,
    dynamic: Vec<f64>,
}

pub fn run() -> anyhow::Result<()> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let (echo, sender) = (std::fs::read(guest("bench_echo")?)?, std::fs::read(guest("bench_sender")?)?);
    let chain = runtime.block_on(chain(&echo, &sender))?;
    let mut chainhost = Chainhost { runtime, chain };
    let interfaces = SENT.map(|sent| format!("bench:values/{}", sent.what));
    let fused = fuse(&sender, &echo, &interfaces.each_ref().map(String::as_str))?;
    let components = Components::new(&echo, &sender, &fused).map_err(wasmtime_failed)?;
    println!("### A value there and back between two chainlets, in two stores\n");
    println!(
        "| value | µs: **chainhost** | fused | static types | `Val` | chainhost / static types | `Val` / chainhost | target |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for sent in &SENT {
        let samples = measure(&mut chainhost, &components, sent).with_context(|| format!("sending {}", sent.what))?;
        println!("{}", row(sent, samples));
    }
    println!();
    Ok(())
}

/// Loads a sender, and an echo for each interface that it imports.
async fn chain(echo: &[u8], sender: &[u8]) -> anyhow::Result<Chain> {
    let sender = ChainSpec::builder("values").chainlet("sender", ChainletSpec::builder(sender.to_vec()));
    let spec = SENT.iter().fold(sender, |spec, Sent { what, .. }| {
        spec.chainlet(*what, ChainletSpec::builder(echo.to_vec()).export(format!("bench:values/{what}")))
    });
    Ok(Host::new()?.load(&spec.entrypoint("sender").build()?).await?)
}

/// Measures all sides in turn, so that a change in the machine's speed affects all of them.
fn measure(chainhost: &mut Chainhost, components: &Components, sent: &Sent) -> anyhow::Result<Samples> {
    let mut fused = components.fused().map_err(wasmtime_failed)?;
    let mut typed = typed(components, sent.what).map_err(wasmtime_failed)?;
    let mut dynamic = components.dynamic(sent.what).map_err(wasmtime_failed)?;
    // The first calls grow the guests' memories, which must not count.
    sample(chainhost, sent, 1)?;
    sample(&mut fused, sent, 1)?;
    sample(&mut typed, sent, 1)?;
    sample(&mut dynamic, sent, 1)?;
    let mut samples = Samples::default();
    for _ in 0..SAMPLES {
        samples.chainhost.push(sample(chainhost, sent, sent.times)?);
        samples.fused.push(sample(&mut fused, sent, sent.times)?);
        samples.typed.push(sample(&mut typed, sent, sent.times)?);
        samples.dynamic.push(sample(&mut dynamic, sent, sent.dynamic_times)?);
    }
    Ok(samples)
}

fn typed<'a>(components: &'a Components, what: &str) -> wasmtime::Result<ByHand<'a>> {
    match what {
        "bytes" => components.typed::<Vec<u8>>(what),
        "floats" => components.typed::<Vec<f32>>(what),
        "embedding" => components.typed::<Embedding>(what),
        "scores" => components.typed::<Vec<Score>>(what),
        "wide" => components.typed::<Wide>(what),
        "texts" => components.typed::<Vec<String>>(what),
        _ => wasmtime::bail!("no type of Rust for {what}"),
    }
}

/// One side of the comparison.
trait Side {
    /// Lets the sender send a value of `length` back and forth `times` times. Returns the number of elements that came
    /// back.
    fn send(&mut self, what: &str, length: u32, times: u32) -> anyhow::Result<u64>;
}

struct Chainhost {
    runtime: Runtime,
    chain: Chain,
}

impl Side for Chainhost {
    fn send(&mut self, what: &str, length: u32, times: u32) -> anyhow::Result<u64> {
        let args = serde_json::json!({ "what": what, "length": length, "times": times });
        Ok(self.runtime.block_on(self.chain.call(&args, CallOptions::default()))?)
    }
}

impl Side for ByHand<'_> {
    fn send(&mut self, what: &str, length: u32, times: u32) -> anyhow::Result<u64> {
        self.call(what, length, times).map_err(wasmtime_failed)
    }
}

/// Returns the microseconds of a round trip of a value. Making the value and calling the sender do not count.
fn sample(side: &mut impl Side, sent: &Sent, times: u32) -> anyhow::Result<f64> {
    let start = Instant::now();
    side.send(sent.what, sent.length, 0)?;
    let made = start.elapsed();
    let start = Instant::now();
    let came_back = side.send(sent.what, sent.length, times)?;
    let took = start.elapsed().saturating_sub(made);
    let expected = u64::from(sent.length) * u64::from(times);
    anyhow::ensure!(came_back == expected, "{came_back} elements of {expected} came back");
    Ok(took.as_secs_f64() * 1e6 / f64::from(times))
}

fn row(sent: &Sent, samples: Samples) -> String {
    let (chainhost, fused) = (median(samples.chainhost), median(samples.fused));
    let (typed, dynamic) = (median(samples.typed), median(samples.dynamic));
    let (of_typed, of_dynamic) = (chainhost / typed, dynamic / chainhost);
    let (of_typed, of_dynamic, target) = match sent.target {
        Target::Typed(most) => (format!("**{of_typed:.2}**"), format!("{of_dynamic:.1}"), format!("≤ {most}")),
        Target::Dynamic(least) => (format!("{of_typed:.2}"), format!("**{of_dynamic:.1}**"), format!("≥ {least}")),
    };
    let [chainhost, fused, typed, dynamic] = [chainhost, fused, typed, dynamic].map(micros);
    format!(
        "| {} | **{chainhost}** | {fused} | {typed} | {dynamic} | {of_typed} | {of_dynamic} | {target} |",
        sent.shown
    )
}

/// Writes a time with at least three digits.
fn micros(time: f64) -> String {
    if time < 100.0 { format!("{time:.1}") } else { format!("{time:.0}") }
}

fn wasmtime_failed(error: wasmtime::Error) -> anyhow::Error {
    anyhow!("{error:#}")
}
