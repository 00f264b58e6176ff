//! Compares a guest's work on a GPU with the same work in this process. One file, `benches/guests/gpu/src/work.rs`, is
//! compiled into both.

#[path = "../guests/gpu/src/work.rs"]
mod work;

use std::time::{Duration, Instant};

use chainhost::chain::{CallOptions, Chain};
use chainhost::config::ChainSpec;
use chainhost::host::Host;
use tokio::runtime::Runtime;
use work::{BULK, ROWS, Work};

use crate::{guest, median};

/// The piece of work of the guest, the piece that it is compared with, the repetitions in one measurement, and the name
/// of the table's row.
const PIECES: [(&str, &str, u32, &str); 5] = [
    ("matmul", "matmul", 1, "matmul 1024², dispatch to result"),
    ("small", "small", 400, "256 numbers, dispatch to result"),
    ("upload", "upload", 5, "upload of 64 MiB"),
    ("fetch", "download", 5, "download of 64 MiB"),
    ("download", "download", 5, "download of 64 MiB by mapping"),
];
/// The number of measurements of each side.
const ROUNDS: u32 = 5;
/// The number of guests that share the GPU.
const GUESTS: usize = 4;
/// The time for which they share it.
const SHARING: Duration = Duration::from_secs(10);

/// Runs this benchmark.
pub fn run() -> anyhow::Result<()> {
    assert_eq!(ROWS, 1024, "the table says so");
    let runtime = Runtime::new()?;
    let host = Host::builder().gpu_worker("/proc/self/exe").build()?;
    let native =
        runtime.block_on(Work::new(&wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle())));
    let native = native.map_err(anyhow::Error::msg)?;
    let here = runtime.block_on(host.load(&spec("in-process", 1)?))?;
    let worker = runtime.block_on(host.load(&spec("process", 1)?))?;

    println!("\n## GPU\n\nOn {}.\n", host.gpus().join("; "));
    println!("| | native wgpu | guest | / native | in a worker | / native |");
    println!("|---|---|---|---|---|---|");
    for (piece, beside, times, name) in PIECES {
        let mut figures = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            let [alone, guest, isolated] = &mut figures;
            alone.extend(native.times(beside, times).map_err(anyhow::Error::msg)?);
            guest.extend(call(&runtime, &here, piece, times)?);
            isolated.extend(call(&runtime, &worker, piece, times)?);
        }
        let [alone, guest, isolated] =
            figures.map(|all| median(all.iter().map(|nanoseconds| *nanoseconds as f64 / 1e3).collect()));
        let show = |time: f64| match piece {
            "upload" | "download" | "fetch" => format!("{:.2} GiB/s", BULK as f64 / f64::from(1 << 30) / (time / 1e6)),
            _ => format!("{time:.0} µs"),
        };
        println!(
            "| {name} | {} | {} | {:.2} | {} | {:.2} |",
            show(alone),
            show(guest),
            guest / alone,
            show(isolated),
            isolated / alone
        );
    }
    drop((here, worker, native));
    share(&runtime, &host)
}

fn call(runtime: &Runtime, chain: &Chain, piece: &str, times: u32) -> anyhow::Result<Vec<u64>> {
    let arguments = serde_json::json!({ "piece": piece, "times": times });
    Ok(runtime.block_on(chain.call(&arguments, CallOptions::default()))?)
}

fn spec(isolation: &str, replicas: usize) -> anyhow::Result<ChainSpec> {
    let text = format!(
        "[chain]\nname = \"bench-gpu\"\n\n[gpu]\nisolation = \"{isolation}\"\n\n[chainlets.gpu]\ncomponent = {:?}\n\
         replicas = {replicas}\nconcurrency = 1\nresources = {{ gpu = true }}\n",
        guest("bench_gpu")?
    );
    Ok(ChainSpec::from_toml(&text, std::path::Path::new("bench.toml"))?)
}

/// Measures guests that share the GPU. Half of them have work that takes about eight times as long as the others'.
fn share(runtime: &Runtime, host: &Host) -> anyhow::Result<()> {
    let chain = runtime.block_on(host.load(&spec("in-process", GUESTS)?))?;
    let alone = ["half", "quarter"].map(|piece| call(runtime, &chain, piece, 5));
    let [big, small] = alone.map(|times| times.map(|times| median(times.iter().map(|time| *time as f64).collect())));
    let (big, small) = (big?, small?);
    let began = Instant::now();
    let guests: Vec<_> = (0..GUESTS)
        .map(|number| {
            let chain = chain.clone();
            let (piece, one) = if number % 2 == 0 { ("half", big) } else { ("quarter", small) };
            runtime.spawn(async move {
                let mut done = 0_u32;
                while began.elapsed() < SHARING {
                    let arguments = serde_json::json!({ "piece": piece, "times": 1 });
                    let _: Vec<u64> = chain.call(&arguments, CallOptions::default()).await?;
                    done += 1;
                }
                anyhow::Ok((piece, done, f64::from(done) * one))
            })
        })
        .collect();
    println!(
        "\n{GUESTS} guests for {SHARING:?} on one GPU:\n\n| work | times done | share of the GPU's time |\n|---|---|---|"
    );
    let mut shares = Vec::new();
    for guest in guests {
        shares.push(runtime.block_on(guest)??);
    }
    let all: f64 = shares.iter().map(|(_, _, time)| time).sum();
    for (piece, done, time) in shares {
        println!("| {piece} | {done} | {:.2} |", time / all);
    }
    Ok(())
}
